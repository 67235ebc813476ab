"""Reading whole domains on a real server: exact at every call, within bounds, and by the tenant only."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from pgnym.vault import ciphers, domain_values, tokens
from pgnym.vault.domain_values import DomainValues
from pgnym.vault.errors import TooManyValues, VaultUnavailable
from pgnym.vault.store import TenantVault
from support.cluster import Cluster
from support.vault_database import PREFIX, VaultDatabase, run, some, until

pytestmark = pytest.mark.server

OTHER = tokens.prefix(6)
DELETE = "DELETE FROM vault.value WHERE token = ANY ($1)"


async def _pages(tenant: TenantVault, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that gets the number of values that each read opens."""
    opened: list[int] = []
    open_sealed = tenant._domains._open

    async def counting(rows: list[tuple[bytes, int, bytes]]) -> list[tuple[bytes, bytes]]:
        opened.append(len(rows))
        return await open_sealed(rows)

    monkeypatch.setattr(tenant._domains, "_open", counting)
    return opened


def test_all_values_of_the_domain_and_only_them(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.vault() as elsewhere:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            assert (await one.domain_values(PREFIX)).values == {}
            neighbours = [tokens.prefix(n) for n in (4, 6, tokens.MAX_DOMAIN_ID)]
            await one.put({one.random_token(prefix): b"other" for prefix in neighbours})
            await two.put(some(two, 4))
            await one.put(some(one, 2500))
            first = await one.domain_values(PREFIX)
            assert first.values == some(one, 2500)
            assert (await two.domain_values(PREFIX)).values == some(two, 4)
            assert await one.domain_values(PREFIX) is first
            await (await elsewhere.tenant("one")).put(some(one, 30, 2490))
            second = await one.domain_values(PREFIX)
            assert second.values == some(one, 2520)
            assert second.version != first.version
            assert len(first.values) == 2500  # who holds it sees no change

    run(postgres, database, scenario)


def test_only_what_is_new_is_read(postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            opened = await _pages(tenant, monkeypatch)
            await tenant.put(some(tenant, 300))
            await tenant.domain_values(PREFIX)
            # Something old that has not ended must not make all that came since be read again and again.
            await owner.execute("BEGIN; SELECT pg_current_xact_id()")
            for start in range(300, 400, 20):
                await tenant.put(some(tenant, 20, start))
                await tenant.put({tenant.token(OTHER, b"%d" % start): b"%d" % start})
                await tenant.domain_values(PREFIX)
                await tenant.domain_values(PREFIX)
            assert opened == [300, 20, 20, 20, 20, 20]
            await owner.execute("ROLLBACK")
            await tenant.domain_values(PREFIX)
            assert sum(opened) == 400

    run(postgres, database, scenario)


def test_what_commits_late_is_not_missed(postgres: Cluster, database: str) -> None:
    """Transactions that began first and commit last, between reads, in every order."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 1))
            ciphertexts = [(n, token) for n, token in enumerate(some(tenant, 7)) if n]
            writers: list[asyncpg.Connection[asyncpg.Record]] = []
            expected = some(tenant, 1)
            assert (await tenant.domain_values(PREFIX)).values == expected
            for n, token in ciphertexts:
                writer = await asyncpg.connect(made.owner_url)
                writers.append(writer)
                await writer.execute("BEGIN")
                sealed = _sealed(tenant, token, b"person %d" % n)
                await writer.execute(
                    "INSERT INTO vault.value (tenant, token, generation, ciphertext, domain)"
                    " VALUES ($1, $2, $3, $4, 'pn1aaf')",
                    tenant.id, token.decode(), tenant.keys.generation, sealed,
                )  # fmt: skip
                assert (await tenant.domain_values(PREFIX)).values == expected
            for n in (3, 6, 1, 5, 2, 4):
                await writers[n - 1].execute("COMMIT")
                expected |= some(tenant, 1, n)
                assert (await tenant.domain_values(PREFIX)).values == expected
                assert (await tenant.domain_values(PREFIX)).values == expected
            for writer in writers:
                await writer.close()

    run(postgres, database, scenario)


def _sealed(tenant: TenantVault, token: bytes, value: bytes) -> bytes:
    return ciphers.seal(tenant.keys.data[tenant.keys.generation], tenant.id, token, value)


def test_puts_reads_and_deletions_at_random(postgres: Cluster, database: str) -> None:
    """Whoever was told that a put or deletion is done finds it so, whatever others do meanwhile."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as one, made.vault() as two, made.owner() as owner, made.owner() as holder:
            tenants = [await one.tenant("main"), await two.tenant("main")]
            there: set[bytes] = set()
            gone: set[bytes] = set()
            done = False

            async def put(worker: int) -> None:
                tenant = tenants[worker % 2]
                for step in range(60):
                    values = some(tenant, 3, (worker * 100 + step) * 3)
                    await tenant.put(values)
                    there.update(values)

            async def delete() -> None:
                chance = random.Random(1)
                while not done:
                    if there:
                        token = chance.choice(sorted(there))
                        there.discard(token)
                        await owner.execute(DELETE, [token.decode()])
                        gone.add(token)
                    await asyncio.sleep(0.002)

            async def hold() -> None:
                """Transactions of any length that are under way."""
                while not done:
                    await holder.execute("BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(0.01); COMMIT")

            async def read(tenant: TenantVault) -> int:
                reads = 0
                while not done:
                    at_least, absent = set(there), set(gone)
                    values = (await tenant.domain_values(PREFIX)).values
                    missing = (at_least & there) - values.keys()
                    assert not missing
                    assert not absent & values.keys()
                    reads += 1
                return reads

            reading = [asyncio.create_task(read(tenant)) for tenant in tenants for _ in range(2)]
            others = [asyncio.create_task(hold()), asyncio.create_task(delete())]
            await asyncio.gather(*(put(worker) for worker in range(4)))
            done = True
            assert min(await asyncio.gather(*reading)) > 10
            await asyncio.gather(*others)
            for tenant in tenants:
                assert (await tenant.domain_values(PREFIX)).values.keys() == there

    run(postgres, database, scenario)


def test_deletions_drop_out_at_once_even_unannounced(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await tenant.put({tenant.token(OTHER, b"x"): b"x"})
            other = await tenant.domain_values(OTHER)
            before = await tenant.domain_values(PREFIX)
            await owner.execute(DELETE, [t.decode() for t in some(tenant, 4)])
            after = await tenant.domain_values(PREFIX)
            assert after.values == some(tenant, 6, 4)
            assert after.version != before.version
            assert await tenant.domain_values(PREFIX) is after
            assert await tenant.domain_values(OTHER) is other
            # Notes of deletions do not pile up.
            await owner.execute("UPDATE vault.deletion SET noted = noted - interval '2 days'")
            await owner.execute(DELETE, [t.decode() for t in some(tenant, 1, 5)])
            assert await owner.fetchval("SELECT count(*) FROM vault.deletion") == 1

    run(postgres, database, scenario)


def test_an_invalidation_leaves_nothing_in_memory(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await tenant.put({tenant.token(OTHER, b"x"): b"x"})
            kept = tenant._domains._domains
            for forgotten in (next(iter(some(tenant, 1))).decode(), None):
                for prefix in (PREFIX, OTHER):
                    await tenant.domain_values(prefix)
                assert kept[PREFIX].values is not None
                assert kept[OTHER].values is not None
                listed = None if forgotten is None else [forgotten]
                await owner.execute("SELECT vault.invalidate($1, $2)", tenant.id, listed)
                await until(lambda: kept[PREFIX].values is None)
                assert (kept[OTHER].values is None) == (forgotten is None)
                assert (await tenant.domain_values(PREFIX)).values == some(tenant, 10)

    run(postgres, database, scenario)


def test_an_invalidation_while_it_is_read_leaves_nothing_either(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            open_sealed = tenant._domains._open

            async def meanwhile(rows: list[tuple[bytes, int, bytes]]) -> list[tuple[bytes, bytes]]:
                vault.forget(tenant.id, list(some(tenant, 1)))
                return await open_sealed(rows)

            monkeypatch.setattr(tenant._domains, "_open", meanwhile)
            assert (await tenant.domain_values(PREFIX)).values == some(tenant, 10)
            assert tenant._domains._domains[PREFIX].values is None

    run(postgres, database, scenario)


def test_more_than_the_bound_is_refused_and_less_is_not(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with (
            made.vault(scan_limit=100) as vault,
            made.vault(scan_limit=100) as late,
            made.owner() as owner,
        ):
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 100))
            assert len((await tenant.domain_values(PREFIX)).values) == 100
            await tenant.put(some(tenant, 1, 100))
            for each in (tenant, await late.tenant("main"), tenant):  # at the increment, and from nothing
                opened = await _pages(each, monkeypatch)
                with pytest.raises(TooManyValues, match="domain 5 has more than 100") as caught:
                    await each.domain_values(PREFIX)
                assert caught.value.bound == 100
                assert opened == []
            await owner.execute(DELETE, [next(iter(some(tenant, 1))).decode()])
            assert (await tenant.domain_values(PREFIX)).values == some(tenant, 100, 1)

    run(postgres, database, scenario)


def test_memory_is_bounded_over_all_domains(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(scan_bytes=100_000) as vault:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            prefixes = [tokens.prefix(n) for n in range(20, 30)]
            for tenant in (one, two):
                for prefix in prefixes:
                    await tenant.put({tenant.token(prefix, b"%d" % n): b"x" * 100 for n in range(50)})
            big = {one.token(OTHER, b"%d" % n): b"x" * 1000 for n in range(100)}
            await one.put(big)
            for prefix in prefixes * 2:
                for tenant in (one, two):
                    assert len((await tenant.domain_values(prefix)).values) == 50
                    kept = [d for t in (one, two) for d in t._domains._domains.values() if d.values]
                    assert sum(d.size for d in kept) == vault.scans._size <= 100_000
            assert len(kept) == 100_000 // (50 * 350)
            assert one._domains._domains[prefixes[-1]].values is not None  # the latest stay
            assert (await one.domain_values(OTHER)).values == big
            assert one._domains._domains[OTHER].values is None  # too large to be kept
            vault.clear()
            assert vault.scans._size == 0

    run(postgres, database, scenario)


def test_calls_at_once_share_reads_but_never_an_older_one(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            reads = 0
            refresh = tenant._domains._refresh

            async def counting(domain: Any, connection: Any) -> DomainValues:
                nonlocal reads
                reads += 1
                return await refresh(domain, connection)

            monkeypatch.setattr(tenant._domains, "_refresh", counting)
            results = await asyncio.gather(*(tenant.domain_values(PREFIX) for _ in range(50)))
            assert reads <= 2
            assert all(result is results[0] for result in results)
            early = asyncio.create_task(tenant.domain_values(PREFIX))
            await until(lambda: tenant._domains._domains[PREFIX].next is None)  # it is on its way
            await tenant.put(some(tenant, 1, 10))
            assert len((await tenant.domain_values(PREFIX)).values) == 11
            await early

            # One that gives up does not take the others' answer away.
            waiting = [asyncio.create_task(tenant.domain_values(PREFIX)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            assert [len((await w).values) for w in waiting[1:]] == [11, 11]

    run(postgres, database, scenario)


def test_another_connection_reads_all_anew(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash, or on a promoted standby, numbers of transactions are given out again."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await tenant.domain_values(PREFIX)
            opened = await _pages(tenant, monkeypatch)
            domain = tenant._domains._domains[PREFIX]
            assert domain.connection is not None
            await owner.execute("SELECT pg_terminate_backend($1)", domain.connection.get_server_pid())
            await until(lambda: domain.connection is None or domain.connection.is_closed())
            assert len((await tenant.domain_values(PREFIX)).values) == 10
            assert opened == [10]
            monkeypatch.setattr(domain_values, "MAX_AGE", -1.0)
            assert len((await tenant.domain_values(PREFIX)).values) == 10
            assert opened == [10, 10]

    run(postgres, database, scenario)


def test_rows_of_before_and_of_another_cluster(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await owner.execute(
                "UPDATE vault.value SET born = NULL WHERE token < $1", sorted(some(tenant, 10))[3].decode()
            )
            await owner.execute("UPDATE vault.value SET born = '900000000000' WHERE born IS NOT NULL")
            vault.clear()
            first = await tenant.domain_values(PREFIX)
            assert first.values == some(tenant, 10)
            assert await tenant.domain_values(PREFIX) is first
            await tenant.put(some(tenant, 1, 10))
            assert (await tenant.domain_values(PREFIX)).values == some(tenant, 11)
            await owner.execute(
                "UPDATE vault.value SET born = pg_current_xact_id() WHERE born = '900000000000'"
            )
            assert (await tenant.domain_values(PREFIX)).values == some(tenant, 11)

    run(postgres, database, scenario)


def test_closing_wipes_and_ends_reads(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            held = await tenant.domain_values(PREFIX)
            reading = asyncio.create_task(_read_until_closed(tenant))
            await asyncio.sleep(0)
            await vault.close()
            assert held.values == {}
            assert "closed" in await reading
            with pytest.raises(VaultUnavailable, match="closed"):
                await tenant.domain_values(PREFIX)

    async def _read_until_closed(tenant: TenantVault) -> str:
        while True:
            try:
                await tenant.domain_values(PREFIX)
            except VaultUnavailable as error:
                return error.message

    run(postgres, database, scenario)


def test_a_read_without_server_is_an_error_and_then_mended(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await owner.execute(f"ALTER ROLE {made.gateway} CONNECTION LIMIT 0")
            with pytest.raises(VaultUnavailable):
                await tenant.domain_values(PREFIX)
            await owner.execute(f"ALTER ROLE {made.gateway} CONNECTION LIMIT -1")
            assert len((await tenant.domain_values(PREFIX)).values) == 10

    run(postgres, database, scenario)
