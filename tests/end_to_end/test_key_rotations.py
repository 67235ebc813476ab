"""Rotations of every kind while sessions read and write through two gateways of two workers, ended by SIGKILL and run again.

PGNYM_SOAK=1 takes more rows and more kills.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
import yaml

from pgnym.vault.errors import KeyProblem
from pgnym.vault.keys import MasterKey, Purpose
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, command, deployment
from support.load import SCHEMA, TABLES, load_on, rows

pytestmark = pytest.mark.server

SOAK = bool(os.environ.get("PGNYM_SOAK"))
PERSONS = 20_000 if SOAK else 1500
KILLS = 6 if SOAK else 2


@dataclass(frozen=True)
class World:
    """A protected database, a directory with the master key, and the configuration that names it."""

    made: Deployment
    cluster: Cluster
    database: str
    directory: Path

    @property
    def key_file(self) -> Path:
        """Where gateways have their master key from."""
        return self.directory / "master.key"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command, begun."""
        file = self.directory / "pgnym.yaml"
        file.write_text(yaml.safe_dump(self.made.config))
        return subprocess.Popen(
            [*command(), *arguments, "-c", str(file)],
            env=self.made.environment(sealed=True),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the server itself says."""
        with psycopg.connect(self.cluster.url(self.database)) as direct:
            return direct.execute(query).fetchall()

    def until_done(self, *arguments: str, killed_when: list[Callable[[], bool]]) -> str:
        """Run a command until it ends by itself; before, kill it each time as soon as one of these is true."""
        for due in killed_when:
            process = self.start(*arguments)
            while process.poll() is None:
                if due():
                    process.kill()
                    break
                time.sleep(0.002)
            process.communicate(timeout=60)
        last = self.start(*arguments)
        said, errors = last.communicate(timeout=300)
        assert last.returncode == 0, errors
        assert self.key_file.read_text().strip() not in said + errors
        return said


@pytest.fixture
def world(postgres: Cluster, database: str, tmp_path: Path) -> World:
    key_file = tmp_path / "master.key"
    made = deployment(postgres, database, tables=TABLES, keys={"master_key_file": str(key_file)})
    key_file.write_text(made.master_key)
    postgres.psql(SCHEMA + rows(PERSONS), database)
    made.apply()
    return World(made, postgres, database, tmp_path)


@contextmanager
def two_gateways(world: World) -> Iterator[list[Gateway]]:
    """Two, of two workers each, that have the master key from the file."""
    other = replace(
        world.made,
        config=world.made.config
        | {
            section: {**world.made.config[section], "listen": "127.0.0.1:0"}
            for section in ("gateway", "admin")
        },
    )
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Gateway(made, sealed=True, arguments=["--workers", "2"]))
            for made in (world.made, other)
        ]


def after(seconds: float) -> Callable[[], bool]:
    """True so long after it is first asked."""
    first: list[float] = []

    def due() -> bool:
        first.append(time.monotonic())
        return first[-1] - first[0] > seconds

    return due


def moments() -> list[Callable[[], bool]]:
    """When to kill: some time after the start of the interpreter, which takes a part of a second."""
    return [after(0.4 + 0.25 * n) for n in range(KILLS)]


def test_data_keys(world: World) -> None:
    def some_are_done(part: float) -> Callable[[], bool]:
        def due() -> bool:
            ((share,),) = world.rows(
                "SELECT coalesce(avg((generation > 1)::int), 0)::float8 FROM vault.value"
            )
            return isinstance(share, float) and share > part

        return due

    with two_gateways(world) as gateways, load_on([g.url() for g in gateways], PERSONS) as load:
        load.after(100)
        said = world.until_done(
            "keys", "rotate", "data", killed_when=[some_are_done((n + 1) / (KILLS + 2)) for n in range(KILLS)]
        )
        assert "destroyed: 1" in said
        load.after(100)
    assert world.rows("SELECT DISTINCT generation FROM vault.value") == [(2,)]
    assert load.written > 20


def test_the_master_key(world: World) -> None:
    old, new = MasterKey(base64.b64decode(world.made.master_key)), MasterKey(os.urandom(32))
    (world.directory / "new.key").write_text(base64.b64encode(new.expose()).decode())
    with two_gateways(world) as gateways, load_on([g.url() for g in gateways], PERSONS) as load:
        load.after(100)
        begin = ["keys", "rotate", "master", "--new-key-file", str(world.directory / "new.key")]
        said = world.until_done(*begin, killed_when=moments())
        assert f"master keys {old.id} and {new.id} both open the vault" in said
        early = world.start(
            "keys", "rotate", "master", "--finish", "--new-key-file", str(world.directory / "new.key")
        )
        _, refusal = early.communicate(timeout=60)
        assert early.returncode == 1
        assert f"4 processes still hold master key {old.id}" in refusal
        load.after(100)
        world.key_file.write_text((world.directory / "new.key").read_text())
        said = world.until_done("keys", "rotate", "master", "--finish", killed_when=moments())
        assert new.id in said
        load.after(100)
    for tenant, purpose, generation, wrapped in world.rows(
        "SELECT tenant, purpose, generation, wrapped FROM vault.key"
    ):
        assert isinstance(tenant, int)
        assert isinstance(generation, int)
        assert isinstance(wrapped, bytes)
        with pytest.raises(KeyProblem):
            old.unwrap(wrapped, Purpose(purpose), tenant, generation)
    with Gateway(world.made, sealed=True):
        pass  # with what the file says now
    world.key_file.write_text(world.made.master_key)
    with pytest.raises(Exception, match="wrong master key"), Gateway(world.made, sealed=True):
        pass
