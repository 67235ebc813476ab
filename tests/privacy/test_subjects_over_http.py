"""Reports and erasures over the admin endpoint, on a small shop: customers with invoices and support tickets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from support import chinook
from support.admin import AdminClient, first_token
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, login text UNIQUE, email text, name text, city text);
CREATE TABLE invoice (n serial PRIMARY KEY, customer int REFERENCES customer, address text, total numeric);
CREATE TABLE ticket (n serial PRIMARY KEY, customer int REFERENCES customer, phone text, note text, extra jsonb);
CREATE TABLE employee (id int, email text);
INSERT INTO customer SELECT n, 'login' || n, n || '@example.org', 'Name ' || n % 5, 'Prague' FROM generate_series(1, 30) n;
INSERT INTO invoice (customer, address, total)
  SELECT 1 + n % 30, (n % 30) || ' Main Street', n FROM generate_series(1, 90) n;
INSERT INTO ticket (customer, phone, note, extra)
  SELECT 1 + n % 30, '+420 ' || n % 30, 'ticket ' || n, jsonb_build_object('mail', n || '@b.example')
  FROM generate_series(1, 60) n;
INSERT INTO employee VALUES (1, '7@example.org');
"""
TABLES: dict[str, Any] = {
    "public.customer": {
        "subject": "id",
        "columns": {"email": {"domain": "email"}, "name": {"domain": "name"}},
    },
    "public.invoice": {
        "subject": "customer",
        "subject_table": "public.customer",
        "columns": {"address": {"tokens": "randomized"}},
    },
    "public.ticket": {
        "subject": "customer",
        "subject_table": "public.customer",
        "on_erase": "delete",
        "columns": {"phone": {}, "extra": {"paths": {"mail": {}}}},
    },
    "public.employee": {"columns": {"email": {"domain": "email"}}},
}
PEOPLE = (
    "SELECT c.id, c.email, c.name, i.address, t.phone, t.extra FROM customer c LEFT JOIN invoice i ON i.customer = c.id"
    " LEFT JOIN ticket t ON t.customer = c.id"
)


@dataclass
class Shop:
    """A protected shop with a gateway."""

    made: Deployment
    gateway: Gateway
    ask: AdminClient
    store: str

    def rows(self, where: str) -> list[tuple[Any, ...]]:
        """What an application sees."""
        with psycopg.connect(self.gateway.url(), autocommit=True) as session:
            return session.execute(f"{PEOPLE} WHERE {where} ORDER BY c.id, i.n, t.n".encode()).fetchall()


def tokens(postgres: Cluster, database: str, where: str) -> set[str]:
    """The tokens in the rows of some customers."""
    text = postgres.psql(f"{PEOPLE} WHERE {where}", database)
    return {word for word in text.replace("|", " ").replace('"', " ").split() if word.startswith("pn1")}


def values(postgres: Cluster, database: str) -> set[str]:
    """The tokens that have a value."""
    return set(postgres.psql("SELECT token FROM vault.value", database).split())


@pytest.fixture(params=[False, True], ids=["one database", "vault elsewhere"])
def shop(
    request: pytest.FixtureRequest, postgres: Cluster, make_database: Callable[..., str]
) -> Iterator[Shop]:
    database = make_database()
    store = make_database() if request.param else database
    postgres.psql(SHOP, database)
    vault = (postgres, store) if request.param else None
    made = deployment(postgres, database, tables=TABLES, vault=vault, privacy={"settle": 1})
    made.apply()
    assert made.pgnym("plan", check=False).returncode == 0
    with Gateway(made) as gateway:
        yield Shop(made, gateway, AdminClient(gateway, first_token(gateway)), store)


def test_report_and_erasure(shop: Shop, postgres: Cluster) -> None:
    database = shop.made.config["upstream"]["database"]
    with psycopg.connect(shop.gateway.url(), options="-c application_name=crm") as session:
        session.execute("SELECT email FROM customer WHERE id = 7").fetchall()
    report = shop.ask("GET", "/v1/subjects/7/report")
    assert report.status == 200, report.body
    assert report.body["subject"] == {"table": "public.customer", "id": "7"}
    (person,) = report.body["tables"]["public.customer"]
    assert person == {
        "id": 7, "login": "login7", "email": "7@example.org", "name": "Name 2", "city": "Prague"
    }  # fmt: skip
    assert {row["address"] for row in report.body["tables"]["public.invoice"]} == {"6 Main Street"}
    assert {row["extra"]["mail"] for row in report.body["tables"]["public.ticket"]} == {
        "6@b.example", "36@b.example"
    }  # fmt: skip
    (seen,) = report.body["seen"]
    assert (seen["application_name"], seen["values"]) == ("crm", {"email": 1})
    assert shop.ask("GET", "/v1/subjects/7/report").headers["etag"] == report.headers["etag"]

    own, others = tokens(postgres, database, "c.id = 7"), tokens(postgres, database, "c.id <> 7")
    kept = own & (others | set(postgres.psql("SELECT email FROM employee", database).split()))
    assert kept, "a name and a mail that others have as well"
    before, shown = values(postgres, shop.store), shop.rows("c.id <> 7")
    assert shop.ask("DELETE", "/v1/subjects/7").status == 428
    assert shop.ask("DELETE", "/v1/subjects/7", headers={"If-Match": '"another"'}).status == 412
    postgres.psql("UPDATE customer SET city = 'Brno' WHERE id = 7", database)
    stale = {"If-Match": report.headers["etag"]}
    assert shop.ask("DELETE", "/v1/subjects/7", headers=stale).status == 412
    assert values(postgres, shop.store) == before
    fresh = {"If-Match": shop.ask("GET", "/v1/subjects/7/report").headers["etag"]}
    with Gateway(replace(shop.made, config=elsewhere(shop.made))) as second:
        where = "SELECT address FROM invoice WHERE n = 6"
        planted = postgres.psql(where, database).strip()
        with psycopg.connect(second.url(), autocommit=True) as session:
            assert session.execute(where.encode()).fetchone() == ("6 Main Street",), "now it is in a cache"
        begun = shop.ask("DELETE", "/v1/subjects/7", headers=fresh)
        assert (begun.status, begun.body["state"]) == (202, "pending")
        ended = shop.ask.wait_for_erasure(begun.headers["location"])
        assert ended["state"] == "finished", ended
        assert ended["deleted"]["public.invoice.address"] == 3
        assert ended["kept"] == {"public.customer.name": 1, "public.employee.email": 1}
        assert values(postgres, shop.store) == before - (own - kept)
        with psycopg.connect(second.url(), autocommit=True) as session:
            found = session.execute("SELECT email FROM customer WHERE email = '7@example.org'").fetchall()
            assert found == []
            postgres.psql(f"UPDATE invoice SET address = '{planted}' WHERE n = 6", database)
            assert session.execute(where.encode()).fetchone() == (planted,), "it opens nowhere any more"
            postgres.psql("UPDATE invoice SET address = NULL WHERE n = 6", database)
    assert shop.rows("c.id <> 7") == shown
    assert shop.rows("c.id = 7") == [(7, None, None, None, None, None)] * 3
    assert shop.ask("GET", begun.headers["location"]).body == ended
    assert [e["id"] for e in shop.ask("GET", "/v1/erasures?limit=1").body["items"]] == [ended["id"]]
    (record,) = shop.ask("GET", "/v1/audit?action=erase").body["items"]
    assert sum(record["counts"].values()) == len(own - kept)
    assert record["db_user"].startswith("api token 1")
    shop.made.pgnym("verify")
    assert shop.ask("GET", "/v1/audit/verify").body["sound"] is True
    assert "7@example.org" not in shop.gateway.stderr_text()


def elsewhere(made: Deployment) -> dict[str, Any]:
    """The configuration for a second gateway on the same machine."""
    return {**made.config, "gateway": {"listen": "127.0.0.1:0"}, "admin": {"listen": "127.0.0.1:0"}}


def test_found_by_a_value(shop: Shop) -> None:
    def found(column: str, value: str, **more: str) -> Any:
        return shop.ask("POST", "/v1/subjects/search", {"column": column, "value": value, **more})

    assert found("email", "3@example.org").body == {"items": [{"table": "public.customer", "id": "3"}]}
    assert found("login", "login4").body == {"items": [{"table": "public.customer", "id": "4"}]}
    assert found("id", "4").body == {"items": [{"table": "public.customer", "id": "4"}]}
    assert [s["id"] for s in found("name", "Name 2").body["items"]] == ["12", "17", "2", "22", "27", "7"]
    assert found("email", "nobody@example.org").body == {"items": []}
    assert found("email", "3@example.or").body == {"items": []}, "exact matches only"
    assert found("id", "x").body == {"items": []}
    assert found("city", "Prague").status == 409, "that would list people"
    assert found("nothing", "x").status == 409
    refused = found("email", "x", table="public.invoice")
    assert (refused.status, "public.invoice is not the table" in refused.body["detail"]) == (400, True)
    assert shop.ask("POST", "/v1/subjects/search", {"column": "email", "value": 12}).status == 400
    records = shop.ask("GET", "/v1/audit?fingerprint=searchSubjects").body["items"]
    assert "3@example.org" not in json.dumps(records)
    statuses = [found("id", "1").status for _ in range(70)]
    assert 429 in statuses


def test_the_page_to_print(shop: Shop, postgres: Cluster) -> None:
    with psycopg.connect(shop.gateway.url(), autocommit=True) as session:
        session.execute(
            "UPDATE customer SET name = %s, city = %s WHERE id = 2",
            ("<script>alert(1)</script>", 'a" onclick="x()\u202e\x07'),
        )
    accept = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    page = shop.ask("GET", "/v1/subjects/2/report", headers=accept)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "style-src 'sha256-" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.body
    assert "a&quot; onclick=&quot;x()\u202e\\x07</bdi>" in page.body
    assert "2@example.org" in page.body
    assert page.headers["etag"] == shop.ask("GET", "/v1/subjects/2/report").headers["etag"]
    for unwanted in ("application/json", "text/html;q=0", "text/html;q=0.1,application/json", "*/*"):
        answer = shop.ask("GET", "/v1/subjects/2/report", headers={"Accept": unwanted})
        assert answer.headers["content-type"] == "application/json"


def test_who_has_looked(shop: Shop) -> None:
    with psycopg.connect(shop.gateway.url(), autocommit=True) as session:
        for number in (5, 6, 5):
            session.execute("SELECT name, email FROM customer WHERE id = %s", (number,)).fetchall()
    shop.ask("GET", "/v1/subjects/5/report")
    auditor = first_token(shop.gateway, "auditor")
    seen = shop.ask("GET", "/v1/subjects/5/audit?limit=1000", token=auditor)
    reveals = [each for each in seen.body["items"] if each["action"] == "reveal"]
    assert [each["values"] for each in reveals] == [{"email": 1, "name": 1}] * 2
    (report,) = [each for each in seen.body["items"] if each["action"] == "admin"]
    assert report["user"].startswith("api token 1")
    paged, cursor = [], ""
    while True:
        page = shop.ask("GET", f"/v1/subjects/5/audit?limit=1{cursor}", token=auditor).body
        paged += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == seen.body["items"]
    assert shop.ask("GET", "/v1/subjects/5/audit?until=2020-01-01T00:00:00Z").body["items"] == []
    assert shop.ask("GET", "/v1/subjects/4711/audit").status == 404
    assert shop.ask("GET", "/v1/subjects/x/report").status == 404


def test_a_gateway_killed_in_the_middle(shop: Shop, postgres: Cluster) -> None:
    """Killed between the two steps: the next start finishes it. Rolled back: it ends as undone, and nothing is lost."""
    database = shop.made.config["upstream"]["database"]
    own = tokens(postgres, database, "c.id = 9") - tokens(postgres, database, "c.id <> 9")
    before = values(postgres, shop.store)
    tag = shop.ask("GET", "/v1/subjects/9/report").headers["etag"]
    begun = shop.ask("DELETE", "/v1/subjects/9", headers={"If-Match": tag})
    assert begun.status == 202
    shop.gateway.kill()
    assert values(postgres, shop.store) == before
    aborted = postgres.psql("BEGIN; SELECT txid_current(); ROLLBACK", database).split()[-1]
    lost = "00000000-0000-4000-8000-000000000001"
    postgres.psql(
        "BEGIN; SELECT set_config('pgnym.tenant', id::text, true) FROM vault.tenant;"
        "INSERT INTO vault.erasure (id, tenant, app_xid, ready, told)"
        f" SELECT '{lost}', id, {aborted}, now(), '1 rows' FROM vault.tenant; COMMIT",
        shop.store,
    )
    shop.gateway.start()
    assert shop.ask.wait_for_erasure(begun.headers["location"])["state"] == "finished"
    assert shop.ask.wait_for_erasure(f"/v1/erasures/{lost}")["state"] == "undone"
    assert values(postgres, shop.store) == before - own
    shop.made.pgnym("verify")


def test_chinook(postgres: Cluster, make_database: Callable[..., str], chinook_template: str) -> None:
    database = make_database(chinook_template)
    postgres.psql("ALTER TABLE customer ALTER email DROP NOT NULL", database)
    made = deployment(postgres, database, tables=chinook.TABLES, privacy={"settle": 1})
    made.apply()
    people = "SELECT * FROM customer LEFT JOIN invoice USING (customer_id) WHERE customer_id <> 5 ORDER BY 1, invoice_id"
    with Gateway(made) as gateway, psycopg.connect(gateway.url(), autocommit=True) as session:
        shown = session.execute(people).fetchall()
        ask = AdminClient(gateway, first_token(gateway, "dpo", "main"))
        tag = ask("GET", "/v1/subjects/5/report").headers["etag"]
        begun = ask("DELETE", "/v1/subjects/5", headers={"If-Match": tag})
        assert ask.wait_for_erasure(begun.headers["location"])["state"] == "finished"
        assert session.execute(people).fetchall() == shown
        (row,) = session.execute("SELECT first_name, email FROM customer WHERE customer_id = 5").fetchall()
        assert row == ("", None)
    made.pgnym("verify")


def test_a_writer_that_is_under_way_is_waited_for(shop: Shop, postgres: Cluster) -> None:
    """Its token was written before the erasure began, and its row is seen only once it commits: the value must stay."""
    with psycopg.connect(shop.gateway.url()) as session:
        session.execute("INSERT INTO employee VALUES (2, '11@example.org')")
        tag = shop.ask("GET", "/v1/subjects/11/report").headers["etag"]
        begun = shop.ask("DELETE", "/v1/subjects/11", headers={"If-Match": tag})
        with psycopg.connect(shop.gateway.url(), autocommit=True) as other:
            for _ in range(40):  # for longer than privacy.settle; and nobody is held up meanwhile
                other.execute("SET statement_timeout = '1s'")
                other.execute("UPDATE employee SET id = %s WHERE id = 1", (1,))
                time.sleep(0.05)
        assert shop.ask("GET", begun.headers["location"]).body["state"] == "pending"
        session.commit()
    ended = shop.ask.wait_for_erasure(begun.headers["location"])
    assert ended["kept"]["public.employee.email"] == 1
    with psycopg.connect(shop.gateway.url(), autocommit=True) as session:
        assert session.execute("SELECT email FROM employee WHERE id = 2").fetchone() == ("11@example.org",)
    shop.made.pgnym("verify")


def test_what_is_in_the_way_is_said_and_tried_again(shop: Shop, postgres: Cluster) -> None:
    database = shop.made.config["upstream"]["database"]
    tag = shop.ask("GET", "/v1/subjects/13/report").headers["etag"]
    begun = shop.ask("DELETE", "/v1/subjects/13", headers={"If-Match": tag})
    shop.gateway.kill()
    before = values(postgres, shop.store)
    name, definition = postgres.psql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'employee'::regclass", database
    ).strip().split("|", 1)  # fmt: skip
    postgres.psql(f"ALTER TABLE employee DROP CONSTRAINT {name}", database)
    shop.gateway.start()
    shop.gateway.wait_for_log(
        r"erasure \S+ is not finished yet: public\.employee\.email is not protected in full"
    )
    stuck = shop.ask("GET", begun.headers["location"]).body
    assert (stuck["state"], "public.employee.email" in stuck["problem"]) == ("pending", True)
    assert values(postgres, shop.store) == before, "what other rows hold can't be told, so nothing is deleted"
    postgres.psql(f"ALTER TABLE employee ADD CONSTRAINT {name} {definition}", database)
    ended = shop.ask.wait_for_erasure(begun.headers["location"])
    assert (ended["state"], ended["problem"]) == ("finished", "")


def test_the_report_says_on_what_grounds_and_what_was_asked_for(shop: Shop) -> None:
    basis = shop.ask("POST", "/v1/legal-bases", {"kind": "contract", "title": "Sales <contract>"}).body["id"]
    other = shop.ask("POST", "/v1/legal-bases", {"kind": "contract", "title": "Employment"}).body["id"]
    for name, bases, columns in (
        ("Orders", [basis], ["public.invoice.*"]),
        ("Staff", [other], ["public.employee.*"]),
    ):
        activity = {"name": name, "legal_bases": bases, "columns": columns}
        made = shop.ask("POST", "/v1/processing-activities", activity)
        assert made.status == 201, made.body
    for subject in ("3", "4"):
        asked: dict[str, Any] = {
            "kind": "access",
            "subject": {"table": "public.customer", "id": subject},
            "note": f"by {subject}",
        }
        made = shop.ask("POST", "/v1/requests", asked)
        assert made.status == 201, made.body
    report = shop.ask("GET", "/v1/subjects/3/report").body
    assert [each["name"] for each in report["processing_activities"]] == ["Orders"]
    assert [each["title"] for each in report["legal_bases"]] == ["Sales <contract>"]
    (request,) = report["requests"]
    assert (request["kind"], request["state"], request["history"][0]["note"]) == (
        "access",
        "submitted",
        "by 3",
    )
    page = shop.ask("GET", "/v1/subjects/3/report", headers={"Accept": "text/html"}).body
    assert "Sales &lt;contract&gt;" in page
    assert "by 3" in page
