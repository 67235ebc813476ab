"""The log on a real server: committed before ``write`` returns, complete, and an error where it can't be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pgnym.audit import log as log_module
from pgnym.audit.log import AuditLog, AuditUnavailable, Durability
from pgnym.audit.records import Action, Actor, AuditRecord, Decision, unpack_details
from pgnym.audit.sealing import DetailsCipher
from pgnym.vault import tokens
from pgnym.vault.store import Vault
from support.cluster import Cluster
from support.vault_database import VaultDatabase, migrated, until

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

TOKEN = tokens.randomized(tokens.prefix(3))
Scenario = Callable[[VaultDatabase, Vault, "Connection"], Awaitable[None]]


def record(tenant: str = "main", purpose: str = "service", **actor: str) -> AuditRecord:
    """A reveal."""
    return AuditRecord(
        datetime.now(UTC),
        tenant,
        Actor(
            **{"db_user": "app", "role": "app", "client_address": "192.0.2.1", "application_name": "shop"}
            | actor
        ),
        Action.REVEAL,
        purpose=purpose,
        fingerprint="0123456789abcdef",
        counts={"email": 2, "public.customer.birth_date": 1},
        tokens=(TOKEN, TOKEN),
        text="SELECT email FROM customer WHERE id = $1",
    )


def run(postgres: Cluster, database: str, scenario: Scenario) -> None:
    """Runs a scenario on a fresh vault, with the owner's connection to look on."""

    async def outer() -> None:
        async with migrated(postgres, database) as made, made.vault() as vault, made.owner() as owner:
            await scenario(made, vault, owner)

    asyncio.run(outer())


@asynccontextmanager
async def logging(vault: Vault, durability: Durability = Durability.COMMIT) -> AsyncIterator[AuditLog]:
    """An audit log that is closed."""
    made = AuditLog(vault, durability)
    try:
        yield made
    finally:
        await made.close()


async def count(owner: Connection) -> int:
    """How many records are committed."""
    found: int = await owner.fetchval("SELECT count(*) FROM vault.audit")
    return found


async def kill_a_waiting_writer(owner: Connection, database: str) -> None:
    """Ends the session of a write that waits for a lock, once there is one."""
    waiting = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND query ~ 'audit_add' AND datname = $1 LIMIT 1"
    )
    async with asyncio.timeout(10):
        while (pid := await owner.fetchval(waiting, database)) is None:
            pass
    await owner.execute("SELECT pg_terminate_backend($1)", pid)


def test_a_record_is_committed_when_write_returns(postgres: Cluster, database: str) -> None:
    async def scenario(_made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault) as log:
            written = record()
            await log.write(written)
            row = await owner.fetchrow("SELECT * FROM vault.audit")
            assert row is not None
            tenant = await vault.tenant("main")
            assert row["time"] == written.time
            assert row["tenant"] == tenant.id
            assert row["sequence"] == 1
            assert (row["action"], row["decision"], row["purpose"]) == ("reveal", "allowed", "service")
            assert (row["db_user"], row["role"]) == ("app", "app")
            assert (row["client_address"], row["application_name"]) == ("192.0.2.1", "shop")
            assert row["fingerprint"] == "0123456789abcdef"
            assert row["counts"] == '{"email": 2, "public.customer.birth_date": 1}'
            opened = DetailsCipher(tenant.audit_key, tenant.id, row["writer"]).open(1, row["details"])
            assert unpack_details(opened) == (written.tokens, written.text, 0)
            assert TOKEN.decode() not in str(dict(row))

    run(postgres, database, scenario)


@pytest.mark.parametrize("durability", list(Durability))
def test_no_record_of_many_sessions_and_tenants_is_missing(
    postgres: Cluster, database: str, durability: Durability
) -> None:
    async def scenario(_made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault, durability) as log:

            async def session(n: int) -> None:
                for step in range(20):
                    await log.write(record(f"tenant {n % 3}", purpose=f"{n}/{step}"))

            await asyncio.gather(*(session(n) for n in range(32)))
            if durability is Durability.COMMIT:
                assert await count(owner) == 640
        assert await count(owner) == 640
        assert await owner.fetchval("SELECT count(DISTINCT purpose) FROM vault.audit") == 640
        gaps = await owner.fetch(
            "SELECT writer FROM vault.audit GROUP BY writer HAVING min(sequence) <> 1 OR max(sequence) <> count(*)"
            " OR count(DISTINCT sequence) <> count(*)"
        )
        assert gaps == []
        rows = await owner.fetch(
            "SELECT t.name, split_part(a.purpose, '/', 1)::int % 3 AS n"
            " FROM vault.audit a JOIN vault.tenant t ON t.id = a.tenant"
        )
        assert all(row["name"] == f"tenant {row['n']}" for row in rows)
        for row in await owner.fetch(
            "SELECT t.name, a.* FROM vault.audit a JOIN vault.tenant t ON t.id = a.tenant"
        ):
            tenant = await vault.tenant(row["name"])
            DetailsCipher(tenant.audit_key, tenant.id, row["writer"]).open(row["sequence"], row["details"])

    run(postgres, database, scenario)


def test_commits_are_shared(postgres: Cluster, database: str) -> None:
    async def scenario(_made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault) as log:
            await log.write(record())
            for _ in range(5):
                await asyncio.gather(*(log.write(record()) for _ in range(50)))
            transactions = await owner.fetchval("SELECT count(DISTINCT xmin::text) FROM vault.audit")
            assert await count(owner) == 251
            assert transactions <= 20

    run(postgres, database, scenario)


def test_what_a_client_says_of_itself_spoils_nothing(postgres: Cluster, database: str) -> None:
    async def scenario(_made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault) as log:
            names = ["nul\0", "surrogate\ud800", "Ünï ✓", "new\nline", "", "x" * 10_000]
            await asyncio.gather(*(log.write(record(application_name=name)) for name in names))
            stored = {row[0] for row in await owner.fetch("SELECT application_name FROM vault.audit")}
            assert stored == {"nul\ufffd", "surrogate?", *names[2:]}
            with pytest.raises(ValueError, match="time zone"):
                await log.write(AuditRecord(datetime.now(), "main", Actor("a", "b"), Action.ADMIN))

    run(postgres, database, scenario)


def test_the_gateway_can_neither_change_nor_delete_a_record(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase, vault: Vault, _owner: Connection) -> None:
        async with logging(vault) as log:
            await log.write(record())
        tenant = await vault.tenant("main")
        async with made.as_gateway() as gateway:
            await gateway.execute("SELECT set_config('pgnym.tenant', $1, false)", str(tenant.id))
            assert await gateway.fetchval("SELECT count(*) FROM vault.audit") == 1
            for statement in (
                "UPDATE vault.audit SET purpose = ''",
                "DELETE FROM vault.audit",
                "TRUNCATE vault.audit",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await gateway.execute(statement)
            await gateway.execute("SELECT set_config('pgnym.tenant', '99', false)")
            assert await gateway.fetchval("SELECT count(*) FROM vault.audit") == 0

    run(postgres, database, scenario)


def test_a_failed_write_is_an_error_and_the_next_writer_starts_anew(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault) as log, made.owner() as locker:
            await asyncio.gather(*(log.write(record()) for _ in range(5)))
            await locker.execute("BEGIN; LOCK TABLE vault.audit IN ACCESS EXCLUSIVE MODE")
            tasks = [asyncio.create_task(log.write(record(purpose="lost"))) for _ in range(10)]
            await kill_a_waiting_writer(owner, made.database)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, AuditUnavailable) for result in results)
            assert all("audit record" in str(result) and result.hint for result in results)  # type: ignore[union-attr]
            await locker.execute("ROLLBACK")
            await log.write(record(purpose="after"))
            assert await count(owner) == 6
            rows = await owner.fetch(
                "SELECT writer, array_agg(sequence ORDER BY sequence) FROM vault.audit GROUP BY 1"
            )
            assert sum(len(row[1]) for row in rows) == 6
            assert all(row[1] == list(range(1, len(row[1]) + 1)) for row in rows)

    run(postgres, database, scenario)


def test_relaxed_returns_at_once_and_survives_an_outage(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault, Durability.RELAXED) as log, made.owner() as locker:
            await log.write(record())
            await until(lambda: not log._queue)
            await locker.execute("BEGIN; LOCK TABLE vault.audit IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(2):
                for n in range(100):
                    await log.write(record(purpose=str(n)))
            assert len(log._queue) == 100
            await kill_a_waiting_writer(owner, made.database)
            await until(lambda: log._failed is not None)
            await locker.execute("ROLLBACK")
        assert await count(owner) == 101

    run(postgres, database, scenario)


def test_a_full_queue_makes_sessions_wait_and_then_fails(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_QUEUE", 10)

    async def scenario(made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        await vault.tenant("main")
        log = AuditLog(vault, Durability.RELAXED, wait=0.3)
        async with made.owner() as locker:
            await locker.execute("BEGIN; LOCK TABLE vault.audit IN ACCESS EXCLUSIVE MODE")
            for _ in range(10):
                await log.write(record())
            with pytest.raises(AuditUnavailable, match="slowly"):
                await log.write(record())
            late = asyncio.create_task(log.write(record()))
            await asyncio.sleep(0)
            assert not late.done()
            await locker.execute("ROLLBACK")
            await late
            await log.close()
            assert await count(owner) == 11
            with pytest.raises(AuditUnavailable, match="closed"):
                await log.write(record())

    run(postgres, database, scenario)


def test_close_says_how_many_records_are_lost(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase, vault: Vault, _owner: Connection) -> None:
        await vault.tenant("main")
        log = AuditLog(vault, Durability.RELAXED)
        async with made.owner() as locker:
            await locker.execute("BEGIN; LOCK TABLE vault.audit IN ACCESS EXCLUSIVE MODE")
            for _ in range(7):
                await log.write(record())
            with pytest.raises(AuditUnavailable, match="7 audit records"):
                await log.close(within=0.2)
            await locker.execute("ROLLBACK")

    run(postgres, database, scenario)


def test_a_refusal_is_written_like_a_reveal(postgres: Cluster, database: str) -> None:
    async def scenario(_made: VaultDatabase, vault: Vault, owner: Connection) -> None:
        async with logging(vault) as log:
            await log.write(
                AuditRecord(
                    datetime.now(UTC), "main", Actor("mallory", "default"), Action.REFUSE, Decision.DENIED
                )
            )
            row = await owner.fetchrow("SELECT action, decision, counts FROM vault.audit")
            assert tuple(row or ()) == ("refuse", "denied", "{}")

    run(postgres, database, scenario)


def test_a_committed_record_survives_a_crash() -> None:
    async def scenario(cluster: Cluster) -> None:
        made = VaultDatabase(cluster, "postgres")
        await made.migrate()
        async with made.vault(same_cluster=True) as vault:
            log = AuditLog(vault)
            written = 0

            async def session() -> None:
                nonlocal written
                while True:
                    try:
                        await log.write(record())
                    except AuditUnavailable:
                        return
                    written += 1

            sessions = [asyncio.create_task(session()) for _ in range(8)]
            await until(lambda: written > 300)
            await asyncio.to_thread(cluster.stop, "immediate")
            await asyncio.wait(sessions)
            await asyncio.to_thread(cluster.start)
            async with made.owner() as owner:
                assert await count(owner) >= written
            await log.close()

    # The server's own default must not weaken what was asked for.
    with Cluster(settings={"synchronous_commit": "off", "wal_writer_delay": "10s"}) as cluster:
        asyncio.run(scenario(cluster))
