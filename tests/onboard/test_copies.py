"""Tables that the gateway has let be made from protected ones: plan leaves them alone, undo and verify know them."""

from __future__ import annotations

import asyncio

import pytest

from pgnym.onboard import OnboardError
from pgnym.onboard.model import StepKind
from pgnym.sql.guard import check_expression
from support.cluster import Cluster
from support.workbench import Workbench, workbench

pytestmark = pytest.mark.server

PERSON = "tables: {public.person: {columns: {email: {domain: email}, born: {}}}}"
TABLES = """
CREATE TABLE person (id int, email varchar(60), born date);
INSERT INTO person VALUES (1, 'ada@example.org', '1815-12-10'), (2, NULL, NULL);
"""


async def copied(bench: Workbench) -> None:
    """What ``CREATE TABLE … AS`` and ``LIKE`` through the gateway make."""
    found = await bench.vault.fetch(
        "SELECT p.column_name, p.id, p.domain_id FROM vault.protected_column p ORDER BY p.column_name"
    )
    prefixes = {
        row[0]: await bench.app.fetchval(f"SELECT left({row[0]}, 6) FROM person WHERE id = 1")
        for row in found
    }
    await bench.app.execute("CREATE TABLE report AS SELECT id, email::text AS mail, born FROM person")
    await bench.app.execute("CREATE TABLE alike (LIKE person INCLUDING CONSTRAINTS)")
    await bench.app.execute("INSERT INTO alike SELECT * FROM person")
    for column, identifier, _ in found:
        name = "mail" if column == "email" else column
        check = check_expression(name, prefixes[column].encode(), column == "email")
        await bench.app.execute(f"ALTER TABLE report ADD CONSTRAINT pgnym_{identifier}_1 CHECK ({check})")


def test_copies_are_known_and_left_alone(postgres: Cluster, database: str) -> None:
    async def run() -> None:
        postgres.psql(TABLES, database)
        async with workbench(postgres, database, PERSON) as bench:
            await bench.apply()
            await copied(bench)
            plan = await bench.plan()
            assert [(step.kind, step.table) for step in plan.steps] == [
                (StepKind.RIGHTS, "public.alike"),
                (StepKind.RIGHTS, "public.report"),
            ]
            assert [warning.where for warning in plan.warnings] == ["the register"]
            await bench.apply()
            assert (await bench.plan()).empty
            assert (await bench.verify()).findings == ()
            with pytest.raises(OnboardError, match=r"public\.alike, public\.report were made from it"):
                await bench.undo("public.person")
            await bench.undo("public.report")
            found = await bench.app.fetch("SELECT id, mail, born::text FROM report ORDER BY id")
            assert [tuple(r) for r in found] == [(1, "ada@example.org", "1815-12-10"), (2, None, None)]
            types = await bench.app.fetch(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'report'::regclass"
                " AND attnum > 0"
            )
            assert [t[0] for t in types] == ["integer", "text", "date"]
            assert (await bench.plan()).empty  # the person is as protected as before
            await bench.app.execute("DROP TABLE alike")
            await bench.undo("public.person")
            assert await bench.app.fetchval("SELECT email FROM person WHERE id = 1") == "ada@example.org"
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.protected_column") == 0

    asyncio.run(run())


def test_a_copy_can_not_be_configured(postgres: Cluster, database: str) -> None:
    both = "tables: {public.person: {columns: {email: {domain: email}, born: {}}}, public.report: {columns: {mail: {}}}}"

    async def run() -> None:
        postgres.psql(TABLES, database)
        async with workbench(postgres, database, PERSON) as bench:
            await bench.apply()
            await copied(bench)
        async with workbench(postgres, database, both) as bench:
            assert await bench.blockers() == [
                "public.report.mail: was made from public.person.email, and is protected as that is"
            ]

    asyncio.run(run())
