"""Carrying a plan out.

Each group of tables is changed in one transaction that holds ACCESS EXCLUSIVE locks from its first statement
on. So:

- the application never meets a half-changed table, and a row that it writes meanwhile waits for the lock;
- a run that is killed leaves the group as it was, and the next run does it; groups already done stay done;
- no row needs to be told from others as "done already": within the transaction all are plaintext.

What takes long is done before the lock is taken, as far as can be: the values of deterministic columns are
put into the vault while the application runs on. Under the lock remain the computing of tokens, the update,
and the CHECK.

The registry row is written first (state ``migrating``; without a CHECK it means nothing), and becomes
``protected`` last, when also the old files are gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from pgnym.config import Config
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
from pgnym.onboard.clean import clean
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.logins import ensure_login, ensure_verifiers
from pgnym.onboard.minting import Cell, Mint, container
from pgnym.onboard.model import (
    ColumnWork,
    Connection,
    Containers,
    Group,
    Identity,
    IndexWork,
    Mode,
    OnboardPlan,
    OpenTenant,
    OrderWork,
    Report,
    Stage,
    Table,
    TableWork,
    Tokens,
    quoted,
    silent,
)
from pgnym.onboard.planning import keys_between
from pgnym.semantics.documents import Path, parse_path
from pgnym.vault.locks import APPLY
from pgnym.vault.migrations import migrate
from pgnym.vault.tokens import prefix

LOCK_TIMEOUT = "60s"
RUN_TIMEOUT = "10s"

FIRED = """
WITH RECURSIVE tree(oid) AS (
  SELECT $1::bigint::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid
)
SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), t.tgenabled::text
FROM pg_trigger t JOIN tree ON tree.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1, 2
"""

Key = tuple[int, str]  # table, column


@dataclass(frozen=True, slots=True)
class Tools:
    """What apply and undo work with.

    ``app``, ``vault``: the owner's connections (two sessions). ``open_tenant``: the tenant's part of the
    vault, asked for once the vault's schema is there. ``identity``: what deterministic tokens are computed
    over (the wire codecs'). ``containers``: how values within arrays are replaced.
    """

    config: Config
    app: Connection
    vault: Connection
    open_tenant: OpenTenant
    identity: Identity
    containers: Containers
    gateway_password: str | None = None
    report: Report = silent


async def apply(plan: OnboardPlan, tools: Tools) -> list[str]:
    """Make the database match the configuration. Returns advice on what it couldn't clean.

    Raises OnboardError if the plan has blockers, another run is under way, or the server refuses; the group
    concerned is then as it was.
    """
    if plan.blockers:
        first = plan.blockers[0]
        raise OnboardError(f"{first.where}: {first.text}", first.hint)
    async with exclusively(tools.app):
        login = tools.config.vault.user
        role = tools.config.vault.privacy_role
        await migrate(tools.vault, login, tools.gateway_password, may_see_all=role)
        if tools.config.vault.url is not None:
            await ensure_login(tools.app, tools.config.vault.user, tools.gateway_password)
        for identifier, schema, table, column in plan.renames:
            await registry.rename(tools.vault, identifier, schema, table, column)
        await declare(tools, plan.indexes, plan.orders)
        advice: list[str] = []
        if tls_on_both_legs(tools.config) and not await ensure_verifiers(tools.app, tools.config.vault.user):
            advice.append(
                "with TLS on both sides clients must connect with channel_binding=disable, since only a superuser can let"
                " the gateway check SCRAM passwords (run apply as one)"
            )
        tenant = await tools.open_tenant(tools.config.tenants.default)
        for group in plan.groups:
            advice += await protect(tools, group, tenant, plan)
        if plan.unfinished:
            advice += await finish(tools, plan.unfinished)
        await indexing.build(tools.vault, plan.indexes, tools.open_tenant, tools.report)
        there = await indexing.read(tools.vault)
        await ordering.build(tools.app, tools.vault, plan.orders, there, tools.open_tenant, tools.report)
        if plan.orders:
            await announce(tools.app)
        advice += await rights.carry_out(tools.config, tools.app)
        await linking.carry_out(plan.links, tools.app, (login, role))
    return list(dict.fromkeys(advice))


def tls_on_both_legs(config: Config) -> bool:
    """Whether the gateway has to end SCRAM itself."""
    return config.gateway.tls.cert is not None and config.upstream.sslmode != "disable"


@asynccontextmanager
async def exclusively(app: Connection) -> AsyncIterator[None]:
    """Hold the lock that keeps a second run out. Raises OnboardError if one is under way.

    A run that was killed holds its lock until its server process has finished the statement it is at: hence the wait.
    """
    try:
        await app.execute(f"SET lock_timeout = '{RUN_TIMEOUT}'")
        await app.execute(f"SELECT pg_catalog.pg_advisory_lock({APPLY})")
        await app.execute("RESET lock_timeout")
    except asyncpg.LockNotAvailableError:
        raise OnboardError(
            "another apply or undo is under way on this database", "wait for its end"
        ) from None
    try:
        yield
    except asyncpg.PostgresError as error:
        raise refusal(error) from None
    finally:
        if not app.is_closed():
            await app.execute(f"SELECT pg_catalog.pg_advisory_unlock({APPLY})")


def refusal(error: asyncpg.PostgresError) -> OnboardError:
    """What the server said, without DETAIL and CONTEXT, which may quote a row."""
    hints = {
        "55P03": "the table is in use: run it again at a quieter time",
        "23505": "two values are equal once normalized, or a token is there already",
        "2BP01": "drop what depends on it, and create it again afterwards",
        "42501": "use the URL of the owner or of a superuser",
    }
    message = (
        error.args[0]
        if error.args and error.sqlstate[:2] not in ("22", "23")
        else "a value or key is in the way"
    )
    place = ".".join(str(p) for p in (error.schema_name, error.table_name, error.constraint_name) if p)
    where = f"{place}: " if place else ""
    return OnboardError(
        f"{where}{message} ({error.sqlstate}); nothing was changed", hints.get(error.sqlstate, "")
    )


async def declare(tools: Tools, indexes: Sequence[IndexWork], orders: Sequence[OrderWork]) -> None:
    """Make what indexes need and say that gateways must fill them, as for domains that are there already."""
    there = await indexing.read(tools.vault)
    await ordering.prepare(tools.app, tools.vault, orders, there, tools.config.vault.user)
    dropped = await indexing.declare(tools.vault, indexes)
    if dropped or any(w.build and not w.uneven and w.domain in there for w in orders):
        await announce(tools.app)  # that there is an order to rely on no longer
    for identifier in dropped:
        await ordering.remove(tools.app, identifier)
        await indexing.forget_leftover(tools.vault, identifier)


async def protect(tools: Tools, group: Group, tenant: Tokens, plan: OnboardPlan | None = None) -> list[str]:
    """Protect the tables of a group, then clean up behind."""
    domains: dict[Key, int] = {}
    for work in group.tables:
        for column in work.columns:
            domain = await registry.domain_id(tools.vault, column.domain, column.randomized)
            domains[work.table.oid, column.name] = domain
    if plan is not None:
        await declare(tools, plan.indexes, plan.orders)  # of domains that are new: before their first value
    prefixes = {key: prefix(domain) for key, domain in domains.items()}
    mint = Mint(tenant, tools.identity)
    await fill_vault(tools, group, mint, prefixes)
    identifiers: dict[Key, int] = {}
    for work in group.tables:
        for column in work.columns:
            key = (work.table.oid, column.name)
            identifiers[key] = await registry.register(tools.vault, work.table, column, domains[key])
    try:
        async with survey.pinned(tools.app):
            await lock(tools.app, [work.table for work in group.tables])
            for work in group.tables:
                await still_as_planned(tools.app, work)
            materialized = await change(tools, group, mint, identifiers, prefixes)
    except (OnboardError, asyncpg.PostgresError):
        fresh = [
            identifiers[w.table.oid, c.name]
            for w in group.tables
            for c in w.columns
            if c.mode is Mode.PROTECT
        ]
        await registry.forget(tools.vault, fresh)
        raise
    advice = await clean(tools.app, [w.table for w in group.tables], materialized, tools.report)
    await registry.set_state(tools.vault, list(identifiers.values()), "protected")
    await announce(tools.app)
    return advice


async def announce(app: Connection) -> None:
    """Let gateways notice that the registry has changed: they watch how often the catalog does (see sql/load.py)."""
    async with app.transaction():
        await app.execute("CREATE TEMPORARY TABLE pgnym_announcement () ON COMMIT DROP")


async def fill_vault(tools: Tools, group: Group, mint: Mint, prefixes: Mapping[Key, bytes]) -> None:
    """Put what is there now into the vault, while the application runs on."""
    async with survey.pinned(tools.app, "repeatable_read"):
        for work in group.tables:
            cells = cells_of(tools, work, prefixes, output)
            tick = rows.ticker(tools.report, Stage.VAULT, work.table.label, work.table.rows)
            for leaf in work.table.leaves:
                await rows.preload(tools.app, leaf, cells, mint, tick)


async def lock(app: Connection, tables: Sequence[Table]) -> None:
    """Lock the tables and their partitions; waits a minute at most, since all others queue up behind."""
    await app.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    names = sorted({table.sql for table in tables})
    await app.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")


async def still_as_planned(app: Connection, work: TableWork) -> None:
    """Under the lock: the columns are what the plan saw."""
    now = await survey.table(app, work.table.schema, work.table.name)
    if now is None or now.oid != work.table.oid or now.leaves != work.table.leaves:
        raise OnboardError(f"{work.table.label} has changed since the plan was made", "run it again")
    for column in work.columns:
        if now.columns.get(column.column.name) != column.column:
            text = f"{work.table.label}.{column.column.name} has changed since the plan was made"
            raise OnboardError(text, "run it again")


async def change(
    tools: Tools, group: Group, mint: Mint, identifiers: Mapping[Key, int], prefixes: Mapping[Key, bytes]
) -> list[str]:
    """The change itself, within the transaction. Returns the materialized views that were computed anew."""
    app = tools.app
    protected = [(w.table.oid, [c.column.attnum for c in w.columns]) for w in group.tables]
    retyped = [(w.table.oid, [c.column.attnum for c in w.columns if c.retyped]) for w in group.tables]
    copies = await views.over(app, protected)
    down = await views.take_down(app, retyped)
    keys = await keys_between(app, group)
    for key in keys:
        await app.execute(f"ALTER TABLE {key.table} DROP CONSTRAINT {quoted(key.name)}")
    constants = {work.table.oid: await defaults.take(app, work) for work in group.tables}
    for work in group.tables:
        await retype(app, work)
    for work in group.tables:
        await tokenize(tools, work, mint, prefixes)
        cells = {c.name: c for c in cells_of(tools, work, prefixes, output)}
        for name, value in constants[work.table.oid].items():
            ((token,),) = await mint.tokens([cells[name]], [[value]])
            literal = "'" + (token or "").replace("'", "''") + "'"
            await app.execute(
                f"ALTER TABLE {work.table.sql} ALTER COLUMN {quoted(name)} SET DEFAULT {literal}"
            )
        await app.execute(f"ALTER TABLE {work.table.sql} {', '.join(checks(work, identifiers, prefixes))}")
    for key in keys:
        await app.execute(f"ALTER TABLE {key.table} ADD CONSTRAINT {quoted(key.name)} {key.definition}")
    await views.restore(app, down)
    return await views.refresh(app, copies)


async def tokenize(tools: Tools, work: TableWork, mint: Mint, prefixes: Mapping[Key, bytes]) -> None:
    """Replace the values of all rows of a table, without the application's triggers."""
    fired = await triggers_off(tools.app, work.table)
    cells = cells_of(tools, work, prefixes, lambda c: after_retype(c, prefixes[work.table.oid, c.name]))
    tick = rows.ticker(tools.report, Stage.ROWS, work.table.label, work.table.rows)
    for leaf in work.table.leaves:
        await rows.tokenize(tools.app, leaf, cells, mint, tick)
    await tools.app.execute("SET CONSTRAINTS ALL IMMEDIATE")  # ALTER TABLE refuses while checks are pending
    await triggers_on(tools.app, fired)


def checks(work: TableWork, identifiers: Mapping[Key, int], prefixes: Mapping[Key, bytes]) -> list[str]:
    """The clauses that add the CHECKs of a table."""
    clauses = []
    for column in work.columns:
        key = (work.table.oid, column.name)
        expression = check(column, prefixes[key])
        clauses.append(f"ADD CONSTRAINT {storage.check_name(identifiers[key])} CHECK ({expression})")
    return clauses


def check(work: ColumnWork, domain: bytes) -> str:
    """The condition that a column's CHECK asks for."""
    if work.path:
        return storage.path_check(work.column.name, parse_path(work.path), domain)
    make = storage.array_check if work.array else storage.check_expression
    return make(work.column.name, domain, work.text_like)


def cells_of(
    tools: Tools,
    work: TableWork,
    prefixes: Mapping[Key, bytes],
    read: Callable[[ColumnWork], str],
) -> list[Cell]:
    """How the columns of a table are read and changed; the paths of one jsonb column together."""
    cells: list[Cell] = []
    documents: dict[str, list[ColumnWork]] = {}
    for column in work.columns:
        if column.path:
            documents.setdefault(column.column.name, []).append(column)
        else:
            cells.append(cell(tools, work.table, column, prefixes, read(column)))
    for name, paths in documents.items():
        leaves = [cell(tools, work.table, c, prefixes, "") for c in paths]
        cells.append(
            document_cell(name, [(parse_path(c.path), x) for c, x in zip(paths, leaves, strict=True)])
        )
    return cells


def document_cell(name: str, leaves: Sequence[tuple[Path, Cell]]) -> Cell:
    """One jsonb column with what lies at its paths: rows that have nothing there are left alone."""
    there = " OR ".join(
        f"NOT ({storage.path_check(name, path, leaf.prefix)})"
        if leaf.keep
        else storage.path_exists(name, path)
        for path, leaf in leaves
    )
    return Cell(
        name=name,
        read=f"CASE WHEN {there} THEN {quoted(name)}::text END",
        prefix=b"",
        randomized=False,
        casefold=False,
        codec_oid=storage.TEXT,
        keep=True,
        cast="::jsonb",
        paths=tuple(path for path, _ in leaves),
        leaves=tuple(leaf for _, leaf in leaves),
    )


def cell(tools: Tools, table: Table, work: ColumnWork, prefixes: Mapping[Key, bytes], read: str) -> Cell:
    """How one column, or what lies at a path of one, is read and changed."""
    return Cell(
        name=work.name,
        read=read,
        prefix=prefixes[table.oid, work.name],
        randomized=work.randomized,
        casefold=work.casefold,
        normalize=work.normalize,
        codec_oid=storage.element(work.codec_oid),
        keep=work.mode is Mode.REPAIR,
        container=container(tools.containers, work.array),
        cast=f"::{work.stored_type}" if work.array else "",
        text_like=work.text_like,
    )


def output(work: ColumnWork) -> str:
    """The type's own output of a column, as text. A cast would do for most types, but char(n) loses its
    blanks by it."""
    name = quoted(work.column.name)
    if work.column.type_oid in (storage.TEXT, storage.VARCHAR):
        return name
    if work.array:
        return f"{name}::text"
    return f"CASE WHEN {name} IS NOT NULL THEN pg_catalog.format('%s', {name}) END"


def after_retype(work: ColumnWork, domain: bytes) -> str:
    """The value as text, when the column has its stored type. A column to be repaired: only what is no
    token."""
    text = f"{quoted(work.column.name)}::text"
    if work.mode is Mode.PROTECT:
        return text
    if work.array:
        return (
            f"CASE WHEN NOT ({storage.array_check(work.column.name, domain, work.text_like)}) THEN {text} END"
        )
    value = text if work.text_like else f"pg_catalog.format('%s', {text}::{work.type_name})"
    return f"CASE WHEN {text} <> '' AND {text} COLLATE \"C\" !~ '{storage.pattern(domain)}' THEN {value} END"


async def retype(app: Connection, work: TableWork) -> None:
    """Give columns the types that hold tokens; one rewrite for all of a table at most."""
    clauses = []
    for column in work.columns:
        if column.retyped:
            collation = (
                f" COLLATE {column.column.collation}" if column.column.collation and column.text_like else ""
            )
            name = quoted(column.column.name)
            cast = f"::{column.stored_type}" if column.array else ""
            clauses.append(
                f"ALTER COLUMN {name} TYPE {column.stored_type}{collation} USING {output(column)}{cast}"
            )
    if clauses:
        await app.execute(f"ALTER TABLE {work.table.sql} {', '.join(clauses)}")


async def triggers_off(app: Connection, table: Table) -> list[str]:
    """Keep the application's triggers from firing on our update; returns the statements that undo it."""
    how = {"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
    back = []
    for relation, name, state in await app.fetch(FIRED, table.oid):
        await app.execute(f"ALTER TABLE ONLY {relation} DISABLE TRIGGER {name}")
        back.append(f"ALTER TABLE ONLY {relation} {how[state]} TRIGGER {name}")
    return back


async def triggers_on(app: Connection, statements: Sequence[str]) -> None:
    """As they were."""
    for statement in statements:
        await app.execute(statement)


async def finish(tools: Tools, tables: Sequence[Table]) -> list[str]:
    """Clean up behind an earlier run that was killed after its change was committed."""
    registered = await registry.read(tools.vault)
    bound = await survey.bindings(tools.app, registry.places(registered))
    labels = {table.label for table in tables}
    identifiers = [i for i, b in bound.items() if f"{b.schema}.{b.table}" in labels and i in registered]
    async with survey.pinned(tools.app):
        every = [(table.oid, [c.attnum for c in table.columns.values()]) for table in tables]
        names = [view.name for view in await views.over(tools.app, every) if view.materialized]
    advice = await clean(tools.app, tables, names, tools.report)
    await registry.set_state(tools.vault, identifiers, "protected")
    await announce(tools.app)
    return advice
