"""A name that is freed and given to another statement, in a batch that may not get that far: no value goes astray by it."""

from __future__ import annotations

import pytest
from playbook import (
    ANN,
    BOUND,
    CLOSED,
    FLUSH,
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
    close,
    describe,
    error,
    execute,
    parse,
    prepared,
    query,
    row,
)
from test_any_order import CANARY, Wire

from pgnym.gateway.effects import Cancel, Lookup
from pgnym.vault.errors import VaultError

SELECT = "SELECT email FROM customer"
FIND = "SELECT born FROM customer WHERE email = $1"
PLAIN = "SELECT name FROM artist WHERE name = $1"
GONE = error("26000")
UNREACHABLE = VaultError("the vault can't be reached")


@pytest.fixture
def cut(play: Play) -> Play:
    """A session whose statement "s" is protected, and whose last batch was cut off before it made "s" another."""
    prepared(play, "s", FIND)
    steps = parse("", SELECT) + bind("", "") + execute("") + close("S", "s") + parse("s", PLAIN) + SYNC
    play >> Client(steps) << ToServer(steps)
    play >> Server(PARSED, BOUND, row(ANN)) << Starts(Lookup)
    play >> Failed(UNREACHABLE) << Starts(Cancel) << Refused("58000", before=PARSED + BOUND)
    play >> Worked()
    play >> Server(error("57014"), READY) << ToClient(READY)
    return play


def test_a_bind_after_a_batch_that_was_cut_off_finds_no_statement(cut: Play) -> None:
    steps = bind("", "s", b"ann@x.org") + execute("") + SYNC
    cut >> Client(steps) << ToServer(close("S", "s") + steps)
    cut >> Server(CLOSED, GONE, READY) << ToClient(GONE, READY)
    cut >> Client(steps) << ToServer(steps)  # it isn't there for good, so nothing is told by the value


def test_a_parse_after_a_batch_that_was_cut_off_finds_the_name_free(cut: Play) -> None:
    cut >> Client(parse("s", FIND), SYNC) << ToServer(close("S", "s"), parse("s", FIND), SYNC)
    cut >> Server(CLOSED, PARSED, READY) << ToClient(PARSED, READY)
    cut >> Client(bind("", "s", b"ann@x.org"), SYNC) << ToServer(bind("", "s", ANN, formats=(0,)), SYNC)


def test_an_execute_in_sql_after_a_batch_that_was_cut_off_finds_no_statement(cut: Play) -> None:
    text = query("EXECUTE s ('ann@x.org')")
    cut >> Client(text) << ToServer(close("S", "s") + text)
    cut >> Server(CLOSED, GONE, READY) << ToClient(GONE, READY)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT email FROM customer; PREPARE q AS SELECT born FROM customer WHERE email = $1",
        "SELECT email FROM customer; DEALLOCATE s; PREPARE s AS SELECT name FROM artist WHERE name = $1",
    ],
)
def test_a_text_that_was_cut_off_may_have_prepared_statements(play: Play, text: str) -> None:
    prepared(play, "s", FIND)
    name = "q" if "PREPARE q" in text else "s"
    play >> Client(query(text)) << ToServer(query(text))
    play >> Server(row(ANN)) << Starts(Lookup)
    play >> Failed(UNREACHABLE) << Starts(Cancel) << Refused("58000")
    play >> Worked()
    play >> Server(error("57014"), READY) << ToClient(READY)
    calls = query(f"EXECUTE {name} ('ann@x.org')")
    play >> Client(calls) << ToServer(close("S", name) + calls)


def test_a_bind_waits_for_a_name_that_a_failing_batch_gives_away(play: Play) -> None:
    """Sent without waiting, it would have come to the old statement, which the server still has."""
    prepared(play, "s", FIND)
    steps = bind("", "nope") + close("S", "s") + parse("s", PLAIN) + SYNC
    later = bind("", "s", b"ann@x.org") + execute("") + SYNC
    play >> Client(steps, later) << ToServer(steps, FLUSH)
    (
        play
        >> Server(GONE, READY)
        << ToClient(GONE, READY)
        << ToServer(bind("", "s", ANN, formats=(0,)) + execute("") + SYNC)
    )
    assert play.session.prepared[b"s"].plan.outputs


def test_a_name_that_was_given_away_concerns_nobody(play: Play) -> None:
    prepared(play, "s", FIND)
    steps = close("S", "s") + parse("s", PLAIN) + describe("S", "s") + bind("", "s", b"Nina") + SYNC
    play >> Client(steps) << ToServer(steps)
    play >> Server(CLOSED, PARSED) << ToClient(CLOSED, PARSED)
    assert not play.session.prepared


def test_the_unnamed_statement_is_in_doubt_as_well(play: Play) -> None:
    prepared(play, "", FIND)
    steps = bind("", "nope") + parse("", PLAIN) + SYNC
    later = bind("", "", b"ann@x.org") + execute("") + SYNC
    play >> Client(steps, later) << ToServer(steps, FLUSH)
    play >> Server(GONE, READY) << ToClient(GONE, READY)
    play << ToServer(bind("", "", ANN, formats=(0,)) + execute("") + SYNC)


@pytest.mark.parametrize("seed", range(100))
def test_no_value_reaches_the_statement_that_was_there_before(seed: int) -> None:
    """Whichever moment a batch fails or is cut off at, and whatever was sent without waiting for it."""
    store, plain = "INSERT INTO letter (sender) VALUES ($1)", "SELECT name FROM artist WHERE name = $1"
    wire = Wire(seed, failures=0.5)
    wire.carry(parse("a", store) + SYNC)
    steps = parse("", SELECT if seed % 2 else "SELECT 1/0") + bind("", "") + execute("")
    steps += close("S", "a") + parse("a", plain) + SYNC
    steps += bind("", "a", CANARY) + execute("") + SYNC + query(f"EXECUTE a ('{CANARY.decode()}')")
    wire.carry(steps)
    wire.at_rest()
    assert CANARY not in wire.server.stored
    wire.carry(bind("", "a", CANARY) + execute("") + SYNC)
    wire.at_rest()
    assert CANARY not in wire.server.stored
