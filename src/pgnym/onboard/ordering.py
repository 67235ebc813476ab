"""Order indexes: what the configuration wants of them, filling them, even out, and taking them away.

The codes lie in the application's database (``vault/order_tables.py``). First come their tables and functions, then the
registry says that gateways must give each new value a code; then all values are sorted and given codes at once, evenly; then
each column gets an index by code; last the registry says that the order may be relied on. While codes are given anew the
database is locked out of the table of codes, and what has an older snapshot finds none and fails, so that no statement mixes
old and new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from pgnym.config import Config
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.indexing import Indexed
from pgnym.onboard.model import (
    Connection,
    OpenTenant,
    OrderedColumn,
    OrderWork,
    Progress,
    Report,
    Stage,
    Table,
    Tokens,
    quoted,
)
from pgnym.policy.roles import Policy
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.sql.collating import COLLATIONS, COLUMN_COLLATIONS, Collations, build_collations
from pgnym.vault import order_codes, order_tables, token_rotation
from pgnym.vault.connection import set_tenant
from pgnym.vault.tokens import prefix

_READ = 5000  # values opened at once
_SETTLED = "SET LOCAL lock_timeout = '60s'"
_PATIENCE, _TRIES = 300, 100  # milliseconds, times: a minute
# Of the indexes that call a function of an order, those that no other index is part of.
_USING = """
WITH RECURSIVE tree(oid) AS (
  SELECT $1::bigint::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
)
SELECT DISTINCT i.indexrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
  AND d.refclassid = 'pg_catalog.pg_proc'::regclass
JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pgnym' AND p.proname LIKE $2
  AND ($1::bigint IS NULL OR i.indrelid IN (SELECT oid FROM tree))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
"""
_HAS_INDEX = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_depend f ON f.classid = 'pg_catalog.pg_class'::regclass AND f.objid = i.indexrelid
    AND f.refclassid = 'pg_catalog.pg_proc'::regclass
  JOIN pg_catalog.pg_proc p ON p.oid = f.refobjid AND p.proname = $3
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'pgnym'
  JOIN pg_catalog.pg_depend c ON c.classid = f.classid AND c.objid = i.indexrelid
    AND c.refclassid = 'pg_catalog.pg_class'::regclass AND c.refobjid = i.indrelid AND c.refobjsubid = $2
  WHERE i.indrelid = $1::bigint::oid AND i.indisvalid)
"""
# The tables of such indexes: roots where they are partitioned.
_INDEXED = """
SELECT DISTINCT i.indrelid::pg_catalog.regclass::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
  AND d.refclassid = 'pg_catalog.pg_proc'::regclass
JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'pgnym' AND p.proname LIKE $1
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
ORDER BY 1
"""
_READERS = """
SELECT pg_catalog.pg_get_userbyid(a.grantee)
FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a
WHERE p.pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pgnym') AND p.proname = $1
  AND a.grantee NOT IN (0, p.proowner)
"""
_TABLE = "SELECT pg_catalog.to_regclass('pgnym.codes_' || $1) IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column of a domain that shall be ordered. ``fresh``: its values are about to come into the vault. ``whole``: it can
    be sorted by the index; not what lies in arrays and documents, whose values have their codes all the same."""

    name: str
    table: Table
    attnum: int
    column: str
    codec_oid: int
    casefold: bool
    fresh: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there can't be such an index."""

    where: str
    text: str
    hint: str


async def compare(
    config: Config,
    app: Connection,
    vault: Connection,
    domains: Mapping[str, Sequence[Candidate]],
    there: Mapping[str, Indexed],
) -> tuple[list[OrderWork], list[Obstacle]]:
    """What is to be done for each domain that shall be ordered, by its columns, and what is in the way."""
    if not domains:
        return [], []
    collations = build_collations(
        map(tuple, await app.fetch(COLLATIONS)), map(tuple, await app.fetch(COLUMN_COLLATIONS))
    )
    works: list[OrderWork] = []
    obstacles: list[Obstacle] = []
    policy = Policy(config)
    for domain, every in sorted(domains.items()):
        candidates = [c for c in every if c.whole]
        if not candidates:
            continue  # the plan says already why there can be none
        scheme = _scheme(domain, candidates, collations)
        if isinstance(scheme, Obstacle):
            obstacles.append(scheme)
            continue
        users: set[str] = set()
        for candidate in candidates:
            named, everyone = policy.comparing(candidate.name)
            users.update(named)
            if everyone:
                text = "the role default may compare, so everybody could read the order from the database"
                obstacles.append(
                    Obstacle(f"{candidate.name}.search", text, "name the users in a role of their own")
                )
        fresh = any(c.fresh for c in every)
        found = there.get(domain)
        works.append(await _work(app, vault, config, domain, candidates, scheme, users, found, fresh=fresh))
    return [work for work in works if not work.empty], obstacles


def _scheme(domain: str, candidates: Sequence[Candidate], collations: Collations) -> OrderScheme | Obstacle:
    schemes = {
        OrderScheme.of(
            c.codec_oid, collations.of_column(c.table.oid, c.attnum, c.codec_oid), c.casefold
        ): c.name
        for c in candidates
    }
    names = list(schemes.values())
    if len(schemes) > 1:
        text = f"{names[0]} and {names[1]} have different types or collations, so domain {domain} has no one order"
        return Obstacle(
            f"{names[0]}.search", text, "give both the same type and collation, or domains of their own"
        )
    (scheme,) = schemes
    try:
        scheme.key()
    except EvaluationError as error:
        return Obstacle(f"{names[0]}.search", f"there can't be an order index: {error.message}", error.hint)
    return scheme


async def _work(
    app: Connection,
    vault: Connection,
    config: Config,
    domain: str,
    candidates: Sequence[Candidate],
    scheme: OrderScheme,
    users: set[str],
    found: Indexed | None,
    *,
    fresh: bool,
) -> OrderWork:
    exist = await app.fetch(
        "SELECT rolname FROM pg_catalog.pg_roles"
        " WHERE rolname = ANY ($1) AND NOT rolsuper AND rolname <> current_user",  # these may do so in any case
        sorted(users),
    )
    readers = {row[0] for row in exist}
    columns = [OrderedColumn(c.table.sql, c.column, c.table.label) for c in candidates]
    if found is None or not await app.fetchval(_TABLE, order_tables.name_of(prefix(found.id))):
        return OrderWork(domain, scheme.write(), True, False, tuple(columns), tuple(sorted(readers)), ())
    name = order_tables.name_of(prefix(found.id))
    lacking = [
        column
        for column, c in zip(columns, candidates, strict=True)
        if not await app.fetchval(_HAS_INDEX, c.table.oid, c.attnum, f"order_{name}")
    ]
    known = await vault.fetchval("SELECT order_by::text FROM vault.domain WHERE id = $1", found.id)
    longest = await app.fetchval(f"SELECT max(pg_catalog.length(code)) FROM pgnym.codes_{name}")  # noqa: S608
    changed = known is None or OrderScheme.read(known) != scheme
    uneven = (longest or 0) > order_codes.UNEVEN
    partial = "order" not in found.built or changed or fresh
    now = {row[0] for row in await app.fetch(_READERS, f"order_{name}")} - {config.vault.user}
    return OrderWork(
        domain,
        scheme.write(),
        partial or uneven,
        uneven and not partial,
        tuple(lacking),
        tuple(sorted(readers - now)),
        tuple(sorted(now - readers)),
    )


async def prepare(
    app: Connection, vault: Connection, works: Iterable[OrderWork], there: Mapping[str, Indexed], gateway: str
) -> None:
    """Make the tables and functions of domains that are there already, and see who may use them."""
    for work in works:
        found = there.get(work.domain)
        if found is None:
            continue
        domain = prefix(found.id)
        async with app.transaction():
            if not await app.fetchval(_TABLE, order_tables.name_of(domain)):
                await app.execute(order_tables.creation(domain))
            await app.execute(order_tables.granting(domain, quoted(gateway), [quoted(r) for r in work.grant]))
            if work.revoke:
                await app.execute(order_tables.revoking(domain, [quoted(r) for r in work.revoke]))
        if work.build and not work.uneven:
            # Until all have codes nobody may rely on them. (Evening out replaces all at once: there is always an order.)
            await vault.execute("SELECT vault.set_built($1, $2)", found.id, sorted(found.built - {"order"}))
            await vault.execute(
                "UPDATE vault.domain SET order_by = $2::text::jsonb WHERE id = $1", found.id, work.scheme
            )


async def build(
    app: Connection,
    vault: Connection,
    works: Sequence[OrderWork],
    there: Mapping[str, Indexed],
    open_tenant: OpenTenant,
    report: Report,
) -> None:
    """Give all values codes, index the columns by them, and let gateways rely on it."""
    for work in works:
        found = there[work.domain]
        if work.build:
            await _fill(app, vault, work, found.id, open_tenant, report)
        name = order_tables.name_of(prefix(found.id))
        for column in work.columns:
            key = f'(pgnym.order_{name}(({quoted(column.column)})::text) COLLATE pg_catalog."C")'
            await app.execute(f"CREATE INDEX ON {column.table} ({key})")
            await app.execute(f"ANALYZE {column.table}")
        if work.build:
            await vault.execute("SELECT vault.set_built($1, $2)", found.id, sorted(found.built | {"order"}))


async def _fill(
    app: Connection,
    vault: Connection,
    work: OrderWork,
    identifier: int,
    open_tenant: OpenTenant,
    report: Report,
) -> None:
    domain = prefix(identifier)
    key = OrderScheme.read(work.scheme).key()
    name = order_tables.name_of(domain)
    tenants: list[tuple[int, Tokens]] = []
    sorted_by: dict[int, dict[bytes, Any]] = {}
    done = 0

    async def learn(tenant: int, values: Tokens, tokens: Sequence[str]) -> None:
        nonlocal done
        keys = sorted_by.setdefault(tenant, {})
        for start in range(0, len(tokens), _READ):
            opened = await values.get([t.encode("ascii") for t in tokens[start : start + _READ]])
            keys.update((token, key(value)) for token, value in opened.items())
            done += len(opened)
            report(Progress(Stage.INDEX, work.domain, done, done))

    for tenant, tenant_name in await vault.fetch("SELECT id, name FROM vault.tenant ORDER BY id"):
        values = await open_tenant(tenant_name)
        tenants.append((tenant, values))
        async with vault.transaction():
            await set_tenant(vault, tenant)
            rows = await vault.fetch(
                "SELECT token FROM vault.value WHERE tenant = $1 AND token >= $2 AND token < $2 || '~'",
                tenant,
                domain.decode("ascii"),
            )
        await learn(tenant, values, [row[0] for row in rows])
    async with app.transaction():
        await _lock_out(app, domain, work.domain)
        # What gateways have given a code meanwhile. Nothing can be put on the way past the lock.
        for tenant, values in tenants:
            start = order_codes.tenant_prefix(tenant)
            rows = await app.fetch(
                f"SELECT token FROM pgnym.codes_{name} WHERE code > $1 AND code < $1 || '~'",  # noqa: S608
                start,
            )
            keys, coded = sorted_by[tenant], {row[0].encode("ascii") for row in rows}
            await learn(tenant, values, [token.decode("ascii") for token in coded if token not in keys])
            # What was erased meanwhile had no code to lose, and gets none. (Who erases later waits for the lock.)
            for gone in await _gone(vault, tenant, [token for token in keys if token not in coded]):
                del keys[gone]
        await app.execute(f"TRUNCATE pgnym.codes_{name}")
        for tenant, keys in sorted_by.items():
            records = await asyncio.to_thread(_codes, tenant, keys)
            await app.copy_records_to_table(
                f"codes_{name}", schema_name="pgnym", columns=("token", "code"), records=records
            )
        await app.execute(f"UPDATE pgnym.codes_version_{name} SET version = version + 1")  # noqa: S608
        for (index,) in await app.fetch(_USING, None, f"order\\_{name}"):
            await app.execute(f"REINDEX INDEX {index}")
    await app.execute(f"ANALYZE pgnym.codes_{name}")


async def _gone(vault: Connection, tenant: int, tokens: Sequence[bytes]) -> list[bytes]:
    """Those of the tokens that have no value in the vault now."""
    gone: list[bytes] = []
    for start in range(0, len(tokens), _READ):
        some = tokens[start : start + _READ]
        there = await token_rotation.known(vault, tenant, [token.decode("ascii") for token in some])
        gone += [token for token in some if token.decode("ascii") not in there]
    return gone


async def _lock_out(app: Connection, domain: bytes, label: str) -> None:
    """Take all locks that giving codes anew needs, within the transaction: of the indexed tables, the codes, the domain.

    A session that has written, and is to write another new value, waits for a connection of the gateway, which waits for
    these locks; no server sees that this is a circle. So they are all taken at once, or given back soon. Raises OnboardError
    if that never succeeds.
    """
    name = order_tables.name_of(domain)
    tables = [row[0] for row in await app.fetch(_INDEXED, f"order\\_{name}")]
    for _ in range(_TRIES):
        try:
            async with app.transaction():  # a savepoint: what is rolled back to it gives its locks back
                await app.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}ms'")
                for table in tables:
                    await app.execute(f"LOCK TABLE {table} IN SHARE MODE")
                await app.execute(f"LOCK TABLE pgnym.codes_{name} IN ACCESS EXCLUSIVE MODE")
                await app.execute(order_tables.lock(domain))
                return
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(_PATIENCE / 1000)  # so long those who wait for us get on
    raise OnboardError(
        f"transactions that use the order of domain {label} don't end",
        "look for idle transactions, then run it again",
    )


def _codes(tenant: int, keys: Mapping[bytes, Any]) -> list[tuple[str, str]]:
    """Tokens with codes, evenly spaced; equal values share one."""
    tokens = sorted(keys, key=keys.__getitem__)
    numbers: list[int] = []
    for at, token in enumerate(tokens):
        same = at > 0 and keys[tokens[at - 1]] == keys[token]
        numbers.append(numbers[-1] if same else (numbers[-1] + 1 if numbers else 0))
    start = order_codes.tenant_prefix(tenant)
    fractions = order_codes.evenly(numbers[-1] + 1 if numbers else 0)
    return [(token.decode("ascii"), start + fractions[n]) for token, n in zip(tokens, numbers, strict=True)]


async def carry_over(
    app: Connection,
    domains: Iterable[int],
    replacements: Callable[[list[bytes]], Awaitable[Mapping[bytes, bytes]]],
) -> None:
    """Codes of tokens that are replaced become those of the new tokens, before the rows do, in one transaction with them.

    ``replacements``: of tokens, old → new; what has none stays. Run again, it finds nothing left.
    """
    for identifier in domains:
        domain = prefix(identifier)
        name = order_tables.name_of(domain)
        if not await app.fetchval(_TABLE, name):
            continue
        await app.execute(order_tables.lock(domain))
        last = ""
        while rows := await app.fetch(
            f"SELECT token FROM pgnym.codes_{name} WHERE token > $1 ORDER BY token LIMIT $2",  # noqa: S608
            last,
            _READ,
        ):
            last = rows[-1][0]
            found = await replacements([row[0].encode("ascii") for row in rows])
            await app.execute(
                f"UPDATE pgnym.codes_{name} c SET token = u.new"  # noqa: S608
                " FROM unnest($1::text[], $2::text[]) AS u (old, new) WHERE c.token = u.old",
                [old.decode("ascii") for old in found],
                [new.decode("ascii") for new in found.values()],
            )
        # What a gateway has in memory is of before.
        await app.execute(f"UPDATE pgnym.codes_version_{name} SET version = version + 1")  # noqa: S608


async def remove(app: Connection, identifier: int) -> None:
    """Drop what a domain has of an order index in the application's database."""
    async with app.transaction():
        await app.execute(_SETTLED)
        await app.execute(order_tables.removal(prefix(identifier)))


async def drop_indexes(app: Connection, tables: Sequence[Table]) -> None:
    """Drop the indexes by code of tables whose columns are about to hold plaintext again."""
    for table in tables:
        for (index,) in await app.fetch(_USING, table.oid, "order\\_%"):
            await app.execute(f"DROP INDEX {index}")
