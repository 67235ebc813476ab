"""Values that are shown by consent: withdrawals count at once, at every gateway; and nobody gets around them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE customer (id int PRIMARY KEY, name text, email text UNIQUE, born date, note text);
CREATE TABLE visit (id int PRIMARY KEY, customer int, address text, tags text[]);
CREATE TABLE contact (email text);
INSERT INTO customer SELECT n, 'Name ' || n, 'mail' || n || '@example.org', '2000-01-01'::date + n
  FROM generate_series(1, 9) n;
INSERT INTO visit SELECT n, n, 'Street ' || n, ARRAY['tag' || n, 'other' || n] FROM generate_series(1, 9) n;
"""
BY_CONSENT = {"legal_basis": "consent", "purposes": ["marketing"]}
TABLES = {
    "public.customer": {
        "subject": "id",
        "columns": {
            "name": {},
            "email": {"domain": "email", **BY_CONSENT},
            "born": {"tokens": "randomized", **BY_CONSENT},
        },
    },
    "public.visit": {
        "subject": "customer",
        "subject_table": "public.customer",
        "columns": {
            "address": {"tokens": "randomized", **BY_CONSENT},
            "tags": {"tokens": "randomized", **BY_CONSENT},
        },
    },
    "public.contact": {"columns": {"email": {"domain": "email"}}},
}
ROLES = {"app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["marketing", "service"]}}
Rows = list[tuple[Any, ...]]


@dataclass
class World:
    postgres: Cluster
    database: str
    made: Deployment
    gateways: list[Gateway]
    token: str
    tag: str = "*"  # of what was read last

    @contextmanager
    def session(
        self, gateway: int = 0, purpose: str | None = "marketing", tenant: str = ""
    ) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        options = f"-c pgnym.purpose={purpose}" if purpose else ""
        options += f" -c pgnym.tenant={tenant}" if tenant else ""
        where = self.gateways[gateway].url(self.database)
        with closing(psycopg.connect(where, autocommit=True, options=options)) as session:
            yield session

    def call(
        self, method: str, path: str, body: object = None, gateway: int = 0, token: str | None = None
    ) -> tuple[int, Any]:
        serving = self.gateways[gateway]
        connection = http.client.HTTPConnection(serving.admin_host, serving.admin_port, timeout=30)
        with closing(connection):
            headers = {
                "Authorization": f"Bearer {token or self.token}",
                "If-Match": self.tag,
                "Idempotency-Key": f"{time.monotonic_ns()}-{threading.get_ident()}",
            }
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            self.tag = answer.getheader("ETag") or "*"
            return answer.status, json.loads(content) if content else None

    def says(self, subject: int, action: str, gateway: int = 0, **more: object) -> None:
        body = {"action": action, "purposes": ["marketing"], "channel": "web", **more}
        path = f"/v1/subjects/{subject}/consents?table=public.customer"
        status, answer = self.call("POST", path, body, gateway)
        assert status == 201, answer


@pytest.fixture
def world(postgres: Cluster, database: str) -> Iterator[World]:
    postgres.psql(SCHEMA, database)
    made = deployment(
        postgres,
        database,
        tables=TABLES,
        roles=ROLES,
        tenants={"default": "main", "startup_option": [SUPERUSER]},
    )
    made.apply()
    other = replace(
        made,
        config=made.config
        | {
            "gateway": {"listen": f"127.0.0.1:{free_port()}"},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
        },
    )
    token = made.pgnym("token", "create", "--role", "dpo").stdout.strip()
    with Gateway(made) as first, Gateway(other) as second:
        yield World(postgres, database, made, [first, second], token)


def rows(session: psycopg.Connection[tuple[Any, ...]], query: str, *values: object) -> Rows:
    return session.execute(query, values or None).fetchall()


EMAILS = "SELECT id, email FROM customer WHERE id < 4 ORDER BY id"


def test_a_withdrawal_hides_the_next_statements_values_at_every_gateway(world: World) -> None:
    with world.session(0) as one, world.session(1) as two:
        nothing = [(1, None), (2, None), (3, None)]
        assert rows(one, EMAILS) == rows(two, EMAILS) == nothing
        world.says(2, "accept", gateway=1)
        for session in (one, two):
            assert rows(session, EMAILS) == [(1, None), (2, "mail2@example.org"), (3, None)]
            # Prepared, so that it is answered in one piece, and in binary.
            prepared = "SELECT born FROM customer WHERE id = %s"
            for subject, expected in ((2, "2000-01-03"), (1, "None"), (2, "2000-01-03")):
                cursor = session.cursor(binary=True)
                (found,) = cursor.execute(prepared, (subject,), prepare=True).fetchone() or ()
                assert str(found) == expected
        two.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert rows(two, EMAILS)[1] == (2, "mail2@example.org")
        world.says(2, "withdraw", gateway=0)
        assert rows(one, EMAILS) == rows(two, EMAILS) == nothing
        two.execute("ROLLBACK")
    shown = world.made.pgnym("audit", "show", "--action", "reveal", "--format", "jsonl").stdout
    records = [json.loads(line) for line in shown.splitlines()]
    denied = [record for record in records if record["decision"] == "denied"]
    assert {record["text"] for record in denied} == {"withheld: no consent"}
    assert {record["purpose"] for record in records} == {"marketing"}
    assert denied[0]["counts"] == {"email": 3}
    mine = [record for record in records if record["decision"] == "allowed"]
    assert all(record["counts"] in ({"email": 1}, {"public.customer.born": 1}) for record in mine)
    world.made.pgnym("audit", "verify")


def test_what_stands_in_place_of_a_withheld_value(world: World) -> None:
    world.says(2, "accept")
    with world.session() as session:
        assert rows(session, "SELECT name, email FROM customer WHERE id IN (1, 2) ORDER BY id") == [
            ("Name 1", None),
            ("Name 2", "mail2@example.org"),
        ]
        assert rows(session, "SELECT upper(email), length(email) FROM customer WHERE id IN (1, 2) ORDER BY id") == [
            (None, None), ("MAIL2@EXAMPLE.ORG", 17),
        ]  # fmt: skip
        documents = rows(
            session, "SELECT json_build_object('mail', email, 'born', born) FROM customer WHERE id IN (1, 2) ORDER BY id"
        )  # fmt: skip
        assert documents == [
            ({"mail": None, "born": None},),
            ({"mail": "mail2@example.org", "born": "2000-01-03"},),
        ]
        assert rows(session, "SELECT 'to: ' || email FROM customer WHERE id IN (1, 2) ORDER BY id") == [
            (None,), ("to: mail2@example.org",),
        ]  # fmt: skip
        assert rows(session, "SELECT address, tags FROM visit WHERE id IN (1, 2) ORDER BY id") == [
            (None, [None, None]),
            ("Street 2", ["tag2", "other2"]),
        ]
        whole = rows(session, "SELECT row_to_json(c) FROM customer c WHERE id = 1")[0][0]
        assert (whole["name"], whole["email"], whole["born"]) == ("Name 1", None, None)
        with session.cursor().copy(
            "COPY (SELECT id, email FROM customer WHERE id < 3 ORDER BY id) TO STDOUT"
        ) as copy:
            assert b"".join(copy) == b"1\t\\N\n2\tmail2@example.org\n"


def test_expiry_and_withdrawal_of_all(world: World) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    world.says(1, "accept", expires=soon.isoformat())
    world.says(2, "accept")
    with world.session() as session:
        assert rows(session, EMAILS)[:2] == [(1, "mail1@example.org"), (2, "mail2@example.org")]
        deadline = time.monotonic() + 20
        while rows(session, EMAILS)[0] != (1, None):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        path = "/v1/subjects/2/consents?table=public.customer"
        assert world.call("POST", path, {"action": "withdraw"})[0] == 201
        assert rows(session, EMAILS)[1] == (2, None)
    _, found = world.call("GET", path)
    assert [(e["action"], e["sound"], e["sequence"]) for e in found["history"]] == [
        ("accept", True, 1), ("withdraw", True, 2),
    ]  # fmt: skip
    assert [e["agrees"] for e in found["items"]] == [False]


def test_consent_is_for_a_purpose_that_the_session_states(world: World) -> None:
    world.says(1, "accept")
    for purpose in (None, "service", "nonsense"):
        with world.session(purpose=purpose) as session:
            (shown,) = rows(session, "SELECT email FROM customer WHERE id = 1")[0]
            assert shown.startswith("pn1")
    with world.session(tenant="other") as session:
        (shown,) = rows(session, "SELECT email FROM customer WHERE id = 1")[0]
        assert shown is None, "that tenant has no consent of anybody"


ORACLES = [
    "SELECT id FROM customer WHERE email = 'mail1@example.org'",
    "SELECT id FROM customer WHERE email IN ('mail1@example.org', 'x')",
    "SELECT id FROM customer WHERE email <> 'mail1@example.org'",
    "SELECT id FROM customer WHERE email LIKE 'mail1%'",
    "SELECT id FROM customer WHERE length(email) = 17",
    "SELECT id FROM customer WHERE born < '2000-01-05'",
    "SELECT id FROM customer WHERE born = '2000-01-02'",
    "SELECT id FROM customer ORDER BY email",
    "SELECT max(born) FROM customer",
    "SELECT coalesce(email, 'mail1@example.org') FROM customer",
    "SELECT id FROM customer c WHERE EXISTS (SELECT FROM visit v WHERE v.address = 'Street 1' AND c.id = v.customer)",
    "UPDATE customer SET note = 'x' WHERE email = 'mail1@example.org'",
    "SELECT CASE WHEN email = 'mail1@example.org' THEN 1 END FROM customer",
]


def test_predicates_are_no_oracle(world: World) -> None:
    world.says(1, "accept")
    with world.session() as session:
        for query in ORACLES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                session.execute(query)
            assert "consent of each data subject" in (refused.value.diag.message_detail or ""), query


def test_a_planted_token_stays_its_first_owners(world: World) -> None:
    world.says(1, "accept")
    with world.session() as session:
        # Moved by SQL: the attacker's own row, and its subject agrees.
        session.execute("UPDATE visit SET address = (SELECT address FROM visit WHERE id = 5) WHERE id = 1")
        session.execute("UPDATE visit SET address = NULL WHERE id = 5")
        assert rows(session, "SELECT address FROM visit WHERE id = 1") == [(None,)]
        session.execute(
            "INSERT INTO visit (id, customer, address) SELECT 100, NULL, address FROM visit WHERE id = 6"
        )
        assert rows(session, "SELECT address FROM visit WHERE id IN (6, 100)") == [(None,), (None,)]
        world.says(5, "accept")
        assert rows(session, "SELECT address FROM visit WHERE id = 1") == [("Street 5",)], "now both agree"


def test_new_token_keys_leave_every_token_its_subjects(world: World) -> None:
    world.says(1, "accept")
    with closing(psycopg.connect(world.postgres.url(world.database), autocommit=True)) as dba:
        (token,) = dba.execute("SELECT email FROM customer WHERE id = 3").fetchone() or ()
        dba.execute("UPDATE customer SET email = NULL WHERE id = 3")
        dba.execute("UPDATE customer SET email = %s WHERE id = 1", (token,))
    world.made.pgnym("keys", "rotate", "token")
    with world.session() as session:
        assert rows(session, "SELECT id, email FROM customer WHERE id IN (1, 4) ORDER BY id") == [
            (1, None),
            (4, None),
        ]
        world.says(4, "accept")
        assert rows(session, "SELECT email FROM customer WHERE id = 4") == [("mail4@example.org",)]
        world.says(3, "accept")
        assert rows(session, "SELECT email FROM customer WHERE id = 1") == [("mail3@example.org",)]
    left = "SELECT count(*) FROM pgnym.link l WHERE NOT EXISTS (SELECT FROM vault.value v WHERE v.token = l.token)"
    assert world.postgres.psql(left, world.database).strip() == "0"


def test_rows_that_a_dba_writes_make_nobody_agree(world: World) -> None:
    world.says(1, "accept")
    world.says(2, "accept")
    world.says(2, "withdraw")
    forge = [
        "INSERT INTO vault.consent_event SELECT tenant, subject_table, '3', purpose, 1, action, recorded, recorded_by,"
        " expires, text_version, channel, reference, seal FROM vault.consent_event WHERE subject = '1'",
        "INSERT INTO vault.consent_event SELECT tenant, subject_table, subject, purpose, 3, action, recorded, recorded_by,"
        " expires, text_version, channel, reference, seal FROM vault.consent_event WHERE subject = '2' AND sequence = 1",
    ]
    for statement in forge:
        world.postgres.psql(statement, world.database)
    with world.session() as session:
        assert rows(session, EMAILS) == [(1, "mail1@example.org"), (2, None), (3, None)]
        world.postgres.psql(
            "UPDATE vault.consent_event SET expires = NULL, channel = 'paper'", world.database
        )
        assert rows(session, EMAILS) == [(1, None), (2, None), (3, None)]
    _, found = world.call("GET", "/v1/subjects/2/consents?table=public.customer")
    assert not any(event["sound"] for event in found["history"])
    links = world.postgres.psql("SELECT * FROM pgnym.link", world.database)
    assert "mail1" not in links
    refused = psycopg.errors.CheckViolation
    with pytest.raises(refused), closing(psycopg.connect(world.postgres.url(world.database))) as direct:
        direct.execute("INSERT INTO pgnym.link (token, subject_table, subject) VALUES ('ada', 'x', '1')")


def test_a_session_sees_what_it_has_just_stored_and_others_what_is_agreed(world: World) -> None:
    with world.session() as session, world.session(1) as other:
        session.execute("BEGIN")
        stored = rows(
            session,
            "INSERT INTO customer (id, email, born) VALUES (20, 'new@example.org', '1990-01-01')"
            " RETURNING email, born",
        )
        assert str(stored[0][0]) == "new@example.org"
        assert rows(session, "SELECT email FROM customer WHERE id = 20") == [("new@example.org",)]
        session.execute("COMMIT")
        assert rows(other, "SELECT email FROM customer WHERE id = 20") == [(None,)]
        assert rows(session, "SELECT email FROM customer WHERE id = 20") == [(None,)], (
            "the subject is known now"
        )
        world.says(20, "accept")
        assert rows(other, "SELECT email, born::text FROM customer WHERE id = 20") == [
            ("new@example.org", "1990-01-01")
        ]
        # The same value in a column that needs no consent is another matter.
        session.execute("INSERT INTO contact VALUES ('mail7@example.org')")
        both = "SELECT c.email, k.email FROM customer c JOIN contact k USING (email)"
        assert rows(session, both) == [(None, "mail7@example.org")]


def test_an_erased_value_is_nobodys(world: World) -> None:
    """Who comes later with the same address answers for it alone."""
    for number, door in ((8, "http"), (9, "shell")):
        mail = f"mail{number}@example.org"
        if door == "http":
            world.call("GET", f"/v1/subjects/{number}/report?table=public.customer")
            status, told = world.call("DELETE", f"/v1/subjects/{number}?table=public.customer")
            assert status == 202, told
            wait_until_erased(world, told)
        else:
            world.made.pgnym("subject", "erase", str(number), "--yes", "--settle", "1")
        left = world.postgres.psql(
            f"SELECT count(*) FROM pgnym.link WHERE subject = '{number}'", world.database
        )
        assert left.strip() == "0", door
        with world.session() as session:
            session.execute("INSERT INTO customer (id, email) VALUES (%s, %s)", (number * 100, mail))
            world.says(number * 100, "accept")
            query = f"SELECT email FROM customer WHERE id = {number * 100}"
            assert rows(session, query) == [(mail,)], door


def wait_until_erased(world: World, told: dict[str, Any]) -> None:
    deadline = time.monotonic() + 60
    while world.call("GET", f"/v1/erasures/{told['id']}")[1]["state"] != "finished":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_accepting_and_withdrawing_at_the_same_time_leaves_one_chain(world: World) -> None:
    def change(gateway: int) -> None:
        for number in range(6):
            world.says(4, "accept" if number % 2 else "withdraw", gateway)

    threads = [threading.Thread(target=change, args=(n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, found = world.call("GET", "/v1/subjects/4/consents?table=public.customer")
    assert [event["sequence"] for event in found["history"]] == list(range(1, 25))
    assert all(event["sound"] for event in found["history"])
    shown = found["items"][0]["agrees"]
    with world.session() as session:
        expected = "mail4@example.org" if shown else None
        assert rows(session, "SELECT email FROM customer WHERE id = 4") == [(expected,)]


def test_the_interface(world: World) -> None:
    status, made = world.call("POST", "/v1/consent-texts", {"purpose": "marketing", "text": "May we write?"})
    assert (status, made["version"]) == (201, 1)
    assert (
        world.call("POST", "/v1/consent-texts", {"purpose": "marketing", "text": "Please?"})[1]["version"]
        == 2
    )
    world.says(3, "accept", text_version=2, reference="form 7")
    path = "/v1/subjects/3/consents?table=public.customer"
    wrong = {"action": "accept", "purposes": ["marketing"], "text_version": 9}
    assert world.call("POST", path, wrong)[0] == 422
    assert world.call("POST", path, {"action": "accept", "purposes": ["nonsense"]})[0] == 422
    assert world.call("POST", path, {"action": "accept"})[0] == 422
    for subject in (1, 2):
        world.says(subject, "accept")
    first = world.call("GET", "/v1/consents?purpose=marketing&limit=2")[1]
    assert [item["subject"] for item in first["items"]] == ["1", "2"]
    second = world.call("GET", f"/v1/consents?purpose=marketing&limit=2&cursor={first['next']}")[1]
    assert [(i["subject"], i["text_version"], i["reference"]) for i in second["items"]] == [
        ("3", 2, "form 7")
    ]
    assert second["next"] is None
    application = world.made.pgnym("token", "create", "--role", "app", "--tenant", "main").stdout.strip()
    assert world.call("GET", "/v1/consents?purpose=marketing", token=application)[0] == 403
    assert world.call("POST", path, {"action": "withdraw"}, token=application)[0] == 201
    assert world.call("GET", path, token=application)[1]["items"][0]["agrees"] is False
    assert world.call("GET", path + "&tenant=other", token=application)[0] == 403


def test_plan_wants_tokens_that_belong_to_one_subject(
    postgres: Cluster, make_database: Callable[[], str]
) -> None:
    database = make_database()
    postgres.psql(
        "CREATE TABLE p (id int, mail text, born date); INSERT INTO p VALUES (1, 'a@x.org', '2000-01-01');"
        "CREATE TABLE q (id int, mail text) PARTITION BY RANGE (id)",
        database,
    )
    columns = {"mail": BY_CONSENT, "born": {"tokens": "randomized", **BY_CONSENT}}
    tables = {
        "public.p": {"subject": "id", "columns": columns},
        "public.q": {"subject": "id", "columns": {"mail": {"tokens": "randomized", **BY_CONSENT}}},
    }
    made = deployment(postgres, database, tables=tables, roles=ROLES)
    said = made.pgnym("plan", check=False)
    assert "several subjects may share its tokens" in said.stdout + said.stderr
    assert "is partitioned" in said.stdout + said.stderr
    del tables["public.q"]
    made = deployment(postgres, database, tables=tables, roles=ROLES)
    postgres.psql("ALTER TABLE p ADD UNIQUE (mail)", database)
    made.apply()
    assert made.pgnym("plan").returncode == 0
    assert postgres.psql("SELECT count(*), min(subject) FROM pgnym.link", database).strip() == "2|1"
    # Back to plaintext: the triggers go, so that no value is written to the links.
    made.pgnym("undo", "--table", "public.p", "--yes", check=False)
    if postgres.psql("SELECT mail FROM p", database).strip() == "a@x.org":
        postgres.psql("UPDATE p SET mail = 'b@x.org'", database)
    assert postgres.psql("SELECT count(*) FROM pgnym.link", database).strip() == "2"
    assert "link_" not in postgres.psql("SELECT proname FROM pg_proc WHERE proname LIKE 'link\\_%'", database)
