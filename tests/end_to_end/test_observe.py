"""``mode: observe``: not a byte is changed, and the report lists exactly what would be refused, without a constant."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import protected_cases
import psycopg
import pytest
import tour_django
from byte_cases import ALL as BYTE_CASES

from support import chinook
from support.cluster import SUPERUSER, Cluster
from support.gateway import DIRECT, Deployment, Gateway, GatewayError, deployment
from support.rawwire import RawClient
from support.wire_script import Case, Talk, comparable, run, show

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(f"'{DIRECT}' in __import__('os').environ", reason="there is no gateway to observe"),
]

BYTE_TABLES = """
CREATE TABLE t (id int PRIMARY KEY, name text);
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL);
CREATE TABLE wide (id int, v text);
INSERT INTO wide SELECT i, repeat('v', i % 50) FROM generate_series(1, 500) i;
"""
PEOPLE = """
CREATE TABLE customer (id int PRIMARY KEY, email varchar(60) UNIQUE, last_name varchar(20), born date, city text,
  note text);
CREATE TABLE invoice (id int PRIMARY KEY, customer_id int REFERENCES customer, address text);
CREATE VIEW mail AS SELECT email FROM customer;
CREATE TABLE plain (id int, v text);
CREATE SCHEMA other; CREATE TABLE other.customer (id int, email text);
"""
TABLES = {
    "public.customer": {
        "columns": {"email": {}, "last_name": {}, "born": {}, "note": {"tokens": "randomized"}}
    },
    "public.invoice": {"columns": {"address": {"tokens": "randomized"}}},
}


def observing(cluster: Cluster, database: str, tables: dict[str, Any], **sections: Any) -> Deployment:
    """A deployment that observes, its login made as the documentation says."""
    made = deployment(
        cluster, database, tables=tables, gateway={"mode": "observe"}, observe={"every": 1}, **sections
    )
    cluster.psql(
        f"DO $$BEGIN CREATE ROLE pgnym_gateway LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$;"
        f"ALTER ROLE pgnym_gateway PASSWORD '{made.vault_password}'"
    )
    return made


@dataclass(frozen=True, slots=True)
class Observed:
    """A database under observation."""

    cluster: Cluster
    database: str
    gateway: Gateway

    def url(self, user: str = SUPERUSER) -> str:
        return self.gateway.url(user=user)

    def report(self, until: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """A report in which everything has been judged, and ``until`` holds."""
        deadline = time.monotonic() + 20
        file = self.gateway.directory / "pgnym-readiness.json"
        while True:
            os.kill(self.gateway.pid, signal.SIGHUP)
            time.sleep(0.1)
            found: dict[str, Any] = json.loads(file.read_text())
            if not found["statements"]["not_judged"]["waiting"] and until(found):
                return found
            assert time.monotonic() < deadline, found

    def texts(self) -> str:
        """All that it has written."""
        files = [f for f in self.gateway.directory.iterdir() if f.name != "pgnym.yaml"]
        assert {f.suffix for f in files} >= {".json", ".txt"}
        return "".join(f.read_text() for f in files)


@pytest.fixture
def observed(postgres: Cluster, database: str) -> Iterator[Observed]:
    postgres.psql(PEOPLE, database)
    with Gateway(observing(postgres, database, TABLES)) as gateway:
        assert gateway.state == "observing"
        yield Observed(postgres, database, gateway)


def found(report: dict[str, Any], outcome: str) -> dict[str, dict[str, Any]]:
    """Statement → shape, of one outcome."""
    return {shape["statement"]: shape for shape in report["found"] if shape["outcome"] == outcome}


# -- not a byte is changed --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(postgres: Cluster) -> Iterator[Callable[[Case, int | None], None]]:
    template, plain, tested = "observe_template", "observe_plain", "observe_tested"
    postgres.psql(f"CREATE DATABASE {template} TEMPLATE template0")
    try:
        postgres.psql(BYTE_TABLES + protected_cases.TABLES, template)
        for copy in (plain, tested):
            postgres.psql(f"CREATE DATABASE {copy} TEMPLATE {template}")
        with Gateway(observing(postgres, tested, dict(protected_cases.PROTECTED))) as gateway:

            def compare(script: Case, pieces: int | None) -> None:
                heard = []
                for host, port, database, size in (
                    (postgres.host, postgres.port, plain, None),
                    (gateway.host, gateway.port, tested, pieces),
                ):
                    with RawClient(host, port) as client:
                        client.login(SUPERUSER, database)

                        def beside(sql: str, database: str = database) -> str:
                            return postgres.psql(sql, database)

                        talk = Talk(client, host, port, database, beside, size)
                        heard.append(comparable(script, run(script, talk), database))
                assert show(heard[1]) == show(heard[0])

            yield compare
            assert gateway.running
            assert "internal error" not in gateway.stderr_text()
    finally:
        for each in (template, plain, tested):
            postgres.psql(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")


# pgnym's own errors may differ from the server's in wording; here there are none, so nothing may differ.
SCRIPTS = [
    *BYTE_CASES,
    *(replace(c, own_errors=False) if hasattr(c, "own_errors") else c for c in protected_cases.ALL),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda c: c.name)
def test_the_replies_are_the_servers_own(pairs: Callable[[Case, int | None], None], script: Case) -> None:
    pairs(script, None)


@pytest.mark.parametrize("script", [c for c in SCRIPTS if c.split], ids=lambda c: c.name)
def test_also_when_messages_are_split(pairs: Callable[[Case, int | None], None], script: Case) -> None:
    pairs(script, 1)


# -- what the report says ---------------------------------------------------------------------------------------

WORK = [
    "SELECT * FROM customer WHERE email = '{}'",
    "INSERT INTO customer (id, email, last_name) VALUES ((SELECT count(*) FROM customer), '{}', '{}')",
    "UPDATE customer SET last_name = '{}' WHERE email IN ('{}', '{}')",
    "SELECT email FROM mail WHERE email <> '{}'",
    "DELETE FROM customer WHERE email = '{}' RETURNING id",
]
REFUSED = [
    ("SELECT note FROM customer WHERE city <> '{}' GROUP BY note",
     "SELECT note FROM customer WHERE city <> ? GROUP BY note"),
    ("SELECT c.id FROM customer c JOIN invoice i ON c.note = i.address AND i.address <> '{}'",
     "SELECT c.id FROM customer c JOIN invoice i ON c.note = i.address AND i.address <> ?"),
    ("/* {} */ SELECT id /* {} */ FROM customer -- {}\nWHERE email = city || '{}' OR city = '{}'",
     "SELECT id FROM customer WHERE email = city || ? OR city = ?"),
]  # fmt: skip


def test_the_report_lists_exactly_what_would_be_refused(observed: Observed) -> None:
    given: list[str] = []

    def filled(text: str) -> str:
        values = ["Cnry" + secrets.token_hex(4) for _ in range(text.count("{}"))]
        given.extend(values)
        return text.format(*values)

    with psycopg.connect(observed.url(), autocommit=True) as connection:
        for _ in range(3):
            for text in WORK:
                connection.execute(filled(text))
            for text, _ in REFUSED:
                connection.execute(filled(text))
            connection.execute("SELECT * FROM plain")
        for _ in range(2):
            connection.execute(
                "SELECT note FROM customer WHERE city IN (%s, %s) GROUP BY note", ["Cnry1", "Cnry2"]
            )
    report = observed.report(lambda r: r["statements"]["seen"] >= 29)
    refused = found(report, "refused")
    expected = {shape: 3 for _, shape in REFUSED}
    expected["SELECT note FROM customer WHERE city IN ($1, $2) GROUP BY note"] = 2
    assert {text: shape["count"] for text, shape in refused.items()} == expected
    assert len(found(report, "works")) == len(WORK)
    assert all(shape["count"] == 3 for shape in found(report, "works").values())
    assert report["statements"]["unconcerned"] >= 3
    one = refused["SELECT note FROM customer WHERE city <> ? GROUP BY note"]
    assert one["sqlstate"] == "0A000"
    assert "public.customer.note" in one["message"]
    assert one["hint"]
    assert one["statement"][one["at"] - 1 :] == "note"
    assert one["users"] == [SUPERUSER]
    assert len(report["columns"]) == 5
    written = observed.texts()
    assert [value for value in given if value in written] == []
    assert "NOT READY" in written


def test_constants_in_any_quotes_stay_out_of_the_report(observed: Observed) -> None:
    new = ["Cnry" + secrets.token_hex(4) for _ in range(9)]
    texts = [
        f"SELECT id FROM customer WHERE note = $${new[0]}$$",
        f"SELECT id FROM customer WHERE note = $x${new[1]}$x$ OR note = E'\\t{new[2]}' OR note = U&'{new[3]}'",
        f"SELECT id FROM customer WHERE note = '{new[4]}' 'a'",
        f'SELECT id FROM customer WHERE email = "{new[5]}"',
        f"SELECT id FROM customer WHERE email = '{new[6]}",
        f"SELECT id FROM customer WHERE email = {new[7]}",
        f"DO $$BEGIN INSERT INTO customer (id, email) VALUES (1, '{new[8]}'); END$$",
    ]
    with psycopg.connect(observed.url(), autocommit=True) as connection:
        for text in texts:
            with suppress(
                psycopg.Error
            ):  # some can't work on any server; what counts is what is written of them
                psycopg.ClientCursor(connection).execute(text)
    observed.report(lambda r: r["statements"]["seen"] >= len(texts))
    written = observed.texts()
    assert [value for value in new if value.lower() in written.lower()] == []


def expect_no_column(connection: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute(statement)


def test_names_are_looked_up_as_the_session_would(observed: Observed) -> None:
    statement = "SELECT id FROM customer WHERE email LIKE 'a%' AND email = note"
    with psycopg.connect(
        observed.url(), autocommit=True, options="-c search_path=other,public"
    ) as connection:
        expect_no_column(connection, statement)
    report = observed.report(lambda r: r["statements"]["seen"] >= 1)
    assert found(report, "refused") == {}
    with psycopg.connect(observed.url(), autocommit=True) as connection:
        connection.execute("SET search_path TO other")
        expect_no_column(connection, statement + " AND true")
        connection.execute("RESET search_path")
        connection.execute(statement + " AND note = ''")
        connection.execute("SELECT set_config('search_path', 'other', false)")
        connection.execute("SELECT id FROM customer WHERE email = 'x'")
    report = observed.report(lambda r: r["statements"]["path_not_followed"] > 0)
    assert list(found(report, "refused")) == [
        "SELECT id FROM customer WHERE email LIKE ? AND email = note AND note = ?"
    ]
    assert report["statements"]["path_not_followed"] == 1


def test_who_lacks_a_right_is_told(postgres: Cluster, database: str) -> None:
    postgres.psql(PEOPLE, database)
    postgres.psql("DROP ROLE IF EXISTS observe_low; CREATE ROLE observe_low LOGIN", database)
    postgres.psql("GRANT ALL ON ALL TABLES IN SCHEMA public TO observe_low", database)
    try:
        with Gateway(observing(postgres, database, TABLES)) as gateway:
            watched = Observed(postgres, database, gateway)
            for user in ("observe_low", SUPERUSER):
                with psycopg.connect(watched.url(user), autocommit=True) as connection:
                    connection.execute("SELECT id FROM customer WHERE email = 'x'")
                    connection.execute("SELECT id, email FROM customer")
            report = watched.report(lambda r: r["statements"]["seen"] >= 4)
        (denied,) = found(report, "denied").values()
        assert (denied["users"], denied["sqlstate"]) == (["observe_low"], "42501")
        assert found(report, "works")["SELECT id, email FROM customer"]["users"] == ["observe_low", SUPERUSER]
    finally:
        postgres.psql("DROP OWNED BY observe_low; DROP ROLE observe_low", database)


def test_a_plan_may_depend_on_constants(observed: Observed) -> None:
    with psycopg.connect(observed.url(), autocommit=True) as connection:
        for number in (1, 2, 1, 1):
            connection.execute(f"SELECT id, note FROM customer GROUP BY {number}, id")
            # Until the first of a shape has been judged, it isn't known that constants matter.
            observed.report(lambda r: any(found(r, outcome) for outcome in ("refused", "works", "invalid")))
    report = observed.report(lambda r: r["statements"]["seen"] >= 4)
    counts = {
        outcome: sum(s["count"] for s in found(report, outcome).values())
        for outcome in ("refused", "works", "invalid")
    }
    assert sum(counts.values()) == 4
    assert counts["refused"] == 1


def test_the_last_report_is_written_at_the_end(observed: Observed) -> None:
    with psycopg.connect(observed.url(), autocommit=True) as connection:
        connection.execute("SELECT note FROM customer GROUP BY note")
    file = observed.gateway.directory / "pgnym-readiness.json"
    assert observed.gateway.terminate() == 0
    assert json.loads(file.read_text())["counts"]["refused"] == 1


def test_it_does_not_run_where_columns_are_protected(postgres: Cluster, database: str) -> None:
    postgres.psql(PEOPLE, database)
    made = observing(postgres, database, TABLES)
    with Gateway(made) as gateway:
        with psycopg.connect(gateway.url(), autocommit=True) as connection:
            connection.execute("SELECT 1")
            made.pgnym("apply", "--yes")
            gateway.wait_for_log("columns have come to be protected")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT email FROM customer")
        with pytest.raises(psycopg.OperationalError, match="protected already"):
            psycopg.connect(gateway.url())
    with pytest.raises(GatewayError, match="observe, but the database has pgnym_"):
        Gateway(made).__enter__()
    enforcing = replace(
        made, config={**made.config, "gateway": {**made.config["gateway"], "mode": "enforce"}}
    )
    with Gateway(enforcing) as gateway, psycopg.connect(gateway.url(), autocommit=True) as connection:
        connection.execute("INSERT INTO customer (id, email) VALUES (1, 'a@x')")
        assert connection.execute("SELECT email FROM customer").fetchall() == [("a@x",)]


def test_what_is_no_reason_to_start_is_said(postgres: Cluster, database: str, tmp_path: Path) -> None:
    made = observing(postgres, database, {"public.nowhere": {"columns": {"a": {}}}})
    with Gateway(made) as gateway:
        assert "public.nowhere.a does not exist" in gateway.stderr_text()
        assert Observed(postgres, database, gateway).report()["problems"] == [
            "public.nowhere.a does not exist"
        ]
    made.config["observe"]["report_file"] = str(tmp_path / "no" / "such" / "directory.json")
    with pytest.raises(GatewayError, match="report_file: can't be written"):
        Gateway(made).__enter__()
    made.config["gateway"]["workers"] = 2
    with pytest.raises(GatewayError, match="counts in one process"):
        Gateway(made).__enter__()


def test_an_application_is_observed(
    postgres: Cluster, chinook_template: str, make_database: Callable[..., str]
) -> None:
    """Django's tour: the same answers as from the server, and a report that says which of its statements work."""
    plain, tested = make_database(chinook_template), make_database(chinook_template)
    expected = tour_django.tour(postgres.url(plain))
    with Gateway(observing(postgres, tested, dict(chinook.TABLES))) as gateway:
        assert tour_django.tour(gateway.url()) == expected
        report = Observed(postgres, tested, gateway).report(lambda r: r["statements"]["seen"] > 60)
    assert found(report, "invalid") == {}
    assert len(found(report, "works")) > 40
    assert report["statements"]["not_judged"]["queue_full"] == 0
