"""``retention.every``: gateways erase by themselves what has been kept long enough, one of them at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.admin import AdminClient
from support.cluster import Cluster, free_port
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {
    "public.visit": {
        "retain": {"after": "at", "for": "30d", "then": "delete"},
        "columns": {"mail": {"domain": "mail"}},
    }
}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def scraped(gateway: Gateway, name: str) -> float:
    """The sum over labels; 0 while there is none."""
    answer = AdminClient(gateway)("GET", "/metrics")
    assert answer.status == 200
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
        if sample.name == name
    )


def prepared(postgres: Cluster, database: str, **retention: Any) -> Deployment:
    postgres.psql("CREATE TABLE visit (at timestamptz NOT NULL, mail text)", database)
    made = deployment(
        postgres, database, tables=TABLES, admin={"metrics": "public"}, retention={"every": 1, **retention}
    )
    made.apply()
    return made


def another(made: Deployment) -> Deployment:
    """A further gateway of the same vault."""
    listen = {
        name: {**made.config[name], "listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")
    }
    return replace(made, config=made.config | listen)


@contextmanager
def filled(gateway: Gateway, rows: int = 5) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(gateway.url(), autocommit=True) as session:
        for n in range(rows):
            session.execute(
                "INSERT INTO visit VALUES (now() - interval '31 days', %s)", (f"{n}@example.org",)
            )
        session.execute("INSERT INTO visit VALUES (now(), 'fresh@example.org')")
        yield session


def test_one_of_two_gateways_does_it_and_the_other_when_that_is_killed(
    postgres: Cluster, database: str
) -> None:
    made = prepared(postgres, database)
    with Gateway(made, arguments=["--workers", "2"]) as first, Gateway(another(made)) as second:
        with filled(first) as session:
            wait_for(lambda: session.execute("SELECT mail FROM visit").fetchall() == [("fresh@example.org",)])
        wait_for(lambda: sum(scraped(each, "pgnym_retained_rows_total") for each in (first, second)) == 5)
        wait_for(lambda: scraped(second, "pgnym_retention_last_success_timestamp_seconds") > 0)
        first.kill()
        with filled(second) as session:
            wait_for(lambda: len(session.execute("SELECT FROM visit").fetchall()) == 2)
    runs = postgres.psql(
        "SELECT count(*) FILTER (WHERE started < before), count(*) FILTER (WHERE started < began + interval '1 s')"
        " FROM (SELECT started, lag(ended) OVER w AS before, lag(started) OVER w AS began FROM vault.retention_run"
        " WHERE ended IS NOT NULL WINDOW w AS (ORDER BY started)) t",
        database,
    )
    assert runs.strip() == "0|0", "never two at a time, and not more often than is asked for"
    assert "rows of public.visit deleted" in made.pgnym("audit", "show", "--action", "retain").stdout
    assert made.pgnym("audit", "verify", check=False).returncode == 0


def test_what_fails_is_told_and_tried_again(postgres: Cluster, database: str) -> None:
    made = prepared(postgres, database)
    postgres.psql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'secret'; END$$;"
        "CREATE TRIGGER no BEFORE DELETE ON visit FOR EACH ROW EXECUTE FUNCTION no()",
        database,
    )
    with Gateway(made) as gateway, filled(gateway) as session:
        wait_for(lambda: scraped(gateway, "pgnym_retention_runs_total") > 0)
        gateway.wait_for_log(r"retention could not be carried out: public\.visit: .*P0001", 30)
        assert "secret" not in gateway.stderr_text()
        assert len(session.execute("SELECT FROM visit").fetchall()) == 6
        postgres.psql("DROP TRIGGER no ON visit", database)
        wait_for(lambda: len(session.execute("SELECT FROM visit").fetchall()) == 1)


def test_a_dry_run_only_counts(postgres: Cluster, database: str) -> None:
    made = prepared(postgres, database, dry_run=True)
    with Gateway(made) as gateway, filled(gateway) as session:
        gateway.wait_for_log(r"5 rows of public\.visit would be deleted", 30)
        assert len(session.execute("SELECT FROM visit").fetchall()) == 6
        assert scraped(gateway, "pgnym_retained_rows_total") == 0
    assert (
        "retention (dry run): 5 rows of public.visit"
        in made.pgnym("audit", "show", "--action", "admin").stdout
    )


def test_a_sealed_gateway_waits_for_its_keys(postgres: Cluster, database: str) -> None:
    made = prepared(postgres, database)
    with Gateway(made) as gateway, filled(gateway):
        pass
    with Gateway(made, sealed=True) as gateway:
        answer = AdminClient(gateway)("POST", "/v1/unseal", {"key": made.master_key})
        assert answer.status == 200
        wait_for(lambda: postgres.psql("SELECT count(*) FROM visit", database).strip() == "1")
