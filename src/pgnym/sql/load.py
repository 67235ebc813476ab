"""Filling a catalog snapshot: the queries, and the pure building of a ``Catalog`` from their rows.

The queries work on PostgreSQL 13 to 18. Run them after ``SETUP``, so that view definitions come with every name qualified;
or all at once (``SNAPSHOT``) where pg_catalog comes first in search_path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgnym.semantics.documents import parse_path
from pgnym.semantics.expression import Collation
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.sql.catalog import Catalog, Column, Function, Leaf, Protection, Relation, Signature, Type
from pgnym.sql.collating import COLUMN_COLLATIONS, Collations, build_collations
from pgnym.sql.guard import CHECK_NAME
from pgnym.sql.types import ELEMENTS

Rows = Iterable[Sequence[Any]]

SETUP = "SELECT pg_catalog.set_config('search_path', '', false)"

RELATIONS = """
SELECT c.oid::pg_catalog.int8, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text,
       CASE WHEN c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            THEN pg_catalog.pg_get_viewdef(c.oid) END,
       ARRAY(SELECT i.inhparent::pg_catalog.int8 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND n.nspname !~ '^pg_toast'
"""

COLUMNS = """
SELECT a.attrelid::pg_catalog.int8, a.attname::pg_catalog.text, a.attnum::pg_catalog.int4, a.atttypid::pg_catalog.int8,
       a.atttypmod::pg_catalog.int4, a.attgenerated <> ''
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
 ORDER BY a.attrelid, a.attnum
"""

TYPES = """
SELECT t.oid::pg_catalog.int8, n.nspname::pg_catalog.text, t.typname::pg_catalog.text, t.typcategory::pg_catalog.text,
       CASE WHEN t.typcategory = 'A' THEN t.typelem::pg_catalog.int8 ELSE 0 END, t.typarray::pg_catalog.int8,
       t.typbasetype::pg_catalog.int8, t.typrelid::pg_catalog.int8
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""

FUNCTIONS = """
SELECT p.oid::pg_catalog.int8, n.nspname::pg_catalog.text, p.proname::pg_catalog.text,
       p.proargtypes::pg_catalog.oid[]::pg_catalog.int8[], p.prorettype::pg_catalog.int8, l.lanname::pg_catalog.text,
       p.proretset, p.proargnames, coalesce(pg_catalog.array_to_string(p.proargmodes, ''), ''),
       CASE WHEN l.lanname = 'sql' AND p.prokind <> 'a' THEN
            CASE WHEN p.prosrc <> '' THEN p.prosrc ELSE pg_catalog.pg_get_functiondef(p.oid) END END
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

CHECKS = """
SELECT c.conrelid::pg_catalog.int8, c.conname::pg_catalog.text, c.conkey::pg_catalog.int4[]
  FROM pg_catalog.pg_constraint c
 WHERE c.contype = 'c' AND c.conrelid <> 0 AND c.conname ~ '^pgnym_[0-9]+(_[0-9]+)?$'
 ORDER BY c.conrelid, c.conname
"""

# On the vault's connection; the vault may lie on another server.
REGISTRY = """
SELECT c.id, c.schema_name, c.table_name, c.column_name, d.id, d.name, d.randomized,
       c.type_oid::pg_catalog.int8, c.typmod, c.codec_oid::pg_catalog.int8, c.casefold, c.state, c.path,
       CASE WHEN 'order' = ANY (d.built) THEN d.order_by::pg_catalog.text END, c.normalize
  FROM vault.protected_column c JOIN vault.domain d ON d.id = c.domain_id
 ORDER BY c.id
"""


def _json(query: str, columns: int) -> str:
    names = ", ".join(f"c{number}" for number in range(columns))
    return f"(SELECT pg_catalog.json_agg(pg_catalog.json_build_array({names})) FROM ({query}) AS q({names}))"  # noqa: S608


SNAPSHOT = (
    "SELECT pg_catalog.json_build_object('path', pg_catalog.to_json(pg_catalog.current_schemas(true)),"
    f" 'relations', {_json(RELATIONS, 6)}, 'columns', {_json(COLUMNS, 6)}, 'types', {_json(TYPES, 8)},"
    f" 'functions', {_json(FUNCTIONS, 10)}, 'checks', {_json(CHECKS, 3)},"
    f" 'column_collations', {_json(COLUMN_COLLATIONS, 3)})"
)
"""What a session can change of them in one row of JSON, as only text comes back; under the session's own search_path."""
SNAPSHOT_PARTS = ("relations", "columns", "types", "functions", "checks", "column_collations")

_TEXTS = frozenset({25, 1043})
_JSONB = 3802
_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"


def domain_prefix(domain_id: int) -> bytes:
    """The six bytes that tokens of a domain start with: ``pn1`` and its 15 bits in base32, high bits first."""
    return b"pn1" + bytes(_BASE32[domain_id >> shift & 31] for shift in (10, 5, 0))


@dataclass(frozen=True, slots=True)
class CatalogRows:
    """The rows of the queries of the same names, here and in ``collating``. ``path``: see ``build_catalog``."""

    relations: Sequence[Sequence[Any]]
    columns: Sequence[Sequence[Any]]
    types: Sequence[Sequence[Any]]
    functions: Sequence[Sequence[Any]]
    checks: Sequence[Sequence[Any]]
    registry: Sequence[Sequence[Any]]
    collations: Sequence[Sequence[Any]] = ()
    column_collations: Sequence[Sequence[Any]] = ()
    path: tuple[str, ...] = ("pg_catalog",)

    def build(self, epoch: int, signatures: Mapping[tuple[str, str], Signature] | None = None) -> Catalog:
        """The snapshot, by ``build_catalog``."""
        return build_catalog(
            epoch,
            self.relations,
            self.columns,
            self.types,
            self.functions,
            self.checks,
            self.registry,
            signatures,
            path=self.path,
            collations=build_collations(self.collations, self.column_collations),
        )


@dataclass(frozen=True, slots=True)
class _Registered:
    """A row of the registry."""

    id: int
    schema: str
    table: str
    column: str
    domain_id: int
    domain: str
    randomized: bool
    type_oid: int
    typmod: int
    codec_oid: int
    casefold: bool
    state: str
    path: str
    order: str | None = None
    normalize: str = ""

    def protection(
        self, stored_oid: int, stored_typmod: int, collation: Collation | None, types: Mapping[int, Type]
    ) -> Protection:
        """The protection of a column that now has type ``stored_oid``; of an array by the types of its elements."""
        type_oid, typmod, codec_oid = self.type_oid, self.typmod, self.codec_oid
        element = ELEMENTS.get(codec_oid, 0)
        if element:
            type_oid, codec_oid, stored_oid = _element(type_oid, types), element, _element(stored_oid, types)
        elif stored_oid in _TEXTS and codec_oid in _TEXTS and (stored_oid != type_oid or stored_typmod == -1):
            # made by a query with a cast, say: text keeps its own type and length (see guard.py)
            type_oid, typmod, codec_oid = stored_oid, stored_typmod, stored_oid
        place = f"{self.schema}.{self.table}.{self.column}"
        return Protection(
            f"{place}.{self.path}" if self.path else place,
            self.domain,
            domain_prefix(self.domain_id),
            self.randomized,
            type_oid,
            typmod,
            codec_oid,
            stored_oid,
            self.casefold,
            collation,
            array=bool(element),
            id=self.id,
            path=parse_path(self.path) if self.path else (),
            order_index=self.order is not None
            and not element
            and not self.path
            and OrderScheme.read(self.order) == OrderScheme.of(codec_oid, collation, self.casefold),
            normalize=self.normalize,
        )


def _element(array_oid: int, types: Mapping[int, Type]) -> int:
    """The element type of an array type; the type itself where it is none."""
    known = types.get(array_oid)
    return ELEMENTS.get(array_oid, 0) or (known.element if known is not None else 0) or array_oid


Bound = dict[tuple[int, int], list[_Registered]]  # (relation, attnum) → what its CHECKs say of the column


def build_catalog(
    epoch: int,
    relations: Rows,
    columns: Rows,
    types: Rows,
    functions: Rows,
    checks: Rows,
    registry: Rows,
    signatures: Mapping[tuple[str, str], Signature] | None = None,
    *,
    path: tuple[str, ...] = ("pg_catalog",),
    collations: Collations | None = None,
) -> Catalog:
    """A snapshot from the rows of the queries of the same names.

    A column is protected where its CHECK ``pgnym_<id>`` and the registry row ``id`` agree; partitions and heirs carry the
    constraint by inheritance, tables made from it have one of their own (see ``guard.py``). Where one of the two is
    missing, or the column is between two states, the relation is ``broken`` and every statement on it refused. A registry
    row that never came or no longer is in force (``migrating``, ``undoing``) means nothing without its CHECK. A parent or
    partitioned table shows what its children hold: one with an unprotected column that is protected in a child is
    ``broken``, too.

    ``path``: the search_path under which the definitions of views were printed.
    """
    registered = {row.id: row for row in (_Registered(*r) for r in registry)}
    bound, broken = _bindings(checks, registered)
    found_types = {oid: Type(oid, *rest) for oid, *rest in types}
    by_relation: dict[int, list[Column]] = {}
    collations = collations or Collations()
    for oid, name, attnum, type_oid, typmod, generated in columns:
        protections: list[Protection] = []
        leaves: list[Leaf] = []
        for row in bound.get((oid, attnum), ()):
            collation = collations.of_column(oid, attnum, ELEMENTS.get(row.codec_oid, row.codec_oid))
            if row.path and type_oid == _JSONB:
                leaf = row.protection(row.type_oid, row.typmod, collation, found_types)
                leaves.append(Leaf(leaf.path, leaf))
            else:
                protections.append(row.protection(type_oid, typmod, collation, found_types))
        protection = _united(protections) if protections else None
        by_relation.setdefault(oid, []).append(
            Column(name, attnum, type_oid, typmod, protection, bool(generated), tuple(leaves))
        )
    named: dict[tuple[str, str], Relation] = {}
    by_oid: dict[int, Relation] = {}
    in_force = _in_force(registered)
    parents: dict[int, Sequence[int]] = {}
    for oid, schema, name, kind, view_sql, above in relations:
        own = tuple(by_relation.get(oid, ()))
        reason = broken.get(oid) or _missing_check(oid, in_force.get((schema, name), ()), own, bound)
        by_oid[oid] = Relation(oid, schema, name, kind, own, view_sql, reason)
        if above:
            parents[oid] = above
    for oid, reason in _below_broken(by_oid, parents).items():
        by_oid[oid] = replace(by_oid[oid], broken=reason)
    for oid, reason in _exposing(by_oid, parents).items():
        by_oid[oid] = replace(by_oid[oid], broken=reason, repair=_REPAIR_PARENT)
    for relation in by_oid.values():
        if relation.kind != "c":  # a composite type doesn't hide a table, and can't be named in FROM
            named[relation.schema, relation.name] = relation
    return Catalog(
        epoch,
        named,
        by_oid,
        found_types,
        _functions(functions),
        dict(signatures or {}),
        collations.named,
        path,
    )


def _united(origins: Sequence[Protection]) -> Protection:
    """The protection of a column with a CHECK for each column that its values come from."""
    return origins[0] if len(origins) == 1 else replace(origins[0], union=tuple(origins[1:]))


def _bindings(checks: Rows, registered: Mapping[int, _Registered]) -> tuple[Bound, dict[int, str]]:
    """What the CHECKs say of columns, and which relations are broken, and why."""
    bound: Bound = {}
    broken: dict[int, str] = {}
    for oid, name, key in checks:
        match = CHECK_NAME.match(name)
        if match is None:
            continue
        row = registered.get(int(match.group(1)))
        if row is None:
            broken[oid] = f"constraint {name} has no entry in the registry"
        elif key is None or len(key) != 1:
            broken[oid] = f"constraint {name} does not concern exactly one column"
        elif row.state != "protected":
            broken[oid] = f"column {row.column} is in state {row.state}"
        else:
            origins = bound.setdefault((oid, key[0]), [])
            if any(
                origin.domain_id != row.domain_id and not (origin.path and row.path) for origin in origins
            ):
                broken[oid] = f"column number {key[0]} has CHECK constraints of several domains"
            elif row not in origins:
                origins.append(row)
    return bound, broken


def _in_force(registered: Mapping[int, _Registered]) -> dict[tuple[str, str], list[_Registered]]:
    """Registry rows in force, by the table that they name.

    ``migrating`` is written before the CHECK is made, and forgotten or ``undoing`` comes when it is gone: a row in these
    states without a CHECK is what a run that was killed left, on a table that holds plaintext as it did before.
    """
    found: dict[tuple[str, str], list[_Registered]] = {}
    for row in registered.values():
        if row.state == "protected":
            found.setdefault((row.schema, row.table), []).append(row)
    return found


def _missing_check(
    oid: int, rows: Sequence[_Registered], columns: Sequence[Column], bound: Bound
) -> str | None:
    """Why a table isn't in order: a column of the registry's name is there without its CHECK.

    Also when another table has the CHECK: that may be a copy (LIKE), or what the table was called before.
    """
    attnums = {c.name: c.attnum for c in columns}
    for row in rows:
        if row.column in attnums and row not in bound.get((oid, attnums[row.column]), ()):
            return f"column {row.column} is registered but has no CHECK constraint pgnym_{row.id} in force"
    return None


_REPAIR_PARENT = "Protect the column in the parent, too, and run `pgnym apply`; or detach the child from it."


def _above(oid: int, parents: Mapping[int, Sequence[int]]) -> Iterator[int]:
    """The parents of a table, and theirs."""
    pending = list(parents.get(oid, ()))
    seen: set[int] = set()
    while pending:
        above = pending.pop()
        if above not in seen:
            seen.add(above)
            pending.extend(parents.get(above, ()))
            yield above


def _below_broken(by_oid: Mapping[int, Relation], parents: Mapping[int, Sequence[int]]) -> dict[int, str]:
    """Tables whose parent is not in order, and why: the CHECK that it lacks would be theirs, too."""
    found: dict[int, str] = {}
    for oid in parents:
        for above in _above(oid, parents):
            parent = by_oid.get(above)
            if parent is not None and parent.broken is not None and by_oid[oid].broken is None:
                found.setdefault(
                    oid, f"its parent {parent.schema}.{parent.name} is not in order: {parent.broken}"
                )
    return found


def _exposing(by_oid: Mapping[int, Relation], parents: Mapping[int, Sequence[int]]) -> dict[int, str]:
    """Tables through which a child's tokens can be read, while they are not protected themselves, and why."""
    found: dict[int, str] = {}
    for oid in parents:
        child = by_oid[oid]
        if child.broken is None and not child.protected:
            continue
        for above in _above(oid, parents):
            parent = by_oid.get(above)
            if parent is None:
                continue
            reason = exposure(child, parent)
            if reason is not None and parent.broken is None:
                found.setdefault(above, reason)
    return found


def exposure(child: Relation, parent: Relation) -> str | None:
    """Why a parent or partitioned table must not be read while ``child`` is below it; None when it may."""
    if child.broken is not None:
        return f"its child {child.schema}.{child.name} is not in order: {child.broken}"
    plain = {c.name for c in parent.columns if not c.protections}
    leaves = {(c.name, leaf.path) for c in parent.columns for leaf in c.leaves}
    for column in child.columns:
        missing = [leaf for leaf in column.leaves if (column.name, leaf.path) not in leaves]
        if (column.protections and column.name in plain) or missing:
            return f"column {column.name} is protected in its child {child.schema}.{child.name}, but not in itself"
    return None


def _functions(rows: Rows) -> dict[str, tuple[Function, ...]]:
    found: dict[str, list[Function]] = {}
    for oid, schema, name, arguments, result, language, returns_set, names, modes, body in rows:
        function = Function(
            oid,
            schema,
            name,
            tuple(arguments),
            result,
            language,
            returns_set,
            tuple(names or ()),
            modes,
            body,
        )
        found.setdefault(name, []).append(function)
    return {name: tuple(overloads) for name, overloads in found.items()}
