"""Change of the master key: both keys open meanwhile, one afterwards; ended at every step, and by the wrong keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from pgnym.vault import master_rotation
from pgnym.vault.change_over import ChangeOver, wrap_bridge
from pgnym.vault.ciphers import MAX_USES
from pgnym.vault.errors import KeyProblem, VaultError, WrongMasterKey
from pgnym.vault.keyring import Keyring
from pgnym.vault.keys import MasterKey, Purpose
from pgnym.vault.master_rotation import Begun, Finished
from pgnym.vault.rotation import rotate_data
from support.cluster import Cluster
from support.vault_database import MASTER, VaultDatabase, run, some, until

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

NEW = bytes(range(100, 132))
THIRD = bytes(range(200, 232))
STATE = "SELECT (SELECT array_agg(k::text) FROM vault.key k), (SELECT array_agg(t::text) FROM vault.tenant t)"


async def begin(
    made: VaultDatabase,
    old: bytes = MASTER,
    new: bytes = NEW,
    *,
    url: str | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Begun:
    """As the command does it."""
    connection = await asyncpg.connect(url or made.owner_url)
    try:
        return await master_rotation.begin(connection, MasterKey(old), MasterKey(new), report)
    finally:
        await connection.close()


async def finish(
    made: VaultDatabase, staying: bytes = NEW, report: Callable[[int, int], None] = lambda *_: None
) -> Finished:
    """As the command does it."""
    connection = await asyncpg.connect(made.owner_url)
    try:
        return await master_rotation.finish(connection, MasterKey(staying), report)
    finally:
        await connection.close()


async def fill(made: VaultDatabase, *names: str) -> None:
    """Tenants with ten values each."""
    async with made.vault() as vault:
        for name in names:
            tenant = await vault.tenant(name)
            await tenant.put(some(tenant, 10))


async def opens(made: VaultDatabase, master: bytes, *names: str) -> bool:
    """Whether a process that starts with this key can read all values of these tenants, and add more."""
    try:
        async with made.vault(master=master) as vault:
            for name in names:
                tenant = await vault.tenant(name)
                values = some(tenant, 10)
                await tenant.put(values)
                vault.clear()
                assert await tenant.get(values) == values
            return True
    except WrongMasterKey:
        return False


def unwrap_rfc_3394(key: bytes, wrapped: bytes) -> bytes:
    """RFC 3394 section 2.2.2 from its text, over single blocks of AES."""
    blocks = [wrapped[i : i + 8] for i in range(0, len(wrapped), 8)]
    a, r = blocks[0], blocks[1:]
    decrypt = Cipher(algorithms.AES(key), modes.ECB()).decryptor().update
    for j in range(5, -1, -1):
        for i in range(len(r), 0, -1):
            t = (len(r) * j + i).to_bytes(8, "big")
            block = decrypt(bytes(x ^ y for x, y in zip(a, t, strict=True)) + r[i - 1])
            a, r[i - 1] = block[:8], block[8:]
    assert a == b"\xa6" * 8
    return b"".join(r)


def test_the_bridge_is_wrapped_as_the_vectors_say() -> None:
    """The answers were computed with hashlib's HMAC and OpenSSL's command line."""
    for vector in json.loads((Path(__file__).parent / "bridge_vectors.json").read_text()):
        old, new = (MasterKey(bytes.fromhex(vector[name])) for name in ("old", "new"))
        bridge = MasterKey(bytes.fromhex(vector["bridge"]))
        assert (old.id, new.id, bridge.id) == (vector["old_id"], vector["new_id"], vector["bridge_id"])
        for master, name in ((old, "under_old"), (new, "under_new")):
            wrapped = wrap_bridge(master, bridge, old.id, new.id)
            assert wrapped.hex() == vector[name]
            assert unwrap_rfc_3394(bytes.fromhex(vector[f"{name}_by"]), wrapped) == bridge.expose()


def test_a_bridge_of_another_change_does_not_open() -> None:
    old, new, third, bridge = (MasterKey(bytes([n]) * 32) for n in range(1, 5))
    wraps = [wrap_bridge(master, bridge, old.id, new.id) for master in (old, new)]
    good = ChangeOver(old.id, new.id, bridge.id, *wraps)
    assert good.bridge_under(old).expose() == good.bridge_under(new).expose() == bridge.expose()
    for change, master in (
        (good, third),
        (ChangeOver(old.id, third.id, bridge.id, *wraps), old),
        (ChangeOver(old.id, new.id, bridge.id, wraps[1], wraps[0]), old),
        (ChangeOver(old.id, new.id, bridge.id, None, wraps[1]), old),
        (ChangeOver(old.id, new.id, bridge.id, wraps[0][:-1] + b"x", wraps[1]), old),
    ):
        with pytest.raises(WrongMasterKey):
            change.bridge_under(master)
    assert wraps[0].hex() not in repr(good)


@pytest.mark.server
def test_both_keys_open_and_then_only_the_new(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "one", "two")
        async with made.vault(cache_bytes=0) as running, made.owner() as owner:
            one = await running.tenant("one")
            before = await owner.fetch("SELECT tenant, purpose, wrapped FROM vault.key")
            begun = await begin(made)
            assert (begun.old, begun.new) == (MasterKey(MASTER).id, MasterKey(NEW).id)
            assert (begun.tenants, begun.resumed) == (2, False)
            assert (await begin(made)).resumed, "and once more changes nothing"
            assert await opens(made, MASTER, "one", "two", "added by the old")
            assert await opens(made, NEW, "one", "two", "added by the old", "added by the new")
            assert await opens(made, MASTER, "added by the new")
            assert not await opens(made, THIRD, "one")
            assert await one.get(some(one, 10)) == some(one, 10)
            with pytest.raises(VaultError, match="1 processes still hold master key"):
                await finish(made)
            assert await opens(made, MASTER, "one")
            with pytest.raises(WrongMasterKey):
                await running.master.adopt(MasterKey(THIRD))
            await running.master.adopt(MasterKey(NEW))
            done = await finish(made)
            assert (done.staying, done.gone, done.tenants) == (MasterKey(NEW).id, MasterKey(MASTER).id, 4)
            assert (await finish(made)).gone is None
            await one.put(some(one, 20))
            assert await one.get(some(one, 20)) == some(one, 20)
            await running.reload_keys(one, one.keys)
            assert await opens(made, NEW, "one", "two", "added by the old", "added by the new")
            assert not await opens(made, MASTER, "one")
            assert await owner.fetchval("SELECT count(*) FROM vault.master_rotation") == 0
            after = await owner.fetch("SELECT tenant, purpose, wrapped FROM vault.key")
            assert not {row["wrapped"] for row in before} & {row["wrapped"] for row in after}

    run(postgres, database, scenario)


@pytest.mark.server
def test_the_old_key_and_a_copy_of_the_tables_of_before_open_no_later_data_key(
    postgres: Cluster, database: str
) -> None:
    """Who stole both has the KEK of then: it must not open what comes later."""

    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "main")
        async with made.owner() as owner:
            copies = [await owner.fetch("SELECT * FROM vault.key")]
            thief = MasterKey(MASTER)
            await begin(made)
            change = await ChangeOver.read(owner)
            assert change is not None
            copies.append(await owner.fetch("SELECT * FROM vault.key"))
            bridge = change.bridge_under(thief)
            stolen = [
                (under.unwrap_kek(row["wrapped"], row["tenant"], row["generation"]))
                for under, copy in zip((thief, bridge), copies, strict=True)
                for row in copy
                if row["purpose"] == "kek"
            ]
            data = next(row for row in copies[0] if row["purpose"] == "data")
            assert stolen[0].unwrap(data["wrapped"], Purpose.DATA, data["tenant"], 1)
            await finish(made)
            await rotate_data(owner, Keyring(MasterKey(NEW)), lambda *_: None)
            rows = await owner.fetch("SELECT * FROM vault.key")
            assert len(rows) == 5
            for row in rows:
                for key in (thief, bridge, *stolen):
                    with pytest.raises(KeyProblem):
                        key.unwrap(row["wrapped"], Purpose(row["purpose"]), row["tenant"], row["generation"])

    run(postgres, database, scenario)


class Stopped(Exception):
    """What ends a run in the middle."""


@pytest.mark.server
def test_each_step_goes_on_where_it_was_ended(postgres: Cluster, database: str) -> None:
    names = ("one", "two", "three")

    async def scenario(made: VaultDatabase) -> None:
        await fill(made, *names)

        def at(step: int) -> Callable[[int, int], None]:
            def report(done: int, _: int) -> None:
                if done == step:
                    raise Stopped

            return report

        for step in range(3):
            with pytest.raises(Stopped):
                await begin(made, report=at(step if step == 0 else 1))
            assert await opens(made, MASTER, *names)
            assert not await opens(made, NEW, *names)
            with pytest.raises(VaultError, match="has only begun"):
                await finish(made)
        await begin(made)
        for _ in range(3):
            with pytest.raises(Stopped):
                await finish(made, report=at(1) if _ else at(0))
            assert not await opens(made, MASTER, *names), "from the first moment on"
            assert await opens(made, NEW, *names)
            with pytest.raises(WrongMasterKey):
                await finish(made, MASTER)
            with pytest.raises(VaultError, match="another change"):
                await begin(made)
        assert (await finish(made)).gone == MasterKey(MASTER).id
        assert await opens(made, NEW, *names, "four")

    run(postgres, database, scenario)


@pytest.mark.server
def test_a_change_is_taken_back(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "one", "two")
        await begin(made)
        done = await finish(made, MASTER)
        assert done.gone == MasterKey(NEW).id
        assert await opens(made, MASTER, "one", "two")
        assert not await opens(made, NEW, "one")
        assert (await begin(made, MASTER, THIRD)).resumed is False

    run(postgres, database, scenario)


@pytest.mark.server
def test_wrong_keys_and_logins_change_nothing(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "one")
        async with made.owner() as owner, made.as_gateway() as gateway:
            before = await owner.fetchrow(STATE)
            for old, new, problem in (
                (THIRD, NEW, WrongMasterKey),
                (MASTER, MASTER, VaultError),
            ):
                with pytest.raises(problem):
                    await begin(made, old, new)
            with pytest.raises(VaultError, match="does not own"):
                await begin(made, url=made.gateway_url)
            with pytest.raises(WrongMasterKey):
                await finish(made, NEW)
            assert await owner.fetchrow(STATE) == before
            await begin(made)
            before = await owner.fetchrow(STATE)
            for old, new in ((THIRD, NEW), (MASTER, THIRD), (NEW, MASTER)):
                with pytest.raises(VaultError):
                    await begin(made, old, new)
            with pytest.raises(WrongMasterKey):
                await finish(made, THIRD)
            for statement in (
                "UPDATE vault.master_rotation SET under_old = NULL",
                "DELETE FROM vault.master_rotation",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await gateway.execute(statement)
            assert await owner.fetchrow(STATE) == before

    run(postgres, database, scenario)


@pytest.mark.server
def test_a_data_key_that_is_begun_meanwhile_is_wrapped_under_the_new_kek(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway's data key is used up while its tenant gets a new KEK: what it adds must open under that."""

    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "one")
        await begin(made)
        async with made.vault(master=NEW, cache_bytes=0) as vault, made.owner() as owner:
            tenant = await vault.tenant("one")
            await owner.execute("UPDATE vault.key SET reserved = $1 WHERE purpose = 'data'", MAX_USES)
            tenant.keys.uses_left = 0
            putting: list[asyncio.Task[None]] = []
            renew = master_rotation._renew

            async def slow(*arguments: object) -> None:
                putting.append(asyncio.create_task(tenant.put(some(tenant, 5, 100))))
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                seen = [0]

                async def look() -> None:
                    while not seen[0]:
                        seen[0] = await owner.fetchval(waiting)

                await asyncio.wait_for(look(), 20)
                await renew(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(master_rotation, "_renew", slow)
            await finish(made)
            await asyncio.gather(*putting)
            assert sorted(tenant.keys.data) == [1, 2]
            assert await tenant.get(some(tenant, 5, 100)) == some(tenant, 5, 100)
        assert await opens(made, NEW, "one")

    run(postgres, database, scenario)


@pytest.mark.server
def test_a_running_process_finds_the_new_key_by_itself(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        await fill(made, "one")
        async with made.vault() as vault:
            vault.master.find = lambda: NEW
            await begin(made)
            await until(lambda: vault.master.id == MasterKey(NEW).id)
            assert (await finish(made)).gone == MasterKey(MASTER).id
            # Its connection is lost and made anew: it shows the new key.
            async with made.owner() as owner:
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%advisory%'"
                    " AND pid <> pg_backend_pid() AND usename = $1",
                    made.gateway,
                )
            await until(lambda: vault.watch.listening)

    run(postgres, database, scenario)
