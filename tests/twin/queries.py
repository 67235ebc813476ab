"""Queries, form by form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from outputs import array, built, computed, document, expression
from predicates import atom, condition, contents, equality, order
from world import Column, Table
from writing import Ref, Script, Step, Writer

QUERIES: dict[str, Callable[[Writer], Step]] = {}
_PLAIN_KEYS = ("smallint", "int", "bigint")


def form(name: str) -> Callable[[Callable[[Writer], Step]], Callable[[Writer], Step]]:
    """Put a maker of queries under its name."""

    def put(maker: Callable[[Writer], Step]) -> Callable[[Writer], Step]:
        QUERIES[name] = maker
        return maker

    return put


def query(w: Writer) -> Step:
    """A query of any form."""
    return QUERIES[w.pick(*QUERIES)](w)


def script(name: str) -> Callable[[Writer], Script]:
    """A maker of scripts of one query."""
    return lambda w: w.script(name, QUERIES[name](w))


def listed(w: Writer, alias: str, table: Table) -> str:
    """A plain select list."""
    if w.chance(0.25):
        return w.pick("*", f"{alias}.*", f"{alias}.*, 1 AS one")
    return ", ".join(f"{alias}.{c.name}" for c in (table.columns[0], *w.some(table)))


def direction(w: Writer) -> str:
    return w.pick("", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST")


@form("WHERE by equality")
def _equal(w: Writer) -> Step:
    t = w.table(protected=True)
    wheres = [equality(w, w.ref("a", t)) for _ in range(w.random.randint(1, 2))]
    return Step(f"SELECT {listed(w, 'a', t)} FROM {t.name} a WHERE {w.pick(' AND ', ' OR ').join(wheres)}")


@form("WHERE by contents of text")
def _contents(w: Writer) -> Step:
    t = w.table("text")
    return Step(f"SELECT {listed(w, 'a', t)} FROM {t.name} a WHERE {contents(w, w.ref('a', t, 'text'))}")


@form("WHERE by contents of other types")
def _typed(w: Writer) -> Step:
    families = ("date", "timestamp", "timestamptz", "int", "numeric", "float", "bytea", "char")
    t = w.table(*families)
    return Step(f"SELECT {listed(w, 'a', t)} FROM {t.name} a WHERE {contents(w, w.ref('a', t, *families))}")


@form("WHERE by range")
def _range(w: Writer) -> Step:
    t = w.table(protected=True)
    return Step(f"SELECT {listed(w, 'a', t)} FROM {t.name} a WHERE {order(w, w.ref('a', t))}")


@form("WHERE combined")
def _combined(w: Writer) -> Step:
    t = w.table(protected=True)
    one, two, three = (condition(w, w.ref("a", t)) for _ in range(3))
    where = w.pick(
        f"{one} AND {two}",
        f"({one} OR {two}) AND {three}",
        f"NOT ({one} OR {two})",
        f"{one} OR {two} AND {three}",
    )
    return Step(f"SELECT {listed(w, 'a', t)} FROM {t.name} a WHERE {where}")


@form("JOIN")
def _join(w: Writer) -> Step:
    one, a, two, b = w.pair()
    kind = w.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
    extra = f" AND {atom(w, w.ref('b', two))}" if w.chance(0.3) and kind != "FULL JOIN" else ""
    where = f" WHERE {condition(w, w.ref('a', one))}" if w.chance(0.3) else ""
    what = f"a.id, b.id AS other, a.{w.column(one).name}, b.{w.column(two).name} AS y"
    return Step(
        f"SELECT {what} FROM {one.name} a {kind} {two.name} b ON a.{a.name} = b.{b.name}{extra}{where}"
    )


@form("subquery")
def _subquery(w: Writer) -> Step:
    one, a, two, b = w.pair()
    inner = f"SELECT b.{b.name} FROM {two.name} b" + (
        f" WHERE {atom(w, w.ref('b', two))}" if w.chance(0.5) else ""
    )
    where = w.pick(
        f"a.{a.name} IN ({inner})",
        f"a.{a.name} NOT IN ({inner})",
        f"a.{a.name} = ANY ({inner})",
        f"EXISTS (SELECT 1 FROM {two.name} b WHERE b.{b.name} = a.{a.name})",
        f"NOT EXISTS (SELECT FROM {two.name} b WHERE b.{b.name} = a.{a.name} AND {atom(w, w.ref('b', two))})",
        f"a.{a.name} = (SELECT b.{b.name} FROM {two.name} b ORDER BY b.id LIMIT 1)",
        f"(a.{a.name}, a.id) IN (SELECT b.{b.name}, b.id FROM {two.name} b)",
    )
    return Step(f"SELECT {listed(w, 'a', one)} FROM {one.name} a WHERE {where}")


@form("scalar subquery in output")
def _scalar(w: Writer) -> Step:
    one, a, two, b = w.pair()
    shown = w.column(two).name
    inner = w.pick(
        f"SELECT count(*) FROM {two.name} b WHERE b.{b.name} = a.{a.name}",
        f"SELECT b.{shown} FROM {two.name} b WHERE b.{b.name} = a.{a.name} ORDER BY b.id LIMIT 1",
        f"SELECT max(b.{b.name}) FROM {two.name} b WHERE b.id <> a.id"
        if b.family not in ("jsonb", "uuid", "boolean", "document")
        else f"SELECT min(b.id) FROM {two.name} b WHERE b.{b.name} = a.{a.name}",
    )
    return Step(f"SELECT a.id, ({inner}) AS s FROM {one.name} a")


@form("GROUP BY")
def _group(w: Writer) -> Step:
    t = w.table(protected=True)
    key, other = w.column(t), w.column(t)
    extra = w.pick(
        "count(*)", f"count(a.{other.name})", f"count(DISTINCT a.{other.name})", "sum(a.id)", "max(a.id)"
    )
    having = w.pick("", "", " HAVING count(*) > 1", f" HAVING {atom(w, Ref('a', key))}")
    where = f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.3) else ""
    group = w.pick(f"a.{key.name}", "1", f"ROLLUP (a.{key.name})", f"a.{key.name}, a.{other.name}")
    return Step(f"SELECT a.{key.name}, {extra} AS k FROM {t.name} a{where} GROUP BY {group}{having}")


@form("DISTINCT")
def _distinct(w: Writer) -> Step:
    t = w.table(protected=True)
    one, two = w.column(t), w.column(t)
    if w.chance(0.3):
        return Step(
            f"SELECT DISTINCT ON (a.{one.name}) a.{one.name}, a.id FROM {t.name} a ORDER BY a.{one.name}, a.id",
            ordered=True,
        )
    tail = f" ORDER BY a.{one.name}{direction(w)}" if w.chance(0.3) else ""
    return Step(
        f"SELECT DISTINCT a.{one.name}"
        + (f", a.{two.name} AS y" if w.chance(0.5) else "")
        + f" FROM {t.name} a{tail}"
    )


@form("UNION, INTERSECT, EXCEPT")
def _set(w: Writer) -> Step:
    one, a, two, b = w.pair()
    kind = w.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL")
    where = f" WHERE {atom(w, w.ref('a', one))}" if w.chance(0.4) else ""
    tail = w.pick("", "", " ORDER BY 1")
    return Step(
        f"SELECT a.{a.name} AS u FROM {one.name} a{where} {kind} SELECT b.{b.name} FROM {two.name} b{tail}"
    )


@form("ORDER BY")
def _order(w: Writer) -> Step:
    t = w.table(protected=True)
    ref = w.ref("a", t)
    key = expression(w, ref) if w.chance(0.2) else str(ref)
    where = f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.3) else ""
    limit = w.pick(
        "", f" LIMIT {w.random.randint(1, 6)}", f" OFFSET 1 FETCH FIRST {w.random.randint(1, 4)} ROWS ONLY"
    )
    return Step(
        f"SELECT {listed(w, 'a', t)} FROM {t.name} a{where} ORDER BY {key}{direction(w)}, a.id{w.pick('', ' DESC')}{limit}",
        ordered=True,
    )


@form("page by key")
def _page(w: Writer) -> Step:
    t = w.table(protected=True)
    c = w.column(t, "text", "date", "int", "timestamp", "numeric", "uuid")
    sign, way = w.random.choice((("<", " DESC"), (">", "")))
    return Step(
        f"SELECT a.id, a.{c.name} FROM {t.name} a WHERE (a.{c.name}, a.id) {sign} ({w.like(c)}, {w.number(1, 5)})"
        f" ORDER BY a.{c.name}{way}, a.id{way} LIMIT 4",
        ordered=True,
    )


@form("min, max")
def _extremes(w: Writer) -> Step:
    t = w.table(protected=True)
    c, g = w.column(t, "text", "date", "int", "timestamp", "numeric", "float", "char", "inet"), w.column(t)
    where = f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.3) else ""
    if w.chance(0.4):
        return Step(
            f"SELECT a.{g.name}, min(a.{c.name}), max(a.{c.name}) FROM {t.name} a{where} GROUP BY a.{g.name}"
        )
    extra = w.pick("", f" FILTER (WHERE {atom(w, w.ref('a', t))})")
    return Step(
        f"SELECT min(a.{c.name}){extra}, max(a.{c.name}) AS m, count(DISTINCT a.{c.name}) FROM {t.name} a{where}"
    )


@form("GREATEST, LEAST, < between columns")
def _between(w: Writer) -> Step:
    one, a, two, b = w.pair()
    if w.chance(0.5):
        sign = w.pick("<", ">=")
        return Step(
            f"SELECT a.id, b.id AS o FROM {one.name} a JOIN {two.name} b ON a.{a.name} {sign} b.{b.name}"
        )
    return Step(
        f"SELECT a.id, b.id, {w.pick('greatest', 'least')}(a.{a.name}, b.{b.name}) AS g FROM {one.name} a, {two.name} b"
    )


@form("window")
def _window(w: Writer) -> Step:
    t = w.table(protected=True)
    c, p, v = w.column(t), w.column(t), w.column(t)
    part = f"PARTITION BY a.{p.name} " if w.chance(0.5) else ""
    over = f"OVER ({part}ORDER BY a.{c.name}{direction(w)}, a.id)"
    f = w.pick(
        f"row_number() {over}",
        f"lag(a.{v.name}) {over}",
        f"first_value(a.{v.name}) {over}",
        f"last_value(a.{v.name}) {over}",
        f"rank() OVER ({part}ORDER BY a.{c.name})",
        f"count(*) OVER (PARTITION BY a.{p.name})",
        f"count(a.{v.name}) {over}",
        f"max(a.{c.name}) OVER (PARTITION BY a.{p.name})",
        f"ntile(3) {over}",
    )
    return Step(f"SELECT a.id, {f} AS x FROM {t.name} a ORDER BY a.id", ordered=True)


@form("aggregate with order")
def _aggregate(w: Writer) -> Step:
    t = w.table("text")
    c, k, g = w.column(t, "text"), w.column(t), w.column(t)
    by = w.pick("a.id", f"a.{k.name}, a.id")
    f = w.pick(
        f"string_agg(a.{c.name}, ', ' ORDER BY {by})",
        f"array_agg(a.{c.name} ORDER BY {by})",
        f"json_agg(a.{k.name} ORDER BY {by})",
        f"array_agg(DISTINCT a.{c.name} ORDER BY a.{c.name})",
        f"string_agg(DISTINCT a.{c.name}, ',' ORDER BY a.{c.name})",
        f"jsonb_object_agg(a.id, a.{k.name})",
        f"array_agg(a.id ORDER BY a.{c.name}, a.id)",
        f"json_agg(a ORDER BY {by})",
        f"mode() WITHIN GROUP (ORDER BY a.{c.name})",
        f"string_agg(upper(a.{c.name}), ',' ORDER BY a.id)",
        f"percentile_disc(0.5) WITHIN GROUP (ORDER BY a.{c.name})",
        "bool_or(" + atom(w, Ref("a", c)) + ")",
    )
    if w.chance(0.4):
        return Step(f"SELECT a.{g.name}, {f} AS g FROM {t.name} a GROUP BY a.{g.name}")
    return Step(f"SELECT {f} AS g FROM {t.name} a")


@form("groups of results")
def _results(w: Writer) -> Step:
    t = w.table("text", "date", "timestamp", "int")
    ref = w.ref("a", t, "text", "date", "timestamp", "int")
    f, other = computed(w, ref), w.column(t)
    where = f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.3) else ""
    return w.random.choice(
        [
            Step(f"SELECT {f}, count(*) AS n FROM {t.name} a{where} GROUP BY {f}"),
            Step(f"SELECT {f} AS g, min(a.id) FROM {t.name} a{where} GROUP BY g ORDER BY g", ordered=True),
            Step(f"SELECT {f}, count(a.{other.name}) FROM {t.name} a{where} GROUP BY 1 HAVING count(*) > 1"),
            Step(
                f"SELECT count(*) AS n, {f} AS g FROM {t.name} a GROUP BY {f} ORDER BY {f} DESC LIMIT 3",
                ordered=True,
            ),
            Step(f"SELECT DISTINCT {f} AS g FROM {t.name} a{where} ORDER BY 1{direction(w)}", ordered=True),
            Step(f"SELECT DISTINCT {f}, a.{other.name} FROM {t.name} a{where}"),
            Step(f"SELECT count(DISTINCT {f}), count({f}) FROM {t.name} a{where}"),
            Step(f"SELECT g, count(*) FROM (SELECT {f} AS g FROM {t.name} a{where}) s GROUP BY g"),
            Step(f"SELECT a.id, count(*) OVER (PARTITION BY {f}) FROM {t.name} a{where}"),
            Step(
                f"SELECT g, i FROM (SELECT {f} AS g, a.id AS i FROM {t.name} a) s ORDER BY g, i", ordered=True
            ),
            Step(
                f"SELECT {f} FROM {t.name} a WHERE a.id < 5 UNION SELECT {f} FROM {t.name} a WHERE a.id > 3"
            ),
            Step(
                f"SELECT {f}, a.{other.name}, count(*) FROM {t.name} a GROUP BY ROLLUP ({f}, a.{other.name})"
            ),
            Step(f"SELECT min({f}), max({f}) AS m FROM {t.name} a{where}"),
            Step(f"SELECT a.{other.name}, max({f}) FROM {t.name} a{where} GROUP BY 1"),
            Step(f"SELECT count(*) FROM {t.name} a GROUP BY {f} HAVING {f} IS NOT NULL"),
            Step(
                f"SELECT string_agg(a.id::text, ',' ORDER BY a.id), {f} FROM {t.name} a GROUP BY {f}, a.{other.name}"
            ),
        ]
    )


@form("functions in output")
def _functions(w: Writer) -> Step:
    t = w.table("text")
    found = ", ".join(
        f"{expression(w, w.ref('a', t, 'text'))} AS e{i}" for i in range(w.random.randint(1, 3))
    )
    return Step(
        f"SELECT a.id, {found} FROM {t.name} a"
        + (f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.3) else "")
    )


@form("arithmetic and dates in output")
def _arithmetic(w: Writer) -> Step:
    t = w.table("int", "date", "numeric", "timestamp")
    ref = w.ref("a", t, "int", "date", "numeric", "timestamp")
    f = {
        "int": w.pick(f"{ref} + 1", f"abs({ref})", f"sum({ref}) OVER ()"),
        "numeric": f"{ref} * 2",
        "date": computed(w, ref),
        "timestamp": computed(w, ref),
    }
    return Step(f"SELECT a.id, {f.get(ref.column.family, str(ref))} AS e FROM {t.name} a")


@form("built in output")
def _built(w: Writer) -> Step:
    t = w.table(protected=True)
    found = ", ".join(
        f"{built(w, w.ref('a', t), w.ref('a', t))} AS e{i}" for i in range(w.random.randint(1, 2))
    )
    return Step(f"SELECT a.id, {found} FROM {t.name} a")


@form("arrays")
def _arrays(w: Writer) -> Step:
    t = w.table("texts", "ints")
    ref = w.ref("a", t, "texts", "ints")
    if ref.column.family not in ("texts", "ints"):
        return Step(f"SELECT array_agg(a.id ORDER BY a.id) FROM {t.name} a")
    if w.chance(0.4):
        return Step(f"SELECT a.id FROM {t.name} a WHERE {contents(w, ref)}")
    if w.chance(0.3):
        return Step(
            f"SELECT a.id, u FROM {t.name} a CROSS JOIN LATERAL unnest({ref}) WITH ORDINALITY AS q (u, n) ORDER BY a.id, n",
            ordered=True,
        )
    return Step(f"SELECT a.id, {array(w, ref)} AS e FROM {t.name} a")


@form("jsonb")
def _jsonb(w: Writer) -> Step:
    t = w.table("jsonb", "document")
    ref = w.ref("a", t, "jsonb", "document")
    if ref.column.family == "document":
        return _document(w, t, ref)
    return Step(f"SELECT a.id, {ref} FROM {t.name} a WHERE {w.pick(contents(w, ref), equality(w, ref))}")


def _document(w: Writer, t: Table, ref: Ref) -> Step:
    where = f" WHERE {condition(w, ref)}" if w.chance(0.5) else ""
    part = w.pick(f"{ref} ->> 'mail'", f"{ref} #>> '{{a,b}}'", f"{ref} -> 'tags' ->> 0")
    return w.random.choice(
        [
            Step(f"SELECT a.id, {document(w, ref)} AS e FROM {t.name} a{where}"),
            Step(f"SELECT a.id, {document(w, ref)} AS e, {document(w, ref)} AS f FROM {t.name} a{where}"),
            Step(f"SELECT {part} AS p, count(*) FROM {t.name} a{where} GROUP BY 1"),
            Step(f"SELECT DISTINCT {part} FROM {t.name} a{where}"),
            Step(f"SELECT a.id, {part} AS p FROM {t.name} a{where} ORDER BY {part}, a.id", ordered=True),
            Step(
                f"SELECT a.id, b.id AS o FROM {t.name} a JOIN {t.name} b"
                f" ON {ref} ->> 'mail' = b.{ref.column.name} ->> 'mail'"
            ),
            Step(f"SELECT min({part}), max({part}), count(DISTINCT {part}) FROM {t.name} a{where}"),
            Step(f"SELECT a.id, upper({part}), length({part}) AS n FROM {t.name} a{where}"),
        ]
    )


@form("WITH")
def _with(w: Writer) -> Step:
    one, a, two, b = w.pair()
    inner = f"SELECT a.id AS i, a.{a.name} AS x FROM {one.name} a" + (
        f" WHERE {atom(w, w.ref('a', one))}" if w.chance(0.5) else ""
    )
    outer = w.pick(
        f"SELECT w.i, w.x, b.id AS o FROM w JOIN {two.name} b ON b.{b.name} = w.x",
        "SELECT x, count(*) FROM w GROUP BY x",
        f"SELECT * FROM w WHERE {atom(w, Ref('w', _renamed(a)))}",
        f"SELECT x FROM w UNION SELECT {b.name} FROM {two.name}",
    )
    return Step(f"WITH w AS {w.pick('', 'MATERIALIZED ')}({inner}) {outer}")


@form("WITH RECURSIVE")
def _recursive(w: Writer) -> Step:
    t = w.table(protected=True)
    c = w.column(t)
    kind = w.pick("UNION ALL", "UNION")
    return Step(
        f"WITH RECURSIVE r (i, v) AS (SELECT a.id, a.{c.name} FROM {t.name} a WHERE a.id = 1 {kind}"
        f" SELECT a.id, a.{c.name} FROM {t.name} a JOIN r ON a.id = r.i + 1) SELECT i, v FROM r"
    )


@form("LATERAL")
def _lateral(w: Writer) -> Step:
    one, a, two, b = w.pair()
    c = w.column(two)
    return Step(
        f"SELECT a.id, l.* FROM {one.name} a {w.pick('LEFT JOIN', 'JOIN')} LATERAL ("
        f"SELECT b.id AS o, b.{c.name} AS v FROM {two.name} b"
        f" WHERE b.{b.name} = a.{a.name} ORDER BY b.id LIMIT 2) l ON true"
    )


@form("JOIN with VALUES")
def _values(w: Writer) -> Step:
    t = w.table(protected=True)
    c = w.column(t)
    typed = c.typed.base
    rows = ", ".join(f"({i}, {w.like(c)}::{typed})" for i in range(w.random.randint(1, 3)))
    return Step(f"SELECT a.id, v.n, v.x FROM {t.name} a JOIN (VALUES {rows}) v (n, x) ON v.x = a.{c.name}")


def _renamed(column: Column) -> Column:
    return replace(column, name="x")
