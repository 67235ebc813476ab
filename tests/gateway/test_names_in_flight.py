"""What names stand for: statements by protocol and by SQL, cursors, and the settings that a named statement may change."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    ASKS_SCOPE,
    ASKS_SCOPE_IN_BATCH,
    BOUND,
    CLOSED,
    FLUSH,
    MAKES_FAIL_IN_BATCH,
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
    close,
    complete,
    error,
    execute,
    parse,
    prepared,
    query,
    row,
    scope_in_batch,
    status,
)

from pgnym.gateway.effects import Lookup

FIND = "SELECT born FROM customer WHERE email = $1"
SELECT = "SELECT email FROM customer"
NEVER = error("26000", "no such statement")


# -- names -----------------------------------------------------------------------------------------------------


def test_a_closed_name_is_forgotten(play: Play) -> None:
    prepared(play, "s", SELECT)
    play >> Client(close("S", "s"), SYNC) << ToServer(close("S", "s"), SYNC)
    play >> Server(CLOSED, READY) << ToClient(CLOSED, READY)
    assert not play.session.prepared
    prepared(play, "s", "SELECT name FROM artist")
    assert not play.session.named


def test_closing_an_unknown_name_succeeds(play: Play) -> None:
    prepared(play, "s", SELECT)
    play >> Client(close("S", "t"), close("P", "s"), SYNC) << ToServer(close("S", "t"), close("P", "s"), SYNC)
    play >> Server(CLOSED, CLOSED, READY) << ToClient(CLOSED, CLOSED, READY)
    assert list(play.session.prepared) == [b"s"]


def test_an_error_does_not_undo_what_a_later_batch_does_to_a_name(play: Play) -> None:
    """Else values for the name's new statement would go up as they are."""
    first = parse("", "SELECT nope FROM artist") + parse("s", SELECT) + SYNC
    second = close("S", "s") + parse("s", FIND) + SYNC
    play >> Client(first, second) << ToServer(first, second)
    play >> Server(error("42703"), READY, CLOSED, PARSED, READY)
    play << ToClient(error("42703"), READY, CLOSED, PARSED, READY)
    play >> Client(bind("", "s", b"ann@x.org"), SYNC) << ToServer(bind("", "s", ANN, formats=(0,)), SYNC)


@pytest.mark.parametrize("made", [False, True], ids=["free after all", "taken"])
def test_what_a_name_stands_for_is_known_before_values_are_bound_to_it(play: Play, made: bool) -> None:
    """Two batches prepare the same name: the second does so only if the first has failed."""
    plain = "SELECT name FROM artist WHERE name = $1"
    first = parse("", "SELECT 1") + parse("s", FIND) + SYNC
    (
        play
        >> Client(first, parse("s", plain), SYNC, bind("", "s", b"ann@x.org"), SYNC)
        << ToServer(first, FLUSH)
    )
    play >> Server(*((PARSED, PARSED, READY) if made else (error("22012"), READY)))
    play << ToClient(*((PARSED, PARSED, READY) if made else (error("22012"), READY)))
    if not made:
        play << ToServer(parse("s", plain), SYNC, bind("", "s", b"ann@x.org"), SYNC)
        return
    play << ToServer(parse("s", plain), FLUSH)
    (
        play
        >> Server(error("42P05"))
        << ToClient(error("42P05"))
        << ToServer(SYNC, bind("", "s", ANN, formats=(0,)), SYNC)
    )


def test_the_unnamed_statement_stays_if_its_successor_is_discarded(play: Play) -> None:
    prepared(play, "", FIND)
    sent = bind("", "nosuch") + parse("", SELECT) + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(NEVER, READY) << ToClient(NEVER, READY)
    play >> Client(bind("", "", b"ann@x.org"), SYNC) << ToServer(bind("", "", ANN, formats=(0,)), SYNC)


def test_a_close_that_is_discarded_keeps_the_name(play: Play) -> None:
    prepared(play, "s", SELECT)
    sent = parse("", "SELECT nope FROM artist") + close("S", "s") + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(error("42703"), READY) << ToClient(error("42703"), READY)
    assert list(play.session.prepared) == [b"s"]


def test_a_name_closed_and_made_anew_in_one_flight(stocked: Play) -> None:
    prepared(stocked, "s", "SELECT born FROM customer")
    sent = close("S", "s") + parse("s", SELECT) + bind("", "s") + execute("") + SYNC
    stocked >> Client(sent) << ToServer(sent)
    stocked >> Server(CLOSED, PARSED, BOUND, row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(CLOSED, PARSED, BOUND, row(b"ann@x.org"))


def test_the_unnamed_statement_is_replaced_without_close(play: Play) -> None:
    prepared(play, "", SELECT)
    prepared(play, "", "SELECT name FROM artist")
    assert not play.session.named


def test_the_unnamed_statement_is_gone_even_if_its_successor_fails(play: Play) -> None:
    prepared(play, "", SELECT)
    play >> Client(parse("", "SELECT nope FROM artist"), SYNC)
    play << ToServer(parse("", "SELECT nope FROM artist"), SYNC)
    play >> Server(error("42703"), READY) << ToClient(error("42703"), READY)
    assert not play.session.named


# -- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s", ""])
def test_a_set_that_is_prepared_counts_when_it_is_executed(play: Play, name: str) -> None:
    change = "SET search_path = archive"
    prepared(play, name, change)
    play.session.path, play.session.path_touched = ("pg_catalog", "public"), False
    steps = bind("", name) + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    answer = BOUND + complete("SET") + READY
    play >> Server(answer) << ToClient(answer)
    play >> Client(query(SELECT)) << ToServer(ASKS_SCOPE)


def test_a_prepared_set_config_counts_when_it_is_executed_by_name(play: Play) -> None:
    make = query("PREPARE s(text) AS SELECT set_config('search_path', $1, false)")
    play >> Client(make) << ToServer(make)
    play >> Server(complete("PREPARE"), READY) << ToClient(complete("PREPARE"), READY)
    play.session.path = ("pg_catalog", "public")
    run = query("EXECUTE s('archive')")
    play >> Client(run, query(SELECT)) << ToServer(run, ASKS_SCOPE)


def test_a_set_executed_in_the_same_batch(play: Play) -> None:
    steps = parse("", "SET search_path = archive") + bind("", "") + execute("")
    play >> Client(steps, parse("", SELECT), SYNC) << ToServer(steps, ASKS_SCOPE_IN_BATCH)
    play >> Server(PARSED, BOUND, complete("SET"), scope_in_batch(b"{pg_catalog,archive,public}"))
    play << ToClient(PARSED, BOUND, complete("SET")) << ToServer(parse("", SELECT), SYNC)


def test_a_statement_prepared_under_utf8_is_not_bound_under_another_encoding(play: Play) -> None:
    prepared(play, "s", FIND)
    told = status("client_encoding", "LATIN1")
    play >> Server(told) << ToClient(told)
    play >> Client(bind("", "s", b"ann@x.org"), execute(""), SYNC) << ToServer(MAKES_FAIL_IN_BATCH, SYNC)
    play >> Server(NO_FUNCTION, READY) << Refused("0A000", READY)


# -- PREPARE, EXECUTE, DEALLOCATE, DISCARD ---------------------------------------------------------------------


def said(play: Play, text: str, tag: str) -> None:
    """A Query that goes up as it is and succeeds."""
    play >> Client(query(text)) << ToServer(query(text))
    play >> Server(complete(tag), READY) << ToClient(complete(tag), READY)


def test_an_sql_level_statement_reveals(stocked: Play) -> None:
    said(stocked, "PREPARE s AS SELECT email FROM customer", "PREPARE")
    stocked >> Client(query("EXECUTE s")) << ToServer(query("EXECUTE s"))
    stocked >> Server(row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(row(b"ann@x.org"))


def test_execute_pipelined_behind_its_prepare_waits_for_it(stocked: Play) -> None:
    make = query("PREPARE s AS SELECT email FROM customer")
    stocked >> Client(make, query("EXECUTE s")) << ToServer(make)
    stocked >> Server(complete("PREPARE"), READY)
    stocked << ToClient(complete("PREPARE"), READY) << ToServer(query("EXECUTE s"))
    stocked >> Server(row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(row(b"ann@x.org"))


def test_execute_behind_its_prepare_in_one_batch_waits_for_it(stocked: Play) -> None:
    make = parse("", "PREPARE s AS SELECT email FROM customer") + bind("", "") + execute("")
    run = parse("", "EXECUTE s") + bind("", "") + execute("") + SYNC
    stocked >> Client(make, run) << ToServer(make, FLUSH)
    stocked >> Server(PARSED, BOUND, complete("PREPARE"))
    stocked << ToClient(PARSED, BOUND, complete("PREPARE")) << ToServer(run)
    stocked >> Server(PARSED, BOUND, row(ANN)) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(PARSED, BOUND, row(b"ann@x.org"))


def test_a_prepare_that_fails_names_nothing(play: Play) -> None:
    make = query("PREPARE s AS SELECT email FROM customer")
    play >> Client(make) << ToServer(make)
    play >> Server(error("42P05"), READY) << ToClient(error("42P05"), READY)
    assert not play.session.named
    assert not play.session.naming


@pytest.mark.parametrize("text", ["DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"])
def test_names_go(play: Play, text: str) -> None:
    said(play, "PREPARE s AS SELECT email FROM customer", "PREPARE")
    assert play.session.named
    said(play, text, text)
    assert not play.session.named
    assert not play.session.naming


def test_protocol_and_sql_names_are_one_namespace(stocked: Play) -> None:
    prepared(stocked, "s", SELECT)
    stocked >> Client(query("EXECUTE s")) << ToServer(query("EXECUTE s"))
    stocked >> Server(row(ANN), complete("SELECT 1"), READY) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(row(b"ann@x.org"), complete("SELECT 1"), READY)
    said(stocked, "DEALLOCATE s", "DEALLOCATE")
    assert not stocked.session.named


def test_deallocate_by_extended_query(play: Play) -> None:
    prepared(play, "s", SELECT)
    steps = parse("", "DEALLOCATE s") + bind("", "") + execute("") + SYNC
    play >> Client(steps) << ToServer(steps)
    answer = PARSED + BOUND + complete("DEALLOCATE") + READY
    play >> Server(answer) << ToClient(answer)
    assert b"s" not in play.session.prepared
    assert not play.session.naming


def test_a_cursor_is_fetched_from_and_closed(stocked: Play) -> None:
    stocked.session.status = ord("T")
    said(stocked, "DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customer", "DECLARE CURSOR")
    stocked >> Client(query("FETCH c")) << ToServer(query("FETCH c"))
    stocked >> Server(row(ANN), complete("FETCH 1"), READY) << Starts(Lookup, {ANN})
    stocked >> Worked() << ToClient(row(b"ann@x.org"), complete("FETCH 1"), READY)
    said(stocked, "CLOSE c", "CLOSE CURSOR")
    assert not stocked.session.cursors


def test_a_name_is_in_doubt_until_the_server_has_answered_its_parse(play: Play) -> None:
    """It was taken by a statement that concerns nobody: what a later batch means by it must not go by the failed one."""
    taken = parse("b", "SELECT name FROM artist") + SYNC
    play >> Client(taken) << ToServer(taken)
    play >> Server(PARSED, READY) << ToClient(PARSED, READY)
    find = "SELECT email FROM customer WHERE email = $1"
    play >> Client(parse("b", find), SYNC, bind("", "b", b"ann@x.org"), execute(""), SYNC)
    play << ToServer(parse("b", find), SYNC, FLUSH)
    play >> Server(error("42P05"), READY) << ToClient(error("42P05"), READY)
    play << ToServer(bind("", "b", b"ann@x.org"), execute(""), SYNC)
