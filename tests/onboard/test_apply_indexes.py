"""Indexes in the vault as the configuration wants them: made with the column or later, resumed, dropped."""

from __future__ import annotations

import asyncio

import pytest

from pgnym.config import parse
from pgnym.onboard import OnboardError
from pgnym.onboard.model import StepKind
from pgnym.vault.errors import VaultUnavailable
from pgnym.vault.store import TenantVault
from pgnym.vault.substrings import SubstringIndex
from pgnym.vault.tokens import prefix
from support.cluster import Cluster
from support.workbench import Workbench, workbench

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE person (id int, name text, note varchar(10), born date);
INSERT INTO person SELECT n, 'Person ' || n, 'note ' || n, '2000-01-01'::date + n FROM generate_series(1, 5000) n;
"""
NAME = "tables: {{public.person: {{columns: {{name: {{search: [{}]}}}}}}}}"
MISSING = (
    "SELECT count(*) FROM vault.value v WHERE NOT EXISTS (SELECT FROM vault.gram g WHERE g.token = v.token)"
)


async def tenants(bench: Workbench, *names: str) -> list[TenantVault]:
    """The parts of the bench's vault."""
    opened = [await bench.tools.open_tenant(name) for name in names]
    assert all(isinstance(tenant, TenantVault) for tenant in opened)
    return [tenant for tenant in opened if isinstance(tenant, TenantVault)]


async def found(tenant: TenantVault, text: str) -> list[bytes] | None:
    """What the index finds; None if it isn't used."""
    likely = await tenant.candidates(prefix(0), [[text]])
    return None if likely is None else sorted(likely.values())


async def steps(bench: Workbench) -> list[str]:
    """What is to be done about indexes."""
    return [step.text for step in (await bench.plan()).steps if step.kind is StepKind.INDEX]


def test_with_the_column(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, NAME.format("equality, substring")) as bench:
            await bench.app.execute(SCHEMA)
            assert await steps(bench) == [
                "build the substring index of domain public.person.name in the vault"
            ]
            await bench.apply()
            assert await bench.vault.fetchval(MISSING) == 0
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.gram") == 5000
            (tenant,) = await tenants(bench, "main")
            assert await found(tenant, "person 4321") == [b"Person 4321"]
            await bench.undo("public.person")
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.gram") == 0
            assert await bench.vault.fetchval("SELECT search || built || leftover FROM vault.domain") == []

    asyncio.run(work())


def test_later_for_all_tenants_and_dropped_again(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, NAME.format("")) as bench:
            await bench.app.execute(SCHEMA)
            assert await steps(bench) == []
            await bench.apply()
            main, other = await tenants(bench, "main", "other")
            await other.put({other.token(prefix(0), b"Person of another"): b"Person of another"})
            bench.config = parse(NAME.format("substring"))
            assert await steps(bench) == [
                "build the substring index of domain public.person.name in the vault"
            ]
            await bench.apply()
            assert await bench.vault.fetchval(MISSING) == 0
            for tenant, text, count in (
                (main, "person 123", 11),
                (other, "another", 1),
                (main, "another", 0),
            ):
                assert len(await found(tenant, text) or []) == count
            bench.config = parse(NAME.format(""))
            assert await steps(bench) == [
                "drop the substring index of domain public.person.name in the vault"
            ]
            await bench.apply()
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.gram") == 0

    asyncio.run(work())


def test_killed_in_between(postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was filled stays; the index is not used until all is; and a half dropped one is dropped by the next run."""

    async def work() -> None:
        async with workbench(postgres, database, NAME.format("")) as bench:
            await bench.app.execute(SCHEMA)
            await bench.apply()
            bench.config = parse(NAME.format("substring"))
            add, added = SubstringIndex.add, 0

            async def failing(
                index: SubstringIndex, tenant: int, tokens: list[bytes], grams: list[str]
            ) -> None:
                nonlocal added
                if added >= 4000:
                    raise VaultUnavailable("the vault's server can't be reached")
                added += len(tokens)
                await add(index, tenant, tokens, grams)

            monkeypatch.setattr(SubstringIndex, "add", failing)
            with pytest.raises(VaultUnavailable):
                await bench.apply()
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.gram") == 4000
            (tenant,) = await tenants(bench, "main")
            assert await found(tenant, "person 123") is None
            assert await steps(bench) != []
            monkeypatch.setattr(SubstringIndex, "add", add)
            filled = [0]
            missing = SubstringIndex.missing

            async def counting(
                index: SubstringIndex, tenant: int, domain: bytes, after: bytes
            ) -> list[object]:
                rows = await missing(index, tenant, domain, after)
                filled[0] += len(rows)
                return list(rows)

            monkeypatch.setattr(SubstringIndex, "missing", counting)
            await bench.apply()
            assert filled == [1000]
            assert await bench.vault.fetchval(MISSING) == 0
            # Dropping, killed after the registry was told.
            bench.config = parse(NAME.format(""))
            await bench.vault.execute("SELECT vault.set_search(0, '{}')")
            assert await steps(bench) == [
                "drop the substring index of domain public.person.name in the vault"
            ]
            await bench.apply()
            assert await bench.vault.fetchval("SELECT count(*) FROM vault.gram") == 0

    asyncio.run(work())


def test_another_run_of_the_gateway_hears_of_it(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        async with workbench(postgres, database, NAME.format("")) as bench:
            await bench.app.execute(SCHEMA)
            await bench.apply()
            (tenant,) = await tenants(bench, "main")
            assert await found(tenant, "person 123") is None
            bench.config = parse(NAME.format("substring"))
            await bench.apply()
            async with asyncio.timeout(10):
                while await found(tenant, "person 123") is None:
                    pass
            assert len(await found(tenant, "person 123") or []) == 11

    asyncio.run(work())


def test_only_texts_have_one(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        yaml = (
            "tables: {public.person: {columns: {note: {search: [substring]}, born: {search: [substring]}}}}"
        )
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute(SCHEMA)
            assert await bench.blockers() == [
                "public.person.born.search: type date can't have a substring index"
            ]
            with pytest.raises(OnboardError, match="born"):
                await bench.apply()

    asyncio.run(work())


def test_randomized_values_have_one_too(postgres: Cluster, database: str) -> None:
    async def work() -> None:
        yaml = "tables: {public.person: {columns: {name: {tokens: randomized, search: [substring]}}}}"
        async with workbench(postgres, database, yaml) as bench:
            await bench.app.execute(SCHEMA)
            await bench.apply()
            (tenant,) = await tenants(bench, "main")
            assert await found(tenant, "son 999") == [b"Person 999"]
            assert await bench.vault.fetchval(MISSING) == 0

    asyncio.run(work())
