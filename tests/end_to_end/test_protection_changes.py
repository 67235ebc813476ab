"""A column comes to be protected while sessions are open: what they prepared before must not carry plaintext on."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

SECRET = "Plaintext-0c3e7d"
FIRST: dict[str, Any] = {"public.first": {"columns": {"email": {}}}}
BOTH = FIRST | {"public.second": {"columns": {"email": {}}}}


def ended(connection: psycopg.Connection[Any], seconds: float = 15) -> bool:
    """Whether the other side ends an idle connection within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return True
    return False


def test_sessions_end_when_protection_changes(postgres: Cluster) -> None:
    postgres.psql("CREATE DATABASE changing")
    try:
        for table in ("first", "second"):
            postgres.psql(f"CREATE TABLE {table} (id int, email text)", "changing")
        made = deployment(postgres, "changing", tables=FIRST)
        made.apply()
        with Gateway(made) as gateway:
            idle = psycopg.connect(gateway.url(), autocommit=True)
            busy = psycopg.connect(gateway.url())
            for connection in (idle, busy):
                connection.execute("SELECT id FROM second WHERE email = %s", ["x"], prepare=True)
            made.config["tables"] = BOTH
            busy.rollback()  # a lock of it would hold apply up
            busy.execute("SELECT 1")
            made.apply()
            assert ended(idle)
            assert busy.execute("SELECT 2").fetchone() == (2,)  # its transaction goes on
            busy.commit()
            with pytest.raises(psycopg.OperationalError):
                busy.execute("SELECT id FROM second WHERE email = %s", [SECRET], prepare=True)
        assert SECRET not in postgres.log_text()
    finally:
        postgres.psql("DROP DATABASE changing WITH (FORCE)")
