"""``pgnym purge``: what no row holds goes, what a row holds or will hold stays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from pgnym.vault import locks
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, command, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}, "tags": {"domain": "tag"}}}}
COUNT = "SELECT count(*) FROM vault.value"


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    postgres: Cluster
    database: str

    def sql(self, text: str) -> str:
        return self.postgres.psql(text, self.database).strip()

    def session(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.gateway.url(self.database), autocommit=True)

    def age(self) -> None:
        """As if all had been stored long ago."""
        self.sql("UPDATE vault.value SET last_put = now() - interval '40 days'")

    def purge(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.made.pgnym("purge", "--yes", *options, check=False)


@pytest.fixture
def world(postgres: Cluster, database: str) -> Iterator[World]:
    postgres.psql("CREATE TABLE t (id int, mail text, tags text[])", database)
    made = deployment(postgres, database, tables=TABLES)
    made.apply()
    with Gateway(made) as gateway:
        found = World(made, gateway, postgres, database)
        with found.session() as session:
            session.execute(
                "INSERT INTO t VALUES (1, 'ann@example.org', '{red,green}'), (2, 'bob@example.org', '{red,blue}'),"
                " (3, 'cy@example.org', NULL)"
            )
        yield found


def test_what_no_row_holds_goes_after_its_time(world: World) -> None:
    with world.session() as session:
        session.execute("DELETE FROM t WHERE id IN (2, 3)")
        assert world.purge().stdout == "main: no values deleted\n", "they are younger than 30 days"
        world.age()
        told = "2 of mail, 1 of tag"
        assert world.purge("--dry-run").stdout == f"main: {told} would be deleted\n"
        assert world.sql(COUNT) == "6"
        assert world.purge().stdout == f"main: {told} deleted\n"
        assert world.sql(COUNT) == "3"
        assert session.execute("SELECT * FROM t").fetchall() == [(1, "ann@example.org", ["red", "green"])]
        # The same value again is a value again.
        session.execute("INSERT INTO t VALUES (4, 'bob@example.org', '{blue}')")
        assert session.execute("SELECT mail, tags FROM t WHERE id = 4").fetchall() == [
            ("bob@example.org", ["blue"])
        ]
    assert world.purge().stdout == "main: no values deleted\n"
    records = world.made.pgnym("audit", "show", "--action", "purge").stdout
    assert "mail" in records
    assert world.made.pgnym("audit", "verify", check=False).returncode == 0


def test_less_than_a_day_is_refused(world: World) -> None:
    refused = world.purge("--older-than", "1h")
    assert refused.returncode == 1
    assert "younger than a day" in refused.stderr


def test_a_value_that_is_put_again_stays(world: World) -> None:
    """It is in an uncommitted row only, which nobody sees yet."""
    with world.session() as session, world.session() as other:
        session.execute("DELETE FROM t WHERE id = 2")
        world.age()
        other.autocommit = False
        other.execute("INSERT INTO t VALUES (5, 'bob@example.org', NULL)")
        # Nothing was put if the gateway knows the token: it is in the row all the same.
        purge = subprocess.Popen(
            [*command(), "purge", "--yes", "-c", str(world.gateway.directory / "pgnym.yaml")],
            env=world.made.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while purge.poll() is None and not waiting(world):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        other.commit()
        said, wrong = purge.communicate(timeout=60)
        assert purge.returncode == 0, wrong
        assert "of mail" not in said
        assert session.execute("SELECT mail FROM t WHERE id = 5").fetchone() == ("bob@example.org",)
        assert session.execute("SELECT count(*) FROM t WHERE mail = 'bob@example.org'").fetchone() == (1,)


def test_the_codes_of_an_order_index_go_with_the_values(world: World) -> None:
    """Also those of a deletion that was killed between value and code."""
    columns = {"mail": {"domain": "mail", "search": ["equality", "order"]}, "tags": {"domain": "tag"}}
    world.made.config["tables"] = {"public.t": {"columns": columns}}
    world.made.apply()
    # It would end a session that it opened before it learns of the index.
    world.gateway.terminate()
    world.gateway.start()
    (table,) = world.sql("SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$'").splitlines()
    tokens = f"SELECT string_agg(token, ' ' ORDER BY code) FROM pgnym.{table}"
    ann, bob, cy = world.sql(tokens).split()
    with world.session() as session:
        session.execute("DELETE FROM t WHERE id IN (2, 3)")
        world.age()
        assert world.purge("--dry-run").returncode == 0
        assert world.sql(tokens) == f"{ann} {bob} {cy}"
        # As if it had been killed between the two.
        world.sql(f"DELETE FROM vault.value WHERE token = '{cy}'")
        assert world.purge().stdout == "main: 1 of mail, 1 of tag deleted\n"
        assert world.sql(tokens) == ann
        session.execute("INSERT INTO t VALUES (6, 'bob@example.org'), (7, 'aaron@example.org')")
        assert session.execute("SELECT id FROM t ORDER BY mail").fetchall() == [(7,), (1,), (6,)]


def waiting(world: World) -> bool:
    """Whether a purge has its lock and waits."""
    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        f" AND classid = {locks.PURGE >> 32} AND objid = {locks.PURGE & 0xFFFFFFFF}"
    )
    return world.sql(query) == "1"
