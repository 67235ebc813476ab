"""Statements made at random over two protected tables and a plain one: queries, data changes, and what they are made of.

What is made need not make sense, or be accepted: plain PostgreSQL says what it is worth.
"""

from __future__ import annotations

import random

TABLES = """
CREATE TABLE person (id int PRIMARY KEY, email text, name varchar(12), born date, score int, money numeric(8,2),
  seen timestamptz, code char(5), doc jsonb, uid uuid, note text, city text, rank int);
CREATE UNIQUE INDEX person_email ON person (email);
CREATE TABLE visit (id int, person_id int, email varchar(40), day date, score bigint, place text, at timestamp);
CREATE TABLE town (id int, name text, country char(2), since date, size numeric);
CREATE VIEW card AS SELECT p.id, p.email, p.name || ' <' || p.email || '>' AS line, p.born, p.city FROM person p;
CREATE VIEW busy AS SELECT email, count(*) AS n, min(id) AS id FROM visit GROUP BY email;
INSERT INTO person VALUES
  (1, 'ada@x.org', 'Ada', '1815-12-10', 7, 1.50, '2001-02-03 04:05:06+00', 'AB', '{"a": 1}',
   '00000000-0000-4000-8000-000000000001', 'n1', 'London', 1),
  (2, 'bob@x.org', 'Bob', '1815-12-10', -3, 2.00, '2001-02-03 04:05:06+00', 'AB', '[1, 2]',
   '00000000-0000-4000-8000-000000000002', 'n1', 'Paris', 2),
  (3, 'zoë@x.org', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL),
  (4, NULL, 'Ada', '2000-02-29', 7, 1.50, 'infinity', 'C', '"s"', NULL, NULL, 'ada@x.org', 4),
  (5, '', 'O''Neil', '1999-12-31', 0, 0, NULL, 'D', 'null', NULL, 'it''s', '', 5);
INSERT INTO visit VALUES (1, 1, 'ada@x.org', '1815-12-10', 7, 'x', '2020-01-01'),
  (2, 1, 'ada@x.org', '2000-02-29', 8, 'y', NULL), (3, 2, 'eve@x.org', NULL, NULL, NULL, '2020-01-01 10:00'),
  (4, 9, NULL, '1999-12-31', 7, 'x', NULL), (5, 3, '', NULL, 0, '', NULL);
INSERT INTO town VALUES (1, 'London', 'GB', '1815-12-10', 1.5), (2, 'ada@x.org', 'FR', NULL, 2), (3, NULL, NULL, NULL, NULL);
"""
PROTECTED = {
    "public.person": {
        "columns": {
            "email": {"domain": "email"},
            "name": {},
            "born": {"domain": "day"},
            "score": {"domain": "score"},
            "money": {},
            "seen": {},
            "code": {},
            "doc": {},
            "uid": {},
            "note": {"tokens": "randomized"},
        }
    },
    "public.visit": {
        "columns": {"email": {"domain": "email"}, "day": {"domain": "day"}, "score": {"domain": "score"}}
    },
}

COLUMNS = {
    "person": {
        "id": "int", "email": "text", "name": "text", "born": "date", "score": "int", "money": "numeric",
        "seen": "timestamptz", "code": "char", "doc": "jsonb", "uid": "uuid", "note": "text", "city": "text", "rank": "int",
    },
    "visit": {
        "id": "int", "person_id": "int", "email": "text", "day": "date", "score": "int", "place": "text", "at": "timestamp",
    },
    "town": {"id": "int", "name": "text", "country": "char", "since": "date", "size": "numeric"},
    "card": {"id": "int", "email": "text", "line": "text", "born": "date", "city": "text"},
    "busy": {"email": "text", "n": "int", "id": "int"},
}  # fmt: skip
CONSTANTS = {
    "text": ["'ada@x.org'", "''", "'Ada'", "'x'", "'zoë@x.org'", "E'ada\\x40x.org'", "$q$bob@x.org$q$", "NULL", "'n1'"],
    "date": ["'1815-12-10'", "date '2000-02-29'", "'1999-12-31'::date", "NULL::date", "DATE '1 Jan 2001'"],
    "int": ["7", "-3", "0", "'8'", "7::int", "NULL", "'7'::int", "3::bigint"],
    "numeric": ["1.5", "1.50", "'2'", "0.0", "1.5::numeric", "NULL"],
    "timestamptz": ["'2001-02-03 04:05:06+00'", "'infinity'", "'2001-02-03 05:05:06+01'::timestamptz"],
    "timestamp": ["'2020-01-01'", "timestamp '2020-01-01 10:00'", "NULL"],
    "char": ["'AB'", "'AB   '", "'D'", "'C'", "NULL", "'AB'::char(5)"],
    "jsonb": ["'{\"a\": 1}'", "'[1,2]'", "'{\"a\":1}'::jsonb", "NULL"],
    "uuid": ["'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-00000000000A'::uuid", "NULL"],
}  # fmt: skip
TYPES = list(CONSTANTS)


class Maker:
    """Makes statements; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.scope: list[dict[str, dict[str, str]]] = []
        self.names = 0

    def pick(self, *options: str) -> str:
        return self.random.choice(options)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def statement(self) -> str:
        """One statement."""
        self.scope, self.names = [], 0
        made = self.random.random()
        if made < 0.7:
            return self.query(2)[0]
        if made < 0.82:
            return self.insert()
        if made < 0.93:
            return self.update()
        return self.delete()

    def alias(self) -> str:
        self.names += 1
        return f"t{self.names}"

    def column(self, type_: str | None) -> str | None:
        """A column in sight, of a type if one is given."""
        found = [
            f"{alias}.{name}"
            for level in self.scope[-2:]
            for alias, columns in level.items()
            for name, has in columns.items()
            if type_ in (None, has)
        ]
        return self.random.choice(found) if found else None

    def key(self) -> str:
        """What orders the rows of the innermost level, as far as unprotected columns can."""
        keys = [
            f"{alias}.{name}"
            for alias, columns in self.scope[-1].items()
            for name in columns
            if name in ("id", "n", "person_id", "rank")
        ]
        return ", ".join(keys) or "1"

    def constant(self, type_: str) -> str:
        return self.random.choice(CONSTANTS[type_])

    def value(self, type_: str, depth: int) -> str:
        """An expression of a type."""
        column = self.column(type_)
        if column is not None and (depth <= 0 or self.chance(0.6)):
            return column
        if depth <= 0 or self.chance(0.35):
            return self.constant(type_)
        one, two = self.value(type_, depth - 1), self.value(type_, depth - 1)
        forms = [
            f"COALESCE({one}, {two})",
            f"CASE WHEN {self.condition(depth - 1)} THEN {one} ELSE {two} END",
            f"NULLIF({one}, {two})",
            f"CASE {one} WHEN {two} THEN {two} ELSE {one} END",
            f"({self.query(depth - 1, [type_], single=True)[0]})",
        ]
        if type_ == "text":
            other = self.value(self.pick(*TYPES), depth - 1)
            forms += [
                f"({one} || {two})",
                f"({one} || ' ' || {two})",
                f"concat({one}, '-', {other})",
                f"concat_ws(',', {one}, {two})",
                f"format('%s <%s>', {one}, {other})",
                f"({other})::text",
                f"lower({one})",
                f'{one} COLLATE "C"',
            ]
        return self.random.choice(forms)

    def composite(self, depth: int) -> str:
        """An expression of a composite, array or JSON type."""
        types = [self.pick(*TYPES) for _ in range(self.random.randint(1, 3))]
        values = [self.value(t, depth - 1) for t in types]
        same = [self.value(types[0], depth - 1) for _ in range(2)]
        level = self.scope[-1] if self.scope else {}
        rows = [*level, f"ROW({', '.join(values)})"]
        row = self.random.choice(rows)
        return self.pick(
            f"ARRAY[{', '.join(same)}]",
            f"ROW({', '.join(values)})",
            row,
            f"to_json({values[0]})",
            f"to_jsonb({row})",
            f"row_to_json({row})",
            f"json_build_object('a', {values[0]}, 'b', {row})",
            f"jsonb_build_array({', '.join(values)})",
            f"json_build_object({values[0]}, 1)",
            f"row_to_json({row})::text",
            f"JSON_OBJECT('k': {values[0]} RETURNING jsonb)",
            f"array_to_string(ARRAY[{', '.join(same)}], ',')",
            f"array_append(ARRAY[{same[0]}], {same[1]})",
        )

    def condition(self, depth: int) -> str:
        """A condition."""
        type_ = self.pick(*TYPES)
        one, two, three = (self.value(type_, depth - 1) for _ in range(3))
        if depth > 0 and self.chance(0.2):
            return f"({self.condition(depth - 1)} {self.pick('AND', 'OR')} {self.condition(depth - 1)})"
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
        ]
        if depth > 0:
            inner = self.query(depth - 1, [type_])[0]
            forms += [
                f"{one} IN ({inner})",
                f"{one} NOT IN ({inner})",
                f"EXISTS ({inner})",
                f"{one} = ALL ({inner})",
            ]
        return self.random.choice(forms)

    def source(self, depth: int, level: dict[str, dict[str, str]], ctes: dict[str, dict[str, str]]) -> str:
        """A FROM item; its alias becomes visible in ``level``."""
        alias = self.alias()
        if depth > 0 and self.chance(0.25):
            if self.chance(0.3):
                type_ = self.pick(*TYPES)
                rows = ", ".join(f"({i}, {self.constant(type_)})" for i in range(self.random.randint(1, 3)))
                level[alias] = {"n": "int", "c": type_}
                return f"(VALUES {rows}) AS {alias} (n, c)"
            inner, columns = self.query(depth - 1)
            level[alias] = columns
            return f"({inner}) AS {alias}"
        name = self.pick(*COLUMNS, *ctes)
        level[alias] = {**COLUMNS, **ctes}[name]
        return f"{name} AS {alias}"

    def query(
        self, depth: int, types: list[str] | None = None, *, single: bool = False
    ) -> tuple[str, dict[str, str]]:
        """(text, its columns). ``types``: of the columns, if they are given. ``single``: one row at most."""
        if depth > 0 and self.chance(0.12) and not single:
            types = types or [self.pick(*TYPES) for _ in range(self.random.randint(1, 2))]
            left, columns = self.query(depth - 1, types)
            right, _ = self.query(depth - 1, types)
            form = self.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL")
            return f"({left}) {form} ({right})", columns
        ctes: dict[str, dict[str, str]] = {}
        clauses = ""
        if depth > 1 and self.chance(0.15):
            inner, columns = self.query(depth - 1)
            ctes["w"] = columns
            clauses = f"WITH w AS ({inner}) "
        level: dict[str, dict[str, str]] = {}
        sources = [self.source(depth, level, ctes)]
        self.scope.append(level)
        try:
            text = sources[0]
            if self.chance(0.4):
                joined = self.source(depth - 1, level, ctes)
                kind = self.pick("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN")
                text += f" {kind} {joined}" + ("" if kind == "CROSS JOIN" else f" ON {self.condition(0)}")
            return clauses + self._select(text, depth, types, single=single)[0], self._columns
        finally:
            self.scope.pop()

    _columns: dict[str, str]

    def _select(self, sources: str, depth: int, types: list[str] | None, *, single: bool) -> tuple[str, None]:
        where = f" WHERE {self.condition(depth)}" if self.chance(0.5) else ""
        if single:
            assert types is not None
            grouped = self.column(types[0])
            body = grouped or self.constant(types[0])
            self._columns = {"c1": types[0]}
            return (
                f"SELECT {body} AS c1 FROM {sources}{where} ORDER BY {self.column('int') or 1}, 1 LIMIT 1",
                None,
            )
        if types is None and self.chance(0.15):
            level = self.scope[-1]
            self._columns = {}
            if len(level) == 1:
                self._columns = dict(next(iter(level.values())))
                return f"SELECT {self.pick('', 'DISTINCT ')}* FROM {sources}{where}", None
        if types is None and depth > 1 and self.chance(0.2):
            self._columns = {}
            return f"SELECT {self.composite(depth)}, {self.composite(1)} FROM {sources}{where}", None
        chosen = types or [self.pick(*TYPES) for _ in range(self.random.randint(1, 3))]
        values = [self.value(t, depth) for t in chosen]
        columns = {f"c{i}": t for i, t in enumerate(chosen, 1)}
        listed = ", ".join(f"{v} AS c{i}" for i, v in enumerate(values, 1))
        tail = ""
        if types is None and self.chance(0.3):
            numbers = ", ".join(str(i) for i in range(1, len(values) + 1))
            extra = self.pick("count(*)", f"count({values[0]})", f"count(DISTINCT {values[-1]})")
            tail = f" GROUP BY {numbers}"
            listed += f", {extra} AS k"
            columns["k"] = "int"
            if self.chance(0.2):
                tail += " HAVING count(*) > 1"
        elif self.chance(0.2):
            listed = "DISTINCT " + listed
        elif types is None and self.chance(0.15):
            key = self.value(self.pick(*TYPES), 0)
            listed += f", count(*) OVER (PARTITION BY {key}) AS k"
            columns["k"] = "int"
        self._columns = columns
        return f"SELECT {listed} FROM {sources}{where}{tail}", None

    def _changed(self) -> tuple[str, dict[str, str]]:
        table = self.pick("person", "person", "visit", "town")
        return table, COLUMNS[table]

    def _returning(self, table: str) -> str:
        self.scope = [{table: COLUMNS[table]}]
        if not self.chance(0.5):
            return ""
        return " RETURNING " + self.pick(
            "*", f"{table}", self.value(self.pick(*TYPES), 1), f"row_to_json({table})"
        )

    def insert(self) -> str:
        table, columns = self._changed()
        names = [n for n in columns if n != "id" and self.chance(0.4)] or [
            "email" if "email" in columns else "name"
        ]
        listed = ", ".join(["id", *names])
        if self.chance(0.6):
            rows = []
            for number in range(self.random.randint(1, 3)):
                values = ["DEFAULT" if self.chance(0.3) else self.constant(columns[n]) for n in names]
                rows.append(", ".join([str(100 + number), *values]))
            text = f"INSERT INTO {table} ({listed}) VALUES {', '.join(f'({r})' for r in rows)}"
        else:
            self.scope = []
            query, _ = self.query(1, ["int", *(columns[n] for n in names)])
            text = f"INSERT INTO {table} ({listed}) {query}"
        if table == "person" and self.chance(0.5):
            name = self.random.choice(names)
            text += self.pick(
                " ON CONFLICT DO NOTHING",
                f" ON CONFLICT (email) DO UPDATE SET {name} = excluded.{name}",
                f" ON CONFLICT (id) DO UPDATE SET {name} = {self.constant(columns[name])}",
            )
        return text + self._returning(table)

    def update(self) -> str:
        table, columns = self._changed()
        self.scope = [{table: dict(columns)}]
        names = [n for n in columns if n != "id" and self.chance(0.3)] or [
            "email" if "email" in columns else "name"
        ]
        sets = [f"{n} = {self.value(columns[n], 1)}" for n in names]
        if len(names) > 1 and self.chance(0.3):
            values = ", ".join(self.value(columns[n], 1) for n in names)
            sets = [f"({', '.join(names)}) = ({values})"]
        # several rows of the source may match one: SET must not depend on which of them is taken
        self.scope = [{table: columns}]
        source = " FROM " + self.source(1, self.scope[0], {}) if self.chance(0.3) else ""
        where = f" WHERE {self.condition(1)}" if self.chance(0.8) else ""
        return f"UPDATE {table} SET {', '.join(sets)}{source}{where}" + self._returning(table)

    def delete(self) -> str:
        table, columns = self._changed()
        self.scope = [{table: columns}]
        using = " USING " + self.source(1, self.scope[0], {}) if self.chance(0.3) else ""
        return f"DELETE FROM {table}{using} WHERE {self.condition(2)}" + self._returning(table)
