"""Rotations of every kind while sessions read and write through two gateways of two workers, ended by SIGKILL and run again.

The long form (``make soak``) has more rows, and kills more often.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import subprocess
import threading
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
from support.load import SCHEMA, TABLES, load_on, mail, rows

pytestmark = pytest.mark.server

TOKEN = re.compile("pn1[a-z2-7]{27}")
SHORT, LONG = (1500, 2), (20_000, 6)  # persons, kills


@dataclass(frozen=True)
class World:
    """A protected database, a directory with the master key, and the configuration that names it."""

    made: Deployment
    cluster: Cluster
    database: str
    directory: Path
    persons: int
    kills: int

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


@pytest.fixture(params=[SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def world(postgres: Cluster, database: str, tmp_path: Path, request: pytest.FixtureRequest) -> World:
    persons, kills = request.param
    key_file = tmp_path / "master.key"
    made = deployment(postgres, database, tables=TABLES, keys={"master_key_file": str(key_file)})
    key_file.write_text(made.master_key)
    postgres.psql(SCHEMA + rows(persons), database)
    made.apply()
    return World(made, postgres, database, tmp_path, persons, kills)


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


def moments(kills: int) -> list[Callable[[], bool]]:
    """When to kill: some time after the start of the interpreter, which takes a part of a second."""
    return [after(0.4 + 0.25 * n) for n in range(kills)]


def test_data_keys(world: World) -> None:
    def some_are_done(part: float) -> Callable[[], bool]:
        def due() -> bool:
            ((share,),) = world.rows(
                "SELECT coalesce(avg((generation > 1)::int), 0)::float8 FROM vault.value"
            )
            return isinstance(share, float) and share > part

        return due

    with two_gateways(world) as gateways, load_on([g.url() for g in gateways], world.persons) as load:
        load.after(100)
        said = world.until_done(
            "keys",
            "rotate",
            "data",
            killed_when=[some_are_done((n + 1) / (world.kills + 2)) for n in range(world.kills)],
        )
        assert "destroyed: 1" in said
        load.after(100)
    assert world.rows("SELECT DISTINCT generation FROM vault.value") == [(2,)]
    assert load.written > 20


def test_the_master_key(world: World) -> None:
    old, new = MasterKey(base64.b64decode(world.made.master_key)), MasterKey(os.urandom(32))
    (world.directory / "new.key").write_text(base64.b64encode(new.expose()).decode())
    with two_gateways(world) as gateways, load_on([g.url() for g in gateways], world.persons) as load:
        load.after(100)
        begin = ["keys", "rotate", "master", "--new-key-file", str(world.directory / "new.key")]
        said = world.until_done(*begin, killed_when=moments(world.kills))
        assert f"master keys {old.id} and {new.id} both open the vault" in said
        early = world.start(
            "keys", "rotate", "master", "--finish", "--new-key-file", str(world.directory / "new.key")
        )
        _, refusal = early.communicate(timeout=60)
        assert early.returncode == 1
        assert f"4 processes still hold master key {old.id}" in refusal
        load.after(100)
        world.key_file.write_text((world.directory / "new.key").read_text())
        said = world.until_done("keys", "rotate", "master", "--finish", killed_when=moments(world.kills))
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


def test_token_keys(world: World) -> None:
    """Killed at several moments: sessions wait from the kill until it is run again, and none of them fails."""

    def begun_for(seconds: float) -> Callable[[], bool]:
        due = after(seconds)
        return lambda: bool(world.rows("SELECT FROM vault.tenant WHERE new_token_key IS NOT NULL")) and due()

    stored = "SELECT string_agg(p::text, ' ') || (SELECT string_agg(v::text, ' ') FROM visit v) FROM person p"
    randomized = {row[0] for row in world.rows("SELECT left(born, 6) FROM person LIMIT 1")}
    with two_gateways(world) as gateways, load_on([g.url() for g in gateways], world.persons) as load:
        load.after(200)
        before = set(TOKEN.findall(str(world.rows(stored)[0][0])))
        load.longest = 0.0
        said = world.until_done("keys", "rotate", "token", killed_when=[])
        print(f"statements waited {load.longest:.2f} s at most: {said}")
        load.after(200)
        said = world.until_done(
            "keys", "rotate", "token", killed_when=[begun_for(0.1 * n) for n in range(world.kills)]
        )
        load.after(200)
    after_that = set(TOKEN.findall(str(world.rows(stored)[0][0])))
    old = {token for token in before if token[:6] not in randomized}
    assert len(old) > world.persons
    assert not old & after_that
    assert not old & {str(row[0]) for row in world.rows("SELECT token FROM vault.value")}
    assert world.rows("SELECT count(*), max(generation) FROM vault.key WHERE purpose = 'token'") == [(1, 3)]
    assert load.written > 20


def test_what_sessions_have_of_old_tokens(world: World) -> None:
    """Statements that were prepared with parameters go on; a session whose server-side texts hold tokens ends."""
    find = "SELECT id FROM person WHERE mail = %s"
    with two_gateways(world) as gateways:
        url = gateways[0].url()
        by_parameter = psycopg.connect(url, autocommit=True)
        by_constant = psycopg.connect(url, autocommit=True)
        by_name = psycopg.connect(url, autocommit=True)
        holding = psycopg.connect(url, autocommit=True)
        unnamed = psycopg.connect(url, autocommit=True)
        for _ in range(2):
            assert by_parameter.execute(find, (mail(5),), prepare=True).fetchall() == [(5,)]
        constant = f"SELECT id FROM person WHERE mail = '{mail(6)}' AND id > %s"
        assert by_constant.execute(constant, (0,), prepare=True).fetchall() == [(6,)]
        assert unnamed.execute(constant, (0,), prepare=False).fetchall() == [(6,)]
        by_name.execute(f"PREPARE one AS SELECT id FROM person WHERE mail = '{mail(7)}'")
        holding.execute("BEGIN")
        holding.execute("DECLARE c CURSOR WITH HOLD FOR SELECT mail FROM person ORDER BY id")
        holding.execute("COMMIT")
        world.until_done("keys", "rotate", "token", killed_when=[])
        assert by_parameter.execute(find, (mail(5),), prepare=True).fetchall() == [(5,)]
        assert unnamed.execute(constant, (0,), prepare=False).fetchall() == [(6,)]
        for session, text in (
            (by_constant, constant.replace("%s", "0")),
            (by_name, "EXECUTE one"),
            (holding, "FETCH c"),
        ):
            with pytest.raises(psycopg.OperationalError):
                session.execute(text)
        for session in (by_parameter, by_constant, by_name, holding, unnamed):
            session.close()


def test_logins_wait_while_a_token_key_is_changed(world: World) -> None:
    with two_gateways(world) as gateways:
        process = world.start("keys", "rotate", "token")
        while not world.rows("SELECT FROM vault.tenant WHERE new_token_key IS NOT NULL"):
            assert process.poll() is None
        process.kill()
        process.communicate(timeout=60)
        assert world.rows("SELECT count(*) FROM vault.tenant WHERE new_token_key IS NOT NULL") == [(1,)]
        answers: list[object] = []

        def read() -> None:
            with psycopg.connect(gateways[1].url(), autocommit=True) as late:
                answers.extend(late.execute("SELECT id FROM person WHERE mail = %s", (mail(9),)).fetchall())

        reader = threading.Thread(target=read)
        reader.start()
        reader.join(1.0)
        assert reader.is_alive()
        assert not answers
        world.until_done("keys", "rotate", "token", killed_when=[])
        reader.join(30)
        assert answers == [(9,)]
