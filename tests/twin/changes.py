"""Statements that change data or make tables, form by form."""

from __future__ import annotations

from collections.abc import Callable

from outputs import built, expression
from predicates import atom, condition
from queries import query
from values import quoted
from world import Column, Table
from writing import Script, Step, Writer

CHANGES: dict[str, Callable[[Writer], Script]] = {}


def form(name: str) -> Callable[[Callable[[Writer, str], Script]], Callable[[Writer, str], Script]]:
    """Put a maker of scripts under its name."""

    def put(maker: Callable[[Writer, str], Script]) -> Callable[[Writer, str], Script]:
        CHANGES[name] = lambda w: maker(w, name)
        return maker

    return put


def returning(w: Writer, table: Table, alias: str = "") -> str:
    """A RETURNING clause, perhaps."""
    name = alias or table.name
    if w.chance(0.4):
        return ""
    ref, other = w.ref(name, table), w.ref(name, table)
    return " RETURNING " + w.pick(
        "*",
        f"{name}.id",
        f"{ref}, {other} AS o",
        f"{expression(w, ref)} AS e",
        f"{built(w, ref, other)} AS b",
    )


def feeder(w: Writer, column: Column) -> tuple[Table, Column] | None:
    """A column whose values may be stored in ``column``: same domain (or none), same type."""
    found = [
        (t, c)
        for t in w.world.sources
        for c in t.columns
        if c.domain == column.domain and c.typed == column.typed and c.name != "id" and not c.randomized
    ]
    return w.random.choice(found) if found else None


@form("INSERT … VALUES")
def _insert(w: Writer, name: str) -> Script:
    t = w.base()
    columns = w.some(t, 1, 5)
    rows = [
        f"({40 + i if w.chance(0.95) else 1}, {', '.join('DEFAULT' if w.chance(0.1) else w.like(c) for c in columns)})"
        for i in range(w.random.randint(1, 3))
    ]
    text = f"INSERT INTO {t.name} (id, {', '.join(c.name for c in columns)}) VALUES {', '.join(rows)}{returning(w, t)}"
    return w.script(name, Step(text), looks=[t.name])


@form("INSERT … SELECT")
def _insert_select(w: Writer, name: str) -> Script:
    t = w.base()
    (column,) = w.some(t, 1, 1)
    found = feeder(w, column)
    source, value = (
        (found[0], f"s.{found[1].name}") if found and w.chance(0.85) else (w.table(), w.like(column))
    )
    where = f" WHERE {atom(w, w.ref('s', source))}" if w.chance(0.5) else ""
    text = f"INSERT INTO {t.name} (id, {column.name}) SELECT s.id + 40, {value} FROM {source.name} s{where}{returning(w, t)}"
    return w.script(name, Step(text), looks=[t.name])


@form("INSERT … ON CONFLICT")
def _conflict(w: Writer, name: str) -> Script:
    t = w.base()
    columns = w.some(t, 1, 3)
    unique = [c for c in t.columns if c.unique]
    target = w.random.choice(unique) if unique and w.chance(0.5) else t.columns[0]
    if target.name != "id" and target not in columns:
        columns.append(target)
    rows = ", ".join(
        f"({40 + i if target.name != 'id' else 2 + i}, {', '.join(w.like(c) for c in columns)})"
        for i in range(w.random.randint(1, 2))
    )
    free = [c for c in columns if c != target] or columns
    one = w.random.choice(free)
    value = w.pick(
        f"excluded.{one.name}", w.like(one), f"coalesce({t.name}.{one.name}, excluded.{one.name})", "DEFAULT"
    )
    where = f" WHERE {atom(w, w.ref(t.name, t))}" if w.chance(0.25) else ""
    action = w.pick(
        "NOTHING", f"UPDATE SET {one.name} = {value}{where}", f"UPDATE SET {one.name} = {value}{where}"
    )
    text = f"INSERT INTO {t.name} (id, {', '.join(c.name for c in columns)}) VALUES {rows}"
    text += f" ON CONFLICT ({target.name}) DO {action}"
    return w.script(name, Step(text + returning(w, t)), looks=[t.name])


@form("UPDATE")
def _update(w: Writer, name: str) -> Script:
    t = w.base()
    columns = w.some(t, 1, 3)
    if w.chance(0.2) and len(columns) > 1:
        sets = f"({', '.join(c.name for c in columns)}) = ROW({', '.join(w.like(c) for c in columns)})"
    else:
        sets = ", ".join(f"{c.name} = {_new(w, t, c)}" for c in columns)
    where = f" WHERE {condition(w, w.ref(t.name, t))}" if w.chance(0.9) else ""
    return w.script(name, Step(f"UPDATE {t.name} SET {sets}{where}{returning(w, t)}"), looks=[t.name])


def _new(w: Writer, table: Table, column: Column) -> str:
    one = f"{table.name}.{column.name}"
    return w.pick(
        w.like(column),
        w.like(column),
        w.like(column),
        f"coalesce({one}, {w.like(column)})",
        f"nullif({one}, {w.like(column)})",
        f"CASE WHEN {atom(w, w.ref(table.name, table))} THEN {w.like(column)} ELSE {one} END",
        "NULL",
        "DEFAULT",
    )


@form("UPDATE computed from the value")
def _computed(w: Writer, name: str) -> Script:
    t = w.base()
    c = w.column(t, "text", "int", "date")
    value = {
        "text": w.pick(f"lower({c.name})", f"{c.name} || '!'", f"trim({c.name})"),
        "int": f"{c.name} + 1",
        "date": f"{c.name} + 1",
    }
    return w.script(
        name,
        Step(f"UPDATE {t.name} SET {c.name} = {value.get(c.family, c.name)} WHERE id < 4"),
        looks=[t.name],
    )


@form("UPDATE … FROM")
def _update_from(w: Writer, name: str) -> Script:
    t = w.base()
    (column,) = w.some(t, 1, 1)
    found = feeder(w, column)
    source, value = (
        (found[0], f"s.{found[1].name}") if found and w.chance(0.8) else (w.table(), w.like(column))
    )
    extra = f" AND {atom(w, w.ref('s', source))}" if w.chance(0.5) else ""
    text = f"UPDATE {t.name} a SET {column.name} = {value} FROM {source.name} s WHERE s.id = a.id{extra}"
    text += returning(w, t, "a")
    return w.script(name, Step(text), looks=[t.name])


@form("MERGE")
def _merge(w: Writer, name: str) -> Script:
    t = w.base()
    (column,) = w.some(t, 1, 1)
    found = feeder(w, column)
    if found and w.chance(0.5):
        using, value = f"(SELECT id + 5 AS i, {found[1].name} AS x FROM {found[0].name}) s", "s.x"
    else:
        using = f"(VALUES (2, {w.like(column)}::{column.typed.base}), (50, {w.like(column)}::{column.typed.base})) s (i, x)"
        value = "s.x"
    matched = w.pick(
        f"UPDATE SET {column.name} = {value}",
        "DELETE",
        "DO NOTHING",
        f"UPDATE SET {column.name} = {w.like(column)}",
    )
    when = f" AND {atom(w, w.ref('a', t))}" if w.chance(0.4) else ""
    text = (
        f"MERGE INTO {t.name} a USING {using} ON a.id = s.i WHEN MATCHED{when} THEN {matched}"
        f" WHEN NOT MATCHED THEN INSERT (id, {column.name}) VALUES (s.i, {value})"
    )
    return w.script(
        name, Step(text + w.pick("", "", f" RETURNING merge_action(), a.id, a.{column.name}")), looks=[t.name]
    )


@form("DELETE")
def _delete(w: Writer, name: str) -> Script:
    t = w.base()
    return w.script(
        name,
        Step(f"DELETE FROM {t.name} WHERE {condition(w, w.ref(t.name, t))}{returning(w, t)}"),
        looks=[t.name],
    )


@form("DELETE … USING")
def _delete_using(w: Writer, name: str) -> Script:
    one, a, two, b = w.pair()
    if one.view:
        one = w.base()
        a = one.columns[0]
        two, b = one, a
    extra = f" AND {atom(w, w.ref('s', two))}" if w.chance(0.5) else ""
    shown = w.pick("", f" RETURNING a.id, a.{a.name}")
    return w.script(
        name,
        Step(f"DELETE FROM {one.name} a USING {two.name} s WHERE a.{a.name} = s.{b.name}{extra}{shown}"),
        looks=[one.name],
    )


@form("WITH that changes data")
def _with(w: Writer, name: str) -> Script:
    t = w.base()
    c, d = w.some(t, 2, 2)
    change = w.pick(
        f"INSERT INTO {t.name} (id, {c.name}) VALUES (60, {w.like(c)}) RETURNING *",
        f"DELETE FROM {t.name} WHERE {atom(w, w.ref(t.name, t))} RETURNING *",
        f"UPDATE {t.name} SET {c.name} = {w.like(c)} WHERE id < 5 RETURNING *",
    )
    outer = w.pick(
        f"SELECT w.id, w.{c.name}, w.{d.name} FROM w",
        f"SELECT count(*), count(w.{c.name}) FROM w",
        f"INSERT INTO {t.name} (id, {c.name}) SELECT w.id + 70, w.{c.name} FROM w RETURNING id, {c.name}",
    )
    return w.script(name, Step(f"WITH w AS ({change}) {outer}"), looks=[t.name])


@form("CREATE TABLE AS")
def _create(w: Writer, name: str) -> Script:
    t = w.table(protected=True)
    columns = [t.columns[0], *w.some(t, 1, 3)]
    where = f" WHERE {atom(w, w.ref('a', t))}" if w.chance(0.5) else ""
    select = f"SELECT {', '.join(f'a.{c.name}' for c in columns)} FROM {t.name} a{where}"
    made = Table("made", tuple(columns))
    create = w.pick(
        f"CREATE TABLE made AS {select}",
        f"CREATE TEMP TABLE made AS {select}",
        f"CREATE TEMP TABLE made (LIKE {t.name})" if not t.view else f"CREATE TABLE made AS {select}",
    )
    return w.script(
        name,
        Step(create, plain=True),
        Step(f"INSERT INTO made (id, {columns[1].name}) VALUES (90, {w.like(columns[1])})"),
        Step(f"SELECT m.* FROM made m WHERE {condition(w, w.ref('m', made))}"),
    )


@form("CREATE VIEW")
def _view(w: Writer, name: str) -> Script:
    t = w.base()
    columns = [t.columns[0], *w.some(t, 1, 3)]
    made = Table("seen_by", tuple(columns))
    return w.script(
        name,
        Step(
            f"CREATE TEMP VIEW seen_by AS SELECT {', '.join(c.name for c in columns)} FROM {t.name} WHERE id < 9",
            plain=True,
        ),
        Step(f"SELECT * FROM seen_by v WHERE {condition(w, w.ref('v', made))}"),
    )


@form("PREPARE, EXECUTE")
def _prepare(w: Writer, name: str) -> Script:
    t = w.table(protected=True)
    c = w.column(t)
    d = w.column(t, "text")
    base = c.typed.base
    where = w.pick(
        f"a.{c.name} = $1",
        f"a.{c.name} > $1",
        f"a.{c.name} IS DISTINCT FROM $1",
        f"a.{c.name} IN ($1, {w.like(c)})",
    )
    if d.family == "text" and w.chance(0.4):
        base, where = "text", f"a.{d.name} LIKE $1"
        one, two = w.string("%a%", "zq%"), w.string("%x", "")
    else:
        one, two = w.like(c), w.like(c)
    declared = f" ({base})" if w.chance(0.6) else ""
    return w.script(
        name,
        Step(
            f"PREPARE q{declared} AS SELECT {', '.join(f'a.{x.name}' for x in w.some(t))} FROM {t.name} a WHERE {where}",
            plain=True,
        ),
        Step(f"EXECUTE q ({one})", plain=True),
        Step(f"EXECUTE q ({two})", plain=True),
        Step("DEALLOCATE q", plain=True),
    )


@form("DECLARE, FETCH")
def _cursor(w: Writer, name: str) -> Script:
    found = query(w)
    if not found.ordered:
        found = Step(f"SELECT q.* FROM ({found.text}) q" if w.chance(0.2) else found.text)
    return w.script(
        name,
        Step(f"DECLARE k {w.pick('', 'SCROLL ')}CURSOR FOR {found.text}", plain=True),
        *([Step("FETCH 2 FROM k", ordered=True), Step("MOVE 1 FROM k", plain=True)] if found.ordered else []),
        Step("FETCH ALL FROM k", ordered=found.ordered),
        Step("CLOSE k", plain=True),
    )


@form("COPY … TO")
def _copy_out(w: Writer, name: str) -> Script:
    options = w.pick(
        "",
        " (FORMAT csv)",
        " (FORMAT csv, HEADER)",
        " (DELIMITER '|', NULL 'none')",
        " (FORMAT csv, FORCE_QUOTE *)",
    )
    if w.chance(0.3):
        t = w.base()
        return w.script(
            name,
            Step(f"COPY {t.name} ({', '.join(c.name for c in w.some(t))}) TO STDOUT{options}", plain=True),
        )
    found = query(w)
    return w.script(name, Step(f"COPY ({found.text}) TO STDOUT{options}", ordered=found.ordered, plain=True))


@form("COPY … FROM")
def _copy_in(w: Writer, name: str) -> Script:
    t = w.base()
    columns = w.some(t, 1, 3)
    csv = w.chance(0.5)
    lines = []
    for number in range(w.random.randint(1, 3)):
        fields = [str(40 + number)]
        for c in columns:
            content = w.content(c)
            if content is None:
                fields.append("" if csv else "\\N")
            elif csv:
                fields.append('"' + content.replace('"', '""') + '"')
            else:
                fields.append(content.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"))
        lines.append(("," if csv else "\t").join(fields) + "\n")
    text = f"COPY {t.name} (id, {', '.join(c.name for c in columns)}) FROM STDIN" + (
        " (FORMAT csv)" if csv else ""
    )
    return w.script(name, Step(text, plain=True, copied="".join(lines)), looks=[t.name])


@form("several statements in one query")
def _several(w: Writer, name: str) -> Script:
    t = w.base()
    (c,) = w.some(t, 1, 1)
    value = quoted(w.content(c))
    text = f"UPDATE {t.name} SET {c.name} = {value} WHERE id = 3; SELECT id, {c.name} FROM {t.name} WHERE {c.name} = {value}"
    return w.script(name, Step(text, plain=True), looks=[t.name])
