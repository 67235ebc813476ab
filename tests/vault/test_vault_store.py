"""The store on a real server: what is put is got, by its tenant only, and what fails says so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from pgnym.vault import ciphers, keyring, store, tokens
from pgnym.vault.errors import CannotOpen, KeyProblem, VaultError, VaultUnavailable, WrongMasterKey
from pgnym.vault.keys import MasterKey
from pgnym.vault.store import TenantVault, Vault
from support.cluster import Cluster
from support.vault_database import VaultDatabase, migrated, until

pytestmark = pytest.mark.server

PREFIX = tokens.prefix(5)
Scenario = Callable[[VaultDatabase], Awaitable[None]]


def run(postgres: Cluster, database: str, scenario: Scenario) -> None:
    """Runs a scenario on a fresh vault."""

    async def outer() -> None:
        async with migrated(postgres, database) as made:
            await scenario(made)

    asyncio.run(outer())


def some(tenant: TenantVault, count: int, start: int = 0) -> dict[bytes, bytes]:
    """Values and their tokens."""
    values = [b"person %d" % n for n in range(start, start + count)]
    return {tenant.token(PREFIX, value): value for value in values}


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


def test_row_level_security_binds_the_gateway(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            await one.put(some(one, 3))
            async with made.as_gateway() as gateway:
                counts = "SELECT (SELECT count(*) FROM vault.value), (SELECT count(*) FROM vault.key)"
                assert tuple(await gateway.fetchrow(counts) or ()) == (0, 0)  # never set
                for setting, expected in ((one.id, (3, 5)), (two.id, (0, 5)), (999, (0, 0)), ("", (0, 0))):
                    await gateway.execute("SELECT set_config('pgnym.tenant', $1, false)", str(setting))
                    assert tuple(await gateway.fetchrow(counts) or ()) == expected
                await gateway.execute("SELECT set_config('pgnym.tenant', $1, false)", str(two.id))
                token = next(iter(some(one, 1))).decode()
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await gateway.execute(
                        "INSERT INTO vault.value (tenant, token, generation, ciphertext) VALUES ($1, 'x', 1, '')",
                        one.id,
                    )
                assert await gateway.execute("DELETE FROM vault.value WHERE token = $1", token) == "DELETE 0"
                assert await gateway.execute("UPDATE vault.value SET last_put = now()") == "UPDATE 0"
                # The functions leave no tenant behind.
                await gateway.execute("SELECT set_config('pgnym.tenant', '', false)")
                rows = await gateway.fetch("SELECT * FROM vault.get($1, $2, $3)", [one.id], [1], [token])
                assert len(rows) == 1
                assert (
                    await gateway.fetch("SELECT * FROM vault.get($1, $2, $3)", [two.id], [1], [token]) == []
                )
                assert tuple(await gateway.fetchrow(counts) or ()) == (0, 0)

    run(postgres, database, scenario)


def test_the_owner_is_bound_too(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("one")
            await tenant.put(some(tenant, 3))
            plain_owner = f"owner_{database}"
            await owner.execute(f"CREATE ROLE {plain_owner}")
            await owner.execute(f"GRANT USAGE ON SCHEMA vault TO {plain_owner}")
            await owner.execute(f"ALTER TABLE vault.value OWNER TO {plain_owner}")
            await owner.execute(f"SET ROLE {plain_owner}")
            assert await owner.fetchval("SELECT count(*) FROM vault.value") == 0
            await owner.execute("RESET ROLE")
            await owner.execute("ALTER TABLE vault.value OWNER TO postgres")
            await owner.execute(f"DROP OWNED BY {plain_owner}; DROP ROLE {plain_owner}")

    run(postgres, database, scenario)


@pytest.mark.parametrize("what", ["another token", "another tenant", "another generation", "rolled back"])
def test_a_tampered_row_does_not_open(postgres: Cluster, database: str, what: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault, made.owner() as owner:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            alice, bob = some(one, 2)
            await one.put(some(one, 2))
            theirs = some(two, 1)
            await two.put(theirs)
            match what:
                case "another token":
                    await owner.execute(
                        "UPDATE vault.value SET ciphertext = (SELECT ciphertext FROM vault.value WHERE token = $2)"
                        " WHERE token = $1",
                        alice.decode(),
                        bob.decode(),
                    )
                case "another tenant":
                    await owner.execute(
                        "UPDATE vault.value SET tenant = $1 WHERE token = $2",
                        one.id,
                        next(iter(theirs)).decode(),
                    )
                    alice = next(iter(theirs))
                case "another generation":
                    await owner.execute(
                        "UPDATE vault.value SET generation = 2 WHERE token = $1", alice.decode()
                    )
                case "rolled back":
                    # The row as it was before its value was erased and the key's next generation took over.
                    old = await owner.fetchval(
                        "SELECT ciphertext FROM vault.value WHERE token = $1", alice.decode()
                    )
                    await owner.execute("DELETE FROM vault.value WHERE token = $1", alice.decode())
                    await owner.execute(
                        "DELETE FROM vault.key WHERE tenant = $1 AND purpose = 'data'", one.id
                    )
                    await owner.execute(
                        "INSERT INTO vault.key (tenant, purpose, generation, wrapped) SELECT $1, 'data', 1, wrapped"
                        " FROM vault.key WHERE tenant = $2 AND purpose = 'data'",
                        one.id,
                        two.id,
                    )
                    await owner.execute(
                        "INSERT INTO vault.value (tenant, token, generation, ciphertext) VALUES ($1, $2, 1, $3)",
                        one.id,
                        alice.decode(),
                        old,
                    )
                    async with made.vault() as fresh:
                        with pytest.raises(KeyProblem) as problem:
                            await fresh.tenant("one")  # a key of another tenant does not even unwrap
                        assert problem.value.key == f"{one.id}/data/1"
                    return
            with pytest.raises(CannotOpen) as caught:
                await one.get([alice])
            assert "domain 5" in caught.value.message
            assert alice.decode() not in str(caught.value)
            if what != "another tenant":
                assert await one.get([bob]) == {bob: b"person 1"}  # others are not harmed

    run(postgres, database, scenario)


def test_a_wrong_master_key_is_refused_and_changes_nothing(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            await vault.tenant("main")
            state = "SELECT (SELECT array_agg(t::text) FROM vault.tenant t), (SELECT array_agg(k::text) FROM vault.key k)"
            before = await owner.fetchrow(state)
            with pytest.raises(WrongMasterKey) as caught:
                async with made.vault(master=bytes(32)):
                    pass
            assert "tenant main" in caught.value.message
            assert vault.keyring.master_id in caught.value.message
            assert await owner.fetchrow(state) == before
            # Even if the id in the tenant's row was made to fit.
            fits = MasterKey(bytes(32)).id
            await owner.execute("UPDATE vault.tenant SET master_key = $1", fits)
            before = await owner.fetchrow(state)
            async with made.vault(master=bytes(32)) as other:
                with pytest.raises(WrongMasterKey) as caught:
                    await other.tenant("main")
                assert caught.value.key == "1/kek/1"
            assert await owner.fetchrow(state) == before

    run(postgres, database, scenario)


def test_a_lost_key_is_not_replaced(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            await vault.tenant("main")
            await owner.execute("DELETE FROM vault.key WHERE purpose = 'token'")
            async with made.vault() as other:
                with pytest.raises(KeyProblem, match="1/token is missing"):
                    await other.tenant("main")
            assert await owner.fetchval("SELECT count(*) FROM vault.key") == 4

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


def test_two_master_keys_cannot_both_be_the_first(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as ours, made.vault(master=bytes(32)) as theirs, made.owner() as owner:
            results = await asyncio.gather(ours.tenant("one"), theirs.tenant("two"), return_exceptions=True)
            assert [type(result) for result in results].count(WrongMasterKey) == 1
            assert await owner.fetchval("SELECT count(*) FROM vault.tenant") == 1

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
    for lane in (store._PutLane, store._GetLane):
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
