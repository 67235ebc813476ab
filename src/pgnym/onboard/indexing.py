"""Indexes in the vault: comparing what the configuration wants with what is there, making them, dropping them.

First the registry says what gateways must store (``declare``): from then on no value comes in without its entries. Then what
was there before gets its own (``build``), tenant by tenant, while everything runs on; a run that is killed goes on where it
was. Last the registry says that the index is complete, and gateways use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgnym.onboard.model import Connection, IndexWork, OpenTenant, Progress, Report, Stage
from pgnym.vault.indexes import ORDER, SUBSTRING
from pgnym.vault.migrations import current_version
from pgnym.vault.tokens import prefix

SINCE = 6  # the version of the vault's schema that has indexes


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the registry says of a domain: what gateways store, what is complete, and what has yet to be deleted."""

    id: int
    search: frozenset[str] = frozenset()
    built: frozenset[str] = frozenset()
    leftover: frozenset[str] = frozenset()


async def read(vault: Connection) -> dict[str, Indexed]:
    """All domains by name."""
    if await current_version(vault) < SINCE:
        return {}
    rows = await vault.fetch("SELECT name, id, search, built, leftover FROM vault.domain")
    return {row[0]: Indexed(row[1], *map(frozenset, row[2:])) for row in map(tuple, rows)}


def compare(wanted: Mapping[str, frozenset[str]], there: Mapping[str, Indexed]) -> tuple[IndexWork, ...]:
    """What is to be done for each domain of ``wanted`` (all that the configuration names)."""
    works = []
    for domain, search in sorted(wanted.items()):
        found = there.get(domain, Indexed(-1))
        work = IndexWork(domain, search, search - found.built, (found.search | found.leftover) - search)
        if work.build or work.drop:
            works.append(work)
    return tuple(works)


async def declare(vault: Connection, works: Sequence[IndexWork]) -> list[int]:
    """Say what gateways must store, of the domains that are there already; drop what is not wanted any more.

    Returns the domains whose order index, which lies in the application's database, is to be dropped.
    """
    there = await read(vault)
    orders: list[int] = []
    for work in works:
        if (found := there.get(work.domain)) is not None:
            await vault.execute("SELECT vault.set_search($1, $2)", found.id, sorted(work.search))
            await remove(vault, found.id, work.drop)
            if ORDER in work.drop:
                orders.append(found.id)
    return orders


async def build(
    vault: Connection, works: Sequence[IndexWork], open_tenant: OpenTenant, report: Report
) -> None:
    """Fill the indexes of all tenants, and let gateways use them."""
    there = await read(vault)
    for work in works:
        found = there.get(work.domain)
        if found is None or not work.build:
            continue
        done = 0

        def tick(count: int, domain: str = work.domain) -> None:
            nonlocal done
            done += count
            report(Progress(Stage.INDEX, domain, done, done))

        for (name,) in await vault.fetch("SELECT name FROM vault.tenant ORDER BY id"):
            tenant = await open_tenant(name)
            if SUBSTRING in work.build:
                await tenant.fill_index(prefix(found.id), tick)
        built = (work.search - {ORDER}) | (found.built & {ORDER})  # for the order see ordering.py
        await vault.execute("SELECT vault.set_built($1, $2)", found.id, sorted(built))


async def remove_unused(vault: Connection) -> list[int]:
    """Drop the indexes of domains that no column has any more. Returns those whose order index is to be dropped."""
    orders: list[int] = []
    rows = await vault.fetch(
        "SELECT d.id, d.search || d.leftover FROM vault.domain d WHERE d.search || d.leftover <> '{}'"
        " AND NOT EXISTS (SELECT FROM vault.protected_column c WHERE c.domain_id = d.id)"
    )
    for identifier, search in rows:
        await vault.execute("SELECT vault.set_search($1, '{}')", identifier)
        await remove(vault, identifier, frozenset(search))
        if ORDER in search:
            orders.append(identifier)
    return orders


async def remove(vault: Connection, identifier: int, dropped: frozenset[str]) -> None:
    """Delete the entries of indexes that gateways don't fill any more."""
    if SUBSTRING in dropped:
        await vault.execute("SELECT vault.drop_grams($1, $2)", identifier, prefix(identifier).decode("ascii"))


async def forget_leftover(vault: Connection, identifier: int) -> None:
    """Note that nothing is left of an order index."""
    await vault.execute(
        "UPDATE vault.domain SET leftover = array_remove(leftover, 'order'), order_by = NULL WHERE id = $1",
        identifier,
    )
