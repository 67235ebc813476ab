"""``/metrics`` of a real gateway: what happened is in it, over all workers and their ends, and nothing of anybody's data."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.admin import AdminClient
from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}}}}
CANARY = "zoe.canary@example.org"


def scraped(gateway: Gateway, token: str | None = None) -> dict[tuple[str, ...], float]:
    """Name and label values (in the order of the labels' names) → value."""
    answer = AdminClient(gateway, token)("GET", "/metrics")
    assert answer.status == 200
    assert CANARY not in answer.body
    assert "example.org" not in answer.body
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_happened_is_told(postgres: Cluster, database: str, workers: int) -> None:
    made = deployment(postgres, database, tables=TABLES, admin={"metrics": "public"})
    postgres.psql("CREATE TABLE t (id int, mail text); CREATE TABLE u (id int)", database)
    made.apply()
    with Gateway(made, arguments=["--workers", str(workers)]) as gateway, ExitStack() as stack:
        before = scraped(gateway)
        assert before["pgnym_sealed",] == 0
        sessions = [stack.enter_context(psycopg.connect(gateway.url(), autocommit=True)) for _ in range(6)]
        for session in sessions:
            session.execute("SELECT id FROM u")
            session.execute("INSERT INTO t VALUES (1, %s)", [CANARY])
        for session in sessions:
            assert session.execute("SELECT DISTINCT mail FROM t").fetchall() == [(CANARY,)]
            with pytest.raises(psycopg.Error) as refused:
                session.execute("UPDATE t SET mail = id || '@x.org'")
            assert refused.value.sqlstate == "0A000"

        expected = {
            ("pgnym_sessions",): 6,
            ("pgnym_reveals_total", "mail", "app"): 6,
            ("pgnym_statements_total", "protected"): 12,
            ("pgnym_tokenized_total", "mail", "app"): 6,
            ("pgnym_refusals_total", "0A000"): 6,
        }
        deadline = time.monotonic() + 10
        while {name: (found := scraped(gateway)).get(name) for name in expected} != expected:
            assert time.monotonic() < deadline, {name: found.get(name) for name in expected}
            # what other workers count is told within a second
            time.sleep(0.05)
        assert found["pgnym_workers",] == workers
        assert found["pgnym_statements_total", "unprotected"] >= 6
        assert found["pgnym_value_cache_total", "hit"] + found["pgnym_value_cache_total", "miss"] == 6
        assert 1 <= found["pgnym_vault_round_trip_seconds_count", "put"] <= 6
        assert 0 < found["pgnym_vault_round_trip_seconds_sum", "audit"] < 60
        assert found["pgnym_audit_waiting_records",] == 0
        assert found["pgnym_audit_unwritten_records_total",] == 0
        for session in sessions:
            session.close()
        wait_for(lambda: scraped(gateway)["pgnym_sessions",] == 0)
        if workers == 1:
            return
        victim = children(gateway.pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: len(children(gateway.pid)) == workers and victim not in children(gateway.pid))
        wait_for(lambda: scraped(gateway)["pgnym_workers",] == workers)
        assert scraped(gateway)["pgnym_reveals_total", "mail", "app"] == 6, "what a worker did outlives it"


def test_without_a_token_nothing_is_told_unless_configured(postgres: Cluster, database: str) -> None:
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql("CREATE TABLE t (id int, mail text)", database)
    made.apply()
    tokens = {
        role: made.pgnym("token", "create", "--role", role).stdout.strip()
        for role in ("operator", "auditor", "dpo")
    }
    with Gateway(made) as gateway:
        for token, status in ((None, 401), (tokens["dpo"], 403)):
            assert AdminClient(gateway, token)("GET", "/metrics").status == status
        for role in ("operator", "auditor"):
            assert scraped(gateway, tokens[role])["pgnym_workers",] == 1
        shown = made.pgnym("audit", "show", "--action", "admin").stdout
        assert [line.rpartition(" ")[2] for line in shown.splitlines() if "/metrics" in line] == [
            "401",
            "403",
        ]
    made.config["admin"]["metrics"] = "public"
    with Gateway(made, sealed=True) as gateway:
        found = scraped(gateway)
        assert (found["pgnym_sealed",], found["pgnym_sessions",]) == (1, 0)
        with pytest.raises(psycopg.OperationalError, match="sealed"):
            psycopg.connect(gateway.url())
        assert scraped(gateway)["pgnym_login_refusals_total", "57P03"] == 1
