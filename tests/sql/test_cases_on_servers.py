"""The contract cases on real servers: what is planned gives the rows that plain columns give.

Two databases hold the same data, one plain, one as tokens under the CHECKs that refuse anything else. Every case that is
planned runs on both; results, types, names and the tables afterwards must agree once tokens are replaced.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from case_files import SCOPE, Case, all_cases
from sample_catalog import CITEXT, DATE, TEXT, sample_catalog
from sample_database import MARKS, TOKEN, SampleOrders, Tokens, rows, schema, tables

from pgnym.gateway.array_tests import Elements, elements_of_text, written_out
from pgnym.gateway.deferred import with_parameters
from pgnym.gateway.effects import Question
from pgnym.gateway.questions import constant_types
from pgnym.gateway.ranking import rank
from pgnym.gateway.resolver import Orders, Resolver
from pgnym.semantics.folding import fold
from pgnym.sql.errors import Refused
from pgnym.sql.plan import (
    Answer,
    Container,
    FollowPiece,
    LiteralPiece,
    Lookup,
    LookupPiece,
    MarkPiece,
    OutputColumn,
    Rewrite,
    ValueUse,
)
from pgnym.sql.planner import Planner
from pgnym.sql.rewrite import document_literal
from pgnym.wire import codecs
from pgnym.wire.errors import CodecError

if TYPE_CHECKING:
    from support.cluster import Cluster

    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

_ARGUMENTS: dict[int, Any] = {
    16: True, 20: 1, 21: 12, 23: 12, 25: "a", 1042: "a", 1043: "a", 1082: datetime.date(1962, 2, 18),
    3802: '{"email": "a", "tags": ["a"]}', 1009: ["a", "b"],
    1015: ["a", "b"], 1182: [datetime.date(1962, 2, 18)], 1007: [12, -5],
}  # fmt: skip
# What differs between two databases, or between two runs: object identifiers, physical places.
_INCOMPARABLE = ("ctid", "tableoid", "EXPLAIN", "CONCURRENTLY", "array_agg(DISTINCT", "TABLESAMPLE")


def planned() -> list[tuple[Case, Rewrite]]:
    """Cases of one statement that the planner lets through, with tokens in play."""
    planner = Planner(sample_catalog())
    found = []
    for case in all_cases():
        try:
            rewrite = planner.plan(case.statement.encode(), case.types, SCOPE)
        except Refused:
            continue
        if rewrite is None or len(rewrite.statements) != 1 or rewrite.statements[0].copy is not None:
            continue
        if any(p.withheld for p in rewrite.statements[0].parameters or ()):
            continue  # a parameter that is nowhere in the text needs a type in Parse, which asyncpg doesn't send
        if rewrite.statements[0].command in ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE") and not any(
            word in case.statement
            for word in (*_INCOMPARABLE, "CURRENT OF", "pg_some_function", "set_config")
        ):
            found.append((case, rewrite))
    return found


CASES = planned()


def test_most_of_the_contract_is_run() -> None:
    assert len(CASES) > 150


@pytest.fixture(scope="module")
def databases(postgres: Cluster) -> Any:
    """(URL of the plain database, URL of the one with tokens, the tokens)."""
    tokens = Tokens()
    names = ("sql_plain", "sql_tokens")

    async def fill(url: str, store: Tokens | None) -> None:
        connection = await asyncpg.connect(url)
        for statement in (*schema(tokens=store is not None), *rows(store)):
            await connection.execute(statement)
        await connection.close()

    for name in names:
        postgres.psql(f"DROP DATABASE IF EXISTS {name}")
        postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    urls = [postgres.url(name) for name in names]
    asyncio.run(fill(urls[0], None))
    asyncio.run(fill(urls[1], tokens))
    yield urls[0], urls[1], tokens
    for name in names:
        postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


def flat(value: Any) -> Any:
    """A value as text, so that a date and the text of a date compare equal."""
    if isinstance(value, asyncpg.Record | tuple):
        return tuple(flat(v) for v in (value.values() if isinstance(value, asyncpg.Record) else value))
    if isinstance(value, list):
        return [flat(v) for v in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return str(value)
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value if value is None or isinstance(value, bool) else str(value)


def shown(value: Any, stack: tuple[Container, ...], tokens: Tokens, output: OutputColumn) -> Any:
    """A value of a result with its tokens replaced by the gateway's own code, as far as the plan says where they are."""
    if isinstance(value, str):
        return tokens.substitute(value, stack, output)
    if isinstance(value, list):
        within = (
            stack[1:] if stack[:1] == (Container.ARRAY,) else stack
        )  # arrays of arrays are one to PostgreSQL
        return [shown(v, stack if isinstance(v, list) else within, tokens, output) for v in value]
    if isinstance(value, asyncpg.Record | tuple):
        fields = value.values() if isinstance(value, asyncpg.Record) else value
        return tuple(shown(v, stack[1:], tokens, output) for v in fields)
    return value


def revealed(value: Any, tokens: Tokens) -> Any:
    """A flat value of a table with its tokens replaced."""
    if isinstance(value, str):
        return tokens.reveal(value)
    if isinstance(value, list | tuple):
        return type(value)(revealed(v, tokens) for v in value)
    if isinstance(value, dict):
        return {revealed(k, tokens): revealed(v, tokens) for k, v in value.items()}
    return value


async def run(
    connection: Connection,
    text: str,
    arguments: Callable[[list[int]], list[Any]],
    show: Callable[[int, Any], Any] = lambda _, value: value,
    before: Callable[[], Iterable[str]] = tuple,
) -> dict[str, Any]:
    """Result, columns and tables of a statement, which is then rolled back. ``before``: what to run before it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        statement = await connection.prepare(text)
        types = [p.oid for p in statement.get_parameters()]
        columns = [(a.name, a.type.oid) for a in statement.get_attributes()]
        values = arguments(types)
        for each in before():
            await connection.execute(each)
        fetched = await statement.fetch(*values)
        found = [flat(tuple(show(i, v) for i, v in enumerate(r.values()))) for r in fetched]
        after = {}
        for table in tables():
            name = f'{table.schema}."{table.name}"'
            after[name] = [flat(r) for r in await connection.fetch(f"SELECT * FROM {name}")]
        return {
            "rows": found,
            "columns": columns,
            "types": types,
            "status": statement.get_statusmsg(),
            "tables": after,
        }
    finally:
        await transaction.rollback()


def encode(value: Any, use: ValueUse | None, tokens: Tokens) -> Any:
    """An argument as the gateway would send it."""
    if use is None or value is None:
        return value
    if use.leaves:
        return tokens.document(use.leaves, value)
    if use.array:
        return [encode(v, None if v is None else _scalar(use), tokens) for v in value]
    text = str(value)
    cut = re.search(r"\d+", str(use.cast_typmod)) if use.cast_typmod > 4 else None
    return tokens.token(use.protection, text[: use.cast_typmod - 4] if cut else text)


def _scalar(use: ValueUse) -> ValueUse:
    return ValueUse(use.use, use.protection, use.columns)


async def sent(connection: Connection, rewrite: Rewrite, tokens: Tokens, given: list[Any]) -> str:
    """The text as the gateway would send it. ``connection``: of a server that can sort the values. ``given``: parameters."""
    parts = []
    for piece in rewrite.pieces:
        if isinstance(piece, LookupPiece) and piece.lookup.test is not None:
            parts.append("'" + await resolved(piece.lookup, given, tokens) + "'")
        elif isinstance(piece, LookupPiece):
            parts.append("'" + await ranked(connection, piece.lookup, tokens) + "'")
        elif isinstance(piece, FollowPiece):
            parts.append(piece.text.decode())
        else:
            parts.append(piece.decode() if isinstance(piece, bytes) else literal(piece, tokens))
    return "".join(parts)


async def ranked(connection: Connection, lookup: Lookup, tokens: Tokens) -> str:
    """A ranking of the values of a domain, in the server's own order."""
    protection = lookup.protection
    values = {**tokens.of_domain(protection), "": ""}
    own = "citext" if protection.casefold else f"{protection.codec_oid}::regtype"
    name = await connection.fetchval(f"SELECT format_type({own}, NULL)") if own != "citext" else own
    if name not in ("text", "character varying", "character", "citext"):
        del values[""]
    collation = f'COLLATE "{protection.collation.name}"' if protection.collation is not None else ""
    found = await connection.fetch(
        f"SELECT v, dense_rank() OVER (ORDER BY v::{name} {collation}) AS r FROM unnest($1::text[]) v ORDER BY r",
        list(values),
    )
    ranking = rank([(row["r"], values[row["v"]].encode()) for row in found])
    return (ranking.ranks if lookup.answer is Answer.RANKS else ranking.ordered).decode()


@dataclass
class Scanned:
    """The values of a domain, as the resolver asks for them."""

    values: dict[bytes, bytes]
    orders: Orders
    version: int = 1

    async def domain_values(self, prefix: bytes) -> Scanned:
        return self

    async def candidates(
        self, prefix: bytes, alternatives: Collection[Collection[str]]
    ) -> Mapping[bytes, bytes] | None:
        likely = {}
        for token, value in self.values.items():
            if any(all(text in fold(value) for text in texts) for texts in alternatives):
                likely[token] = value
        return likely


async def resolved(lookup: Lookup, given: list[Any], tokens: Tokens) -> str:
    """What the gateway's resolver says to a look-up, as text of its type."""
    types = constant_types(lookup.test) if lookup.test is not None else {}
    values: list[bytes | None] = []
    arrays: dict[int, Elements] = {}
    for index, source in enumerate(lookup.constants):
        value = given[source - 1] if isinstance(source, int) else source
        element = codecs.element_oid(types[index])
        if value is None or element:
            values.append(None)
        else:
            values.append(codecs.canonical_from_text(types[index], -1, str(value).encode()))
        if element and value is not None:
            arrays[index] = elements_of_text(str(value).encode(), lambda element: element)
    asked = lookup
    if lookup.test is not None:
        asked = replace(lookup, test=written_out(lookup.test, arrays, values))
    scanned = Scanned(tokens.values(lookup.protection.prefix), SampleOrders(tokens))
    return (await Resolver().answer("main", scanned, Question(asked, tuple(values)))).text.decode()


def literal(piece: LiteralPiece | MarkPiece, tokens: Tokens) -> str:
    """A constant as the gateway would send it."""
    if isinstance(piece, MarkPiece):
        return MARKS.literal(piece).decode()
    if piece.use.leaves:
        return document_literal(tokens.document(piece.use.leaves, piece.value))
    if piece.use.array:
        value = tokens.array(piece.use.protection, piece.value)
    else:
        value = encode(piece.value, piece.use, tokens)
    return "'" + value + "'"


@pytest.mark.parametrize(("case", "rewrite"), CASES, ids=[f"{c.file}: {c.title}" for c, _ in CASES])
def test_both_databases_answer_the_same(
    case: Case, rewrite: Rewrite, databases: tuple[str, str, Tokens]
) -> None:
    plain_url, token_url, tokens = databases
    plan = rewrite.statements[0]
    given: list[Any] = []

    def plain_arguments(types: list[int]) -> list[Any]:
        dates = {
            p.source for p in plan.parameters or () if p.use is not None and p.use.protection.type_oid == DATE
        }
        for number, type_oid in enumerate(types, 1):
            given.append("1962-02-18" if type_oid == TEXT and number in dates else _ARGUMENTS[type_oid])
        return given

    def token_arguments(types: list[int]) -> list[Any]:
        if plan.parameters is None:
            return given
        return ["" if p.withheld else encode(given[p.source - 1], p.use, tokens) for p in plan.parameters]

    def show(index: int, value: Any) -> Any:
        kept = with_parameters(plan, lambda number, _: str(given[number - 1]).encode())
        output = kept.outputs[index] if kept.outputs else None
        return value if output is None else shown(value, output.containers, tokens, output)

    async def both() -> tuple[Any, Any]:
        one = await asyncpg.connect(plain_url)
        other = await asyncpg.connect(token_url)
        try:
            for connection in (one, other):
                await connection.set_type_codec(
                    "citext", schema="public", encoder=str, decoder=str, format="text"
                )
            try:
                expected: Any = await run(one, case.statement, plain_arguments)
            except asyncpg.PostgresError as error:
                expected = error.sqlstate
            try:
                text = await sent(other, rewrite, tokens, given)
                found: Any = await run(other, text, token_arguments, show, SampleOrders(tokens).filling)
            except (asyncpg.PostgresError, CodecError) as error:
                found = error.sqlstate
            return expected, found
        finally:
            await one.close()
            await other.close()

    expected, found = asyncio.run(both())
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert not TOKEN.search(str(expected))
    assert _sorted(found["rows"]) == _sorted(expected["rows"])
    assert found["status"] == expected["status"]
    for name, contents in expected["tables"].items():
        assert _sorted(revealed(found["tables"][name], tokens)) == _sorted(contents)
    outputs = plan.outputs or (None,) * len(found["columns"])
    types = [
        (name, output.type_oid if output is not None and output.type_oid is not None else oid)
        for (name, oid), output in zip(found["columns"], outputs, strict=True)
    ]
    assert _comparable(types) == _comparable(expected["columns"])


def _sorted(values: list[Any]) -> list[Any]:
    """Rows without order: none of the cases asks for one among equal rows."""
    return sorted(values, key=repr)


def _comparable(columns: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Types of the database itself have another OID in each."""
    return [(name, oid if oid < 16384 else CITEXT) for name, oid in columns]
