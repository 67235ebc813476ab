"""The catalog queries on real servers: what they say of inheritance and of collations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from pgnym.gateway.catalogs import read_catalog
from pgnym.semantics.expression import Collation
from pgnym.sql.load import REGISTRY

if TYPE_CHECKING:
    from pgnym.sql.catalog import Catalog
    from support.cluster import Cluster

    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

CHECK = "CHECK (email ~ '^pn1aaf[a-z2-7]{24}$')"
TABLES = f"""
CREATE TABLE plain_parent (id int, email text);
CREATE TABLE child (email text CONSTRAINT pgnym_1 {CHECK}) INHERITS (plain_parent);
CREATE VIEW seen AS SELECT email FROM plain_parent;
CREATE TABLE whole (id int, email text CONSTRAINT pgnym_1 {CHECK}) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF whole FOR VALUES IN (1);
"""
REGISTERED = (1, "public", "whole", "email", 5, "email", False, 25, -1, 25, False, "protected", "")


class Registry:
    """A vault of one protected column."""

    async def fetch(self, query: str) -> Sequence[Sequence[Any]]:
        assert query == REGISTRY
        return [REGISTERED]


def test_children_and_parents(postgres: Cluster, database: str) -> None:
    async def load() -> Catalog:
        connection = await asyncpg.connect(postgres.url(database))
        try:
            await connection.execute(TABLES)
            return await read_catalog(connection, cast(Any, Registry()), 1, {})
        finally:
            await connection.close()

    catalog = asyncio.run(load())
    found = {name: catalog.relations["public", name] for name in ("plain_parent", "child", "whole", "part")}
    assert {name: r.protected for name, r in found.items()} == {
        "plain_parent": False,
        "child": True,
        "whole": True,
        "part": True,
    }
    assert [name for name, r in found.items() if r.broken is not None] == ["plain_parent"]


COLLATED = f"""
CREATE COLLATION nocase (provider = libc, locale = 'C.utf8');
CREATE TABLE person (id int, email text COLLATE "C" CONSTRAINT pgnym_1 {CHECK});
CREATE TABLE other (id int, email varchar(40) CONSTRAINT pgnym_1 {CHECK});
CREATE TABLE third (id int, email text COLLATE nocase CONSTRAINT pgnym_1 {CHECK});
"""


@pytest.mark.parametrize("fixture", ["postgres", "system_postgres"])
def test_collations(fixture: str, request: pytest.FixtureRequest) -> None:
    cluster: Cluster = request.getfixturevalue(fixture)
    name = f"collations_{fixture}"

    async def load() -> Catalog:
        connection = await asyncpg.connect(cluster.url(name))
        try:
            await connection.execute(COLLATED)
            return await read_catalog(connection, cast(Any, Registry()), 1, {})
        finally:
            await connection.close()

    cluster.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        catalog = asyncio.run(load())
    finally:
        cluster.psql(f"DROP DATABASE {name}")
    found = {}
    for table in ("person", "other", "third"):
        protection = catalog.relations["public", table].columns[1].protection
        assert protection is not None
        found[table] = protection.collation
    assert found == {
        "person": Collation("C", "c", "C", "C"),
        "other": Collation("default", "c", "C.UTF-8", "C.UTF-8"),
        "third": Collation("nocase", "c", "C.utf8", "C.utf8"),
    }
    assert catalog.collations["public", "nocase"] == found["third"]
    assert catalog.collations["pg_catalog", "default"] == found["other"]
    builtin = catalog.collations["pg_catalog", "ucs_basic"]
    assert (builtin.provider, builtin.locale) in (("b", "C"), ("c", "C"))
