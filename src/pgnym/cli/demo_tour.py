"""The demo's tour: an application's ordinary statements, through the gateway, beside what the database holds.

Whatever it reads was read once before the database was protected (``Expected``); a read through the gateway
must give the same rows and types again.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from pgnym.cli.demo_search import SHORTEST
from pgnym.cli.demo_show import Show

TOKEN = re.compile(r"^pn1[a-z2-7]{27}$")

PROTECTED: Mapping[str, tuple[str, ...]] = {
    "customer": ("first_name", "last_name", "email", "phone", "birth_date"),
    "orders": ("ship_address",),
    "newsletter": ("email",),
}

CUSTOMERS = """
SELECT customer_id, first_name, last_name, email, birth_date, city
FROM customer ORDER BY customer_id LIMIT 4
"""
BY_EMAIL = "SELECT customer_id, first_name, last_name, phone FROM customer WHERE email = $1"
OVERVIEW = "SELECT order_id, customer, email, ship_address, total FROM order_overview ORDER BY order_id"
NEWSLETTER = """
SELECT c.first_name, n.email, n.since
FROM newsletter n JOIN customer c USING (email)
WHERE c.last_name IN ('Brackwater', '渡会') ORDER BY n.since
"""
AS_JSON = """
SELECT json_build_object('id', customer_id, 'name', last_name, 'e-mail', email) AS customer
FROM customer WHERE city = 'Dingle'
"""
UNPROTECTED = "SELECT product_id, title, price FROM product ORDER BY price DESC"

READS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "four customers": (CUSTOMERS, ()),
    "a search by e-mail": (BY_EMAIL, ("ottoline@brackwater.example",)),
    "a view with a join, concatenation and a sum": (OVERVIEW, ()),
    "a join on protected columns": (NEWSLETTER, ()),
    "JSON built by the database": (AS_JSON, ()),
    "an unprotected table": (UNPROTECTED, ()),
}

INSERT = """
INSERT INTO customer (first_name, last_name, email, phone, birth_date, city)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING customer_id, first_name, last_name, email, birth_date
"""
INSERTED = (
    "Philippa", "Sedgemoor", "philippa.sedgemoor@withy.example", "+44 7700 900377",
    datetime.date(1988, 2, 29), "Burrowbridge",
)  # fmt: skip
UPDATE = "UPDATE customer SET last_name = 'Sedgemoor-Quill', email = $2 WHERE email = $1"
MOVED_TO = "pippa.quill@rhyne.example"
COMPUTED = "UPDATE customer SET email = first_name || '@withy.example' WHERE customer_id = 1"
AROUND = "UPDATE customer SET email = 'typed.in.by.hand@psql.example' WHERE customer_id = 1"
"""Sent to the server itself. Its text then stands in the server's log, so it is no canary: no gateway could
help.
"""

Answer = list[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plain database answered before it was protected, and the values that must not be found
    after.
    """

    answers: Mapping[str, Answer]
    canaries: tuple[str, ...]


async def record(plain: asyncpg.Connection) -> Expected:
    """Reads all that the tour reads, from the database that isn't protected yet."""
    answers = {name: list(await plain.fetch(sql, *values)) for name, (sql, values) in READS.items()}
    values: set[str] = {str(value) for value in INSERTED[:5]}
    values |= {MOVED_TO, "Sedgemoor-Quill"}
    for table, columns in PROTECTED.items():
        for row in await plain.fetch(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608
            values |= {str(value) for value in row.values() if value is not None}
    return Expected(answers, tuple(sorted(v for v in values if len(v.encode()) >= SHORTEST)))


async def tour(
    app: asyncpg.Connection,
    helpdesk: asyncpg.Connection,
    behind: asyncpg.Connection,
    expected: Expected,
    show: Show,
) -> None:
    """Runs the tour. ``app`` and ``helpdesk`` are connected through the gateway, ``behind`` to the database
    itself.
    """
    await _reads(app, behind, expected, show)
    await _writes(app, behind, show)
    await _refusals(app, behind, show)
    await _helpdesk(helpdesk, expected, show)
    await _only_tokens(behind, show)


async def _reads(app: asyncpg.Connection, behind: asyncpg.Connection, expected: Expected, show: Show) -> None:
    for name, (sql, values) in READS.items():
        show.step(name, sql)
        for number, value in enumerate(values, 1):
            show.say(f"  ${number} = [green]{value}[/]")
        through = list(await app.fetch(sql, *values))
        if name == "a search by e-mail":
            stored = await behind.fetch(BY_EMAIL.replace("WHERE email = $1", "WHERE customer_id = 1"))
        elif name == "a join on protected columns":
            stored = await behind.fetch(NEWSLETTER.replace("c.last_name IN ('Brackwater', '渡会')", "true"))
        else:
            stored = await behind.fetch(sql, *values)
        show.sides(through, stored)
        show.check(
            f"{name}: the answer is that of the plain database", _same(through, expected.answers[name])
        )


async def _writes(app: asyncpg.Connection, behind: asyncpg.Connection, show: Show) -> None:
    show.step("a new customer", INSERT)
    through = list(await app.fetch(INSERT, *INSERTED))
    number = through[0]["customer_id"]
    stored = (
        "SELECT customer_id, first_name, last_name, email, birth_date FROM customer WHERE customer_id = $1"
    )
    row = await behind.fetch(stored, number)
    show.sides(through, row)
    show.check("an insert: RETURNING gives the values", tuple(through[0])[1:] == (*INSERTED[:3], INSERTED[4]))
    show.check("an insert: the database stores tokens", all(TOKEN.match(str(v)) for v in tuple(row[0])[1:]))

    show.step("a change of name and e-mail", UPDATE)
    tag = await app.execute(UPDATE, INSERTED[2], MOVED_TO)
    through = list(await app.fetch(stored, number))
    row = await behind.fetch(stored, number)
    show.sides(through, row)
    show.check("an update: one row by its e-mail", tag == "UPDATE 1", tag)
    seen = through[0]["last_name"], through[0]["email"]
    show.check("an update: the new values are seen", seen == ("Sedgemoor-Quill", MOVED_TO))
    gone = await app.fetch(BY_EMAIL, INSERTED[2])
    show.check("an update: the old e-mail finds nobody any more", gone == [])
    try:
        await app.execute(UPDATE, MOVED_TO, "ottoline@brackwater.example")
    except asyncpg.UniqueViolationError as error:
        show.error(error)
        show.check("UNIQUE holds between values", error.constraint_name == "customer_email_key")
    else:
        show.check("UNIQUE holds between values", False, "a second customer with the same e-mail was stored")


async def _refusals(app: asyncpg.Connection, behind: asyncpg.Connection, show: Show) -> None:
    show.step("what can't be done faithfully is refused", COMPUTED)
    try:
        await app.execute(COMPUTED)
    except asyncpg.PostgresError as error:
        show.error(error)
        show.check(
            "a value computed from other columns is refused, with a hint", bool(error.hint), str(error)
        )
    else:
        show.check("a value computed from other columns is refused, with a hint", False, "it was carried out")

    show.step("around the gateway, straight into the database, plaintext is refused by its CHECK", AROUND)
    try:
        await behind.execute(AROUND)
    except asyncpg.CheckViolationError as error:
        name = error.constraint_name or ""
        show.say(f"[red]ERROR {error.sqlstate}[/]: violates check constraint {name}")
        show.check("the database refuses plaintext", name.startswith("pgnym_"), name)
    else:
        show.check("the database refuses plaintext", False, "it was stored")


async def _helpdesk(helpdesk: asyncpg.Connection, expected: Expected, show: Show) -> None:
    show.step("another role sees less: the help desk's first names, masks for the rest", CUSTOMERS)
    seen = list(await helpdesk.fetch(CUSTOMERS.replace("birth_date, ", "")))
    show.rows("the help desk sees", seen)
    plain = expected.answers["four customers"]
    pairs = list(zip(seen, plain, strict=True))
    show.check("a role sees what it may", all(a["first_name"] == b["first_name"] for a, b in pairs))
    masked = all(a[name] != b[name] for a, b in pairs for name in ("last_name", "email"))
    show.check("a role sees no more than that", masked)


async def _only_tokens(behind: asyncpg.Connection, show: Show) -> None:
    stored: list[str] = []
    for table, columns in PROTECTED.items():
        for row in await behind.fetch(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608
            stored += [str(value) for value in row.values() if value is not None]
    wrong = sum(not TOKEN.match(value) for value in stored)
    show.step("all protected columns")
    what = f"all {len(stored)} protected values in the database are tokens"
    show.check(what, wrong == 0 and bool(stored), f"{wrong} are not")


def _same(through: Sequence[asyncpg.Record], plain: Sequence[asyncpg.Record]) -> bool:
    """The same rows: column names, values and Python types (which follow from the types that the server
    names).
    """

    def spelled(rows: Sequence[asyncpg.Record]) -> list[list[tuple[str, type, Any]]]:
        return [[(name, type(value), value) for name, value in row.items()] for row in rows]

    return spelled(through) == spelled(plain)
