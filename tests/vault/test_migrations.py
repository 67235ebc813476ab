"""Migrations on a real server: repeatable, all or nothing, and nobody but the gateway's role gets a right."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgnym.vault import migrations
from pgnym.vault.errors import VaultOutdated
from pgnym.vault.keys import MasterKey
from pgnym.vault.migrations import MigrationFailed, current_version, latest_version, migrate
from pgnym.vault.store import Vault
from support.cluster import Cluster
from support.vault_database import GATEWAY_PASSWORD, MASTER, VaultDatabase, migrated

pytestmark = pytest.mark.server


def test_a_second_run_changes_nothing(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made, made.owner() as owner:
            before = await owner.fetch("SELECT * FROM vault.migration ORDER BY version")
            assert await current_version(owner) == latest_version() == len(before)
            assert await migrate(owner, made.gateway, None) == latest_version()
            assert await owner.fetch("SELECT * FROM vault.migration ORDER BY version") == before
            async with made.as_gateway() as gateway:  # the password stayed
                assert await current_version(gateway) == latest_version()

    asyncio.run(scenario())


def test_two_runs_at_once_follow_one_another(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        made = VaultDatabase(postgres, database)
        try:
            await asyncio.gather(*(made.migrate() for _ in range(4)))
        finally:
            async with made.owner() as owner:
                await owner.execute(f"DROP OWNED BY {made.gateway}; DROP ROLE {made.gateway}")

    asyncio.run(scenario())


def test_a_failing_migration_leaves_nothing(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        made = VaultDatabase(postgres, database)
        broken = (*migrations._migrations(), migrations.Migration(99, "broken", "SELECT 1/0", "x"))
        monkeypatch.setattr(migrations, "_migrations", lambda: broken)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await made.migrate()
        async with made.owner() as owner:
            assert await current_version(owner) == 0
            assert await owner.fetchval("SELECT to_regnamespace('vault') IS NULL")
            assert not await owner.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", made.gateway)

    asyncio.run(scenario())


def test_a_changed_migration_is_noticed(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made, made.owner() as owner:
            await owner.execute("UPDATE vault.migration SET digest = 'other' WHERE version = 2")
            with pytest.raises(MigrationFailed, match="0002"):
                await migrate(owner, made.gateway, None)

    asyncio.run(scenario())


def test_a_foreign_schema_of_that_name_is_left_alone(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        made = VaultDatabase(postgres, database)
        async with made.owner() as owner:
            await owner.execute("CREATE SCHEMA vault")
            with pytest.raises(MigrationFailed, match="not pgnym's"):
                await migrate(owner, made.gateway, None)

    asyncio.run(scenario())


def test_the_vault_does_not_open_without_its_schema_or_with_another(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        with pytest.raises(VaultOutdated, match="not there"):
            await Vault.open(postgres.url(database), MasterKey(MASTER), same_cluster=True)
        async with migrated(postgres, database) as made, made.owner() as owner:
            await owner.execute(
                "INSERT INTO vault.migration (version, name, digest) VALUES (99, 'later', '')"
            )
            with pytest.raises(VaultOutdated, match="version 99") as caught:
                async with made.vault():
                    pass
            assert "older" in caught.value.hint

    asyncio.run(scenario())


def test_the_password_is_in_no_log(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made:
            log = postgres.log_file.read_text()
            assert f'CREATE ROLE "{made.gateway}"' in log  # statements are logged at all
            assert GATEWAY_PASSWORD not in log
            async with made.owner() as owner:
                stored = await owner.fetchval(
                    "SELECT rolpassword FROM pg_authid WHERE rolname = $1", made.gateway
                )
            assert stored.startswith("SCRAM-SHA-256$4096:")

    asyncio.run(scenario())


def test_the_password_works_and_another_does_not(system_postgres: Cluster) -> None:
    async def scenario() -> None:
        name = "vault_password"
        admin = await asyncpg.connect(system_postgres.url())
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            async with migrated(system_postgres, name) as made:
                async with made.as_gateway() as gateway:
                    assert await gateway.fetchval("SELECT current_user") == made.gateway
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await asyncpg.connect(system_postgres.url(name, user=made.gateway, password="guess"))
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await admin.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("password", ["", "naïve", "tab\t"])
def test_a_password_that_would_need_saslprep_is_refused(
    postgres: Cluster, database: str, password: str
) -> None:
    async def scenario() -> None:
        made = VaultDatabase(postgres, database)
        async with made.owner() as owner:
            with pytest.raises(MigrationFailed, match="printable ASCII"):
                await migrate(owner, made.gateway, password)

    asyncio.run(scenario())


@pytest.mark.parametrize("might", ["SUPERUSER", "BYPASSRLS", "NOLOGIN", "IN ROLE postgres"])
def test_a_role_above_row_level_security_is_refused(postgres: Cluster, database: str, might: str) -> None:
    async def scenario() -> None:
        made = VaultDatabase(postgres, database)
        async with made.owner() as owner:
            login = "" if might == "NOLOGIN" else "LOGIN"
            await owner.execute(f"CREATE ROLE {made.gateway} {login} {might}")
            try:
                with pytest.raises(MigrationFailed, match="can't be the gateway's"):
                    await migrate(owner, made.gateway, None)
                assert await current_version(owner) == 0
            finally:
                await owner.execute(f"DROP ROLE {made.gateway}")

    asyncio.run(scenario())


def test_rights_given_to_others_are_taken_back(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with VaultDatabase(postgres, database).owner() as owner:
            app = f"app_{database}"
            await owner.execute(f"CREATE ROLE {app} LOGIN")
            await owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {app}")
            await owner.execute("ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC")
            try:
                async with migrated(postgres, database) as made:
                    await _sees_nothing(owner, app)
                    await owner.execute(f"GRANT USAGE ON SCHEMA vault TO {app}")
                    await owner.execute(f"GRANT SELECT (token) ON vault.value TO {app}")
                    await migrate(owner, made.gateway, None)
                    await _sees_nothing(owner, app)
            finally:
                await owner.execute("ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM PUBLIC")
                await owner.execute(f"DROP OWNED BY {app}; DROP ROLE {app}")

    asyncio.run(scenario())


def test_the_gateway_has_no_more_than_it_needs(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made, made.as_gateway() as gateway:
            for statement in (
                "UPDATE vault.audit SET purpose = ''",
                "DELETE FROM vault.audit",
                "TRUNCATE vault.value",
                "UPDATE vault.value SET ciphertext = ''",
                "UPDATE vault.key SET wrapped = ''",
                "DELETE FROM vault.key",
                "UPDATE vault.tenant SET master_key = ''",
                "DELETE FROM vault.protected_column",
                "INSERT INTO vault.domain (id, name, randomized) VALUES (1, 'x', false)",
                "CREATE TABLE vault.mine ()",
                "ALTER TABLE vault.value DISABLE ROW LEVEL SECURITY",
                "DROP POLICY tenant ON vault.value",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await gateway.execute(statement)

    asyncio.run(scenario())


def test_every_table_with_a_tenant_has_forced_row_level_security(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made, made.owner() as owner:
            rows = await owner.fetch(
                "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced FROM pg_class c"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'"
                " WHERE c.relnamespace = 'vault'::regnamespace AND c.relkind IN ('r', 'p')"
            )
            assert {row["relname"] for row in rows} >= {"key", "value", "audit"}
            assert all(row["forced"] for row in rows)

    asyncio.run(scenario())


async def _sees_nothing(owner: asyncpg.Connection[asyncpg.Record], app: str) -> None:
    assert not await owner.fetchval("SELECT has_schema_privilege($1, 'vault', 'USAGE')", app)
    tables = await owner.fetch(
        "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relnamespace = 'vault'::regnamespace"
        " AND c.relkind IN ('r', 'p') AND (has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
        " OR has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE'))",
        app,
    )
    functions = await owner.fetch(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'vault'::regnamespace"
        " AND has_function_privilege($1, oid, 'EXECUTE')",
        app,
    )
    assert (tables, functions) == ([], [])
