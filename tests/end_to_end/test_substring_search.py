"""Searching inside of more values than may be opened: refused, until the index is there; then what the plain table says."""

from __future__ import annotations

import time
from typing import Any, LiteralString

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

ROWS = 3000
TABLE = f"""
CREATE TABLE person (id int PRIMARY KEY, name text, note text);
INSERT INTO person SELECT n, (ARRAY['Schmidt','SCHMITZ','Weiß','Müller','Öztürk','O''Neil','Al'])[n % 7 + 1]
  || CASE WHEN n % 3 = 0 THEN ' & Söhne ' ELSE ', no. ' END || n, 'note ' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO person VALUES (0, NULL, NULL), (-1, '', ''), (-2, 'ab', 'x'), (-3, 'Zoë 100%_', 'percent');
"""
# Each with its parameters; the plain table answers the same.
FOUND: list[tuple[LiteralString, tuple[Any, ...]]] = [
    ("SELECT id FROM person WHERE name LIKE '%%no. 123%%' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name ILIKE 'schmidt, no%%12%%' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name LIKE %s ORDER BY id", ("%Söhne 99%",)),
    ("SELECT id FROM person WHERE name ILIKE %s AND id < 2900 ORDER BY id", ("%sÖHNE 11_2%",)),
    ("SELECT id FROM person WHERE name LIKE 'Zoë 100\\%%\\_' ORDER BY id", ()),
    ("SELECT id FROM person WHERE starts_with(name, 'Müller, no. 10') ORDER BY id", ()),
    ("SELECT id FROM person WHERE lower(name) = 'schmidt, no. 1001' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name LIKE '%%no. 123%%' OR name LIKE '%%no. 1230%%' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name LIKE '%%no. 123%%' OR name LIKE '%%öhne 999' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name LIKE ANY (ARRAY['%%o. 124%%', '%%o. 13_3']) ORDER BY id", ()),
    ("SELECT id FROM person WHERE lower(name) IN ('weiß, no. 2')", ()),
    ("SELECT id FROM person WHERE (name LIKE '%%no. 123%%') IS TRUE ORDER BY id", ()),
    ("SELECT id FROM person WHERE name ~ 'no\\. 12[34]$' ORDER BY id", ()),
    ("SELECT id, name LIKE '%%no. 123%%' FROM person ORDER BY id", ()),
    ("SELECT count(*) FROM person WHERE NOT coalesce(name LIKE '%%no. 123%%', false)", ()),
    ("SELECT id FROM person WHERE name LIKE '%%nobody%%'", ()),
    ("SELECT id FROM person WHERE note LIKE '%%te 77%%' ORDER BY id", ()),
]
REFUSED: list[LiteralString] = [
    "SELECT id FROM person WHERE name LIKE '%%ab%%'",  # nothing for the index
    "SELECT id FROM person WHERE name LIKE '%%no. 123%%' OR length(name) > 30",
    "SELECT id FROM person WHERE name NOT LIKE '%%no. 123%%'",
    "SELECT id FROM person WHERE length(name) > 10",
    "SELECT id FROM person WHERE name LIKE '%%no. 1%%'",  # more than the index may find
]


def tables(*search: str) -> dict[str, Any]:
    """The configured tables. The note's tokens are randomized."""
    note = {"tokens": "randomized", "search": list(search)}
    return {"public.person": {"columns": {"name": {"search": list(search)}, "note": note}}}


def refused(connection: psycopg.Connection[Any], statement: LiteralString) -> tuple[str | None, str | None]:
    """Detail and hint of a refusal for the number of values."""
    with pytest.raises(psycopg.errors.ProgramLimitExceeded) as caught:
        connection.execute(statement, ())
    return caught.value.diag.message_detail, caught.value.diag.message_hint


@pytest.mark.parametrize("own_server", [False, True])
def test_search_by_the_index(postgres: Cluster, database: str, own_server: bool) -> None:
    values = f"{database}_vault"
    plain = f"{database}_plain"
    postgres.psql(f"CREATE DATABASE {plain}")
    postgres.psql(f"CREATE DATABASE {values}")
    try:
        for each in (database, plain):
            postgres.psql(TABLE, each)
        bounds = {"scan_limit": 1000, "candidate_limit": 300}
        vault = (postgres, values) if own_server else None
        made = deployment(postgres, database, tables=tables(), vault=vault)
        made.config["vault"] = made.config.get("vault", {}) | bounds
        made.apply()
        with (
            Gateway(made) as gateway,
            psycopg.connect(postgres.url(plain), autocommit=True) as twin,
            psycopg.connect(gateway.url(), autocommit=True) as connection,
        ):
            for statement, _ in FOUND[:2]:
                detail, hint = refused(connection, statement)
                assert detail is not None
                assert "more than 1000 values" in detail
                assert hint is not None
                assert "`substring`" in hint
            indexed(made)
            used(connection)
            for statement, parameters in FOUND:
                expected = twin.execute(statement, parameters).fetchall()
                assert connection.execute(statement, parameters).fetchall() == expected, statement
                assert expected or "nobody" in statement
            for statement in REFUSED:
                detail, hint = refused(connection, statement)
            assert detail is not None
            assert detail.startswith("The index of its domain public.person.name finds more than 300 values")
            assert hint == "Ask for a longer or rarer text."
            # What is stored from now on is found at once, by another session as well.
            connection.execute("INSERT INTO person VALUES (9001, 'Brand new Name', 'a')")
            connection.execute("UPDATE person SET name = 'Renamed Name' WHERE id = 5")
            with psycopg.connect(gateway.url(), autocommit=True) as other:
                query: LiteralString = "SELECT id FROM person WHERE name LIKE %s ORDER BY id"
                assert other.execute(query, ("%ed Name%",)).fetchall() == [(5,)]
                assert other.execute(query, ("%new N%",)).fetchall() == [(9001,)]
        assert "Brand new Name" not in postgres.log_text()
    finally:
        postgres.psql(f"DROP DATABASE {values} WITH (FORCE)")
        postgres.psql(f"DROP DATABASE {plain} WITH (FORCE)")


def indexed(made: Deployment) -> None:
    """Adds the index, while the gateway runs."""
    made.config["tables"] = tables("substring")
    shown = made.pgnym("plan", check=False)
    assert shown.returncode == 2
    assert "build the substring index of domain public.person.name in the vault" in shown.stdout
    made.apply()
    assert made.pgnym("plan").returncode == 0


def used(connection: psycopg.Connection[Any]) -> None:
    """Waits until the gateway has heard of it."""
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.execute(FOUND[0][0], ())
            return
        except psycopg.errors.ProgramLimitExceeded:
            assert time.monotonic() < deadline
