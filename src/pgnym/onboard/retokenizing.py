"""A new token key for tenants: the application's rows from old tokens to new ones, while all gateways pause.

All tables with tokens of the tenant change in one transaction under ACCESS EXCLUSIVE locks, as ``apply`` changes them; so
whoever reads sees old tokens everywhere or new ones everywhere, and columns of one domain go on to join. A run that is ended
is gone on with by the next, which meets either state: an old token is replaced, a new one stays. Until then the vault
gives nobody the tenant's keys, so no gateway makes tokens of either kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgnym.onboard import defaults, linking, ordering, registry, rows, storage, survey, undoing, views
from pgnym.onboard.applying import Tools, exclusively, lock, triggers_off, triggers_on
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.minting import Cell, within
from pgnym.onboard.model import Progress, Stage, quoted
from pgnym.onboard.undoing import Held
from pgnym.vault import token_rotation
from pgnym.vault.keyring import Keyring
from pgnym.vault.pausing import all_paused
from pgnym.vault.rotation import owned, settle
from pgnym.vault.token_rotation import Identities, TokenChange

DRAIN_SECONDS = 10.0
"""So long sessions get to end their transactions, while statements that are to begin wait."""

_TEMPORARY = """
SELECT c.relname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.conname ~ '^pgnym_[0-9]{1,9}(_[0-9]+)?$' AND n.nspname ~ '^pg_temp' LIMIT 1
"""
# Texts of the catalog that may hold a token as a constant. (Defaults of protected columns are changed with their rows.)
_TEXTS = """
SELECT 'view ' || c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class c
  WHERE c.relkind IN ('v', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
UNION ALL SELECT 'index ' || indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index
  WHERE indpred IS NOT NULL OR indexprs IS NOT NULL
UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE contype IN ('c', 'x') AND conname !~ '^pgnym_[0-9]'
UNION ALL SELECT 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'policy ' || polname, coalesce(pg_get_expr(polqual, polrelid), '') || ' '
  || coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy
UNION ALL SELECT 'rule ' || rulename, pg_get_ruledef(oid) FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384
UNION ALL SELECT 'function ' || p.oid::regprocedure, coalesce(p.prosrc, '') || coalesce(pg_get_function_sqlbody(p.oid), '')
  FROM pg_proc p WHERE p.oid >= 16384
UNION ALL SELECT 'statistics ' || stxname, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
UNION ALL SELECT 'default of ' || d.adrelid::regclass || '.' || a.attname, pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  WHERE a.attgenerated <> '' OR NOT EXISTS (
    SELECT FROM pg_constraint k WHERE k.conrelid = d.adrelid AND a.attnum = ANY (k.conkey) AND k.conname ~ '^pgnym_[0-9]')
"""
_TOKEN = re.compile(r"pn1[a-z2-7]{27}")


@dataclass(frozen=True, slots=True)
class Retokened:
    """What was done for a tenant: values under new tokens, rows that were changed, old values deleted. ``left``: values
    whose token was none of the old key's, and stays."""

    tenant: str
    values: int
    rows: int
    deleted: int
    left: int
    resumed: bool


async def retoken(tools: Tools, keyring: Keyring, tenant: str | None = None) -> list[Retokened]:
    """Change the token keys of one tenant (None: of all), or finish a change that was ended.

    ``keyring``: made with ``changes_tokens``. Raises OnboardError and VaultError: nothing was changed, or it says that the
    change has begun and must be run again: gateways pause until then.
    """
    async with exclusively(tools.app), owned(tools.vault):
        await settle(tools.vault, durable=True)
        await keyring.check(tools.vault)
        every = [row[0] for row in await tools.vault.fetch("SELECT name FROM vault.tenant ORDER BY id")]
        begun = await token_rotation.pending(tools.vault)
        if tenant is not None and tenant not in every:
            raise OnboardError(f"there is no tenant {tenant}", f"there are: {', '.join(every) or 'none'}")
        names = [tenant] if tenant is not None else begun or every
        await _everything(tools)
        await _refuse(tools)
        async with all_paused(tools.vault, DRAIN_SECONDS):
            held, domains = await _everything(tools)  # as it is now that nobody changes it
            await _refuse(tools)
            return [await _retoken(tools, keyring, name, held, domains) for name in names]


async def _everything(tools: Tools) -> tuple[list[Held], dict[int, Identities]]:
    """All tables with deterministic tokens, and what each domain's tokens are computed over."""
    registered = await registry.read(tools.vault)
    everywhere = [b for b in await survey.all_bindings(tools.app) if b.id in registered]
    bound = survey.originals(everywhere, registry.places(registered))
    for identifier, row in registered.items():
        if row.state != "protected" or identifier not in bound or not bound[identifier].validated:
            raise OnboardError(
                f"{row.name} is not protected in full", "run `pgnym apply`, or finish `pgnym undo`, first"
            )
    by_table: dict[tuple[str, str], list[survey.Binding]] = {}
    for binding in everywhere:
        if not registered[binding.id].randomized:
            by_table.setdefault((binding.schema, binding.table), []).append(binding)
    held = []
    for place, columns in by_table.items():
        table = await survey.table(tools.app, *place)
        assert table is not None
        found = {
            (b.column, row.path): row
            for b in columns
            for row in (undoing.as_held(table.columns[b.column], registered[b.id]),)
        }
        held.append(
            Held(table, tuple((table.columns[n], row) for (n, _), row in found.items()), (), frozenset())
        )
    codecs: dict[int, set[int]] = {}
    for row in registered.values():
        codecs.setdefault(row.domain_id, set()).add(storage.element(row.codec_oid))
    deterministic = {row.domain_id for row in registered.values() if not row.randomized}
    return held, {domain: _identities(tools, codecs[domain]) for domain in deterministic}


def _identities(tools: Tools, codecs: set[int]) -> Identities:
    # Where case is folded, values are stored folded: so the identity of what is stored is the one that was tokenized.
    return lambda value: [tools.identity(codec, value, False) for codec in sorted(codecs)]


async def _refuse(tools: Tools) -> None:
    tenants = [row[0] for row in await tools.vault.fetch("SELECT id FROM vault.tenant")]
    for tenant in tenants:
        if await token_rotation.erases(tools.vault, tenant):
            raise OnboardError("an erasure has not been finished", "run `pgnym subject erase` again first")
    temporary = await tools.app.fetchval(_TEMPORARY)
    if temporary is not None:
        raise OnboardError(
            f"a session has a temporary table with tokens ({temporary})", "let it end, and run this again"
        )
    mentioned = [(name, set(_TOKEN.findall(text))) for name, text in await tools.app.fetch(_TEXTS) if text]
    every = sorted(set().union(*(tokens for _, tokens in mentioned)))
    if not every:
        return
    for tenant in tenants:
        known = await token_rotation.known(tools.vault, tenant, every)
        for name, tokens in mentioned:
            if tokens & known:
                raise OnboardError(
                    f"{name} has a token as a constant",
                    "drop it, and create it through the gateway afterwards",
                )


async def _retoken(
    tools: Tools, keyring: Keyring, name: str, held: Sequence[Held], domains: Mapping[int, Identities]
) -> Retokened:
    change = await token_rotation.begin(tools.vault, keyring, name)
    total = await token_rotation.count(tools.vault, change.tenant)
    await token_rotation.carry_over(
        tools.vault,
        keyring,
        change,
        domains,
        lambda done: tools.report(Progress(Stage.CARRY, name, done, max(done, total))),
    )
    changed = 0
    async with survey.pinned(tools.app):
        if held:
            await lock(tools.app, [each.table for each in held])
            changed = await _change(tools, held, change)
    deleted = await token_rotation.end(tools.vault, change)
    return Retokened(name, change.done, changed, deleted, change.left, change.resumed)


async def _change(tools: Tools, held: Sequence[Held], change: TokenChange) -> int:
    """All tables, within the transaction; returns how many rows it changed."""
    app = tools.app
    copies = await views.over(app, [(h.table.oid, [c.attnum for c, _ in h.columns]) for h in held])
    keys = {k.oid: k for h in held for k in await survey.foreign_keys(app, h.table.oid)}
    keys = {oid: key for oid, key in keys.items() if undoing.touches(key, held)}
    for key in keys.values():
        await app.execute(f"ALTER TABLE {key.table} DROP CONSTRAINT {quoted(key.name)}")

    async def replacements(tokens: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return await token_rotation.aliases(tools.vault, change.tenant, tokens)

    # Before the rows: each gets its code, which stays, by its new token.
    ordered = await tools.vault.fetch(
        "SELECT id FROM vault.domain WHERE 'order' = ANY (search || leftover) ORDER BY id"
    )
    await ordering.carry_over(app, [row[0] for row in ordered], replacements)
    changed = 0
    for each in held:
        columns = {column.name: column for column, _ in each.columns}
        cells = undoing.cells_of(tools, each)
        constants = await defaults.take_tokens(app, each.table, list(columns.values()))
        fired = await triggers_off(app, each.table)
        tick = rows.ticker(tools.report, Stage.RETOKEN, each.table.label, each.table.rows)
        for leaf in each.table.leaves:
            changed += await _leaf(tools, change, leaf, list(cells.values()), tick)
        await app.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await triggers_on(app, fired)
        if constants:
            found = await _replacements(tools, change, [(cells[n], [v]) for n, v in constants.items()])
            await defaults.give(
                app,
                each.table,
                {n: (_replaced(cells[n], v, found), columns[n].type_name) for n, v in constants.items()},
            )
    for key in keys.values():
        await app.execute(f"ALTER TABLE {key.table} ADD CONSTRAINT {quoted(key.name)} {key.definition}")
    await linking.carry_over(app, replacements)
    await views.refresh(app, copies)
    return changed


async def _leaf(
    tools: Tools, change: TokenChange, leaf: str, cells: Sequence[Cell], tick: Callable[[int], None]
) -> int:
    """The rows of one relation that hold a token which is replaced."""
    app = tools.app
    scratch = await rows.Scratch.make(app, leaf, [replace(cell, keep=True) for cell in cells])
    reads = ", ".join(c.read for c in cells)
    query = f"SELECT ctid::text, {reads} FROM ONLY {leaf}"  # noqa: S608 - quoted names
    changed = 0
    async for batch in rows.batches(app, query):
        addresses, *columns = zip(*batch, strict=True)
        found = await _replacements(tools, change, list(zip(cells, columns, strict=True)))
        if found:
            news = [
                [_replaced(cell, value, found) if value else value for value in column]
                for cell, column in zip(cells, columns, strict=True)
            ]
            moved = [
                i for i in range(len(batch)) if any(n[i] != o[i] for n, o in zip(news, columns, strict=True))
            ]
            if moved:
                await scratch.write([addresses[i] for i in moved], [[n[i] for i in moved] for n in news])
                changed += len(moved)
        tick(len(batch))
    await scratch.drop()
    return changed


async def _replacements(
    tools: Tools, change: TokenChange, parts: Sequence[tuple[Cell, Sequence[str | None]]]
) -> dict[bytes, bytes]:
    tokens = sorted({token for cell, values in parts for token in rows.tokens_in(cell, values)})
    return await token_rotation.aliases(tools.vault, change.tenant, tokens)


def _replaced(cell: Cell, value: str, found: Mapping[bytes, bytes]) -> str:
    if not cell.nested:
        old = value.encode()
        return found.get(old, old).decode()
    return within(cell, value, lambda _, part: found.get(part, part))
