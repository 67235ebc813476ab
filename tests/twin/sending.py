"""Sends scripts to plain PostgreSQL and to pgnym, in one of the ways a client can, and tells what came back."""

from __future__ import annotations

import csv
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from writing import Constant, Script, Step

TEXT, BINARY = 0, 1


class Way(enum.Enum):
    """How the statements of a script are sent."""

    SIMPLE = "simple query"
    TEXT = "text parameters, types not declared"
    DECLARED = "text parameters, types declared"
    BINARY = "binary parameters and results"
    PREPARED = "prepared, executed twice with a change between"


@dataclass(frozen=True, slots=True)
class Reply:
    """``state``: SQLSTATE of an error, or "". ``message``: for people; not compared."""

    state: str
    answer: tuple[object, ...] = ()
    message: str = ""


class Client:
    """One connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.raw: PGconn = connection.pgconn
        self._binary: dict[tuple[str, str], bytes] = {}

    def simple(self, text: str, *, ordered: bool = False, copied: str | None = None) -> Reply:
        """A simple query, with all of its results; and COPY in either direction."""
        self.raw.send_query(text.encode())
        replies = []
        while (result := self._next()) is not None:
            if result.status == ExecStatus.COPY_OUT:
                lines = []
                while True:
                    size, data = self.raw.get_copy_data(0)
                    if size < 0:
                        break
                    lines.append(bytes(data))
                replies.append(Reply("", ("copied", lines if ordered else sorted(lines))))
            elif result.status == ExecStatus.COPY_IN:
                self.raw.put_copy_data((copied or "").encode())
                self.raw.put_copy_end()
            else:
                replies.append(reply_of(result, ordered=ordered))
        failed = [r for r in replies if r.state]
        return failed[0] if failed else Reply("", tuple(r.answer for r in replies))

    def _next(self) -> PGresult | None:
        return self.raw.get_result()

    def contents(self, table: str) -> Reply:
        """All rows of a table."""
        return self.simple(f"SELECT * FROM {table}")

    def run(self, script: Script, way: Way, encoder: Client) -> list[Reply]:
        """The replies to a script in a transaction that is rolled back, up to the first error."""
        self.raw.exec_(b"BEGIN")
        replies = []
        for number, step in enumerate(script.steps):
            replies.append(self._step(script, step, way, encoder, number))
            if replies[-1].state:
                break
        else:
            replies += [self.contents(t) for t in script.looks]
        ended = self.raw.exec_(b"ROLLBACK")
        assert ended.status == ExecStatus.COMMAND_OK, ended.error_message
        if script.form.startswith("PREPARE"):
            self.raw.exec_(b"DEALLOCATE ALL")
        return replies

    def _step(self, script: Script, step: Step, way: Way, encoder: Client, number: int) -> Reply:
        if step.plain or way is Way.SIMPLE:
            return self.simple(script.literal(step), ordered=step.ordered, copied=step.copied)
        text, constants = script.lifted(step)
        types = [0 if way is Way.TEXT else c.typed.oid for c in constants]
        results = BINARY if way is Way.BINARY else TEXT
        values, formats = self._values(constants, way, encoder)
        if way is not Way.PREPARED:
            got = self.raw.exec_params(text.encode(), values, types, formats, results)
            return reply_of(got, ordered=step.ordered)
        name = f"p{number}".encode()
        made = self.raw.prepare(name, text.encode(), types)
        if made.status != ExecStatus.COMMAND_OK:
            return reply_of(made)
        described = self.raw.describe_prepared(name)
        shown = reply_of(described)
        parameters = (
            tuple(described.param_type(i) for i in range(described.nparams)) if not shown.state else ()
        )
        first = reply_of(self._executed(name, values, formats, results), ordered=step.ordered)
        answer: tuple[object, ...] = (parameters, shown.answer, first.answer)
        if not first.state:
            changed = self.simple(self.change)
            second = reply_of(self._executed(name, values, formats, results), ordered=step.ordered)
            answer = (*answer, changed.state, second.answer)
            first = second
        if not first.state:
            self.raw.exec_(b"DEALLOCATE " + name)
        else:
            self.raw.exec_(b"ROLLBACK")
            self.raw.exec_(b"DEALLOCATE " + name)
            self.raw.exec_(b"BEGIN")
        return Reply(first.state, answer if not first.state else (), first.message)

    change = "SELECT 1"

    def _executed(
        self, name: bytes, values: list[bytes | None], formats: list[int], results: int
    ) -> PGresult:
        """``exec_prepared``, whose annotation forgets that a parameter may be NULL."""
        return self.raw.exec_prepared(name, cast("list[bytes]", values), formats, results)

    def _values(
        self, constants: Sequence[Constant], way: Way, encoder: Client
    ) -> tuple[list[bytes | None], list[int]]:
        if way is not Way.BINARY:
            return [None if c.content is None else c.content.encode() for c in constants], [TEXT] * len(
                constants
            )
        return [encoder.binary(c) for c in constants], [BINARY] * len(constants)

    def binary(self, constant: Constant) -> bytes | None:
        """A value in binary format, as this server sends it."""
        if constant.content is None:
            return None
        key = (constant.typed.base, constant.content)
        if key not in self._binary:
            got = self.raw.exec_params(
                f"SELECT $1::{constant.typed.base}".encode(),
                [constant.content.encode()],
                result_format=BINARY,
            )
            assert got.status == ExecStatus.TUPLES_OK, got.error_message
            value = got.get_value(0, 0)
            assert value is not None
            self._binary[key] = value
        return self._binary[key]


def reply_of(result: PGresult, *, ordered: bool = False) -> Reply:
    """A result: command tag, names, types and modifiers of columns, and the rows."""
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY):
        state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        message = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message).decode()
        return Reply(state or "?", (), message)
    width = result.nfields
    columns = [
        (result.fname(i), _type(result.ftype(i)), result.fmod(i), result.fformat(i)) for i in range(width)
    ]
    rows = [tuple(_value(result, i, j) for j in range(width)) for i in range(result.ntuples)]
    return Reply("", (result.command_status, columns, rows if ordered else sorted(rows, key=repr)))


def _type(oid: int) -> int:
    """Row types of tables have other OIDs in another database."""
    return oid if oid < 16384 else 16384


def _value(result: PGresult, row: int, column: int) -> bytes | None:
    """A value; of a binary row without the types of fields that are NULL, or texts of either type (docs/limits.md)."""
    value = result.get_value(row, column)
    if (
        value is None
        or not result.fformat(column)
        or not (result.ftype(column) >= 16384 or result.ftype(column) == _RECORD)
    ):
        return value
    parts, at = [value[:4]], 4
    while at + 8 <= len(value):
        length = int.from_bytes(value[at + 4 : at + 8], "big", signed=True)
        end = at + 8 + max(length, 0)
        oid = int.from_bytes(value[at : at + 4], "big")
        text = oid in _TEXTS or oid >= 16384  # that of citext
        parts.append(bytes(4) + value[at + 4 : end] if length < 0 or text else value[at:end])
        at = end
    return b"".join(parts)


_RECORD = 2249
_TEXTS = (25, 1043)


def unquoted(answer: object) -> object:
    """An answer with the lines of COPY as CSV in fields."""
    if isinstance(answer, tuple) and len(answer) == 2 and answer[0] == "copied":
        return answer[0], [next(csv.reader([line.decode()]), []) for line in answer[1]]
    return tuple(unquoted(a) for a in answer) if isinstance(answer, tuple) else answer


def unsized(answer: object) -> object:
    """An answer without the modifiers of its columns."""
    if isinstance(answer, list):
        return [unsized(a) for a in answer]
    if isinstance(answer, tuple):
        if len(answer) == 4 and isinstance(answer[0], bytes) and all(isinstance(a, int) for a in answer[1:]):
            return (answer[0], answer[1], answer[3])
        return tuple(unsized(a) for a in answer)
    return answer
