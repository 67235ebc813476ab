"""Tests of the session core as a play: what happens (``>>``), and what must come of it (``<<``), in this order and no other.

    play >> Client(query("SELECT 1")) << ToServer(query("SELECT 1"))

The core is fed by hand, so every moment between two messages can be looked at, and no socket or clock is needed. A play is
strict: bytes or work that no ``<<`` has named fail the test at the next event, or at its end. Bytes that go the same way
one after the other count as one piece, however many writes they were.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from shop_catalog import BORN, EMAIL, POLICY, shop

from pgnym.audit.records import AuditRecord
from pgnym.config.model import Config
from pgnym.gateway.client_flow import ClientFlow
from pgnym.gateway.effects import Cancel, Lookup, Refresh, Resolve, Store, Work
from pgnym.gateway.engine import Engine
from pgnym.gateway.server_flow import ServerFlow
from pgnym.gateway.session import Actor, Session
from pgnym.policy.budget import Allowance, Taken
from pgnym.policy.roles import Policy, RolePolicy
from pgnym.sql.catalog import Catalog
from pgnym.wire import messages
from pgnym.wire.frames import BACKEND, walk
from pgnym.wire.messages import Field, RowDescription
from pgnym.wire.reports import build_report, parse_report

Done = Callable[[object, Exception | None], None]

# -- events ----------------------------------------------------------------------------------------------------


class Client:
    """Bytes come from the client, in one piece."""

    def __init__(self, *parts: bytes) -> None:
        self.data = b"".join(parts)


class Server:
    """Bytes come from the server, in one piece."""

    def __init__(self, *parts: bytes) -> None:
        self.data = b"".join(parts)


@dataclass(frozen=True, slots=True)
class Worked:
    """The oldest work under way is done. A Lookup's ``result`` may be left out: it finds what was stored."""

    result: object = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The oldest work under way has failed."""

    error: Exception


Event = Client | Server | Worked | Failed

# -- what comes of them ----------------------------------------------------------------------------------------


class ToClient:
    """Bytes go to the client."""

    def __init__(self, *parts: bytes) -> None:
        self.data = b"".join(parts)


class ToServer:
    """Bytes go upstream."""

    def __init__(self, *parts: bytes) -> None:
        self.data = b"".join(parts)


@dataclass(frozen=True, slots=True)
class Refused:
    """An ErrorResponse of this SQLSTATE goes to the client, with ``before`` it and ``then`` behind it in the same piece."""

    sqlstate: str
    then: bytes = b""
    before: bytes = b""
    position: int | None = None
    severity: str = "ERROR"


@dataclass(frozen=True, slots=True)
class Starts:
    """Work is started: its kind, and what it is about (values of a Store, tokens of a Lookup)."""

    kind: type[Work]
    about: object = None


@dataclass(frozen=True, slots=True)
class Closes:
    """The connection is closed."""


Command = ToClient | ToServer | Refused | Starts | Closes


@dataclass(slots=True)
class Lent:
    """A purse that holds what each minute's limit allows, and is never filled again."""

    left: dict[str, int] = field(default_factory=dict)

    def allowance(self, tenant: str, role: RolePolicy, user: str, purpose: str | None) -> Allowance:
        return role.allowance

    def take(self, tenant: str, allowance: Allowance, count: int) -> Taken:
        left = self.left.get(allowance.name, allowance.minute or 0)
        if count > left:
            return Taken.OVER
        self.left[allowance.name] = left - count
        return Taken.GIVEN


@dataclass(slots=True)
class Stage:
    """The world of the session core: records what it is asked for."""

    happened: deque[tuple[str, object]] = field(default_factory=deque)
    chunks: list[bytes | bytearray | memoryview] = field(default_factory=list)
    works: deque[tuple[Work, Done]] = field(default_factory=deque)
    posted: list[AuditRecord] = field(default_factory=list)
    client_held: bool = False
    server_held: bool = False

    def _bytes(self, way: str, data: bytes | bytearray | memoryview) -> None:
        self.chunks.append(data)
        if self.happened and self.happened[-1][0] == way:
            before = self.happened.pop()[1]
            assert isinstance(before, bytes)
            self.happened.append((way, before + bytes(data)))
        else:
            self.happened.append((way, bytes(data)))

    def to_client(self, data: bytes | bytearray | memoryview) -> None:
        self._bytes("to client", data)

    def to_server(self, data: bytes | bytearray | memoryview) -> None:
        self._bytes("to server", data)

    def hold_client(self, hold: bool) -> None:
        self.client_held = hold

    def hold_server(self, hold: bool) -> None:
        self.server_held = hold

    def start(self, work: Work, done: Done) -> None:
        self.works.append((work, done))
        self.happened.append(("starts", work))

    def post(self, record: AuditRecord) -> None:
        self.posted.append(record)

    def close(self, reason: str) -> None:
        self.happened.append(("closes", reason))


class FakeVault:
    """A tenant's vault without keys: a token follows from its value, ``memory`` is what the gateway has cached."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.memory: dict[bytes, bytes] = {}
        self._drawn = 0

    def token(self, prefix: bytes, identity: bytes) -> bytes:
        return token(prefix, identity)

    def random_token(self, prefix: bytes) -> bytes:
        self._drawn += 1
        return token(prefix, b"random %d" % self._drawn)

    def cached(self, token: bytes) -> bytes | None:
        return self.memory.get(token)


@dataclass(slots=True)
class Snapshots:
    """Where the session finds its engine; a test replaces it as a Refresh would.

    ``open``: the engine of what a transaction has made, by the row that its reading gives.
    """

    current: Engine
    open: dict[bytes, Engine] = field(default_factory=dict)

    def within(self, snapshot: bytes) -> Engine:
        unchanged = replace(self.current.catalog, path=("pg_catalog", "public"))
        return self.open.get(snapshot) or Engine(unchanged)


def token(prefix: bytes, identity: bytes) -> bytes:
    """The token that ``FakeVault`` gives a value."""
    return prefix + b32encode(hashlib.sha256(prefix + identity).digest()[:15]).lower()


ANN, BOB = token(EMAIL.prefix, b"ann@x.org"), token(EMAIL.prefix, b"bob@x.org")
MAY = token(BORN.prefix, b"2001-05-04")


class Play:
    """One session with both its flows.

    ``user`` decides the role (``shop_catalog.POLICY``). ``path`` None: search_path and role are not known yet, so the first
    protected statement asks for them.
    """

    def __init__(
        self,
        user: str = "app",
        *,
        path: tuple[str, ...] | None = ("pg_catalog", "public"),
        catalog: Catalog | None = None,
        config: Config = POLICY,
    ) -> None:
        self.stage = Stage()
        self.vault = FakeVault()
        self.snapshots = Snapshots(Engine(catalog or shop()))
        policy = Policy(config)
        self.session = Session(
            effects=self.stage,
            engines=self.snapshots,
            vault=self.vault,
            role=policy.for_user(user),
            roles=policy.for_user,
            masker=policy.masker,
            validation=policy.validation,
            purse=Lent(),
            actor=Actor(user, "app", "main", "127.0.0.1", "test"),
            parameters={
                "client_encoding": "UTF8",
                "server_version": "18.0",
                "standard_conforming_strings": "on",
            },
            path=path,
            user="" if path is None else user,
        )
        self.client_flow = ClientFlow(self.session)
        self.server_flow = ServerFlow(self.session, self.client_flow)

    def __rshift__(self, event: Event) -> Self:
        """Something happens; all that came of what happened before must have been named."""
        self.nothing_more()
        match event:
            case Client(data=data):
                self.client_flow.feed(data)
            case Server(data=data):
                self.server_flow.feed(data)
            case Worked(result=result):
                self._finish(result)
            case Failed(error=error):
                _, done = self.stage.works.popleft()
                done(None, error)
        return self

    def _finish(self, result: object) -> None:
        work, done = self.stage.works.popleft()
        if isinstance(work, Store):
            self.vault.stored.update(work.values)
        if isinstance(work, Lookup) and result is None:
            result = {t: self.vault.stored[t] for t in work.tokens if t in self.vault.stored}
        done(result, None)

    def __lshift__(self, expected: Command) -> Self:
        """This comes of it, next."""
        happened = self.stage.happened
        assert happened, f"nothing happened, expected {type(expected).__name__}"
        what, found = happened.popleft()
        match expected:
            case ToClient(data=data) | ToServer(data=data):
                way = "to client" if isinstance(expected, ToClient) else "to server"
                assert (what, found) == (way, data)
            case Refused():
                assert what == "to client", (what, found)
                assert isinstance(found, bytes)
                _refusal(found, expected)
            case Starts(kind=kind, about=about):
                assert what == "starts", (what, found)
                assert isinstance(found, kind), found
                if about is not None:
                    assert _about(found) == about
            case Closes():
                assert what == "closes", (what, found)
        return self

    def nothing_more(self) -> None:
        """All that has happened has been named."""
        assert not self.stage.happened, list(self.stage.happened)

    def stores(self, *pairs: tuple[bytes, bytes]) -> None:
        """Let the vault hold (token, value) pairs from before."""
        self.vault.stored.update(pairs)

    @property
    def audited(self) -> list[tuple[str, str]]:
        """Action and SQLSTATE of the records that nothing waited for."""
        return [(record.action.value, record.text) for record in self.stage.posted]


def _about(work: object) -> object:
    if isinstance(work, Store):
        return dict(work.values)
    if isinstance(work, Lookup):
        return set(work.tokens)
    assert isinstance(work, Refresh | Cancel | Resolve)
    return None


def _refusal(found: bytes, expected: Refused) -> None:
    assert found[: len(expected.before)] == expected.before
    found = found[len(expected.before) :]
    length = 1 + int.from_bytes(found[1:5], "big")
    assert found[:1] == b"E", kinds(found)
    fields = parse_report(found[:length])
    assert fields["C"].decode() == expected.sqlstate, fields
    assert fields["S"].decode() == expected.severity
    position = fields.get("P")
    assert (None if position is None else int(position)) == expected.position, fields
    assert found[length:] == expected.then


# -- messages of clients ---------------------------------------------------------------------------------------

SYNC, FLUSH, COPY_DONE = messages.SYNC, messages.FLUSH, messages.COPY_DONE
copy_data = messages.copy_data


def query(text: str | bytes) -> bytes:
    """Query."""
    return messages.Query(text.encode() if isinstance(text, str) else text).build()


def parse(name: str, text: str | bytes, *oids: int) -> bytes:
    """Parse."""
    return messages.Parse(name.encode(), text.encode() if isinstance(text, str) else text, oids).build()


def bind(
    portal: str,
    statement: str,
    *values: bytes | None,
    formats: tuple[int, ...] = (),
    results: tuple[int, ...] = (),
) -> bytes:
    """Bind."""
    return messages.Bind(portal.encode(), statement.encode(), formats, list(values), results).build()


def describe(kind: str, name: str) -> bytes:
    """Describe of a statement (S) or portal (P)."""
    return messages.Describe(kind.encode(), name.encode()).build()


def execute(portal: str, max_rows: int = 0) -> bytes:
    """Execute."""
    return messages.Execute(portal.encode(), max_rows).build()


def close(kind: str, name: str) -> bytes:
    """Close of a statement (S) or portal (P)."""
    return messages.Close(kind.encode(), name.encode()).build()


# -- messages of servers ---------------------------------------------------------------------------------------

PARSED, BOUND, CLOSED = messages.PARSE_COMPLETE, messages.BIND_COMPLETE, messages.CLOSE_COMPLETE
NO_DATA, SUSPENDED = messages.NO_DATA, messages.PORTAL_SUSPENDED
READY, IN_TRANSACTION, IN_FAILED = (messages.ReadyForQuery(status).build() for status in (b"I", b"T", b"E"))


def row(*values: bytes | None) -> bytes:
    """DataRow."""
    return messages.build_data_row(list(values))


def described(*columns: tuple[str, int], format: int = 0, typmod: int = -1) -> bytes:
    """RowDescription of (name, type OID) columns; sizes are right for the types used here."""
    sizes = {23: 4, 1082: 4}
    fields = [Field(n.encode(), 0, 0, oid, sizes.get(oid, -1), typmod, format) for n, oid in columns]
    return RowDescription(tuple(fields)).build()


def parameters(*oids: int) -> bytes:
    """ParameterDescription."""
    return messages.ParameterDescription(oids).build()


def complete(tag: str) -> bytes:
    """CommandComplete."""
    return messages.CommandComplete(tag.encode()).build()


def status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return messages.ParameterStatus(name.encode(), value.encode()).build()


def copying(way: str, columns: int, format: int = 0) -> bytes:
    """CopyInResponse ("in") or CopyOutResponse ("out")."""
    kind = ord("G") if way == "in" else ord("H")
    return messages.CopyResponse(kind, format, (format,) * columns).build()


def error(
    sqlstate: str, message: str = "no", *, severity: str = "ERROR", of: str = "", **fields: bytes
) -> bytes:
    """ErrorResponse; ``fields`` by their one-letter codes, ``of`` the table of schema public that it names."""
    if of:
        fields |= {"s": b"public", "t": of.encode()}
    return build_report(
        {
            "S": severity.encode(),
            "V": severity.encode(),
            "C": sqlstate.encode(),
            "M": message.encode(),
            **fields,
        }
    )


def notice(message: str, *, of: str = "") -> bytes:
    """NoticeResponse; ``of`` as in ``error``."""
    fields = {"s": b"public", "t": of.encode()} if of else {}
    return build_report({"S": b"NOTICE", "C": b"00000", "M": message.encode(), **fields}, notice=True)


def kinds(data: bytes) -> str:
    """The type letters of the messages in ``data``."""
    found, rest = walk(data, BACKEND)
    assert rest == len(data)
    return "".join(chr(kind) for kind, _, _ in found)


# -- what the gateway itself asks and sends --------------------------------------------------------------------

SCOPE_TEXT = (
    b"SELECT pg_catalog.current_schemas(true)::pg_catalog.text, CURRENT_USER::pg_catalog.text,"
    b" pg_catalog.current_setting('pgnym.purpose', true)"
)
ASKS_SCOPE = query(SCOPE_TEXT)
ASKS_SCOPE_IN_BATCH = (
    parse("pgnym_scope", SCOPE_TEXT)
    + bind("pgnym_scope", "pgnym_scope")
    + execute("pgnym_scope")
    + close("P", "pgnym_scope")
    + close("S", "pgnym_scope")
    + FLUSH
)
FAILING_TEXT = b"SELECT pg_catalog.pgnym_refused_statement()"
MAKES_FAIL = query(FAILING_TEXT)
MAKES_FAIL_IN_BATCH = parse("pgnym_refused", FAILING_TEXT)
NO_FUNCTION = error("42883", "function pg_catalog.pgnym_refused_statement() does not exist", P=b"8")


def scope(path: bytes = b"{pg_catalog,public}", user: bytes = b"app", purpose: bytes | None = None) -> bytes:
    """The server's answer to the question for the scope, by Query; without ReadyForQuery."""
    return (
        described(("current_schemas", 25), ("current_user", 25), ("current_setting", 25))
        + row(path, user, purpose)
        + complete("SELECT 1")
    )


def scope_in_batch(
    path: bytes = b"{pg_catalog,public}", user: bytes = b"app", purpose: bytes | None = None
) -> bytes:
    """The same, by extended query."""
    return PARSED + BOUND + row(path, user, purpose) + complete("SELECT 1") + CLOSED + CLOSED


def prepared(play: Play, name: str, text: str, *oids: int) -> Play:
    """``text`` prepared as ``name`` and acknowledged."""
    play >> Client(parse(name, text, *oids), SYNC) << ToServer(parse(name, text, *oids), SYNC)
    return play >> Server(PARSED, READY) << ToClient(PARSED, READY)
