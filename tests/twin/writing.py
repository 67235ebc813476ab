"""What statements are written with: constants that can be sent as literals or as parameters, columns in sight, scripts."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from values import CANARY, COMMON, TYPES, Typed, quoted, value
from world import Column, Table, World

_MARK = re.compile("\x01(\\d+)\x02")
NUMBERS = frozenset({"int", "numeric"})


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of a type, to be written into a statement or sent beside it."""

    content: str | None
    typed: Typed
    cast: bool

    def literal(self, style: int) -> str:
        """As text of a statement, in one of the ways to write it."""
        if self.content is None:
            return f"NULL::{self.typed.base}" if self.cast else "NULL"
        if self.typed.family in NUMBERS and style % 2 and "." not in self.content:
            return self.content if not self.content.startswith("-") else f"({self.content})"
        written = quoted(self.content)
        if self.typed.family == "text" and style % 7 == 3:
            escaped = self.content.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
            written = f"E'{escaped}'"
        elif self.typed.family == "text" and style % 7 == 4 and "$" not in self.content:
            written = f"$q${self.content}$q$"
        return f"{written}::{self.typed.base}" if self.cast else written


@dataclass(frozen=True, slots=True)
class Step:
    """One statement. ``ordered``: rows come in one order. ``plain``: only sent as it is, by a simple query.

    ``copied``: what is sent as the data of COPY FROM STDIN.
    """

    text: str
    ordered: bool = False
    plain: bool = False
    copied: str | None = None


@dataclass(slots=True)
class Script:
    """Statements that belong together. ``looks``: tables whose contents are compared afterwards."""

    form: str
    steps: list[Step]
    looks: tuple[str, ...] = ()
    constants: list[Constant] = field(default_factory=list)
    style: int = 0

    def literal(self, step: Step) -> str:
        """A step with its constants written into it."""
        return _MARK.sub(lambda m: self.constants[int(m[1])].literal(self.style + int(m[1])), step.text)

    def lifted(self, step: Step) -> tuple[str, list[Constant]]:
        """A step with parameters, and the constants that they stand for."""
        order: list[int] = []

        def number(match: re.Match[str]) -> str:
            index = int(match[1])
            if index not in order:
                order.append(index)
            constant = self.constants[index]
            return f"${order.index(index) + 1}" + (f"::{constant.typed.base}" if constant.cast else "")

        text = _MARK.sub(number, step.text)
        return text, [self.constants[i] for i in order]


@dataclass(frozen=True, slots=True)
class Ref:
    """A column in sight, by an alias."""

    alias: str
    column: Column

    def __str__(self) -> str:
        return f"{self.alias}.{self.column.name}" if self.alias else self.column.name


class Writer:
    """Makes choices; the same seed makes the same ones."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(f"{world.seed} {seed}")
        self.constants: list[Constant] = []
        self.new_canaries: set[bytes] = set()

    def script(self, form: str, *steps: Step, looks: Sequence[str] = ()) -> Script:
        """A script of the constants made so far."""
        return Script(form, list(steps), tuple(looks), self.constants, self.random.randrange(1000))

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def constant(self, content: str | None, sql: str) -> str:
        """A constant's mark."""
        typed = TYPES[sql]
        self.constants.append(Constant(content, typed, self.chance(0.2) and typed.family != "boolean"))
        return f"\x01{len(self.constants) - 1}\x02"

    def number(self, *choices: int) -> str:
        """A whole number."""
        return self.constant(str(self.random.choice(choices)), "int")

    def string(self, *choices: str) -> str:
        """A text."""
        return self.constant(self.random.choice(choices), "text")

    def like(self, column: Column) -> str:
        """A constant to compare a column with: mostly one of its values."""
        return self.constant(self.content(column), column.typed.sql)

    def content(self, column: Column, *, null: float = 0.1) -> str | None:
        """A value for a column."""
        if self.chance(0.12) and column.domain:
            made = value(self.random, column.typed)
            if CANARY in made.lower():
                self.new_canaries.add(made.encode())
            return made
        found = [v for v in column.pool if v is not None]
        return None if self.chance(null) or not found else self.random.choice(found)

    def fragment(self, column: Column) -> str:
        """Part of a value of a text column."""
        content = self.content(column, null=0) or self.random.choice(COMMON)
        if len(content) < 2 or self.chance(0.2):
            return content
        start = self.random.randrange(len(content) - 1)
        return content[start : start + self.random.randint(1, 8)]

    def table(self, *families: str, protected: bool = False) -> Table:
        """A table or view, with a column of the families, preferably."""
        found = [
            t
            for t in self.world.sources
            if (not families or t.of(*families)) and (not protected or t.protected)
        ]
        return self.random.choice(found or self.world.sources)

    def base(self) -> Table:
        """A table that can be changed."""
        return self.random.choice(self.world.tables)

    def column(self, table: Table, *families: str) -> Column:
        """A column, protected ones preferred."""
        found = table.of(*families) if families else list(table.columns)
        guarded = [c for c in found if c.domain]
        if guarded and self.chance(0.85):
            return self.random.choice(guarded)
        return self.random.choice(found or list(table.columns))

    def ref(self, alias: str, table: Table, *families: str) -> Ref:
        """A column of a table in sight."""
        return Ref(alias, self.column(table, *families))

    def pair(self) -> tuple[Table, Column, Table, Column]:
        """Two columns that can be compared."""
        pairs = [
            (one, a, other, b)
            for one in self.world.sources
            for other in self.world.sources
            for a in one.columns
            for b in other.columns
            if a.domain == b.domain
            and a.family == b.family
            and not a.randomized
            and a.name != "id"
            and b.name != "id"
        ]
        guarded = [p for p in pairs if p[1].domain and p[0].name != p[2].name] or pairs
        return self.random.choice(guarded if self.chance(0.9) else pairs)

    def some(self, table: Table, least: int = 1, most: int = 3) -> list[Column]:
        """Several columns of a table."""
        columns = [c for c in table.columns if c.name != "id"]
        return self.random.sample(columns, min(len(columns), self.random.randint(least, most)))
