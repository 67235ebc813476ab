"""Names to things: relations along the search_path, columns through FROM items, subqueries, CTEs and outer queries.

PostgreSQL's rules (``parse_relation.c``): the innermost query level that knows a name decides; within a level an
unqualified column name must be unique; a CTE hides a table; JOIN USING merges columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pgnym.sql.catalog import Catalog, Relation
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import Kind, Plain, Row, protected

SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})


@dataclass(frozen=True, slots=True)
class Field:
    """A named column of a FROM item or a query."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Source:
    """What one alias stands for. ``schema`` and ``table`` are set for a relation without alias (``schema.table.column``).

    ``scalar``: a function in FROM that returns one value: its alias names that value, not a row. ``open_ended``: a function
    whose columns aren't known; they are plain.
    """

    alias: str
    fields: tuple[Field, ...]
    schema: str | None = None
    relation: Relation | None = None
    scalar: bool = False
    open_ended: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A FROM item: the aliases it makes visible, and its columns in the order of ``*`` (USING columns merged)."""

    sources: tuple[Source, ...]
    columns: tuple[Field, ...]


@dataclass(slots=True)
class Cte:
    """A WITH query. ``fields`` None: not yet known (a forward or forbidden self reference)."""

    name: str
    fields: tuple[Field, ...] | None


@dataclass(slots=True)
class Scope:
    """One query level."""

    parent: Scope | None = None
    items: list[Item] = field(default_factory=list)
    ctes: dict[str, Cte] = field(default_factory=dict)
    only_sources: list[Source] = field(default_factory=list)  # seen when qualified only: excluded, old, new

    def find_cte(self, name: str) -> Cte | None:
        """The WITH query of that name that is in sight."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None

    def sources(self) -> Iterator[Source]:
        """All aliases of this level."""
        for item in self.items:
            yield from item.sources
        yield from self.only_sources

    def add(self, item: Item, position: int | None) -> None:
        """Make a FROM item visible. Raises Refused 42712 when an alias is there already."""
        present = {(s.alias, s.schema) for s in self.sources() if s.alias}
        for source in item.sources:
            if source.alias and (source.alias, source.schema) in present:
                raise Refused(
                    f'table name "{source.alias}" specified more than once',
                    sqlstate="42712",
                    position=position,
                )
        self.items.append(item)


def relation_named(
    catalog: Catalog, search_path: Iterable[str], schema: str | None, name: str, position: int | None
) -> Relation:
    """The relation a name means. Raises Refused 42P01 in PostgreSQL's words."""
    if schema is not None:
        found = catalog.relations.get((schema, name))
        if found is None and schema == "pg_temp":
            for candidate in search_path:
                if candidate.startswith("pg_temp_"):
                    found = catalog.relations.get((candidate, name))
        if found is not None:
            return found
        raise _unknown_relation(f"{schema}.{name}", position)
    for candidate in search_path:
        found = catalog.relations.get((candidate, name))
        if found is not None:
            return found
    raise _unknown_relation(name, position)


def _unknown_relation(name: str, position: int | None) -> Refused:
    """The snapshot is read over another connection, which doesn't see what this transaction has made."""
    return Refused(
        f'relation "{name}" does not exist',
        sqlstate="42P01",
        hint="In statements on protected tables, a relation created in this transaction (temporary ones, too) is not known "
        "until it is committed: commit first.",
        position=position,
    )


def column_named(scope: Scope, name: str, position: int | None) -> Kind | None:
    """The kind of an unqualified column; None when no level knows it. Raises Refused 42702 when it is ambiguous."""
    level: Scope | None = scope
    while level is not None:
        found: list[Kind] = [f.kind for item in level.items for f in item.columns if f.name == name]
        if len(found) > 1:
            raise Refused(f'column reference "{name}" is ambiguous', sqlstate="42702", position=position)
        if found:
            return found[0]
        if name in SYSTEM_COLUMNS and any(s.relation is not None for s in level.sources()):
            return Plain(f"system column {name}")
        if any(s.open_ended for s in level.sources()):
            outer = column_named(level.parent, name, position) if level.parent is not None else None
            if outer is not None and protected(outer):
                raise Refused(
                    f'column reference "{name}" could mean a column of a function in FROM or of an outer query',
                    hint="Qualify the column with its table.",
                    position=position,
                )
            return outer if outer is not None else Plain(f"column {name}")
        level = level.parent
    return None


def source_named(scope: Scope, schema: str | None, name: str) -> Source | None:
    """The FROM item that an alias (or ``schema.table``) means, in the innermost level that has it. Raises Refused 42P09."""
    level: Scope | None = scope
    while level is not None:
        found = [s for s in level.sources() if s.alias == name and (schema is None or s.schema == schema)]
        if len(found) > 1:
            raise Refused(f'table reference "{name}" is ambiguous', sqlstate="42P09")
        if found:
            return found[0]
        level = level.parent
    return None


def field_of(source: Source, name: str, position: int | None) -> Kind:
    """A column of a FROM item. Raises Refused 42703, 42702."""
    found = [f.kind for f in source.fields if f.name == name]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise Refused(f'column reference "{name}" is ambiguous', sqlstate="42702", position=position)
    if name in SYSTEM_COLUMNS and source.relation is not None:
        return Plain(f"system column {name}")
    raise Refused(f"column {source.alias}.{name} does not exist", sqlstate="42703", position=position)


def row_of(source: Source) -> Kind:
    """The whole-row reference to a FROM item."""
    if source.scalar and len(source.fields) == 1:
        return source.fields[0].kind
    return Row(tuple(f.name for f in source.fields), tuple(f.kind for f in source.fields))


def names_in(node: dict[str, Any]) -> list[str]:
    """The names of a ColumnRef or of a list of String nodes; ``*`` for A_Star."""
    return [n["String"].get("sval", "") if "String" in n else "*" for n in node.get("fields", ())]
