"""apply and undo killed by SIGKILL at any moment: nothing is lost, nothing is half done, and the next run finishes."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg
import pytest
import yaml

from support.cluster import Cluster
from support.gateway import Deployment, deployment

pytestmark = pytest.mark.server

ROWS = 12_000
ROUNDS = 6
MOMENTS = random.Random(20261124)
TABLES: Mapping[str, object] = {
    "public.a": {"columns": {"mail": {"domain": "mail"}, "born": {"tokens": "randomized"}}},
    "public.b": {"columns": {"mail": {"domain": "mail"}}},
    "public.c": {"columns": {"name": {}}},
}
SCHEMA = f"""
CREATE TABLE a (mail varchar(20) PRIMARY KEY, born date);
CREATE TABLE b (id int PRIMARY KEY, mail varchar(20) REFERENCES a);
CREATE TABLE c (id int, name text);
CREATE VIEW v AS SELECT mail, born FROM a;
INSERT INTO a SELECT 'm' || n || '@x.org', '2000-01-01'::date + n FROM generate_series(1, {ROWS}) n;
INSERT INTO b SELECT n, 'm' || n || '@x.org' FROM generate_series(1, {ROWS}) n;
INSERT INTO c SELECT n, 'name ' || n FROM generate_series(1, {ROWS}) n;
"""
CONTENTS = (
    "SELECT (SELECT md5(string_agg(mail || born::text, ',' ORDER BY mail)) FROM a),"
    " (SELECT md5(string_agg(id || mail, ',' ORDER BY id)) FROM b),"
    " (SELECT md5(string_agg(id || name, ',' ORDER BY id)) FROM c)"
)
STATES = (
    "SELECT (SELECT count(*) FROM a WHERE mail ~ '^pn1' AND born::text ~ '^pn1'),"
    " (SELECT count(*) FROM b WHERE mail ~ '^pn1'), (SELECT count(*) FROM c WHERE name ~ '^pn1')"
)


def pgnym(made: Deployment, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command, started."""
    config = folder / "pgnym.yaml"
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pgnym.cli.main",
            *arguments,
            "--config",
            str(config),
            "--url",
            made.owner_url,
        ],
        env=made.environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


async def seen(cluster: Cluster, database: str, query: str) -> list[tuple[object, ...]]:
    """A query's rows over a connection of its own."""
    app: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(cluster.url(database))
    try:
        return [tuple(row) for row in await app.fetch(query)]
    finally:
        await app.close()


def finished(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code and output of a command that is let end."""
    output, _ = process.communicate(timeout=120)
    return process.returncode, output.decode()


def killed_often(
    cluster: Cluster, database: str, start: Callable[[], subprocess.Popen[bytes]], whole: float
) -> int:
    """Start a command, kill it at a random moment, look, again. Returns how often it was killed before its end.

    ``whole``: the seconds that it takes if it is let end.
    """
    kills = 0
    for _ in range(ROUNDS):
        process = start()
        try:
            process.wait(MOMENTS.uniform(0.1, 0.7) * whole)
        except subprocess.TimeoutExpired:
            kills += 1
        process.kill()
        process.communicate()
        ((a, b, c),) = asyncio.run(seen(cluster, database, STATES))
        # A group changes as a whole: a and b together, c by itself.
        assert (a, b) in ((0, 0), (ROWS, ROWS))
        assert c in (0, ROWS)
    return kills


def test_apply_then_undo(postgres: Cluster, database: str, tmp_path: Path) -> None:
    made = deployment(postgres, database, tables=TABLES)
    (tmp_path / "pgnym.yaml").write_text(yaml.safe_dump(made.config))
    postgres.psql(SCHEMA, database)
    before = asyncio.run(seen(postgres, database, CONTENTS))

    def command(*words: str) -> Callable[[], subprocess.Popen[bytes]]:
        return lambda: pgnym(made, tmp_path, *words)

    apply = command("apply", "--yes")
    undo = command("undo", "--table", "public.b", "--yes")  # with it a, which b refers to
    undo_c = command("undo", "--table", "public.c", "--yes")

    times = []
    for step in (apply, undo, undo_c):  # how long they take, undisturbed
        started = time.monotonic()
        assert finished(step())[0] == 0
        times.append(time.monotonic() - started)
    assert asyncio.run(seen(postgres, database, CONTENTS)) == before

    kills = killed_often(postgres, database, apply, times[0])
    assert finished(apply())[0] == 0
    assert asyncio.run(seen(postgres, database, STATES)) == [(ROWS, ROWS, ROWS)]
    code, output = finished(pgnym(made, tmp_path, "plan"))
    assert (code, "Nothing to do" in output) == (0, True)
    code, output = finished(pgnym(made, tmp_path, "verify"))
    assert (code, output.strip()) == (0, f"{ROWS * 4} tokens looked at, 0 findings.")

    kills += killed_often(postgres, database, undo, times[1])
    code, output = finished(undo())
    assert (
        code == 0 or "none of its columns is protected" in output
    )  # a killed round may have come to its end
    assert finished(undo_c())[0] == 0
    assert asyncio.run(seen(postgres, database, CONTENTS)) == before
    assert asyncio.run(seen(postgres, database, "SELECT count(*) FROM vault.protected_column")) == [(0,)]
    assert kills >= 3
