"""COPY of protected columns: a stream is taken apart wherever it is cut, and nothing of it goes up in the clear."""

from __future__ import annotations

import struct

import pytest
from playbook import (
    ANN,
    BOB,
    BOUND,
    COPY_DONE,
    FLUSH,
    MAKES_FAIL,
    MAY,
    NO_FUNCTION,
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
    copy_data,
    copying,
    error,
    execute,
    kinds,
    notice,
    parse,
    query,
    token,
)
from shop_catalog import EMAIL

from pgnym.gateway.effects import Cancel, Lookup, Store
from pgnym.vault.errors import VaultError
from pgnym.wire.messages import CopyFail

FROM = "COPY customer (id, email) FROM STDIN"
TO = "COPY customer (id, email) TO STDOUT"
CANARY = b"secret@x.org"
SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
REFUSES = CopyFail(b"refused by the gateway").build()
COPY_FAILED = error("57014", "COPY from stdin failed: refused by the gateway")


def begun(play: Play, text: str = FROM, columns: int = 2, format: int = 0) -> Play:
    """The statement has been sent, the server wants the data."""
    play >> Client(query(text)) << ToServer(query(text))
    return play >> Server(copying("in", columns, format)) << ToClient(copying("in", columns, format))


def binary_row(*values: bytes | None) -> bytes:
    """A row of the binary format."""
    fields = [struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values]
    return struct.pack("!h", len(values)) + b"".join(fields)


def unsaid(play: Play, secret: bytes) -> None:
    """What went upstream does not hold ``secret``."""
    sent = b"".join(bytes(chunk) for chunk in play.stage.chunks)
    assert secret not in sent


# -- FROM ------------------------------------------------------------------------------------------------------


def test_data_waits_for_the_servers_word(play: Play) -> None:
    play >> Client(query(FROM), copy_data(b"1\tann@x.org\n"), COPY_DONE) << ToServer(query(FROM))
    assert play.stage.client_held
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2)) << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked() << ToServer(copy_data(b"1\t" + ANN + b"\n"), COPY_DONE)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


@pytest.mark.parametrize(
    ("options", "stream", "sent"),
    [
        ("", b"1\tann@x.org\n2\t\\N\n", b"1\t" + ANN + b"\n2\t\\N\n"),
        (" (FORMAT csv)", b'1,"ann@x.org"\n2,\n', b'1,"' + ANN + b'"\n2,\n'),
        (" (FORMAT csv, HEADER)", b"id,email\n1,ann@x.org\n", b"id,email\n1," + ANN + b"\n"),
        (
            " (FORMAT binary)",
            SIGNATURE + binary_row(b"\0\0\0\1", b"ann@x.org") + b"\xff\xff",
            SIGNATURE + binary_row(b"\0\0\0\1", ANN) + b"\xff\xff",
        ),
    ],
    ids=["text", "csv", "header", "binary"],
)
@pytest.mark.parametrize("size", [1, 5, 1000], ids=str)
def test_pieces_need_not_align_with_rows(
    play: Play, options: str, stream: bytes, sent: bytes, size: int
) -> None:
    begun(play, FROM + options, format=int("binary" in options))
    out = bytearray()
    for at in range(0, len(stream), size):
        play >> Client(copy_data(stream[at : at + size]))
        gather(play, out)
    play >> Client(COPY_DONE)
    gather(play, out)
    assert out == sent
    assert play.vault.stored == {ANN: b"ann@x.org"}


def gather(play: Play, out: bytearray) -> None:
    """The data of all CopyData that went up, with the puts before it done."""
    while play.stage.works:
        happened = play.stage.happened.popleft()
        assert happened[0] == "starts"
        play._finish(None)
    for what, data in play.stage.happened:
        assert what == "to server"
        assert isinstance(data, bytes)
        pos = 0
        while pos < len(data):
            end = pos + 1 + int.from_bytes(data[pos + 1 : pos + 5], "big")
            out += data[pos + 5 : end]
            pos = end
    play.stage.happened.clear()


def test_a_message_split_at_every_byte(play: Play) -> None:
    begun(play)
    sent = copy_data(b"1\tann@x.org\n")
    for at in range(len(sent) - 1):
        play >> Client(sent[at : at + 1])
    play >> Client(sent[-1:]) << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked() << ToServer(copy_data(b"1\t" + ANN + b"\n"))


def test_a_typed_column_in_binary(play: Play) -> None:
    begun(play, "COPY customer (born) FROM STDIN (FORMAT binary)", 1, 1)
    row = binary_row(struct.pack("!i", 489))
    play >> Client(copy_data(SIGNATURE + row)) << Starts(Store, {MAY: b"2001-05-04"})
    play >> Worked() << ToServer(copy_data(SIGNATURE + binary_row(MAY)))


def test_a_value_that_is_none_of_its_type_ends_the_copy(play: Play) -> None:
    begun(play, "COPY customer (born) FROM STDIN", 1)
    play >> Client(copy_data(b"2001-13-45\n")) << ToServer(REFUSES)
    play >> Server(COPY_FAILED, READY) << Refused("22008", READY)
    assert play.audited == [("refuse", "22008")]
    assert not play.session.expect


def test_a_put_that_fails_ends_the_copy(play: Play) -> None:
    begun(play)
    play >> Client(copy_data(b"1\tann@x.org\n")) << Starts(Store)
    play >> Failed(VaultError("the vault can't be reached")) << ToServer(REFUSES)
    play >> Server(COPY_FAILED, READY) << Refused("58000", READY)
    unsaid(play, b"ann@x.org")


def test_what_still_comes_for_a_refused_copy_is_dropped(play: Play) -> None:
    begun(play)
    play >> Client(copy_data(b"1\tann@x.org\n")) << Starts(Store)
    play >> Client(copy_data(b"2\t" + CANARY + b"\n") * 3, copy_data(bytes(100_000) + CANARY)[:70_000])
    play >> Failed(VaultError("the vault can't be reached")) << ToServer(REFUSES)
    play >> Client(copy_data(bytes(100_000) + CANARY)[70_000:], COPY_DONE)
    play >> Server(COPY_FAILED, READY) << Refused("58000", READY)
    play >> Client(copy_data(b"3\t" + CANARY + b"\n"), COPY_DONE)
    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))
    unsaid(play, CANARY)


@pytest.mark.parametrize("seen", [False, True], ids=["before ReadyForQuery", "after it"])
def test_what_still_comes_when_the_server_has_failed_is_dropped(play: Play, seen: bool) -> None:
    begun(play)
    failed = error("23505", "duplicate key")
    if seen:
        play >> Server(failed, READY) << ToClient(failed, READY)
    else:
        play >> Server(failed) << ToClient(failed)
    play >> Client(copy_data(b"2\t" + CANARY + b"\n"), copy_data(bytes(9000) + CANARY)[:8000])
    if not seen:
        play >> Server(READY) << ToClient(READY)
    play >> Client(copy_data(bytes(9000) + CANARY)[8000:], COPY_DONE, query("SELECT 1"))
    play << ToServer(query("SELECT 1"))
    unsaid(play, CANARY)


def test_data_behind_a_statement_that_the_server_refuses_is_dropped(play: Play) -> None:
    play >> Client(query(FROM), copy_data(b"2\t" + CANARY + b"\n"), COPY_DONE) << ToServer(query(FROM))
    play >> Server(error("42501"), READY) << ToClient(error("42501"), READY)
    play >> Client(copy_data(b"2\t" + CANARY + b"\n"))
    unsaid(play, CANARY)


def test_data_behind_a_statement_that_we_refuse_is_dropped(play: Play) -> None:
    text = query("COPY customer (id, email) FROM STDIN WHERE lower(email) = 'x'")
    play >> Client(text, copy_data(b"2\t" + CANARY + b"\n"), COPY_DONE)
    what, data = play.stage.happened.popleft()
    assert what == "to client"
    assert isinstance(data, bytes)
    assert kinds(data) == "EZ"
    unsaid(play, CANARY)


def test_who_may_not_write_is_refused_before_the_copy_begins() -> None:
    play = Play("support")
    play >> Client(query(FROM), copy_data(b"2\t" + CANARY + b"\n"), COPY_DONE) << Refused("42501", READY)
    unsaid(play, CANARY)
    play.session.status = ord("T")
    play >> Client(query(FROM)) << ToServer(MAKES_FAIL)
    play >> Server(NO_FUNCTION, READY) << Refused("42501", READY)
    play.nothing_more()


def test_a_client_may_give_up(play: Play) -> None:
    begun(play)
    fail = CopyFail(b"changed my mind").build()
    play >> Client(copy_data(b"1\tann"), fail) << ToServer(fail)
    play >> Server(error("57014"), READY) << ToClient(error("57014"), READY)
    play >> Client(copy_data(CANARY))
    unsaid(play, CANARY)


def test_notices_may_come_between(play: Play) -> None:
    begun(play)
    play >> Server(notice("psst")) << ToClient(notice("psst"))
    play >> Client(copy_data(b"1\t\\N\n")) << ToServer(copy_data(b"1\t\\N\n"))


def test_sync_and_flush_during_the_copy_are_ignored(play: Play) -> None:
    begun(play)
    play >> Client(SYNC, FLUSH, copy_data(b"1\t\\N\n"), SYNC, COPY_DONE)
    play << ToServer(copy_data(b"1\t\\N\n"), COPY_DONE)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


def test_copy_by_extended_query(play: Play) -> None:
    steps = parse("", FROM) + bind("", "") + execute("")
    play >> Client(steps, SYNC) << ToServer(steps)
    play >> Server(PARSED, BOUND, copying("in", 2)) << ToClient(PARSED, BOUND, copying("in", 2))
    play >> Client(copy_data(b"1\tann@x.org\n"), COPY_DONE, SYNC) << Starts(Store)
    play >> Worked() << ToServer(copy_data(b"1\t" + ANN + b"\n"), COPY_DONE, SYNC)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


def test_a_failed_copy_by_extended_query_waits_for_sync(play: Play) -> None:
    steps = parse("", FROM) + bind("", "") + execute("")
    play >> Client(steps) << ToServer(steps)
    play >> Server(PARSED, BOUND, copying("in", 2)) << ToClient(PARSED, BOUND, copying("in", 2))
    play >> Client(copy_data(b"1\tann@x.org\n")) << Starts(Store)
    play >> Failed(VaultError("the vault can't be reached")) << ToServer(REFUSES)
    play >> Server(COPY_FAILED) << Refused("58000")
    play >> Client(copy_data(CANARY), COPY_DONE, SYNC) << ToServer(SYNC)
    play >> Server(READY) << ToClient(READY)
    assert not play.session.expect
    unsaid(play, CANARY)


def test_copies_of_several_tables_in_one_query(play: Play) -> None:
    """Each has its own stream, and each is answered by CopyInResponse before its data may pass."""
    text = query(f"COPY artist FROM STDIN; {FROM}; COPY artist FROM STDIN")
    plain, ours = copy_data(b"1\tNina\n"), copy_data(b"1\tann@x.org\n")
    play >> Client(text, plain, COPY_DONE, ours, COPY_DONE, plain, COPY_DONE) << ToServer(text)
    play >> Server(copying("in", 2)) << ToClient(copying("in", 2)) << ToServer(plain, COPY_DONE)
    play >> Server(complete("COPY 1"), copying("in", 2)) << ToClient(complete("COPY 1"), copying("in", 2))
    play << Starts(Store, {ANN: b"ann@x.org"})
    play >> Worked() << ToServer(copy_data(b"1\t" + ANN + b"\n"), COPY_DONE)
    play >> Server(complete("COPY 1"), copying("in", 2)) << ToClient(complete("COPY 1"), copying("in", 2))
    play << ToServer(plain, COPY_DONE)
    play >> Server(complete("COPY 1"), READY) << ToClient(complete("COPY 1"), READY)
    assert not play.session.expect


# -- TO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sent", "shown"),
    [
        ("", b"1\t%s\n", b"1\t%s\n"),
        (" (FORMAT csv)", b"1,%s\n", b"1,%s\n"),
    ],
    ids=["text", "csv"],
)
def test_copy_out_is_shown_message_for_message(play: Play, options: str, sent: bytes, shown: bytes) -> None:
    play.stores((ANN, b"ann@x.org"), (BOB, b"bob@x.org"))
    text = query(TO + options)
    play >> Client(text) << ToServer(text)
    (
        play
        >> Server(copying("out", 2), copy_data(sent % ANN), copy_data(sent % BOB))
        << Starts(Lookup, {ANN, BOB})
    )
    play >> Worked()
    play << ToClient(copying("out", 2), copy_data(shown % b"ann@x.org"), copy_data(shown % b"bob@x.org"))
    play >> Server(COPY_DONE, complete("COPY 2"), READY) << ToClient(COPY_DONE, complete("COPY 2"), READY)
    assert not play.session.expect


def test_a_shown_value_is_escaped_as_the_format_wants(play: Play) -> None:
    odd = token(EMAIL.prefix, b"odd")
    play.stores((odd, b'a\t"b"\\,\n'))
    for options, sent, shown in (
        ("", b"1\t" + odd + b"\n", b'1\ta\\t"b"\\\\,\\n\n'),
        (" (FORMAT csv)", b"1," + odd + b"\n", b'1,"a\t""b""\\,\n"\n'),
    ):
        text = query(TO + options)
        play >> Client(text) << ToServer(text)
        play >> Server(copy_data(sent)) << Starts(Lookup)
        play >> Worked() << ToClient(copy_data(shown))
        play >> Server(COPY_DONE, complete("COPY 1"), READY) << ToClient(COPY_DONE, complete("COPY 1"), READY)


def test_copy_out_in_binary(play: Play) -> None:
    play.stores((MAY, b"2001-05-04"))
    text = query("COPY customer (id, born) TO STDOUT (FORMAT binary)")
    play >> Client(text) << ToServer(text)
    one = b"\0\0\0\1"
    play >> Server(copying("out", 2, 1), copy_data(SIGNATURE + binary_row(one, MAY)), copy_data(b"\xff\xff"))
    play << Starts(Lookup, {MAY})
    play >> Worked()
    days = struct.pack("!i", 489)
    play << ToClient(
        copying("out", 2, 1), copy_data(SIGNATURE + binary_row(one, days)), copy_data(b"\xff\xff")
    )


def test_copy_out_of_a_query(play: Play) -> None:
    play.stores((ANN, b"ann@x.org"))
    text = query("COPY (SELECT email FROM customer WHERE email = 'ann@x.org') TO STDOUT")
    (
        play
        >> Client(text)
        << ToServer(query(b"COPY (SELECT email FROM customer WHERE email = '" + ANN + b"') TO STDOUT"))
    )
    play >> Server(copy_data(ANN + b"\n")) << Starts(Lookup, {ANN})
    play >> Worked() << ToClient(copy_data(b"ann@x.org\n"))


def test_a_failed_look_up_cuts_a_copy_off(play: Play) -> None:
    play >> Client(query(TO)) << ToServer(query(TO))
    play >> Server(copying("out", 2), copy_data(b"1\t" + ANN + b"\n")) << Starts(Lookup)
    play >> Failed(VaultError("gone")) << Starts(Cancel) << Refused("58000", before=copying("out", 2))
    play >> Worked()
    play >> Server(copy_data(b"2\t" + ANN + b"\n"), error("57014"), READY) << ToClient(READY)
    assert not play.session.expect
