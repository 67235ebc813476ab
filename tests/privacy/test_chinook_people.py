"""Chinook's customers: reported on, erased and asked for consent over customers, invoices, support cases and employees.

Two gateways serve the same shop, with the vault beside its tables or on a server of its own. What they show is compared with
an unprotected twin.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy

from support import chinook
from support.admin import AdminClient, first_token
from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

# What Chinook says of support is one column; here each customer has had a case, which repeats some of their data.
SUPPORT = """
CREATE TABLE support_case (case_id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customer,
  employee_id int NOT NULL REFERENCES employee, callback varchar(24), mail varchar(60), note text);
INSERT INTO support_case (customer_id, employee_id, callback, mail, note)
  SELECT customer_id, support_rep_id, phone, email, 'case of ' || customer_id FROM customer ORDER BY customer_id;
UPDATE support_case SET callback = (SELECT phone FROM employee e WHERE e.employee_id = support_case.employee_id)
  WHERE customer_id % 2 = 0;
ALTER TABLE customer ADD UNIQUE (fax);
"""
BY_CONSENT = {"legal_basis": "consent", "purposes": ["newsletter"]}
PERSON = chinook.columns()
TABLES: dict[str, Any] = {
    "public.customer": {
        "subject": "customer_id",
        "columns": PERSON
        | {"fax": {"domain": "fax", **BY_CONSENT}, "email": {"tokens": "randomized", **BY_CONSENT}},
    },
    "public.employee": {"subject": "employee_id", "columns": chinook.columns(born=True)},
    "public.invoice": {
        "subject": "customer_id",
        "subject_table": "public.customer",
        "columns": {"billing_address": {"domain": chinook.ADDRESS}},
    },
    "public.support_case": {
        "subject": "customer_id",
        "subject_table": "public.customer",
        "on_erase": "delete",
        "columns": {"callback": {"domain": chinook.PHONE}, "mail": {"tokens": "randomized"}},
    },
}
ROLES = {"app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["newsletter", "service"]}}
LOOKS = {
    "customer": ("customer_id", "first_name, last_name, address, phone, fax, email, city, support_rep_id"),
    "invoice": ("customer_id", "invoice_id, billing_address, billing_city, total"),
    "support_case": ("customer_id", "case_id, employee_id, callback, mail, note"),
    "employee": ("employee_id", "first_name, last_name, address, phone, fax, email, birth_date"),
}
WHOSE = "?table=public.customer"
OWN = ("first_name", "last_name", "address", "phone", "fax", "email")


@dataclass(frozen=True, slots=True)
class Shop:
    """``database`` behind two gateways; ``twin`` is what it would be without."""

    postgres: Cluster
    database: str
    twin: str
    store: str
    gateways: tuple[Gateway, Gateway]
    ask: AdminClient

    def url(self, gateway: int = 0, purpose: str = "newsletter") -> str:
        """Of a session that states a purpose."""
        return f"{self.gateways[gateway].url(self.database)}?options=-c%20pgnym.purpose%3D{purpose}"

    def seen(self, url: str, table: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Rows of a table, by subject."""
        key, columns = LOOKS[table]
        with closing(psycopg.connect(url, autocommit=True)) as session:
            query = f"SELECT {key}, {columns} FROM {table} WHERE {where} ORDER BY 1, 2, 3"
            return session.execute(query.encode()).fetchall()

    def says(self, customer: int, action: str, gateway: int = 0) -> None:
        """A customer accepts or withdraws."""
        ask = replace(self.ask, gateway=self.gateways[gateway])
        body = {"action": action, "purposes": ["newsletter"], "channel": "form"}
        answer = ask("POST", f"/v1/subjects/{customer}/consents{WHOSE}", body)
        assert answer.status == 201, answer.body

    def all_agree(self) -> None:
        """Every customer accepts."""
        for customer in range(1, 60):
            self.says(customer, "accept", customer % 2)

    def stored(self, customer: int) -> dict[str, str]:
        """The tokens in a customer's own row, by column."""
        with closing(psycopg.connect(self.postgres.url(self.database))) as dba:
            query = f"SELECT {', '.join(OWN)} FROM customer WHERE customer_id = {customer}"
            (row,) = dba.execute(query.encode()).fetchall()
        return {name: token for name, token in zip(OWN, row, strict=True) if token}

    def change(self, sql: str) -> None:
        """The application changes something, of the shop and of its twin."""
        for url in (self.url(), self.postgres.url(self.twin)):
            with closing(psycopg.connect(url, autocommit=True)) as session:
                session.execute(sql.encode())


@pytest.fixture(scope="module", params=[False, True], ids=["one database", "vault on a server of its own"])
def setting(
    request: pytest.FixtureRequest, postgres: Cluster, chinook_template: str
) -> Iterator[tuple[Cluster, str, str, tuple[Cluster, str], Deployment]]:
    """An applied shop, whose database the tests copy."""
    with ExitStack() as stack:
        kind = "own" if request.param else "one"
        twin = f"people_twin_{kind}"
        postgres.psql(f"CREATE DATABASE {twin} TEMPLATE {chinook_template}")
        stack.callback(postgres.psql, f"DROP DATABASE {twin} WITH (FORCE)")
        postgres.psql(SUPPORT, twin)
        database = f"people_{kind}"
        postgres.psql(f"CREATE DATABASE {database} TEMPLATE {twin}")
        stack.callback(postgres.psql, f"DROP DATABASE {database} WITH (FORCE)")
        where = (postgres, database)
        if request.param:
            other = stack.enter_context(Cluster())
            other.psql("CREATE DATABASE store")
            where = (other, "store")
        made = deployment(
            postgres, database, tables=TABLES, roles=ROLES, vault=where if request.param else None,
            privacy={"settle": 1},
        )  # fmt: skip
        made.apply()
        yield postgres, database, twin, where, made


@pytest.fixture(scope="module")
def shop(setting: tuple[Cluster, str, str, tuple[Cluster, str], Deployment]) -> Iterator[Shop]:
    postgres, database, twin, (_, store), made = setting
    listen = {name: {"listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")}
    with Gateway(made) as first, Gateway(replace(made, config=made.config | listen)) as second:
        yield Shop(
            postgres, database, twin, store, (first, second), AdminClient(first, first_token(first, "dpo"))
        )


def test_report_and_erasure_take_one_customer_and_leave_the_others(shop: Shop) -> None:
    """František Wichterlová of Prague: her employee, her namesakes and everybody's rows stay whole."""
    customer, others = 5, "customer_id <> 5"
    shop.all_agree()
    before = {table: shop.seen(shop.postgres.url(shop.twin), table) for table in LOOKS}
    for gateway in (0, 1):  # so that both have everything in memory
        for table in LOOKS:
            assert shop.seen(shop.url(gateway), table) == before[table], table
    # Her first name is another customer's as well, and her phone has become an employee's.
    shop.change("UPDATE customer SET first_name = 'František' WHERE customer_id = 7")
    shop.change("UPDATE employee SET phone = '+420 2 4172 5555' WHERE employee_id = 1")
    tokens = shop.stored(customer)
    assert all(re.fullmatch("pn1[a-z2-7]{27}", token) for token in tokens.values())

    report = shop.ask("GET", f"/v1/subjects/{customer}/report{WHOSE}")
    assert report.status == 200, report.body
    tables = report.body["tables"]
    (own,) = tables["public.customer"]
    assert (own["first_name"], own["email"], own["fax"]) == (
        "František", "frantisekw@jetbrains.com", "+420 2 4172 5555",
    )  # fmt: skip
    assert own["support_rep_id"] == 4
    expected = shop.seen(shop.postgres.url(shop.twin), "invoice", "customer_id = 5")
    assert sorted((row["invoice_id"], row["billing_address"]) for row in tables["public.invoice"]) == [
        (row[1], row[2]) for row in expected
    ]
    assert [(row["callback"], row["mail"]) for row in tables["public.support_case"]] == [
        ("+420 2 4172 5555", "frantisekw@jetbrains.com")
    ]
    assert "public.employee" not in tables, "an employee is somebody else"
    # Six of her own row; one billing address; the mail of the case (its phone is the one of her row).
    assert report.body["values"] == 7
    seers = {(seen["user"], seen["purpose"]) for seen in report.body["seen"]}
    assert (SUPERUSER, "newsletter") in seers

    begun = shop.ask(
        "DELETE", f"/v1/subjects/{customer}{WHOSE}", headers={"If-Match": report.headers["etag"]}
    )
    assert begun.status == 202, begun.body
    done = shop.ask.wait_for_erasure(begun.headers["location"])
    assert done["state"] == "finished"
    assert done["kept"] == {"public.customer.first_name": 1, "public.employee.phone": 1}

    for gateway in (0, 1):
        url = shop.url(gateway)
        for table, (key, _) in LOOKS.items():
            where = others if key == "customer_id" else "true"
            assert shop.seen(url, table, where) == shop.seen(shop.postgres.url(shop.twin), table, where), (
                table
            )
        (row,) = shop.seen(url, "customer", f"customer_id = {customer}")
        assert row == (customer, "", "", None, None, None, "", "Prague", 4)
        assert {row[2] for row in shop.seen(url, "invoice", f"customer_id = {customer}")} == {None}
        assert shop.seen(url, "support_case", f"customer_id = {customer}") == []
    assert shop.ask("GET", f"/v1/subjects/{customer}/report{WHOSE}").body["values"] == 0

    # Her tokens, put back by somebody who kept them, show nothing any more, but for what others share.
    with closing(psycopg.connect(shop.postgres.url(shop.database), autocommit=True)) as dba:
        changes = ", ".join(f"{name} = %s" for name in tokens)
        dba.execute(
            f"UPDATE customer SET {changes} WHERE customer_id = {customer}".encode(), (*tokens.values(),)
        )
    shared = {"first_name": "František", "phone": "+420 2 4172 5555"}
    query = f"SELECT {', '.join(tokens)} FROM customer WHERE customer_id = {customer}"
    for gateway in (0, 1):
        with closing(psycopg.connect(shop.url(gateway), autocommit=True)) as session:
            (shown,) = session.execute(query.encode()).fetchall()
        assert dict(zip(tokens, shown, strict=True)) == tokens | shared


MAIL, FAX = "luisg@embraer.com.br", "+55 (12) 3923-5566"
ONE = "SELECT email, fax FROM customer WHERE customer_id = 1"
BOUND = "SELECT email, fax FROM customer WHERE customer_id = {}"
Shown = tuple[str | None, str | None]
Look = Callable[[], Shown]


def psycopg_simple(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))
    return lambda: session.execute(ONE.encode()).fetchall()[0]


def psycopg_prepared_binary(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))
    cursor = session.cursor(binary=True)
    return lambda: cursor.execute(BOUND.format("%s").encode(), (1,), prepare=True).fetchall()[0]


def psycopg_in_a_transaction(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg.connect(url)))
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    return lambda: session.execute(BOUND.format("%s").encode(), (1,)).fetchall()[0]


def cursor_on_the_server(url: str, stack: ExitStack) -> Look:
    """Opened once, and read again and again: its rows are of the snapshot of then, what is shown is of now."""
    session = stack.enter_context(closing(psycopg.connect(url)))
    session.execute(f"DECLARE c SCROLL CURSOR FOR {ONE}".encode())
    return lambda: session.execute("FETCH ABSOLUTE 1 FROM c").fetchall()[0]


def copy_out(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))

    def look() -> Shown:
        with session.cursor().copy(f"COPY ({ONE}) TO STDOUT".encode()) as copy:
            (row,) = copy.rows()
        email, fax = row
        return email, fax

    return look


def prepared_by_sql(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))
    session.execute(f"PREPARE one (int) AS {BOUND.format('$1')}".encode())
    return lambda: session.execute("EXECUTE one (1)").fetchall()[0]


def psycopg2_session(url: str, stack: ExitStack) -> Look:
    session = stack.enter_context(closing(psycopg2.connect(url)))
    session.autocommit = True
    cursor = session.cursor()

    def look() -> Shown:
        cursor.execute(BOUND.format("%s"), (1,))
        email, fax = cursor.fetchall()[0]
        return email, fax

    return look


def asyncpg_prepared(url: str, stack: ExitStack) -> Look:
    runner = stack.enter_context(asyncio.Runner())
    session = runner.run(asyncpg.connect(url))
    stack.callback(lambda: runner.run(session.close()))
    statement = runner.run(session.prepare(BOUND.format("$1")))

    def look() -> Shown:
        row = runner.run(statement.fetchrow(1))
        assert row is not None
        return row["email"], row["fax"]

    return look


def sqlalchemy_session(url: str, stack: ExitStack) -> Look:
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    stack.callback(engine.dispose)
    session = stack.enter_context(engine.connect())

    def look() -> Shown:
        email, fax = session.execute(sqlalchemy.text(BOUND.format(":id")), {"id": 1}).one()
        return email, fax

    return look


LOOKERS: tuple[Callable[[str, ExitStack], Look], ...] = (
    psycopg_simple,
    psycopg_prepared_binary,
    psycopg_in_a_transaction,
    cursor_on_the_server,
    copy_out,
    prepared_by_sql,
    psycopg2_session,
    asyncpg_prepared,
    sqlalchemy_session,
)


def test_a_withdrawal_hides_the_next_statements_values_from_every_session(shop: Shop) -> None:
    """Sessions of several drivers at both gateways, all begun before; some of them within a transaction."""
    shop.says(1, "accept")
    with ExitStack() as stack:
        looks = [
            (maker.__name__, gateway, maker(shop.url(gateway), stack))
            for maker in LOOKERS
            for gateway in (0, 1)
        ]
        for number in range(3):
            for name, gateway, look in looks:
                assert look() == (MAIL, FAX), (name, gateway)
            shop.says(1, "withdraw", gateway=number % 2)
            for name, gateway, look in looks:
                assert look() == (None, None), (name, gateway)
            shop.says(1, "accept", gateway=number % 2)
    trail = shop.ask("GET", f"/v1/subjects/1/consents{WHOSE}").body["history"]
    actions = [event["action"] for event in trail]
    assert actions[-7:] == ["accept", *["withdraw", "accept"] * 3]
    assert all(event["sound"] for event in trail)


def test_a_report_tells_the_grounds_and_who_looked(shop: Shop) -> None:
    """Consents with their proof, legal bases, activities, requests, and who has seen what; as JSON and to print."""
    person = 20
    ask = shop.ask

    def made(path: str, body: dict[str, Any]) -> Any:
        answer = ask("POST", path, body)
        assert answer.status == 201, answer.body
        return answer.body

    basis = made(
        "/v1/legal-bases", {"kind": "contract", "title": "Orders & returns", "reference": "Terms, section 3"}
    )
    activity = {
        "name": "Shipping", "purposes": ["service"], "legal_bases": [basis["id"]], "columns": ["public.customer.address"],
    }  # fmt: skip
    made("/v1/processing-activities", activity)
    made("/v1/processing-activities", {"name": "Payroll", "columns": ["public.employee.*"]})
    version = made("/v1/consent-texts", {"purpose": "newsletter", "text": "May we write?"})["version"]
    accepted = {
        "action": "accept", "purposes": ["newsletter"], "channel": "sign-up <form>", "reference": "form 20",
        "text_version": version,
    }  # fmt: skip
    made(f"/v1/subjects/{person}/consents{WHOSE}", accepted)
    made(f"/v1/subjects/{person}/consents{WHOSE}", {"action": "withdraw", "channel": "e-mail"})
    whose = {"table": "public.customer", "id": str(person)}
    made("/v1/requests", {"kind": "access", "subject": whose, "contact": "by post", "note": "wants it all"})
    with closing(psycopg.connect(shop.url(1, "service"), autocommit=True)) as session:
        session.execute("SET application_name = 'helpdesk'")
        session.execute(f"SELECT last_name FROM customer WHERE customer_id = {person}".encode()).fetchall()

    path = f"/v1/subjects/{person}/report{WHOSE}"
    told = ask("GET", path).body
    assert [each["name"] for each in told["processing_activities"]] == ["Shipping"]
    assert [(each["kind"], each["title"]) for each in told["legal_bases"]] == [
        ("contract", "Orders & returns")
    ]
    (consent,) = told["consents"]
    assert (consent["purpose"], consent["agrees"]) == ("newsletter", False)
    assert [
        (e["action"], e["channel"], e["reference"], e["text_version"], e["sound"])
        for e in consent["history"][-2:]
    ] == [
        ("accept", "sign-up <form>", "form 20", version, True),
        ("withdraw", "e-mail", "", None, True),
    ]  # fmt: skip
    (request,) = told["requests"]
    assert (request["kind"], request["state"], request["contact"]) == ("access", "submitted", "by post")
    assert [(e["action"], e["note"]) for e in request["history"]] == [("submit", "wants it all")]
    (look,) = [seen for seen in told["seen"] if seen["application_name"] == "helpdesk"]
    assert (look["purpose"], look["values"]) == ("service", {"last_name": 1})
    assert look["statement"] == "SELECT last_name FROM customer WHERE customer_id = ?"

    page = ask("GET", path, headers={"Accept": "text/html"}).body
    for text in (
        "Shipping", "Orders &amp; returns", "sign-up &lt;form&gt;", "form 20", "withdraw", "wants it all", "helpdesk",
    ):  # fmt: skip
        assert text in page, text
    assert "Payroll" not in page
    by_command = shop.gateways[0].deployment.pgnym(
        "subject", "report", str(person), "--table", "public.customer"
    )
    (same,) = json.loads(by_command.stdout)["subjects"]
    parts = ("consents", "processing_activities", "legal_bases", "requests")
    assert {part: same[part] for part in parts} == {part: told[part] for part in parts}
