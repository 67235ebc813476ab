"""What a role sees, may compare and write, and how much of it: values, masks or tokens, or 42501."""

from __future__ import annotations

import struct

import pytest
from playbook import (
    ANN,
    BOUND,
    MAKES_FAIL_IN_BATCH,
    MAY,
    NO_FUNCTION,
    PARSED,
    READY,
    SYNC,
    Client,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    bind,
    complete,
    copy_data,
    described,
    error,
    execute,
    parse,
    query,
    row,
    token,
)
from shop_catalog import DATE, EMAIL, TEXT, VARCHAR

from pgnym.gateway.effects import Cancel, Lookup, Store
from pgnym.wire.messages import Field, RowDescription

VALUES = ((ANN, b"ann@x.org"), (MAY, b"2001-05-04"))
SELECT = "SELECT email, born FROM customer"
FIELDS = (("email", VARCHAR), ("born", TEXT))


def as_user(user: str) -> Play:
    """A session of ``user`` over the stocked vault, that has sent SELECT."""
    play = Play(user)
    play.stores(*VALUES)
    return play >> Client(query(SELECT)) << ToServer(query(SELECT))


def test_masks_are_of_the_columns_own_type() -> None:
    play = as_user("support")
    play >> Server(row(ANN, MAY)) << Starts(Lookup, {ANN, MAY})
    play >> Worked()
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert b"ann@" not in data
    assert b"05-04" not in data
    assert b"pn1" not in data
    play.nothing_more()


def test_masked_columns_are_described_with_their_original_types() -> None:
    play = as_user("support")
    play >> Server(described(*FIELDS)) << ToClient(shown_fields())


def shown_fields() -> bytes:
    """The description of SELECT with original types."""
    return RowDescription(
        (Field(b"email", 0, 0, VARCHAR, -1, 44, 0), Field(b"born", 0, 0, DATE, 4, -1, 0))
    ).build()


def test_tokens_are_shown_as_the_text_they_are() -> None:
    """No look-up, no audit record, and the stored types."""
    play = as_user("analyst")
    answer = described(*FIELDS) + row(ANN, MAY) + complete("SELECT 1") + READY
    play >> Server(answer) << ToClient(answer)
    assert not play.stage.posted


def test_a_role_may_see_one_column_and_the_mask_of_another() -> None:
    play = as_user("clerk")
    play >> Server(row(ANN, MAY)) << Starts(Lookup, {ANN, MAY})
    play >> Worked()
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert b"ann@x.org" in data
    assert b"2001-05-04" not in data


@pytest.mark.parametrize("user", ["support", "analyst", "stranger"])
def test_plaintext_is_not_compared_for_who_does_not_see_it(user: str) -> None:
    """The answer would tell whether the value is there."""
    play = Play(user)
    play >> Client(query("SELECT id FROM customer WHERE email = 'ann@x.org'")) << Refused("42501", READY)
    assert play.audited == [("refuse", "42501")]
    find = parse("", "SELECT id FROM customer WHERE email = $1")
    play >> Client(find, bind("", "", b"ann@x.org"), SYNC) << ToServer(find, MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(PARSED, NO_FUNCTION, READY) << Refused("42501", READY, before=PARSED)


@pytest.mark.parametrize("user", ["support", "analyst"])
def test_plaintext_is_not_written_for_who_may_not(user: str) -> None:
    play = Play(user)
    play >> Client(query("UPDATE customer SET email = 'ann@x.org'")) << Refused("42501", READY)
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Refused("42501", READY)
    sent = b"".join(bytes(chunk) for chunk in play.stage.chunks)
    assert b"ann@x.org" not in sent


def test_a_right_to_write_is_not_one_to_compare() -> None:
    play = Play("clerk")
    play >> Client(query("UPDATE customer SET born = '2001-05-04'")) << Starts(Store, {MAY: b"2001-05-04"})
    play >> Worked() << ToServer(query(b"UPDATE customer SET born = '" + MAY + b"'"))
    play >> Server(complete("UPDATE 1"), READY) << ToClient(complete("UPDATE 1"), READY)
    play >> Client(query("SELECT id FROM customer WHERE born = '2001-05-04'")) << Refused("42501", READY)


def test_a_null_needs_the_right_too(play: Play) -> None:
    other = Play("support")
    write = parse("", "UPDATE customer SET email = $1")
    other >> Client(write, bind("", "", None), SYNC) << ToServer(write, MAKES_FAIL_IN_BATCH, SYNC)
    play >> Client(write, bind("", "", None), SYNC) << ToServer(write, bind("", "", None, formats=(0,)), SYNC)


def test_for_who_sees_values_a_value_like_a_token_is_a_value(play: Play) -> None:
    again = token(EMAIL.prefix, ANN)
    play >> Client(query(b"SELECT id FROM customer WHERE email = '" + ANN + b"'"))
    play << ToServer(query(b"SELECT id FROM customer WHERE email = '" + again + b"'"))


# -- budget ----------------------------------------------------------------------------------------------------


def rows(*numbers: int) -> bytes:
    """Rows of SELECT, each with a token of its own."""
    return b"".join(row(token(EMAIL.prefix, b"%d" % n), None) for n in numbers)


def test_a_statement_may_show_as_many_values_as_its_limit() -> None:
    play = as_user("thrifty")
    play >> Server(rows(1, 2)) << Starts(Lookup)
    play >> Worked() << ToClient(rows(1, 2))


def test_beyond_the_limit_the_answer_is_cut_off_and_cancelled() -> None:
    play = as_user("thrifty")
    play >> Server(rows(1, 2)) << Starts(Lookup)
    play >> Worked() << ToClient(rows(1, 2))
    play >> Server(rows(3)) << Starts(Cancel) << Refused("42501")
    assert play.audited == [("refuse", "42501")]
    play >> Server(rows(4, 5))
    play >> Worked()
    play >> Server(rows(6), error("57014"), READY) << ToClient(READY)
    play.nothing_more()


def test_the_next_statement_has_its_own_limit() -> None:
    play = as_user("thrifty")
    play >> Server(rows(1, 2)) << Starts(Lookup)
    play >> Worked() << ToClient(rows(1, 2))
    play >> Server(complete("SELECT 2"), READY) << ToClient(complete("SELECT 2"), READY)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(rows(3, 4)) << Starts(Lookup)
    play >> Worked() << ToClient(rows(3, 4))


def test_each_statement_of_a_query_has_its_own_limit() -> None:
    play = Play("thrifty")
    text = query(f"{SELECT}; {SELECT}")
    play >> Client(text) << ToServer(text)
    for _ in range(2):
        play >> Server(rows(1, 2)) << Starts(Lookup)
        play >> Worked() << ToClient(rows(1, 2))
        play >> Server(complete("SELECT 2")) << ToClient(complete("SELECT 2"))


def test_the_limit_holds_over_all_executions_of_a_portal() -> None:
    """Or a client would have any number of values, one Execute after the other."""
    play = Play("thrifty")
    steps = parse("", SELECT) + bind("", "") + execute("", 2)
    play >> Client(steps, execute("", 2), SYNC) << ToServer(steps, execute("", 2), SYNC)
    play >> Server(PARSED, BOUND, rows(1, 2), b"s\0\0\0\4") << Starts(Lookup)
    play >> Worked() << ToClient(PARSED, BOUND, rows(1, 2), b"s\0\0\0\4")
    play >> Server(rows(3)) << Starts(Cancel) << Refused("42501")


# -- what stands around a token --------------------------------------------------------------------------------


def shown(play: Play, text: str, server: bytes, client: bytes, *, results: tuple[int, ...] = ()) -> None:
    """A result of a batch with result formats, as the server sends it and as the client sees it."""
    play.stores(*VALUES)
    steps = parse("", text) + bind("", "", results=results) + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    play >> Server(PARSED, BOUND, server) << Starts(Lookup)
    play >> Worked() << ToClient(PARSED, BOUND, client)
    play >> Server(complete("SELECT 1"), READY) << ToClient(complete("SELECT 1"), READY)


def binary_array(oid: int, *elements: bytes) -> bytes:
    """A one-dimensional array in binary."""
    out = struct.pack("!iiIii", 1, 0, oid, len(elements), 1)
    return out + b"".join(struct.pack("!i", len(e)) + e for e in elements)


def test_a_typed_column_in_binary(play: Play) -> None:
    shown(play, "SELECT born FROM customer", row(MAY), row(struct.pack("!i", 489)), results=(1,))


def test_a_typed_column_in_another_datestyle(play: Play) -> None:
    play.session.set_parameter("DateStyle", "German, DMY")
    shown(play, "SELECT born FROM customer", row(MAY), row(b"04.05.2001"))


def test_an_array_of_tokens_in_binary(play: Play) -> None:
    before, after = binary_array(VARCHAR, ANN, ANN), binary_array(VARCHAR, b"ann@x.org", b"ann@x.org")
    shown(play, "SELECT array_agg(email) FROM customer", row(before), row(after), results=(1,))


def test_an_array_of_a_typed_column_in_binary_has_its_element_type(play: Play) -> None:
    before, after = binary_array(TEXT, MAY), binary_array(DATE, struct.pack("!i", 489))
    shown(play, "SELECT array_agg(born) FROM customer", row(before), row(after), results=(1,))


def test_an_empty_array_of_a_typed_column_in_binary_has_its_element_type(play: Play) -> None:
    steps = (
        parse("", "SELECT array_agg(born) FROM customer") + bind("", "", results=(1,)) + execute("") + SYNC
    )
    play >> Client(steps) << ToServer(steps)
    empty = [struct.pack("!iiI", 0, 0, oid) for oid in (TEXT, DATE)]
    play >> Server(PARSED, BOUND, row(empty[0])) << ToClient(PARSED, BOUND, row(empty[1]))


def test_an_array_in_text(play: Play) -> None:
    odd = token(EMAIL.prefix, b"odd")
    play.stores((odd, b'a"b, c'))
    text = "SELECT array_agg(email) FROM customer"
    shown(play, text, row(b"{" + ANN + b"," + odd + b",NULL}"), row(b'{ann@x.org,"a\\"b, c",NULL}'))


def test_json(play: Play) -> None:
    odd = token(EMAIL.prefix, b"odd")
    play.stores((odd, b'a"b\\'))
    before = b'[{"email": "' + ANN + b'", "id": 1}, {"email": "' + odd + b'"}]'
    after = b'[{"email": "ann@x.org", "id": 1}, {"email": "a\\"b\\\\"}]'
    shown(
        play,
        "SELECT jsonb_agg(jsonb_build_object('id', id, 'email', email)) FROM customer",
        row(before),
        row(after),
    )


def test_concatenated_text(play: Play) -> None:
    text = "SELECT city || ': ' || email FROM customer"
    shown(play, text, row(b"Rome: " + ANN), row(b"Rome: ann@x.org"))


def test_a_token_of_another_domain_stays(play: Play) -> None:
    """Planted in the free text around: the plan says that only e-mail addresses come out here."""
    text = "SELECT city || ': ' || email FROM customer"
    shown(play, text, row(MAY + b": " + ANN), row(MAY + b": ann@x.org"))


def test_a_mask_inside_json() -> None:
    play = Play("support")
    play.stores(*VALUES)
    text = query("SELECT jsonb_build_object('email', email) FROM customer")
    play >> Client(text) << ToServer(text)
    play >> Server(row(b'{"email": "' + ANN + b'"}')) << Starts(Lookup, {ANN})
    play >> Worked()
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert b"ann@x.org" not in data
    assert ANN not in data
    assert b'{"email": "' in data


def test_copy_shows_what_the_role_sees() -> None:
    play = Play("analyst")
    text = query("COPY customer (email) TO STDOUT")
    play >> Client(text) << ToServer(text)
    play >> Server(copy_data(ANN + b"\n")) << ToClient(copy_data(ANN + b"\n"))
