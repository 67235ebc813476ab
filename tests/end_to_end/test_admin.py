"""The admin endpoint of a real gateway: every route for every role, tokens, sealing, records, bad input."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgnym.admin.api_tokens import Role
from pgnym.admin.resources import ROUTES
from pgnym.admin.routing import IfMatch
from pgnym.privacy.requests import Step
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"subject": "id", "consent_by": ["mail"], "columns": {"mail": {"domain": "mail"}}}}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    tokens: dict[tuple[str, str | None], str]

    def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        connection = http.client.HTTPConnection(
            self.gateway.admin_host, self.gateway.admin_port, timeout=30, source_address=(source, 0)
        )
        try:
            sent = dict(headers or {})
            if token is not None:
                sent["Authorization"] = f"Bearer {token}"
            data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            content = answer.read()
            found = {k.lower(): v for k, v in answer.getheaders()}
            told = (
                content.decode()
                if "json" not in found.get("content-type", "")
                else json.loads(content or b"null")
            )
            return Answer(answer.status, found, told if content else None)
        finally:
            connection.close()

    @property
    def root(self) -> str:
        return self.tokens["root", None]

    def raw(self, data: bytes, seconds: float = 30) -> bytes:
        with socket.create_connection(
            (self.gateway.admin_host, self.gateway.admin_port), timeout=seconds
        ) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            found = b""
            while part := sock.recv(65536):
                found += part
            return found


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_admin_endpoint"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(
        postgres,
        database,
        tables=TABLES,
        roles={"app": {"users": ["postgres"], "reveal": ["*"], "purposes": ["marketing"]}},
        tenants={"default": "main", "startup_option": ["postgres"]},
        privacy={"restriction": {"purposes": ["marketing"]}},
    )
    postgres.psql(
        "CREATE TABLE t (id int, mail text UNIQUE); INSERT INTO t VALUES (1, 'ada@example.org')", database
    )
    made.apply()
    try:
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), options="-c pgnym.tenant=other") as session:
                session.execute("SELECT mail FROM t")
            found = World(made, gateway, {})
            first = made.pgnym("token", "create", "--role", "root", "--ttl", "1h")
            found.tokens["root", None] = first.stdout.strip()
            for role in Role:
                for tenant in ("main", "other"):
                    answer = found.call(
                        "POST",
                        "/v1/api-tokens",
                        found.root,
                        {"role": role.value, "name": f"{role.value} {tenant}", "tenant": tenant},
                    )
                    assert answer.status == 201, answer.body
                    found.tokens[role.value, tenant] = answer.body["secret"]
            yield found
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


BODIES: dict[str, object] = {
    "createApiToken": {"role": "app", "name": "walk"},
    "changeConsents": {"action": "withdraw"},
    "changeConsentsByValue": {"column": "mail", "value": "walk@example.org", "action": "withdraw"},
    "searchConsents": {"column": "mail", "value": "walk@example.org"},
    "changeRestriction": {"action": "restrict", "reason": "walk"},
    "addConsentText": {"purpose": "marketing", "text": "walk"},
    "searchSubjects": {"column": "mail", "value": "walk"},
    "createGrant": {
        "db_user": "nobody",
        "purpose": "walk",
        "statement": 1,
        "minute": None,
        "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "reason": "walk",
    },
    "createLegalBasis": {"kind": "contract", "title": "walk"},
    "changeLegalBasis": {"kind": "contract", "title": "walk"},
    "createProcessingActivity": {"name": "walk"},
    "changeProcessingActivity": {"name": "walk"},
    "submitRequest": {"kind": "access"},
    **{f"{step.value}Request": {"note": "walk"} for step in Step},
}
ANYBODYS = {
    "showConsents",
    "changeConsents",
    "showRestriction",
}  # whether there is such a subject is neither asked nor told
NEEDED = {"listConsents": "?purpose=marketing"}
WALKED = [route for route in ROUTES if route.roles is not None and route.operation != "seal"]


@pytest.mark.parametrize("route", WALKED, ids=lambda route: route.operation)
def test_every_route_for_every_role(world: World, route: Any) -> None:
    path = route.path.replace("{id}", "999999") + NEEDED.get(route.operation, "")
    body = BODIES[route.operation] if route.body is not None else None
    headers = {"If-Match": '"1"'} if route.if_match is IfMatch.MUST else {}
    source = f"127.0.1.{1 + WALKED.index(route)}"  # an address of its own: what one asks for is limited
    unknown = world.call(route.method, path, None, body, source=source)
    assert unknown.status == 401
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    assert world.call(route.method, path, "pgnym_" + "A" * 43, body, source=source).status == 401
    for (role, tenant), token in world.tokens.items():
        answer = world.call(route.method, path, token, body, headers, source)
        if Role(role) in route.roles:
            assert answer.status == (
                404 if "{id}" in route.path and route.operation not in ANYBODYS else route.status
            ), (role, tenant)
        else:
            assert answer.status == 403, (role, tenant)
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/api-tokens", "/v1/audit", "/v1/audit/verify"])
def test_a_token_of_one_tenant_learns_nothing_of_another(world: World, path: str) -> None:
    for token in (world.tokens["root", "main"],):
        there = world.call("GET", f"{path}?tenant=other", token)
        missing = world.call("GET", f"{path}?tenant=nowhere", token)
        assert (there.status, there.body) == (missing.status, missing.body)
        assert there.status == 403
    assert world.call("GET", f"{path}?tenant=nowhere", world.root).status == 404
    assert world.call("GET", f"{path}?tenant=other", world.root).status == 200


def test_roots_of_tenants_stay_within_them(world: World) -> None:
    own = world.tokens["root", "main"]
    body = {"role": "dpo", "name": "x", "tenant": "other"}
    assert world.call("POST", "/v1/api-tokens", own, body).status == 403
    made = world.call("POST", "/v1/api-tokens", own, {"role": "dpo", "name": "x"})
    assert made.body["tenant"] == "main", "none is named: its own, never all"
    listed = world.call("GET", "/v1/api-tokens", own).body["items"]
    assert {token["tenant"] for token in listed} == {"main"}
    assert not any(token["secret"] for token in listed)
    foreign = next(
        token["id"]
        for token in world.call("GET", "/v1/api-tokens", world.root).body["items"]
        if token["tenant"] == "other"
    )
    assert world.call("GET", f"/v1/api-tokens/{foreign}", own).status == 404
    assert world.call("DELETE", f"/v1/api-tokens/{foreign}", own).status == 404
    assert [t["name"] for t in world.call("GET", "/v1/tenants", own).body["items"]] == ["main"]


def test_revocation_and_expiry_take_effect_at_once(world: World) -> None:
    made = world.call("POST", "/v1/api-tokens", world.root, {"role": "auditor", "name": "short", "ttl": 2})
    path, secret = made.headers["location"], made.body["secret"]
    assert world.call("GET", "/v1/audit?limit=1", secret).status == 200
    assert world.call("DELETE", path, world.root, headers={"If-Match": '"another"'}).status == 412
    assert world.call("DELETE", path, world.root, headers={"If-Match": made.headers["etag"]}).status == 204
    assert world.call("GET", "/v1/audit?limit=1", secret).status == 401
    assert world.call("DELETE", path, world.root).status == 409
    short = world.call("POST", "/v1/api-tokens", world.root, {"role": "auditor", "name": "x", "ttl": 1}).body
    deadline = time.monotonic() + 10
    while world.call("GET", "/v1/tenants", short["secret"]).status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_row_that_others_write_gives_no_access(world: World, postgres: Cluster) -> None:
    """Whoever may change the table can't raise the rights of a token they have."""
    made = world.call("POST", "/v1/api-tokens", world.root, {"role": "app", "name": "climber"}).body
    database = world.made.config["upstream"]["database"]
    assert world.call("GET", "/v1/tenants", made["secret"]).status == 403
    postgres.psql(f"UPDATE vault.api_token SET role = 'root' WHERE id = {made['id']}", database)
    assert world.call("GET", "/v1/tenants", made["secret"]).status == 401
    stored = postgres.psql("SELECT t.*::text FROM vault.api_token t", database)
    assert not any(secret in str(stored) for secret in world.tokens.values())


def test_every_call_is_recorded(world: World) -> None:
    world.call("GET", "/v1/tenants", world.tokens["operator", "other"], headers={"User-Agent": "recorder/1"})
    world.call("GET", "/v1/audit", world.tokens["operator", "other"])
    path = "/v1/audit?tenant=other&action=admin&limit=2"
    denied, allowed = world.call("GET", path, world.root).body["items"]
    assert (denied["fingerprint"], denied["decision"], denied["text"]) == (
        "showAudit", "denied", "GET /v1/audit 403",
    )  # fmt: skip
    assert (allowed["fingerprint"], allowed["decision"], allowed["role"]) == (
        "listTenants", "allowed", "operator",
    )  # fmt: skip
    assert allowed["application_name"] == "recorder/1"
    assert "operator other" in allowed["db_user"]
    nobody = world.call("GET", "/v1/tenants")
    assert nobody.status == 401
    last = world.call("GET", "/v1/audit?fingerprint=listTenants&limit=1", world.root).body["items"][0]
    assert (last["db_user"], last["decision"]) == ("nobody", "denied")
    assert world.call("GET", "/v1/audit/verify", world.root).body["sound"] is True
    assert not any(secret in world.gateway.stderr_text() for secret in world.tokens.values())


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_pages_hold_each_record_once(world: World, order: str) -> None:
    until = world.call("GET", "/v1/audit?limit=1", world.root).body["items"][0]["time"].replace("+00:00", "Z")
    path = f"/v1/audit?order={order}&until={until}"
    whole = world.call("GET", f"{path}&limit=1000", world.root).body
    assert whole["next"] is None
    paged: list[object] = []
    cursor = ""
    while True:
        page = world.call("GET", f"{path}&limit=7{cursor}", world.root).body
        paged += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert paged == whole["items"]
    assert len(paged) > 7
    assert world.call("GET", "/v1/audit?cursor=AAAA", world.root).status == 400


def test_what_is_not_well_formed_is_refused(world: World) -> None:
    root = world.root
    for path, status in (
        ("/nowhere", 404),
        ("/v1/audit?limit=0", 400),
        ("/v1/audit?limit=1&limit=2", 400),
        ("/v1/audit?since=yesterday", 400),
        ("/v1/audit?what=x", 400),
        ("/v1/audit?actor=%00", 400),
        ("/v1/audit?actor=%ff", 400),
        ("/v1/api-tokens/x", 404),
        ("/v1/api-tokens/99999999999999999999", 404),
    ):
        answer = world.call("GET", path, root)
        assert (path, answer.status) == (path, status)
        assert answer.body["status"] == status
    for body, status in (
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b'{"role": "king", "name": "x"}', 422),
        (b'{"role": "app", "name": ""}', 422),
        (b'{"role": "app", "name": "x", "tenant": "nowhere"}', 404),
        (b"x" * 2_000_000, 413),
    ):
        assert world.call("POST", "/v1/api-tokens", root, body).status == status
    text = {"Content-Type": "text/plain"}
    assert world.call("POST", "/v1/api-tokens", root, b"{}", text).status == 415
    wrong = world.call("DELETE", "/v1/audit", root)
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
    head = world.call("HEAD", "/v1/tenants", root)
    assert (head.status, head.body) == (200, None)
    assert int(head.headers["content-length"]) > 0
    assert head.headers["cache-control"] == "no-store"
    assert b" 400 " in world.raw(b"nonsense\r\n\r\n").splitlines()[0]
    assert b" 431 " in world.raw(b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000).splitlines()[0]
    two = world.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    assert two.count(b"HTTP/1.1 200") == 2


def test_the_description_names_every_route(world: World) -> None:
    told = world.call("GET", "/openapi.json").body
    assert told["openapi"] == "3.1.0"
    for route in ROUTES:
        if not route.described:
            continue
        operation = told["paths"][route.path][route.method.lower()]
        assert operation["operationId"] == route.operation
        assert ("security" in operation) == (route.roles is not None)
    text = json.dumps(told)
    names = set(told["components"]["schemas"])
    assert all(part.split('"')[0] in names for part in text.split("#/components/schemas/")[1:])


@pytest.mark.parametrize("workers", [1, 3])
def test_sealing_ends_sessions_and_wipes_every_worker(postgres: Cluster, database: str, workers: int) -> None:
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql(
        "CREATE TABLE t (id int, mail text UNIQUE); INSERT INTO t VALUES (1, 'ada@example.org')", database
    )
    made.apply()
    root = made.pgnym("token", "create", "--role", "root").stdout.strip()
    with Gateway(made, arguments=["--workers", str(workers)]) as gateway:
        world = World(made, gateway, {("root", None): root})
        sessions = [psycopg.connect(gateway.url(), autocommit=True) for _ in range(workers * 3)]
        assert world.call("POST", "/v1/seal").status == 401
        assert world.call("POST", "/v1/seal", root).body["sealed"] is True
        for session in sessions:
            deadline = time.monotonic() + 10
            while True:  # the other workers are told, and have done it soon
                try:
                    session.execute("SELECT 1")
                except psycopg.OperationalError:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.02)
            session.close()
        for _ in range(workers * 4):
            assert world.call("GET", "/v1/seal").body["sealed"] is True
            locked = world.call("GET", "/v1/tenants", root)
            assert (locked.status, locked.body["title"]) == (503, "Sealed")
            with pytest.raises(psycopg.OperationalError, match="sealed"):
                psycopg.connect(gateway.url())
        key = base64.b64encode(base64.b64decode(made.master_key)).decode()
        assert world.call("POST", "/v1/unseal", body={"key": key}).status == 200
        deadline = time.monotonic() + 10
        row = 0
        while row < workers * 6:
            assert time.monotonic() < deadline
            row = row + 1 if world.call("GET", "/v1/tenants", root).status == 200 else 0
        records = world.call("GET", "/v1/audit?action=admin", root).body["items"]
        assert {"seal", "unseal", "createApiToken"} <= {record["fingerprint"] for record in records}


def test_the_command(world: World) -> None:
    made = world.made.pgnym("token", "create", "--role", "auditor", "--tenant", "main", "--ttl", "30d")
    secret = made.stdout.strip()
    assert world.call("GET", "/v1/audit", secret).status == 200
    listed = world.made.pgnym("token", "list").stdout
    assert secret not in listed
    number = made.stderr.split()[1].rstrip(",")
    assert f"{number}  auditor  auditor of main, until" in listed
    world.made.pgnym("token", "revoke", number)
    assert world.call("GET", "/v1/audit", secret).status == 401
    assert world.made.pgnym("token", "revoke", number, check=False).returncode == 1
    assert world.made.pgnym("token", "create", "--role", "app", "--tenant", "x", check=False).returncode == 1
