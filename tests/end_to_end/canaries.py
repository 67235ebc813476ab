"""Values that must never be found, and all the ways in which applications write values."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import tour_django
import tour_sqlalchemy
from django.db import connections
from sqlalchemy import create_engine
from sqlalchemy import insert as sqlalchemy_insert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

# The tables of the Chinook shop that hold people, as the driver tours' models know them, and without their rows.
TABLES = """
CREATE TABLE employee (employee_id int PRIMARY KEY, last_name varchar(20), first_name varchar(20), title text,
  reports_to int, birth_date timestamp, hire_date timestamp, address varchar(70), city text, phone varchar(24),
  fax varchar(24), email varchar(60));
CREATE TABLE customer (customer_id int PRIMARY KEY, first_name varchar(40), last_name varchar(20), company varchar(80),
  address varchar(70), city text, country text, phone varchar(24), fax varchar(24), email varchar(60) UNIQUE,
  support_rep_id int REFERENCES employee);
CREATE TABLE invoice (invoice_id int PRIMARY KEY, customer_id int REFERENCES customer, invoice_date timestamp,
  billing_address varchar(70), total numeric(10, 2));
CREATE TABLE note (id int, about text);
"""


class Canaries:
    """Gives out values that nothing else contains, and numbers for primary keys. ``given`` has all values."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self._number = 0

    def __call__(self) -> str:
        """A new value; it fits varchar(20)."""
        self.given.append("Cnry" + secrets.token_hex(6))
        return self.given[-1]

    def number(self) -> int:
        """A new number."""
        self._number += 1
        return self._number

    def person(self) -> tuple[int, str, str, str]:
        """Number, first name, last name, e-mail."""
        return self.number(), self(), self(), f"{self()}@x.org"

    def needles(self) -> list[bytes]:
        """What to search for."""
        return [value.encode() for value in self.given]


COLUMNS = "(customer_id, first_name, last_name, email)"
INSERT = f"INSERT INTO customer {COLUMNS} VALUES (%s, %s, %s, %s)"
UPSERT = INSERT + " ON CONFLICT (email) DO UPDATE SET last_name = %s, first_name = EXCLUDED.first_name"


def by_psycopg(url: str, new: Canaries) -> None:
    """Extended protocol in all its uses, and COPY."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(INSERT, new.person())
        connection.execute(INSERT.replace("%s", "%b"), new.person())
        for _ in range(7):
            connection.execute(INSERT, new.person(), prepare=True)
        person = new.person()
        connection.execute(INSERT, person)
        connection.execute(UPSERT, (*person[:3], person[3], new()))
        connection.cursor().executemany(INSERT, [new.person() for _ in range(5)])
        with connection.pipeline():
            for _ in range(5):
                connection.execute(INSERT, new.person())
        connection.execute(
            "UPDATE customer SET (phone, fax) = (%s, %s) WHERE email = %s", [new(), new(), person[3]]
        )
        connection.execute(
            "SELECT * FROM customer WHERE last_name = %s OR email = ANY(%s)", [new(), [new(), new()]]
        )
        connection.execute(
            "SELECT * FROM customer WHERE (%(m)s::text IS NULL OR email = %(m)s)", {"m": new()}
        )
        connection.execute("DELETE FROM customer WHERE email = %s", [new()])
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY customer {COLUMNS} FROM STDIN") as into:
                for _ in range(20):
                    into.write_row(new.person())
            with cursor.copy(f"COPY customer {COLUMNS} FROM STDIN (FORMAT binary)") as into:
                into.set_types(["int4", "varchar", "varchar", "varchar"])
                into.write_row(new.person())
            with cursor.copy(f"COPY customer {COLUMNS} FROM STDIN (FORMAT csv)") as into:
                for part in (f"{new.number()},{new()}", f'{new()[:4]},"{new()}', f'","{new()}', '@x.org"\n'):
                    into.write(part)
        with connection.transaction(force_rollback=True):
            connection.execute(INSERT, new.person())


def by_simple_queries(url: str, new: Canaries) -> None:
    """Values written into the text, in every spelling that SQL has."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(INSERT, new.person())
        many = INSERT + ", (%s, %s, %s, %s)" * 4 + " RETURNING 0"
        cursor.execute(many, [value for _ in range(5) for value in new.person()])
        a, b, c = new(), new(), new()
        spellings = [f"'{a}'", f"E'{a[:5]}\\x{ord(a[5]):02x}{a[6:]}'", f"U&'\\{ord(b[0]):04x}{b[1:]}'", f"$x${c}$x$",
                     f"'{b[:6]}'\n'{b[6:]}'", f"CAST('{new()}' AS text)", f"'{new()}'::varchar(18)", f"(('{new()}'))",
                     f"'{c}' -- '\n"]  # fmt: skip
        for spelling in spellings:
            connection.execute(
                f"INSERT INTO customer (customer_id, last_name) VALUES ({new.number()}, {spelling})"
            )
        names = ['"customer"', "public.customer", '"public" . "customer"', "CUSTOMER", "Public.Customer/* */",
                 'U&"custom\\0065r"', 'U&"!0063ustomer" UESCAPE \'!\'', "/*'*/customer", "-- '\ncustomer"]  # fmt: skip
        for name in names:
            connection.execute(f"INSERT INTO {name} (customer_id, email) VALUES ({new.number()}, '{new()}')")
            connection.execute(f"UPDATE {name} SET fax = '{new()}' WHERE phone = '{new()}'")
        connection.execute(
            f"INSERT INTO customer (customer_id, email) VALUES ({new.number()}, '{new()}');"
            f"UPDATE customer SET phone = '{new()}' WHERE email = '{new()}'; SELECT 1"
        )
        connection.execute(
            f"WITH n AS (INSERT INTO customer (customer_id, email) VALUES ({new.number()}, '{new()}') RETURNING email)"
            f" SELECT * FROM n WHERE email <> '{new()}'"
        )
        connection.execute(f"INSERT INTO customer (customer_id, email) SELECT {new.number()}, '{new()}'")
        connection.execute(
            f"MERGE INTO customer c USING (VALUES ({new.number()}, '{new()}')) v (id, mail) ON c.customer_id = v.id"
            " WHEN NOT MATCHED THEN INSERT (customer_id, email) VALUES (v.id, v.mail)"
        )
        connection.execute(f"PREPARE p (text) AS UPDATE customer SET fax = $1 WHERE phone = '{new()}'")
        connection.execute(f"EXECUTE p ('{new()}')")
        connection.execute(
            f"BEGIN; DECLARE k CURSOR FOR SELECT * FROM customer WHERE email = '{new()}'; COMMIT"
        )
        connection.execute(f"EXPLAIN SELECT * FROM customer WHERE email = '{new()}'")


def by_psycopg2(url: str, new: Canaries) -> None:
    """``execute_values`` and ``execute_batch``."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(INSERT, new.person())
            people = [new.person() for _ in range(30)]
            psycopg2.extras.execute_values(
                cursor, f"INSERT INTO customer {COLUMNS} VALUES %s", people, page_size=7
            )
            psycopg2.extras.execute_batch(cursor, INSERT, [new.person() for _ in range(9)], page_size=4)
            mogrified = "UPDATE customer SET phone = v.p FROM (VALUES %s) v (id, p) WHERE customer_id = v.id"
            psycopg2.extras.execute_values(cursor, mogrified, [(p[0], new()) for p in people])
    finally:
        connection.close()


def by_asyncpg(url: str, new: Canaries) -> None:
    """Binary parameters, ``executemany`` and binary COPY."""

    async def write() -> None:
        connection = await asyncpg.connect(url)
        try:
            insert = f"INSERT INTO customer {COLUMNS} VALUES ($1, $2, $3, $4)"
            await connection.execute(insert, *new.person())
            await connection.executemany(insert, [new.person() for _ in range(40)])
            statement = await connection.prepare(
                "SELECT * FROM customer WHERE email = $1 AND last_name <> $2"
            )
            await statement.fetch(new(), new())
            columns = ["customer_id", "first_name", "last_name", "email"]
            people = [new.person() for _ in range(40)]
            await connection.copy_records_to_table("customer", records=people, columns=columns)
            await connection.fetch("SELECT email FROM customer WHERE email = ANY($1)", [p[3] for p in people])
        finally:
            await connection.close()

    asyncio.run(write())


def by_sqlalchemy(url: str, new: Canaries) -> None:
    """ORM with both dialects."""

    def add(session: Session) -> None:
        for number, first, last, email in (new.person() for _ in range(15)):
            session.add(
                tour_sqlalchemy.Customer(customer_id=number, first_name=first, last_name=last, email=email)
            )
        session.flush()
        keys = ("customer_id", "first_name", "last_name", "email")
        rows = [dict(zip(keys, new.person(), strict=True)) for _ in range(15)]
        session.execute(sqlalchemy_insert(tour_sqlalchemy.Customer), rows)
        session.commit()

    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        add(session)
    engine.dispose()

    async def write() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as connection:
            await connection.run_sync(lambda inner: add(Session(inner)))
        await engine.dispose()

    asyncio.run(write())


def by_django(url: str, new: Canaries) -> None:
    """``create``, ``bulk_create``, ``bulk_update``, ``update``."""
    with tour_django.connected(url) as alias:
        customers = tour_django.Customer.objects.using(alias)

        def person() -> Any:
            number, first, last, email = new.person()
            return tour_django.Customer(customer_id=number, first_name=first, last_name=last, email=email)

        one = person()
        one.save(using=alias, force_insert=True)
        many = [person() for _ in range(20)]
        customers.bulk_create(many, batch_size=8)
        for each in many:
            each.phone = new()
        customers.bulk_update(many, ["phone"])
        customers.filter(email=new()).update(fax=new())
        customers.filter(last_name__in=[new(), new()]).exists()
        assert alias in connections.databases


WRITERS: dict[str, Callable[[str, Canaries], None]] = {
    "psycopg 3": by_psycopg,
    "simple queries": by_simple_queries,
    "psycopg 2": by_psycopg2,
    "asyncpg": by_asyncpg,
    "SQLAlchemy": by_sqlalchemy,
    "Django": by_django,
}
