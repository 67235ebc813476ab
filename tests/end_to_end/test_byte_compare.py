"""The same messages to plain PostgreSQL and through pgnym: the replies must be the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import byte_cases
import protected_cases
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


def twins(cluster: Cluster, name: str, tables: str, protected: dict[str, object]) -> Iterator[Pair]:
    """Two copies of one database (a copy keeps the OIDs, which RowDescription shows), one to go through pgnym."""
    template, plain, tested = f"{name}_template", f"{name}_plain", f"{name}_tested"
    cluster.psql(f"CREATE DATABASE {template} TEMPLATE template0")
    try:
        cluster.psql(tables, template)
        for copy in (plain, tested):
            cluster.psql(f"CREATE DATABASE {copy} TEMPLATE {template}")
        with through(deployment(cluster, tested, tables=protected)) as endpoint:
            yield Pair(cluster, Endpoint(cluster.host, cluster.port, plain), endpoint)
    finally:
        for each in (template, plain, tested):
            cluster.psql(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")


@pytest.fixture(scope="module")
def unprotected(postgres: Cluster) -> Iterator[Pair]:
    yield from twins(postgres, "bytes", TABLES, {})


@pytest.fixture(scope="module")
def protected(postgres: Cluster) -> Iterator[Pair]:
    yield from twins(postgres, "protected", protected_cases.TABLES, dict(protected_cases.PROTECTED))


def parametrized(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("script", cases, ids=lambda c: c.name)


@parametrized(byte_cases.ALL)
def test_the_replies_are_the_same_bytes(unprotected: Pair, script: Case) -> None:
    unprotected.compare(script)


@parametrized([c for c in byte_cases.ALL if c.split])
def test_messages_may_be_split_at_every_byte(unprotected: Pair, script: Case) -> None:
    unprotected.compare(script, pieces_of=1)


@parametrized(protected_cases.ALL)
def test_a_protected_table_answers_like_its_twin(protected: Pair, script: Case) -> None:
    protected.compare(script)


@parametrized([c for c in protected_cases.ALL if c.split])
def test_a_protected_table_answers_to_split_messages(protected: Pair, script: Case) -> None:
    protected.compare(script, pieces_of=1)
