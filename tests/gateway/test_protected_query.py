"""A Query that touches protected columns: tokenized, put, then sent; answered with values once the audit record is there."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    ASKS_SCOPE,
    BOB,
    IN_FAILED,
    IN_TRANSACTION,
    MAKES_FAIL,
    MAY,
    NO_FUNCTION,
    READY,
    SYNC,
    Client,
    Closes,
    Failed,
    Play,
    Refused,
    Server,
    Starts,
    ToClient,
    ToServer,
    Worked,
    complete,
    described,
    error,
    notice,
    parse,
    query,
    row,
    scope,
    status,
    token,
)
from shop_catalog import ALBUM, ARTIST, CUSTOMER, EMAIL, shop

from pgnym.gateway.effects import Cancel, Lookup, Refresh, Store
from pgnym.gateway.engine import Engine
from pgnym.vault.errors import VaultError
from pgnym.wire.messages import Field, RowDescription

SELECT = "SELECT id, email FROM customer"
FIELDS = (("id", 23), ("email", 1043))


def fields(*, typmod: int) -> bytes:
    """The description of SELECT: as stored (typmod -1), or as the client knows it (44 for varchar(40))."""
    return RowDescription(
        (Field(b"id", 0, 0, 23, 4, -1, 0), Field(b"email", 0, 0, 1043, -1, typmod, 0))
    ).build()


def revealed(play: Play) -> Play:
    play.stores((ANN, b"ann@x.org"), (BOB, b"bob@x.org"), (MAY, b"2001-05-04"))
    return play


# -- search_path and role --------------------------------------------------------------------------------------


def test_the_scope_is_asked_first_and_its_answer_kept_from_the_client() -> None:
    play = Play(path=None)
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)
    assert play.stage.client_held
    play >> Server(scope(), READY) << ToServer(query(SELECT))
    assert not play.stage.client_held
    assert play.session.path == ("pg_catalog", "public")
    play.nothing_more()


def test_the_scope_is_asked_once() -> None:
    play = Play(path=None)
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)
    play >> Server(scope(), READY) << ToServer(query(SELECT))
    play >> Server(described(*FIELDS), complete("SELECT 0"), READY)
    play << ToClient(fields(typmod=44), complete("SELECT 0"), READY)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play.nothing_more()


def test_a_set_of_the_search_path_makes_it_ask_again(play: Play) -> None:
    change = query("SET search_path = archive")
    play >> Client(change, query(SELECT)) << ToServer(change, ASKS_SCOPE)
    play >> Server(complete("SET"), READY, scope(b"{pg_catalog,archive,public}"), READY)
    play << ToClient(complete("SET"), READY) << ToServer(query(SELECT))
    assert play.session.path == ("pg_catalog", "archive", "public")


def test_a_path_reported_by_the_server_makes_it_ask_again(play: Play) -> None:
    told = status("search_path", "archive")
    play >> Server(told) << ToClient(told)
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)


def test_the_end_of_a_transaction_with_set_makes_it_ask_again(play: Play) -> None:
    """A SET that is rolled back is undone; nothing tells whether there was one."""
    for text, tag, state in (
        ("BEGIN", "BEGIN", IN_TRANSACTION),
        ("SET LOCAL search_path = archive", "SET", IN_TRANSACTION),
    ):
        play >> Client(query(text)) << ToServer(query(text))
        play >> Server(complete(tag), state) << ToClient(complete(tag), state)
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)
    play >> Server(scope(b"{pg_catalog,archive,public}"), IN_TRANSACTION) << ToServer(query(SELECT))
    answer = complete("SELECT 0") + IN_TRANSACTION
    play >> Server(answer) << ToClient(answer)
    back = query("ROLLBACK")
    play >> Client(back, query(SELECT)) << ToServer(back, ASKS_SCOPE)
    play >> Server(complete("ROLLBACK"), READY, scope(), READY)
    play << ToClient(complete("ROLLBACK"), READY) << ToServer(query(SELECT))
    assert play.session.path == ("pg_catalog", "public")


def test_in_a_failed_transaction_the_servers_own_error_answers() -> None:
    play = Play(path=None)
    play.session.status = ord("E")
    aborted = error(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)
    play >> Server(aborted, IN_FAILED) << ToServer(MAKES_FAIL)
    play >> Server(aborted, IN_FAILED) << ToClient(aborted, IN_FAILED)
    assert not play.stage.posted
    play.nothing_more()


# -- to the server ---------------------------------------------------------------------------------------------


def test_a_constant_that_is_searched_for_becomes_a_token_without_a_put(play: Play) -> None:
    play >> Client(query("SELECT id FROM customer WHERE email = 'ann@x.org'"))
    play << ToServer(query(b"SELECT id FROM customer WHERE email = '" + ANN + b"'"))
    assert [record.counts for record in play.stage.posted] == [{"email": 1}]


def test_a_constant_that_is_written_is_put_before_anything_is_sent(play: Play) -> None:
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')"))
    play << Starts(Store, {ANN: b"ann@x.org"})
    assert play.stage.client_held
    play >> Worked() << ToServer(query(b"INSERT INTO customer (email) VALUES ('" + ANN + b"')"))
    assert not play.stage.client_held


def test_a_put_comes_with_its_audit_record(play: Play) -> None:
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Starts(Store)
    work = play.stage.works[0][0]
    assert isinstance(work, Store)
    assert work.record is not None
    assert (work.record.action.value, work.record.counts) == ("tokenize", {"email": 1})
    play >> Worked() << ToServer(query(b"INSERT INTO customer (email) VALUES ('" + ANN + b"')"))


def test_a_put_that_fails_sends_nothing(play: Play) -> None:
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Starts(Store)
    play >> Failed(VaultError("the vault can't be reached")) << Refused("58000", READY)
    assert not play.stage.client_held
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))


def test_in_a_transaction_a_put_that_fails_fails_the_transaction(play: Play) -> None:
    play.session.status = ord("T")
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Starts(Store)
    play >> Failed(VaultError("the vault can't be reached")) << ToServer(MAKES_FAIL)
    play >> Server(NO_FUNCTION, IN_FAILED) << Refused("58000", IN_FAILED)


def test_what_comes_while_a_put_is_under_way_waits_in_order(play: Play) -> None:
    play >> Client(
        query("INSERT INTO customer (email) VALUES ('ann@x.org')"), query("SELECT 1"), query("SELECT 2")[:9]
    )
    play << Starts(Store)
    play >> Client(query("SELECT 2")[9:], SYNC)
    play >> Worked()
    play << ToServer(
        query(b"INSERT INTO customer (email) VALUES ('" + ANN + b"')"),
        query("SELECT 1"),
        query("SELECT 2"),
        SYNC,
    )


# -- to the client ---------------------------------------------------------------------------------------------


def test_values_are_shown_once_looked_up_and_audited(play: Play) -> None:
    revealed(play)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(
        described(*FIELDS), row(b"1", ANN), row(b"2", BOB), row(b"3", None), complete("SELECT 3"), READY
    )
    play << Starts(Lookup, {ANN, BOB})
    work = play.stage.works[0][0]
    assert isinstance(work, Lookup)
    assert work.record is not None
    assert (work.record.action.value, work.record.counts) == ("reveal", {"email": 2})
    assert play.stage.server_held
    play >> Worked()
    play << ToClient(
        fields(typmod=44),
        row(b"1", b"ann@x.org"),
        row(b"2", b"bob@x.org"),
        row(b"3", None),
        complete("SELECT 3"),
        READY,
    )
    assert not play.stage.server_held
    assert not play.session.expect


def test_a_value_in_memory_still_waits_for_its_audit_record(play: Play) -> None:
    play.vault.memory[ANN] = b"ann@x.org"
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(b"1", ANN)) << Starts(Lookup, set())
    play >> Worked() << ToClient(row(b"1", b"ann@x.org"))


def test_what_the_server_sends_while_a_reveal_is_under_way_waits_in_order(play: Play) -> None:
    revealed(play)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(b"1", ANN)) << Starts(Lookup, {ANN})
    play >> Server(row(b"2", BOB)[:11])
    play >> Server(row(b"2", BOB)[11:], complete("SELECT 2"), READY)
    play >> Worked() << Starts(Lookup, {BOB}) << ToClient(row(b"1", b"ann@x.org"))
    play >> Worked() << ToClient(row(b"2", b"bob@x.org"), complete("SELECT 2"), READY)
    assert not play.session.expect


def test_a_row_split_at_every_byte(play: Play) -> None:
    revealed(play)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    rows = row(b"1", ANN)
    for at in range(len(rows) - 1):
        play >> Server(rows[at : at + 1])
    play >> Server(rows[-1:]) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(row(b"1", b"ann@x.org"))


def test_a_failed_look_up_cuts_the_answer_off(play: Play) -> None:
    """The client gets the error and nothing more until ReadyForQuery; the server is asked to stop."""
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(described(*FIELDS), row(b"1", ANN)) << Starts(Lookup)
    play >> Server(row(b"2", BOB))
    play >> Failed(VaultError("the vault can't be reached")) << Starts(Cancel)
    play << Refused("58000", before=fields(typmod=44))
    play >> Worked()
    play >> Server(row(b"3", ANN), notice("psst"), error("57014"), READY) << ToClient(READY)
    assert not play.session.expect
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))
    play >> Server(row(b"1"), READY) << ToClient(row(b"1"), READY)


def test_an_answer_that_is_cut_off_without_waiting_keeps_its_order() -> None:
    """What the server said before the rows that are refused goes before the error."""
    play = Play("thrifty")
    play >> Client(query("SELECT 1"), query(SELECT)) << ToServer(query("SELECT 1"), query(SELECT))
    before = described(("n", 23)) + row(b"1") + complete("SELECT 1") + READY
    rows = b"".join(row(b"1", token(EMAIL.prefix, b"%d" % n)) for n in range(3))
    play >> Server(before, rows) << Starts(Cancel) << Refused("42501", before=before)
    play >> Worked()
    play >> Server(error("57014"), READY) << ToClient(READY)


def test_no_cancel_is_sent_where_it_could_meet_a_later_statement() -> None:
    """The server may be done with the one that is cut off: its rows are dropped as they come."""
    play = Play("thrifty")
    play >> Client(query(SELECT), query("SELECT 1")) << ToServer(query(SELECT), query("SELECT 1"))
    rows = b"".join(row(b"1", token(EMAIL.prefix, b"%d" % n)) for n in range(3))
    play >> Server(rows, rows) << Refused("42501")
    answer = row(b"1") + complete("SELECT 1") + READY
    play >> Server(rows, complete("SELECT 9"), READY, answer) << ToClient(READY, answer)
    assert not play.session.expect
    play.nothing_more()


def test_the_client_waits_until_the_server_has_taken_the_cancel() -> None:
    play = Play("thrifty")
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(*(row(b"1", token(EMAIL.prefix, b"%d" % n)) for n in range(3)))
    play << Starts(Cancel) << Refused("42501")
    play >> Client(query("SELECT 1"))
    play >> Worked() << ToServer(query("SELECT 1"))
    play >> Server(error("57014"), READY, row(b"1"), READY) << ToClient(READY, row(b"1"), READY)
    assert not play.session.expect
    play.nothing_more()


def test_a_token_that_nobody_has_put_stays_text(play: Play) -> None:
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(b"1", ANN)) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(row(b"1", ANN))


def test_a_typed_column_without_a_value_is_an_error(play: Play) -> None:
    text = query("SELECT born FROM customer")
    play >> Client(text) << ToServer(text)
    play >> Server(row(MAY)) << Starts(Lookup, {MAY})
    play >> Worked() << Starts(Cancel) << Refused("XX001")


def test_a_token_planted_in_an_unprotected_column_stays(play: Play) -> None:
    text = query("SELECT city, email FROM customer")
    play >> Client(text) << ToServer(text)
    play >> Server(row(ANN, None)) << ToClient(row(ANN, None))


def test_several_statements_in_one_query(play: Play) -> None:
    revealed(play)
    text = query("SELECT 1; SELECT id, email FROM customer; SELECT id FROM artist; SELECT born FROM customer")
    play >> Client(text) << ToServer(text)
    play >> Server(described(("n", 23)), row(b"1"), complete("SELECT 1"), described(*FIELDS), row(b"1", ANN))
    play << Starts(Lookup, {ANN})
    play >> Worked()
    play << ToClient(
        described(("n", 23)), row(b"1"), complete("SELECT 1"), fields(typmod=44), row(b"1", b"ann@x.org")
    )
    play >> Server(complete("SELECT 1"), described(("id", 23)), row(b"7"), complete("SELECT 1"))
    play << ToClient(complete("SELECT 1"), described(("id", 23)), row(b"7"), complete("SELECT 1"))
    play >> Server(described(("born", 25)), row(MAY), complete("SELECT 1"), READY) << Starts(Lookup, {MAY})
    play >> Worked()
    play << ToClient(described(("born", 1082)), row(b"2001-05-04"), complete("SELECT 1"), READY)
    assert not play.session.expect


def test_a_server_that_describes_other_columns_than_planned_ends_the_session(play: Play) -> None:
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(described(("id", 23))) << Refused("08P01", severity="FATAL") << Closes()


# -- refusals --------------------------------------------------------------------------------------------------

REFUSED = "SELECT soundex(email) FROM customer"


def test_in_an_idle_session_a_refusal_is_answered_at_once(play: Play) -> None:
    play >> Client(query(REFUSED)) << Refused("0A000", READY, position=8)
    assert play.audited == [("refuse", "0A000")]


def test_a_refusal_does_not_overtake_the_answers_before_it(play: Play) -> None:
    play >> Client(query("SELECT 1"), query(REFUSED)) << ToServer(query("SELECT 1"), MAKES_FAIL)
    answer = row(b"1") + complete("SELECT 1") + READY
    play >> Server(answer) << ToClient(answer)
    play >> Server(NO_FUNCTION, READY) << Refused("0A000", READY, position=8)
    assert not play.session.expect


def test_a_refusal_that_waited_for_the_scope_does_not_overtake_the_answers_before_it() -> None:
    play = Play(path=None)
    play >> Client(query("SELECT 1"), query(REFUSED)) << ToServer(query("SELECT 1"), ASKS_SCOPE)
    answer = row(b"1") + complete("SELECT 1") + READY
    play >> Server(answer, scope(), READY) << Refused("0A000", READY, position=8, before=answer)
    play.nothing_more()


def test_in_a_transaction_the_server_is_made_to_fail_and_the_error_is_ours(play: Play) -> None:
    begin = query("BEGIN")
    play >> Client(begin) << ToServer(begin)
    play >> Server(complete("BEGIN"), IN_TRANSACTION) << ToClient(complete("BEGIN"), IN_TRANSACTION)
    play >> Client(query(REFUSED)) << ToServer(MAKES_FAIL)
    play >> Server(NO_FUNCTION, IN_FAILED) << Refused("0A000", IN_FAILED, position=8)
    play >> Client(query(REFUSED)) << ToServer(MAKES_FAIL)
    aborted = error(
        "25P02", "current transaction is aborted, commands ignored until end of transaction block"
    )
    play >> Server(aborted, IN_FAILED) << ToClient(aborted, IN_FAILED)


def test_the_statements_before_a_refused_one_in_the_same_query_do_not_run(play: Play) -> None:
    play >> Client(query("DELETE FROM artist; " + REFUSED))
    play << Refused("0A000", READY, position=8 + len("DELETE FROM artist; "))


def test_a_refusal_behind_an_open_batch_lets_the_server_fail(play: Play) -> None:
    """An extended batch without Sync has an open implicit transaction that the refusal must roll back."""
    begun = parse("", "SELECT 1") + b"H\0\0\0\4"
    play >> Client(begun) << ToServer(begun)
    play >> Server(b"1\0\0\0\4") << ToClient(b"1\0\0\0\4")
    play >> Client(query(REFUSED)) << ToServer(MAKES_FAIL)
    play >> Server(NO_FUNCTION, READY) << Refused("0A000", READY, position=8)


@pytest.mark.parametrize("text", ["SET search_path = archive; SELECT email FROM customer"])
def test_settings_and_protected_columns_do_not_go_in_one_text(play: Play, text: str) -> None:
    play >> Client(query(text)) << Refused("0A000", READY, position=28)


def test_another_client_encoding_is_refused(play: Play) -> None:
    told = status("client_encoding", "LATIN1")
    play >> Server(told) << ToClient(told)
    play >> Client(query(SELECT)) << Refused("0A000", READY)


# -- the catalog -----------------------------------------------------------------------------------------------


def test_an_unknown_table_makes_it_read_the_catalog_once(play: Play) -> None:
    text = query("SELECT email FROM customer, nosuch")
    play >> Client(text) << Starts(Refresh)
    play >> Worked() << Refused("42P01", READY, position=29)
    play >> Client(text) << Starts(Refresh)
    play >> Worked() << Refused("42P01", READY, position=29)


def test_a_table_made_since_is_found(play: Play) -> None:
    text = query("SELECT email FROM customer, album")
    play >> Client(text) << Starts(Refresh)
    play.snapshots.current = Engine(shop(CUSTOMER, ARTIST, ALBUM))
    play >> Worked() << ToServer(text)


def test_after_ddl_the_catalog_is_read_before_the_next_protected_statement(play: Play) -> None:
    ddl = query("CREATE TABLE album (id int)")
    play >> Client(ddl, query(SELECT)) << ToServer(ddl)
    (
        play
        >> Server(complete("CREATE TABLE"), READY)
        << ToClient(complete("CREATE TABLE"), READY)
        << Starts(Refresh)
    )
    play >> Worked() << ToServer(ASKS_SCOPE)  # a schema in search_path may be new
    play >> Server(scope(), READY) << ToServer(query(SELECT))
    play >> Server(READY) << ToClient(READY)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))


def test_a_catalog_that_cannot_be_read_ends_the_session(play: Play) -> None:
    ddl = query("CREATE TABLE album (id int)")
    play >> Client(ddl) << ToServer(ddl)
    play >> Server(READY) << ToClient(READY)
    play >> Client(query(SELECT)) << Starts(Refresh)
    play >> Failed(OSError()) << Refused("XX000", severity="FATAL") << Closes()


# -- the end ---------------------------------------------------------------------------------------------------


def test_after_the_end_of_a_session_late_work_does_nothing(play: Play) -> None:
    play >> Client(query("INSERT INTO customer (email) VALUES ('ann@x.org')")) << Starts(Store)
    play.session.closed = True
    play >> Worked()


def test_after_the_end_of_a_session_a_late_value_is_not_shown(play: Play) -> None:
    revealed(play)
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(b"1", ANN)) << Starts(Lookup)
    play.session.closed = True
    play >> Worked()


def test_after_the_end_of_a_session_a_late_failure_says_nothing(play: Play) -> None:
    play >> Client(query(SELECT)) << ToServer(query(SELECT))
    play >> Server(row(b"1", ANN)) << Starts(Lookup)
    play.session.closed = True
    play >> Failed(VaultError("gone"))
