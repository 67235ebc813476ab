"""Queries within queries at random, of expressions by type; they need not make sense, or be accepted."""

from __future__ import annotations

from world import Column
from writing import Script, Step, Writer

_FAMILIES = ("text", "text", "date", "int", "timestamp", "numeric", "uuid", "char", "jsonb")
_COMMON = {
    "text": "text",
    "date": "date",
    "int": "int",
    "timestamp": "timestamp",
    "numeric": "numeric(8,2)",
    "uuid": "uuid",
    "char": "char(5)",
    "jsonb": "jsonb",
}

Level = dict[str, list[tuple[str, str]]]  # alias -> columns: (name, family)


def nested(w: Writer) -> Script:
    """A query of subqueries, joins and set operations."""
    text, _ = _Nest(w).query(2)
    return w.script("nested at random", Step(text))


class _Nest:
    def __init__(self, w: Writer) -> None:
        self.w = w
        self.scope: list[Level] = []
        self.names = 0

    def alias(self) -> str:
        self.names += 1
        return f"a{self.names}"

    def family(self) -> str:
        return self.w.pick(*_FAMILIES)

    def column(self, family: str) -> str | None:
        found = [
            f"{a}.{n}"
            for level in self.scope[-2:]
            for a, columns in level.items()
            for n, f in columns
            if f == family
        ]
        return self.w.random.choice(found) if found else None

    def constant(self, family: str) -> str:
        w = self.w
        found: list[Column] = [c for t in w.world.tables for c in t.of(family)]
        contents = [
            v for c in found for v in c.pool if v is not None and "zq" not in v.lower() and not c.randomized
        ]
        content = w.random.choice(contents) if contents and w.chance(0.9) else None
        return w.constant(content, _COMMON[family])

    def value(self, family: str, depth: int) -> str:
        w = self.w
        column = self.column(family)
        if column is not None and (depth <= 0 or w.chance(0.6)):
            return column
        if depth <= 0 or w.chance(0.35):
            return self.constant(family)
        one, two = self.value(family, depth - 1), self.value(family, depth - 1)
        forms = [
            f"COALESCE({one}, {two})",
            f"CASE WHEN {self.condition(depth - 1)} THEN {one} ELSE {two} END",
            f"NULLIF({one}, {two})",
            f"CASE {one} WHEN {two} THEN {two} ELSE {one} END",
            f"({self.single(family, depth - 1)})",
        ]
        if family == "text":
            other = self.value(self.family(), depth - 1)
            forms += [
                f"({one} || {two})",
                f"({one} || ' ' || {two})",
                f"concat({one}, '-', {other})",
                f"concat_ws(',', {one}, {two})",
                f"format('%s <%s>', {one}, {other})",
                f"({other})::text",
                f"lower({one})",
                f'{one} COLLATE "C"',
                f"substr({one}, 2)",
            ]
        return w.random.choice(forms)

    def condition(self, depth: int) -> str:
        w = self.w
        family = self.family()
        one, two, three = (self.value(family, depth - 1) for _ in range(3))
        if depth > 0 and w.chance(0.2):
            return f"({self.condition(depth - 1)} {w.pick('AND', 'OR')} {self.condition(depth - 1)})"
        forms = [
            f"{one} = {two}",
            f"{one} <> {two}",
            f"{one} IN ({two}, {three})",
            f"{one} NOT IN ({two}, {three})",
            f"{one} IS NULL",
            f"{one} IS NOT NULL",
            f"{one} IS DISTINCT FROM {two}",
            f"{one} = ANY (ARRAY[{two}, {three}])",
            f"({one}, {two}) = ({two}, {three})",
            f"NOT ({one} = {two})",
            f"({one} = {two}) IS NOT TRUE",
            f"{one} < {two}",
            f"{one} BETWEEN {two} AND {three}",
        ]
        if family == "text":
            forms += [
                f"{one} LIKE {w.string('%a%', 'x%', '')}",
                f"lower({one}) = {w.string('ada', 'x')}",
                f"length({one}) > {w.number(0, 3)}",
            ]
        if depth > 0:
            inner, _ = self.query(depth - 1, [family])
            forms += [
                f"{one} IN ({inner})",
                f"{one} NOT IN ({inner})",
                f"EXISTS ({inner})",
                f"{one} = ALL ({inner})",
            ]
        return w.random.choice(forms)

    def source(self, depth: int, level: Level) -> str:
        w = self.w
        alias = self.alias()
        if depth > 0 and w.chance(0.25):
            if w.chance(0.3):
                family = self.family()
                rows = ", ".join(f"({i}, {self.constant(family)})" for i in range(w.random.randint(1, 3)))
                level[alias] = [("n", "int"), ("c", family)]
                return f"(VALUES {rows}) AS {alias} (n, c)"
            inner, columns = self.query(depth - 1)
            level[alias] = columns
            return f"({inner}) AS {alias}"
        table = w.random.choice(w.world.sources)
        level[alias] = [(c.name, c.family) for c in table.columns]
        return f"{table.name} AS {alias}"

    def single(self, family: str, depth: int) -> str:
        """A subquery of one row at most."""
        w = self.w
        table = w.random.choice(w.world.tables)
        alias = self.alias()
        self.scope.append({alias: [(c.name, c.family) for c in table.columns]})
        try:
            where = f" WHERE {self.condition(depth)}" if w.chance(0.5) else ""
            shown = self.column(family) or self.constant(family)
            return f"SELECT {shown} FROM {table.name} AS {alias}{where} ORDER BY {alias}.id LIMIT 1"
        finally:
            self.scope.pop()

    def query(self, depth: int, families: list[str] | None = None) -> tuple[str, list[tuple[str, str]]]:
        """(text, its columns). ``families``: of the columns, if they are given."""
        w = self.w
        if depth > 0 and w.chance(0.12):
            families = families or [self.family() for _ in range(w.random.randint(1, 2))]
            left, columns = self.query(depth - 1, families)
            right, _ = self.query(depth - 1, families)
            return (
                f"({left}) {w.pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL')} ({right})",
                columns,
            )
        level: Level = {}
        text = self.source(depth, level)
        self.scope.append(level)
        try:
            if w.chance(0.4):
                joined = self.source(depth - 1, level)
                kind = w.pick("JOIN", "LEFT JOIN", "CROSS JOIN")
                text += f" {kind} {joined}" + ("" if kind == "CROSS JOIN" else f" ON {self.condition(0)}")
            return self._select(text, depth, families)
        finally:
            self.scope.pop()

    def _select(
        self, sources: str, depth: int, families: list[str] | None
    ) -> tuple[str, list[tuple[str, str]]]:
        w = self.w
        where = f" WHERE {self.condition(depth)}" if w.chance(0.5) else ""
        chosen = families or [self.family() for _ in range(w.random.randint(1, 3))]
        values = [self.value(f, depth) for f in chosen]
        columns = [(f"c{i}", f) for i, f in enumerate(chosen, 1)]
        listed = ", ".join(f"{v} AS c{i}" for i, v in enumerate(values, 1))
        tail = ""
        if families is None and w.chance(0.3):
            tail = (
                " GROUP BY "
                + ", ".join(str(i) for i in range(1, len(values) + 1))
                + w.pick("", "", " HAVING count(*) > 1")
            )
            listed += f", {w.pick('count(*)', f'count(DISTINCT {values[-1]})')} AS k"
            columns.append(("k", "int"))
        elif w.chance(0.2):
            listed = "DISTINCT " + listed
        return f"SELECT {listed} FROM {sources}{where}{tail}", columns
