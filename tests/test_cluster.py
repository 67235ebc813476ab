"""The test clusters themselves: what other tests take for granted."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from support.binaries import Unavailable
from support.cluster import Auth, Cluster, ClusterError
from support.scan import scan_files

pytestmark = pytest.mark.server


def test_a_statement_over_tcp_and_over_the_unix_socket(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.url(database)) as connection:
        row = connection.execute("SELECT current_database(), inet_server_port()").fetchone()
    assert row == (database, postgres.port)
    assert postgres.psql("SELECT current_database()", database) == database + "\n"


def test_an_error_in_psql_is_raised_with_its_text(postgres: Cluster) -> None:
    with pytest.raises(ClusterError, match='relation "nowhere" does not exist'):
        postgres.psql("SELECT * FROM nowhere")


@pytest.mark.parametrize("auth", ["scram-sha-256", "md5", "password"])
def test_passwords_are_asked_for(auth: Auth) -> None:
    with Cluster(auth=auth) as cluster:
        with psycopg.connect(cluster.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(cluster.url(password="wrong"))
        stored = cluster.psql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
        assert stored.startswith("md5" if auth == "md5" else "SCRAM-SHA-256$")


def test_tls_with_a_verified_certificate(system_postgres: Cluster) -> None:
    assert system_postgres.certificates is not None
    url = f"{system_postgres.url()}?sslmode=verify-full&sslrootcert={system_postgres.certificates.authority}"
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row == (True,)


def test_a_scan_finds_rows_statements_and_encoded_values() -> None:
    with Cluster(settings={"log_statement": "all"}) as cluster:
        assert cluster.scan([b"canary-in-a-row", b"CANARY-in-the-log", b"canary-as-bytea"]) == []
        hexed = b"canary-as-bytea".hex()
        cluster.psql(
            "CREATE TABLE t AS SELECT 'canary-' || 'in-a-row' AS v;"
            "DO $$BEGIN PERFORM 'canary-in-the-log'; END$$;"
            f"SELECT '\\x{hexed}'::bytea;"
        )
        found = cluster.scan([b"canary-in-a-row", b"CANARY-in-the-log", b"canary-as-bytea"])
    kinds = {(line.split("/")[0].split(":")[0], line.rsplit(": ")[-1]) for line in found}
    assert kinds >= {
        ("base", "canary-in-a-row"),
        ("pg_wal", "canary-in-a-row"),
        ("server.log", "CANARY-in-the-log"),
        ("server.log", "canary-as-bytea"),
    }


def test_short_needles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too short"):
        scan_files(tmp_path, [b"abc"])


def test_rows_survive_an_immediate_stop() -> None:
    with Cluster(settings={"fsync": "on"}) as cluster:
        cluster.psql("CREATE TABLE t AS SELECT 1 AS a")
        cluster.restart("immediate")
        assert cluster.psql("SELECT a FROM t") == "1\n"
        assert "database system was not properly shut down" in cluster.log_text()


def test_nothing_stays_behind_after_an_error() -> None:
    seen: list[tuple[Path, int]] = []

    def fail_inside() -> None:
        with Cluster() as cluster:
            pid = int((cluster.data_directory / "postmaster.pid").read_text().split()[0])
            seen.append((cluster.directory, pid))
            raise RuntimeError("in the test")

    with pytest.raises(RuntimeError, match="in the test"):
        fail_inside()
    [(directory, pid)] = seen
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_wrong_setting_is_an_error_with_the_servers_words() -> None:
    with pytest.raises(ClusterError, match="no_such_setting"), Cluster(settings={"no_such_setting": "1"}):
        pass


def test_no_installed_server_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("support.binaries.SYSTEM_ROOT", tmp_path)
    with pytest.raises(Unavailable, match="apt-get install postgresql"):
        Cluster(version="system")
