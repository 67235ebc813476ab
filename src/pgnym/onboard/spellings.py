"""Rows in the way of ``normalize: email`` or ``phone``: values that are neither, and rows that would become equal.

``apply`` would come upon them too, but only after it has worked through rows before; and then which rows they are is a
question that takes a program to answer. Findings name rows by their address (ctid), never by what is in them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import blake2b

from pgnym.onboard.model import ColumnWork, Connection, Finding, Mode, TableWork, quoted
from pgnym.onboard.rows import batches
from pgnym.policy.normalizing import named, normalizer

_SHOWN = 3
_VARHDRSZ = 4  # what a length's modifier counts besides
_UNIQUE = """
SELECT i.indexrelid::regclass::text, (i.indkey::int2[])[0:i.indnkeyatts - 1], pg_get_expr(i.indpred, i.indrelid)
FROM pg_index i WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indexprs IS NULL ORDER BY 1
"""


@dataclass(slots=True)
class _Rows:
    """Rows that have something in common: how many, and where some of them are."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, *places: str) -> None:
        """Another one, or a pair."""
        self.count += 1
        if self.count <= _SHOWN:
            self.some.extend(places)

    def look(self, table: str) -> str:
        """How to look at them."""
        places = ", ".join(f"'{place}'" for place in self.some)
        return f"SELECT * FROM {table} WHERE ctid IN ({places})"  # noqa: S608 - it is shown, not carried out


async def spellings(app: Connection, work: TableWork) -> AsyncIterator[Finding]:
    """What is in the way in one table. Reads it once for each column, and once for each unique index over some."""
    columns = {
        c.column.attnum: c
        for c in work.columns
        if c.normalize and c.mode is Mode.PROTECT and not c.array and not c.path
    }
    if not columns:
        return
    table = work.table
    for column in columns.values():
        name, rule = quoted(column.column.name), normalizer(column.normalize)
        room = column.typmod - _VARHDRSZ if column.typmod >= _VARHDRSZ else None
        wrong, long = _Rows(), _Rows()
        query = f"SELECT ctid::text, {name}::text FROM {table.sql} WHERE {name} <> ''"  # noqa: S608 - quoted
        async for rows in batches(app, query):
            for place, value in rows:
                normal = rule(value.encode())
                if normal is None:
                    wrong.add(place)
                elif room is not None and len(normal.decode()) > room:
                    long.add(place)
        is_wrong, too_long = (
            f"are not {named(column.normalize)}",
            f"would be too long for {column.type_name} then",
        )
        for some, what in ((wrong, is_wrong), (long, too_long)):
            if some.count:
                text = f"has {some.count} values that {what}"
                hint = f"{_first(some)}{some.look(table.sql)}"
                yield Finding(f"{table.label}.{column.column.name}", text, hint)
    for index, keys, predicate in await app.fetch(_UNIQUE, table.oid):
        if columns.keys().isdisjoint(keys):
            continue
        equal = await _become_equal(app, work, columns, list(keys), predicate)
        if equal.count:
            text = f"{index} is unique, and {equal.count} of its rows become equal to others once normalized"
            yield Finding(table.label, text, f"merge them first; {_first(equal)}{equal.look(table.sql)}")


def _first(rows: _Rows) -> str:
    return "the first: " if rows.count > _SHOWN else "see: "


async def _become_equal(
    app: Connection, work: TableWork, columns: dict[int, ColumnWork], keys: list[int], predicate: str | None
) -> _Rows:
    names = {column.attnum: quoted(name) for name, column in work.table.columns.items()}
    listed = ", ".join(f"{names[key]}::text" for key in keys)
    where = " AND ".join([f"{names[key]} IS NOT NULL" for key in keys] + ([predicate] if predicate else []))
    rules = [normalizer(columns[key].normalize) if key in columns else None for key in keys]
    met: dict[bytes, str] = {}
    found = _Rows()
    async for rows in batches(app, f"SELECT ctid::text, {listed} FROM {work.table.sql} WHERE {where}"):  # noqa: S608
        for place, *values in rows:
            digest = blake2b(digest_size=16)
            for value, rule in zip(values, rules, strict=True):
                known = value.encode()
                part = (rule(known) or known) if rule is not None else known
                digest.update(len(part).to_bytes(4, "big") + part)
            first = met.setdefault(digest.digest(), place)
            if first != place:
                found.add(first, place)
    return found
