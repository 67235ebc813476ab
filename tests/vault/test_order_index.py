"""The order index on a real server: one order, whoever stores what at the same time, and nothing of it for who may not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pgnym.semantics.expression import Collation
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.vault import order_codes, order_sample, order_tables, tokens
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault
from support.cluster import Cluster
from support.vault_database import PREFIX, VaultDatabase, run, until

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server

DOMAIN = tokens.domain_id(PREFIX)
NAME = order_tables.name_of(PREFIX)
SCHEME = OrderScheme(25, Collation("C", "c", "C", "C"))
CODES = f'SELECT token, code FROM pgnym.codes_{NAME} ORDER BY code COLLATE "C"'


async def declare(owner: Connection, gateway: str) -> None:
    await owner.execute(order_tables.creation(PREFIX))
    await owner.execute(order_tables.granting(PREFIX, gateway, []))
    await owner.execute(
        "INSERT INTO vault.domain (id, name, randomized, order_by) VALUES ($1, 'd', false, $2::text::jsonb)",
        DOMAIN,
        SCHEME.write(),
    )
    await owner.execute("SELECT vault.set_search($1, '{order}'), vault.set_built($1, '{order}')", DOMAIN)


def tokenized(tenant: TenantVault, values: Sequence[bytes]) -> dict[bytes, bytes]:
    """Values by token."""
    return {tenant.token(PREFIX, value): value for value in values}


async def in_order(owner: Connection, tenant: TenantVault) -> list[bytes]:
    """The tenant's values by their codes, which must be distinct."""
    rows = await owner.fetch(CODES)
    assert len({row["code"] for row in rows}) == len(rows)
    values = await tenant.get([row["token"].encode() for row in rows])
    return [values[token] for row in rows if (token := row["token"].encode()) in values]


async def placed(owner: Connection, tenant: TenantVault, value: bytes) -> tuple[int, bool]:
    """How many values the database finds before a constant, and whether it is one of them."""
    place = (await tenant.orders.place(PREFIX, value)).decode()
    before = await owner.fetchval(
        f"SELECT count(*) FROM pgnym.codes_{NAME} WHERE code < pgnym.place_{NAME}($1) COLLATE \"C\"", place
    )  # fmt: skip
    return before, place.startswith("=")


def test_codes_are_in_the_order_of_values(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            source = random.Random(1)
            values = [b"v%d" % source.randrange(10**9) for _ in range(1500)]
            for start in range(0, 1000, 100):
                await tenant.put(tokenized(tenant, values[start : start + 100]))
            for value in values[1000:1100]:
                await tenant.put(tokenized(tenant, [value]))
            tenant.forget(None)  # another process knows nothing
            await tenant.put(tokenized(tenant, values))
            expected = sorted(set(values))
            assert await in_order(owner, tenant) == expected
            for value in (b"a", b"v5", b"w", expected[7], expected[-1], expected[0]):
                before = sum(1 for each in expected if each < value)
                assert await placed(owner, tenant, value) == (before, value in expected)

    run(postgres, database, scenario)


def test_two_gateways_that_store_at_once_agree(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as one, made.vault() as other:
            await declare(owner, made.gateway)
            tenants = [await one.tenant("main"), await other.tenant("main")]
            await until(lambda: all(v.watch.listening for v in (one, other)))
            # All of them belong into one narrow gap, some are stored by both.
            values = [b"name %05d" % n for n in range(400)]
            await tenants[0].put(tokenized(tenants[0], [b"name", b"nothing"]))

            async def store(tenant: TenantVault, seed: int) -> None:
                mine = random.Random(seed).sample(values, 300)
                for start in range(0, 300, 3):
                    await tenant.put(tokenized(tenant, mine[start : start + 3]))

            await asyncio.gather(*(store(tenants[n % 2], n) for n in range(4)))
            await tenants[0].put(tokenized(tenants[0], values))
            assert await in_order(owner, tenants[1]) == sorted([*values, b"name", b"nothing"])

    run(postgres, database, scenario)


def test_a_value_whose_code_was_never_stored_gets_it_with_the_next_put(
    postgres: Cluster, database: str
) -> None:
    """A gateway was killed between the two."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            values = tokenized(tenant, [b"b", b"a", b"c"])
            await tenant.put(values)
            await owner.execute(f"DELETE FROM pgnym.codes_{NAME}")
        async with made.owner() as owner, made.vault() as vault:
            tenant = await vault.tenant("main")
            await tenant.put(values)
            assert await in_order(owner, tenant) == [b"a", b"b", b"c"]

    run(postgres, database, scenario)


def test_codes_without_a_value_are_out_of_the_way(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"a", b"b", b"c", b"d"]))
            gone = [tenant.token(PREFIX, value) for value in (b"b", b"c")]
            async with owner.transaction():
                await owner.execute("SELECT set_config('pgnym.tenant', $1, true)", str(tenant.id))
                names = [token.decode() for token in gone]
                await owner.execute("DELETE FROM vault.value WHERE token = ANY ($1::text[])", names)
                await owner.execute("SELECT vault.invalidate($1, $2::text[])", tenant.id, names)
            tenant.forget(gone)
            await tenant.orders.drop(
                [gone[0], tenant.token(PREFIX, b"a")]
            )  # not that of a value that is there
            assert len(await owner.fetch(CODES)) == 3
            await tenant.put(tokenized(tenant, [b"bb"]))
            assert await in_order(owner, tenant) == [b"a", b"bb", b"d"]
            assert len(await owner.fetch(CODES)) == 3
            await tenant.put(tokenized(tenant, [b"b", b"c"]))
            assert await in_order(owner, tenant) == [b"a", b"b", b"bb", b"c", b"d"]

    run(postgres, database, scenario)


def test_tenants_have_orders_of_their_own(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            one, other = await vault.tenant("one"), await vault.tenant("other")
            await one.put(tokenized(one, [b"m", b"z", b"a"]))
            await other.put(tokenized(other, [b"b", b"y"]))
            await one.put(tokenized(one, [b"c"]))
            rows = [row["token"].encode() for row in await owner.fetch(CODES)]
            assert [(await one.get(rows)).get(t) or (await other.get(rows))[t] for t in rows] == [
                b"a", b"c", b"m", b"z", b"b", b"y",
            ]  # fmt: skip
            assert (await other.orders.place(PREFIX, b"x")).count(b"pn1") == 2
            assert (await other.orders.place(PREFIX, b"zz")).endswith(b"|")

    run(postgres, database, scenario)


def test_a_place_is_refused_when_a_value_came_between(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"a", b"d"]))
            place = (await tenant.orders.place(PREFIX, b"b")).decode()
            query = f"SELECT pgnym.place_{NAME}($1)"
            assert await owner.fetchval(query, place)
            await tenant.put(tokenized(tenant, [b"c"]))
            with pytest.raises(asyncpg.InvalidTextRepresentationError, match=order_tables.UNRANKED):
                await owner.fetchval(query, place)
            with pytest.raises(asyncpg.InvalidTextRepresentationError, match=order_tables.UNRANKED):
                await owner.fetchval(f"SELECT pgnym.order_{NAME}('pn1aaaaaaaaaaaaaaaaaaaaaaaaaaa')")

    run(postgres, database, scenario)


def test_codes_that_were_given_anew_are_read_anew(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"%03d" % n for n in range(0, 200, 2)]))
            rows = [row["token"] for row in await owner.fetch(CODES)]
            start = order_codes.tenant_prefix(tenant.id)
            async with owner.transaction():
                await owner.execute(f"TRUNCATE pgnym.codes_{NAME}")
                anew = [(t, start + c) for t, c in zip(rows, order_codes.evenly(len(rows)), strict=True)]
                await owner.copy_records_to_table(f"codes_{NAME}", schema_name="pgnym", records=anew)
                await owner.execute(f"UPDATE pgnym.codes_version_{NAME} SET version = 2")
            await tenant.put(tokenized(tenant, [b"%03d" % n for n in range(1, 200, 2)]))
            assert await in_order(owner, tenant) == [b"%03d" % n for n in range(200)]

    run(postgres, database, scenario)


def test_a_code_that_would_be_too_long_is_refused(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_codes, "LONGEST", 12)

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")

            async def worst() -> None:
                low, high = 0, 2**200
                for turn in range(200):
                    middle = (low + high) // 2
                    await tenant.put(tokenized(tenant, [b"%061d" % middle]))
                    low, high = (middle, high) if turn % 2 else (low, middle)

            with pytest.raises(VaultError, match="too uneven") as caught:
                await worst()
            assert "pgnym apply" in caught.value.hint

    run(postgres, database, scenario)


def test_gateways_that_go_on_one_run_agree(postgres: Cluster, database: str) -> None:
    """Where values come one behind the other nobody looks whether another gateway was there; the lock tells."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as one, made.vault() as other:
            await declare(owner, made.gateway)
            tenants = [await one.tenant("main"), await other.tenant("main")]
            await until(lambda: all(v.watch.listening for v in (one, other)))
            for n in range(20):  # a run is recognized
                await tenants[0].put(tokenized(tenants[0], [b"n%04d" % n]))
            await tenants[1].put(tokenized(tenants[1], [b"n0019a", b"n0030"]))
            for n in range(20, 60):
                await tenants[n % 3 == 0].put(tokenized(tenants[n % 3 == 0], [b"n%04d" % n]))
            expected = sorted([*(b"n%04d" % n for n in range(60)), b"n0019a"])
            assert await in_order(owner, tenants[0]) == expected

    run(postgres, database, scenario)


def test_values_of_many_callers_are_placed_together(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be placed is the error of who stores it, not of those beside him."""
    monkeypatch.setattr(order_codes, "LONGEST", 9)

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"a", b"c"]))
            low, high = (tenant.token(PREFIX, value).decode() for value in (b"a", b"c"))
            start = order_codes.tenant_prefix(tenant.id)
            narrow = f"UPDATE pgnym.codes_{NAME} SET code = $2 WHERE token = $1"
            await owner.execute(narrow, low, f"{start}5555551")
            await owner.execute(narrow, high, f"{start}5555552")
            tenant.forget(None)
            values = [b"%d" % n for n in range(10)] + [b"b%d" % n for n in range(100)]
            ended = await asyncio.gather(
                *(tenant.put(tokenized(tenant, [value])) for value in values), return_exceptions=True
            )
            failed = [value for value, error in zip(values, ended, strict=True) if error is not None]
            assert failed == values[10:]
            assert all(isinstance(error, VaultError) for error in ended if error is not None)
            assert await in_order(owner, tenant) == sorted({*values, b"a", b"c"} - set(failed))

    run(postgres, database, scenario)


def test_a_token_that_has_a_code_keeps_it(postgres: Cluster, database: str) -> None:
    """Its value was gone, and comes again; what is beside it is placed by the code that it has."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"b", b"m", b"z"]))
            codes = [tuple(row) for row in await owner.fetch(CODES)]
            (token,) = tokenized(tenant, [b"m"])
            async with owner.transaction():
                await owner.execute("SELECT set_config('pgnym.tenant', $1, true)", str(tenant.id))
                await owner.execute("DELETE FROM vault.value WHERE token = $1", token.decode())
            tenant.forget(None)
            await tenant.put(tokenized(tenant, [b"m"]))
            assert [tuple(row) for row in await owner.fetch(CODES)] == codes
            for n in range(30):
                await tenant.put(tokenized(tenant, [b"l%02d" % n, b"n%02d" % n]))
            assert len(await in_order(owner, tenant)) == 63

    run(postgres, database, scenario)


def test_nobody_but_the_gateway_may_use_it(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, made.gateway)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"a"]))
            await owner.execute(f"GRANT USAGE ON SCHEMA pgnym TO PUBLIC; CREATE ROLE reader_{database}")
            try:
                await owner.execute(f"SET ROLE reader_{database}")
                (token,) = tokenized(tenant, [b"a"])
                text = token.decode()
                for statement in (
                    f"SELECT pgnym.order_{NAME}('{text}')",
                    f"SELECT pgnym.token_{NAME}('a')",
                    f"SELECT pgnym.place_{NAME}('={text}')",
                    f"SELECT pgnym.codes_missing_{NAME}('{{{text}}}')",
                    f"SELECT pgnym.codes_between_{NAME}('{{}}', '{{}}', '{{}}', '{{}}', '{{}}', 5)",
                    f"SELECT * FROM pgnym.codes_{NAME}",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await owner.execute(statement)
            finally:
                await owner.execute(f"RESET ROLE; DROP ROLE reader_{database}")

    run(postgres, database, scenario)


def test_the_sample_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_sample, "SAMPLE", 100)
    sample = order_sample.Sample()
    for number in range(5000):
        sample.add(number * 7919 % 10007, f"c{number}", b"t")
    assert len(sample.keys) <= 100
    assert sample.keys == sorted(sample.keys)
