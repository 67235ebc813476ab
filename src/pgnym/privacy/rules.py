"""How long rows are kept: ``tables.TABLE.retain`` of the configuration, against the tables as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.config import Config
from pgnym.config.durations import interval
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import NAMED, Holder, quoted
from pgnym.privacy.scrubbing import scrubbing

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_TYPES = ("date", "timestamp without time zone", "timestamp with time zone")
_COLUMN = f"""
SELECT pg_catalog.format_type(a.atttypid, NULL)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {NAMED} = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
"""  # noqa: S608 - constants
_REFERENCES = f"""
WITH named AS (
  SELECT c.oid, {NAMED} AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE {NAMED} = ANY ($1::text[])
)
SELECT DISTINCT a.name, b.name FROM pg_catalog.pg_constraint k JOIN named a ON a.oid = k.conrelid
  JOIN named b ON b.oid = k.confrelid WHERE k.contype = 'f' AND a.oid <> b.oid
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows of one table, and when their time is over. ``kept``: for how long after ``column``, as an interval of
    PostgreSQL's.

    ``change``: what is done with them then, without its condition; the table's name in it is ``t``.
    """

    label: str
    column: str
    type: str
    kept: str
    delete: bool
    change: str
    holders: tuple[Holder, ...]

    @property
    def sql(self) -> str:
        """The table as SQL."""
        return ".".join(map(quoted, self.label.split(".")))

    @property
    def done(self) -> str:
        """What has been done, in a word."""
        return "deleted" if self.delete else "scrubbed"

    @property
    def past(self) -> str:
        """The condition that a row's time was over at ``$1``. A time that isn't known is never over."""
        late = f"t.{quoted(self.column)} < ($1::timestamptz - interval '{self.kept}')::{self.type}"
        if self.delete:
            return late
        left = [
            f"t.{quoted(holder.column)}::text <> ''"
            if holder.whole
            else f"t.{quoted(holder.column)}::text ~ '{holder.pattern}'"
            for holder in self.holders
        ]
        return f"{late} AND ({' OR '.join(left)})"


async def rules(app: Connection, config: Config, everywhere: Sequence[Holder]) -> list[Rule]:
    """The rules of all tables that have one: those that refer to others first, so that these can be deleted after them.

    Raises PrivacyError where a table isn't as configured.
    """
    found = []
    for label, table in config.tables.items():
        if table.retain is None:
            continue
        sql = ".".join(map(quoted, label.split(".")))
        kind = await app.fetchval(_COLUMN, sql, table.retain.after)
        place = f"tables.{label}.retain.after"
        if kind is None:
            text = f"{place}: there is no column {label}.{table.retain.after}"
            raise PrivacyError(text, hint="Run `pgnym plan`.")
        if kind not in _TYPES:
            text = f"{place}: {label}.{table.retain.after} is a {kind}, neither a date nor a timestamp"
            raise PrivacyError(text, hint="Name another column.")
        own = tuple(holder for holder in everywhere if holder.label == label)
        if missing := set(table.columns) - {holder.column for holder in own}:
            text = f"{label}.{min(missing)} is configured, but not protected yet"
            raise PrivacyError(text, hint="Run `pgnym apply`.")
        delete = table.deleted_in_time
        change = f"DELETE FROM {sql} AS t" if delete else scrubbing(sql, own, f"tables.{label}.retain.then")  # noqa: S608 - quoted
        found.append(Rule(label, table.retain.after, kind, interval(table.retain.for_), delete, change, own))
    return await _in_order(app, found)


async def _in_order(app: Connection, some: list[Rule]) -> list[Rule]:
    names = [rule.sql for rule in some]
    refer = {(row[0], row[1]) for row in await app.fetch(_REFERENCES, names)}
    left, ordered = list(some), []
    while left:
        free = (rule for rule in left if not any((other.sql, rule.sql) in refer for other in left))
        following = next(free, left[0])  # tables that refer to one another: in any order
        left.remove(following)
        ordered.append(following)
    return ordered
