"""What an application does with psycopg 3."""

from __future__ import annotations

import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row, namedtuple_row

COLUMNS = "customer_id, first_name, last_name, company, address, city, phone, email"
NEW = (900, "Zoë", "O'Neil", "1 Back\\slash Way", "+1 (555) 000-0900", "zoe@example.org")
INSERT = (
    "INSERT INTO customer (customer_id, first_name, last_name, address, phone, email)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)


def tour(dsn: str) -> list[object]:
    """The whole tour; every row, tag, type and error in order."""
    seen: list[object] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for part in (_read, _bind, _prepare, _write, _pipeline, _copy, _cursors, _errors, _aggregate):
            seen.append(part.__name__)
            part(connection, seen)
    return seen


def _described(cursor: psycopg.Cursor[Any]) -> object:
    """Names, type OIDs, sizes and precisions as the driver understood them, with the rows."""
    columns = [
        (c.name, c.type_code, c.internal_size, c.display_size, c.precision, c.scale, c.type_display)
        for c in cursor.description or ()
    ]
    return columns, cursor.statusmessage, cursor.fetchall()


def _read(connection: psycopg.Connection, seen: list[object]) -> None:
    seen.append(_described(connection.execute("SELECT * FROM customer ORDER BY customer_id")))
    seen.append(_described(connection.execute("SELECT * FROM employee ORDER BY employee_id")))
    seen.append(_described(connection.cursor(binary=True).execute("SELECT * FROM employee ORDER BY 1")))
    seen.append(
        _described(
            connection.execute(
                "SELECT c.customer_id, c.first_name || ' ' || c.last_name AS customer, e.email AS agent, i.total"
                " FROM customer c JOIN employee e ON e.employee_id = c.support_rep_id"
                " JOIN invoice i USING (customer_id) WHERE i.total > %s ORDER BY i.invoice_id",
                [10],
            )
        )
    )
    rows: Any = connection.cursor(row_factory=dict_row).execute(
        "SELECT * FROM customer WHERE customer_id = 5"
    )
    seen.append(rows.fetchone())
    named = connection.cursor(row_factory=namedtuple_row)
    row: Any = named.execute(
        "SELECT email AS mail, birth_date FROM employee WHERE employee_id = 2"
    ).fetchone()
    seen.append((row.mail, row.birth_date))


def _bind(connection: psycopg.Connection, seen: list[object]) -> None:
    by_email = f"SELECT {COLUMNS} FROM customer WHERE email = %s"
    client_side = psycopg.ClientCursor(connection)
    raw = psycopg.RawCursor(connection)
    for email in ("luisg@embraer.com.br", "nobody@nowhere.example", "", "o'brien\\@x"):
        seen.append(_described(connection.execute(by_email, [email])))
        seen.append(_described(client_side.execute(by_email, [email])))
        seen.append(_described(raw.execute(by_email.replace("%s", "$1"), [email])))
        seen.append(_described(connection.execute(by_email.replace("%s", "%b"), [email])))
    emails = ["luisg@embraer.com.br", "ftremblay@gmail.com", "nobody@nowhere.example"]
    among = f"SELECT {COLUMNS} FROM customer WHERE email = ANY(%s) ORDER BY customer_id"
    seen.append(_described(connection.execute(among, [emails])))
    seen.append(_described(client_side.execute(among, [emails])))
    seen.append(_described(connection.execute(among.replace("= ANY", "<> ALL"), [emails])))
    listed = (
        f"SELECT {COLUMNS} FROM customer WHERE email IN (%s, %s) AND last_name <> %s ORDER BY customer_id"
    )
    seen.append(_described(connection.execute(listed, [*emails[:2], "Tremblay"])))
    optional = (
        "SELECT customer_id FROM customer WHERE (%(mail)s::text IS NULL OR email = %(mail)s) ORDER BY 1"
    )
    for chosen in (emails[0], None):
        seen.append(_described(connection.execute(optional, {"mail": chosen})))
    born = datetime.datetime(1962, 2, 18)
    seen.append(_described(connection.execute("SELECT * FROM employee WHERE birth_date = %s", [born])))
    seen.append(_described(client_side.execute("SELECT * FROM employee WHERE birth_date = %s", [born])))
    missing = "SELECT customer_id, fax FROM customer WHERE fax IS NOT DISTINCT FROM %s ORDER BY customer_id"
    seen.append(_described(connection.execute(missing, [None])))


def _prepare(connection: psycopg.Connection, seen: list[object]) -> None:
    for email in ("luisg@embraer.com.br", "ftremblay@gmail.com", "none@example.org") * 3:
        statement = "SELECT customer_id, phone FROM customer WHERE email = %s"
        seen.append(connection.execute(statement, [email], prepare=True).fetchall())
    connection.execute("PREPARE by_name (text) AS SELECT email FROM customer WHERE last_name = $1")
    seen.append(connection.execute("EXECUTE by_name ('Tremblay')").fetchall())
    connection.execute("DEALLOCATE by_name")


def _write(connection: psycopg.Connection, seen: list[object]) -> None:
    returning = " RETURNING customer_id, first_name, last_name, address, phone, email, fax"
    seen.append(_described(connection.execute(INSERT + returning, NEW)))
    seen.append(_described(psycopg.ClientCursor(connection).execute(INSERT + returning, (901, *NEW[1:]))))
    with connection.cursor() as cursor:
        cursor.executemany(INSERT + returning, [(n, "Many", f"L{n}", None, "", f"{n}@x.org") for n in range(902, 906)],
                           returning=True)  # fmt: skip
        for result in cursor.results():
            seen.append(result.fetchall())
    upsert = INSERT + (
        " ON CONFLICT (customer_id) DO UPDATE SET email = EXCLUDED.email, phone = %s RETURNING email, phone, last_name"
    )
    seen.append(_described(connection.execute(upsert, (*NEW[:5], "new@example.org", "+49 30 1"))))
    update = "UPDATE customer SET (first_name, last_name) = (%s, %s), fax = %s WHERE email = %s RETURNING *"
    seen.append(_described(connection.execute(update, ["Ada", "Lovelace", "", "new@example.org"])))
    seen.append(connection.execute("UPDATE customer SET phone = NULL WHERE phone = ''").statusmessage)
    born = "UPDATE employee SET birth_date = %s WHERE employee_id = 8 RETURNING birth_date"
    seen.append(_described(connection.execute(born, [datetime.datetime(1970, 1, 2, 3, 4, 5)])))
    seen.append(_described(connection.execute(born, [datetime.date(1968, 1, 9)])))
    multi = (
        "INSERT INTO customer (customer_id, email, first_name, last_name) VALUES (%s,%s,%s,%s),(%s,%s,%s,%s)"
    )
    tag = connection.execute(multi, [910, "a@b.c", "A", "B", 911, "d@e.f", "D", "E"]).statusmessage
    seen.append(tag)
    with connection.transaction(force_rollback=True):
        seen.append(
            connection.execute("DELETE FROM customer WHERE email = 'a@b.c' RETURNING email").fetchall()
        )
    copied = "INSERT INTO customer (customer_id, first_name, last_name, email) SELECT customer_id + 1000, first_name,"
    copied += " last_name, email FROM customer WHERE email = %s RETURNING *"
    seen.append(_described(connection.execute(copied, ["d@e.f"])))
    gone = "DELETE FROM customer WHERE customer_id >= 900 RETURNING customer_id, email, phone"
    seen.append(sorted(connection.execute(gone).fetchall()))


def _pipeline(connection: psycopg.Connection, seen: list[object]) -> None:
    with connection.pipeline():
        cursors = [
            connection.execute("SELECT customer_id, email FROM customer WHERE last_name = %s", [name])
            for name in ("Tremblay", "Gruber", "Nobody", "Hansen")
        ]
        cursors.append(connection.execute("SELECT count(*) FROM track"))
        cursors.append(connection.execute(INSERT + " RETURNING email", NEW))
        cursors.append(
            connection.execute("DELETE FROM customer WHERE customer_id = 900 RETURNING email, phone")
        )
    seen.extend(_described(c) for c in cursors)
    try:
        with connection.pipeline():
            connection.execute("SELECT email FROM customer WHERE customer_id = 1")
            connection.execute("SELECT 1/0")
            connection.execute("SELECT email FROM customer WHERE customer_id = 2")
    except psycopg.Error as error:
        seen.append(_error(error))


def _copy(connection: psycopg.Connection, seen: list[object]) -> None:
    with connection.cursor() as cursor:
        table = "customer (customer_id, first_name, last_name, address, email)"
        with cursor.copy(f"COPY {table} FROM STDIN") as into:
            into.write_row((920, "Tab\tin", "New\nline", "Back\\slash", "copy1@x.org"))
            into.write_row((921, "", "Ünïcode", None, "copy2@x.org"))
        seen.append(cursor.statusmessage)
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as into:
            into.set_types(["int4", "varchar", "varchar", "varchar", "varchar"])
            into.write_row((922, "Binary", "Row", None, "copy3@x.org"))
        seen.append(cursor.statusmessage)
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as into:
            into.write('customer_id,first_name,last_name,address,email\n923,"Quo""ted",Csv,"a,b",copy4')
            into.write("@x.org\n")
        seen.append(cursor.statusmessage)
        out = "(SELECT customer_id, first_name, last_name, address, email FROM customer WHERE customer_id >= 920"
        out += " ORDER BY customer_id)"
        for options in ("", "(FORMAT csv, HEADER)", "(FORMAT binary)", "(FORMAT csv, FORCE_QUOTE (email))"):
            with cursor.copy(f"COPY {out} TO STDOUT {options}") as leaving:
                seen.append(b"".join(bytes(block) for block in leaving))
        with cursor.copy(f"COPY {out} TO STDOUT (FORMAT binary)") as leaving:
            leaving.set_types(["int4", "varchar", "varchar", "varchar", "varchar"])
            seen.append(list(leaving.rows()))
        with cursor.copy("COPY employee TO STDOUT") as leaving:
            seen.append(sorted(leaving.rows()))
        cursor.execute("DELETE FROM customer WHERE customer_id >= 920")
        seen.append(cursor.rowcount)


def _cursors(connection: psycopg.Connection, seen: list[object]) -> None:
    with connection.transaction():
        with connection.cursor(name="streaming") as cursor:
            cursor.itersize = 7
            cursor.execute(f"SELECT {COLUMNS} FROM customer ORDER BY customer_id")
            seen.append(list(cursor))
        with connection.cursor(name="moving", scrollable=True) as cursor:
            cursor.execute("SELECT employee_id, email, birth_date FROM employee ORDER BY employee_id")
            seen.append(cursor.fetchmany(3))
            cursor.scroll(-2)
            seen.append(cursor.fetchone())
            seen.append(cursor.fetchall())
        with connection.cursor(name="binary", binary=True) as cursor:
            cursor.execute("SELECT birth_date, email FROM employee WHERE last_name = %s", ["Adams"])
            seen.append(cursor.fetchall())
        connection.execute("DECLARE plain CURSOR FOR SELECT email FROM employee ORDER BY employee_id")
        seen.append(_described(connection.execute("FETCH 2 FROM plain")))
        connection.execute("MOVE 2 FROM plain")
        seen.append(_described(connection.execute("FETCH ALL FROM plain")))
    for row in connection.cursor().stream("SELECT customer_id, email FROM customer ORDER BY 1"):
        seen.append(row)


def _errors(connection: psycopg.Connection, seen: list[object]) -> None:
    taken = "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (1, 'a', 'b', 'c')"
    attempts: list[tuple[str, list[object]]] = [
        (taken, []),
        (
            "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (930, %s, 'b', NULL)",
            ["x"],
        ),
        ("UPDATE customer SET last_name = %s WHERE customer_id = 1", ["far too long for varchar(20)"]),
        ("UPDATE employee SET birth_date = 'not a date' WHERE employee_id = 1", []),
        ("SELECT nothing FROM customer WHERE email = 'x@y.z'", []),
        ("SELECT email FROM customer WHERE email = 'x@y.z' AND", []),
        (
            "INSERT INTO invoice (invoice_id, customer_id, invoice_date, total) VALUES (9000, 9999, now(), 1)",
            [],
        ),
    ]
    for statement, values in attempts:
        try:
            connection.execute(statement, values)
        except psycopg.Error as error:
            seen.append(_error(error))
        else:
            seen.append(f"no error: {statement}")
    try:
        with connection.transaction():
            connection.execute("UPDATE customer SET email = 'changed@x.org' WHERE customer_id = 1")
            connection.execute("SELECT 1/0")
    except psycopg.Error as error:
        seen.append(_error(error))
    seen.append(connection.execute("SELECT email FROM customer WHERE customer_id = 1").fetchall())


def _aggregate(connection: psycopg.Connection, seen: list[object]) -> None:
    statements = [
        "SELECT count(*), count(fax), count(DISTINCT last_name), count(DISTINCT address) FROM customer",
        "SELECT country, count(DISTINCT email) FROM customer GROUP BY country ORDER BY country",
        "SELECT max(customer_id), last_name, count(*) FROM customer GROUP BY last_name ORDER BY 1",
        "SELECT email FROM customer WHERE customer_id = 4 UNION SELECT email FROM employee WHERE false"
        " UNION SELECT NULL WHERE false",
        "SELECT count(*) FROM customer c JOIN invoice i ON i.billing_address = c.address AND i.customer_id = c.customer_id",
        "SELECT customer_id FROM customer c WHERE EXISTS (SELECT 1 FROM invoice i WHERE i.billing_address = c.address"
        " AND i.total > 20) ORDER BY 1",
        "SELECT customer_id, COALESCE(fax, phone, 'none'), CASE WHEN fax IS NULL THEN 'no fax' ELSE 'fax' END"
        " FROM customer ORDER BY customer_id",
        "WITH best AS (SELECT customer_id, sum(total) AS spent FROM invoice GROUP BY 1)"
        " SELECT c.email, b.spent FROM best b JOIN customer c USING (customer_id) ORDER BY b.spent DESC, c.customer_id",
        "SELECT row_to_json(c) FROM customer c ORDER BY customer_id",
        "SELECT json_build_object('id', customer_id, 'mail', email) FROM customer ORDER BY customer_id LIMIT 5",
        "SELECT array_agg(email ORDER BY customer_id), string_agg(phone, '; ' ORDER BY customer_id) FROM customer",
        "SELECT concat(first_name, ' ', last_name), format('%s <%s>', last_name, email) FROM customer ORDER BY customer_id",
        "SELECT e FROM employee e WHERE employee_id = 3",
        "SELECT sub.email FROM (SELECT * FROM customer WHERE country = 'Canada') sub ORDER BY sub.customer_id",
        "SELECT m.email, e.email FROM employee e LEFT JOIN employee m ON m.employee_id = e.reports_to"
        " ORDER BY e.employee_id",
    ]
    for statement in statements:
        seen.append(_described(connection.execute(statement)))


def _error(error: psycopg.Error) -> object:
    about = error.diag
    if about.sqlstate in {"42601", "22007"}:  # the server quotes a value, which pgnym leaves out
        return type(error).__name__, about.statement_position
    return (
        type(error).__name__, about.sqlstate, about.message_primary, about.message_detail, about.message_hint,
        about.statement_position, about.schema_name, about.table_name, about.column_name, about.constraint_name,
    )  # fmt: skip
