"""Errors and notices of the server: carets where the client wrote, values only for the table that the report names."""

from __future__ import annotations

from playbook import (
    ANN,
    MAY,
    PARSED,
    READY,
    SYNC,
    Client,
    Failed,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    bind,
    complete,
    error,
    notice,
    parse,
    query,
    token,
)
from shop_catalog import EMAIL

from pgnym.gateway.effects import Cancel, Lookup, Store
from pgnym.sql.ordering import UNRANKED
from pgnym.vault.errors import VaultError


def sent(play: Play, text: str, upstream: bytes | None = None) -> Play:
    """A protected Query under way."""
    play.stores((ANN, b"ann@x.org"), (MAY, b"2001-05-04"))
    return play >> Client(query(text)) << ToServer(query(text if upstream is None else upstream))


def test_a_caret_before_the_first_constant_stays(play: Play) -> None:
    sent(play, "SELECT ünknown(id), 'x' FROM customer")
    play >> Server(error("42883", P=b"8"), READY) << ToClient(error("42883", P=b"8"), READY)


def test_a_caret_behind_a_constant_moves_back(play: Play) -> None:
    text = "SELECT id FROM customer WHERE email = 'ü@x' AND nope(id)"
    upstream = text.encode().replace("ü@x".encode(), token(EMAIL.prefix, "ü@x".encode()))
    sent(play, text, upstream)
    at = str(upstream.decode().index("nope") + 1).encode()
    own = str(text.index("nope") + 1).encode()
    play >> Server(error("42883", P=at), READY) << ToClient(error("42883", P=own), READY)


def test_a_caret_behind_several_constants(play: Play) -> None:
    text = "SELECT id FROM customer WHERE email = 'a' OR email = 'b' OR nope(id)"
    upstream = text.encode()
    for value in (b"a", b"b"):
        upstream = upstream.replace(b"'" + value + b"'", b"'" + token(EMAIL.prefix, value) + b"'")
    sent(play, text, upstream)
    at = str(upstream.index(b"nope") + 1).encode()
    (
        play
        >> Server(error("42883", P=at), READY)
        << ToClient(error("42883", P=str(text.index("nope") + 1).encode()), READY)
    )


def test_a_caret_of_a_parse(play: Play) -> None:
    text = "SELECT id FROM customer WHERE email = 'a' AND nope(id)"
    upstream = text.encode().replace(b"'a'", b"'" + token(EMAIL.prefix, b"a") + b"'")
    play >> Client(parse("", text), SYNC) << ToServer(parse("", upstream), SYNC)
    at, own = (str(t.index(b"nope") + 1).encode() for t in (upstream, text.encode()))
    play >> Server(error("42883", P=at), READY) << ToClient(error("42883", P=own), READY)


def test_a_value_that_has_no_rank_yet_is_to_be_tried_again(play: Play) -> None:
    """Put by another session between the look-up and the statement; see sql/ordering.py."""
    sent(play, "DELETE FROM letter")
    failed = error("22P02", f'invalid input syntax for type integer: "{UNRANKED}"')
    play >> Server(failed, READY) << Refused("40001", then=READY)


def test_a_cast_that_fails_otherwise_fails_as_it_does(play: Play) -> None:
    sent(play, "DELETE FROM letter")
    failed = error("22P02", 'invalid input syntax for type integer: "x"')
    play >> Server(failed, READY) << ToClient(failed, READY)


def test_tokens_in_detail_are_shown_for_the_table_that_is_named(play: Play) -> None:
    sent(play, "DELETE FROM letter")
    failed = error("23503", "violates", D=b"Key (sender)=(" + ANN + b") is still referenced.", of="letter")
    play >> Server(failed, READY) << Starts(Lookup, {ANN})
    (
        play
        >> Worked()
        << ToClient(
            error("23503", "violates", D=b"Key (sender)=(ann@x.org) is still referenced.", of="letter"), READY
        )
    )


def test_a_typed_value_is_shown_as_its_type_is(play: Play) -> None:
    play.session.set_parameter("DateStyle", "SQL, DMY")
    sent(play, "DELETE FROM customer")
    play >> Server(error("23505", D=b"(" + MAY + b")", of="customer"), READY) << Starts(Lookup, {MAY})
    play >> Worked() << ToClient(error("23505", D=b"(04/05/2001)", of="customer"), READY)


def test_tokens_of_other_domains_stay(play: Play) -> None:
    sent(play, "DELETE FROM letter")
    failed = error("23514", D=b"Failing row contains (1, " + MAY + b").", of="letter")
    play >> Server(failed, READY) << ToClient(failed, READY)


def test_tokens_stay_where_no_table_is_named(play: Play) -> None:
    """RAISE in a function, say: the token may have been planted."""
    sent(play, "DELETE FROM letter")
    raised = error("P0001", "value " + ANN.decode())
    play >> Server(raised, READY) << ToClient(raised, READY)


def test_tokens_stay_for_who_sees_tokens() -> None:
    play = Play("analyst")
    sent(play, "DELETE FROM letter")
    failed = error("23503", D=b"Key (sender)=(" + ANN + b")", of="letter")
    play >> Server(failed, READY) << ToClient(failed, READY)


def test_tokens_stay_for_who_sees_masks() -> None:
    play = Play("support")
    sent(play, "SELECT id FROM customer")
    failed = error("23503", D=b"Key (email)=(" + ANN + b")", of="customer")
    play >> Server(failed, READY) << ToClient(failed, READY)


def test_a_notice_is_shown_likewise(play: Play) -> None:
    sent(play, "DELETE FROM letter")
    play >> Server(notice("has " + ANN.decode(), of="letter")) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(notice("has ann@x.org", of="letter"))
    play >> Server(complete("DELETE 1"), READY) << ToClient(complete("DELETE 1"), READY)


def test_a_report_whose_look_up_fails_shows_tokens_as_they_are(play: Play) -> None:
    """The statement has failed anyway; that its values are not to be had is not worth another error."""
    sent(play, "DELETE FROM letter")
    failed = error("23503", D=b"Key (sender)=(" + ANN + b")", of="letter")
    play >> Server(failed, READY) << Starts(Lookup)
    play >> Failed(VaultError("gone"))
    play << ToClient(failed, READY)
    assert not play.session.expect


def test_the_error_of_a_bind(play: Play) -> None:
    insert = parse("", "INSERT INTO letter (sender) VALUES ($1)")
    play >> Client(insert, bind("", "", b"ann@x.org"), SYNC) << ToServer(insert) << Starts(Store)
    play >> Worked() << ToServer(bind("", "", ANN, formats=(0,)), SYNC)
    failed = error("22P02", "invalid", P=b"3")
    play >> Server(PARSED, failed, READY) << ToClient(PARSED, failed, READY)
    assert not [w for w, _ in play.stage.works if isinstance(w, Cancel)]
