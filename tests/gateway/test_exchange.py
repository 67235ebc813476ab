"""A batch in one piece is answered as it is message by message: what the client hears, what is recorded, what is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playbook import (
    ANN,
    BOB,
    BOUND,
    IN_FAILED,
    IN_TRANSACTION,
    MAY,
    PARSED,
    READY,
    SYNC,
    Play,
    bind,
    complete,
    describe,
    described,
    error,
    execute,
    notice,
    parse,
    row,
    status,
)
from shop_catalog import INT4, TEXT, VARCHAR

from pgnym.audit.records import AuditRecord
from pgnym.gateway.effects import Cancel, Lookup
from pgnym.gateway.exchange import Exchange
from pgnym.vault.errors import VaultError

SELECT = "SELECT id, email, born, city FROM customer WHERE id = $1"
COLUMNS = described(("id", INT4), ("email", VARCHAR), ("born", TEXT), ("city", TEXT), typmod=44)
BATCH = bind("", "s", b"7") + describe("P", "") + execute("") + SYNC
SHORT = bind("", "s", b"7", results=(0,)) + execute("") + SYNC
FILLED = row(b"7", ANN, MAY, ANN)  # the last one is planted in a column that is not protected
DONE = complete("SELECT 1")

Step = tuple[str, bytes | Exception | None]


def client(data: bytes) -> Step:
    return "client", data


def server(*parts: bytes) -> Step:
    return "server", b"".join(parts)


WORKED: Step = ("worked", None)
FAILED: Step = ("worked", VaultError("the vault can't be reached"))

SCENARIOS: dict[str, list[Step]] = {
    "no rows": [client(BATCH), server(BOUND, COLUMNS, complete("SELECT 0"), READY)],
    "a row": [client(BATCH), server(BOUND, COLUMNS, FILLED, DONE, READY), WORKED],
    "a row in a transaction": [client(BATCH), server(BOUND, COLUMNS, FILLED, DONE, IN_TRANSACTION), WORKED],
    "without Describe": [client(SHORT), server(BOUND, FILLED, DONE, READY), WORKED],
    "many rows": [
        client(BATCH),
        server(BOUND, COLUMNS, FILLED, row(b"8", BOB, None, None), row(b"9", b"", MAY, b""), DONE, READY),
        WORKED,
    ],
    "nulls alone": [client(BATCH), server(BOUND, COLUMNS, row(b"7", None, None, None), DONE, READY)],
    "an error at Bind": [client(BATCH), server(error("22P02"), READY)],
    "an error at Execute": [client(BATCH), server(BOUND, COLUMNS, error("57014"), IN_FAILED)],
    "an error after a row": [client(BATCH), server(BOUND, COLUMNS, FILLED, error("57014"), READY), WORKED],
    "a notice": [client(BATCH), server(BOUND, notice("hello"), COLUMNS, FILLED, DONE, READY), WORKED],
    "a parameter": [
        client(BATCH),
        server(BOUND, COLUMNS, FILLED, DONE, status("TimeZone", "UTC"), READY),
        WORKED,
    ],
    "a failing vault": [client(BATCH), server(BOUND, COLUMNS, FILLED, DONE, READY), FAILED],
    "two in a row": [
        client(BATCH),
        server(BOUND, COLUMNS, FILLED, DONE, READY),
        WORKED,
        client(SHORT),
        server(BOUND, FILLED, DONE, READY),
        WORKED,
    ],
    "two in a pipeline": [
        client(BATCH),
        client(SHORT),
        server(BOUND, COLUMNS, FILLED, DONE, READY, BOUND, FILLED, DONE, READY),
        WORKED,
        WORKED,
    ],
    "the first of a pipeline fails": [
        client(BATCH),
        client(SHORT),
        server(error("22P02"), READY, BOUND, FILLED, DONE, READY),
        WORKED,
    ],
    "another statement behind it in a pipeline": [
        client(BATCH),
        client(parse("u", "SELECT note FROM customer") + bind("p", "u") + execute("p", 1) + SYNC),
        server(BOUND, COLUMNS, FILLED, DONE, READY),
        WORKED,
        server(PARSED, BOUND, error("57014"), READY),
    ],
    "the unnamed portal is described again": [
        client(BATCH),
        server(BOUND, COLUMNS, FILLED, DONE, IN_TRANSACTION),
        WORKED,
        client(describe("P", "") + SYNC),
        server(COLUMNS, IN_TRANSACTION),
    ],
}


def messages_of(data: bytes) -> Iterator[bytes]:
    while data:
        end = 1 + int.from_bytes(data[1:5], "big")
        yield data[:end]
        data = data[end:]


def perform(steps: list[Step], *, whole: bool, user: str = "app", cached: bool = False) -> dict[str, object]:
    """Play a scenario; what came of it."""
    play = Play(user)
    play.stores((ANN, b"ann@x.org"), (BOB, b"bob@x.org"), (MAY, b"2001-05-04"))
    if cached:
        play.vault.memory.update(play.vault.stored)
    heard, sent = bytearray(), bytearray()
    records: list[object] = []

    def named() -> None:
        while play.stage.happened:
            what, found = play.stage.happened.popleft()
            if isinstance(found, bytes):
                (heard if what == "to client" else sent).extend(found)
            elif isinstance(found, Lookup):
                assert found.record is not None
                records.append(told(found.record))
            else:
                assert isinstance(found, Cancel), "an answer that is cut off is cancelled, if it is not over"

    everything = [client(parse("s", SELECT) + SYNC), server(PARSED, READY), *steps]
    saw_exchange = False
    for who, what in everything:
        if who == "worked":
            if not play.stage.works:
                continue  # message by message a pipeline's second look-up begins later, or has been part of the first
            if isinstance(what, Exception):
                _, done = play.stage.works.popleft()
                done(None, what)
            else:
                play._finish(None)
            named()
            continue
        assert isinstance(what, bytes)
        feed = play.client_flow.feed if who == "client" else play.server_flow.feed
        for piece in [what] if whole or who == "server" else messages_of(what):
            feed(piece)
            saw_exchange = saw_exchange or any(isinstance(e, Exchange) for e in play.session.expect)
            named()
    assert saw_exchange == whole, "a batch in one piece, and only that, is an exchange"
    while play.stage.works:
        play._finish(None)
        named()
    assert not play.session.expect
    session = play.session
    return {
        "heard": bytes(heard),
        "sent": bytes(sent),
        "records": records,
        "posted": [told(r) for r in play.stage.posted],
        "status": session.status,
        "portals": sorted(session.portals),
        "prepared": sorted(session.prepared),
        "held": (play.stage.client_held, play.stage.server_held),
    }


def told(record: AuditRecord) -> tuple[object, ...]:
    return record.action, record.decision, record.fingerprint, dict(record.counts), record.text


@pytest.mark.parametrize("cached", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("user", ["app", "support", "analyst", "clerk"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_answered_as_message_by_message(name: str, user: str, cached: bool) -> None:
    steps = SCENARIOS[name]
    whole = perform(steps, whole=True, user=user, cached=cached)
    apart = perform(steps, whole=False, user=user, cached=cached)
    assert whole == apart
    if user == "analyst":
        assert b"ann@x.org" not in whole["heard"]  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(set(SCENARIOS) - {"a failing vault"}))
def test_an_answer_in_pieces_is_heard_the_same(name: str) -> None:
    """Split at each byte by the network: the exchange turns into its messages."""
    whole = perform(SCENARIOS[name], whole=True, cached=True)
    pieces: list[Step] = []
    for who, what in SCENARIOS[name]:
        if who == "server":
            assert isinstance(what, bytes)
            for at in range(len(what)):
                pieces += [server(what[at : at + 1]), WORKED]
        elif who == "client":
            pieces.append((who, what))
    split = perform(pieces, whole=True, cached=True)
    for of in ("heard", "sent", "status", "portals", "prepared", "held"):
        assert whole[of] == split[of], of


def test_a_planted_token_stays_a_token() -> None:
    heard = perform(SCENARIOS["a row"], whole=True)["heard"]
    assert isinstance(heard, bytes)
    assert row(b"7", b"ann@x.org", b"2001-05-04", ANN) in heard


def test_a_spent_budget_ends_the_answer_before_a_row() -> None:
    rows = row(b"1", ANN, MAY, None) + row(b"2", BOB, None, None)
    steps = [client(BATCH), server(BOUND, COLUMNS, rows, complete("SELECT 2"), READY)]
    found = perform(steps, whole=True, user="thrifty")
    heard = found["heard"]
    assert isinstance(heard, bytes)
    assert b"C42501\0" in heard
    assert b"@x.org" not in heard
    assert heard.endswith(READY)
    assert found["posted"], "the refusal is recorded"


def test_values_wait_for_the_record() -> None:
    """Nothing reaches the client before, and nothing behind it overtakes it."""
    play = Play()
    play.vault.memory.update({ANN: b"ann@x.org", MAY: b"2001-05-04"})
    play.client_flow.feed(parse("s", SELECT) + SYNC)
    play.server_flow.feed(PARSED + READY)
    play.stage.happened.clear()
    play.client_flow.feed(BATCH)
    play.client_flow.feed(SHORT)
    play.server_flow.feed(BOUND + COLUMNS + FILLED + DONE + READY + BOUND + FILLED + DONE + READY)
    assert [what for what, _ in play.stage.happened] == ["to server", "starts"]
    assert play.stage.server_held
    play.stage.happened.clear()
    play._finish(None)
    assert [what for what, _ in play.stage.happened] == ["starts", "to client"] or [
        what for what, _ in play.stage.happened
    ] == ["to client", "starts"]
    heard = b"".join(found for what, found in play.stage.happened if isinstance(found, bytes))
    assert heard.count(b"ann@x.org") == 1
    play._finish(None)
    assert not play.session.expect
