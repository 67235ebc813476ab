"""The store on a real server: what is put is got, by its tenant only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from pgnym.vault import ciphers, keyring, lanes, store
from pgnym.vault.errors import VaultError
from support.cluster import Cluster
from support.vault_database import PREFIX, VaultDatabase, run, some, until

pytestmark = pytest.mark.server


@pytest.mark.parametrize("same_cluster", [True, False])
@pytest.mark.parametrize("count", [1, 100, 12_000])
def test_what_is_put_is_got(postgres: Cluster, database: str, same_cluster: bool, count: int) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(same_cluster=same_cluster) as vault:
            tenant = await vault.tenant("main")
            values = some(tenant, count)
            await tenant.put(values)
            await tenant.put(values)
            assert await tenant.get(values) == values
        async with made.vault() as vault:  # nothing in memory
            tenant = await vault.tenant("main")
            assert await tenant.get([*values, *values]) == values
            async with made.owner() as owner:
                assert await owner.fetchval("SELECT count(*) FROM vault.value") == count

    run(postgres, database, scenario)


def test_odd_values_and_odd_tokens(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault:
            tenant = await vault.tenant("main")
            values = {
                tenant.random_token(PREFIX): value
                for value in (b"", b"\0\xff", b"x" * 100_000, os.urandom(50))
            }
            await tenant.put(values)
            odd = [b"", b"pn1", b"\xff" * 30, b"pn1aaa" + b"\0" * 24, tenant.random_token(PREFIX)]
            assert await tenant.get([*values, *odd]) == values
            for token in odd[:-1]:
                with pytest.raises(ValueError, match="no token"):
                    await tenant.put({token: b"value"})
            await tenant.put({})
            assert await tenant.get([]) == {}

    run(postgres, database, scenario)


def test_nothing_readable_is_stored(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put({tenant.token(PREFIX, b"canary-value"): b"canary-value"})
            stored = await owner.fetchval("SELECT string_agg(v::text, '') FROM vault.value v")
            assert b"canary-value".hex() not in stored
            assert "canary" not in stored
        assert "canary-value" not in postgres.log_file.read_text()

    run(postgres, database, scenario)


def test_tenants_do_not_see_each_other(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            values = some(one, 10)
            assert not set(values) & set(some(two, 10))
            # At the same time, so that both tenants' parts share batches.
            await asyncio.gather(*(t.put(some(t, 10, n * 10)) for n in range(20) for t in (one, two)))
            assert await two.get(values) == {}
            results = await asyncio.gather(
                *(t.get(some(t, 10, n * 10)) for n in range(20) for t in (one, two))
            )
            assert all(len(result) == 10 for result in results)
            assert two.cached(next(iter(values))) is None
        async with made.owner() as owner:
            rows = await owner.fetch("SELECT tenant, count(*) FROM vault.value GROUP BY tenant")
            assert sorted(map(tuple, rows)) == [(one.id, 200), (two.id, 200)]

    run(postgres, database, scenario)


def test_gateways_that_meet_a_new_tenant_at_once_agree(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as a, made.vault() as b, made.vault() as c, made.owner() as owner:
            for round_ in range(10):
                name = f"tenant {round_}"
                met = await asyncio.gather(*(vault.tenant(name) for vault in (a, b, c, a)))
                assert len({tenant.token(PREFIX, b"x") for tenant in met}) == 1
                assert len({tenant.id for tenant in met}) == 1
                await met[0].put(some(met[0], 1))
                assert len(await met[1].get(some(met[0], 1))) == 1
            assert await owner.fetchval("SELECT count(*) FROM vault.key") == 50

    run(postgres, database, scenario)


@pytest.mark.parametrize("name", ["", "x" * 64, "a\nb"])
def test_a_tenants_name_must_be_printable(postgres: Cluster, database: str, name: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            with pytest.raises(VaultError, match="printable"):
                await vault.tenant(name)

    run(postgres, database, scenario)


def test_a_data_key_is_retired_before_its_uses_run_out(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "MAX_USES", 100)

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as one, made.vault(cache_bytes=0) as two, made.owner() as owner:
            a, b = await one.tenant("main"), await two.tenant("main")
            await asyncio.gather(*(t.put(some(t, 7, n * 7)) for n in range(40) for t in (a, b)))
            rows = await owner.fetch(
                "SELECT k.generation, reserved,"
                " (SELECT count(*) FROM vault.value v WHERE v.generation = k.generation) AS used"
                " FROM vault.key k WHERE purpose = 'data' ORDER BY 1"
            )
            assert len(rows) > 3
            assert sum(row["used"] for row in rows) == 280
            assert all(row["used"] <= row["reserved"] <= 100 for row in rows)
            assert await a.get(some(a, 280)) == some(a, 280)
            assert await b.get(some(a, 280)) == some(a, 280)  # also generations that the other one began

    run(postgres, database, scenario)


def test_many_tasks_share_few_round_trips(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    for lane in (lanes.PutLane, lanes.GetLane):
        original = lane.run

        async def counted(
            self: object, items: list[object], original: Callable[..., Awaitable[object]] = original
        ) -> object:
            calls.append(len(items))
            return await original(self, items)

        monkeypatch.setattr(lane, "run", counted)

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault:
            tenant = await vault.tenant("main")

            async def session(n: int) -> None:
                for step in range(10):
                    values = some(tenant, 1, n * 10 + step)
                    await tenant.put(values)
                    assert await tenant.get(values) == values

            await asyncio.gather(*(session(n) for n in range(32)))
            assert sum(calls) == 640
            assert len(calls) < 200

    run(postgres, database, scenario)


def test_put_tokens_become_known_and_are_not_put_again(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        for same_cluster in (True, False):
            async with made.vault(same_cluster=same_cluster) as vault:
                tenant = await vault.tenant(f"tenant {same_cluster}")
                values = some(tenant, 3)
                token = next(iter(values))
                assert not tenant.is_known(token)
                await tenant.put(values)
                assert tenant.is_known(token) != same_cluster  # asynchronous commits are confirmed first
                await until(lambda t=tenant, k=token: t.is_known(k))  # type: ignore[misc]
                before = tenant.keys.uses_left
                await tenant.put(values)
                assert tenant.keys.uses_left == before

    run(postgres, database, scenario)


def test_invalidation_reaches_all_gateways(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as one, made.vault() as two, made.owner() as owner:
            a, b = await one.tenant("main"), await two.tenant("main")
            values = some(a, 600)
            listed = list(values)
            await a.put(values)
            await b.put(values)
            await b.get(values)
            assert b.cached(listed[0]) is not None
            await a.invalidate(listed[:599])
            assert a.cached(listed[0]) is None
            assert not a.is_known(listed[0])
            await until(lambda: b.cached(listed[598]) is None)
            assert all(b.cached(token) is None and not b.is_known(token) for token in listed[:599])
            assert b.cached(listed[599]) is not None
            # What anyone may send does no harm.
            for payload in ("", ":", "x", "1:", "1:é", "99:*", "1:" + "x" * 100, "-1:*", "²:*"):
                await owner.execute("SELECT pg_notify('pgnym_invalidate', $1)", payload)
            await a.invalidate(None)
            await until(lambda: b.cached(listed[599]) is None)
            assert await b.get(values) == values

    run(postgres, database, scenario)


def test_nothing_that_was_erased_meanwhile_is_kept(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.vault() as reader:
            tenant, other = await vault.tenant("main"), await reader.tenant("main")
            values = some(tenant, 1)
            token = next(iter(values))
            await tenant.put(values)
            original = reader.get_sealed

            async def slow(get: tuple[int, list[bytes]]) -> object:
                rows = await original(get)
                other.forget([token])  # the invalidation comes while the answer is on its way
                return rows

            monkeypatch.setattr(reader, "get_sealed", slow)
            assert await other.get([token]) == values
            assert other.cached(token) is None

    run(postgres, database, scenario)


def test_the_pinned_settings_hold(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner:
            await owner.execute(f"ALTER ROLE {made.gateway} SET search_path = public, vault")
            await owner.execute(
                f"ALTER ROLE {made.gateway} SET default_transaction_isolation = 'serializable'"
            )
        async with made.vault() as vault:
            connection = await vault.connector.connect()
            try:
                for name, value in (
                    ("search_path", ""),
                    ("application_name", "pgnym"),
                    ("transaction_isolation", "read committed"),
                    ("statement_timeout", "4500ms"),
                ):
                    assert await connection.fetchval("SELECT current_setting($1)", name) == value
            finally:
                await connection.close()

    run(postgres, database, scenario)


def test_shown_objects_hold_no_secret(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            for thing in (vault, tenant, tenant.keys, vault.keyring, vault.connector):
                shown = repr(thing)
                assert "gateway-pw" not in shown
                assert "\\x" not in shown
                assert len(shown) < 120

    run(postgres, database, scenario)


def test_a_value_costs_what_is_documented() -> None:
    assert ciphers.OVERHEAD == 29
    assert store.KNOWN_TTL + 3600 < store.PURGE_GRACE / 4
