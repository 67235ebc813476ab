"""A schema at random: tables with columns of any type, protected or not, in shared domains or their own, and rows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from values import PATHS, TYPES, Typed, quoted, value

_NAMES = (
    "email",
    "name",
    "note",
    "kind",
    "score",
    "born",
    "seen",
    "code",
    '"E-Mail"',
    '"Mixed Case"',
    "mark",
    "size",
    "tag",
)
_UNORDERED = ("document", "texts", "ints", "jsonb", "boolean")
_TEXTUAL = ("text", "varchar(40)", "varchar(12)", "varchar")


@dataclass(frozen=True, slots=True)
class Column:
    """``domain``: of a protected column. ``pool``: the values that its rows are made of."""

    name: str
    typed: Typed
    domain: str | None = None
    randomized: bool = False
    unique: bool = False
    pool: tuple[str | None, ...] = ()

    def options(self, *, ordered: bool = False) -> dict[str, object]:
        """Its options in the configuration, if it is protected. ``ordered``: its domain has an order index."""
        if self.family == "document":
            return {"paths": {path: {"domain": f"{self.domain}_{path[0]}"} for path in PATHS}}
        options: dict[str, object] = {"domain": self.domain}
        if self.randomized:
            options["tokens"] = "randomized"
        if self.family == "citext":
            options["normalize"] = "casefold"
        if ordered:
            options["search"] = ["equality", "order"]
        return options

    @property
    def family(self) -> str:
        """What can be done with it."""
        return self.typed.family

    @property
    def stored_name(self) -> str:
        """The name without its quotes."""
        return self.name.strip('"')


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or a view where ``view`` is its definition. Its first column is the key ``id``."""

    name: str
    columns: tuple[Column, ...]
    view: str = ""
    rows: tuple[tuple[str | None, ...], ...] = ()

    def of(self, *families: str) -> list[Column]:
        """The columns of these families."""
        return [c for c in self.columns if c.family in families]

    @property
    def protected(self) -> list[Column]:
        """The protected columns."""
        return [c for c in self.columns if c.domain]


@dataclass
class World:
    """The tables of a run."""

    seed: int
    tables: list[Table] = field(default_factory=list)
    views: list[Table] = field(default_factory=list)

    @property
    def sources(self) -> list[Table]:
        """What can be selected from."""
        return [*self.tables, *self.tables, *self.views]

    def schema(self) -> str:
        """The statements that make it, with rows."""
        parts = ["CREATE EXTENSION IF NOT EXISTS citext"]
        for table in self.tables:
            columns = ", ".join(
                f"{c.name} {c.typed.sql}" + (" PRIMARY KEY" if c.name == "id" else "") for c in table.columns
            )
            parts.append(f"CREATE TABLE {table.name} ({columns})")
            for number, column in enumerate(table.columns):
                if column.unique:
                    parts.append(f"CREATE UNIQUE INDEX {table.name}_{number} ON {table.name} ({column.name})")
            listed = ", ".join(f"({', '.join(map(quoted, row))})" for row in table.rows)
            parts.append(f"INSERT INTO {table.name} VALUES {listed}")
        parts += [f"CREATE VIEW {v.name} AS {v.view}" for v in self.views]
        return ";\n".join(parts) + ";"

    def protection(self) -> dict[str, object]:
        """``tables`` of the configuration."""
        ordered = self.ordered()
        return {
            f"public.{t.name}": {
                "columns": {c.stored_name: c.options(ordered=c.domain in ordered) for c in t.protected}
            }
            for t in self.tables
            if t.protected
        }

    def ordered(self) -> frozenset[str]:
        """Half of the domains that can have an order index: of whole columns of one type, not randomized."""
        columns: dict[str, list[Column]] = {}
        for column in (c for t in self.tables for c in t.protected):
            columns.setdefault(column.domain or "", []).append(column)
        return frozenset(
            domain
            for domain, found in sorted(columns.items())
            if len({"text" if c.family == "text" else c.typed.base for c in found}) == 1
            and not any(c.randomized or c.family in _UNORDERED for c in found)
            and random.Random(f"order {self.seed} {domain}").random() < 0.5
        )

    def secrets(self) -> set[bytes]:
        """The canaries among the values of protected columns."""
        return {v.encode() for t in self.tables for c in t.protected for v in c.pool if v}


def make_world(seed: int) -> World:
    """The same seed makes the same world."""
    rng = random.Random(f"world {seed}")
    world = World(seed)
    shared: dict[str, tuple[str, tuple[str | None, ...]]] = {}
    for number in range(3):
        world.tables.append(_table(rng, f"t{number}", shared))
    for number, table in enumerate(world.tables[:2]):
        kept = table.columns[: rng.randint(3, len(table.columns))]
        listed = ", ".join(c.name for c in kept)
        where = rng.choice(("", " WHERE id > 2", f" WHERE {kept[-1].name} IS NOT NULL"))
        columns = tuple(Column(c.name, c.typed, c.domain, c.randomized, pool=c.pool) for c in kept)
        world.views.append(Table(f"v{number}", columns, f"SELECT {listed} FROM {table.name}{where}"))
    return world


def _table(rng: random.Random, name: str, shared: dict[str, tuple[str, tuple[str | None, ...]]]) -> Table:
    columns = [Column("id", TYPES["int"], pool=tuple(map(str, range(1, 13))))]
    types = [*rng.sample(_TEXTUAL, 2), *rng.sample(list(TYPES), rng.randint(4, 6)), "int"]
    for column_name, sql in zip(rng.sample(_NAMES, len(types)), types, strict=True):
        columns.append(_column(rng, name, column_name, TYPES[sql], shared))
    rows: list[tuple[str | None, ...]] = []
    taken: dict[str, set[str | None]] = {c.name: set() for c in columns if c.unique}
    for key in range(1, rng.randint(9, 12)):
        row: list[str | None] = [str(key)]
        for column in columns[1:]:
            chosen = rng.choice(column.pool)
            if column.unique:
                chosen = None if chosen in taken[column.name] else chosen
                taken[column.name].add(chosen)
            row.append(chosen)
        rows.append(tuple(row))
    return Table(name, tuple(columns), rows=tuple(rows))


def _column(
    rng: random.Random,
    table: str,
    name: str,
    typed: Typed,
    shared: dict[str, tuple[str, tuple[str | None, ...]]],
) -> Column:
    pool: tuple[str | None, ...] = (*dict.fromkeys(value(rng, typed) for _ in range(9)), None)
    if typed.family == "boolean" or rng.random() < 0.25:
        return Column(name, typed, pool=_open(rng, typed, pool))
    if rng.random() < 0.12 and typed.family not in ("texts", "ints", "document", "citext"):
        return Column(
            name, typed, f"{table}_{name.strip(chr(34))}".replace(" ", "_"), randomized=True, pool=pool
        )
    unique = rng.random() < 0.25 and typed.family in ("text", "date", "int", "uuid")
    domain = f"{table}_{name.strip(chr(34))}".replace(" ", "_").replace("-", "_").lower()
    if rng.random() < 0.7:
        group = {"smallint": "int", "bigint": "int"}.get(
            typed.base, typed.family if typed.family in ("text", "document") else typed.base
        )
        domain, pool_of_all = shared.setdefault(group, (f"shared_{typed.family}_{typed.oid}", pool))
        fits = [v for v in pool_of_all if v is None or not typed.size or len(v) <= typed.size]
        pool = tuple(dict.fromkeys([*fits, *rng.sample(pool, min(3, len(pool))), None]))
    return Column(name, typed, domain, unique=unique, pool=pool)


def _open(rng: random.Random, typed: Typed, pool: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """The pool of a column that isn't protected: without canaries."""
    if typed.family == "text":
        return ("", "x", "Ada", "open", "zürich", "it's", None)
    if typed.family == "citext":
        return ("", "x", "ada", "open", "it's", None)
    return tuple(v for v in pool if v is None or ("zq" not in v and "7a71" not in v)) or (None,)
