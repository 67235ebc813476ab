"""Data subjects: which rows of which tables are theirs, by the configuration."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.config import Config, ConfigError
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import NAMED, Holder, quoted

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

# By the catalog, not by to_regclass(): the gateway's login needs no right to the schema for it.
_COLUMNS = f"""
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {NAMED} = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Place:
    """A table with rows of the subject: those whose ``subject`` column is its ID. ``holders``: its protected columns."""

    label: str
    subject: str
    subject_type: str
    delete: bool
    columns: tuple[str, ...]
    holders: tuple[Holder, ...]

    @property
    def sql(self) -> str:
        """The table as SQL."""
        return ".".join(map(quoted, self.label.split(".")))

    @property
    def where(self) -> str:
        """The condition for rows of the subject whose ID is ``$1``; an index on the column serves it."""
        return f"{quoted(self.subject)} = $1::text::{self.subject_type}"


def root(config: Config, table: str | None) -> str:
    """The subject's own table: the one named, or the only one there is. Raises ConfigError."""
    own = config.subject_tables()
    if table is not None:
        if table not in own:
            raise ConfigError(
                "--table",
                f"{table} is not the table of a data subject",
                f"there are: {', '.join(own)}" if own else "say tables.TABLE.subject in the configuration",
            )
        return table
    if len(own) != 1:
        hint = f"give one of: {', '.join(own)}" if own else "say tables.TABLE.subject in the configuration"
        raise ConfigError("--table", "which table's subject?" if own else "no table has a subject", hint)
    return own[0]


async def places(app: Connection, config: Config, table: str, everywhere: Sequence[Holder]) -> list[Place]:
    """All tables with rows of subjects of ``table``, that one first. Raises PrivacyError where one isn't as configured."""
    labels = [table, *(name for name, t in config.tables.items() if t.subject_table == table)]
    found = []
    for label in labels:
        options = config.tables[label]
        subject = options.subject or ""
        sql = ".".join(map(quoted, label.split(".")))
        types = {row[0]: row[1] for row in await app.fetch(_COLUMNS, sql)}
        if subject not in types:
            raise PrivacyError(
                f"tables.{label}.subject: there is no column {label}.{subject}", hint="Run `pgnym plan`."
            )
        own = tuple(holder for holder in everywhere if holder.label == label)
        missing = set(options.columns) - {holder.column for holder in own}
        if missing:
            raise PrivacyError(
                f"{label}.{min(missing)} is configured, but not protected yet", hint="Run `pgnym apply`."
            )
        found.append(Place(label, subject, types[subject], options.on_erase == "delete", tuple(types), own))
    return found


async def state_of(app: Connection, places: Sequence[Place], subject: str) -> str:
    """A digest of all rows of a subject as they are stored: another once one of them has changed. Says nothing of values."""
    found = hashlib.sha256()
    for place in places:
        columns = ", ".join(f"pg_catalog.to_json({quoted(name)})::text" for name in place.columns)
        async with app.transaction():
            await app.execute("SET LOCAL TimeZone = 'UTC'")
            query = f"SELECT {columns} FROM {place.sql} WHERE {place.where}"  # noqa: S608 - quoted
            rows = [row_digest(row) async for row in app.cursor(query, subject, prefetch=200)]
        add_table(found, place.label, rows)
    return found.hexdigest()[:32]


def row_digest(cells: Iterable[str | None]) -> bytes:
    """Of a row: of what ``to_json`` shows of each column."""
    return hashlib.sha256(repr(tuple(cells)).encode()).digest()


def add_table(found: hashlib._Hash, label: str, rows: Iterable[bytes]) -> None:
    """Add a table's rows, in whatever order they came, to a digest."""
    found.update(f"{label}\n".encode())
    for row in sorted(rows):
        found.update(row)


async def tokens_of(
    app: Connection, place: Place, subject: str, *, lock: bool = False
) -> tuple[int, set[bytes]]:
    """How many rows of a table are the subject's, and the tokens in their protected columns. ``lock``: FOR UPDATE."""
    columns = ", ".join(["1", *(f"{quoted(holder.column)}::text" for holder in place.holders)])
    rows = await app.fetch(
        f"SELECT {columns} FROM {place.sql} WHERE {place.where}" + (" FOR UPDATE" if lock else ""),  # noqa: S608 - quoted
        subject,
    )
    return len(rows), {
        token for row in rows for token in found_tokens(zip(place.holders, list(row)[1:], strict=True))
    }


def found_tokens(cells: Iterable[tuple[Holder, str | None]]) -> set[bytes]:
    """The tokens in columns' contents."""
    tokens: set[bytes] = set()
    for holder, content in cells:
        if content:
            tokens.update(token.encode("ascii") for token in re.findall(holder.pattern, content))
    return tokens
