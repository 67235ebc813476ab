"""Puts against purges, against each other, and against crashes: no interleaving loses a live value."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgnym.vault import tokens
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault, Vault
from support.cluster import Cluster
from support.vault_database import VaultDatabase, migrated, until

pytestmark = pytest.mark.server

PREFIX = tokens.prefix(9)
# As a purge has to be: it takes what nobody else holds, so that it never waits crosswise with a put.
PURGE = (
    "DELETE FROM vault.value v USING (SELECT tenant, token FROM vault.value WHERE last_put < now() - interval '1 day'"
    " ORDER BY tenant, token FOR UPDATE SKIP LOCKED) old WHERE v.tenant = old.tenant AND v.token = old.token"
)
AGE = "UPDATE vault.value SET last_put = last_put - interval '2 days'"


def some(tenant: TenantVault, count: int, start: int = 0) -> dict[bytes, bytes]:
    """Values and their tokens."""
    values = [b"person %d" % n for n in range(start, start + count)]
    return {tenant.token(PREFIX, value): value for value in values}


async def _is_waiting(owner: asyncpg.Connection[asyncpg.Record], database: str) -> None:
    """Returns once a session of the database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
    async with asyncio.timeout(10):
        while not await owner.fetchval(waiting, database):
            pass


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_a_put_during_a_purge_leaves_the_value_there(postgres: Cluster, database: str, ends: str) -> None:
    async def scenario() -> None:
        async with (
            migrated(postgres, database) as made,
            made.vault(cache_bytes=0) as vault,
            made.owner() as purger,
            made.owner() as owner,
        ):
            tenant = await vault.tenant("main")
            values = some(tenant, 20)
            await tenant.put(values)
            await owner.execute(AGE)
            vault.clear()  # as another gateway, or this one later
            await purger.execute("BEGIN")
            assert await purger.execute(PURGE) == "DELETE 20"
            put = asyncio.create_task(tenant.put(some(tenant, 25)))
            await _is_waiting(owner, made.database)
            await purger.execute(ends)
            await put
            assert await tenant.get(values) == values
            assert await owner.execute(PURGE) == "DELETE 0"  # all are young again
            assert await tenant.get(values) == values

    asyncio.run(scenario())


def test_a_value_that_is_purged_after_the_put_passed_it_is_put_again(
    postgres: Cluster, database: str
) -> None:
    async def scenario() -> None:
        async with (
            migrated(postgres, database) as made,
            made.vault(cache_bytes=0) as vault,
            made.owner() as first,
            made.owner() as second,
        ):
            tenant = await vault.tenant("main")
            values = some(tenant, 2)
            early, late = (token.decode() for token in sorted(values))
            await tenant.put(values)
            await second.execute(AGE)
            vault.clear()
            await first.execute("BEGIN")
            assert await first.execute("DELETE FROM vault.value WHERE token = $1", late) == "DELETE 1"
            put = asyncio.create_task(tenant.put(values))
            await _is_waiting(second, made.database)  # for the late one: it saw the early one, which is there
            assert await second.execute("DELETE FROM vault.value WHERE token = $1", early) == "DELETE 1"
            await first.execute("COMMIT")
            await put
            assert await tenant.get(values) == values

    asyncio.run(scenario())


def test_puts_and_purges_at_random(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with (
            migrated(postgres, database) as made,
            made.owner() as purger,
            made.vault(cache_bytes=0) as one,
            made.vault(cache_bytes=0) as two,
        ):
            tenants = [await one.tenant("main"), await two.tenant("main")]
            stop = asyncio.Event()

            async def purge() -> None:
                while not stop.is_set():
                    await purger.execute(PURGE)

            async def put(vault: Vault, tenant: TenantVault) -> None:
                for step in range(60):
                    values = some(tenant, 30, step % 7 * 10)
                    vault.clear()
                    await tenant.put(values)
                    assert await tenant.get(values) == values

            async def age() -> None:
                """Rows that nobody put for a day, as the put and the purge see them: both may act on them at once."""
                async with made.owner() as owner:
                    for n in range(60):
                        names = [t.decode() for t in some(tenants[0], 10, 1000 + n * 10)]
                        await tenants[0].put(some(tenants[0], 10, 1000 + n * 10))
                        await owner.execute(AGE + " WHERE token = ANY ($1)", names)
                        one.clear()
                        two.clear()
                        await asyncio.gather(*(t.put(some(t, 10, 1000 + n * 10)) for t in tenants))
                        got = await tenants[1].get(some(tenants[1], 10, 1000 + n * 10))
                        assert len(got) == 10

            purging = asyncio.create_task(purge())
            await asyncio.gather(put(one, tenants[0]), put(two, tenants[1]), age())
            stop.set()
            await purging

    asyncio.run(scenario())


def test_batches_that_overlap_do_not_deadlock(postgres: Cluster, database: str) -> None:
    async def scenario() -> None:
        async with migrated(postgres, database) as made:
            async with made.vault(cache_bytes=0) as one, made.vault(cache_bytes=0) as two:
                a, b = await one.tenant("main"), await two.tenant("main")
                for start in range(0, 2000, 200):
                    values = list(some(a, 200, start).items())
                    await asyncio.gather(a.put(dict(values)), b.put(dict(reversed(values))))
            log = postgres.log_file.read_text()
            assert "deadlock" not in log[log.index(made.gateway) :]

    asyncio.run(scenario())


def test_a_crash_loses_an_unflushed_put_and_the_gateway_forgets_it() -> None:
    """What "same cluster" risks, and why a put is known only when it was flushed."""

    async def scenario(cluster: Cluster) -> None:
        made = await _own_vault(cluster)
        async with made.vault(same_cluster=True) as vault:
            tenant = await vault.tenant("main")
            early, late = some(tenant, 5), some(tenant, 5, 10)
            await tenant.put(early)
            await until(lambda: all(map(tenant.is_known, early)))
            await tenant.put(late)
            assert not any(map(tenant.is_known, late))
            cluster.stop("immediate")
            cluster.start()
            await until(lambda: not any(map(tenant.is_known, early)))
            await until(lambda: vault.watch.listening)
            vault.clear()
            assert await tenant.get([*early, *late]) == early
            await tenant.put(late)
            assert await tenant.get(late) == late

    with Cluster(
        settings={"wal_writer_delay": "10s", "autovacuum": "off", "bgwriter_delay": "10s"}
    ) as cluster:
        asyncio.run(scenario(cluster))


@pytest.mark.parametrize("same_cluster", [True, False])
def test_after_a_crash_every_token_of_the_application_has_its_value(same_cluster: bool) -> None:
    """Invariant 2, by killing the server under load, several times."""

    async def scenario(cluster: Cluster) -> None:
        made = await _own_vault(cluster)
        async with made.owner() as owner:
            await owner.execute("CREATE TABLE public.customer (name text)")
        async with made.vault(same_cluster=same_cluster, cache_bytes=0) as vault:
            tenant = await vault.tenant("main")
            written = 0

            async def application(n: int, crash: int) -> None:
                nonlocal written
                connection = await asyncpg.connect(made.owner_url)
                try:
                    for step in range(100_000):
                        # Values repeat, so that known tokens are relied on.
                        values = some(tenant, 1, crash * 1000 + (n * 37 + step) % 400)
                        await tenant.put(values)
                        await connection.execute(
                            "INSERT INTO public.customer VALUES ($1)", next(iter(values)).decode()
                        )
                        written += 1
                except (VaultError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    return
                finally:
                    connection.terminate()

            for crash in range(3):
                before = written
                tasks = [asyncio.create_task(application(n, crash)) for n in range(6)]
                await until(lambda enough=before + 300: written >= enough)  # type: ignore[misc]
                await asyncio.to_thread(cluster.stop, "immediate")
                await asyncio.wait(tasks)
                await asyncio.to_thread(cluster.start)
                async with made.owner() as owner:
                    stored = await owner.fetchval("SELECT count(*) FROM public.customer")
                    orphans = await owner.fetchval(
                        "SELECT count(*) FROM public.customer c WHERE NOT EXISTS"
                        " (SELECT FROM vault.value v WHERE v.token = c.name)"
                    )
                assert stored >= written
                assert orphans == 0

    with Cluster(settings={"wal_writer_delay": "1s"}) as cluster:
        asyncio.run(scenario(cluster))


async def _own_vault(cluster: Cluster) -> VaultDatabase:
    made = VaultDatabase(cluster, "postgres")
    await made.migrate()
    return made
