"""Rotation of data keys under load, interrupted, by the wrong login, and what its end means for copies of rows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pgnym.vault.ciphers import open as open_sealed
from pgnym.vault.errors import CannotOpen, KeyGone, VaultError, WrongMasterKey
from pgnym.vault.keyring import Keyring
from pgnym.vault.keys import MasterKey
from pgnym.vault.rotation import Rotated, rotate_data
from pgnym.vault.store import TenantVault, Vault
from support.cluster import Cluster
from support.vault_database import MASTER, PREFIX, VaultDatabase, run, some, until

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

GENERATIONS = "SELECT array_agg(DISTINCT generation ORDER BY generation) FROM vault.value"
KEYS = "SELECT array_agg(generation ORDER BY generation) FROM vault.key WHERE purpose = 'data'"


@contextmanager
def ring(secret: bytes = MASTER) -> Iterator[Keyring]:
    """A keyring of a command, wiped afterwards."""
    keyring = Keyring(MasterKey(secret))
    try:
        yield keyring
    finally:
        keyring.wipe()


async def rotate(
    made: VaultDatabase,
    *,
    url: str | None = None,
    tenant: str | None = None,
    batch: int = 50,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Rotated]:
    """As the command does it."""
    connection = await asyncpg.connect(url or made.owner_url)
    try:
        with ring() as keyring:
            return await rotate_data(connection, keyring, report, tenant=tenant, batch=batch)
    finally:
        await connection.close()


def test_a_rotation_under_load_fails_no_call_and_leaves_nothing_under_the_old_key(
    postgres: Cluster, database: str
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        # Room for all that is written, however fast the machine is.
        opened = partial(made.vault, cache_bytes=0, scan_limit=10_000_000, scan_bytes=2**30)
        async with opened() as one, opened() as two, made.owner() as owner:
            mine, theirs = await one.tenant("main"), await two.tenant("main")
            stored = some(mine, 2000)
            await mine.put(stored)
            old_key = mine.keys.data[1]
            stop = asyncio.Event()
            written: dict[bytes, bytes] = {}
            calls = 0

            async def put(vault: Vault, tenant: TenantVault, start: int) -> None:
                nonlocal calls
                while not stop.is_set():
                    fresh, again = some(tenant, 20, start), some(tenant, 20, start % 2000)
                    start += 20
                    vault.clear()
                    await tenant.put(fresh | again)
                    written.update(fresh)
                    calls += 1

            async def get(tenant: TenantVault) -> None:
                nonlocal calls
                tokens = list(stored)
                while not stop.is_set():
                    wanted = {token: stored[token] for token in secrets.SystemRandom().sample(tokens, 100)}
                    assert await tenant.get(wanted) == wanted
                    calls += 1

            async def scan(tenant: TenantVault) -> None:
                while not stop.is_set():
                    found = (await tenant.domain_values(PREFIX)).values
                    assert stored.items() <= found.items()

            async def age() -> None:
                while not stop.is_set():  # puts of what is there touch the rows
                    await owner.execute(
                        "UPDATE vault.value SET last_put = last_put - interval '2 hours'"
                        " WHERE token IN (SELECT token FROM vault.value ORDER BY token LIMIT 500"
                        " FOR UPDATE SKIP LOCKED)"
                    )

            load = asyncio.gather(
                put(one, mine, 10_000), put(two, theirs, 50_000), get(mine), get(theirs), scan(mine), age()
            )
            for generation in (2, 3):
                before = calls
                await until(lambda before=before: calls > before + 20)  # type: ignore[misc]
                (done,) = await rotate(made)
                assert done.generation == generation
                assert done.destroyed == (generation - 1,)
                assert done.values >= 2000
            stop.set()
            await load
            assert len(written) > 40
            assert await owner.fetchval(GENERATIONS) == [3]
            assert await owner.fetchval(KEYS) == [3]
            everything = stored | written
            assert await theirs.get(everything) == everything
            await until(lambda: list(mine.keys.data) == list(theirs.keys.data) == [3])
            rows = await owner.fetch("SELECT token, ciphertext FROM vault.value")
            assert len(rows) == len(everything)
            for row in rows:
                with pytest.raises(CannotOpen):
                    open_sealed(old_key, mine.id, row["token"].encode(), row["ciphertext"])

    run(postgres, database, scenario)


def test_a_put_that_was_sealed_before_the_rotation_is_sealed_again(postgres: Cluster, database: str) -> None:
    """A gateway that hears of nothing: its notifications are cut off, and its put is held up by another's lock."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault, made.owner() as owner, made.owner() as blocker:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await vault.watch.stop()
            with ring() as keyring:
                keys = await keyring.load(owner, "main", create=False)
                await keyring.retire(owner, keys)
            late = some(tenant, 10, 100)
            assert tenant.keys.generation == 1
            await tenant.put(late)
            assert tenant.keys.generation == 2
            assert await blocker.fetchval(
                "SELECT array_agg(DISTINCT generation) FROM vault.value WHERE token = ANY ($1)",
                [token.decode() for token in late],
            ) == [2]
            # The function itself refuses what an unknowing gateway sends.
            with pytest.raises(asyncpg.PostgresError) as caught:
                await blocker.fetchval(
                    "SELECT vault.put(false, 1, ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[$1], ARRAY[''::bytea], NULL)",
                    (PREFIX + b"a" * 24).decode(),
                )
            assert caught.value.sqlstate == "PN001"

    run(postgres, database, scenario)


def test_retirement_waits_for_puts_under_way_and_gives_way_to_long_ones(
    postgres: Cluster, database: str
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as holder, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            await holder.execute(
                "BEGIN; DELETE FROM vault.value WHERE token = (SELECT max(token) FROM vault.value)"
            )
            with ring() as keyring:
                keys = await keyring.load(owner, "main", create=False)
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await keyring.retire(owner, keys)
            assert await owner.fetchval(KEYS) == [1]
            rotation = asyncio.create_task(rotate(made))
            await tenant.put(some(tenant, 10, 100))  # is let through
            await holder.execute("ROLLBACK")
            (done,) = await rotation
            assert done.values == 20

    run(postgres, database, scenario)


def test_rows_that_others_hold_are_waited_for(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault, made.owner() as holder, made.owner() as owner:
            tenant = await vault.tenant("main")
            values = some(tenant, 30)
            await tenant.put(values)
            with ring() as keyring:
                await keyring.retire(owner, await keyring.load(owner, "main", create=False))
            held, erased = sorted(token.decode() for token in values)[3:5]
            await holder.execute("BEGIN")
            await holder.execute("UPDATE vault.value SET last_put = now() WHERE token = $1", held)
            await holder.execute("DELETE FROM vault.value WHERE token = $1", erased)
            rotation = asyncio.create_task(rotate(made))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
            async with asyncio.timeout(20):
                while not await owner.fetchval(waiting, made.database):
                    pass
            assert await owner.fetchval(KEYS) == [1, 2]
            await holder.execute("COMMIT")
            (done,) = await rotation
            assert (done.values, done.resumed, done.destroyed) == (29, True, (1,))
            del values[erased.encode()]
            assert await tenant.get(values) == values

    run(postgres, database, scenario)


def test_a_row_as_it_was_before_does_not_open(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            values = some(tenant, 5)
            await tenant.put(values)
            await owner.execute(
                "CREATE TEMP TABLE old AS SELECT token, generation, ciphertext FROM vault.value"
            )
            await rotate(made)
            assert await tenant.get(values) == values
            await until(
                lambda: list(tenant.keys.data) == [2]
            )  # else it opens by the key that is still in memory
            copy_back = (
                "UPDATE vault.value v SET generation = {}, ciphertext = o.ciphertext FROM old o"
                " WHERE o.token = v.token"
            )
            await owner.execute(copy_back.format("o.generation"))
            with pytest.raises(KeyGone):
                await tenant.get(values)
            await owner.execute(copy_back.format("2"))
            with pytest.raises(CannotOpen, match="changed, or moved"):
                await tenant.get(values)
            with pytest.raises(CannotOpen):
                await rotate(made)  # and no key is destroyed while there is a value that it might be for
            assert await owner.fetchval(KEYS) == [2, 3]

    run(postgres, database, scenario)


def test_reads_see_a_key_destroyed_between_reading_and_opening(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault:
            tenant = await vault.tenant("main")
            values = some(tenant, 5)
            await tenant.put(values)
            before = await vault.get_sealed((tenant.id, list(values)))
            await rotate(made)
            await until(lambda: list(tenant.keys.data) == [2])
            turns = iter([before])

            async def read() -> list[tuple[bytes, int, bytes]]:
                return next(turns, None) or await vault.get_sealed((tenant.id, list(values)))

            assert dict(await tenant.open_read(read)) == values

    run(postgres, database, scenario)


def test_what_was_read_of_a_domain_stays_exact(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 100))
            first = await tenant.domain_values(PREFIX)
            await rotate(made)
            assert await tenant.domain_values(PREFIX) is first  # nothing was read again
            assert await owner.fetchval("SELECT count(*) FROM vault.deletion") == 0
            await tenant.put(some(tenant, 101))
            assert (await tenant.domain_values(PREFIX)).values == some(tenant, 101)

    run(postgres, database, scenario)


def test_one_tenant_is_rotated_alone(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault(cache_bytes=0) as vault, made.owner() as owner:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            await one.put(some(one, 10))
            await two.put(some(two, 10))
            state = "SELECT array_agg(v::text ORDER BY token) FROM vault.value v WHERE tenant = $1"
            before = await owner.fetchval(state, two.id)
            (done,) = await rotate(made, tenant="one")
            assert (done.tenant, done.values) == ("one", 10)
            assert await owner.fetchval(state, two.id) == before
            assert await two.get(some(two, 10)) == some(two, 10)
            assert [r.tenant for r in await rotate(made)] == ["one", "two"]
            with pytest.raises(VaultError, match="tenant three is not in the vault"):
                await rotate(made, tenant="three")

    run(postgres, database, scenario)


def test_only_the_owner_with_the_master_key_rotates(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 10))
            state = "SELECT (SELECT array_agg(k::text) FROM vault.key k), (SELECT array_agg(v::text) FROM vault.value v)"
            before = await owner.fetchrow(state)
            with pytest.raises(VaultError, match="does not own the vault's schema"):
                await rotate(made, url=made.gateway_url)
            with ring(bytes(32)) as keyring, pytest.raises(WrongMasterKey):
                await rotate_data(owner, keyring, lambda *_: None)
            async with made.as_gateway() as gateway:
                for call in ("retire_data_keys(1, 2, '')", "destroy_data_keys(1)"):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await gateway.execute(f"SELECT vault.{call}")
            assert await owner.fetchrow(state) == before

    run(postgres, database, scenario)


def test_an_owner_whom_row_level_security_binds_rotates(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        role = f"owner_{database}"
        async with made.vault(cache_bytes=0) as vault, made.owner() as owner:
            tenant = await vault.tenant("main")
            values = some(tenant, 10)
            await tenant.put(values)
            await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'owner-pw'")
            await owner.execute(f"ALTER SCHEMA vault OWNER TO {role}")
            for (table,) in await owner.fetch(
                "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'vault'::regnamespace"
                " AND relkind IN ('r', 'p')"
            ):
                await owner.execute(f"ALTER TABLE {table} OWNER TO {role}")
            await owner.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vault TO {role}")
            try:
                url = postgres.url(made.database, user=role, password="owner-pw")
                (done,) = await rotate(made, url=url)
                assert (done.values, done.destroyed) == (10, (1,))
                assert await tenant.get(values) == values
            finally:
                await owner.execute(
                    f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
                )

    run(postgres, database, scenario)


def test_two_rotations_do_not_run_at_once(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(some(tenant, 500))
            results = await asyncio.gather(*(rotate(made, batch=20) for _ in range(3)))
            assert sorted(r[0].generation for r in results) == [2, 3, 4]

    run(postgres, database, scenario)
