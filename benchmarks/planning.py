"""What planning costs: the planner alone, in this process, without a server.

    python benchmarks/planning.py        # a minute; also part of ``make bench``

Three prices of one statement: its very text has been planned before; its shape has, with other constants; nothing has. And
what the caches hold after a flood of texts that are all different.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pgnym.gateway.engine import Engine
from pgnym.sql.catalog import Catalog, Column, Protection, Relation, Type
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner

SCOPE = SessionScope(("pg_catalog", "public"), "app", {}, {})
TABLES = 60
COLUMNS = 50
FLOOD = 100_000
_INT4, _TEXT = 23, 25


def catalog() -> Catalog:
    """60 tables of 50 columns, five of each protected, and 10 without protection."""
    relations = [_table(number, protected=number < TABLES) for number in range(TABLES + 10)]
    types = [Type(_INT4, "pg_catalog", "int4", "N", 0, 1007), Type(_TEXT, "pg_catalog", "text", "S", 0, 1009)]
    return Catalog(
        1,
        {(r.schema, r.name): r for r in relations},
        {r.oid: r for r in relations},
        {t.oid: t for t in types},
    )


def _table(number: int, *, protected: bool) -> Relation:
    columns = [Column("id", 1, _INT4, -1)]
    for at in range(2, COLUMNS + 1):
        guard = None
        if protected and at <= 6:
            domain = "mail" if at == 2 else f"t{number}.c{at}"
            prefix = b"pn1" + bytes((97 + at % 26, 97 + number % 26, 97 + number // 26))
            guard = Protection(
                f"public.t{number}.c{at}",
                domain,
                prefix if at != 2 else b"pn1zzz",
                False,
                _TEXT,
                -1,
                _TEXT,
                _TEXT,
            )
        columns.append(Column(f"c{at}", at, _TEXT, -1, guard))
    return Relation(10_000 + number, "public", f"t{number}", "r", tuple(columns))


@dataclass(frozen=True, slots=True)
class Statement:
    """``make(n)``: the ``n``-th text of one shape."""

    title: str
    make: Callable[[int], str]


def _joins(n: int) -> str:
    tables = " ".join(f"JOIN t{i} ON t{i}.c2 = t0.c2 AND t{i}.id = t{i - 1}.id" for i in range(1, 11))
    columns = ", ".join(f"t{i % 11}.c{i % 49 + 2}" for i in range(50))
    return (
        f"SELECT {columns} FROM t0 {tables} WHERE t0.c2 = 'm{n}@x.org' AND t3.c7 = 'p{n}' LIMIT {n % 90 + 10}"
    )


def _list(n: int) -> str:
    return "SELECT id, c2 FROM t0 WHERE c2 IN (" + ", ".join(f"'{n}-{i}@x.org'" for i in range(1000)) + ")"


def _rows(n: int) -> str:
    rows = ", ".join(f"({n + i}, '{n}-{i}@x.org', 'name {i}')" for i in range(5000))
    return f"INSERT INTO t0 (id, c2, c7) VALUES {rows}"


STATEMENTS = (
    Statement("point select, unprotected", lambda n: f"SELECT c2, c3 FROM t65 WHERE id = {n}"),
    Statement("point select, protected columns", lambda n: f"SELECT c2, c3 FROM t1 WHERE id = {n}"),
    Statement("search by a protected column", lambda n: f"SELECT id, c3 FROM t1 WHERE c2 = 'm{n}@x.org'"),
    Statement(
        "insert of a row, 2 protected",
        lambda n: f"INSERT INTO t1 (id, c2, c3) VALUES ({n}, 'm{n}@x', 'n{n}')",
    ),
    Statement("50 columns, 10 joins", _joins),
    Statement("1,000 values IN", _list),
    Statement("5,000 rows INSERT", _rows),
)


@dataclass(frozen=True, slots=True)
class Price:
    """Microseconds for one statement, medians. ``size``: bytes of its text; ``mention``: the test whether it concerns us."""

    title: str
    size: int
    mention: float
    exact: float
    shape: float
    uncached: float


@dataclass(frozen=True, slots=True)
class Flood:
    """What was held after ``texts`` different ones: by the planner's own count, and what the process has grown by."""

    kind: str
    texts: int
    entries: int
    counted_mb: float
    grown_mb: float


def prices(seconds: float = 0.3) -> list[Price]:
    """Measure every statement, each price for about ``seconds``."""
    known = catalog()
    engine = Engine(known)
    found = []
    for statement in STATEMENTS:
        first = statement.make(1).encode()
        planner = Planner(known)
        planner.plan(first, (), SCOPE)
        texts = [statement.make(n).encode() for n in range(2, 2 + max(3, min(2000, 4_000_000 // len(first))))]
        mention = _time(partial(engine.concerns, first), seconds / 3)
        exact = _time(partial(planner.plan, first, (), SCOPE), seconds)
        shape = _time_each(texts, planner, seconds)
        uncached = _time_anew(known, first, seconds)
        found.append(Price(statement.title, len(first), mention, exact, shape, uncached))
    return found


def _time(action: Callable[[], object], seconds: float) -> float:
    """The median of single runs, in microseconds."""
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples) < 3:
        before = time.perf_counter()
        action()
        samples.append(time.perf_counter() - before)
    return statistics.median(samples) * 1e6


def _time_anew(known: Catalog, text: bytes, seconds: float) -> float:
    """The median over planners that know nothing yet. Of processor time: others may be busy."""
    samples: list[float] = []
    end = time.perf_counter() + seconds * 3
    while time.perf_counter() < end or len(samples) < 3:
        planner = Planner(known)
        before = time.thread_time()
        planner.plan(text, (), SCOPE)
        samples.append(time.thread_time() - before)
    return statistics.median(samples) * 1e6


def _time_each(texts: Sequence[bytes], planner: Planner, seconds: float) -> float:
    """The median over texts of one shape that the planner has not seen as such."""
    samples: list[float] = []
    end = time.perf_counter() + seconds * 3
    for text in texts:
        before = time.thread_time()
        planner.plan(text, (), SCOPE)
        samples.append(time.thread_time() - before)
        if time.perf_counter() > end and len(samples) >= 3:
            break
    return statistics.median(samples) * 1e6


def floods(texts: int = FLOOD) -> list[Flood]:
    """Plan ``texts`` different ones: of one shape, and each of a shape of its own."""
    return [
        _flood(
            "one shape, other constants", texts, lambda n: f"SELECT id, c3 FROM t1 WHERE c2 = 'm{n}@x.org'"
        ),
        _flood(
            "each a shape of its own", texts, lambda n: f"SELECT id AS a{n}, c3 FROM t1 WHERE c2 = 'm{n}@x'"
        ),
        _flood(
            "each 8 kB and a shape of its own",
            max(texts // 100, 1),
            lambda n: (
                f"SELECT id AS a{n}, c3 FROM t1 WHERE c7 = 'p' OR c7 IN ({', '.join(['id::text'] * 800)})"
            ),
        ),
    ]


def _flood(kind: str, texts: int, make: Callable[[int], str]) -> Flood:
    """In a process of its own, so that its memory is that of the flood alone."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_flooded, args=(there, texts, make))
    child.start()
    entries, counted, grown = here.recv()
    child.join()
    return Flood(kind, texts, entries, counted, grown)


def _flooded(pipe: Any, texts: int, make: Callable[[int], str]) -> None:
    planner = Planner(catalog())
    for n in range(20):
        planner.plan(make(-n - 1).replace("-", "_").encode(), (), SCOPE)
    gc.collect()
    before = _resident()
    for n in range(texts):
        planner.plan(make(n).encode(), (), SCOPE)
    gc.collect()
    entries, held = planner.cached
    pipe.send((entries, held / 2**20, _resident() - before))


def _resident() -> float:
    """Megabytes of this process in memory (Linux); elsewhere the most it has ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def show(found: Sequence[Price], flooded: Sequence[Flood], console: Console) -> None:
    """Print both tables."""
    table = Table(title="planning, µs per statement (median, this process alone)", title_justify="left")
    for name in ("statement", "bytes", "mention test", "same text", "same shape", "first time"):
        table.add_column(name, justify="left" if name == "statement" else "right")
    for price in found:
        table.add_row(
            price.title,
            f"{price.size:,}",
            *(f"{value:,.1f}" for value in (price.mention, price.exact, price.shape, price.uncached)),
        )
    console.print(table)
    table = Table(title="what the plan caches hold after a flood of texts, MB", title_justify="left")
    for name in ("texts", "number", "entries", "own count", "process has grown by"):
        table.add_column(name, justify="left" if name == "texts" else "right")
    for flood in flooded:
        sizes = (f"{value:,.1f}" for value in (flood.counted_mb, flood.grown_mb))
        table.add_row(flood.kind, f"{flood.texts:,}", f"{flood.entries:,}", *sizes)
    console.print(table)


def measured(*, quick: bool) -> tuple[list[Price], list[Flood]]:
    """Both measurements; ``quick``: a tenth of the flood."""
    # The floods first: memory that this process has given up would be what they grow into.
    flooded = floods(FLOOD // 10 if quick else FLOOD)
    return prices(0.1 if quick else 0.3), flooded


def as_data(found: Sequence[Price], flooded: Sequence[Flood]) -> dict[str, object]:
    """For the JSON of results."""
    return {"prices": [asdict(p) for p in found], "floods": [asdict(f) for f in flooded]}


if __name__ == "__main__":
    results = measured(quick="--quick" in sys.argv)
    show(*results, Console(width=None if sys.stdout.isatty() else 150))
    if "--json" in sys.argv:
        print(json.dumps(as_data(*results), indent=1))
