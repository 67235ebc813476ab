"""What another tenant's token gets of things that are there: what it gets of things that aren't, by every operation.

The operations are those of the routing table. One for a kind of thing that the fixture doesn't make fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from pgnym.admin.api_tokens import Role
from pgnym.admin.resources import ROUTES
from pgnym.admin.routing import IfMatch, Route
from support.admin import AdminClient, Answer, first_token
from support.cluster import Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"subject": "id", "columns": {"mail": {"domain": "mail"}}}}
MARK = "findable-words-of-main"
MADE: dict[str, dict[str, Any]] = {
    "/v1/api-tokens": {"role": "app", "name": MARK},
    "/v1/grants": {
        "db_user": MARK, "purpose": "marketing", "statement": 1, "minute": None, "reason": MARK,
        "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    },
    "/v1/legal-bases": {"kind": "contract", "title": MARK},
    "/v1/processing-activities": {"name": MARK},
    "/v1/requests": {"kind": "access", "subject": {"table": "public.t", "id": "1"}, "note": MARK},
}  # fmt: skip
OWN = [route for route in ROUTES if route.roles is not None and "{id}" in route.path]
SCOPED = [
    route
    for route in ROUTES
    if route.roles is not None
    and any(
        part is not None and "tenant" in {each.name for each in msgspec.structs.fields(part)}
        for part in (route.query, route.body)
    )
]


@dataclass
class World:
    gateway: Gateway
    tokens: dict[tuple[Role, str], str]
    things: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def client(self, role: Role, tenant: str) -> AdminClient:
        """From an address of its own: what one may ask at once is limited."""
        number = next(self.numbers)
        source = f"127.11.{number // 250}.{1 + number % 250}"
        return AdminClient(self.gateway, self.tokens[role, tenant], source)


@pytest.fixture(scope="module")
def world(postgres: Cluster) -> Iterator[World]:
    database = "test_admin_tenants"
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(
        postgres, database, tables=TABLES,
        roles={"app": {"users": ["postgres"], "reveal": ["*"], "purposes": ["marketing"]}},
        privacy={"settle": 0.5, "restriction": {"purposes": ["marketing"]}},
        tenants={"default": "main", "startup_option": ["postgres"]},
    )  # fmt: skip
    postgres.psql("CREATE TABLE t (id int, mail text)", database)
    made.apply()
    try:
        with Gateway(made) as gateway:
            for tenant, ids in (("main", (1, 2)), ("other", (3,))):
                with psycopg.connect(gateway.url(), options=f"-c pgnym.tenant={tenant}") as session:
                    for n in ids:
                        session.execute(
                            "INSERT INTO t VALUES (%s, %s)", (n, f"{MARK}-{tenant}-{n}@example.org")
                        )
            root = AdminClient(gateway, first_token(gateway))
            found = World(gateway, {})
            for role, tenant in itertools.product(Role, ("main", "other")):
                body = {"role": role.value, "name": f"{role.value} {tenant}", "tenant": tenant}
                found.tokens[role, tenant] = root("POST", "/v1/api-tokens", body).body["secret"]
            fill(found)
            yield found
    finally:
        postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def fill(world: World) -> None:
    """Something of each kind, of tenant main."""
    client = world.client(Role.ROOT, "main")
    for path, body in MADE.items():
        answer = client("POST", path, body)
        assert answer.status == 201, (path, answer.body)
        world.things[path] = str(answer.body["id"])
        world.tags[path] = answer.headers.get("etag", '"1"')
    world.things["/v1/subjects"] = "1"
    world.tags["/v1/subjects"] = client("GET", "/v1/subjects/1/report").headers["etag"]
    tag = client("GET", "/v1/subjects/2/report").headers["etag"]
    erased = client("DELETE", "/v1/subjects/2", headers={"If-Match": tag})
    assert erased.status == 202, erased.body
    client.wait_for_erasure(erased.headers["location"])
    world.things["/v1/erasures"] = erased.headers["location"].rpartition("/")[2]
    world.tags["/v1/erasures"] = '"1"'


def body_of(route: Route) -> dict[str, Any] | None:
    """One that is taken."""
    if route.body is None:
        return None
    if route.path in MADE:
        return dict(MADE[route.path])
    if route.operation == "changeRestriction":
        return {"action": "restrict", "reason": "x"}
    given: dict[str, Any] = {}
    for each in msgspec.structs.fields(route.body):
        if each.required:
            given[each.name] = {
                "action": "withdraw", "purpose": "marketing", "column": "mail", "value": f"{MARK}-main-1@example.org",
                "kind": "contract", "title": "x", "name": "x", "text": "x", "note": "x", "reason": "x",
            }[each.name]  # fmt: skip
    return given


def without(answer: Answer, name: str) -> tuple[int, str]:
    """What can be told by an answer, but for the name that was asked for."""
    return answer.status, str(answer.body).replace(name, "…")


@pytest.mark.parametrize("route", OWN, ids=lambda route: route.operation)
def test_a_thing_of_another_tenant_is_as_one_that_is_not_there(world: World, route: Route) -> None:
    kind = route.path.partition("/{id}")[0]
    assert kind in world.things, "the fixture must make one"
    thing = world.things[kind]
    missing = "999999" if thing.isdigit() else str(uuid4())
    headers = {"If-Match": world.tags[kind]} if route.if_match is not IfMatch.NOT else {}
    for role in Role:
        foreign = world.client(role, "other")
        there, nowhere = (
            foreign(route.method, route.path.replace("{id}", name), body_of(route), headers=headers)
            for name in (thing, missing)
        )
        assert route.roles is not None
        if role not in route.roles:
            assert there.status == 403
            continue
        assert without(there, thing) == without(nowhere, missing), role
        assert MARK not in str(there.body)
        named = foreign(
            route.method, route.path.replace("{id}", thing) + "?tenant=main", body_of(route), headers=headers
        )
        assert named.status in ((403,) if route in SCOPED and route.query is not None else (400, 403)), (
            named.body
        )
    owner = world.client(Role.ROOT, "main")
    if route.method == "GET":
        assert owner("GET", route.path.replace("{id}", thing)).status == 200, "it is there, and as it was"


@pytest.mark.parametrize("route", SCOPED, ids=lambda route: route.operation)
def test_another_tenant_can_not_be_named(world: World, route: Route) -> None:
    """Whether there is one of that name or not."""
    assert route.roles is not None
    path = route.path.replace("{id}", world.things.get(route.path.partition("/{id}")[0], ""))
    headers = {"If-Match": '"1"'} if route.if_match is not IfMatch.NOT else {}
    answers = set()
    for role, tenant in itertools.product(sorted(route.roles, key=str), ("main", "nowhere")):
        body = body_of(route)
        query = "?purpose=marketing" if route.operation in ("listConsents", "listConsentTexts") else "?"
        if route.query is not None and "tenant" in {
            each.name for each in msgspec.structs.fields(route.query)
        }:
            query += f"&tenant={tenant}"
        else:
            assert body is not None
            body["tenant"], query = tenant, ""
        answer = world.client(role, "other")(
            route.method, path + query.replace("?&", "?"), body, headers=headers
        )
        answers.add((answer.status, str(answer.body)))
    assert len(answers) == 1
    assert {status for status, _ in answers} == {403}


def test_lists_hold_nothing_of_another_tenant(world: World) -> None:
    lists = [
        route for route in ROUTES if route.roles is not None and route.method == "GET" and route not in OWN
    ]
    for route in lists:
        for role in route.roles or ():
            query = "?purpose=marketing" if route.operation == "listConsents" else ""
            answer = world.client(role, "other")("GET", route.path + query)
            assert answer.status == 200, (route.operation, answer.body)
            assert MARK not in str(answer.body).replace("other-3", ""), route.operation


def test_what_was_made_is_still_there(world: World) -> None:
    """All that others have asked for has changed nothing."""
    owner = world.client(Role.ROOT, "main")
    for kind in MADE:
        answer = owner("GET", f"{kind}/{world.things[kind]}")
        assert answer.status == 200
        assert MARK in str(answer.body)
        assert answer.headers.get("etag", '"1"') == world.tags[kind]
    assert MARK in str(owner("GET", "/v1/subjects/1/report").body)
    assert owner("GET", "/v1/subjects/1/restriction").body == {
        "configured": True,
        "restricted": False,
        "history": [],
    }
