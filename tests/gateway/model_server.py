"""A server in a page: enough of PostgreSQL's message flow to say what a client must hear, and in what order.

It knows a handful of statements and no data. The same model stands behind the gateway, where its protected columns hold
tokens, and as the *twin* that the client would talk to without it, where they hold values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from playbook import (
    BOUND,
    CLOSED,
    FAILING_TEXT,
    NO_DATA,
    PARSED,
    SCOPE_TEXT,
    complete,
    copying,
    described,
    error,
    parameters,
    row,
)
from shop_catalog import TEXT, VARCHAR

from pgnym.sql.load import SNAPSHOT
from pgnym.wire import messages
from pgnym.wire.frames import FRONTEND, Frontend, walk

ABORTED = "25P02"
FUNCTION_RESULT = b"V" + struct.pack("!Ii", 8, -1)


class Failure(Exception):
    """An ErrorResponse with this SQLSTATE."""


@dataclass
class Statement:
    """What a text does. ``rows``: its DataRows; ``columns``: (name, type, typmod)."""

    tag: str
    columns: tuple[tuple[str, int, int], ...] = ()
    rows: tuple[tuple[bytes, ...], ...] = ()
    parameter: int = 0
    copies: bool = False
    fails: str = ""
    exits: bool = False

    @property
    def description(self) -> bytes:
        """RowDescription, or NoData."""
        if not self.columns:
            return NO_DATA
        return b"".join(described((name, oid), typmod=typmod) for name, oid, typmod in self.columns)


@dataclass
class Model:
    """One session. ``email``: what the column holds; ``typmod``: of the column, as the client is told it."""

    email: Callable[[bytes], bytes]
    typmod: int
    status: bytes = b"I"
    discarding: bool = False
    copying: tuple[bool, bool] | None = None  # by Query?, protected?
    prepared: dict[bytes, bytes] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    portals: dict[bytes, tuple[bytes, list[bytes | None]]] = field(default_factory=dict)
    stored: list[bytes] = field(default_factory=list)
    copied: bytearray = field(default_factory=bytearray)
    _pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> bytes:
        """What the server says to that."""
        self._pending += data
        found, rest = walk(self._pending, FRONTEND)
        out = bytearray()
        for kind, start, end in found:
            out += self._message(kind, bytes(self._pending[start:end]))
        del self._pending[:rest]
        return bytes(out)

    # -- messages ------------------------------------------------------------------------------------------------

    def _message(self, kind: int, message: bytes) -> bytes:
        if kind in (Frontend.COPY_DATA, Frontend.COPY_DONE, Frontend.COPY_FAIL):
            return self._copy(kind, message)
        if self.copying is not None:
            assert kind in (Frontend.SYNC, Frontend.FLUSH), "a message that ends the connection"
            return b""
        if kind == Frontend.SYNC:
            self.discarding = False
            return self._ready()
        if self.discarding or kind == Frontend.FLUSH:
            return b""
        if kind == Frontend.FUNCTION_CALL:
            if self.status == b"E":
                return self._fail(ABORTED, by_query=True)
            return FUNCTION_RESULT + self._ready()
        if kind == Frontend.QUERY:
            return self._query(messages.Query.parse(message).text)
        try:
            return self._step(kind, message)
        except Failure as failure:
            return self._fail(str(failure), by_query=False)

    def _ready(self) -> bytes:
        if self.status == b"I":
            self.portals.clear()
            self.cursors.clear()
        return messages.ReadyForQuery(self.status).build()

    def _fail(self, sqlstate: str, *, by_query: bool) -> bytes:
        if self.status == b"T":
            self.status = b"E"
        if by_query:
            return error(sqlstate) + self._ready()
        self.discarding = True
        return error(sqlstate)

    def _copy(self, kind: int, message: bytes) -> bytes:
        if self.copying is None:
            return b""
        by_query, protected = self.copying
        if kind == Frontend.COPY_DATA:
            if protected:
                self.copied += message[5:]
            return b""
        self.copying = None
        if kind == Frontend.COPY_FAIL:
            self.copied.clear()
            return self._fail("57014", by_query=by_query)
        self.stored += bytes(self.copied).split(b"\n")[:-1]
        self.copied.clear()
        return complete("COPY 1") + (self._ready() if by_query else b"")

    def _query(self, text: bytes) -> bytes:
        self.portals.pop(b"", None)
        self.prepared.pop(b"", None)
        out = b""
        for part in text.split(b"; "):
            try:
                statement = self._analyse(part)
                out += statement.description if statement.columns else b""
                out += self._run(part, statement, [], by_query=True)
            except Failure as failure:
                return out + self._fail(str(failure), by_query=True)
            if self.copying is not None:
                return out
        return out + self._ready()

    def _step(self, kind: int, message: bytes) -> bytes:
        if kind == Frontend.PARSE:
            parse = messages.Parse.parse(message)
            if not parse.name:
                self.prepared.pop(b"", None)
            self._analyse(parse.text)
            if parse.name in self.prepared:
                raise Failure("42P05")
            self.prepared[parse.name] = parse.text
            return PARSED
        if kind == Frontend.BIND:
            bind = messages.Bind.parse(message)
            if bind.statement not in self.prepared:
                raise Failure("26000")
            text = self.prepared[bind.statement]
            self._analyse(text)
            self.portals[bind.portal] = (text, bind.values)
            return BOUND
        if kind == Frontend.DESCRIBE:
            return self._describe(messages.Describe.parse(message))
        if kind == Frontend.EXECUTE:
            portal = messages.Execute.parse(message).portal
            if portal not in self.portals:
                raise Failure("34000")
            text, values = self.portals[portal]
            return self._run(text, self._analyse(text), values, by_query=False)
        close = messages.Close.parse(message)
        if close.kind == b"S":
            self.prepared.pop(close.name, None)
        else:
            self.portals.pop(close.name, None)
        return CLOSED

    def _describe(self, target: messages.Describe) -> bytes:
        if target.kind == b"S":
            if target.name not in self.prepared:
                raise Failure("26000")
            statement = self._analyse(self.prepared[target.name])
            types = (statement.parameter,) if statement.parameter else ()
            return parameters(*types) + statement.description
        if target.name not in self.portals:
            raise Failure("34000")
        return self._analyse(self.portals[target.name][0]).description

    # -- statements ----------------------------------------------------------------------------------------------

    def _analyse(self, text: bytes) -> Statement:
        statement = self._statement(text)
        if self.status == b"E" and not statement.exits:
            raise Failure(ABORTED)
        if statement.fails:
            raise Failure(statement.fails)
        return statement

    def _statement(self, text: bytes) -> Statement:
        email = ("email", VARCHAR, self.typmod)
        words = text.decode()
        if text == SCOPE_TEXT:
            columns = (("current_schemas", TEXT, -1),)
            return Statement("SELECT 1", columns, ((b"{pg_catalog,public}", b"app", b""),))
        if text == SNAPSHOT.encode():
            return Statement("SELECT 1", (("json_build_object", TEXT, -1),), ((b"{}",),))
        if text == FAILING_TEXT:
            return Statement("", fails="42883")
        if words.startswith("FETCH "):
            cursor = self.cursors.get(words.removeprefix("FETCH "))
            return Statement("", fails="34000") if cursor is None else self._statement(cursor.encode())
        if words in ("BEGIN", "COMMIT", "ROLLBACK"):
            return Statement(words, exits=words != "BEGIN")
        if words.startswith("EXECUTE "):
            name = words.removeprefix("EXECUTE ")
            inner = self.named.get(name)
            return Statement("", fails="26000") if inner is None else self._statement(inner.encode())
        if words.startswith(("SELECT nope", "SELECT soundex")):
            return Statement("", fails="42703" if "nope" in words else "0A000")
        if words.startswith("SELECT 1/0"):
            return Statement("SELECT 1", (("n", 23, -1),), parameter=0)
        if words.startswith("SELECT email"):
            found = (self.email(b"ann@x.org"),), (self.email(b"bob@x.org"),)
            return Statement("SELECT 2", (email,), found, parameter=VARCHAR if "$1" in words else 0)
        if words.startswith("SELECT name"):
            return Statement(
                "SELECT 1", (("name", TEXT, -1),), ((b"Nina",),), parameter=TEXT if "$1" in words else 0
            )
        if words.startswith("COPY"):
            return Statement("COPY", copies=True)
        return Statement(words.split()[0], parameter=VARCHAR if "$1" in words else 0)

    def _run(self, text: bytes, statement: Statement, values: list[bytes | None], *, by_query: bool) -> bytes:
        words = text.decode()
        if words.startswith("SELECT 1/0"):
            raise Failure("22012")
        if statement.copies:
            self.copying = (by_query, "letter" in words)
            return copying("in", 1)
        if words.startswith("INSERT INTO letter"):
            literal = words.partition("('")[2].partition("'")[0].encode()
            self.stored.append(literal or values[0] or b"")
        elif words.startswith("DECLARE "):
            if self.status == b"I":
                raise Failure("25P01")
            name, _, inner = words.removeprefix("DECLARE ").partition(" CURSOR FOR ")
            if name in self.cursors:
                raise Failure("42P03")
            self.cursors[name] = inner
        elif words.startswith("CLOSE ") and not self.cursors.pop(words.removeprefix("CLOSE "), ""):
            raise Failure("34000")
        elif words == "BEGIN":
            self.status = b"T"
        elif words in ("COMMIT", "ROLLBACK"):
            self.status = b"I"
        elif words.startswith("PREPARE "):
            name, _, inner = words.removeprefix("PREPARE ").partition(" AS ")
            if name in self.named:
                raise Failure("42P05")
            self.named[name] = inner
        elif words.startswith("DEALLOCATE ") and not self.named.pop(words.removeprefix("DEALLOCATE "), ""):
            raise Failure("26000")
        return b"".join(row(*r) for r in statement.rows) + complete(statement.tag)
