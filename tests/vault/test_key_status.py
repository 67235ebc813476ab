"""``pgnym keys status`` and what it is made of: ages, use, changes under way; and that no key shows."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import asyncpg
import pytest

from pgnym.vault.change_over import ChangeOver
from pgnym.vault.ciphers import MAX_USES
from pgnym.vault.errors import VaultError
from pgnym.vault.key_status import keys_of
from pgnym.vault.keyring import Keyring
from pgnym.vault.keys import MasterKey
from pgnym.vault.master_rotation import begin, finish
from support.cluster import Cluster
from support.gateway import deployment
from support.vault_database import GATEWAY_PASSWORD, MASTER, VaultDatabase, run, some

pytestmark = pytest.mark.server


def test_generations_ages_and_use_by_tenant(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner, made.as_gateway() as gateway:
            one, two = await vault.tenant("one"), await vault.tenant("two")
            await one.put(some(one, 7))
            keyring = Keyring(MasterKey(MASTER))
            await keyring.retire(owner, await keyring.load(owner, "one", create=False))
            await one.put(some(one, 3, 100))
            await two.put(some(two, 5))
            await owner.execute(
                "UPDATE vault.key SET created = now() - interval '40 days 1 hour' WHERE tenant = 2"
            )
            await owner.execute(
                "UPDATE vault.key SET reserved = $1 WHERE tenant = 2 AND purpose = 'data'", MAX_USES // 4
            )
            found = await keys_of(gateway)
            assert found.change is None
            first, second = found.tenants
            assert (first.tenant, first.master_key) == ("one", MasterKey(MASTER).id)
            assert [key.purpose for key in first.keys] == ["kek", "data", "data", "token", "search", "audit"]
            data = [key for key in first.keys if key.purpose == "data"]
            assert [(k.generation, k.values, k.retired is None) for k in data] == [
                (1, 7, False),
                (2, 3, True),
            ]
            assert all((key.reserved or 0) >= (key.values or 0) for key in data)
            assert [(p.kind, p.done, p.total) for p in first.pending] == [("data", 3, 10)]
            assert second.pending == []
            assert {key.age_days for key in second.keys} == {40}
            assert [(k.share, k.values) for k in second.keys if k.purpose == "data"] == [(0.25, 5)]
            assert (await keys_of(gateway, "two")).tenants == [second]
            with pytest.raises(VaultError, match="tenant three is not in the vault"):
                await keys_of(gateway, "three")

    run(postgres, database, scenario)


def test_a_change_of_the_master_key_shows_how_far_it_is(postgres: Cluster, database: str) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 1:
            raise Stopped

    async def scenario(made: VaultDatabase) -> None:
        old, new = MASTER, bytes(range(50, 82))
        async with made.vault() as vault:
            for name in ("one", "two", "three"):
                await vault.tenant(name)

        async def state(step: object) -> tuple[str, int, int]:
            if step is not None:
                async with made.owner() as owner:
                    try:
                        if step == "begin":
                            await begin(owner, MasterKey(old), MasterKey(new), stop)
                        else:
                            await finish(owner, MasterKey(new), stop)
                    except Stopped:
                        pass
            async with made.as_gateway() as gateway:
                change = (await keys_of(gateway)).change
                assert change is not None
                assert (change.old, change.new) == (MasterKey(old).id, MasterKey(new).id)
                return change.state, change.done, change.total

        assert await state("begin") == ("opening", 1, 3)
        async with made.owner() as owner:
            await begin(owner, MasterKey(old), MasterKey(new), lambda *_: None)
        assert await state(None) == ("open", 3, 3)
        assert await state("finish") == ("ending", 1, 3)
        async with made.owner() as owner:
            await finish(owner, MasterKey(new), lambda *_: None)
            assert (await keys_of(owner)).change is None

    run(postgres, database, scenario)


def test_the_command_shows_no_key(postgres: Cluster, database: str) -> None:
    async def scenario(vault_database: VaultDatabase) -> None:
        plain = deployment(postgres, database)
        config = {**plain.config, "vault": {"user": vault_database.gateway}}
        made = replace(plain, config=config, vault_password=GATEWAY_PASSWORD)
        new = MasterKey(os.urandom(32))
        async with vault_database.vault() as vault, vault_database.owner() as owner:
            one = await vault.tenant("one")
            await one.put(some(one, 7))
            await begin(owner, MasterKey(MASTER), new, lambda *_: None)
            change = await ChangeOver.read(owner)
            assert change is not None
            shown = {}
            for form in ("text", "json"):
                done = await asyncio.to_thread(made.pgnym, "keys", "status", "--format", form, sealed=True)
                shown[form] = done.stdout
            told = json.loads(shown["json"])
            assert told["change"]["state"] == "open"
            assert told["tenants"][0]["master_key"] == change.bridge
            assert "open" in shown["text"]
            assert new.id in shown["text"]
            assert "data" in shown["text"]
            secrets = [row[0] for row in await owner.fetch("SELECT wrapped FROM vault.key")]
            secrets += [change.under_old, change.under_new]
            for wrapped in secrets:
                assert wrapped.hex() not in shown["text"] + shown["json"]
            other = await asyncio.to_thread(
                made.pgnym, "keys", "status", "--tenant", "nobody", sealed=True, check=False
            )
            assert other.returncode == 1
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with vault_database.as_gateway() as gateway:
                    await gateway.execute("UPDATE vault.key SET created = now()")

    run(postgres, database, scenario)
