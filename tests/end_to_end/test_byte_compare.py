"""The same messages to plain PostgreSQL and through pgnym: the replies must be the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import byte_cases
import pytest

from support.cluster import SUPERUSER, Cluster
from support.gateway import Endpoint, deployment, through
from support.rawwire import RawClient
from support.wire_script import Case, Talk, comparable, run, show

pytestmark = pytest.mark.server

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, name text);
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL);
CREATE TABLE wide (id int, v text);
INSERT INTO wide SELECT i, repeat('v', i % 50) FROM generate_series(1, 500) i;
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """The server itself with one database, and pgnym before another; both were copied from one template."""

    cluster: Cluster
    plain: Endpoint
    tested: Endpoint

    def compare(self, script: Case, *, pieces_of: int | None = None) -> None:
        """Play ``script`` on both and compare; in pieces only through pgnym."""
        heard = []
        for endpoint, pieces in ((self.plain, None), (self.tested, pieces_of)):
            with RawClient(endpoint.host, endpoint.port) as client:
                client.login(SUPERUSER, endpoint.database)

                def beside(sql: str, database: str = endpoint.database) -> str:
                    return self.cluster.psql(sql, database)

                talk = Talk(client, endpoint.host, endpoint.port, endpoint.database, beside, pieces)
                heard.append(comparable(script, run(script, talk), endpoint.database))
        assert show(heard[1]) == show(heard[0])


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    postgres.psql("CREATE DATABASE bytes_template TEMPLATE template0")
    try:
        postgres.psql(TABLES, "bytes_template")
        for name in ("bytes_plain", "bytes_tested"):  # a copy keeps the OIDs, which RowDescription shows
            postgres.psql(f"CREATE DATABASE {name} TEMPLATE bytes_template")
        plain = Endpoint(postgres.host, postgres.port, "bytes_plain")
        with through(deployment(postgres, "bytes_tested")) as tested:
            yield Pair(postgres, plain, tested)
    finally:
        for name in ("bytes_template", "bytes_plain", "bytes_tested"):
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.parametrize("script", byte_cases.ALL, ids=lambda c: c.name)
def test_the_replies_are_the_same_bytes(pair: Pair, script: Case) -> None:
    pair.compare(script)


SPLIT = [c for c in byte_cases.ALL if c.split]


@pytest.mark.parametrize("script", SPLIT, ids=lambda c: c.name)
def test_messages_may_be_split_at_every_byte(pair: Pair, script: Case) -> None:
    pair.compare(script, pieces_of=1)
