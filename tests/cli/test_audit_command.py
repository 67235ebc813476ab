"""``pgnym audit``, on what a gateway has written: shown, filtered, verified; tampering ends with exit code 1."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}}}}


def test_show_and_verify(postgres: Cluster, database: str, tmp_path: Path) -> None:
    made = deployment(postgres, database, tables=TABLES, audit={"checkpoint": 1})
    postgres.psql("CREATE TABLE t (id int, mail text); INSERT INTO t VALUES (1, 'ada@example.org')", database)
    made.apply()
    with Gateway(made) as gateway:
        with psycopg.connect(gateway.url(database), autocommit=True) as session:
            session.execute("SET application_name = 'a|b=c'")
            assert session.execute("SELECT mail FROM t WHERE id = 1").fetchall() == [("ada@example.org",)]
            session.execute("INSERT INTO t VALUES (2, 'bob@example.org')")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                session.execute("SELECT mail || id FROM t UNION SELECT id || mail FROM t")
        gateway.terminate()
        log = tmp_path / "gateway.log"
        log.write_text(gateway.stderr_text())

    shown = made.pgnym("audit", "show").stdout
    assert "reveal" in shown
    assert "SELECT mail FROM t WHERE id = ?" in shown
    assert "example.org" not in shown
    lines = made.pgnym("audit", "show", "--action", "reveal", "--format", "jsonl").stdout.splitlines()
    (one,) = map(json.loads, lines)
    assert one["counts"] == {"mail": 1}
    token = postgres.psql("SELECT mail FROM t WHERE id = 1", database).strip()
    assert one["tokens"] == [token]
    (cef,) = made.pgnym("audit", "show", "--action", "reveal", "--format", "cef").stdout.splitlines()
    assert cef.startswith("CEF:0|pgnym|pgnym|")
    assert "requestClientApplication=a|b\\=c" in cef
    assert "cs4=mail:1" in cef
    assert made.pgnym("audit", "show", "--until", "2001-01-01").stdout == ""
    assert len(made.pgnym("audit", "show", "--limit", "1", "--newest-first").stdout.splitlines()) == 1
    assert made.pgnym("audit", "show", "--domain", "other").stdout == ""

    verified = made.pgnym("audit", "verify", "--anchors", str(log)).stdout
    assert "tenant main: " in verified
    assert ": sound" in verified
    unknown = made.pgnym("audit", "verify", "--tenant", "x", check=False)
    assert unknown.returncode == 1
    assert "no tenant 'x'" in unknown.stderr

    postgres.psql("DELETE FROM vault.audit WHERE sequence = 1", database)
    failed = made.pgnym("audit", "verify", check=False)
    assert failed.returncode == 1
    assert "NOT SOUND" in failed.stdout
    assert "✗" in failed.stdout
    postgres.psql("TRUNCATE vault.audit, vault.audit_writer, vault.audit_checkpoint", database)
    assert made.pgnym("audit", "verify").returncode == 0, "an empty log is sound as far as it can tell"
    anchored = made.pgnym("audit", "verify", "--anchors", str(log), check=False)
    assert anchored.returncode == 1
    assert "writer missing" in anchored.stdout
