"""Comparing the configuration with the registry and the database: what is to do, what is in the way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pgnym.config import Config, ProtectedColumn
from pgnym.config import Table as TableOptions
from pgnym.onboard import indexing, linking, ordering, registry, rights, storage, survey
from pgnym.onboard.hazards import hazards
from pgnym.onboard.model import (
    Column,
    ColumnWork,
    Connection,
    Finding,
    Group,
    Mode,
    OnboardPlan,
    OrderWork,
    Step,
    StepKind,
    Table,
    TableWork,
)
from pgnym.onboard.registry import Registered
from pgnym.onboard.spellings import spellings
from pgnym.onboard.survey import Binding
from pgnym.onboard.unregistered import unregistered
from pgnym.onboard.views import dependents
from pgnym.policy.normalizing import normalizer
from pgnym.vault.migrations import current_version, latest_version

TIMES = frozenset((1082, 1114, 1184))  # date, timestamp, timestamptz
LARGE = 1_000_000  # rows above which the time that the table is locked is worth a warning


@dataclass(slots=True)
class Draft:
    """A plan in the making."""

    config: Config
    registered: dict[int, Registered]
    bindings: dict[int, Binding]
    copies: dict[tuple[str, str, str], Binding]
    known_domains: dict[str, bool]
    steps: list[Step] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    blockers: list[Finding] = field(default_factory=list)
    works: list[TableWork] = field(default_factory=list)
    unfinished: list[Table] = field(default_factory=list)
    renames: list[tuple[int, str, str, str]] = field(default_factory=list)
    domains: dict[tuple[int, int], tuple[str, bool]] = field(default_factory=dict)
    families: dict[str, tuple[str, str]] = field(default_factory=dict)
    wanted: dict[str, frozenset[str]] = field(default_factory=dict)
    ordered: dict[str, list[ordering.Candidate]] = field(default_factory=dict)

    def block(self, where: str, text: str, hint: str = "") -> None:
        """Note something in the way."""
        self.blockers.append(Finding(where, text, hint))

    def warn(self, where: str, text: str, hint: str = "") -> None:
        """Note something to know."""
        self.warnings.append(Finding(where, text, hint))

    def path(self, binding: Binding) -> str:
        """The path that a CHECK is about, empty for the column itself."""
        row = self.registered.get(binding.id)
        return "" if row is None else row.path

    def step(self, kind: StepKind, table: str, text: str) -> None:
        """Note something to do."""
        self.steps.append(Step(kind, table, text))


async def plan(config: Config, app: Connection, vault: Connection) -> OnboardPlan:
    """What makes the database match ``config``. Changes nothing.

    ``app``: the owner's connection to the protected database; ``vault``: the owner's connection to where the
    vault's schema is or will be (another session of the same database, or another server).
    """
    outdated = await current_version(vault) < latest_version()
    async with survey.pinned(app, "repeatable_read"):
        registered = await registry.read(vault)
        found = await survey.all_bindings(app)
        bound = survey.originals(found, registry.places(registered))
        copies = {b.place: b for b in found if b not in bound.values()}
        draft = Draft(config, registered, bound, copies, await registry.domains(vault))
        if outdated:
            draft.step(
                StepKind.VAULT, "", f"create or migrate the schema vault to version {latest_version()}"
            )
        for connection, where in ((vault, "the vault's server"), (app, "the protected database's server")):
            if not await login_exists(connection, config.vault.user):
                draft.step(StepKind.LOGIN, "", f"create the gateway's login {config.vault.user} on {where}")
                if config.vault.url is None:
                    break
        await read_tables(draft, app)
        orphans(draft)
        for work in draft.works:
            async for blocks, finding in hazards(app, work, draft.domains, config.functions):
                (draft.blockers if blocks else draft.warnings).append(finding)
            async for finding in spellings(app, work):
                draft.blockers.append(finding)
        groups = await group(app, draft.works)
        for each in groups:
            for work in each.tables:
                await describe(app, draft, work, each)
    for table in draft.unfinished:
        draft.step(
            StepKind.CLEAN,
            table.label,
            "rewrite its files, indexes and statistics (left from an earlier run)",
        )
    async with survey.pinned(app, "repeatable_read"):
        lacking, cannot = await rights.changes(config, app)
        changing = [work.table.label for each in groups for work in each.tables]
        links, in_the_way = await linking.compare(config, app, changing)
    draft.steps += rights.steps(lacking)
    draft.warnings += cannot
    if not outdated:
        draft.warnings += await unregistered(config, vault)
    draft.blockers += in_the_way
    for each_link in links:
        label = each_link.table.label if each_link.table is not None else ""
        draft.step(StepKind.LINK, label, each_link.text)
    there = await indexing.read(vault)
    indexes = indexing.compare(draft.wanted, there)
    for each_index in indexes:
        for what, names in (("build", each_index.build), ("drop", each_index.drop)):
            for name in sorted(names):
                draft.step(
                    StepKind.INDEX, "", f"{what} the {name} index of domain {each_index.domain} in the vault"
                )
    orders, obstacles = await ordering.compare(
        config, app, vault, {d: c for d, c in draft.ordered.items() if "order" in draft.wanted[d]}, there
    )
    for obstacle in obstacles:
        draft.block(obstacle.where, obstacle.text, obstacle.hint)
    for order in orders:
        order_steps(draft, order, any("order" in w.build for w in indexes if w.domain == order.domain))
    return OnboardPlan(
        steps=tuple(draft.steps),
        warnings=tuple(draft.warnings),
        blockers=tuple(draft.blockers),
        groups=groups,
        unfinished=tuple(draft.unfinished),
        renames=tuple(draft.renames),
        indexes=indexes,
        orders=tuple(orders),
        links=links,
        vault_outdated=outdated,
    )


async def login_exists(connection: Connection, user: str) -> bool:
    """Whether a role of that name may log in."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolcanlogin)", user
    )
    return found


async def read_tables(draft: Draft, app: Connection) -> None:
    """Each configured table and column beside what the database has."""
    by_place = {(b.schema, b.table, b.column, draft.path(b)): b for b in draft.bindings.values()}
    configured: dict[str, list[ProtectedColumn]] = {}
    for column in draft.config.columns():
        configured.setdefault(f"{column.schema}.{column.table}", []).append(column)
    for label, wanted in configured.items():
        table = await survey.table(app, wanted[0].schema, wanted[0].table)
        if table is None:
            hint = near(label, await survey.all_tables(app))
            draft.block(label, "there is no such table", hint)
            continue
        if table.kind not in ("r", "p"):
            kinds = {
                "v": "a view",
                "m": "a materialized view",
                "f": "a foreign table",
                "foreign": "partly foreign",
            }
            text = f"is {kinds.get(table.kind, 'no table')}"
            draft.block(label, text, "protect the columns of the tables below it")
            continue
        if not table.owned:
            draft.block(
                label, "belongs to another role", "run this with the URL of its owner or of a superuser"
            )
        subjects(draft, table, draft.config.tables[label])
        retained(draft, table, draft.config.tables[label])
        works: list[ColumnWork] = []
        for options in wanted:
            found = table.columns.get(options.column)
            if found is None:
                draft.block(options.name, "there is no such column", near(options.column, table.columns))
                continue
            copy = draft.copies.get((table.schema, table.name, found.name))
            if copy is not None and copy.id in draft.registered:
                origin = draft.registered[copy.id].name
                text = f"was made from {origin}, and is protected as that is"
                draft.block(options.name, text, "leave it out of the configuration")
                continue
            place = (table.schema, table.name, found.name, options.path)
            work = examine(draft, table, found, options, by_place.get(place))
            if work is not None:
                works.append(work)
        if works:
            draft.works.append(TableWork(table, tuple(works)))


def subjects(draft: Draft, table: Table, options: TableOptions) -> None:
    """The column that identifies the data subject exists."""
    if options.subject is not None and options.subject not in table.columns:
        text = f"has no column {options.subject}, named as its subject"
        draft.block(table.label, text, near(options.subject, table.columns))


def retained(draft: Draft, table: Table, options: TableOptions) -> None:
    """The column that tells how long rows are kept exists, and is a time."""
    if options.retain is None:
        return
    name = options.retain.after
    column = table.columns.get(name)
    if column is None:
        text = f"has no column {name}, after which its rows are to be kept"
        draft.block(table.label, text, near(name, table.columns))
    elif column.type_oid not in TIMES:
        text = f"is a {column.type_name}: how long rows are kept is told by a date or a timestamp"
        draft.block(f"{table.label}.{name}", text, "name another column under retain.after")


def examine(
    draft: Draft, table: Table, column: Column, options: ProtectedColumn, binding: Binding | None
) -> ColumnWork | None:
    """The work on one column, or None if there is none or it can't be done."""
    row = (
        draft.registered.get(binding.id)
        if binding is not None
        else at_place(draft, table, column, options.path)
    )
    if binding is not None and row is None:
        text = f"has the CHECK {storage.check_name(binding.id)}, but the vault doesn't know it"
        draft.block(options.name, text, "is this the right vault, restored together with the database?")
        return None
    if mixed(draft, table, column, options):
        return None
    if held(row, binding) and row:
        base: tuple[int, int, str, int] | None = (row.type_oid, row.typmod, row.type_name, row.codec_oid)
    elif options.path:
        base = (storage.TEXT, -1, "jsonb", storage.TEXT)
    else:
        base = original(column)
    if base is None:
        why, hint = storage.unsupported(column.type_kind, column.base_name)
        draft.block(options.name, f"type {column.type_name} can't be protected: {why}", hint)
        return None
    type_oid, typmod, type_name, codec_oid = base
    casefold = options.options.normalize == "casefold"
    if not options.path:
        draft.domains[table.oid, column.attnum] = (options.domain, options.randomized)
    searches(draft, options, codec_oid, type_name)
    fresh = row is None or not held(row, binding) or binding is None
    whole = not (options.path or codec_oid in storage.ARRAYS)
    draft.ordered.setdefault(options.domain, []).append(
        ordering.Candidate(options.name, table, column.attnum, column.name, codec_oid, casefold, fresh, whole)
    )
    if not agrees(draft, options, column, codec_oid, type_name, casefold):
        return None
    if row is not None and held(row, binding):
        if not unchanged(draft, options, row):
            return None
        if binding is not None:
            follow(draft, table, column, row, binding)
            return None
    return ColumnWork(
        column=column,
        domain=options.domain,
        randomized=options.randomized,
        casefold=casefold,
        type_oid=type_oid,
        typmod=typmod,
        type_name=type_name,
        codec_oid=codec_oid,
        stored_type=storage.stored_type(type_oid, typmod, type_name, codec_oid)
        if not options.path
        else "jsonb",
        text_like=storage.text_like(codec_oid),
        mode=Mode.REPAIR if row is not None and held(row, binding) else Mode.PROTECT,
        path=options.path,
        normalize=options.options.rule,
    )


def searches(draft: Draft, options: ProtectedColumn, codec_oid: int, type_name: str) -> None:
    """Which indexes the column's domain has in the vault: all that any of its columns asks for."""
    search = frozenset(options.options.search or ()) - {"equality"}
    if "substring" in search and not storage.text_like(codec_oid):
        draft.block(
            f"{options.name}.search",
            f"type {type_name} can't have a substring index",
            "text, varchar, char and citext can",
        )
    if "order" in search and (options.path or codec_oid in storage.ARRAYS or codec_oid == storage.JSONB):
        draft.block(
            f"{options.name}.search",
            f"{'what lies in a document' if options.path else f'type {type_name}'} can't have an order index",
            "protect a column of its own",
        )
    draft.wanted[options.domain] = draft.wanted.get(options.domain, frozenset()) | search


def order_steps(draft: Draft, order: OrderWork, told: bool) -> None:
    """What an order index needs. ``told``: that it is to be built is listed already."""
    if order.build and not told:
        why = (
            "its codes have grown long"
            if order.uneven
            else "values have no code yet, or the order has changed"
        )
        draft.step(
            StepKind.INDEX, "", f"give the order index of domain {order.domain} its codes anew ({why})"
        )
    for column in order.columns:
        draft.step(StepKind.INDEX, column.label, f"index {column.column} by its order")
    for verb, to, users in (("let", "sort by", order.grant), ("don't let", "sort by", order.revoke)):
        if users:
            draft.step(
                StepKind.INDEX, "", f"{verb} {', '.join(users)} {to} domain {order.domain} in the database"
            )


def mixed(draft: Draft, table: Table, column: Column, options: ProtectedColumn) -> bool:
    """Whether paths stand in the way of the column, or the column in that of paths."""
    place = (table.schema, table.name, column.name)
    others = {
        draft.path(b) for b in draft.bindings.values() if (b.schema, b.table, b.column) == place
    }  # what is protected now
    hint = f"pgnym undo --table {table.label}, then apply"
    if options.path and "" in others:
        draft.block(options.name, "is within a column that is protected as a whole", hint)
    elif not options.path and others - {""}:
        draft.block(options.name, "has paths that are protected by themselves", hint)
    elif options.path and column.type_oid != storage.JSONB:
        text = f"is a path within a column of type {column.type_name}"
        draft.block(options.name, text, "paths are for jsonb: change the column's type, or protect all of it")
    else:
        return False
    return True


def held(row: Registered | None, binding: Binding | None) -> bool:
    """Whether the column holds tokens, as far as the registry and the CHECK tell.

    A row in state ``migrating`` or ``undoing`` without the CHECK is what a run that was killed left:
    plaintext.
    """
    return binding is not None or (row is not None and row.state == "protected")


def at_place(draft: Draft, table: Table, column: Column, path: str) -> Registered | None:
    """The registry row under this name that no CHECK anywhere is bound to."""
    place = (table.schema, table.name, column.name)
    rows = (r for r in draft.registered.values() if r.place == place and r.path == path)
    return next((r for r in rows if r.id not in draft.bindings), None)


def original(column: Column) -> tuple[int, int, str, int] | None:
    """Type OID, modifier, name and codec of an unprotected column; None if it can't be protected."""
    codec_oid = storage.codec(column.type_oid, column.base_name) if column.type_kind == "b" else None
    return None if codec_oid is None else (column.type_oid, column.typmod, column.type_name, codec_oid)


def agrees(
    draft: Draft, options: ProtectedColumn, column: Column, codec_oid: int, type_name: str, casefold: bool
) -> bool:
    """The options fit the type, and the type fits the others of its domain."""
    if column.base_name in ("citext", "_citext") and not casefold:
        text = "is citext, which compares without regard to case"
        draft.block(options.name, text, "say normalize: casefold (values are then kept in lower case)")
        return False
    spelling = options.options.spelling
    if spelling != "none" and storage.element(codec_oid) not in (storage.TEXT, storage.VARCHAR):
        draft.block(options.name, f"normalize: {spelling} has no meaning for {type_name}", "leave it out")
        return False
    try:
        normalizer(options.options.rule or "email")
    except ValueError as error:
        draft.block(f"{options.name}.normalize", str(error))
        return False
    mine = storage.family(codec_oid, type_name)
    theirs = draft.families.setdefault(options.domain, (mine, options.name))
    if theirs[0] != mine:
        text = f"is {mine}, but {theirs[1]} of the same domain {options.domain} is {theirs[0]}"
        draft.block(options.name, text, "give it a domain of its own")
        return False
    if draft.known_domains.get(options.domain, options.randomized) != options.randomized:
        text = f"domain {options.domain} exists with other tokens"
        draft.block(options.name, text, "name another domain")
        return False
    if options.options.mask in ("email", "phone", "initial") and not storage.text_like(codec_oid):
        draft.warn(options.name, f"mask {options.options.mask} shows nothing of a {type_name}")
    return True


def unchanged(draft: Draft, options: ProtectedColumn, row: Registered) -> bool:
    """A protected column keeps its domain and kind of tokens for as long as it is protected."""
    spelling = "casefold" if row.casefold else row.normalize or "none"
    if (options.domain, options.randomized, options.options.spelling) == (
        row.domain,
        row.randomized,
        spelling,
    ):
        return True
    kind = "randomized" if row.randomized else "deterministic"
    text = f"is protected with domain {row.domain}, tokens {kind}, normalize {spelling}"
    hint = f"pgnym undo --table {options.schema}.{options.table}, then apply; or configure it so"
    draft.block(options.name, text, hint)
    return False


def follow(draft: Draft, table: Table, column: Column, row: Registered, binding: Binding) -> None:
    """What a column that carries its CHECK may still lack."""
    if row.place != (table.schema, table.name, column.name):
        draft.renames.append((row.id, table.schema, table.name, column.name))
        draft.step(StepKind.RENAME, table.label, f"{row.name} is {table.label}.{column.name} now: follow it")
    if not binding.validated:
        text = f"its CHECK {storage.check_name(row.id)} is NOT VALID: it may hold plaintext"
        hint = f"ALTER TABLE {table.label} VALIDATE CONSTRAINT {storage.check_name(row.id)}"
        draft.block(f"{table.label}.{column.name}", text, hint)
    if column.type_name != row.stored_type:
        text = f"has type {column.type_name}, but is registered with {row.stored_type}"
        draft.block(f"{table.label}.{column.name}", text, "change it back")
    if row.state != "protected" and table not in draft.unfinished:
        draft.unfinished.append(table)


def orphans(draft: Draft) -> None:
    """Protected columns that the configuration doesn't name any more."""
    configured = {(c.schema, c.table, c.column, c.path) for c in draft.config.columns()}
    for identifier, binding in draft.bindings.items():
        if (
            binding.schema,
            binding.table,
            binding.column,
            draft.path(binding),
        ) not in configured and identifier in draft.registered:
            text = "is protected, but not in the configuration"
            hint = f"pgnym undo --table {binding.schema}.{binding.table} gives it its plaintext back"
            draft.warn(draft.registered[identifier].name, text, hint)


async def group(app: Connection, works: Sequence[TableWork]) -> tuple[Group, ...]:
    """Tables joined by foreign keys between columns to be protected: union-find over them."""
    by_oid = {work.table.oid: work for work in works}
    leader = {oid: oid for oid in by_oid}

    def find(oid: int) -> int:
        while leader[oid] != oid:
            oid = leader[oid]
        return oid

    for work in works:
        attnums = {c.column.attnum for c in work.columns}
        for key in await survey.foreign_keys(app, work.table.oid):
            if key.table_oid in by_oid and key.referred_oid in by_oid:
                mine = key.table_oid == work.table.oid
                if attnums & {pair[0 if mine else 1] for pair in key.pairs}:
                    leader[find(key.table_oid)] = find(key.referred_oid)
    groups: dict[int, list[TableWork]] = {}
    for work in works:
        groups.setdefault(find(work.table.oid), []).append(work)
    return tuple(Group(tuple(tables)) for tables in groups.values())


async def describe(app: Connection, draft: Draft, work: TableWork, each: Group) -> None:
    """The steps of one table, in words."""
    table, label = work.table, work.table.label
    for column in work.columns:
        if column.domain not in draft.known_domains:
            draft.known_domains[column.domain] = column.randomized
            kind = "randomized" if column.randomized else "deterministic"
            draft.step(StepKind.DOMAIN, label, f"register domain {column.domain} ({kind})")
    retyped = [c for c in work.columns if c.retyped]
    for view in await dependents(app, table.oid, [c.column.attnum for c in retyped]):
        what = "materialized view" if view.materialized else "view"
        draft.step(StepKind.VIEW, label, f"re-create {what} {view.name} over a column whose type changes")
    for view in await dependents(app, table.oid, [c.column.attnum for c in work.columns]):
        if view.materialized and view.populated:
            draft.step(StepKind.VIEW, label, f"refresh materialized view {view.name}")
            draft.warn(view.name, "is computed from tokens then: compare its definition")
    for key in await keys_between(app, each):
        if key.table_oid == table.oid:
            draft.step(StepKind.FOREIGN_KEY, label, f"re-create foreign key {key.name} to {key.referred}")
    for column in retyped:
        text = f"change the type of {column.column.name}: {column.column.type_name} → {column.stored_type}"
        draft.step(StepKind.TYPE, label, text)
    for name in dict.fromkeys(c.column.name for c in work.columns if c.column.default is not None):
        draft.step(StepKind.DEFAULT, label, f"put a token in place of the default of {name}")
    names = ", ".join(c.name for c in work.columns)
    repair = any(c.mode is Mode.REPAIR for c in work.columns)
    what = "tokenize what is plaintext in" if repair else "tokenize"
    draft.step(StepKind.TOKENIZE, label, f"{what} {names} of about {table.rows} rows")
    draft.step(StepKind.CHECK, label, f"add CHECKs that admit only tokens to {names}")
    draft.step(
        StepKind.CLEAN,
        label,
        "rewrite its files, indexes and statistics, so that no plaintext is left in them",
    )
    if table.rows >= LARGE:
        text = f"about {table.rows} rows: the table is locked while they are tokenized, and while it is rewritten"
        draft.warn(label, text, "choose a quiet hour; docs/onboarding.md gives figures")


async def keys_between(app: Connection, each: Group) -> list[survey.ForeignKey]:
    """Foreign keys over columns that the group protects; each once."""
    attnums = {w.table.oid: {c.column.attnum for c in w.columns} for w in each.tables}
    found: dict[int, survey.ForeignKey] = {}
    for oid in attnums:
        for key in await survey.foreign_keys(app, oid):
            referring = {pair[0] for pair in key.pairs} & attnums.get(key.table_oid, set())
            referred = {pair[1] for pair in key.pairs} & attnums.get(key.referred_oid, set())
            if referring or referred:
                found[key.oid] = key
    return list(found.values())


def near(name: str, names: Iterable[str]) -> str:
    """A hint that names what was probably meant."""
    close = difflib.get_close_matches(name, list(names), 3)
    return f"did you mean {' or '.join(close)}?" if close else ""
