"""Lost connections, silent servers, closing: what fails says so, and what was reported as done is done."""

from __future__ import annotations

import asyncio

import pytest

from pgnym.vault.errors import VaultError, VaultUnavailable
from pgnym.vault.keys import MasterKey
from pgnym.vault.store import Vault
from support.cluster import Cluster
from support.vault_database import PREFIX, VaultDatabase, run, some, until

pytestmark = pytest.mark.server


def test_when_the_watching_connection_is_lost_everything_kept_is_forgotten(
    postgres: Cluster, database: str
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            values = some(tenant, 1)
            token = next(iter(values))
            await tenant.put(values)
            assert tenant.is_known(token)
            assert tenant.cached(token) is not None
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~* '^(listen|set)'"
            )
            await until(lambda: tenant.cached(token) is None and not tenant.is_known(token))
            await until(lambda: vault.watch.listening)
            await tenant.put(values)
            assert tenant.is_known(token)
            await owner.execute("SELECT vault.invalidate($1, $2)", tenant.id, [token.decode()])
            await until(lambda: not tenant.is_known(token))

    run(postgres, database, scenario)


def test_a_connection_lost_in_the_middle_fails_every_waiter_and_is_mended(
    postgres: Cluster, database: str
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner, made.owner() as second:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 1))
            await owner.execute("BEGIN; LOCK TABLE vault.value IN ACCESS EXCLUSIVE MODE")
            puts = [asyncio.create_task(tenant.put(some(tenant, 2, n))) for n in range(100, 140, 2)]
            waiting = (
                "SELECT pid FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND query ~ 'vault.put' AND datname = $1"
            )
            pid = None
            async with asyncio.timeout(10):
                while pid is None:
                    pid = await second.fetchval(waiting, made.database)
            await second.execute("SELECT pg_terminate_backend($1)", pid)
            done, _ = await asyncio.wait(puts, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
            assert any(task.exception() is not None for task in done)
            await owner.execute("ROLLBACK")
            results = await asyncio.gather(*puts, return_exceptions=True)
            failed = [result for result in results if result is not None]
            assert failed
            assert all(isinstance(error, VaultUnavailable) and error.hint for error in failed)
            for n, result in enumerate(results):
                values = some(tenant, 2, 100 + 2 * n)
                stored = await tenant.get(values)
                assert result is not None or stored == values  # what was reported as done is there
                assert result is None or not any(tenant.is_known(token) for token in values)
            await tenant.put(some(tenant, 40, 100))
            assert await tenant.get(some(tenant, 40, 100)) == some(tenant, 40, 100)

    run(postgres, database, scenario)


def test_a_server_that_does_not_answer_is_given_up_in_time(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        vault = await Vault.open(
            made.gateway_url, MasterKey(bytes(range(32))), same_cluster=False, command_timeout=0.5
        )
        async with made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 1))
            await owner.execute("BEGIN; LOCK TABLE vault.value IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(5):
                with pytest.raises(VaultUnavailable, match="in time"):
                    await tenant.put(some(tenant, 1, 1))
            await owner.execute("ROLLBACK")
            await tenant.put(some(tenant, 1, 1))
        await vault.close()

    run(postgres, database, scenario)


def test_an_unreachable_or_refusing_server_is_named_without_secrets(
    postgres: Cluster, system_postgres: Cluster
) -> None:
    async def scenario() -> None:
        master = MasterKey(bytes(range(32)))
        for url in (
            "postgresql://u:secret@127.0.0.1:1/x",
            system_postgres.url(user="nobody", password="secret"),
            postgres.url("not_there", password="secret"),
        ):
            with pytest.raises(VaultUnavailable) as caught:
                await Vault.open(url, master, same_cluster=False)
            assert "secret" not in f"{caught.value}{caught.value.hint}{caught.value!r}"
            assert caught.value.hint
            assert caught.value.__suppress_context__

    asyncio.run(scenario())


def test_a_closed_vault_gives_nothing(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            values = some(tenant, 2)
            token = next(iter(values))
            await tenant.put(values)
            keys = tenant.keys
        assert tenant.cached(token) is None
        assert not tenant.is_known(token)
        assert not keys.data
        assert keys.search.wiped
        assert keys.audit.wiped
        with pytest.raises(VaultUnavailable):
            tenant.token(PREFIX, b"x")
        with pytest.raises(VaultError):
            await tenant.get([token])
        with pytest.raises(VaultError):
            await tenant.put({tenant.random_token(PREFIX): b"x"})
        with pytest.raises(VaultError):
            await vault.tenant("other")

    run(postgres, database, scenario)


@pytest.mark.parametrize("turns", range(4))
def test_a_vault_closes_while_its_watch_wakes_up(postgres: Cluster, database: str, turns: int) -> None:
    """A cancellation that meets the wake-up must not be lost (asyncio.wait_for loses it before Python 3.12)."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(same_cluster=True) as vault:
            await until(lambda: vault.watch.listening)
            await asyncio.sleep(0.01)  # into its wait
            vault.watch.pending()
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await vault.watch.stop()

    run(postgres, database, scenario)
