"""An existing application changes host and port: what it sees through pgnym is what it saw before.

Each tour is a piece of application code that knows nothing of pgnym. It runs on the unprotected twin and, through
the gateway, on the same shop with names, addresses, phones, e-mails and birth dates protected; both must give
the same rows, types, tags and errors. The rows were there before protection was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import tour_asyncpg
import tour_django
import tour_psycopg
import tour_psycopg2
import tour_sqlalchemy

from support import chinook
from support.cluster import Cluster
from support.gateway import DIRECT, deployment, through

pytestmark = pytest.mark.server

TOURS: dict[str, Callable[[str], list[object]]] = {
    "psycopg 3": tour_psycopg.tour,
    "psycopg 2": tour_psycopg2.tour,
    "asyncpg": tour_asyncpg.tour,
    "SQLAlchemy with psycopg": tour_sqlalchemy.tour_sync,
    "SQLAlchemy with asyncpg": tour_sqlalchemy.tour_async,
    "Django": tour_django.tour,
}


@dataclass(frozen=True, slots=True)
class Shop:
    """The URL of the twin and that of the gateway."""

    cluster: Cluster
    twin_url: str
    url: str

    def stored(self, sql: str) -> str:
        """What the protected database really holds."""
        return self.cluster.psql(sql, "drivers_tested")

    def restore(self) -> None:
        """Both databases as they were at first."""
        for name in ("drivers_twin", "drivers_tested"):
            self.cluster.psql(RESTORE, name)


# What a tour leaves behind when it fails is undone, so that the next one starts from the same rows.
KEEP = "CREATE SCHEMA kept;" + "".join(
    f"CREATE TABLE kept.{t} AS SELECT * FROM {t};" for t in chinook.ORDERED
)
RESTORE = "SET session_replication_role = replica;" + "".join(
    f"DELETE FROM {t}; INSERT INTO {t} SELECT * FROM kept.{t} ORDER BY {key};"
    for t, key in chinook.ORDERED.items()
)


@pytest.fixture(scope="module")
def shop(postgres: Cluster, chinook_template: str) -> Iterator[Shop]:
    names = ("drivers_twin", "drivers_tested")
    try:
        for name in names:
            postgres.psql(f"CREATE DATABASE {name} TEMPLATE {chinook_template}")
        with through(deployment(postgres, "drivers_tested", tables=chinook.TABLES)) as tested:
            for name in names:
                postgres.psql(KEEP, name)
            yield Shop(postgres, postgres.url("drivers_twin"), tested.url())
    finally:
        for name in names:
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.parametrize("name", TOURS)
def test_an_application_sees_what_it_always_saw(shop: Shop, name: str) -> None:
    shop.restore()
    expected = TOURS[name](shop.twin_url)
    got = TOURS[name](shop.url)
    for number, (mine, theirs) in enumerate(zip(got, expected, strict=False)):
        assert mine == theirs, f"step {number} of the tour with {name}"
    assert len(got) == len(expected)


@pytest.mark.skipif(
    f"'{DIRECT}' in __import__('os').environ", reason="nothing is protected without the gateway"
)
@pytest.mark.parametrize("table", chinook.PROTECTED)
def test_the_database_holds_tokens_only(shop: Shop, table: str) -> None:
    for column in chinook.PROTECTED[table]:
        plain = shop.stored(
            f"SELECT count(*) FROM {table} WHERE {column} <> '' AND {column}::text !~ '^pn1[a-z2-7]{{27}}$'"
        )
        assert plain == "0\n", f"{table}.{column}"
        held = shop.stored(f"SELECT count(*) FROM {table} WHERE {column}::text ~ '^pn1'")
        assert int(held) > 0, f"{table}.{column}"
