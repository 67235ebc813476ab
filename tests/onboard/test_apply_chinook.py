"""apply and undo on Chinook: real tables, with their rows in place."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from pgnym import onboard
from support.cluster import PASSWORD, Cluster
from support.workbench import workbench

pytestmark = pytest.mark.server

CHINOOK = """
tables:
  public.customer:
    subject: customer_id
    columns:
      first_name: {}
      last_name: {}
      address: {tokens: randomized}
      phone: {domain: phone}
      fax: {domain: phone}
      email: {domain: email}
  public.employee:
    columns:
      first_name: {domain: public.customer.first_name}
      last_name: {domain: public.customer.last_name}
      birth_date: {}
      address: {tokens: randomized}
      phone: {domain: phone}
      fax: {domain: phone}
      email: {domain: email}
  public.invoice:
    subject: customer_id
    subject_table: public.customer
    columns:
      billing_address: {tokens: randomized}
"""
PROTECTED = {
    "customer": ("customer_id", ("first_name", "last_name", "address", "phone", "fax", "email")),
    "employee": (
        "employee_id",
        ("first_name", "last_name", "birth_date", "address", "phone", "fax", "email"),
    ),
    "invoice": ("invoice_id", ("billing_address",)),
}
TOKEN = re.compile(r"pn1[a-z2-7]{27}")


async def contents(app: asyncpg.Connection[asyncpg.Record], table: str) -> list[tuple[object, ...]]:
    """All rows in the order of the key, every column as text."""
    key = PROTECTED[table][0]
    names = [r[0] for r in await app.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0", table)]  # fmt: skip
    columns = ", ".join(f"{name}::text" for name in names)
    return [tuple(row) for row in await app.fetch(f"SELECT {columns} FROM {table} ORDER BY {table}.{key}")]


async def shape(app: asyncpg.Connection[asyncpg.Record]) -> list[tuple[object, ...]]:
    """Columns, constraints and indexes of the public schema."""
    rows = await app.fetch(
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0"
        " UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated::text"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


def test_every_value_becomes_a_token_and_comes_back(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str
) -> None:
    async def work() -> None:
        async with workbench(postgres, make_database(chinook_template), CHINOOK) as bench:
            before = {table: await contents(bench.app, table) for table in PROTECTED}
            shaped = await shape(bench.app)
            await bench.apply()
            for table, (_, columns) in PROTECTED.items():
                after = await contents(bench.app, table)
                assert len(after) == len(before[table])
                for column in columns:
                    values = [r[0] for r in await bench.app.fetch(f"SELECT {column} FROM {table}")]
                    assert all(v is None or TOKEN.fullmatch(v) for v in values)
                    assert any(v is not None for v in values)
            verdict = await bench.verify()
            assert verdict.findings == ()
            for table in PROTECTED:
                await bench.undo(f"public.{table}")
            assert {table: await contents(bench.app, table) for table in PROTECTED} == before
            assert await shape(bench.app) == shaped
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.protected_column") == 0

    asyncio.run(work())


def test_equal_values_of_a_domain_have_equal_tokens_and_only_they(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str
) -> None:
    async def work() -> None:
        async with workbench(postgres, make_database(chinook_template), CHINOOK) as bench:
            count = "SELECT count(*), count(DISTINCT first_name), count(DISTINCT address) FROM customer"
            before = await bench.app.fetchrow(count)
            both = "SELECT count(*) FROM customer c JOIN employee e ON c.first_name = e.first_name"
            joined = await bench.app.fetchval(both)
            await bench.apply()
            after = await bench.app.fetchrow(count)
            assert before is not None
            assert after is not None
            assert after[:2] == before[:2]
            assert after[2] == after[0]  # randomized: each address has a token of its own
            assert await bench.app.fetchval(both) == joined

    asyncio.run(work())


def test_the_database_refuses_plaintext_from_then_on(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str
) -> None:
    async def work() -> None:
        async with workbench(postgres, make_database(chinook_template), CHINOOK) as bench:
            await bench.apply()
            email = await bench.app.fetchval("SELECT email FROM customer WHERE customer_id = 1")
            for refused in (
                "plain@example.org",
                email[:-1],
                email.upper(),
                email + "\n",
                "pn1aaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ):
                with pytest.raises(
                    (asyncpg.CheckViolationError, asyncpg.StringDataRightTruncationError)
                ) as caught:
                    await bench.app.execute("UPDATE customer SET email = $1 WHERE customer_id = 2", refused)
                assert caught.value.sqlstate in ("23514", "22001")
            await bench.app.execute("UPDATE customer SET email = $1 WHERE customer_id = 2", email)
            await bench.app.execute("UPDATE customer SET fax = NULL, phone = '' WHERE customer_id = 2")
            with pytest.raises(asyncpg.CheckViolationError):
                await bench.app.execute("UPDATE employee SET birth_date = ''")  # a timestamp is never empty

    asyncio.run(work())


def test_no_statement_of_ours_puts_a_value_into_the_log(
    postgres: Cluster, make_database: Callable[..., str], chinook_template: str
) -> None:
    async def work() -> None:
        async with workbench(postgres, make_database(chinook_template), CHINOOK) as bench:
            await bench.app.execute(
                "ALTER TABLE customer ALTER COLUMN address SET DEFAULT 'nowhere in particular'"
            )
            started = len(postgres.log_text())
            await bench.apply()
            assert (await bench.verify()).findings == ()
            await bench.undo("public.customer")
            log = postgres.log_text()[started:]
            assert '"public"."customer"' in log
            for value in ("leonekohler@surfeu.de", "Theodor-Heuss", "Köhler", "nowhere in particular"):
                assert value not in log

    asyncio.run(work())


@pytest.mark.parametrize("separate", [False, True], ids=["same database", "another server's database"])
def test_no_value_of_before_is_left_in_the_files(
    postgres: Cluster, chinook_sql: Path, separate: bool
) -> None:
    """A server of its own, whose log doesn't hold the INSERTs that brought the values in."""

    async def work(cluster: Cluster) -> None:
        place = (postgres, "vault_of_leak_test") if separate else None
        async with workbench(cluster, "app", CHINOOK, place) as bench:
            await bench.app.execute("CREATE MATERIALIZED VIEW mail AS SELECT email, first_name FROM customer")
            await bench.app.execute("CREATE INDEX ON customer (email); ANALYZE")
            canaries = await bench.app.fetch(
                "SELECT email, address, last_name || first_name FROM customer WHERE length(address) > 9 LIMIT 10"
            )
            needles = [v.encode() for row in canaries for v in row[:2]]
            assert cluster.scan(needles)
            await bench.apply()
            await bench.app.execute("SELECT pg_stat_force_next_flush()")
            await onboard.scrub_wal(bench.app)
            assert cluster.scan(needles) == []

    if separate:
        postgres.psql("CREATE DATABASE vault_of_leak_test")
    try:
        with Cluster(settings={"max_wal_size": "64MB", "min_wal_size": "32MB"}) as cluster:
            cluster.psql("CREATE DATABASE app TEMPLATE template0")
            cluster.psql(chinook_sql.read_text(), "app")
            asyncio.run(work(cluster))
    finally:
        if separate:
            postgres.psql("DROP DATABASE vault_of_leak_test WITH (FORCE)")


def test_the_owner_needs_to_be_no_superuser(system_postgres: Cluster, chinook_sql: Path) -> None:
    """On the installed version of PostgreSQL, over TLS, as a role that owns the database and may create roles."""
    cluster = system_postgres
    cluster.psql(f"CREATE ROLE chinook_owner LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    cluster.psql("CREATE DATABASE owned OWNER chinook_owner TEMPLATE template0")
    cluster.psql(f"SET ROLE chinook_owner; {chinook_sql.read_text()}", "owned")

    async def work() -> None:
        async with workbench(cluster, "owned", CHINOOK, owner="chinook_owner") as bench:
            before = {table: await contents(bench.app, table) for table in PROTECTED}
            assert await bench.apply() == []  # nothing is left to advise: the catalogs were cleaned too
            assert (await bench.verify()).findings == ()
            with pytest.raises(onboard.OnboardError, match="only a superuser"):
                await onboard.scrub_wal(bench.app)
            for table in PROTECTED:
                await bench.undo(f"public.{table}")
            assert {table: await contents(bench.app, table) for table in PROTECTED} == before

    try:
        asyncio.run(work())
    finally:
        cluster.psql("DROP DATABASE owned WITH (FORCE)")
        cluster.psql("DROP ROLE pgnym_gateway; DROP ROLE chinook_owner")
