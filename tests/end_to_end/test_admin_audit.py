"""Every call of the admin endpoint is in the audit log, allowed or not: of each operation, in each way that it may go.

The operations are those of the routing table, so one that is added is walked too.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import BEGUN
from pgnym.admin.resources import ROUTES
from pgnym.admin.routing import Route
from support.admin import AdminClient, Answer, first_token
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"subject": "id", "columns": {"mail": {"domain": "mail"}}}}
UNRECORDED = {"health", "readiness", "describe", "showMetrics"}
"""That answer of themselves, every few seconds. What is refused of them is recorded all the same."""
RECORDED = [route for route in ROUTES if route.audited and route.operation != "seal"]
AUTHENTICATED = [route for route in RECORDED if route.roles is not None]


@dataclass(frozen=True)
class Sent:
    """What a record must say: tenant, operation, decision, start and end of the text; actor and role."""

    tenant: str
    operation: str
    decision: str
    begin: str
    end: str
    actor: str = "nobody"
    role: str = ""


@dataclass
class World:
    made: Deployment
    gateway: Gateway
    root: str
    secrets: dict[str, str] = field(default_factory=dict)
    actors: dict[str, tuple[str, str]] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def client(self) -> AdminClient:
        """From an address that was not used before: what one may ask at once is limited."""
        number = next(self.numbers)
        return AdminClient(self.gateway, source=f"127.9.{number // 250}.{1 + number % 250}")

    def make(self, name: str, role: str, tenant: str, **options: Any) -> int:
        """An API token."""
        made = self.client()(
            "POST",
            "/v1/api-tokens",
            {"role": role, "name": name, "tenant": tenant} | options,
            token=self.root,
        )
        assert made.status == 201, made.body
        self.secrets[name] = made.body["secret"]
        self.actors[name] = f"api token {made.body['id']} ({name})", role
        number: int = made.body["id"]
        return number

    def send(
        self, client: AdminClient, route: Route, path: str, name: str | None, body: object = None, note: str = "",
        tenant: str = "main",
    ) -> Answer:  # fmt: skip
        """Ask, under a name of its own, and note what must be recorded of it."""
        agent = f"case {len(self.sent)}"
        answer = client(
            route.method, path, body, token=None if name is None else self.secrets.get(name, "pgnym_" + "A" * 43),
            headers={"User-Agent": agent},
        )  # fmt: skip
        decision = "allowed" if answer.status < 400 else "denied"
        actor = self.actors.get(name or "", ("nobody", ""))
        asked = f"{route.method} {path.partition('?')[0]}"
        self.sent[agent] = Sent(tenant, route.operation, decision, asked, f"{answer.status}{note}", *actor)
        return answer

    def records(self, tenant: str) -> list[dict[str, Any]]:
        """All of a tenant."""
        client, found, cursor = self.client(), [], ""
        while True:
            page = client("GET", f"/v1/audit?tenant={tenant}&limit=1000{cursor}", token=self.root)
            assert page.status == 200, page.body
            found += page.body["items"]
            if page.body["next"] is None:
                return found
            cursor = f"&cursor={page.body['next']}"

    def raw(self, data: bytes, source: str) -> bytes:
        """The first line of the answer to some bytes."""
        address = self.gateway.admin_host, self.gateway.admin_port
        with socket.create_connection(address, 30, (source, 0)) as sock:
            sock.sendall(data)
            found = b""
            while part := sock.recv(65536):
                found += part
            return found.partition(b"\r\n")[0]


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_admin_audit"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(
        postgres, database, tables=TABLES,
        roles={"app": {"users": ["postgres"], "reveal": ["*"], "purposes": ["marketing"]}},
        tenants={"default": "main", "startup_option": ["postgres"]},
    )  # fmt: skip
    postgres.psql("CREATE TABLE t (id int, mail text); INSERT INTO t VALUES (1, 'ada@example.org')", database)
    made.apply()
    try:
        with Gateway(made) as gateway:
            with psycopg.connect(gateway.url(), options="-c pgnym.tenant=other") as session:
                session.execute("SELECT mail FROM t")
            found = World(made, gateway, first_token(gateway))
            for role in Role:
                found.make(role.value, role.value, "main")
            found.make("foreign", "root", "other")
            gone = found.make("gone", "root", "other")
            assert found.client()("DELETE", f"/v1/api-tokens/{gone}", token=found.root).status == 204
            found.make("late", "root", "main", ttl=1)
            deadline = time.monotonic() + 20
            while found.client()("GET", "/v1/me", token=found.secrets["late"]).status != 401:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield found
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def path_of(route: Route) -> str:
    return route.path.replace("{id}", "999999")


def test_what_is_not_recorded() -> None:
    """Nothing but signs of life, and files that are the same for all."""
    silent = [route for route in ROUTES if not route.audited]
    assert {route.operation for route in silent if route.described} == UNRECORDED
    for route in silent:
        assert route.method == "GET"
        assert route.roles is None or route.operation == "showMetrics"


@pytest.mark.parametrize("route", RECORDED, ids=lambda route: route.operation)
def test_each_way_that_a_call_may_go(world: World, route: Route) -> None:
    client, path = world.client(), path_of(route)
    if route.roles is not None:
        for name, note in ((None, ""), ("unknown", ""), ("gone", " revoked"), ("late", " expired")):
            tenant = "other" if name == "gone" else "main"
            assert world.send(client, route, path, name, note=note, tenant=tenant).status == 401
        for role in Role:
            if role not in route.roles:
                assert world.send(client, route, path, role.value).status == 403
        assert world.send(client, route, f"{path}?tenant=main", "foreign", tenant="other").status in (
            400, 403, 404, 415, 428,
        )  # fmt: skip
        world.send(client, route, path, "foreign", tenant="other")
        world.send(client, route, path, "root")
    name = None if route.roles is None else "root"
    if "{id}" in route.path:
        world.send(client, route, route.path.replace("{id}", "no%20such"), name)
    assert world.send(client, route, f"{path}?no_such_parameter=1", name).status in (400, 404, 409, 422, 428)
    if route.method != "GET":  # of which the body is of no interest, whatever it is
        assert world.send(client, route, path, name, b"{").status in (400, 404, 409, 428)
        huge = world.send(client, route, path, name, b'"' + b"x" * 1_500_000 + b'"')
        assert huge.status == 413


def test_what_is_no_operation(world: World) -> None:
    client = world.client()
    nowhere = Route("", "", "unknown", "", _never, None, None)
    for method in ("GET", "POST", "BREW"):
        known = method if method != "BREW" else "another method"
        path = "/v1/subjects/ada@example.org/nothing"
        assert world.send(client, replace(nowhere, method=method), path, "root").status == 404
        agent = f"case {len(world.sent) - 1}"
        world.sent[agent] = replace(world.sent[agent], begin=f"{known} elsewhere", actor="nobody", role="")
    assert world.send(client, replace(nowhere, method="PATCH"), "/v1/audit", "root").status == 405
    agent = f"case {len(world.sent) - 1}"
    world.sent[agent] = replace(world.sent[agent], begin="PATCH elsewhere", actor="nobody", role="")
    for data, status in (
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /v1/audit HTTP/1.1\r\nA: " + b"x" * 100_000, b"431"),
        (b"POST /v1/unseal HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST /v1/unseal HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ):
        assert status in world.raw(data, client.source)
    found = Counter(r["text"] for r in world.records("main") if r["client_address"] == client.source)
    assert found["no HTTP request 400"] >= 2
    assert found["no HTTP request 431"] == 1
    assert sum(found.values()) == 8


async def _never(call: Any) -> Any:
    raise AssertionError(call)


def test_calls_over_a_limit(world: World) -> None:
    """Of one address: the first to each operation is recorded as it comes, the others by their number."""
    client = world.client()
    while client("GET", "/nowhere").status != 429:  # 200 at once, then 50 a second
        pass
    refused: Counter[str] = Counter()
    for route in RECORDED:
        while refused[route.operation] < 3:
            answer = client(route.method, path_of(route))
            if answer.status == 429:
                assert answer.headers["retry-after"]
                refused[route.operation] += 1
    deadline = time.monotonic() + 60
    while True:
        found = [r for r in world.records("main") if r["client_address"] == client.source]
        counted = [r for r in found if " more within " in r["text"]]
        if len(counted) == len(RECORDED):
            break
        assert time.monotonic() < deadline, len(counted)
        time.sleep(1)
    for route in RECORDED:
        texts = {r["text"] for r in found if r["fingerprint"] == route.operation and "429" in r["text"]}
        assert f"{route.method} {path_of(route)} 429" in texts
        texts.remove(f"{route.method} {path_of(route)} 429")
        assert len(texts) == 1
        assert texts.pop().startswith(f"{route.method} {route.path} 429, 2 more within ")
    assert {r["decision"] for r in counted} == {"denied"}


def test_each_call_has_its_record(world: World) -> None:
    """Of all that the tests above have sent, by the name that each call went under; and the log is sound."""
    found = {
        tenant: {
            r["application_name"]: r for r in world.records(tenant) if not r["fingerprint"].endswith(BEGUN)
        }
        for tenant in ("main", "other")
    }
    every = Counter(
        r["application_name"]
        for tenant in found
        for r in world.records(tenant)
        if not r["fingerprint"].endswith(BEGUN)
    )
    assert len(world.sent) > 10 * len(RECORDED)
    for agent, wanted in world.sent.items():
        assert every[agent] == 1, (agent, wanted)
        record = found[wanted.tenant][agent]
        assert record["action"] == "admin"
        assert Sent(
            record["tenant"], record["fingerprint"], record["decision"], record["text"][: len(wanted.begin)],
            record["text"][len(wanted.begin) :].strip(), record["db_user"], record["role"],
        ) == wanted, record  # fmt: skip
    for tenant in found:
        assert "sound" in world.made.pgnym("audit", "verify", "--tenant", tenant).stdout
    stored = json.dumps(found)
    assert not any(secret in stored for secret in world.secrets.values())


def test_what_changes_something_is_recorded_before(world: World, postgres: Cluster) -> None:
    """The gateway is killed while it works on a call. That it was made is known all the same."""
    body = {
        "db_user": "nobody", "purpose": "marketing", "statement": 1, "minute": None, "reason": "none",
        "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    database = world.made.config["upstream"]["database"]
    client = world.client()
    config = world.made.config
    listen = {section: {**config[section], "listen": "127.0.0.1:0"} for section in ("gateway", "admin")}
    second = replace(world.made, config=config | listen)
    with Gateway(second) as gateway, psycopg.connect(postgres.url(database)) as blocking:
        blocking.execute("LOCK TABLE vault.reveal_grant IN ACCESS EXCLUSIVE MODE")
        asking = replace(client, gateway=gateway, token=world.root)

        def ask() -> None:
            with pytest.raises((OSError, http.client.HTTPException)):
                asking("POST", "/v1/grants", body)

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 20
        while not (found := [r for r in world.records("main") if r["client_address"] == client.source]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        gateway.kill()
        thread.join(20)
        assert not thread.is_alive()
    assert [(r["fingerprint"], r["text"], r["db_user"][:9]) for r in found] == [
        ("createGrant begun", "POST /v1/grants begun", "api token"),
    ]
    assert [r["text"] for r in world.records("main") if r["client_address"] == client.source] == [
        "POST /v1/grants begun"
    ]


def test_what_is_asked_while_it_is_sealed(world: World) -> None:
    """Sealing is recorded before it is done; what comes then is kept, and written once there is a log again."""
    client, root = world.client(), world.root
    assert client("POST", "/v1/seal", token=root).status == 200
    assert client("GET", "/v1/audit", token=root).status == 503
    assert client("POST", "/v1/unseal", {"key": base64.b64encode(b"x" * 32).decode()}).status in (422, 503)
    assert client("POST", "/v1/unseal", {"share": "nothing of that kind"}).status == 422
    assert client("GET", "/elsewhere").status == 404
    assert client("POST", "/v1/unseal", {"key": world.made.master_key}).status == 200
    wanted = ["GET /v1/audit 503", "POST /v1/unseal 422", "POST /v1/unseal 422", "GET elsewhere 404"]
    deadline = time.monotonic() + 20
    while True:
        texts = [r["text"] for r in world.records("main") if r["client_address"] == client.source][::-1]
        if len(texts) == len(wanted) + 2:
            break
        assert time.monotonic() < deadline, texts
        time.sleep(0.2)
    assert texts[0] == "POST /v1/seal"
    assert "POST /v1/unseal 200" in texts
    kept = [text for text in texts if text.endswith(" while sealed")]
    assert [text.partition(" at ")[0] for text in kept] == wanted
