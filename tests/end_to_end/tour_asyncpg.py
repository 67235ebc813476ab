"""What an application does with asyncpg: binary format, prepared statements, pipelines of Bind and Execute."""

from __future__ import annotations

import asyncio
import datetime
import io
from typing import Any

import asyncpg


def tour(dsn: str) -> list[object]:
    """The whole tour; every row, type and error in order."""
    return asyncio.run(_tour(dsn))


async def _tour(dsn: str) -> list[object]:
    seen: list[object] = []
    connection = await asyncpg.connect(dsn)
    try:
        for part in (_fetch, _prepare, _write, _many, _copy, _cursor, _errors):
            seen.append(part.__name__)
            await part(connection, seen)
    finally:
        await connection.close()
    return seen


def _rows(records: list[Any]) -> list[dict[str, object]]:
    return [dict(record) for record in records]


async def _fetch(connection: Any, seen: list[object]) -> None:
    seen.append(_rows(await connection.fetch("SELECT * FROM customer ORDER BY customer_id")))
    seen.append(_rows(await connection.fetch("SELECT * FROM employee ORDER BY employee_id")))
    by_email = "SELECT * FROM customer WHERE email = $1"
    for email in ("luisg@embraer.com.br", "none@x.org", ""):
        seen.append(_rows(await connection.fetch(by_email, email)))
    emails = ["luisg@embraer.com.br", "ftremblay@gmail.com"]
    seen.append(_rows(await connection.fetch("SELECT email FROM customer WHERE email = ANY($1) ORDER BY customer_id",
                                             emails)))  # fmt: skip
    born = datetime.datetime(1962, 2, 18)
    seen.append(_rows(await connection.fetch("SELECT * FROM employee WHERE birth_date = $1", born)))
    seen.append(await connection.fetchval("SELECT email FROM employee WHERE employee_id = $1", 4))
    row = await connection.fetchrow("SELECT i.total, i FROM invoice i WHERE invoice_id = 4")
    seen.append((row[0], tuple(row[1])))
    seen.append(_rows(await connection.fetch(
        "SELECT i.invoice_id, c.last_name, i.billing_address FROM invoice i JOIN customer c USING (customer_id)"
        " WHERE c.last_name = $1 AND i.billing_address = c.address ORDER BY 1", "Tremblay")))  # fmt: skip
    seen.append(
        _rows(await connection.fetch("SELECT array_agg(email ORDER BY customer_id) AS mails FROM customer"))
    )


async def _prepare(connection: Any, seen: list[object]) -> None:
    for text in (
        "SELECT customer_id, email, phone FROM customer WHERE email = $1 AND customer_id < $2",
        "SELECT birth_date, email FROM employee WHERE birth_date = $1",
        "INSERT INTO employee (employee_id, last_name, first_name, birth_date) VALUES ($1, $2, $3, $4)",
    ):
        statement = await connection.prepare(text)
        seen.append([(t.oid, t.name) for t in statement.get_parameters()])
        seen.append([(a.name, a.type.oid, a.type.name) for a in statement.get_attributes()])
        seen.append(statement.get_statusmsg())
    statement = await connection.prepare("SELECT customer_id, phone FROM customer WHERE email = $1")
    for email in ("luisg@embraer.com.br", "ftremblay@gmail.com", "luisg@embraer.com.br"):
        seen.append(_rows(await statement.fetch(email)))


async def _write(connection: Any, seen: list[object]) -> None:
    insert = (
        "INSERT INTO employee (employee_id, last_name, first_name, birth_date, email) VALUES ($1, $2, $3, $4, $5)"
        " RETURNING *"
    )
    born = datetime.datetime(1999, 12, 31, 23, 59, 59, 123456)
    seen.append(_rows(await connection.fetch(insert, 100, "Süß", "Ann", born, "ann@x.org")))
    seen.append(_rows(await connection.fetch(insert, 101, "", "Bo", None, None)))
    seen.append(
        await connection.execute("UPDATE employee SET email = $1 WHERE email = $2", "ann2@x.org", "ann@x.org")
    )
    seen.append(_rows(await connection.fetch("SELECT * FROM employee WHERE birth_date = $1", born)))
    upsert = (
        "INSERT INTO employee (employee_id, last_name, first_name, email) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (employee_id) DO UPDATE SET last_name = EXCLUDED.last_name, email = $4 RETURNING last_name, email"
    )
    seen.append(_rows(await connection.fetch(upsert, 100, "Upserted", "x", "up@x.org")))
    transaction = connection.transaction()
    await transaction.start()
    seen.append(await connection.execute("DELETE FROM employee WHERE email = 'up@x.org'"))
    await transaction.rollback()
    seen.append(await connection.execute("DELETE FROM employee WHERE employee_id >= 100"))
    seen.append(
        await connection.execute("SELECT 1; SELECT email FROM customer WHERE email = 'luisg@embraer.com.br'")
    )


async def _many(connection: Any, seen: list[object]) -> None:
    insert = "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4)"
    rows = [(n, f"F{n}", f"L{n}", f"{n}@many.example") for n in range(3000, 3120)]
    await connection.executemany(insert, rows)
    again = [(n, "F", "L", f"{n}@again.example") for n in range(3200, 3210)]
    seen.append(_rows(await connection.fetchmany(insert + " RETURNING email", again)))
    seen.append(
        _rows(await connection.fetch("SELECT * FROM customer WHERE customer_id >= 3000 ORDER BY customer_id"))
    )
    seen.append(await connection.execute("DELETE FROM customer WHERE customer_id >= 3000"))


async def _copy(connection: Any, seen: list[object]) -> None:
    columns = ["customer_id", "first_name", "last_name", "email", "fax"]
    records = [(n, f"Cöpy {n}", "Row", f"{n}@copy.example", None if n % 2 else "") for n in range(4000, 4100)]
    seen.append(await connection.copy_records_to_table("customer", records=records, columns=columns))
    source = io.BytesIO(b'4200,"A ""q""",B,c@copy.example,\n')
    seen.append(await connection.copy_to_table("customer", source=source, columns=columns, format="csv"))
    for options in ({}, {"format": "csv", "header": True}, {"format": "binary"}):
        out = io.BytesIO()
        seen.append(await connection.copy_from_query(
            "SELECT customer_id, first_name, email, fax FROM customer WHERE customer_id >= $1 ORDER BY 1", 4000,
            output=out, **options))  # fmt: skip
        seen.append(out.getvalue())
    out = io.BytesIO()
    seen.append(await connection.copy_from_table("employee", output=out))
    seen.append(sorted(out.getvalue().splitlines()))
    seen.append(await connection.execute("DELETE FROM customer WHERE customer_id >= 4000"))


async def _cursor(connection: Any, seen: list[object]) -> None:
    async with connection.transaction():
        statement = "SELECT customer_id, email FROM customer WHERE country <> $1 ORDER BY customer_id"
        seen.append([dict(r) async for r in connection.cursor(statement, "Canada", prefetch=7)])
        cursor = await connection.cursor(
            "SELECT employee_id, email, birth_date FROM employee ORDER BY employee_id"
        )
        await cursor.forward(2)
        seen.append(_rows(await cursor.fetch(3)))
        seen.append(dict(await cursor.fetchrow()))


async def _errors(connection: Any, seen: list[object]) -> None:
    attempts: list[tuple[str, tuple[object, ...]]] = [
        (
            "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, 'a', 'b', $2)",
            (1, "c"),
        ),
        ("UPDATE customer SET last_name = $1 WHERE customer_id = 1", ("far too long for varchar(20)",)),
        ("SELECT email FROM customer WHERE email = $1 AND nope", ("x",)),
        ("SELECT frm customer", ()),
    ]
    for statement, values in attempts:
        try:
            await connection.execute(statement, *values)
        except asyncpg.PostgresError as error:
            seen.append((type(error).__name__, error.sqlstate, str(error), error.detail, error.position))
        else:
            seen.append(f"no error: {statement}")
