"""Session objects of applications as a protected table: created, read, renewed, ended, expired; no payload in any file."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

SCRIPT = Path(__file__).with_name("django_sessions.py")
VERBOSE = {"log_statement": "all", "log_parameter_max_length": "-1", "log_min_duration_statement": "0"}
# What connect-pg-simple makes and sends, but for the type of sess, which is json there.
EXPRESS = """
CREATE TABLE session (sid varchar NOT NULL COLLATE "default" PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL);
CREATE INDEX "IDX_session_expire" ON session (expire);
"""
SAVE = (
    'INSERT INTO "session" (sess, expire, sid) SELECT %s, to_timestamp(%s), %s ON CONFLICT (sid)'
    " DO UPDATE SET sess = %s, expire = to_timestamp(%s) RETURNING sid"
)
LOAD = 'SELECT sess FROM "session" WHERE sid = %s AND expire >= to_timestamp(%s)'
TOUCH = 'UPDATE "session" SET expire = to_timestamp(%s) WHERE sid = %s RETURNING sid'
END = 'DELETE FROM "session" WHERE sid = %s'


@dataclass
class Site:
    """An application's database behind a gateway."""

    app: Cluster
    made: Deployment
    gateway: Gateway

    def visit(self, step: str, key: str = "", payload: str = "") -> dict[str, Any]:
        return visit(self.gateway.url("site"), step, key, payload)

    def payload(self, key: str) -> bytes:
        """What Django would have stored: its own encoding, with a signature."""
        with psycopg.connect(self.gateway.url("site")) as session:
            row = session.execute(
                "SELECT session_data FROM django_session WHERE session_key = %s", (key,)
            ).fetchone()
        assert row is not None
        return str(row[0]).encode()

    def retained(self) -> str:
        return self.made.pgnym("retention", "--yes").stdout


def visit(url: str, step: str, key: str = "", payload: str = "") -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), url, step, key, payload],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Cluster(settings=VERBOSE) as app:
        app.psql("CREATE DATABASE site")
        visit(app.url("site"), "migrate")
        app.psql(EXPRESS, "site")
        tables = {
            "public.django_session": {
                "retain": {"after": "expire_date", "for": "0d", "then": "delete"},
                "columns": {"session_data": {"tokens": "randomized"}},
            },
            "public.session": {
                "retain": {"after": "expire", "for": "0d", "then": "delete"},
                "columns": {"sess": {"tokens": "randomized"}},
            },
        }
        made = deployment(app, "site", tables=tables)
        made.apply()
        with Gateway(made) as gateway:
            yield Site(app, made, gateway)


def test_django(site: Site) -> None:
    canary = f"zq{secrets.token_hex(8)}"
    first = site.visit("create", payload=canary)
    assert first["data"] == {"cart": canary}
    assert 3500 < first["seconds"] <= 3600
    stored = [site.payload(first["key"])]
    renewed = site.visit("renew", first["key"], canary + "b")
    assert renewed["data"] == {"cart": canary, "seen": canary + "b", "_session_expiry": 7200}
    assert 7000 < renewed["seconds"] <= 7200
    stored.append(site.payload(first["key"]))
    cycled = site.visit("cycle", first["key"])
    assert cycled["key"] != first["key"]
    assert cycled["data"] == renewed["data"]
    assert cycled["all"] == 1
    assert site.visit("clear", cycled["key"])["all"] == 1, "it hasn't expired"

    other = site.visit("create", payload=canary + "c")
    site.visit("expire", other["key"])
    assert "public.django_session: 1 rows deleted" in site.retained()
    left = site.visit("read", cycled["key"])
    assert (left["all"], left["data"]) == (1, renewed["data"])
    assert site.visit("flush", cycled["key"])["all"] == 0

    assert len(set(stored)) == 2
    assert site.app.scan(stored) == []
    key = site.visit("create", payload=canary)["key"]
    token = site.app.psql(
        f"SELECT session_data FROM django_session WHERE session_key = '{key}'", "site"
    ).strip()
    assert site.app.scan([token.encode()]) != [], "what is stored would be found"


def test_express(site: Site) -> None:
    canary = f"zq{secrets.token_hex(8)}"
    payload = json.dumps({"cookie": {"maxAge": 60000}, "passport": {"user": canary}})
    with psycopg.connect(site.gateway.url("site"), autocommit=True) as session:
        now = session.execute("SELECT extract(epoch FROM now())::bigint").fetchone()
        assert now is not None
        time = now[0]
        for prepared in (False, True):
            sid = secrets.token_hex(16)
            assert session.execute(
                SAVE, (payload, time + 60, sid, payload, time + 60), prepare=prepared
            ).fetchone() == (sid,)
            newer = payload.replace("60000", "70000")
            session.execute(SAVE, (newer, time + 70, sid, newer, time + 70), prepare=prepared)
            found = session.execute(LOAD, (sid, time), prepare=prepared).fetchone()
            assert found == (json.loads(newer),)
            assert session.execute(TOUCH, (time + 90, sid), prepare=prepared).fetchone() == (sid,)
            assert session.execute(LOAD, (sid, time + 80)).fetchone() == found
            assert session.execute(LOAD, (sid, time + 100)).fetchone() is None
            session.execute(TOUCH, (time - 90, sid))
            assert "public.session: 1 rows deleted" in site.retained()
            session.execute(SAVE, (payload, time + 60, sid, payload, time + 60))
            session.execute(END, (sid,))
            assert session.execute(LOAD, (sid, time)).fetchone() is None
    assert site.app.scan([canary.encode()]) == []
