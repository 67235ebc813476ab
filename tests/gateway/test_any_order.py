"""Whatever a client sends, however it and the replies are cut and delayed: it hears what it would without the gateway."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_server import Model
from playbook import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Failed,
    Play,
    Worked,
    bind,
    close,
    copy_data,
    describe,
    execute,
    parse,
    query,
    token,
)
from shop_catalog import EMAIL

from pgnym.gateway.effects import Lookup, Store
from pgnym.vault.errors import VaultError
from pgnym.wire.frames import BACKEND, Backend, walk
from pgnym.wire.messages import CopyFail
from pgnym.wire.reports import parse_report

CANARY = b"secret@x.org"
PLAIN = (
    "SELECT name FROM artist",
    "SELECT nope FROM artist",
    "SELECT 1/0",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET search_path = public",
    "CREATE INDEX",
)
PROTECTED = (
    "SELECT email FROM customer",
    "SELECT soundex(email) FROM customer",
    "INSERT INTO letter (sender) VALUES ('secret@x.org')",
    "PREPARE q AS SELECT email FROM customer",
    "EXECUTE q",
    "DEALLOCATE q",
    "DECLARE c CURSOR FOR SELECT email FROM customer",
    "FETCH c",
    "CLOSE c",
)
WITH_PARAMETER = (
    "SELECT name FROM artist WHERE name = $1",
    "SELECT email FROM customer WHERE email = $1",
    "INSERT INTO letter (sender) VALUES ($1)",
)
TWO = ("SELECT name FROM artist; SELECT email FROM customer", "SELECT email FROM customer; SELECT 1/0")
names = st.sampled_from(["", "a", "b"])
texts = st.sampled_from(PLAIN + PROTECTED)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """Steps of the extended query, mostly in a sensible order."""
    out = b""
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["whole", "whole", "whole", "loose"]))
        name, portal = draw(names), draw(names)
        if kind == "whole":
            if draw(st.booleans()):
                out += close("S", name)
            if draw(st.booleans()):
                text = draw(st.sampled_from(WITH_PARAMETER))
                out += parse(name, text) + bind(portal, name, b"Nina" if "artist" in text else CANARY)
            else:
                out += parse(name, draw(texts)) + bind(portal, name)
            if draw(st.booleans()):
                out += describe("P", portal)
            out += execute(portal)
        else:
            out += draw(
                st.sampled_from(
                    [describe("S", name), describe("P", portal), execute(portal), close("P", portal), FLUSH]
                )
            )
        if draw(st.integers(0, 3)) == 0:
            out += SYNC
    return out + draw(st.sampled_from([SYNC, SYNC, SYNC, SYNC + SYNC, FLUSH + SYNC]))


@st.composite
def copies(draw: st.DrawFn) -> bytes:
    """A COPY with its data, sent without waiting."""
    text = draw(st.sampled_from(["COPY letter (sender) FROM STDIN", "COPY artist FROM STDIN"]))
    value = CANARY if "letter" in text else b"Nina"
    data = copy_data(value[:4]) + copy_data(value[4:] + b"\n") * draw(st.integers(0, 2))
    data = draw(st.sampled_from([b"", copy_data(value + b"\n"), data if data.endswith(b"\n") else b""]))
    end = draw(st.sampled_from([COPY_DONE, COPY_DONE, CopyFail(b"no").build()]))
    if draw(st.booleans()):
        return query(text) + data + end
    begun = close("S", "") + parse("", text) + bind("", "") + execute("")
    return begun + draw(st.sampled_from([b"", SYNC])) + data + end + SYNC


queries = st.one_of(texts, st.sampled_from(TWO)).map(query)
calls = st.just(b"F" + struct.pack("!IIhhh", 14, 1598, 0, 0, 0))
loose = st.sampled_from([parse("", "SELECT name FROM artist"), parse("", "SELECT nope FROM artist"), FLUSH])
traffic = st.lists(
    st.one_of(queries, queries, batches(), batches(), copies(), calls, loose), min_size=1, max_size=8
).map(lambda pieces: [*pieces, SYNC])


def heard(data: bytes) -> list[bytes]:
    """The messages, errors by their SQLSTATE alone."""
    found, rest = walk(data, BACKEND)
    assert rest == len(data)
    out = []
    for kind, start, end in found:
        message = data[start:end]
        out.append(parse_report(message)["C"] if kind == Backend.ERROR_RESPONSE else message)
    return out


class Wire:
    """The gateway between a client and a model, with every delay drawn at random."""

    def __init__(self, seed: int, *, failures: float = 0) -> None:
        self.random = random.Random(seed)
        self._failures = failures
        self.play = Play(path=None)
        self.play.stores(*((token(EMAIL.prefix, v), v) for v in (b"ann@x.org", b"bob@x.org")))
        self.server = Model(lambda value: token(EMAIL.prefix, value), -1)
        self.upstream = bytearray()
        self.client = bytearray()
        self._replies = bytearray()

    def carry(self, sent: bytes) -> None:
        """Until everything that ``sent`` brings about is over."""
        pending = bytearray(sent)
        stage = self.play.stage
        while pending or self._replies or stage.works:
            step = self.random.randrange(3)
            if step == 0 and pending:
                self.play.client_flow.feed(self._piece(pending))
            elif step == 1 and self._replies:
                self.play.server_flow.feed(self._piece(self._replies))
            elif step == 2 and stage.works:
                if self.random.random() < self._failures and isinstance(stage.works[0][0], Store | Lookup):
                    self.play >> Failed(VaultError("not now"))
                else:
                    self.play >> Worked()
            self._collect()

    def at_rest(self) -> None:
        """Nothing is expected, held or under way."""
        session = self.play.session
        assert not session.expect
        assert not session.naming
        assert not session.injected
        assert not self.play.client_flow.blocked
        assert not self.play.server_flow.blocked
        assert not self.play.stage.works

    def _piece(self, buffer: bytearray) -> bytes:
        size = self.random.choice((1, 7, 40, len(buffer), len(buffer)))
        piece = bytes(buffer[:size])
        del buffer[:size]
        return piece

    def _collect(self) -> None:
        happened = self.play.stage.happened
        while happened:
            what, data = happened.popleft()
            assert what != "closes", data
            if what == "to client":
                assert isinstance(data, bytes)
                self.client += data
            elif what == "to server":
                assert isinstance(data, bytes)
                self.upstream += data
                self._replies += self.server.feed(data)
            else:
                assert what == "starts"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traffic, st.integers(0, 1 << 32))
def test_the_client_hears_what_it_would_hear_without_the_gateway(sent: list[bytes], seed: int) -> None:
    twin = Model(lambda value: value, 44)
    expected = b"".join(twin.feed(piece) for piece in sent)
    wire = Wire(seed)
    wire.carry(b"".join(sent))
    assert heard(bytes(wire.client)) == heard(expected)
    wire.at_rest()
    assert wire.server.status == twin.status
    assert CANARY not in wire.upstream
    assert wire.server.stored == [token(EMAIL.prefix, value) for value in twin.stored]
    puts = wire.play.vault.stored
    assert all(puts[value] for value in wire.server.stored)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traffic, st.integers(0, 1 << 32))
def test_whatever_fails_the_session_goes_on_in_step_and_nothing_leaks(sent: list[bytes], seed: int) -> None:
    wire = Wire(seed, failures=0.4)
    wire.carry(b"".join(sent))
    wire.at_rest()
    assert CANARY not in wire.upstream
    assert set(wire.server.stored) <= set(wire.play.vault.stored)
    heard(bytes(wire.client))
    wire.client.clear()
    twin = Model(lambda value: value, 44)
    last = query("ROLLBACK") + query("SELECT name FROM artist")
    wire.carry(last)
    assert wire.client == twin.feed(last)


def test_the_last_answer_may_be_one_that_failed() -> None:
    """What the client waits with until all is answered goes on, although nothing more comes from the server."""
    search = "SELECT email FROM customer WHERE email = $1"
    first = parse("", search) + bind("", "", CANARY) + execute("")
    first += parse("", "SELECT email FROM customer") + bind("", "") + execute("") + SYNC + SYNC
    wire = Wire(0, failures=0.4)
    wire.carry(first + describe("S", "") + SYNC + SYNC + SYNC)
    wire.at_rest()


@pytest.mark.parametrize("seed", range(80))
def test_a_name_of_a_batch_that_was_cut_off_is_known_again(seed: int) -> None:
    """Nobody knows whether the server came to its Parse: it is closed, and the client told that it isn't there."""
    search = "SELECT email FROM customer WHERE email = $1"
    first = parse("", search) + bind("", "", b"ann@x.org") + execute("")
    first += parse("a", search) + bind("", "a", CANARY) + execute("") + SYNC
    wire = Wire(seed, failures=0.4)
    wire.carry(first + describe("S", "a") + SYNC + parse("a", search) + describe("S", "a") + SYNC)
    wire.at_rest()
    assert CANARY not in wire.upstream
