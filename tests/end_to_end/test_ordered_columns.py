"""The order index: more values than may be opened, sorted and compared beside a twin with plain columns."""

from __future__ import annotations

import os
import threading
from typing import Any, LiteralString

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

ROWS = 2000
TABLE = f"""
CREATE TABLE person (id int PRIMARY KEY, name text, born date, points int, short varchar(12), note text);
INSERT INTO person SELECT n,
  CASE WHEN n % 50 = 0 THEN NULL WHEN n % 49 = 0 THEN '' ELSE 'name ' || md5((n % 1700)::text) END,
  CASE WHEN n % 40 = 0 THEN NULL ELSE date '1950-01-01' + n * 977 % 20000 END,
  n * 7919 % 100003 - 5000, substr(md5((n * 3)::text), 1, 12), 'note ' || n FROM generate_series(1, {ROWS}) n;
"""
# Each with its parameters; the plain table answers the same.
ASKED: list[tuple[LiteralString, tuple[Any, ...]]] = [
    ("SELECT name FROM person ORDER BY name LIMIT 10", ()),
    ("SELECT id, name FROM person ORDER BY name DESC, id LIMIT 70 OFFSET 30", ()),
    ("SELECT id FROM person ORDER BY name NULLS FIRST, id DESC LIMIT 100", ()),
    ("SELECT id, born FROM person ORDER BY born DESC NULLS LAST, name, id", ()),
    ("SELECT born FROM person ORDER BY 1", ()),
    ("SELECT name AS n FROM person ORDER BY n", ()),
    ("SELECT points FROM person ORDER BY points LIMIT 20", ()),
    ("SELECT short FROM person ORDER BY short DESC LIMIT 20", ()),
    ("SELECT DISTINCT name FROM person ORDER BY name", ()),
    ("SELECT DISTINCT ON (born) born, id FROM person ORDER BY born, id", ()),
    ("SELECT name FROM person WHERE id < 99 UNION SELECT name FROM person WHERE id > 1990 ORDER BY 1", ()),
    ("SELECT min(name), max(name), min(born), max(born), min(points), max(points) FROM person", ()),
    ("SELECT min(short), max(short) FROM person WHERE id > 500", ()),
    ("SELECT id, row_number() OVER (ORDER BY name, id) FROM person ORDER BY id", ()),
    ("SELECT id, min(born) OVER (PARTITION BY id %% 3 ORDER BY points) FROM person ORDER BY id", ()),
    ("SELECT array_agg(id ORDER BY name, id) FROM person WHERE id < 100", ()),
    ("SELECT greatest(a.name, b.name), least(a.born, b.born) FROM person a JOIN person b ON b.id = a.id + 7"
     " ORDER BY a.id", ()),
    ("SELECT percentile_disc(0.3) WITHIN GROUP (ORDER BY born) FROM person", ()),
    ("SELECT count(*) FROM person a JOIN person b ON a.name < b.name WHERE a.id < 50 AND b.id < 60", ()),
    ("SELECT id FROM person WHERE name > 'name 7' AND name < 'name 8' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name >= %s AND name <= %s ORDER BY id", ("name 7", "name 9f")),
    ("SELECT id FROM person WHERE born BETWEEN '1960-01-01' AND '1961-06-30' ORDER BY id", ()),
    ("SELECT id FROM person WHERE born NOT BETWEEN '1955-01-01' AND '1999-06-30' ORDER BY id", ()),
    ("SELECT id FROM person WHERE NOT born < '1990-01-01' ORDER BY id", ()),
    ("SELECT id FROM person WHERE points > 90000 OR points < -4000 ORDER BY id", ()),
    ("SELECT id FROM person WHERE points > %s ORDER BY points, id", (94000,)),
    ("SELECT id, born < '1960-01-01' FROM person ORDER BY id", ()),
    ("SELECT id FROM person WHERE name > '' ORDER BY id", ()),
    ("SELECT id FROM person WHERE name <= '' ORDER BY id", ()),
    ("SELECT count(*) FROM person WHERE name < ''", ()),
    ("SELECT count(*) FROM person WHERE name > NULL", ()),
    ("SELECT count(*) FROM person WHERE born > '0044-03-15 BC' AND born < 'infinity'", ()),
    ("SELECT id FROM person WHERE short BETWEEN 'a' AND 'b' ORDER BY short, id", ()),
    ("SELECT id, name FROM person WHERE (name, id) > ('name 7', 5) ORDER BY name, id LIMIT 20", ()),
    ("SELECT id, born FROM person WHERE (born, id) < (%s::date, %s) ORDER BY born DESC, id DESC LIMIT 20",
     ("1980-01-01", 5)),
    ("SELECT born, count(*) FROM person WHERE born < '1952-01-01' GROUP BY born ORDER BY born", ()),
    ("SELECT id FROM person WHERE born > ALL (SELECT born FROM person WHERE id IN (5, 6)) ORDER BY id", ()),
    ("SELECT id FROM person WHERE CASE WHEN name < 'name 5' THEN id < 900 ELSE id > 1900 END ORDER BY id", ()),
]  # fmt: skip
CHANGES: list[LiteralString] = [
    "INSERT INTO person VALUES (5001, 'name 7 new', '1960-02-30'::text::date - 0, 7, 'x', 'n')".replace(
        "'1960-02-30'::text::date - 0", "'1960-02-28'"
    ),
    "INSERT INTO person SELECT id + 10000, name, born, points, short, note FROM person WHERE id < 20",
    "UPDATE person SET born = '2001-02-03', name = 'Ångström' WHERE id % 100 = 3",
    "UPDATE person SET points = -77 WHERE born < '1951-01-01'",
    "DELETE FROM person WHERE name > 'name f5'",
]


def tables(*search: str) -> dict[str, Any]:
    """The configured tables."""
    options = {"search": ["equality", *search]}
    columns = dict.fromkeys(("name", "born", "points", "short"), options)
    return {"public.person": {"columns": {name: dict(of) for name, of in columns.items()} | {"note": {}}}}


def compare(gateway: psycopg.Connection[Any], plain: psycopg.Connection[Any]) -> None:
    for statement, parameters in ASKED:
        expected = plain.execute(statement, parameters).fetchall()
        assert gateway.execute(statement, parameters).fetchall() == expected, statement


def configured(made: Deployment) -> None:
    made.config["vault"] = made.config.get("vault", {}) | {"scan_limit": 1000}


@pytest.mark.parametrize("own_server", [False, True])
def test_beyond_the_bound_it_takes_the_index(postgres: Cluster, database: str, own_server: bool) -> None:
    values, plain = f"{database}_vault", f"{database}_plain"
    for name in (values, plain):
        postgres.psql(f"CREATE DATABASE {name}")
    try:
        for each in (database, plain):
            postgres.psql(TABLE, each)
        made = deployment(
            postgres, database, tables=tables(), vault=(postgres, values) if own_server else None
        )
        configured(made)
        made.apply()
        with (
            Gateway(made) as gateway,
            psycopg.connect(gateway.url(), autocommit=True) as asked,
            pytest.raises(psycopg.errors.ProgramLimitExceeded),
        ):
            asked.execute("SELECT id FROM person ORDER BY name")
        made.config["tables"] = tables("order")
        listed = made.pgnym("plan", check=False)
        assert listed.returncode == 2, listed.stderr
        assert "build the order index of domain public.person.born" in listed.stdout
        made.apply()
        assert made.pgnym("plan").returncode == 0
        with (
            Gateway(made) as gateway,
            psycopg.connect(gateway.url(), autocommit=True) as asked,
            psycopg.connect(postgres.url(plain), autocommit=True) as twin,
        ):
            compare(asked, twin)
            for change in CHANGES:
                assert asked.execute(change).rowcount == twin.execute(change).rowcount
            for connection in (asked, twin):
                with connection.cursor().copy("COPY person FROM STDIN") as copy:
                    for n in range(20000, 21000):
                        copy.write(
                            f"{n}\tcopied {n * 7919 % 3001}\t2010-01-{n % 28 + 1:02d}\t{n}\tz{n}\tnote\n"
                        )
            compare(asked, twin)
        made.config["tables"] = tables()
        made.apply()
        assert (
            postgres.psql("SELECT count(*) FROM pg_proc WHERE proname LIKE 'order\\_%'", database).strip()
            == "0"
        )
        made.pgnym("undo", "--table", "public.person", "--yes")
    finally:
        for name in (values, plain):
            postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


def test_who_may_not_compare_learns_no_order(postgres: Cluster, database: str) -> None:
    """Neither through the gateway, in whatever disguise, nor from the server directly."""
    app, helpdesk = (f"{name}_{os.getpid()}" for name in ("order_app", "order_helpdesk"))
    postgres.psql(TABLE, database)
    for name in (app, helpdesk):
        postgres.psql(f"CREATE ROLE {name} LOGIN; GRANT ALL ON person TO {name}", database)
    roles = {
        "app": {"users": [app], "reveal": ["*"]},
        "helpdesk": {"users": [helpdesk], "mask": ["*"]},
    }
    try:
        made = deployment(postgres, database, tables=tables("order"), roles=roles)
        configured(made)
        made.apply()
        assert made.pgnym("plan").returncode == 0
        with (
            Gateway(made) as gateway,
            psycopg.connect(gateway.url(user=app), autocommit=True) as allowed,
            psycopg.connect(gateway.url(user=helpdesk), autocommit=True) as masked,
            psycopg.connect(postgres.url(database, user=helpdesk), autocommit=True) as direct,
        ):
            (row,) = allowed.execute("SELECT id FROM person ORDER BY born, id LIMIT 1").fetchall()
            allowed.execute("INSERT INTO person VALUES (7001, 'new one', '1999-09-09', 1, 's', 'n')")
            assert row
            names = postgres.psql(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'pgnym'::regnamespace AND prokind = 'f'",
                database,
            ).split()
            functions = [name for name in names if name.startswith("order_")]
            assert len(functions) == 4
            attempts = [
                "SELECT id FROM person ORDER BY born",
                "SELECT min(born) FROM person",
                "SELECT id FROM person WHERE born < '1960-01-01'",
                *(f"SELECT id FROM person ORDER BY pgnym.{name}(born::text)" for name in functions),
                *(f"SELECT pgnym.{name}('x')" for name in functions),
                *(f"DO $$ BEGIN PERFORM pgnym.{name}(born) FROM person; END $$" for name in functions),
                *(f"DO $$ BEGIN EXECUTE 'SELECT pgn' || 'ym.{name}(''x'')'; END $$" for name in functions),
                f"TABLE pgnym.codes_{functions[0].removeprefix('order_')}",
            ]
            for attempt in attempts:
                with pytest.raises(psycopg.Error) as caught:
                    masked.execute(attempt)
                assert caught.value.sqlstate in ("42501", "0A000"), attempt
            for attempt in attempts[3:]:
                with pytest.raises(psycopg.Error) as caught:
                    direct.execute(attempt)
                assert caught.value.sqlstate == "42501", attempt
    finally:
        for name in (app, helpdesk):
            postgres.psql(f"DROP OWNED BY {name}; DROP ROLE {name}", database)


def test_two_gateways_that_write_at_once(postgres: Cluster, database: str) -> None:
    """What came through either is in one order, for both."""
    postgres.psql(
        "CREATE TABLE person (id int PRIMARY KEY, name text, born date, points int, short text, note text)",
        database,
    )
    made = deployment(postgres, database, tables=tables("order"))
    configured(made)

    made.apply()
    other = deployment(postgres, database, tables=tables("order"))
    second = Deployment(
        made.config | {"gateway": other.config["gateway"], "admin": other.config["admin"]},
        made.owner_url, made.vault_owner_url, made.master_key, made.vault_password,
    )  # fmt: skip
    with Gateway(made) as one, Gateway(second) as two:
        failures: list[BaseException] = []

        def write(url: str, start: int) -> None:
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    for n in range(start, 600, 2):
                        connection.execute(
                            "INSERT INTO person VALUES (%s, %s, '2000-01-01', %s, 's', 'n')",
                            (n, f"same {n * 7919 % 600:05d}", n * 31 % 600),
                        )
            except BaseException as error:
                failures.append(error)
                raise

        writers = [
            threading.Thread(target=write, args=(gateway.url(), start))
            for start, gateway in enumerate((one, two))
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert not failures
        with psycopg.connect(two.url(), autocommit=True) as connection:
            rows = connection.execute("SELECT name FROM person ORDER BY name").fetchall()
            assert rows == sorted(rows)
            assert len(rows) == 600
            points = [
                row[0]
                for row in connection.execute("SELECT points FROM person WHERE points >= 300 ORDER BY 1")
            ]
            assert points == list(range(300, 600))


def test_an_erased_value_leaves_no_code(postgres: Cluster, database: str) -> None:
    postgres.psql(TABLE, database)
    configured_tables = tables("order")
    configured_tables["public.person"] |= {"subject": "id", "on_erase": "delete"}
    made = deployment(postgres, database, tables=configured_tables)
    made.apply()

    def codes() -> int:
        """How many there are in all domains."""
        listed = "SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$' AND relkind = 'r'"
        tables = postgres.psql(listed, database).split()
        assert len(tables) == 4
        return sum(int(postgres.psql(f"SELECT count(*) FROM pgnym.{table}", database)) for table in tables)

    before = codes()
    # Each of its values is its own but for the name, which another row has as well.
    made.pgnym("subject", "erase", "7", "--yes")
    assert codes() == before - 3
