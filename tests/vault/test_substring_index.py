"""The substring index on a real server: never a value missed, whoever puts while it is made or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import asyncpg
import pytest

from pgnym.semantics.folding import fold
from pgnym.vault import tokens
from pgnym.vault.errors import TooManyValues, VaultError
from pgnym.vault.store import TenantVault, Vault
from support.cluster import Cluster
from support.vault_database import PREFIX, VaultDatabase, run, until

pytestmark = pytest.mark.server

DOMAIN = tokens.domain_id(PREFIX)
NAMES = [
    b"Anna Schmidt",
    b"BENNO SCHMITZ",
    b"Zoe",
    b"Al",
    "Jörg Weiß".encode(),
    b"schmidtbauer, ida",
    b"x" * 300,
]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def declare(owner: Connection, *search: str, domain: int = DOMAIN) -> None:
    """Registers a domain, and says which indexes it has."""
    await owner.execute(
        "INSERT INTO vault.domain (id, name, randomized) VALUES ($1, $2, false) ON CONFLICT DO NOTHING",
        domain,
        f"d{domain}",
    )
    await owner.execute("SELECT vault.set_search($1, $2)", domain, list(search))


async def built(owner: Connection, *vaults: Vault) -> None:
    """Lets questions rely on the index, and waits until these vaults have heard of it."""
    known = [vault.indexes for vault in vaults]
    await owner.execute("SELECT vault.set_built($1, '{substring}')", DOMAIN)
    await until(lambda: all(vault.indexes is not old for vault, old in zip(vaults, known, strict=True)))


def tokenized(tenant: TenantVault, values: list[bytes], prefix: bytes = PREFIX) -> dict[bytes, bytes]:
    """Values by token."""
    return {tenant.token(prefix, value): value for value in values}


async def found(tenant: TenantVault, *texts: str) -> list[bytes]:
    """The candidates' values in order."""
    likely = await tenant.candidates(PREFIX, [[fold(t.encode()) for t in texts]])
    if likely is None:  # no index can tell
        likely = (await tenant.domain_values(PREFIX)).values
    return sorted(likely.values())


def test_candidates_come_from_the_index(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault:
            await declare(owner, "substring")
            await built(owner)
            tenant, other = await vault.tenant("main"), await vault.tenant("other")
            await tenant.put(tokenized(tenant, NAMES))
            await tenant.put(tokenized(tenant, [b"Schmidt elsewhere"], tokens.prefix(9)))
            await other.put(tokenized(other, [b"Anna Schmidt"]))
            assert await found(tenant, "SCHMI") == [b"Anna Schmidt", b"BENNO SCHMITZ", b"schmidtbauer, ida"]
            assert await found(tenant, "schmidt") == [b"Anna Schmidt", b"schmidtbauer, ida"]
            assert await found(tenant, "schmidt", "anna") == [b"Anna Schmidt"]
            assert await found(tenant, "sch", "na") == await found(tenant, "sch")  # too short to tell
            assert await found(tenant, "örg w") == ["Jörg Weiß".encode()]
            assert await found(tenant, "xxxx") == [b"x" * 300]
            assert await found(tenant, "nobody") == []
            assert await found(tenant, "zo") == await found(tenant) == sorted(NAMES)
            assert await found(other, "schmidt") == [b"Anna Schmidt"]
            either = await tenant.candidates(
                PREFIX, [["schmidt", "anna"], ["schmi", "benno"], ["nobody"], ["anna"]]
            )
            assert sorted((either or {}).values()) == [b"Anna Schmidt", b"BENNO SCHMITZ"]
            assert await tenant.candidates(PREFIX, [["schmidt"], ["zo"]]) is None
            assert await tenant.candidates(PREFIX, []) is None
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == len(NAMES) + 1

    run(postgres, database, scenario)


def test_a_gateway_that_has_not_heard_of_the_index_stores_grams_all_the_same(
    postgres: Cluster, database: str
) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault, made.vault(fold=None) as blind:
            tenant = await vault.tenant("main")
            early = tokenized(tenant, NAMES[:2])
            await tenant.put(early)
            await declare(owner, "substring")
            # Puts of several tenants that share batches, some of which have read the registry anew and some not.
            tenants = [tenant, await vault.tenant("a"), await vault.tenant("b")]
            await asyncio.gather(*(t.put(tokenized(t, NAMES[2:])) for t in tenants for _ in range(3)))
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == 3 * len(NAMES[2:])
            await (await blind.tenant("main")).put(tokenized(tenant, [b"x"], tokens.prefix(9)))
            with pytest.raises(VaultError, match="can't store"):
                await (await blind.tenant("main")).put(tokenized(tenant, [b"new"]))
            # Not yet of all values, so questions don't use it.
            assert await found(tenant, "schmidt") == sorted(NAMES)
            ticks: list[int] = []
            await tenant.fill_index(PREFIX, ticks.append)
            await tenant.fill_index(PREFIX, ticks.append)  # nothing is left
            assert ticks == [2]
            await built(owner, vault)
            assert await found(tenant, "schmidt") == [b"Anna Schmidt", b"schmidtbauer, ida"]

    run(postgres, database, scenario)


def test_an_index_that_was_dropped_is_not_asked(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault, made.vault() as late:
            await declare(owner, "substring")
            await built(owner, vault, late)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, NAMES))
            assert len(await found(tenant, "schmidt")) == 2
            known = await late.known_indexes()
            await declare(owner)
            await owner.execute("SELECT vault.drop_grams($1, $2)", DOMAIN, PREFIX.decode())
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == 0
            await tenant.put(tokenized(tenant, [b"Schmidt the third"]))
            late.indexes = known  # as if it had not heard yet
            assert await found(await late.tenant("main"), "schmidt") == sorted([*NAMES, b"Schmidt the third"])

    run(postgres, database, scenario)


@pytest.mark.parametrize("puts_before", [0, 10])
@pytest.mark.parametrize("search", [("substring",), ()])
def test_a_put_that_waited_for_the_change_is_made_anew(
    postgres: Cluster, database: str, search: tuple[str, ...], puts_before: int
) -> None:
    """The change waits for puts under way, and puts that come then wait for the change and see it."""

    async def scenario(made: VaultDatabase) -> None:
        async with (
            made.owner() as owner,
            made.owner() as early,
            made.owner() as watcher,
            made.vault() as vault,
        ):
            await declare(owner, *({"substring"} - set(search)))
            tenant = await vault.tenant("main")
            for n in range(puts_before):  # the server keeps a plan after some
                await tenant.put(tokenized(tenant, [b"%d" % n], tokens.prefix(9)))
            epoch = (await vault.known_indexes()).epoch
            await early.execute("BEGIN; LOCK TABLE vault.value IN ROW EXCLUSIVE MODE")  # as a put's
            change = asyncio.create_task(declare(owner, *search))
            await _waiting(watcher, made.database, 1)
            put = asyncio.create_task(tenant.put(tokenized(tenant, NAMES)))
            await _waiting(watcher, made.database, 2)
            await early.execute("COMMIT")
            await change
            await put
            assert (await vault.known_indexes()).epoch == epoch + 1
            expected = len(NAMES) if search else 0
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == expected

    run(postgres, database, scenario)


async def _waiting(owner: Connection, database: str, count: int) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
    async with asyncio.timeout(10):
        while await owner.fetchval(query, database) != count:
            pass


def test_an_index_made_under_load_misses_nothing(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as one, made.vault() as two:
            await declare(owner)
            tenants = [await one.tenant("main"), await two.tenant("main")]
            counts = [0, 0, 0, 0]
            done = False

            async def put(worker: int) -> None:
                tenant = tenants[worker % 2]
                while not done:
                    n = counts[worker]
                    await tenant.put(
                        tokenized(tenant, [b"person %d of worker %d" % (n + i, worker) for i in range(5)])
                    )
                    counts[worker] += 5

            async def ask() -> None:
                while not done:
                    at_least = list(counts)
                    for worker, tenant in enumerate(tenants):
                        got = await found(tenant, f"of worker {worker}")
                        assert (
                            len([v for v in got if v.endswith(b"of worker %d" % worker)]) >= at_least[worker]
                        )

            tasks = [asyncio.create_task(put(worker)) for worker in range(4)] + [asyncio.create_task(ask())]
            for _ in range(4):
                before = min(counts)
                await until(lambda: min(counts) > before + 20)  # noqa: B023 - awaited here
                await declare(owner, "substring")
                await tenants[0].fill_index(PREFIX, lambda _: None)
                await built(owner, one, two)
                before = min(counts)
                await until(lambda: min(counts) > before + 20)  # noqa: B023 - awaited here
                assert await owner.fetchval("SELECT count(*) FROM vault.value") >= sum(counts)
                assert not await owner.fetchval(
                    "SELECT count(*) FROM vault.value v WHERE NOT EXISTS (SELECT FROM vault.gram g WHERE g.token = v.token)"
                )
                await declare(owner)
                await owner.execute("SELECT vault.drop_grams($1, $2)", DOMAIN, PREFIX.decode())
            done = True
            await asyncio.gather(*tasks)

    run(postgres, database, scenario)


def test_too_many_candidates(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault(candidate_limit=20, scan_limit=50) as vault:
            await declare(owner, "substring")
            await built(owner)
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, [b"person %d" % n for n in range(50)]))
            assert len(await found(tenant, "person 1")) == 11
            assert len(await found(tenant, "person")) == 50  # all fit, so all are taken
            await tenant.put(tokenized(tenant, [b"another person"]))
            with pytest.raises(TooManyValues, match="more than 20") as caught:
                await found(tenant, "person")
            assert "longer or rarer" in caught.value.hint
            assert caught.value.bound == 20
            assert await found(tenant, "another") == [b"another person"]
            with pytest.raises(TooManyValues, match="more than 20"):  # each less, but not together
                await tenant.candidates(PREFIX, [["person 1"], ["person 2"]])
            with pytest.raises(TooManyValues, match="more than 50"):
                await found(tenant, "an")

    run(postgres, database, scenario)


def test_the_index_is_used_and_tenants_are_kept_apart(postgres: Cluster, database: str) -> None:
    """With row-level security in force, and a hundred thousand values of others."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault, made.as_gateway() as gateway:
            await declare(owner, "substring")
            await built(owner)
            tenant, other = await vault.tenant("main"), await vault.tenant("other")
            for each in (tenant, other):
                for start in range(0, 10_000, 5000):
                    await each.put(tokenized(each, [b"person %d" % n for n in range(start, start + 5000)]))
            await gateway.execute("SET enable_seqscan = off")
            grams = tenant._grams.of_texts(PREFIX, ["person 12"])
            await gateway.execute(
                "SELECT set_config('pgnym.grams', $1, false)", "{" + ",".join(map(str, grams)) + "}"
            )
            count = "SELECT count(*) FROM vault.gram"
            assert await gateway.fetchval(count) == 0  # no tenant
            for each, expected in ((other, 0), (tenant, 111)):
                await gateway.execute("SELECT set_config('pgnym.tenant', $1, false)", str(each.id))
                assert expected <= await gateway.fetchval(count) <= expected + 5
            plan = "\n".join(
                row[0] for row in await gateway.fetch("EXPLAIN SELECT token FROM vault.gram LIMIT 1001")
            )
            assert "Bitmap Index Scan on gram_grams" in plan
            await gateway.execute("SELECT set_config('pgnym.grams', '', false)")
            assert await gateway.fetchval(count) == 0
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await gateway.execute("DELETE FROM vault.gram")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await gateway.execute("UPDATE vault.domain SET search = '{}'")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await gateway.execute("SELECT vault.set_search($1, '{}')", DOMAIN)

    run(postgres, database, scenario)


def test_grams_go_with_their_values(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.owner() as owner, made.vault() as vault, made.as_gateway() as gateway:
            await declare(owner, "substring")
            tenant = await vault.tenant("main")
            await tenant.put(tokenized(tenant, NAMES))
            # By the gateway's role, under row-level security, as an erasure is.
            await gateway.execute("SELECT set_config('pgnym.tenant', $1, false)", str(tenant.id))
            gone = [token.decode() for token in tokenized(tenant, NAMES[:3])]
            assert await gateway.execute("DELETE FROM vault.value WHERE token = ANY ($1)", gone) == "DELETE 3"
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == len(NAMES) - 3
            vault.clear()
            values: Mapping[bytes, bytes] = tokenized(tenant, NAMES)
            await tenant.put(values)
            assert await owner.fetchval("SELECT count(*) FROM vault.gram") == len(NAMES)

    run(postgres, database, scenario)
