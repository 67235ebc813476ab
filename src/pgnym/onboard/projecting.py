"""The catalog as it will be once the configuration has been applied: for planning statements before that.

The rows of the catalog's queries (``sql/load.py``) are given the registry entries, constraints and types that
``pgnym apply`` would make, so that one reader builds the snapshot, whether it is true already or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgnym.config import Config
from pgnym.config.model import ProtectedColumn
from pgnym.onboard import storage
from pgnym.sql.load import CatalogRows

_UNCHANGED = "its own type"
_STORED = {
    "text": (25, -1),
    "text[]": (1009, -1),
    "character varying(30)": (1043, 34),
    "character varying(30)[]": (1015, 34),
}
_FIRST_ID = 900_000_000  # beyond those that the registry gives; nine digits, as a CHECK has at most


@dataclass(frozen=True, slots=True)
class Projection:
    """``rows`` with the configured columns protected; ``problems``: columns that can't be, and why;
    ``present``: configured columns that are protected already.
    """

    rows: CatalogRows
    problems: tuple[str, ...]
    present: tuple[str, ...]


def project(config: Config, rows: CatalogRows) -> Projection:
    """What the catalog will be. Columns that are protected already stay as they are."""
    names = {(row[1], row[2]): row[0] for row in rows.relations if row[3] in ("r", "p", "f")}
    types = {row[0]: row for row in rows.types}
    columns = {(row[0], row[1]): row for row in rows.columns}
    paths = {f"pgnym_{row[0]}": row[12] for row in rows.registry}
    bound = {(oid, attnum, paths.get(name, "")) for oid, name, key in rows.checks for attnum in key or ()}
    domains = {row[5]: row[4] for row in rows.registry}
    registry, checks = list(rows.registry), list(rows.checks)
    stored: dict[tuple[int, int], tuple[int, int]] = {}
    problems: list[str] = []
    present: list[str] = []
    for number, column in enumerate(config.columns(), _FIRST_ID):
        table = names.get((column.schema, column.table))
        attribute = columns.get((table, column.column)) if table is not None else None
        if table is None or attribute is None:
            problems.append(f"{column.name} does not exist")
            continue
        if (table, attribute[2], column.path) in bound:
            present.append(column.name)
            continue
        type_oid, typmod = attribute[3], attribute[4]
        codec = storage.codec(type_oid, types[type_oid][2])
        if column.path:
            codec = storage.TEXT if type_oid == storage.JSONB else None
            type_oid, typmod = (storage.TEXT, -1) if codec is not None else (type_oid, typmod)
        if codec is None:
            problems.append(f"{column.name} has type {types[type_oid][2]}, which can't be protected")
            continue
        # Tokens of the domain begin with its number; all that matters here is that numbers differ.
        domain = domains.setdefault(column.domain, max(domains.values(), default=0) + 1)
        registry.append(_entry(column, number, domain, type_oid, typmod, codec))
        new = _STORED.get(storage.stored_type(type_oid, typmod, _UNCHANGED, codec))
        for oid in _tree(rows, table):
            heir = columns[oid, column.column]
            checks.append((oid, f"pgnym_{number}", [heir[2]]))
            if new is not None and not column.path:
                stored[oid, heir[2]] = new
    changed = [
        (row[0], row[1], row[2], *stored.get((row[0], row[2]), (row[3], row[4])), *row[5:])
        for row in rows.columns
    ]
    new_rows = replace(rows, columns=changed, checks=checks, registry=registry)
    return Projection(new_rows, tuple(problems), tuple(present))


def _entry(
    column: ProtectedColumn, number: int, domain: int, type_oid: int, typmod: int, codec: int
) -> Sequence[Any]:
    """A row of the registry, as ``load.REGISTRY`` gives it."""
    casefold = column.options.normalize == "casefold"
    return (
        number, column.schema, column.table, column.column, domain, column.domain, column.randomized, type_oid, typmod,
        codec, casefold, "protected", column.path, None, column.options.rule,
    )  # fmt: skip


def _tree(rows: CatalogRows, table: int) -> Iterator[int]:
    """A table with its partitions and heirs: a CHECK is theirs, too."""
    below: dict[int, list[int]] = {}
    for row in rows.relations:
        for parent in row[5]:
            below.setdefault(parent, []).append(row[0])
    seen: set[int] = set()
    pending = [table]
    while pending:
        oid = pending.pop()
        if oid not in seen:
            seen.add(oid)
            pending.extend(below.get(oid, ()))
            yield oid
