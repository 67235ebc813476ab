"""What an application does with psycopg 2: simple queries with the values written into the text."""

from __future__ import annotations

import datetime
import io
from typing import Any

import psycopg2
import psycopg2.extras


def tour(dsn: str) -> list[object]:
    """The whole tour; every row, description and error in order."""
    seen: list[object] = []
    connection = psycopg2.connect(dsn)
    try:
        for part in (_read, _write, _values, _copy, _cursors, _errors):
            seen.append(part.__name__)
            part(connection, seen)
            connection.rollback()
    finally:
        connection.close()
    return seen


def _run(connection: Any, seen: list[object], sql: str, values: object = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        columns = None if cursor.description is None else [tuple(c) for c in cursor.description]
        seen.append((columns, cursor.statusmessage, cursor.fetchall() if columns is not None else None))


def _read(connection: Any, seen: list[object]) -> None:
    _run(connection, seen, "SELECT * FROM customer ORDER BY customer_id")
    _run(connection, seen, "SELECT * FROM employee ORDER BY employee_id")
    by_email = "SELECT customer_id, phone FROM customer WHERE email = %s"
    for email in ("luisg@embraer.com.br", "none@x.org", "quo'te\\d"):
        _run(connection, seen, by_email, (email,))
    _run(connection, seen, "SELECT email FROM customer WHERE email IN %s ORDER BY customer_id",
         (("luisg@embraer.com.br", "ftremblay@gmail.com"),))  # fmt: skip
    _run(connection, seen, "SELECT email FROM customer WHERE email = ANY(%s)", (["luisg@embraer.com.br"],))
    _run(connection, seen, "SELECT * FROM employee WHERE birth_date = %s", (datetime.datetime(1962, 2, 18),))
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT * FROM invoice WHERE customer_id = 5 ORDER BY invoice_id")
        seen.append([dict(row) for row in cursor])


def _write(connection: Any, seen: list[object]) -> None:
    insert = (
        "INSERT INTO customer (customer_id, first_name, last_name, email, fax) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING customer_id, email, fax"
    )
    _run(connection, seen, insert, (940, "Björk", "O'Hara", "b@x.org", None))
    _run(connection, seen, insert, (941, "", "\\", "c@x.org", ""))
    _run(connection, seen, "UPDATE customer SET email = %s WHERE email = %s", ("d@x.org", "b@x.org"))
    _run(connection, seen, "SELECT * FROM customer WHERE email = %s", ("d@x.org",))
    connection.commit()
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE customer SET phone = %s WHERE customer_id = %s", [("1", 940), ("2", 941)])
        seen.append(cursor.rowcount)
    _run(connection, seen, "SELECT customer_id, phone FROM customer WHERE phone IN ('1', '2') ORDER BY 1")
    _run(connection, seen, "DELETE FROM customer WHERE customer_id >= 940")
    connection.commit()


def _values(connection: Any, seen: list[object]) -> None:
    rows = [(n, f"First {n}", f"Last {n}", f"{n}@values.example") for n in range(950, 990)]
    with connection.cursor() as cursor:
        returned = psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES %s RETURNING customer_id, email",
            rows,
            page_size=15,
            fetch=True,
        )
        seen.append(returned)
        psycopg2.extras.execute_batch(
            cursor,
            "UPDATE customer SET fax = %s WHERE email = %s",
            [(str(r[0]), r[3]) for r in rows],
            page_size=9,
        )
        psycopg2.extras.execute_values(
            cursor,
            "UPDATE customer SET last_name = v.name FROM (VALUES %s) AS v (id, name) WHERE customer_id = v.id",
            [(r[0], "Renamed") for r in rows[:10]],
        )
        seen.append(cursor.statusmessage)
    _run(
        connection,
        seen,
        "SELECT customer_id, last_name, fax FROM customer WHERE customer_id >= 950 ORDER BY 1",
    )
    connection.rollback()


def _copy(connection: Any, seen: list[object]) -> None:
    with connection.cursor() as cursor:
        out = io.StringIO()
        cursor.copy_expert(
            "COPY (SELECT * FROM employee ORDER BY employee_id) TO STDOUT (FORMAT csv, HEADER)", out
        )
        seen.append(out.getvalue())
        out = io.StringIO()
        cursor.copy_to(out, "customer", columns=("customer_id", "email", "fax"))
        seen.append(sorted(out.getvalue().splitlines()))
        lines = "".join(f"{n}\tA{n}\tB{n}\t{n}@copy.example\n" for n in range(2000, 2500))
        cursor.copy_from(io.StringIO(lines), "customer", columns=("customer_id", "first_name", "last_name", "email"),
                         size=100)  # fmt: skip
        seen.append(cursor.rowcount)
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT customer_id, email FROM customer WHERE customer_id >= 2000 ORDER BY 1)"
                           " TO STDOUT", out)  # fmt: skip
        seen.append(out.getvalue())
    connection.rollback()


def _cursors(connection: Any, seen: list[object]) -> None:
    with connection.cursor(name="server_side") as cursor:
        cursor.itersize = 10
        cursor.execute("SELECT customer_id, first_name, email FROM customer ORDER BY customer_id")
        seen.append(cursor.fetchmany(3))
        seen.append(list(cursor))


def _errors(connection: Any, seen: list[object]) -> None:
    for sql in (
        "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (1, 'a', 'b', 'c')",
        "SELECT email FROM customer WHERE email = = 'x'",
        "SELECT nope FROM customer WHERE email = 'x'",
        "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (941, 'a', 'b', NULL)",
    ):
        with connection.cursor() as cursor:
            try:
                cursor.execute(sql)
            except psycopg2.Error as error:
                # "syntax error at or near" may quote a value, so pgnym leaves that part out
                said = None if error.pgcode == "42601" else error.pgerror
                seen.append((type(error).__name__, error.pgcode, said, error.diag.message_detail))
            else:
                seen.append(f"no error: {sql}")
        connection.rollback()
