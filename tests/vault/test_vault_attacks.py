"""Who reads or writes the tables past pgnym, or brings another key: nothing opens, nothing changes."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgnym.vault.errors import CannotOpen, KeyProblem, WrongMasterKey
from pgnym.vault.keys import MasterKey
from support.cluster import Cluster
from support.vault_database import VaultDatabase, run, some

pytestmark = pytest.mark.server


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
                        "INSERT INTO vault.value (tenant, token, generation, ciphertext, domain)"
                        " VALUES ($1, 'x', 1, '', 'x')",
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
                        "INSERT INTO vault.value (tenant, token, generation, ciphertext, domain)"
                        " VALUES ($1, $2, 1, $3, left($2, 6))",
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


def test_two_master_keys_cannot_both_be_the_first(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as ours, made.vault(master=bytes(32)) as theirs, made.owner() as owner:
            results = await asyncio.gather(ours.tenant("one"), theirs.tenant("two"), return_exceptions=True)
            assert [type(result) for result in results].count(WrongMasterKey) == 1
            assert await owner.fetchval("SELECT count(*) FROM vault.tenant") == 1

    run(postgres, database, scenario)
