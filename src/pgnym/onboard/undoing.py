"""Giving tables their plaintext back: ``apply`` in reverse, under the same lock and in one transaction per
group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from pgnym.onboard import (
    defaults,
    indexing,
    linking,
    ordering,
    registry,
    rights,
    rows,
    storage,
    survey,
    views,
)
from pgnym.onboard.applying import Tools, document_cell, exclusively, lock, triggers_off, triggers_on
from pgnym.onboard.clean import clean
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.minting import Cell, container
from pgnym.onboard.model import Column, Connection, Stage, Table, Tokens, quoted
from pgnym.onboard.registry import Registered
from pgnym.semantics.documents import Path, parse_path
from pgnym.vault.tokens import prefix

SESSION_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Held:
    """A table with its protected columns and their registry rows. ``checks``: the names of all its CHECKs.

    ``copied``: ids of which it has a copy only: the column that the registry means is in another table.
    """

    table: Table
    columns: tuple[tuple[Column, Registered], ...]
    checks: tuple[str, ...]
    copied: frozenset[int]


async def undo(tools: Tools, label: str) -> list[str]:
    """Give table ``label`` (``schema.table``) its plaintext and its types back; with it the tables that are
    joined to it by foreign keys between protected columns. Returns the labels of the tables that were
    changed.

    Raises OnboardError, and then nothing was changed: no such table, nothing protected in it, a token that
    doesn't open, or what the server refuses. A run that was killed is finished by the next.
    """
    schema, dot, name = label.partition(".")
    if not dot:
        raise OnboardError(f"{label}: expected SCHEMA.TABLE", f"perhaps public.{label}?")
    async with exclusively(tools.app):
        async with survey.pinned(tools.app):
            table = await survey.table(tools.app, schema, name)
            if table is None:
                raise OnboardError(f"{label}: there is no such table")
            group = await joined(tools, table)
        if not group:
            if await forget_leftovers(tools, table):
                return [label]
            raise OnboardError(f"{label}: none of its columns is protected")
        await refuse_copies(tools, group)
        identifiers = [r.id for held in group for _, r in held.columns if r.id not in held.copied]
        await registry.set_state(tools.vault, identifiers, "undoing")
        tenants = await all_tenants(tools)
        try:
            async with survey.pinned(tools.app):
                await lock(tools.app, [held.table for held in group])
                await restore(tools, group, tenants)
        except (OnboardError, asyncpg.PostgresError):
            await registry.set_state(tools.vault, identifiers, "protected")
            raise
        await registry.forget(tools.vault, identifiers)
        await remove_unused(tools)
        await clean(tools.app, [held.table for held in group], [], tools.report)
    return [held.table.label for held in group]


async def remove_unused(tools: Tools) -> None:
    """Drop the indexes of domains that no column has any more."""
    for identifier in await indexing.remove_unused(tools.vault):
        await ordering.remove(tools.app, identifier)
        await indexing.forget_leftover(tools.vault, identifier)


async def refuse_copies(tools: Tools, group: Sequence[Held]) -> None:
    """Raise OnboardError if tables made from those of the group hold tokens whose registry rows would go."""
    mine = {(held.table.schema, held.table.name) for held in group}
    going = {r.id for held in group for _, r in held.columns if r.id not in held.copied}
    found = await survey.all_bindings(tools.app)
    others = sorted(
        {f"{b.schema}.{b.table}" for b in found if b.id in going and (b.schema, b.table) not in mine}
    )
    if others:
        raise OnboardError(
            f"{', '.join(others)} {'was' if len(others) == 1 else 'were'} made from it, and would keep tokens",
            f"drop it, or first pgnym undo --table {others[0]}",
        )


async def forget_leftovers(tools: Tools, table: Table) -> bool:
    """What is left of a run that was killed when the plaintext was back but the registry not yet told.

    Returns whether ``table`` was part of it. The others of its group are forgotten with it.
    """
    registered = await registry.read(tools.vault)
    bound = await survey.bindings(tools.app, registry.places(registered))
    left = [r for r in registered.values() if r.state == "undoing" and r.id not in bound]
    if not any(r.place[:2] == (table.schema, table.name) for r in left):
        return False
    tables = {place: await survey.table(tools.app, *place) for place in {r.place[:2] for r in left}}
    await registry.forget(tools.vault, [r.id for r in left])
    await remove_unused(tools)
    await clean(tools.app, [found for found in tables.values() if found is not None], [], tools.report)
    return True


async def gateways(vault: Connection, user: str) -> int:
    """How many sessions the gateway's login has: one that runs would write tokens into a table that holds plaintext again,
    until it has noticed. Sessions of a process that is gone get a moment to end.
    """
    deadline = time.monotonic() + SESSION_SECONDS
    while True:
        found: int = await vault.fetchval(
            "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = $1 AND application_name LIKE 'pgnym%'",
            user,
        )
        if found == 0 or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


async def joined(tools: Tools, table: Table) -> list[Held]:
    """The table and all that foreign keys between protected columns join to it."""
    registered = await registry.read(tools.vault)
    everywhere = await survey.all_bindings(tools.app)
    bound = survey.originals(everywhere, registry.places(registered))
    by_table: dict[tuple[str, str], list[survey.Binding]] = {}
    for binding in everywhere:
        if binding.id in registered:
            by_table.setdefault((binding.schema, binding.table), []).append(binding)
    found: dict[int, Held] = {}
    waiting = [table]
    while waiting:
        here = waiting.pop()
        columns = by_table.get((here.schema, here.name), [])
        if here.oid in found or not columns:
            continue
        rows_of = {
            (b.column, row.path): row
            for b in columns
            for row in (as_held(here.columns[b.column], registered[b.id]),)
        }
        held = found[here.oid] = Held(
            here,
            tuple((here.columns[name], row) for (name, _), row in rows_of.items()),
            tuple(binding.name for binding in columns),
            frozenset(
                b.id for b in columns if bound.get(b.id) is None or bound[b.id].place[:2] != b.place[:2]
            ),
        )
        attnums = {column.attnum for column, _ in held.columns}
        for key in await survey.foreign_keys(tools.app, here.oid):
            mine = key.table_oid == here.oid
            if attnums & {pair[0 if mine else 1] for pair in key.pairs}:
                other = await by_oid(tools.app, key.referred_oid if mine else key.table_oid)
                if other is not None:
                    waiting.append(other)
    return list(found.values())


def as_held(column: Column, row: Registered) -> Registered:
    """The row as it is meant of a column: text made of what lies at a path is text, not a document."""
    if row.path and column.type_oid != storage.JSONB:
        return replace(row, path="", type_name=column.type_name)
    return row


async def by_oid(app: Connection, oid: int) -> Table | None:
    """A table by its OID."""
    row = await app.fetchrow(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = $1::bigint::oid",
        oid,
    )
    return None if row is None else await survey.table(app, row[0], row[1])


async def all_tenants(tools: Tools) -> list[Tokens]:
    """Every tenant's part of the vault, the default one first: rows may be anybody's."""
    names = [row[0] for row in await tools.vault.fetch("SELECT name FROM vault.tenant ORDER BY id")]
    first = tools.config.tenants.default
    return [await tools.open_tenant(name) for name in sorted(names, key=lambda name: name != first)]


async def restore(tools: Tools, group: Sequence[Held], tenants: Sequence[Tokens]) -> None:
    """The change itself, within the transaction."""
    app = tools.app
    await ordering.drop_indexes(app, [held.table for held in group])
    copies = await views.over(app, [(h.table.oid, [c.attnum for c, _ in h.columns]) for h in group])
    retyped = [
        (h.table.oid, [c.attnum for c, r in h.columns if original_type(c, r) != c.type_name]) for h in group
    ]
    down = await views.take_down(app, retyped)
    keys = {k.oid: k for h in group for k in await survey.foreign_keys(app, h.table.oid) if touches(k, group)}
    for key in keys.values():
        await app.execute(f"ALTER TABLE {key.table} DROP CONSTRAINT {quoted(key.name)}")
    for held in group:
        table = held.table
        await linking.remove(app, table)
        drops = ", ".join(f"DROP CONSTRAINT {name}" for name in held.checks)
        await app.execute(f"ALTER TABLE {table.sql} {drops}")
        columns = {column.name: column for column, _ in held.columns}  # once, however many paths it has
        tokens = await defaults.take_tokens(app, table, list(columns.values()))
        fired = await triggers_off(app, table)
        tick = rows.ticker(tools.report, Stage.REVEAL, table.label, table.rows)
        for leaf in table.leaves:
            await rows.reveal(app, leaf, list(cells_of(tools, held).values()), tenants, tick)
        await app.execute("SET CONSTRAINTS ALL IMMEDIATE")  # ALTER TABLE refuses while checks are pending
        await triggers_on(app, fired)
        clauses = [retype(c, r) for c, r in held.columns if original_type(c, r) != c.type_name]
        if clauses:
            await app.execute(f"ALTER TABLE {table.sql} {', '.join(clauses)}")
        cells = cells_of(tools, held)
        wanted = {t for name, value in tokens.items() for t in rows.tokens_in(cells[name], [value])}
        values = await rows.opened(wanted, tenants)
        if values.keys() != wanted:
            raise OnboardError(f"{table.label}: a default has no value in the vault")
        types = {column.name: row.type_name for column, row in held.columns}
        plain = {n: (rows.restored(cells[n], t, values), types[n]) for n, t in tokens.items()}
        await defaults.give(app, table, plain)
    for key in keys.values():
        await app.execute(f"ALTER TABLE {key.table} ADD CONSTRAINT {quoted(key.name)} {key.definition}")
    for held in group:
        await rights.withdraw(tools.config, app, held.table)
    await views.restore(app, down)
    await views.refresh(app, copies)


def touches(key: survey.ForeignKey, group: Sequence[Held]) -> bool:
    """Whether a foreign key is over a protected column of the group."""
    ends = {(h.table.oid, c.attnum) for h in group for c, _ in h.columns}
    return any((key.table_oid, a) in ends or (key.referred_oid, b) in ends for a, b in key.pairs)


def cells_of(tools: Tools, held: Held) -> dict[str, Cell]:
    """How the columns of a table are read, by name; the paths of one jsonb column together."""
    cells: dict[str, Cell] = {}
    documents: dict[str, list[tuple[Path, Cell]]] = {}
    for column, row in held.columns:
        if row.path:
            documents.setdefault(column.name, []).append((parse_path(row.path), cell(tools, column, row)))
        else:
            cells[column.name] = cell(tools, column, row)
    for name, leaves in documents.items():
        cells[name] = document_cell(name, leaves)
    return cells


def cell(tools: Tools, column: Column, row: Registered) -> Cell:
    """How one column is read."""
    return Cell(
        name=column.name,
        read=f"{quoted(column.name)}::text",
        prefix=prefix(row.domain_id),
        randomized=row.randomized,
        casefold=row.casefold,
        codec_oid=storage.element(row.codec_oid),
        container=container(tools.containers, row.array),
        cast=f"::{column.type_name}" if row.array else "",
    )


def retype(column: Column, row: Registered) -> str:
    """The clause that gives a column its original type back."""
    collation = (
        f" COLLATE {column.collation}" if column.collation and storage.text_like(row.codec_oid) else ""
    )
    name, original = quoted(column.name), original_type(column, row)
    return f"ALTER COLUMN {name} TYPE {original}{collation} USING {name}::text::{original}"


def original_type(column: Column, row: Registered) -> str:
    """The type that a column gets back. Text without a length was never given one: a query has made it from one that had."""
    own = column.type_name in ("text", "character varying") and row.codec_oid in (
        storage.TEXT,
        storage.VARCHAR,
    )
    return column.type_name if own else row.type_name
