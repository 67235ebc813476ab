"""Restriction of processing: a subject's values are held back from the next statement on, at every gateway, until lifted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from support.admin import AdminClient, Answer, first_token
from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, name text, mail text UNIQUE, born date, tags text[], extra jsonb);
CREATE TABLE visit (id int PRIMARY KEY, person int REFERENCES person, street text);
INSERT INTO person SELECT n, 'Name ' || n % 3, 'mail' || n || '@example.org', '2000-01-01'::date + n, ARRAY['tag' || n],
  jsonb_build_object('phone', '+1 ' || n) FROM generate_series(1, 9) n;
INSERT INTO visit SELECT n, n, 'Street ' || n FROM generate_series(1, 9) n;
"""
TABLES: dict[str, Any] = {
    "public.person": {
        "subject": "id",
        "columns": {
            "name": {"domain": "name"},
            "mail": {},
            "born": {"tokens": "randomized"},
            "tags": {},
            "extra": {"paths": {"phone": {}}},
        },
    },
    "public.visit": {
        "subject": "person",
        "subject_table": "public.person",
        "columns": {"street": {"tokens": "randomized"}},
    },
}
ROLES = {
    "app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["service", "legal_claims"]},
}
ROW = "SELECT name, mail, born, tags, extra->>'phone' FROM person WHERE id = "
NOTHING = (None, None, None, [None], None)


@dataclass
class World:
    """A shop behind two gateways, and sessions that were begun before anything happens."""

    cluster: Cluster
    database: str
    made: Deployment
    gateways: tuple[Gateway, Gateway]
    ask: AdminClient
    store: str

    def changes(
        self, person: int, action: str, gateway: int = 0, status: int = 201, **more: object
    ) -> Answer:
        """A restriction, or its end."""
        body = {"action": action, "reason": "accuracy is contested", **more}
        ask = replace(self.ask, gateway=self.gateways[gateway])
        answer = ask("POST", f"/v1/subjects/{person}/restriction", body)
        assert answer.status == status, answer.body
        return answer

    def session(self, gateway: int = 0, purpose: str = "service") -> psycopg.Connection[tuple[Any, ...]]:
        """A session that states a purpose."""
        url = f"{self.gateways[gateway].url(self.database)}?options=-c%20pgnym.purpose%3D{purpose}"
        return psycopg.connect(url, autocommit=True)


def rows(session: psycopg.Connection[tuple[Any, ...]], query: str, *values: object) -> list[tuple[Any, ...]]:
    return session.execute(query.encode(), values or None).fetchall()


@pytest.fixture(params=[False, True], ids=["one database", "vault elsewhere"])
def world(
    request: pytest.FixtureRequest, postgres: Cluster, make_database: Callable[[], str]
) -> Iterator[World]:
    database = make_database()
    store = make_database() if request.param else database
    postgres.psql(SCHEMA, database)
    made = deployment(
        postgres, database, tables=TABLES, roles=ROLES,
        privacy={"settle": 1, "restriction": {"purposes": ["legal_claims"]}},
        vault=(postgres, store) if request.param else None,
    )  # fmt: skip
    made.apply()
    assert made.pgnym("plan", check=False).returncode == 0
    listen = {name: {"listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")}
    with Gateway(made) as first, Gateway(replace(made, config=made.config | listen)) as second:
        ask = AdminClient(first, first_token(first, "dpo"))
        yield World(postgres, database, made, (first, second), ask, store)


def test_values_are_held_back_from_the_next_statement_on(world: World) -> None:
    with closing(world.session(0)) as one, closing(world.session(1)) as two:
        two.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        before = {person: rows(one, f"{ROW}{person}") for person in (4, 5)}
        prepared = "SELECT mail FROM person WHERE id = %s"
        for number in range(2):
            for session in (one, two):
                assert rows(session, f"{ROW}5") == before[5]
                assert session.execute(prepared, (5,), prepare=True).fetchall() == [("mail5@example.org",)]
            world.changes(5, "restrict", gateway=number, shared="withhold")
            for session in (one, two):
                assert rows(session, f"{ROW}5") == [NOTHING]
                assert rows(session, f"{ROW}4")[0][1:] == before[4][0][1:], "others'"
                assert session.execute(prepared, (5,), prepare=True).fetchall() == [(None,)]
                assert session.execute(prepared, (4,), prepare=True).fetchall() == [("mail4@example.org",)]
                binary = session.cursor(binary=True).execute(
                    "SELECT born, mail FROM person WHERE id IN (5, 6) ORDER BY id"
                )
                assert [mail for _, mail in binary.fetchall()] == [None, "mail6@example.org"]
                assert rows(session, "SELECT street FROM visit WHERE person = 5") == [(None,)]
                assert rows(session, "SELECT upper(mail), 'to ' || mail FROM person WHERE id = 5") == [
                    (None, None)
                ]
                ((whole,),) = rows(session, "SELECT row_to_json(p) FROM person p WHERE id = 5")
                assert (whole["name"], whole["mail"], whole["tags"]) == (None, None, [None])
                # A condition still finds the row: what is stored stays in use by keys and values.
                assert rows(session, "SELECT id FROM person WHERE mail = 'mail5@example.org'") == [(5,)]
                with session.cursor().copy(
                    "COPY (SELECT id, mail FROM person WHERE id IN (4, 5) ORDER BY id) TO STDOUT"
                ) as copy:
                    assert b"".join(copy) == b"4\tmail4@example.org\n5\t\\N\n"
            # The server's words about a row don't tell either.
            with pytest.raises(psycopg.errors.UniqueViolation) as failed:
                one.execute("UPDATE person SET mail = (SELECT mail FROM person WHERE id = 5) WHERE id = 6")
            assert "mail5" not in str(failed.value)
            with closing(world.session(1 - number, "legal_claims")) as claims:
                assert rows(claims, f"{ROW}5") == before[5]
            world.changes(5, "lift", gateway=1 - number)
        two.execute("ROLLBACK")
    records = world.made.pgnym(
        "audit", "show", "--decision", "denied", "--format", "jsonl"
    ).stdout.splitlines()
    held = [record for record in map(json.loads, records) if "restricted" in record["text"]]
    assert {record["text"] for record in held} == {"withheld: processing is restricted"}
    assert {"public.person.mail": 1} in [record["counts"] for record in held]
    world.made.pgnym("audit", "verify")


def test_what_others_have_too(world: World) -> None:
    """Persons 2, 5 and 8 share a name."""
    names = "SELECT id, name FROM person WHERE id IN (2, 5) ORDER BY id"
    with closing(world.session(1)) as session:
        world.changes(5, "restrict")
        assert rows(session, names) == [(2, None), (5, None)]
        world.changes(5, "restrict", shared="show")
        assert rows(session, names) == [(2, "Name 2"), (5, "Name 2")]
        assert rows(session, "SELECT mail FROM person WHERE id = 5") == [(None,)]
        for person in (2, 8):
            world.changes(person, "restrict", shared="show")
        assert rows(session, names) == [(2, None), (5, None)], "nobody is left who isn't restricted"


def test_rows_that_are_written_meanwhile(world: World) -> None:
    world.changes(7, "restrict")
    with closing(world.session(0)) as session, closing(world.session(1)) as other:
        session.execute("INSERT INTO visit VALUES (70, 7, 'New Street'), (71, 6, 'Old Street')")
        session.execute("UPDATE person SET mail = 'moved@example.org' WHERE id = 7")
        for each in (session, other):
            assert rows(each, "SELECT street FROM visit WHERE id >= 70 ORDER BY id") == [
                (None,),
                ("Old Street",),
            ]
            assert rows(each, "SELECT mail FROM person WHERE id = 7") == [(None,)]
    # What was written without triggers isn't known to be theirs: a restriction is refused until apply has been run.
    world.cluster.psql(
        "SET session_replication_role = replica; INSERT INTO visit SELECT 80, 8, street FROM visit WHERE id = 6",
        world.database,
    )
    assert "not linked" in world.changes(8, "restrict", status=409).body["detail"]


def test_reports_erasure_and_requests(world: World) -> None:
    whose = {"table": "public.person", "id": "3"}
    request = world.ask("POST", "/v1/requests", {"kind": "restrict", "subject": whose}).body
    path = f"/v1/requests/{request['id']}"
    assert "not approved" in world.changes(3, "restrict", status=409, request=request["id"]).body["detail"]
    tag = world.ask("GET", path).headers["etag"]
    assert world.ask("POST", f"{path}/approve", {}, headers={"If-Match": tag}).status == 200
    assert "no request" in world.changes(4, "restrict", status=409, request=request["id"]).body["detail"]
    told = world.changes(3, "restrict", request=request["id"], reason="she disputes <it>").body
    assert told["restricted"] is True
    assert [(e["action"], e["reason"], e["request"], e["sound"]) for e in told["history"]] == [
        ("restrict", "she disputes <it>", request["id"], True)
    ]
    assert "disputes" not in world.cluster.psql("SELECT * FROM vault.restriction_event", world.store)
    assert "disputes" not in world.cluster.psql("SELECT * FROM vault.audit", world.store)
    report = world.ask("GET", "/v1/subjects/3/report")
    assert report.body["tables"]["public.person"][0]["mail"] == "mail3@example.org", (
        "the report is for the person"
    )
    assert [event["action"] for event in report.body["restriction"]] == ["restrict"]
    page = world.ask("GET", "/v1/subjects/3/report", headers={"Accept": "text/html"}).body
    assert "she disputes &lt;it&gt;" in page
    assert "not restricted" in world.changes(4, "lift", status=409).body["detail"]
    assert (
        world.ask("POST", "/v1/subjects/4711/restriction", {"action": "restrict", "reason": "x"}).status
        == 404
    )
    auditor = first_token(world.gateways[0], "auditor")
    assert world.ask("GET", "/v1/subjects/3/restriction", token=auditor).body == told
    refused = world.ask(
        "POST", "/v1/subjects/3/restriction", {"action": "lift", "reason": "x"}, token=auditor
    )
    assert refused.status == 403
    begun = world.ask("DELETE", "/v1/subjects/3", headers={"If-Match": report.headers["etag"]})
    assert begun.status == 202, begun.body
    assert world.ask.wait_for_erasure(begun.headers["location"])["state"] == "finished"


def test_what_a_dba_changes_restricts(world: World) -> None:
    world.changes(5, "restrict")
    world.changes(5, "lift")
    world.cluster.psql(
        "UPDATE vault.restriction_event SET recorded_by = 'x' WHERE action = 'lift'", world.store
    )
    told = world.ask("GET", "/v1/subjects/5/restriction").body
    assert (told["restricted"], told["history"][-1]["sound"]) == (True, False)
    world.changes(4, "restrict")  # when this is answered, every gateway has looked
    with closing(world.session(1)) as session:
        assert rows(session, "SELECT mail FROM person WHERE id = 5") == [(None,)]
        world.cluster.psql("DELETE FROM vault.restriction_event WHERE subject = '4'", world.store)
        world.changes(5, "lift")
        assert rows(session, "SELECT mail FROM person WHERE id = 5") == [("mail5@example.org",)]


def test_it_has_to_be_configured(postgres: Cluster, make_database: Callable[[], str]) -> None:
    database = make_database()
    postgres.psql(SCHEMA, database)
    made = deployment(postgres, database, tables=TABLES, roles=ROLES)
    made.apply()
    assert postgres.psql("SELECT to_regclass('pgnym.link') IS NULL", database).strip() == "t"
    with Gateway(made) as gateway:
        ask = AdminClient(gateway, first_token(gateway, "dpo"))
        answer = ask("POST", "/v1/subjects/5/restriction", {"action": "restrict", "reason": "x"})
        assert (answer.status, "privacy.restriction" in answer.body["detail"]) == (409, True)
