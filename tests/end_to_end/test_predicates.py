"""Predicates on contents, on plain PostgreSQL and through pgnym: the same rows, types and errors; nothing of them on disk.

The server logs every statement with its parameters; what is searched for must be in none of its files.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.pq import DiagnosticField

from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = """
CREATE TABLE person (id int PRIMARY KEY, email text, name varchar(20), born date, score int, money numeric(8,2),
  seen timestamp, code char(5), note text, city text);
CREATE TABLE letter (id int, sender text, day date, place text);
CREATE VIEW card AS SELECT p.id, p.email, p.born, p.city FROM person p;
INSERT INTO person VALUES
  (1, 'ada@example.org', 'Ada', '1815-12-10', 7, 1.50, '2001-02-03 04:05:06', 'AB', 'first note', 'London'),
  (2, 'bob@example.com', 'Bob', '1815-12-11', -3, 2.00, '2020-12-31 23:59:59', 'ABC', 'second note', 'Paris'),
  (3, 'ZOE@example.org', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, NULL, 'ada b', '2000-02-29', 70, 100, 'infinity', 'C', '', 'London'),
  (5, '', 'O''Neil_%', '1999-12-31', 0, 0, NULL, 'D', 'it''s 100%', '');
INSERT INTO letter VALUES (1, 'ada@example.org', '1815-12-10', 'x'), (2, 'eve@example.net', NULL, NULL),
  (3, NULL, '2000-02-29', 'y'), (4, '', NULL, ''), (5, 'bob@example.com', '1999-12-31', 'x');
"""
PROTECTED = {
    "public.person": {
        "columns": {
            "email": {"domain": "email"},
            "name": {},
            "born": {"domain": "day"},
            "score": {},
            "money": {},
            "seen": {},
            "code": {},
            "note": {"tokens": "randomized"},
        }
    },
    "public.letter": {"columns": {"sender": {"domain": "email"}, "day": {"domain": "day"}}},
}
VERBOSE = {"log_statement": "all", "log_min_duration_statement": "0", "log_parameter_max_length": "-1"}
DAY = datetime.date

# Statements with their arguments, as asyncpg takes them. In order of rows only where it is told.
STATEMENTS: list[tuple[str, tuple[Any, ...]]] = [
    ("SELECT id FROM person WHERE email LIKE '%@example.org'", ()),
    ("SELECT id FROM person WHERE email NOT LIKE '%@example.org'", ()),
    ("SELECT id FROM person WHERE NOT (email LIKE '%@example.org')", ()),
    ("SELECT id FROM person WHERE email ILIKE 'z%'", ()),
    ("SELECT id FROM person WHERE email LIKE ''", ()),
    ("SELECT id FROM person WHERE email LIKE '%'", ()),
    ("SELECT id FROM person WHERE email LIKE NULL", ()),
    ("SELECT id, email LIKE NULL FROM person", ()),
    ("SELECT id, email LIKE 'a%', NOT email LIKE 'a%', (email LIKE 'a%') IS NULL FROM person", ()),
    ("SELECT id FROM person WHERE (email LIKE 'a%') IS NOT TRUE", ()),
    ("SELECT id, email LIKE 'no such', NOT (email LIKE 'no such' OR id = 1) FROM person", ()),
    ("SELECT id FROM person WHERE name LIKE '%\\_\\%'", ()),
    ("SELECT id FROM person WHERE name LIKE '%!_!%' ESCAPE '!'", ()),
    ("SELECT id FROM person WHERE name LIKE E'O''N%'", ()),
    ("SELECT id FROM person WHERE email LIKE ANY (ARRAY['a%', 'b%'])", ()),
    ("SELECT id FROM person WHERE email NOT LIKE ALL (ARRAY['a%', 'b%'])", ()),
    ("SELECT id FROM person WHERE email LIKE ANY ('{a%,b%}')", ()),
    ("SELECT id FROM person WHERE lower(name) = ANY ($1)", (["ada", "bob"],)),
    ("SELECT id FROM person WHERE lower(name) = ANY ($1)", ([],)),
    ("SELECT id FROM person WHERE lower(name) <> ALL ($1)", ([],)),
    ("SELECT id FROM person WHERE lower(name) <> ALL ($1)", (["ada", None],)),
    ("SELECT id, lower(name) <> ALL ($1) FROM person", (["ada"],)),
    ("SELECT id FROM person WHERE born > ALL ($1::date[])", ([DAY(1815, 12, 10), DAY(1815, 12, 11)],)),
    ("SELECT id FROM person WHERE note = ANY ($1)", (["first note", ""],)),
    ("SELECT id FROM person WHERE score < ANY ('{1,NULL}'::int[])", ()),
    ("SELECT id FROM person WHERE starts_with(email, 'a')", ()),
    ("SELECT id, starts_with(email, 'a') FROM person", ()),
    ("SELECT id FROM person WHERE email ^@ 'bob'", ()),
    ("SELECT id FROM person WHERE lower(email) = 'zoe@example.org'", ()),
    ("SELECT id FROM person WHERE lower(email) IN ('zoe@example.org', 'ada@example.org', NULL)", ()),
    ("SELECT id FROM person WHERE lower(email) NOT IN ('zoe@example.org', 'ada@example.org')", ()),
    ("SELECT id FROM person WHERE lower(email) NOT IN ('zoe@example.org', NULL)", ()),
    ("SELECT id FROM person WHERE upper(name) = upper('ada')", ()),
    ("SELECT id FROM person WHERE length(email) > 3", ()),
    ("SELECT id FROM person WHERE length(name) BETWEEN 0 AND 3", ()),
    ("SELECT id FROM person WHERE split_part(email, '@', 2) = 'example.com'", ()),
    ("SELECT id FROM person WHERE substr(email, 1, 3) = 'ada'", ()),
    ("SELECT id FROM person WHERE left(name, 1) IN ('A', 'B')", ()),
    ("SELECT id FROM person WHERE email || '!' = 'bob@example.com!'", ()),
    ("SELECT id FROM person WHERE 'Adamant' LIKE name || '%'", ()),
    ("SELECT id FROM person WHERE coalesce(email, '') NOT LIKE '%a%'", ()),
    ("SELECT id FROM person WHERE coalesce(lower(email), 'none') = 'none'", ()),
    ("SELECT id FROM person WHERE nullif(email, '') LIKE '%'", ()),
    ("SELECT id FROM person WHERE born < '1900-01-01'", ()),
    ("SELECT id FROM person WHERE born >= '1815-12-11' AND born < '2000-02-29'", ()),
    ("SELECT id FROM person WHERE born BETWEEN '1815-12-10' AND DATE '1999-12-31'", ()),
    ("SELECT id FROM person WHERE born NOT BETWEEN SYMMETRIC '1999-12-31' AND '1815-12-11'", ()),
    ("SELECT id FROM person WHERE extract(year FROM born) = 1815", ()),
    ("SELECT id FROM person WHERE date_part('month', born) IN (2, 12)", ()),
    ("SELECT id FROM person WHERE date_trunc('year', seen) = '2001-01-01'", ()),
    ("SELECT id FROM person WHERE born + 1 = '1815-12-11'", ()),
    ("SELECT id FROM person WHERE born - date '1815-12-01' < 10", ()),
    ("SELECT id FROM person WHERE seen::date = '2001-02-03'", ()),
    ("SELECT id FROM person WHERE score + 1 = 8 OR score * 2 > 100", ()),
    ("SELECT id FROM person WHERE abs(score) = 3 OR -score = 3 OR score % 7 = 0", ()),
    ("SELECT id FROM person WHERE money * 2 = 3 OR money - 1 = 1", ()),
    ("SELECT id FROM person WHERE score::text LIKE '7%'", ()),
    ("SELECT id FROM person WHERE name ~ '^A'", ()),
    ("SELECT id FROM person WHERE name !~* 'ADA'", ()),
    ("SELECT id FROM person WHERE email ~* $1", ("zoe@.*org$",)),
    ("SELECT id FROM person WHERE email SIMILAR TO '(ada|bob)@%'", ()),
    ("SELECT id FROM person WHERE position('@' in email) > 3", ()),
    ("SELECT id FROM person WHERE trim(both 'a' from lower(name)) = 'd'", ()),
    ("SELECT id FROM person WHERE score > -5 AND score < 10", ()),
    ("SELECT id FROM person WHERE score >= 6.5", ()),
    ("SELECT id FROM person WHERE money <= 1.5", ()),
    ("SELECT id FROM person WHERE seen > '2001-02-03'", ()),
    ("SELECT id FROM person WHERE code < 'AC'", ()),
    ("SELECT id FROM person WHERE code LIKE 'AB%'", ()),
    ("SELECT id FROM person WHERE code LIKE 'AB'", ()),
    ("SELECT id FROM person WHERE note = 'second note'", ()),
    ("SELECT id FROM person WHERE note IN ('first note', '')", ()),
    ("SELECT id FROM person WHERE note <> 'first note'", ()),
    ("SELECT id FROM person WHERE note LIKE '%note'", ()),
    ("SELECT id FROM person WHERE email LIKE 'a%' OR email = 'bob@example.com' OR city = 'Paris'", ()),
    ("SELECT id FROM person WHERE (email LIKE 'a%' AND id < 9) AND email LIKE '%g'", ()),
    ("SELECT p.id, l.id FROM person p JOIN letter l ON p.email = l.sender AND l.sender LIKE 'a%'", ()),
    ("SELECT p.id, l.id FROM person p LEFT JOIN letter l ON l.day = p.born AND l.day < '1900-01-01'", ()),
    ("SELECT id FROM person p WHERE EXISTS (SELECT FROM letter l WHERE l.sender = p.email AND p.email LIKE '%com')", ()),
    ("SELECT email, count(*) FROM person GROUP BY email HAVING email LIKE '%e%'", ()),
    ("SELECT email LIKE 'a%', count(*) FROM person GROUP BY email LIKE 'a%'", ()),
    ("SELECT count(*) FILTER (WHERE email LIKE '%org') FROM person", ()),
    ("SELECT CASE WHEN email LIKE 'a%' THEN 'a' WHEN length(email) = 0 THEN '' ELSE email END FROM person", ()),
    ("WITH w AS (SELECT email AS e FROM person) SELECT e FROM w WHERE e LIKE '%org'", ()),
    ("SELECT e FROM (SELECT sender AS e FROM letter UNION SELECT email FROM person) u WHERE e LIKE '%org'", ()),
    ("SELECT id FROM card WHERE email LIKE 'bob%' OR born < '1815-12-11'", ()),
    ("UPDATE person SET city = 'x' WHERE email LIKE 'a%' RETURNING id, city, email LIKE 'ada%'", ()),
    ("DELETE FROM letter WHERE sender LIKE '%org' OR day > '1999-01-01' RETURNING id", ()),
    ("INSERT INTO person (id, email) VALUES (9, 'new@example.org') RETURNING email LIKE 'new%', length(email) = 3", ()),
    ("INSERT INTO letter SELECT id, email, born FROM person WHERE email LIKE 'a%' RETURNING *", ()),
    ("INSERT INTO person (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET city = 'y' WHERE person.email LIKE 'a%'"
     " RETURNING id, city", ()),
    ("SELECT id FROM person WHERE email LIKE $1", ("%@example.org",)),
    ("SELECT id FROM person WHERE email LIKE '%' || $1 || '%'", ("example.c",)),
    ("SELECT id FROM person WHERE email LIKE $1", (None,)),
    ("SELECT id FROM person WHERE ($1::text IS NULL OR email LIKE $1) AND id < $2", ("a%", 3)),
    ("SELECT id FROM person WHERE ($1::text IS NULL OR email LIKE $1) AND id < $2", (None, 3)),
    ("SELECT id FROM person WHERE email = $1 OR email LIKE $1", ("bob@example.com",)),
    ("SELECT id FROM person WHERE city LIKE $1 OR email LIKE $1", ("%o%",)),
    ("SELECT id FROM person WHERE born BETWEEN $1 AND $2", (DAY(1815, 12, 11), DAY(1999, 12, 31))),
    ("SELECT id FROM person WHERE ($1::date IS NULL OR born > $1::date)", (DAY(1900, 1, 1),)),
    ("SELECT id FROM person WHERE score > $1 AND length(name) < $2", (0, 5)),
    ("SELECT id FROM person WHERE money > $1", (Decimal("1.99"),)),
    ("SELECT id FROM person WHERE seen < $1", (datetime.datetime(2020, 12, 31),)),
    ("SELECT id FROM person WHERE lower(email) IN ($1, $2)", ("zoe@example.org", "x")),
    ("SELECT id FROM person WHERE note = $1", ("first note",)),
]  # fmt: skip

ERRORS = [
    "SELECT id FROM person WHERE email LIKE '%\\'",
    "SELECT id FROM person WHERE born < 'someday'",
    "SELECT id FROM person WHERE score < 'x'",
    "SELECT id FROM person WHERE split_part(email, '@', 0) = 'x'",
    "SELECT id FROM person WHERE 1 / (score - 7) > 0",
    "SELECT id FROM person WHERE name ~ '('",
]


@dataclass(frozen=True, slots=True)
class Twins:
    """One cluster with the tables plain and protected, and the gateway before the latter."""

    cluster: Cluster
    gateway: Gateway

    @property
    def plain(self) -> str:
        return self.cluster.url("plain")

    @property
    def tested(self) -> str:
        return self.gateway.url()


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with Cluster(settings=VERBOSE) as cluster:
        for name in ("plain", "app"):
            cluster.psql(f"CREATE DATABASE {name}")
            cluster.psql(TABLES, name)
        made = deployment(cluster, "app", tables=PROTECTED)
        made.apply()
        with Gateway(made) as gateway:
            yield Twins(cluster, gateway)


# -- the same answers ------------------------------------------------------------------------------------------


async def fetched(url: str, statements: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
    """Rows (in any order) and types of statements by asyncpg, each rolled back; the SQLSTATE where one fails."""
    connection = await asyncpg.connect(url)
    found: list[Any] = []
    for text, arguments in statements:
        transaction = connection.transaction()
        await transaction.start()
        try:
            prepared = await connection.prepare(text)
            rows = await prepared.fetch(*arguments)
            types = [(a.name, a.type.oid) for a in prepared.get_attributes()]
            parameters = [p.oid for p in prepared.get_parameters()]
            found.append((sorted((tuple(r) for r in rows), key=repr), types, parameters))
        except asyncpg.PostgresError as error:
            found.append(error.sqlstate)
        await transaction.rollback()
    await connection.close()
    return found


@pytest.fixture(scope="module")
def answers(twins: Twins) -> list[tuple[Any, Any]]:
    expected = asyncio.run(fetched(twins.plain, STATEMENTS))
    return list(zip(expected, asyncio.run(fetched(twins.tested, STATEMENTS)), strict=True))


@pytest.mark.parametrize("number", range(len(STATEMENTS)), ids=lambda n: f"{n}: {STATEMENTS[n][0]}")
def test_extended_query_answers_alike(answers: list[tuple[Any, Any]], number: int) -> None:
    expected, found = answers[number]
    assert not isinstance(expected, str), "plain PostgreSQL must take the statement"
    assert found == expected


def exchanged(url: str, texts: list[str]) -> list[tuple[str, Any]]:
    """(SQLSTATE, rows and types) of simple queries by libpq, each rolled back."""
    found: list[tuple[str, Any]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for text in texts:
            connection.pgconn.exec_(b"BEGIN")
            result = connection.pgconn.exec_(text.encode())
            state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
            rows = [[result.get_value(i, j) for j in range(result.nfields)] for i in range(result.ntuples)]
            columns = [(result.fname(i), result.ftype(i)) for i in range(result.nfields)]
            found.append((state, (sorted(rows, key=repr), columns, result.command_status)))
            connection.pgconn.exec_(b"ROLLBACK")
    return found


def test_simple_query_answers_alike(twins: Twins) -> None:
    texts = [text for text, arguments in STATEMENTS if not arguments]
    for text, expected, found in zip(
        texts, exchanged(twins.plain, texts), exchanged(twins.tested, texts), strict=True
    ):
        assert found == expected, text
        assert not expected[0], text


def test_errors_are_those_of_postgresql(twins: Twins) -> None:
    expected = [state for state, _ in exchanged(twins.plain, ERRORS)]
    found = [state for state, _ in exchanged(twins.tested, ERRORS)]
    assert all(expected)
    assert dict(zip(ERRORS, found, strict=True)) == dict(zip(ERRORS, expected, strict=True))


def test_psycopg_parameters(twins: Twins) -> None:
    """Text and binary, of declared and of unknown types."""

    def run(url: str) -> list[Any]:
        found = []
        with psycopg.connect(url) as connection:
            for marker in ("%s", "%t", "%b"):
                for binary in (False, True):
                    cursor = connection.cursor(binary=binary)
                    cursor.execute(
                        f"SELECT id, email FROM person WHERE email LIKE {marker} AND born > {marker} AND score < {marker}"
                        " ORDER BY id",
                        ("%o%", DAY(1815, 1, 1), 100),
                    )
                    found.append(cursor.fetchall())
        return found

    assert run(twins.tested) == run(twins.plain) != []


# -- prepared statements ---------------------------------------------------------------------------------------


def test_a_prepared_statement_finds_what_was_stored_since(twins: Twins) -> None:
    async def run(url: str) -> list[Any]:
        connection = await asyncpg.connect(url)
        transaction = connection.transaction()
        await transaction.start()
        find = await connection.prepare("SELECT id FROM person WHERE email LIKE 'later%' ORDER BY id")
        found = [await find.fetch()]
        await connection.execute("INSERT INTO person (id, email) VALUES (20, 'later@example.org')")
        found.append(await find.fetch())
        await connection.execute("INSERT INTO person (id, email) VALUES ($1, $2)", 21, "later2@example.org")
        found.append(await find.fetch())
        await connection.execute("UPDATE person SET email = 'sooner@example.org' WHERE id = 20")
        found.append(await find.fetch())
        await transaction.rollback()
        await connection.close()
        return found

    found = asyncio.run(run(twins.tested))
    assert found == asyncio.run(run(twins.plain))
    assert [len(rows) for rows in found] == [0, 1, 2, 1]


def test_a_pipeline_sees_its_own_values(twins: Twins) -> None:
    with psycopg.connect(twins.tested) as connection, connection.pipeline():
        cursors = [
            connection.execute("INSERT INTO person (id, email) VALUES (30, %s)", ("pipe@example.org",)),
            connection.execute("SELECT id FROM person WHERE email LIKE %s", ("pipe%",)),
            connection.execute("SELECT id FROM person WHERE email LIKE %s", ("pipe%",)),
        ]
        assert [c.fetchall() for c in cursors[1:]] == [[(30,)], [(30,)]]
        connection.rollback()


def test_cursors_explain_and_copy(twins: Twins) -> None:
    def run(url: str) -> list[Any]:
        with psycopg.connect(url) as connection:
            connection.execute(
                "DECLARE c CURSOR FOR SELECT id FROM person WHERE email LIKE '%org' ORDER BY id"
            )
            found: list[Any] = [connection.execute("FETCH 1 FROM c").fetchall()]
            found.append(connection.execute("FETCH ALL FROM c").fetchall())
            with connection.cursor("server_side") as cursor:
                cursor.execute("SELECT id FROM person WHERE email LIKE %s ORDER BY id", ("%org",))
                found.append(cursor.fetchall())
            connection.execute("EXPLAIN SELECT id FROM person WHERE email LIKE 'a%'")
            text = "COPY (SELECT id, email FROM person WHERE email LIKE '%org' ORDER BY id) TO STDOUT"
            with connection.cursor().copy(text) as copy:
                found.append([bytes(chunk) for chunk in copy])
            return found

    assert run(twins.tested) == run(twins.plain)


def test_sql_prepare_and_execute(twins: Twins) -> None:
    texts = [
        "PREPARE one AS SELECT id FROM person WHERE email LIKE $1 AND id < $2 ORDER BY id",
        "EXECUTE one('%org', 9)",
        "EXECUTE one(NULL, 9)",
        "PREPARE two (text, date) AS SELECT id FROM person WHERE email LIKE $1 OR born > $2 ORDER BY email, id",
        "EXECUTE two('%org', '1900-01-01')",
        "PREPARE three AS SELECT id FROM person WHERE email LIKE '%org' AND born < '1900-01-01'",
        "EXECUTE three",
        "INSERT INTO person (id, email, born) VALUES (40, 'forty@example.org', '1815-01-01')",
        "EXECUTE three",
        "EXPLAIN (COSTS off) EXECUTE one('a%', 3)",
        "DELETE FROM person WHERE email LIKE 'forty%'",
        "PREPARE four AS SELECT id FROM person WHERE email LIKE $1; EXECUTE four('bob%'); DEALLOCATE four",
    ]

    def run(url: str) -> list[Any]:
        found = []
        with psycopg.connect(url, autocommit=True) as connection:
            for text in texts:
                result = connection.pgconn.exec_(text.encode())
                rows = [
                    [result.get_value(i, j) for j in range(result.nfields)] for i in range(result.ntuples)
                ]
                found.append(
                    (text, result.command_status, [] if "EXPLAIN" in text else rows, result.error_message)
                )
        return found

    assert run(twins.tested) == run(twins.plain)


# -- nothing of it on disk -------------------------------------------------------------------------------------


def test_what_is_searched_for_is_nowhere(twins: Twins) -> None:
    needles = [secrets.token_hex(8) for _ in range(10)]
    with psycopg.connect(twins.tested, autocommit=True) as connection:
        connection.execute(f"SELECT id FROM person WHERE email LIKE '%{needles[0]}%'")
        connection.execute("SELECT id FROM person WHERE email LIKE %s", (f"{needles[1]}%",))
        connection.execute("SELECT id FROM person WHERE lower(name) = %b", (needles[2],))
        connection.execute(f"SELECT email LIKE '{needles[3]}' FROM person")
        connection.execute(f"EXPLAIN ANALYZE SELECT id FROM person WHERE note LIKE '{needles[4]}%'")
        with pytest.raises(psycopg.Error):
            connection.execute(f"SELECT id FROM person WHERE born < '{needles[5]}'")
        with pytest.raises(psycopg.Error):
            connection.execute(f"SELECT 1/0 FROM person WHERE email > '{needles[6]}' OR email < 'b'")
        connection.execute(
            "SELECT id FROM person WHERE %s::text IS NOT NULL AND email ILIKE %s", (needles[7], needles[7])
        )
        connection.execute("PREPARE hidden AS SELECT id FROM person WHERE email LIKE $1")
        connection.execute(f"EXECUTE hidden('{needles[8]}')")
        connection.execute(f"EXPLAIN EXECUTE hidden('{needles[9]}')")
    spoken = [n for n in needles if n != needles[7]]  # the last stands beside nothing protected as well
    assert twins.cluster.scan([n.encode() for n in spoken]) == []
    said = twins.gateway.stderr_text()
    assert not any(needle in said for needle in needles)


def test_searches_are_audited_without_what_was_searched_for(twins: Twins) -> None:
    with psycopg.connect(twins.tested, autocommit=True) as connection:
        connection.execute("SELECT id FROM person WHERE email LIKE 'audited%' AND born > '1900-01-01'")
    told = twins.cluster.psql("SELECT action, counts FROM vault.audit ORDER BY time DESC LIMIT 1", "app")
    action, _, counts = told.strip().partition("|")
    assert action == "search"
    inspected = json.loads(counts)
    assert set(inspected) == {"email", "day"}
    assert min(inspected.values()) >= 4


def test_what_no_array_can_say_is_refused(twins: Twins) -> None:
    ((state, _),) = exchanged(
        twins.tested, ["SELECT id, nullif(lower(email), 'ada@example.org') LIKE 'b%' FROM person"]
    )
    assert state == "0A000"


# -- many values -----------------------------------------------------------------------------------------------


def test_more_values_than_may_be_opened_are_searched_by_the_index() -> None:
    with Cluster() as cluster:
        cluster.psql("CREATE DATABASE app")
        cluster.psql("CREATE TABLE t (id int, mail text, name text)", "app")
        columns = {"mail": {"search": ["equality", "substring"]}, "name": {}}
        made = deployment(cluster, "app", tables={"public.t": {"columns": columns}})
        made.config.setdefault("vault", {}).update({"scan_limit": 50, "candidate_limit": 20})
        made.apply()
        with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as connection:
            rows = [(i, f"person{i}@example.org", f"Name {i}") for i in range(100)]
            connection.cursor().executemany("INSERT INTO t VALUES (%s, %s, %s)", rows)
            found = connection.execute(
                "SELECT id FROM t WHERE mail ILIKE %s ORDER BY id", ("%PERSON7%",)
            ).fetchall()
            assert [row[0] for row in found] == [7, *range(70, 80)]
            for text, hint in (
                ("SELECT id FROM t WHERE mail LIKE '%example%'", "longer"),
                ("SELECT id FROM t WHERE mail < 'q'", "substring"),
                ("SELECT id FROM t WHERE name LIKE '%Name 7%'", "substring"),
            ):
                with pytest.raises(psycopg.errors.ProgramLimitExceeded) as caught:
                    connection.execute(text)
                assert hint in (caught.value.diag.message_hint or "")
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (100,)
