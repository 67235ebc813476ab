"""What does not concern the gateway passes as the bytes it came in."""

from __future__ import annotations

import struct

import pytest
from playbook import (
    BOUND,
    COPY_DONE,
    FLUSH,
    PARSED,
    READY,
    SYNC,
    Client,
    Closes,
    Play,
    Refused,
    Server,
    ToClient,
    ToServer,
    bind,
    close,
    complete,
    copy_data,
    copying,
    describe,
    described,
    error,
    execute,
    notice,
    parse,
    query,
    row,
    status,
)

from pgnym.wire.messages import CopyFail

SELECT = query("SELECT name FROM artist")
ANSWER = described(("name", 25)) + row(b"Nina") + complete("SELECT 1") + READY
BATCH = (
    parse("", "SELECT name FROM artist WHERE id = $1") + bind("", "", b"1") + describe("P", "") + execute("")
)
BATCH_ANSWER = PARSED + BOUND + described(("name", 25)) + row(b"Nina") + complete("SELECT 1") + READY
FUNCTION_CALL = b"F" + struct.pack("!IIhhh", 4 + 4 + 6, 1598, 0, 0, 0)
FUNCTION_RESULT = b"V" + struct.pack("!Ii", 8, -1)


def test_a_chunk_goes_on_as_the_object_it_came_in(play: Play) -> None:
    chunk = SELECT + BATCH + SYNC
    play.client_flow.feed(chunk)
    assert play.stage.chunks == [chunk]
    assert play.stage.chunks[0] is chunk
    answer = ANSWER + BATCH_ANSWER
    play.server_flow.feed(answer)
    assert play.stage.chunks[1] is answer
    assert not play.session.expect
    assert not play.stage.works
    assert not play.stage.posted
    play.stage.happened.clear()


def test_no_plan_is_made(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(*_: object) -> None:
        pytest.fail("planned")

    monkeypatch.setattr(play.snapshots.current.planner, "plan", plan)
    play >> Client(SELECT, BATCH, SYNC) << ToServer(SELECT, BATCH, SYNC)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (SELECT, ANSWER),
        (BATCH + SYNC, BATCH_ANSWER),
        (BATCH + FLUSH + BATCH + SYNC, BATCH_ANSWER[: -len(READY)] + BATCH_ANSWER),
        (FUNCTION_CALL, FUNCTION_RESULT + READY),
    ],
    ids=["simple", "extended", "flush", "function call"],
)
def test_messages_may_be_split_at_every_byte(sent: bytes, answer: bytes) -> None:
    for size in (1, 2, 3, 7, 64):
        play = Play()
        for at in range(0, len(sent), size):
            play.client_flow.feed(sent[at : at + size])
        play << ToServer(sent)
        for at in range(0, len(answer), size):
            play.server_flow.feed(answer[at : at + size])
        play << ToClient(answer)
        assert not play.session.expect
        play.nothing_more()


def test_the_rest_of_a_large_bind_is_streamed(play: Play) -> None:
    large = bind("", "", bytes(1_000_000))
    parsed = parse("", "INSERT INTO artist (name) VALUES ($1)")
    play >> Client(parsed, large[:1000]) << ToServer(parsed, large[:1000])
    play >> Client(large[1000:500_000]) << ToServer(large[1000:500_000])
    play >> Client(large[500_000:], execute(""), SYNC) << ToServer(large[500_000:], execute(""), SYNC)
    play >> Server(PARSED, BOUND, complete("INSERT 0 1"), READY)
    play << ToClient(PARSED, BOUND, complete("INSERT 0 1"), READY)
    assert not play.session.expect


def test_a_large_row_is_streamed(play: Play) -> None:
    large = row(bytes(1_000_000))
    play >> Client(SELECT) << ToServer(SELECT)
    for at in range(0, len(large), 100_000):
        play >> Server(large[at : at + 100_000]) << ToClient(large[at : at + 100_000])
    play >> Server(complete("SELECT 1"), READY) << ToClient(complete("SELECT 1"), READY)
    assert not play.session.expect


def test_many_rows_are_forwarded_at_once_and_none_is_kept(play: Play) -> None:
    play >> Client(SELECT) << ToServer(SELECT)
    rows = row(b"Nina") * 10_000
    play >> Server(rows) << ToClient(rows)
    assert play.stage.chunks[-1] is not None
    assert len(play.stage.chunks) == 2


def test_copy_in_passes_as_it_is(play: Play) -> None:
    copy = query("COPY artist FROM STDIN")
    play >> Client(copy) << ToServer(copy)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2))
    data = copy_data(b"1\tNi") + copy_data(b"na\n")
    play >> Client(data, COPY_DONE) << ToServer(data, COPY_DONE)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


def test_copy_data_may_follow_the_statement_at_once(play: Play) -> None:
    sent = query("COPY artist FROM STDIN") + copy_data(b"1\tNina\n") + COPY_DONE
    play >> Client(sent) << ToServer(sent)
    play >> Server(copying("in", 2), complete("COPY 1"), READY)
    play << ToClient(copying("in", 2), complete("COPY 1"), READY)
    play >> Client(SYNC) << ToServer(SYNC)
    assert len(play.session.expect) == 1


@pytest.mark.parametrize("failed", [False, True], ids=["copied", "failed"])
@pytest.mark.parametrize("begun", ["query", "batch", "batch with sync"])
def test_all_of_a_copy_may_be_sent_without_waiting(play: Play, begun: str, failed: bool) -> None:
    """Which Syncs are answered depends on whether the server was copying when it read them."""
    start = query("COPY artist FROM STDIN") if begun == "query" else copy_in_batch(synced=begun != "batch")
    data = copy_data(b"1\tNina\n") + COPY_DONE
    play >> Client(start, data, SYNC, SELECT) << ToServer(start, data, SYNC, SELECT)
    before = b"" if begun == "query" else PARSED + BOUND
    if failed:
        answer = before + error("42501") + (READY if begun != "batch" else b"") + READY
    else:
        answer = before + copying("in", 2) + complete("COPY 1") + (READY if begun == "query" else b"") + READY
    play >> Server(answer) << ToClient(answer)
    assert len(play.session.expect) == 1
    play >> Server(ANSWER) << ToClient(ANSWER)
    assert not play.session.expect


def test_a_large_piece_of_copy_data_is_streamed(play: Play) -> None:
    copy, large = query("COPY artist FROM STDIN"), copy_data(bytes(500_000))
    play >> Client(copy) << ToServer(copy)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2))
    play >> Client(large[:77]) << ToServer(large[:77])
    play >> Client(large[77:]) << ToServer(large[77:])


def test_copy_out_passes_as_it_is(play: Play) -> None:
    copy = query("COPY artist TO STDOUT")
    play >> Client(copy) << ToServer(copy)
    answer = copying("out", 2) + copy_data(b"1\tNina\n") + COPY_DONE + complete("COPY 1") + READY
    play >> Server(answer) << ToClient(answer)


def copy_in_batch(*, synced: bool) -> bytes:
    sent = parse("", "COPY artist FROM STDIN") + bind("", "") + execute("")
    return sent + SYNC if synced else sent


@pytest.mark.parametrize("split", [False, True], ids=["at once", "split before Sync"])
def test_a_sync_sent_before_copy_in_began_is_not_answered(play: Play, split: bool) -> None:
    """libpq sends Parse, Bind, Execute and Sync in one go; the server reads that Sync while it copies, and ignores it."""
    if split:
        play >> Client(copy_in_batch(synced=False)) << ToServer(copy_in_batch(synced=False))
        play >> Client(SYNC) << ToServer(SYNC)
    else:
        play >> Client(copy_in_batch(synced=True)) << ToServer(copy_in_batch(synced=True))
    play >> Server(PARSED, BOUND, copying("in", 2)) << ToClient(PARSED, BOUND, copying("in", 2))
    sent = copy_data(b"1\tNina\n") + COPY_DONE + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


def test_a_sync_during_copy_in_is_not_answered(play: Play) -> None:
    copy = query("COPY artist FROM STDIN")
    play >> Client(copy) << ToServer(copy)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2))
    sent = copy_data(b"1\tNina\n") + SYNC + FLUSH + copy_data(b"2\tBob\n") + COPY_DONE
    play >> Client(sent) << ToServer(sent)
    play >> Server(complete("COPY 2"), READY) << ToClient(complete("COPY 2"), READY)
    assert not play.session.expect


def test_a_sync_behind_a_copy_statement_is_not_answered(play: Play) -> None:
    sent = query("COPY artist FROM STDIN") + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2))
    play >> Client(COPY_DONE) << ToServer(COPY_DONE)
    play >> Server(complete("COPY 0"), READY) << ToClient(complete("COPY 0"), READY)
    assert not play.session.expect


def test_a_client_may_give_up_a_copy(play: Play) -> None:
    copy, fail = query("COPY artist FROM STDIN"), CopyFail(b"changed my mind").build()
    play >> Client(copy) << ToServer(copy)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2))
    play >> Client(fail) << ToServer(fail)
    play >> Server(error("57014"), READY) << ToClient(error("57014"), READY)
    play >> Client(SYNC) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)
    assert not play.session.expect


def test_several_syncs_are_answered_one_by_one(play: Play) -> None:
    play >> Client(SYNC, SYNC, BATCH, SYNC, SYNC) << ToServer(SYNC, SYNC, BATCH, SYNC, SYNC)
    answer = READY + READY + BATCH_ANSWER + READY
    play >> Server(answer) << ToClient(answer)
    assert not play.session.expect


def test_a_function_call_passes(play: Play) -> None:
    play >> Client(FUNCTION_CALL, SELECT) << ToServer(FUNCTION_CALL, SELECT)
    play >> Server(FUNCTION_RESULT, READY, ANSWER) << ToClient(FUNCTION_RESULT, READY, ANSWER)
    assert not play.session.expect


def test_a_function_call_in_a_batch_answers_for_what_came_before_it(play: Play) -> None:
    begun = parse("a", "SELECT 1")
    play >> Client(begun, FUNCTION_CALL, BATCH) << ToServer(begun, FUNCTION_CALL, BATCH)
    answer = PARSED + FUNCTION_RESULT + READY
    play >> Server(answer) << ToClient(answer)
    play >> Client(SYNC) << ToServer(SYNC)
    play >> Server(BATCH_ANSWER) << ToClient(BATCH_ANSWER)
    assert not play.session.expect


def test_flush_in_the_middle_of_a_batch(play: Play) -> None:
    play >> Client(BATCH, FLUSH) << ToServer(BATCH, FLUSH)
    play >> Server(BATCH_ANSWER[: -len(READY)]) << ToClient(BATCH_ANSWER[: -len(READY)])
    play >> Client(BATCH, FLUSH, SYNC) << ToServer(BATCH, FLUSH, SYNC)
    play >> Server(BATCH_ANSWER) << ToClient(BATCH_ANSWER)
    assert not play.session.expect


def test_a_query_behind_a_failed_parse_is_discarded_with_it(play: Play) -> None:
    """The server drops everything until Sync, a Query too: one ReadyForQuery answers all."""
    sent = parse("", "SELECT nope") + SELECT + SYNC
    play >> Client(sent) << ToServer(sent)
    play >> Server(error("42703"), READY) << ToClient(error("42703"), READY)
    assert not play.session.expect


def test_after_an_error_is_seen_nothing_is_sent_until_sync(play: Play) -> None:
    begun = parse("", "SELECT nope") + FLUSH
    play >> Client(begun) << ToServer(begun)
    play >> Server(error("42703")) << ToClient(error("42703"))
    play >> Client(bind("", ""), execute(""), SELECT, FUNCTION_CALL)
    play >> Client(SYNC) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)
    assert not play.session.expect


def test_messages_that_come_at_any_time(play: Play) -> None:
    told = notice("hello") + status("application_name", "x") + b"A" + struct.pack("!Ii", 12, 7) + b"a\0b\0"
    play >> Server(told) << ToClient(told)
    play >> Client(SELECT) << ToServer(SELECT)
    answer = described(("name", 25)) + told + row(b"Nina") + told + complete("SELECT 1") + told + READY
    play >> Server(answer) << ToClient(answer)
    assert play.session.parameters["application_name"] == "x"
    assert not play.session.expect


def test_close_passes(play: Play) -> None:
    sent = close("S", "never") + close("P", "") + SYNC
    play >> Client(sent) << ToServer(sent)


@pytest.mark.parametrize(
    "junk", [b"?" + struct.pack("!I", 4), b"Q" + struct.pack("!I", 3), b"S" + struct.pack("!I", 1 << 30)]
)
def test_a_header_that_cannot_be_ends_the_session(play: Play, junk: bytes) -> None:
    play >> Client(SELECT, junk) << ToServer(SELECT) << Refused("08P01", severity="FATAL") << Closes()


@pytest.mark.parametrize("kind", [b"P", b"B", b"D", b"E", b"C"])
def test_a_message_without_the_end_of_its_name_is_an_error_not_a_defect(play: Play, kind: bytes) -> None:
    """What is wrong with it is said by an ErrorResponse; the batch is discarded until Sync."""
    broken = kind + struct.pack("!I", 8) + b"Sabc"
    play.client_flow.feed(broken + SYNC)
    assert play.stage.happened.popleft()[0] == "to server"
    play.nothing_more()
    play >> Server(error("08P01"), READY)
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert data.endswith(READY)
    assert not play.session.expect


def test_an_error_that_ends_the_connection_is_passed_on(play: Play) -> None:
    fatal = error("57P01", "terminating connection", severity="FATAL")
    play >> Client(SELECT) << ToServer(SELECT)
    play >> Server(fatal) << ToClient(fatal)
