"""Functions of protected values in the output: through the gateway the rows and types that plain columns give.

The same statements run on a twin database with plain columns and, through pgnym, on protected ones, by psycopg and
asyncpg, in text and in binary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format

from support.cluster import Cluster
from support.gateway import Endpoint, deployment, through

pytestmark = pytest.mark.server

CANARY = "Zyqvandra"
TABLES = f"""
CREATE TABLE person (id int PRIMARY KEY, first varchar(40), last varchar(40), born date, points int, code char(6),
  seen timestamp, note text);
INSERT INTO person VALUES
  (1, '{CANARY}', 'O''Hara, "Zoë" (née \\Müller)', '1962-02-18', 7, 'ab', '2001-02-03 04:05:06.7', 'plain'),
  (2, 'ßtraße é', '', '2000-02-29', -3, 'é', '1999-12-31 23:59:59', NULL),
  (3, '', 'NULL', NULL, NULL, '', NULL, ''),
  (4, NULL, NULL, '0044-03-15 BC', 2147483647, NULL, 'infinity', 'x'),
  (5, '{{a,b}}', E'tab\\there\\nnew', '1970-01-01', 0, 'abcdef', '1970-01-01 00:00:00', '$');
CREATE ROLE masked LOGIN PASSWORD 'x'; CREATE ROLE tokens LOGIN PASSWORD 'x';
"""
PROTECTED = {
    "public.person": {
        "subject": "id",
        "columns": {
            "first": {"mask": "initial"}, "last": {"mask": "all"}, "born": {}, "points": {}, "code": {}, "seen": {},
        },
    }
}  # fmt: skip
ROLES = {
    "app": {"users": ["postgres"], "reveal": ["*"], "reveal_limit": {"statement": 100000, "minute": 1000000}},
    "helpdesk": {"users": ["masked"], "mask": ["*"]},
}

STATEMENTS = [
    "SELECT id, upper(first), lower(last), initcap(last) FROM person ORDER BY id",
    "SELECT id, left(first, 2), right(last, 3), left(last, -2), right(first, -1) FROM person ORDER BY id",
    "SELECT id, length(first), char_length(last), octet_length(first) FROM person ORDER BY id",
    "SELECT id, trim(first), ltrim(last, 'ON'), rtrim(last, 'a'), btrim(last, ' ') FROM person ORDER BY id",
    "SELECT id, trim(both 'Z' FROM first), trim(leading FROM last) FROM person ORDER BY id",
    "SELECT id, substr(first, 2), substr(first, 2, 3), substring(last FROM 2 FOR 3) FROM person ORDER BY id",
    "SELECT id, split_part(last, ' ', 1), split_part(last, ',', 2) FROM person ORDER BY id",
    "SELECT id, replace(first, 'a', 'A'), reverse(last), repeat(first, 2) FROM person ORDER BY id",
    "SELECT id, lpad(first, 12, '*'), rpad(last, 4) FROM person ORDER BY id",
    "SELECT id, md5(first), md5(last) FROM person ORDER BY id",
    "SELECT id, upper(left(first, 1)) || '. ' || last FROM person ORDER BY id",
    "SELECT id, upper(first || ' ' || last), length(first || last) FROM person ORDER BY id",
    "SELECT id, upper(concat_ws(' ', first, last)), lower(concat(first, '-', id)) FROM person ORDER BY id",
    "SELECT id, replace(last, first, '…'), left(first, length(last)) FROM person ORDER BY id",
    "SELECT id, coalesce(length(first), 0), coalesce(upper(first), 'none') FROM person ORDER BY id",
    "SELECT id, CASE WHEN id > 2 THEN upper(first) WHEN id = 1 THEN note ELSE last END FROM person ORDER BY id",
    "SELECT id, CASE WHEN id > 2 THEN length(first) ELSE -1 END FROM person ORDER BY id",
    "SELECT u, length(u), lower(u) FROM (SELECT upper(first) AS u FROM person ORDER BY id) s",
    "WITH w AS (SELECT id, upper(first) AS u FROM person) SELECT w.u, p.last FROM w JOIN person p USING (id) ORDER BY id",
    "SELECT string_agg(upper(first), ', ' ORDER BY id) FROM person",
    "SELECT array_agg(upper(last) ORDER BY id), array_agg(length(first) ORDER BY id) FROM person",
    "SELECT json_agg(length(first) ORDER BY id), json_agg(upper(last) ORDER BY id) FROM person",
    "SELECT id, json_build_object('n', length(first), 'u', upper(last)) FROM person ORDER BY id",
    "SELECT id, jsonb_build_object('n', length(first), 'u', upper(last)) FROM person ORDER BY id",
    "SELECT id, ROW(upper(last), length(first)) FROM person ORDER BY id",
    "SELECT s FROM (SELECT id, upper(last) AS u, length(first) AS n FROM person ORDER BY id) s",
    "SELECT id, format('%s (%s)', upper(first), length(last)) FROM person ORDER BY id",
    "SELECT id, length(first)::text, upper(first)::varchar FROM person ORDER BY id",
    "SELECT upper(first) FROM person UNION ALL SELECT note FROM person",
    "SELECT upper(first) FROM person UNION ALL SELECT last FROM person",
    "SELECT count(upper(first)), count(*) FROM person WHERE note IS NOT NULL",
    "SELECT (SELECT upper(first) FROM person WHERE id = 1), ARRAY(SELECT left(last, 3) FROM person ORDER BY id)",
    "SELECT id, upper(code), length(code) FROM person ORDER BY id",
    "UPDATE person SET note = 'n' WHERE id = 1 RETURNING id, upper(first), length(last)",
]


@dataclass(frozen=True, slots=True)
class Twins:
    """The plain database, and the gateway before the protected one."""

    cluster: Cluster
    plain: str
    gateway: Endpoint

    @property
    def url(self) -> str:
        return self.gateway.url()


@pytest.fixture(scope="module")
def twins(postgres: Cluster) -> Iterator[Twins]:
    names = ("deferred_plain", "deferred_tested")
    try:
        postgres.psql(f"CREATE DATABASE {names[0]} TEMPLATE template0")
        postgres.psql(TABLES, names[0])
        postgres.psql(f"CREATE DATABASE {names[1]} TEMPLATE template0")
        postgres.psql(TABLES.split("CREATE ROLE", maxsplit=1)[0], names[1])
        for name in names:
            postgres.psql("GRANT ALL ON person TO masked, tokens", name)
        with through(deployment(postgres, names[1], tables=PROTECTED, roles=ROLES)) as gateway:
            yield Twins(postgres, postgres.url(names[0]), gateway)
    finally:
        for name in names:
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        postgres.psql("DROP ROLE IF EXISTS masked; DROP ROLE IF EXISTS tokens")


Answer = tuple[list[tuple[str, int]], list[tuple[Any, ...]]] | str


def by_psycopg(url: str, statement: str, *, binary: bool) -> Answer:
    """(names and types, rows) of a statement, or the SQLSTATE of its error."""
    with psycopg.connect(url) as connection:
        connection.adapters.register_loader("date", _DateAsText)
        connection.adapters.register_loader("timestamp", _DateAsText)
        connection.adapters.register_loader("date", _Raw)
        connection.adapters.register_loader("timestamp", _Raw)
        try:
            cursor = connection.cursor(binary=binary)
            cursor.execute(statement.encode())
            assert cursor.description is not None
            return [(c.name, c.type_code) for c in cursor.description], cursor.fetchall()
        except psycopg.Error as error:
            return error.sqlstate or "?"


class _DateAsText(Loader):
    """BC and infinity have no Python date."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _Raw(_DateAsText):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).hex()


async def by_asyncpg(url: str, statement: str, *arguments: object) -> Answer:
    """As ``by_psycopg``: a prepared statement, its rows in binary."""
    connection = await asyncpg.connect(url)
    try:
        prepared = await connection.prepare(statement)
        rows = [tuple(r.values()) for r in await prepared.fetch(*arguments)]
        return [(a.name, a.type.oid) for a in prepared.get_attributes()], rows
    except asyncpg.PostgresError as error:
        return error.sqlstate
    finally:
        await connection.close()


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_psycopg_sees_what_plain_columns_give(twins: Twins, statement: str, binary: bool) -> None:
    expected = by_psycopg(twins.plain, statement, binary=binary)
    assert not isinstance(expected, str), expected
    assert by_psycopg(twins.url, statement, binary=binary) == expected


@pytest.mark.parametrize("statement", [s for s in STATEMENTS if "born" not in s and "seen" not in s])
def test_asyncpg_sees_what_plain_columns_give(twins: Twins, statement: str) -> None:
    expected = asyncio.run(by_asyncpg(twins.plain, statement))
    assert not isinstance(expected, str), expected
    assert asyncio.run(by_asyncpg(twins.url, statement)) == expected
