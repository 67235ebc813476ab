"""Consent that is told of an e-mail address: before there is a subject, for the one who has it then, and for nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from support.admin import AdminClient, Answer, first_token
from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, mail text UNIQUE, born date, note text);
CREATE TABLE visit (id int PRIMARY KEY, person int, mail text UNIQUE, street text);
INSERT INTO person SELECT n, 'Mail' || n || '@example.org', '2000-01-01'::date + n FROM generate_series(1, 6) n;
"""
BY_CONSENT = {"legal_basis": "consent", "purposes": ["letters"], "tokens": "randomized"}
TABLES: dict[str, Any] = {
    "public.person": {
        "subject": "id",
        "consent_by": ["mail"],
        "columns": {"mail": {"domain": "mail", "normalize": "email"}, "born": BY_CONSENT},
    },
    "public.visit": {
        "subject": "person",
        "subject_table": "public.person",
        "columns": {
            "mail": {
                "domain": "mail",
                "normalize": "email",
                "legal_basis": "consent",
                "purposes": ["letters"],
            },
            "street": BY_CONSENT,
        },
    },
}
ROLES = {"app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["letters", "calls"]}}
SAID = {"channel": "landing page", "reference": "form 1"}


class World:
    """A shop behind two gateways."""

    def __init__(
        self, cluster: Cluster, database: str, made: Deployment, gateways: tuple[Gateway, Gateway]
    ) -> None:
        self.cluster, self.database, self.made, self.gateways = cluster, database, made, gateways
        self.ask = AdminClient(gateways[0], first_token(gateways[0], "dpo"))
        self.app = first_token(gateways[0], "app", "main")

    def says(self, action: str, mail: str, **more: object) -> Answer:
        """Somebody with an address; ``purposes`` all, if None."""
        body = {"action": action, "column": "mail", "value": mail, "purposes": ["letters"], **SAID, **more}
        body = {name: value for name, value in body.items() if value is not None}
        answer = self.ask("POST", "/v1/consents", body, token=self.app)
        assert answer.status == 201, answer.body
        return answer

    def run(self, *statements: str, gateway: int = 0) -> None:
        """The application writes, all in one transaction."""
        with closing(psycopg.connect(self.url(gateway))) as session:
            for statement in statements:
                session.execute(statement.encode())
            session.commit()

    def shown(self, person: int, query: str = "SELECT born FROM person WHERE id = ") -> bool:
        """Whether a session of each gateway is shown the value; both must say the same."""
        found = set()
        for gateway in range(2):
            with closing(psycopg.connect(self.url(gateway), autocommit=True)) as session:
                ((value,),) = session.execute(f"{query}{person}".encode()).fetchall()
                found.add(value is not None)
        (one,) = found
        return one

    def url(self, gateway: int = 0) -> str:
        """Of a session that states the purpose."""
        return f"{self.gateways[gateway].url(self.database)}?options=-c%20pgnym.purpose%3Dletters"

    def agrees(self, person: int) -> list[tuple[str, bool]]:
        """What the admin endpoint says of a person, by purpose."""
        found = self.ask("GET", f"/v1/subjects/{person}/consents").body
        return [(item["purpose"], item["agrees"]) for item in found["items"]]


@pytest.fixture(params=[False, True], ids=["one database", "vault elsewhere"])
def world(
    request: pytest.FixtureRequest, postgres: Cluster, make_database: Callable[[], str]
) -> Iterator[World]:
    database = make_database()
    postgres.psql(SCHEMA, database)
    made = deployment(
        postgres, database, tables=TABLES, roles=ROLES, privacy={"settle": 1},
        vault=(postgres, make_database()) if request.param else None,
    )  # fmt: skip
    made.apply()
    assert made.pgnym("plan", check=False).returncode == 0
    listen = {name: {"listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")}
    with Gateway(made) as first, Gateway(replace(made, config=made.config | listen)) as second:
        yield World(postgres, database, made, (first, second))


def test_what_was_said_before_there_is_a_subject_holds_for_who_comes_with_the_value(world: World) -> None:
    world.says("accept", "new@example.org")
    world.run(
        "INSERT INTO person VALUES (20, 'New@EXAMPLE.org', '1990-01-01'), (21, 'other@example.org', '1991-01-01')"
    )
    assert world.shown(20)
    assert not world.shown(21)
    assert world.agrees(20) == [("letters", True)]
    assert world.agrees(21) == []
    # Rows of theirs that come later, in other tables, are theirs too.
    world.run("INSERT INTO visit (id, person, street) VALUES (1, 20, 'Long Lane 1')")
    assert world.shown(1, "SELECT street FROM visit WHERE id = ")
    report = world.ask("GET", "/v1/subjects/20/report").body
    (consent,) = report["consents"]
    assert (consent["purpose"], consent["agrees"]) == ("letters", True)
    (event,) = consent["history"]
    assert (event["by_value"], event["channel"], event["reference"]) == (True, "landing page", "form 1")

    # A withdrawal by either door hides it; the later word counts, whoever heard it.
    world.says("withdraw", "new@example.org", purposes=None)
    assert not world.shown(20)
    by_id = "/v1/subjects/20/consents"
    assert world.ask("POST", by_id, {"action": "accept", "purposes": ["letters"]}).status == 201
    assert world.shown(20)
    assert world.ask("POST", by_id, {"action": "withdraw"}).status == 201
    assert not world.shown(20)
    world.says("accept", "NEW@example.org")
    assert world.shown(20)
    world.says("withdraw", "new@example.org")
    assert not world.shown(20)
    history = world.ask("GET", by_id).body["history"]
    letters = [(e["action"], e["by_value"]) for e in history if e["purpose"] == "letters"]
    assert letters == [
        ("accept", True), ("withdraw", True), ("accept", False), ("withdraw", False), ("accept", True), ("withdraw", True),
    ]  # fmt: skip
    assert all(event["sound"] for event in history)


def test_it_holds_for_rows_that_were_there_when_it_was_applied(world: World) -> None:
    assert not world.shown(3)
    world.says("accept", "mail3@example.org")
    assert world.shown(3)
    assert not world.shown(4)


def test_a_planted_value_makes_nobody_agree(world: World) -> None:
    """Who may write rows gets at no birth date by giving its row an address whose owner agrees."""
    world.says("accept", "bait@example.org")
    world.run("UPDATE person SET mail = 'bait@example.org' WHERE id = 1")
    assert not world.shown(1)
    world.run("INSERT INTO person (id, born) VALUES (30, '1970-01-01')")
    world.run(
        "UPDATE person SET mail = NULL WHERE id = 1",
        "UPDATE person SET mail = 'bait@example.org' WHERE id = 30",
    )
    assert not world.shown(30)
    world.says("accept", "bait2@example.org")
    world.run("INSERT INTO visit (id, person, mail) VALUES (2, 2, 'bait2@example.org')")
    assert not world.shown(2)
    # Somebody who comes with an address that another has had needs to say so by their ID.
    world.run(
        "UPDATE person SET mail = NULL WHERE id = 30",
        "INSERT INTO person VALUES (31, 'bait@example.org', '1980-01-01')",
    )
    assert not world.shown(31)
    # A withdrawal counts for whoever has, or has had, the address.
    assert (
        world.ask("POST", "/v1/subjects/2/consents", {"action": "accept", "purposes": ["letters"]}).status
        == 201
    )
    assert world.shown(2)
    world.says("withdraw", "bait2@example.org")
    assert not world.shown(2)
    assert (
        world.ask("POST", "/v1/subjects/2/consents", {"action": "accept", "purposes": ["letters"]}).status
        == 201
    )
    world.run("UPDATE person SET mail = 'moved@example.org' WHERE id = 2")
    assert world.shown(2)
    world.says("withdraw", "mail2@example.org")
    assert not world.shown(2)


def test_nothing_tells_whether_there_is_a_subject(world: World) -> None:
    def told(mail: str) -> list[list[dict[str, Any]]]:
        said = world.says("accept", mail).body["items"]
        asked = world.ask("POST", "/v1/consents/search", {"column": "mail", "value": mail}, token=world.app)
        gone = world.says("withdraw", mail, purposes=None).body["items"]
        return [
            [{k: v for k, v in item.items() if k not in ("recorded", "subject")} for item in items]
            for items in (said, asked.body["items"], gone)
        ]

    assert told("mail1@example.org") == told("nobody@example.org")
    for table in ("consent_event", "audit", "idempotency_key"):
        store = world.made.config.get("vault", {}).get("url")
        database = store.rpartition("/")[2] if store else world.database
        kept = world.cluster.psql(f"SELECT * FROM vault.{table}", database)
        assert "nobody" not in kept, table
        assert "6e6f626f6479" not in kept, table
    for body in (
        {"column": "born", "value": "x"}, {"column": "note", "value": "x"},
        {"column": "mail", "value": "x", "table": "public.visit"},
    ):  # fmt: skip
        assert world.ask("POST", "/v1/consents/search", body).status in (400, 422), body
    listed = world.ask("GET", "/v1/consents?purpose=letters").body["items"]
    assert {item["by_value"] for item in listed} == {True}
    assert all(item["table"] == "public.person" and len(item["subject"]) == 64 for item in listed)


def test_rows_that_a_dba_writes_make_no_value_agree(world: World) -> None:
    world.says("accept", "mail4@example.org")
    world.says("withdraw", "mail4@example.org")
    store = world.made.config.get("vault", {}).get("url")
    database = store.rpartition("/")[2] if store else world.database
    world.cluster.psql(
        "UPDATE vault.consent_event SET recorded = '2000-01-01' WHERE action = 'withdraw'", database
    )
    assert not world.shown(4)
    assert (
        world.ask("POST", "/v1/subjects/4/consents", {"action": "accept", "purposes": ["letters"]}).status
        == 201
    )
    assert not world.shown(4), "an event that isn't sound counts against"


def test_it_ends_with_the_erasure_and_outlives_new_token_keys(world: World) -> None:
    for number in (5, 6):
        world.says("accept", f"mail{number}@example.org")
    world.made.pgnym("keys", "rotate", "token")
    assert world.shown(5)
    assert world.shown(6)
    tag = world.ask("GET", "/v1/subjects/5/report").headers["etag"]
    begun = world.ask("DELETE", "/v1/subjects/5", headers={"If-Match": tag})
    assert begun.status == 202, begun.body
    world.ask.wait_for_erasure(begun.headers["location"])
    world.made.pgnym("subject", "erase", "6", "--yes", "--settle", "1")
    for number in (5, 6):
        world.run(f"INSERT INTO person VALUES ({number * 10}, 'mail{number}@example.org', '1999-09-09')")
        assert not world.shown(number * 10)
        world.says("accept", f"mail{number}@example.org")
        assert world.shown(number * 10)


def test_expiry(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    world.says("accept", "mail1@example.org", expires=soon.isoformat())
    assert world.shown(1)
    with closing(psycopg.connect(world.url(1), autocommit=True)) as session:
        deadline = time.monotonic() + 20
        while session.execute("SELECT born FROM person WHERE id = 1").fetchall() != [(None,)]:
            assert time.monotonic() < deadline
    assert datetime.now(UTC) >= soon
    assert not world.shown(1)
    assert world.agrees(1) == [("letters", False)]
