"""A vault of every earlier version of the schema: plan reads it as it is, apply brings it to this version."""

from __future__ import annotations

import asyncio

import pytest

from pgnym.sql.guard import check_expression
from pgnym.vault import tokens
from pgnym.vault.migrations import _migrations, current_version, latest_version
from support.cluster import Cluster
from support.workbench import workbench

pytestmark = pytest.mark.server

CONFIG = "tables: {public.person: {columns: {email: {domain: email}, born: {}}}}"
TOKEN = tokens.randomized(tokens.prefix(0))
TABLES = f"""
CREATE TABLE person (id int, email text, born date);
INSERT INTO person VALUES (1, '{TOKEN.decode()}', '1815-12-10');
ALTER TABLE person ADD CONSTRAINT pgnym_1 CHECK ({check_expression("email", tokens.prefix(0), True)});
"""
REGISTRY = """
INSERT INTO vault.domain (id, name, randomized) VALUES (0, 'email', false);
INSERT INTO vault.protected_column (schema_name, table_name, column_name, domain_id, type_name, type_oid, typmod,
  codec_oid, stored_type, state) VALUES ('public', 'person', 'email', 0, 'text', 25, -1, 25, 'text', 'protected');
"""


def old_vault(version: int) -> str:
    """The schema as a pgnym of that version left it, with one protected column."""
    known = _migrations()[:version]
    noted = ", ".join(f"({m.version}, '{m.name}', '{m.digest}')" for m in known)
    return (
        "CREATE SCHEMA vault; CREATE TABLE vault.migration (version integer PRIMARY KEY, name text NOT NULL,"
        " digest text NOT NULL, applied timestamptz NOT NULL DEFAULT now());"
        + "\n".join(m.sql for m in known)
        + f"\nINSERT INTO vault.migration (version, name, digest) VALUES {noted};{REGISTRY}"
    )


@pytest.mark.parametrize("version", range(1, latest_version()))
def test_from_every_version(postgres: Cluster, database: str, version: int) -> None:
    async def run() -> None:
        postgres.psql(TABLES + old_vault(version), database)
        async with workbench(postgres, database, CONFIG) as bench:
            plan = await bench.plan()
            assert not plan.blockers
            texts = [step.text for step in plan.steps]
            assert any(f"migrate the schema vault to version {latest_version()}" in text for text in texts)
            assert not any("email" in text for text in texts), "it is protected already"
            await bench.apply()
            assert await current_version(bench.vault) == latest_version()
            assert (await bench.plan()).empty
            row = await bench.app.fetchrow("SELECT email, born FROM person")
            assert row is not None
            assert row[0] == TOKEN.decode()
            assert row[1].startswith("pn1")

    asyncio.run(run())
