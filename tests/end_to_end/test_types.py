"""Protected columns of every type, beside a twin with plain columns: the same replies, byte for byte.

Reading, comparing, writing, COPY and errors; literals, text and binary parameters, text and binary results.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from test_byte_compare import Pair, twins
from typed_columns import BY_NAME, TYPES, Typed, protected, quoted, schema

from support.cluster import SUPERUSER, Cluster
from support.gateway import Endpoint
from support.rawwire import (
    COPY_DONE,
    SYNC,
    Message,
    RawClient,
    bind,
    close,
    copy_data,
    describe,
    execute,
    normalise,
    parse,
    query,
)

pytestmark = pytest.mark.server
typed_columns = pytest.mark.parametrize("typed", TYPES, ids=lambda t: t.name)


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    yield from twins(postgres, "types", schema(), protected())


def talk(endpoint: Endpoint, *steps: bytes) -> list[Message]:
    """The replies to each step, which ends in one ReadyForQuery."""
    with RawClient(endpoint.host, endpoint.port) as client:
        client.login(SUPERUSER, endpoint.database)
        before = len(client.heard)
        for step in steps:
            client.send(step)
            client.read_until_kind(b"ZG")
        return client.heard[before:]


def both(pair: Pair, *steps: bytes) -> None:
    """The same steps on both sides give the same replies; of pgnym's own errors all but the value that PostgreSQL shows."""
    heard = [normalise(map(comparable, talk(e, *steps)), {}) for e in (pair.plain, pair.tested)]
    assert heard[1] == heard[0]


def comparable(heard: Message) -> Message:
    """An error by severity, SQLSTATE and message: without the value, which PostgreSQL quotes behind a colon."""
    if heard.kind != b"E":
        return heard
    fields = heard.fields()
    text = re.sub(r'^(value )?"[^"]*" is out', "value out", fields["M"].partition(': "')[0])
    return Message(b"E", f"{fields['S']} {fields['C']} {text}".encode())


def binary_values(endpoint: Endpoint, typed: Typed) -> list[bytes]:
    """The values of the rows, and the one in none, as the server sends them."""
    values = ", ".join(f"({quoted(v)}::{typed.type})" for v in (*typed.values, typed.other))
    sql = f"SELECT * FROM (VALUES {values}) v"
    heard = talk(endpoint, parse(sql) + bind(results=[1]) + execute() + SYNC)
    return [m.body[6:] for m in heard if m.kind == b"D"]


def type_oid(endpoint: Endpoint, typed: Typed) -> int:
    """The type's OID, as RowDescription gives it."""
    heard = talk(endpoint, query(f"SELECT NULL::{typed.type} AS c"))
    (description,) = (m for m in heard if m.kind == b"T")
    return int.from_bytes(description.body[10:14], "big")


def extended(sql: str, *values: bytes | None, formats: tuple[int, ...] = (), results: int = 0) -> bytes:
    return (
        parse(sql)
        + describe("S")
        + bind(values, formats=formats, results=[results])
        + describe("P")
        + execute()
        + SYNC
    )


@typed_columns
def test_reading(pair: Pair, typed: Typed) -> None:
    sql = f"SELECT id, c, c AS again FROM {typed.table} ORDER BY id"
    both(pair, query(sql), extended(sql), extended(sql, results=1))
    if typed.as_text:
        both(pair, query(f"SELECT c::text, id FROM {typed.table} ORDER BY id"))


@pytest.mark.parametrize("name", ["varchar", "varchar_wide", "numeric", "timestamp", "date"])
def test_modifiers_of_what_the_planner_reduces(pair: Pair, name: str) -> None:
    """``coalesce(c, NULL)`` has no modifier as it is analysed, and that of its column once it is planned."""
    table = BY_NAME[name].table
    for value in (
        "coalesce(c, NULL)",
        "coalesce(NULL, c)",
        "coalesce(c, NULL, c)",
        "CASE WHEN id > 0 THEN c END",
    ):
        sql = f"SELECT {value} AS v FROM {table} ORDER BY id"
        step = (
            parse(sql, "p")
            + describe("S", "p")
            + bind(statement="p")
            + describe("P")
            + execute()
            + close("S", "p")
            + SYNC
        )
        cursor = f"BEGIN; DECLARE k CURSOR FOR {sql}; FETCH 1 FROM k; COMMIT"
        named = f"PREPARE q AS {sql}; EXECUTE q; DEALLOCATE q"
        fetched = parse("FETCH 1 FROM k") + describe("S") + SYNC
        both(pair, query(sql), step, query(cursor), query(named))
        both(pair, query(f"BEGIN; DECLARE k CURSOR FOR {sql}"), fetched, query("COMMIT"))


@typed_columns
def test_comparing(pair: Pair, typed: Typed) -> None:
    table = typed.table
    every = (*typed.values, typed.other)
    literals = ", ".join(map(quoted, every))
    steps = [query(f"SELECT id FROM {table} WHERE c = {quoted(v)} ORDER BY id") for v in every]
    steps += [
        query(f"SELECT id FROM {table} WHERE c IN ({literals}) ORDER BY id"),
        query(f"SELECT id FROM {table} WHERE c NOT IN ({quoted(typed.values[0])}) ORDER BY id"),
        query(f"SELECT id FROM {table} WHERE c IS DISTINCT FROM {quoted(typed.values[0])} ORDER BY id"),
        query(f"SELECT id FROM {table} WHERE c = {quoted(typed.values[0])}::{typed.type}"),
        query(f"SELECT count(*), count(c), count(DISTINCT c) FROM {table}"),
    ]
    oid = type_oid(pair.plain, typed)
    where = f"SELECT id FROM {table} WHERE c = $1 ORDER BY id"
    binary = binary_values(pair.plain, typed)
    for value, sent in zip(every, binary, strict=True):
        steps.append(extended(where, value.encode()))
        steps.append(extended(where, sent, formats=(1,)))
        steps.append(parse(where, types=[oid]) + describe("S") + bind([sent], formats=[1]) + execute() + SYNC)
    steps.append(extended(where, None))
    both(pair, *steps)


@typed_columns
def test_writing(pair: Pair, typed: Typed) -> None:
    table = typed.table
    insert = f"INSERT INTO {table} VALUES (100 + $1::int, $2) RETURNING *"
    update = f"UPDATE {table} SET c = $1 WHERE c = $2 RETURNING id, c"
    every = (*typed.values, typed.other)
    binary = binary_values(pair.plain, typed)
    steps = [query("BEGIN")]
    steps.append(
        query(
            f"INSERT INTO {table} VALUES (50, {quoted(typed.other)}), (51, NULL), (52, DEFAULT) RETURNING *"
        )
    )
    for number, (value, sent) in enumerate(zip(every, binary, strict=True)):
        steps.append(extended(insert, b"%d" % (2 * number), value.encode()))
        steps.append(extended(insert, b"%d" % (2 * number + 1), sent, formats=(0, 1), results=1))
    steps += [
        extended(insert, b"99", None),
        extended(update, typed.other.encode(), typed.values[0].encode()),
        query(f"UPDATE {table} SET c = {quoted(typed.values[0])} WHERE id = 1 RETURNING c"),
        extended(update, binary[0], binary[-1], formats=(1,), results=1),
        query(f"INSERT INTO {table} SELECT id + 1000, c FROM {table} ORDER BY id RETURNING *"),
        query(f"SELECT * FROM {table} ORDER BY id"),
        query("ROLLBACK"),
    ]
    both(pair, *steps)


@typed_columns
def test_refused_values(pair: Pair, typed: Typed) -> None:
    table = typed.table
    insert = f"INSERT INTO {table} VALUES (200, $1)"
    for value, sqlstate in typed.bad:
        steps = [
            query(f"INSERT INTO {table} VALUES (200, {quoted(value)})"),
            extended(insert, value.encode()),
            query(f"UPDATE {table} SET c = {quoted(value)} WHERE id = 1"),
        ]
        for step in steps:
            errors = [m.fields()["C"] for m in talk(pair.plain, step) if m.kind == b"E"]
            assert errors == [sqlstate]
        both(pair, *steps)


@typed_columns
def test_copy(pair: Pair, typed: Typed) -> None:
    table = typed.table
    for options in ("", " (FORMAT csv, HEADER)", " (FORMAT binary)"):
        out = query(f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT{options}")
        both(pair, out)
        data = b"".join(m.body for m in talk(pair.plain, out) if m.kind == b"d")
        both(
            pair,
            query("BEGIN"),
            query(f"DELETE FROM {table}"),
            query(f"COPY {table} FROM STDIN{options}"),
            copy_data(data) + COPY_DONE,
            query(f"SELECT * FROM {table} ORDER BY id"),
            query("ROLLBACK"),
        )


# What drivers make of it: the Python values must be the same.


def psycopg_tour(url: str, typed: Typed, binary: bool) -> list[object]:
    seen: list[object] = []
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor(binary=binary) as cursor:
        cursor.execute(f"SELECT id, c FROM {typed.table} ORDER BY id")
        seen += [
            [(d.name, d.type_code, d.internal_size) for d in cursor.description or ()],
            cursor.fetchall(),
        ]
        for value in [row[1] for row in seen[1]]:  # type: ignore[attr-defined]
            cursor.execute(f"SELECT id, c FROM {typed.table} WHERE c = %s", [value], prepare=True)
            seen.append(cursor.fetchall())
        connection.execute("BEGIN")
        for number, value in enumerate([row[1] for row in seen[1]], 300):  # type: ignore[attr-defined]
            cursor.execute(f"INSERT INTO {typed.table} VALUES (%s, %s) RETURNING c", [number, value])
            seen.append(cursor.fetchall())
        connection.execute("ROLLBACK")
    return seen


async def asyncpg_tour(url: str, typed: Typed) -> list[object]:
    connection: Any = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(f"SELECT id, c FROM {typed.table} ORDER BY id")
        seen: list[object] = [[tuple(row) for row in rows]]
        find = await connection.prepare(f"SELECT id, c FROM {typed.table} WHERE c = $1")
        seen.append([p.name for p in find.get_parameters()])
        add = await connection.prepare(f"INSERT INTO {typed.table} VALUES ($1, $2) RETURNING c")
        seen.append([p.name for p in add.get_parameters()])
        transaction = connection.transaction()
        await transaction.start()
        for number, row in enumerate(rows, 300):
            seen.append([tuple(r) for r in await find.fetch(row["c"])])
            seen.append(await add.fetchval(number, row["c"]))
        await transaction.rollback()
        return seen
    finally:
        await connection.close()


def driven(tour: Callable[[], list[object]]) -> object:
    """What a tour sees, or how it fails: a driver that can't handle a value can't do so in either case."""
    try:
        return repr(tour())
    except (psycopg.Error, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return type(error), getattr(error, "sqlstate", None)


@typed_columns
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_psycopg(pair: Pair, typed: Typed, binary: bool) -> None:
    plain = driven(lambda: psycopg_tour(pair.plain.url(), typed, binary))
    assert driven(lambda: psycopg_tour(pair.tested.url(), typed, binary)) == plain


@typed_columns
def test_asyncpg(pair: Pair, typed: Typed) -> None:
    plain = driven(lambda: asyncio.run(asyncpg_tour(pair.plain.url(), typed)))
    assert driven(lambda: asyncio.run(asyncpg_tour(pair.tested.url(), typed))) == plain
