"""The register of processing activities and the requests of data subjects, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from support.admin import AdminClient
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"subject": "id", "columns": {"mail": {"domain": "mail"}, "name": {}}}}
CANARY = "Zyqvandra Canary, 5 Main Street"


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    postgres: Cluster
    database: str
    tokens: dict[tuple[str, str | None], str]

    def call(
        self, method: str, path: str, body: object = None, *, who: tuple[str, str | None] = ("dpo", "main"),
        tag: str | None = None, accept: str = "application/json",
    ) -> tuple[int, Any, dict[str, str]]:  # fmt: skip
        headers = {"Accept": accept} | ({} if tag is None else {"If-Match": tag})
        answer = AdminClient(self.gateway, self.tokens[who])(method, path, body, headers=headers)
        return answer.status, answer.body, answer.headers

    def sql(self, text: str) -> str:
        return self.postgres.psql(text, self.database).strip()


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_register"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    tenants = {"default": "main", "startup_option": ["postgres"]}
    made = deployment(postgres, database, tables=TABLES, tenants=tenants)
    postgres.psql("CREATE TABLE t (id int, mail text, name text)", database)
    made.apply()
    try:
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), options="-c pgnym.tenant=other") as session:
                session.execute("SELECT mail FROM t")
            root = made.pgnym("token", "create", "--role", "root").stdout.strip()
            found = World(made, gateway, postgres, database, {("root", None): root})
            for role in ("dpo", "auditor", "app"):
                for tenant in ("main", "other"):
                    body = {"role": role, "name": role, "tenant": tenant}
                    answer = found.call("POST", "/v1/api-tokens", body, who=("root", None))[1]
                    found.tokens[role, tenant] = answer["secret"]
            yield found
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def test_what_is_registered_is_changed_by_who_has_seen_it(world: World) -> None:
    status, basis, headers = world.call(
        "POST", "/v1/legal-bases", {"kind": "contract", "title": "Orders", "reference": "Terms, section 3"}
    )
    assert (status, headers["location"]) == (201, f"/v1/legal-bases/{basis['id']}")
    activity = {
        "name": "Shop", "purposes": ["service"], "legal_bases": [basis["id"]], "columns": ["public.t.mail"],
        "controller": "Shop Ltd", "retention": "ten years",
    }  # fmt: skip
    status, _made, headers = world.call("POST", "/v1/processing-activities", activity)
    assert status == 201
    path, tag = headers["location"], headers["etag"]
    assert world.call("PUT", path, activity | {"name": "Store"})[0] == 428
    status, changed, again = world.call("PUT", path, activity | {"name": "Store"}, tag=tag)
    assert (status, changed["name"], changed["version"]) == (200, "Store", 2)
    assert world.call("PUT", path, activity, tag=tag)[0] == 412, "what somebody else has changed meanwhile"
    assert world.call("GET", path)[1] == changed
    status, told, _ = world.call("DELETE", f"/v1/legal-bases/{basis['id']}", tag='"1"')
    assert (status, told["detail"]) == (409, "a processing activity rests on it")
    assert world.call("POST", "/v1/processing-activities", {"name": "x", "legal_bases": [999]})[0] == 422

    status, page, headers = world.call("GET", "/v1/register", who=("auditor", "main"), accept="text/html")
    assert status == 200
    assert "Store" in page
    assert "Orders (contract)" in page
    assert "ten years" in page
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert [a["name"] for a in world.call("GET", "/v1/register")[1]["processing_activities"]] == ["Store"]

    assert world.call("GET", path, who=("dpo", "other"))[0] == 404
    assert world.call("GET", "/v1/processing-activities", who=("dpo", "other"))[1]["items"] == []
    assert world.call("PUT", path, activity, tag=again["etag"], who=("auditor", "main"))[0] == 403
    assert world.call("DELETE", path, tag=again["etag"])[0] == 204
    assert world.call("DELETE", f"/v1/legal-bases/{basis['id']}", tag='"1"')[0] == 204


def test_markup_in_the_register_is_text(world: World) -> None:
    body = {"name": "<script>alert(1)</script>", "description": "a & b"}
    _, _made, headers = world.call("POST", "/v1/processing-activities", body)
    page = world.call("GET", "/v1/register", accept="text/html")[1]
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert world.call("DELETE", headers["location"], tag=headers["etag"])[0] == 204


def test_pages(world: World) -> None:
    made = [
        world.call("POST", "/v1/legal-bases", {"kind": "consent", "title": f"{n}"})[1]["id"] for n in range(5)
    ]
    found, cursor = [], ""
    while True:
        page = world.call("GET", f"/v1/legal-bases?limit=2{cursor}")[1]
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == made


def test_a_request_from_receipt_to_completion(world: World) -> None:
    body = {
        "kind": "erase", "subject": {"table": "public.t", "id": "1"}, "contact": CANARY, "note": "please",
        "received": (datetime.now(UTC) - timedelta(days=3)).isoformat(),
    }  # fmt: skip
    status, made, headers = world.call("POST", "/v1/requests", body, who=("app", "main"))
    assert (status, made["state"], made["overdue"]) == (201, "submitted", False)
    received, due = (datetime.fromisoformat(made[name]) for name in ("received", "due"))
    assert 28 <= (due - received).days <= 31
    path, tag = headers["location"], headers["etag"]
    assert world.call("GET", path, who=("app", "main"))[0] == 403
    assert world.call("GET", path, who=("dpo", "other"))[0] == 404
    assert world.call("POST", f"{path}/complete", {}, tag=tag)[0] == 409, "not before it is approved"
    assert world.call("POST", f"{path}/approve", {"note": "identity checked"})[0] == 428
    status, approved, after = world.call("POST", f"{path}/approve", {"note": "identity checked"}, tag=tag)
    assert (status, approved["state"]) == (200, "approved")
    assert world.call("POST", f"{path}/reject", {"note": "no"}, tag=tag)[0] == 412, "decided by somebody else"
    assert world.call("POST", f"{path}/extend", {"note": ""}, tag=after["etag"])[0] == 400, (
        "a reason is needed"
    )
    status, longer, after = world.call("POST", f"{path}/extend", {"note": "complex"}, tag=after["etag"])
    assert 89 <= (datetime.fromisoformat(longer["due"]) - received).days <= 92
    assert world.call("POST", f"{path}/extend", {"note": "again"}, tag=after["etag"])[0] == 409
    status, done, after = world.call("POST", f"{path}/complete", {"note": "erased"}, tag=after["etag"])
    assert done["state"] == "completed"
    assert world.call("POST", f"{path}/withdraw", {}, tag=after["etag"])[0] == 409
    shown = world.call("GET", path)[1]
    assert [(e["action"], e["note"]) for e in shown["history"]] == [
        ("submit", "please"), ("approve", "identity checked"), ("extend", "complex"), ("complete", "erased"),
    ]  # fmt: skip
    assert shown["contact"] == CANARY
    records = world.call("GET", "/v1/audit?action=admin&limit=100")[1]["items"]
    assert {"submitRequest", "approveRequest", "completeRequest"} <= {r["fingerprint"] for r in records}


def test_requests_are_listed_by_deadline_and_reminded_of(world: World) -> None:
    def submit(days: int) -> str:
        received = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        made = world.call(
            "POST", "/v1/requests", {"kind": "access", "received": received}, who=("app", "other")
        )
        return str(made[1]["id"])

    late, soon, fresh = submit(40), submit(26), submit(0)
    listed = world.call("GET", "/v1/requests", who=("dpo", "other"))[1]["items"]
    assert [item["id"] for item in listed] == [late, soon, fresh]
    assert [item["overdue"] for item in listed] == [True, False, False]
    until = (datetime.now(UTC) + timedelta(days=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    page = world.call("GET", f"/v1/requests?due_before={until}&limit=1", who=("dpo", "other"))[1]
    assert [item["id"] for item in page["items"]] == [late]
    page = world.call("GET", f"/v1/requests?due_before={until}&cursor={page['next']}", who=("dpo", "other"))[
        1
    ]
    assert [item["id"] for item in page["items"]] == [soon]
    assert (
        page["next"],
        world.call("GET", "/v1/requests?state=approved", who=("dpo", "other"))[1]["items"],
    ) == (None, [])
    tag = world.call("GET", f"/v1/requests/{late}", who=("dpo", "other"))[2]["etag"]
    refused = world.call(
        "POST", f"/v1/requests/{late}/extend", {"note": "busy"}, tag=tag, who=("dpo", "other")
    )
    assert refused[0] == 409
    assert "has passed" in refused[1]["detail"]


def test_what_people_wrote_is_sealed(world: World) -> None:
    assert world.postgres.scan([CANARY.encode(), b"identity checked"]) == []
    # Moved to another request, it doesn't open.
    made = [
        world.call("POST", "/v1/requests", {"kind": "object", "contact": f"c{n}"})[1]["id"] for n in range(2)
    ]
    world.sql(
        "UPDATE vault.subject_request r SET contact = o.contact FROM vault.subject_request o"
        f" WHERE r.id = '{made[0]}' AND o.id = '{made[1]}'"
    )
    status, told, _ = world.call("GET", f"/v1/requests/{made[0]}")
    assert (status, "does not open" in told["detail"]) == (503, True)
    world.sql(f"DELETE FROM vault.subject_request_event WHERE request = '{made[0]}'")
    world.sql(f"DELETE FROM vault.subject_request WHERE id = '{made[0]}'")


def test_plan_names_protected_columns_in_no_activity(world: World) -> None:
    said = world.made.pgnym("plan").stdout
    assert "no processing activity names public.t.mail, public.t.name" in " ".join(said.split())
    _, _, headers = world.call(
        "POST", "/v1/processing-activities", {"name": "All", "columns": ["public.t.*"]}
    )
    assert "no processing activity" not in world.made.pgnym("plan").stdout
    assert world.call("DELETE", headers["location"], tag=headers["etag"])[0] == 204
