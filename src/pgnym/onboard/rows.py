"""Rows from plaintext to tokens and back, in batches of one transaction.

Values come out as results and go in as COPY data into a temporary table: neither is ever part of a statement or a
parameter, so a server that logs all statements logs no value. Tokens reach the rows by one UPDATE per batch, joined by
physical row address (ctid); a cursor opened before sees the rows as they were, so that none is met twice.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.minting import Cell, Mint, within
from pgnym.onboard.model import Connection, Progress, Report, Row, Stage, Tokens, quoted
from pgnym.vault.tokens import TOKEN_PATTERN

BATCH = 5000  # rows; one vault round trip, some hundred milliseconds of work
SCRATCH = "pgnym_batch"
CURSORS = itertools.count(1)

# Only the nested loop over row addresses is wanted: a hash join would read the whole table once per batch.
JOIN_SETTINGS = ("enable_hashjoin", "enable_mergejoin", "enable_material", "jit")
# What COPY's text format escapes (PostgreSQL documentation, COPY, "Text Format").
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})

Columns = Sequence[Sequence[str | None]]
Convert = Callable[[Columns], Awaitable[Columns]]


async def preload(
    app: Connection, leaf: str, cells: Sequence[Cell], mint: Mint, tick: Callable[[int], None]
) -> None:
    """Put the values of the deterministic columns into the vault before the table is locked; changes no row."""
    cells = [found for c in cells if (found := deterministic(c)) is not None]
    if not cells:
        return
    query = f"SELECT {', '.join(c.read for c in cells)} FROM ONLY {leaf}"  # noqa: S608 - quoted names
    async for rows in batches(app, query):
        await mint.tokens(cells, list(zip(*rows, strict=True)))
        tick(len(rows))


def deterministic(cell: Cell) -> Cell | None:
    """The cell, less what gets a random token, which is made when it is needed."""
    if not cell.leaves:
        return None if cell.randomized else cell
    kept = [(p, c) for p, c in zip(cell.paths, cell.leaves, strict=True) if not c.randomized]
    return replace(cell, paths=tuple(p for p, _ in kept), leaves=tuple(c for _, c in kept)) if kept else None


async def tokenize(
    app: Connection, leaf: str, cells: Sequence[Cell], mint: Mint, tick: Callable[[int], None]
) -> None:
    """Replace the values of one relation's rows by tokens; each value is in the vault before its token is in the row."""

    async def convert(columns: Columns) -> Columns:
        return await mint.tokens(cells, columns)

    await change(app, leaf, cells, convert, tick)


async def reveal(
    app: Connection, leaf: str, cells: Sequence[Cell], tenants: Sequence[Tokens], tick: Callable[[int], None]
) -> None:
    """Replace the tokens of one relation's rows by their values. OnboardError if one doesn't open."""

    async def convert(columns: Columns) -> Columns:
        wanted = {t for cell, column in zip(cells, columns, strict=True) for t in tokens_in(cell, column)}
        values = await opened(wanted, tenants)
        if len(values) < len(wanted):
            text = f"{leaf}: {len(wanted) - len(values)} tokens have no value in the vault"
            raise OnboardError(text, "is this the right vault? Rows of erased subjects must be deleted first")
        return [
            [restored(cell, value, values) if value else value for value in column]
            for cell, column in zip(cells, columns, strict=True)
        ]

    await change(app, leaf, cells, convert, tick)


def tokens_in(cell: Cell, column: Sequence[str | None]) -> Iterator[bytes]:
    """All tokens of the cell's domain in the values of a column."""
    for value in column:
        if value and not cell.nested:
            yield value.encode()
        elif value:
            found: list[bytes] = []

            def each(of: Cell, part: bytes, found: list[bytes] = found) -> bytes:
                if TOKEN_PATTERN.fullmatch(part) and part.startswith(of.prefix):
                    found.append(part)
                return part

            within(cell, value, each)
            yield from found


def restored(cell: Cell, value: str, values: Mapping[bytes, bytes]) -> str:
    """What stood in a column before its tokens."""
    if not cell.nested:
        return values[value.encode()].decode()
    return within(cell, value, lambda _, part: values.get(part, part))


async def opened(tokens: set[bytes], tenants: Sequence[Tokens]) -> dict[bytes, bytes]:
    """The values of tokens, whichever tenant they belong to."""
    values: dict[bytes, bytes] = {}
    missing = tokens
    for tenant in tenants:
        if missing:
            values.update(await tenant.get(list(missing)))
            missing = missing - values.keys()
    return values


async def change(
    app: Connection, leaf: str, cells: Sequence[Cell], convert: Convert, tick: Callable[[int], None]
) -> None:
    """Read all rows, convert them batch by batch, write them back."""
    scratch = await Scratch.make(app, leaf, cells)
    something = " OR ".join(f"{c.read} <> ''" for c in cells)
    reads = ", ".join(c.read for c in cells)
    query = f"SELECT ctid::text, {reads} FROM ONLY {leaf} WHERE {something}"  # noqa: S608 - quoted names
    async for rows in batches(app, query):
        addresses, *columns = zip(*rows, strict=True)
        await scratch.write(addresses, await convert(columns))
        tick(len(rows))
    await scratch.drop()


@dataclass(frozen=True, slots=True)
class Scratch:
    """The temporary table by which new values reach the rows of a relation, and the UPDATE that takes them over."""

    app: Connection
    leaf: str
    update: str

    @classmethod
    async def make(cls, app: Connection, leaf: str, cells: Sequence[Cell]) -> Scratch:
        """One for some columns, until the end of the transaction at the latest."""
        for setting in JOIN_SETTINGS:
            await app.execute(f"SET LOCAL {setting} = off")
        names = [f"v{i}" for i in range(len(cells))]
        fields = ", ".join(f"{name} text" for name in names)
        await app.execute(f"CREATE TEMPORARY TABLE {SCRATCH} (tid tid, {fields}) ON COMMIT DROP")
        assignments = ", ".join(
            f"{quoted(c.name)} = "
            + (f"coalesce(b.{v}{c.cast}, t.{quoted(c.name)})" if c.keep else f"b.{v}{c.cast}")
            for c, v in zip(cells, names, strict=True)
        )
        update = f"UPDATE ONLY {leaf} t SET {assignments} FROM pg_temp.{SCRATCH} b WHERE t.ctid = b.tid"  # noqa: S608
        return cls(app, leaf, update)

    async def write(self, addresses: Sequence[str | None], columns: Columns) -> None:
        """Give the rows at these addresses new values. Raises ``OnboardError`` if some aren't there."""
        await self.app.execute(f"TRUNCATE pg_temp.{SCRATCH}")
        data = lines([addresses, *columns])
        await self.app.copy_to_table(SCRATCH, schema_name="pg_temp", source=io.BytesIO(data))
        done = await self.app.execute(self.update)
        if done != f"UPDATE {len(addresses)}":
            raise OnboardError(f"{self.leaf}: {len(addresses)} rows were to change, the server said {done}")

    async def drop(self) -> None:
        """No more rows of this relation."""
        await self.app.execute(f"DROP TABLE pg_temp.{SCRATCH}")


def lines(columns: Columns) -> bytes:
    """COPY data in text format."""
    filled = [["\\N" if v is None else v.translate(ESCAPES) for v in column] for column in columns]
    return ("\n".join(map("\t".join, zip(*filled, strict=True))) + "\n").encode()


async def batches(app: Connection, query: str) -> AsyncIterator[list[Row]]:
    """The result of a query in batches, through a cursor that sees the rows as they were when it was opened.

    Each has a name of its own: the driver keeps prepared statements by their text, and with them the result's types.
    """
    cursor = f"pgnym_rows_{next(CURSORS)}"
    await app.execute(f"DECLARE {cursor} NO SCROLL CURSOR FOR {query}")
    while rows := await app.fetch(f"FETCH {BATCH} FROM {cursor}"):
        yield rows
    await app.execute(f"CLOSE {cursor}")


def ticker(report: Report, stage: Stage, table: str, total: int) -> Callable[[int], None]:
    """A counter of one table's rows over all its partitions."""
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        report(Progress(stage, table, done, max(total, done)))

    return tick
