"""A gateway is killed while a withdrawal is told to it: what was answered holds everywhere; else either state is whole."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from support.admin import AdminClient, first_token
from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, mail text UNIQUE, born date);
INSERT INTO person SELECT n, n || '@example.org', '2000-01-01'::date + n FROM generate_series(1, 40) n;
"""
TABLES = {
    "public.person": {
        "subject": "id",
        "columns": {
            "mail": {"legal_basis": "consent", "purposes": ["letters"]},
            "born": {"legal_basis": "consent", "purposes": ["parties"], "tokens": "randomized"},
        },
    }
}
ROLES = {"app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["letters", "parties"]}}
COLUMNS = {"letters": "mail", "parties": "born"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways: ``doomed`` is killed, ``other`` stays."""

    postgres: Cluster
    database: str
    doomed: Gateway
    other: Gateway
    ask: AdminClient

    def accept(self, person: int) -> None:
        """A person agrees to both purposes."""
        body = {"action": "accept", "purposes": ["letters", "parties"]}
        assert self.ask("POST", f"/v1/subjects/{person}/consents", body).status == 201

    def withdraw(self, person: int) -> socket.socket:
        """Sends a withdrawal of all to the doomed one; the socket on which the answer would come."""
        body = json.dumps({"action": "withdraw"}).encode()
        connection = socket.create_connection((self.doomed.admin_host, self.doomed.admin_port), timeout=30)
        head = (
            f"POST /v1/subjects/{person}/consents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.ask.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        return connection

    def state(self, person: int, gateway: Gateway | None = None) -> dict[str, bool]:
        """By purpose, whether the person's value is shown by a gateway, which must be what the history says."""
        history = self.ask("GET", f"/v1/subjects/{person}/consents").body
        assert all(event["sound"] for event in history["history"])
        agrees = {item["purpose"]: item["agrees"] for item in history["items"]}
        shown = {}
        for purpose, column in COLUMNS.items():
            url = f"{(gateway or self.other).url(self.database)}?options=-c%20pgnym.purpose%3D{purpose}"
            with closing(psycopg.connect(url, autocommit=True)) as session:
                query = f"SELECT {column} FROM person WHERE id = {person}"
                ((value,),) = session.execute(query.encode()).fetchall()
            shown[purpose] = value is not None
        assert shown == agrees
        return shown


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    database = "consent_killed"
    postgres.psql(f"CREATE DATABASE {database}")
    postgres.psql(SCHEMA, database)
    made = deployment(postgres, database, tables=TABLES, roles=ROLES)
    made.apply()
    listen = {name: {"listen": f"127.0.0.1:{free_port()}"} for name in ("gateway", "admin")}
    with Gateway(made) as doomed, Gateway(replace(made, config=made.config | listen)) as other:
        yield Pair(postgres, database, doomed, other, AdminClient(other, first_token(other, "dpo")))
    postgres.psql(f"DROP DATABASE {database} WITH (FORCE)")


BOTH, NEITHER = {"letters": True, "parties": True}, {"letters": False, "parties": False}


def test_killed_at_any_moment(pair: Pair) -> None:
    """From before the call arrives to after it is answered, in steps that shrink to where it happens."""
    outcomes = set[str]()
    for number in range(12):
        person = number + 1
        pair.accept(person)
        assert pair.state(person) == BOTH
        with closing(pair.withdraw(person)) as call:
            call.settimeout(number * 0.002 if number else 0.000_1)
            answer = b""
            with suppress(TimeoutError, BlockingIOError):
                answer = call.recv(65536)
            if number == 11:
                call.settimeout(30)
                answer = answer or call.recv(65536)
            pair.doomed.kill()
        settled(pair)
        after = pair.state(person)
        assert after in (BOTH, NEITHER), "all or none"
        if answer.startswith(b"HTTP/1.1 201"):
            assert after == NEITHER
            outcomes.add("answered")
        else:
            assert answer == b""
            outcomes.add("unanswered")
        pair.doomed.start()
        assert pair.state(person, pair.doomed) == after
    assert outcomes == {"answered", "unanswered"}


def settled(pair: Pair) -> None:
    """Returns once the server has noticed that the killed gateway's connections are gone."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' OR state LIKE 'idle in transaction%'"
    deadline = time.monotonic() + 30
    while pair.postgres.psql(query, pair.database).strip() != "0":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("person", "held", "after"),
    [(31, ["audit"], BOTH), (32, ["consent_event"], BOTH), (33, ["consent_event", "audit"], NEITHER)],
)
def test_killed_between_the_parts_of_a_call(
    pair: Pair, person: int, held: list[str], after: dict[str, bool]
) -> None:
    """Where it waits for one table, then another: before it is recorded that it begins; before anything is done; and once
    that is committed, but not in the audit log."""
    pair.accept(person)
    with ExitStack() as stack:
        call, owners = None, list[psycopg.Connection[Any]]()
        for table in held:
            dba = stack.enter_context(closing(psycopg.connect(pair.postgres.url(pair.database))))
            dba.execute(f"LOCK TABLE vault.{table} IN SHARE MODE".encode())
            if call is None:
                call = stack.enter_context(closing(pair.withdraw(person)))
            else:
                owners[-1].rollback()
            waits_for(pair, table)
            owners.append(dba)
        assert call is not None
        pair.doomed.kill()
        assert call.recv(100) == b""
    settled(pair)
    assert pair.state(person) == after
    pair.doomed.start()
    assert pair.state(person, pair.doomed) == after


def waits_for(pair: Pair, table: str) -> None:
    """Returns once somebody waits for a lock of the table."""
    query = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'vault.{table}'::regclass"
    deadline = time.monotonic() + 30
    while pair.postgres.psql(query, pair.database).strip() == "0":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_while_others_read(pair: Pair) -> None:
    """Sessions at the gateway that stays see the value until it is withdrawn, and from then on never again."""
    person, seen = 33, list[tuple[float, bool]]()
    pair.accept(person)
    stop = threading.Event()

    def read() -> None:
        url = f"{pair.other.url(pair.database)}?options=-c%20pgnym.purpose%3Dletters"
        with closing(psycopg.connect(url, autocommit=True)) as session:
            while not stop.is_set():
                begun = time.monotonic()
                query = f"SELECT mail FROM person WHERE id = {person}"
                ((value,),) = session.execute(query.encode()).fetchall()
                seen.append((begun, value is not None))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with closing(pair.withdraw(person)) as call:
            assert call.recv(65536).startswith(b"HTTP/1.1 201")
            answered = time.monotonic()
            pair.doomed.kill()
        deadline = time.monotonic() + 30
        while sum(begun > answered for begun, _ in seen) < 5:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        stop.set()
        reader.join()
    assert not any(shown for begun, shown in seen if begun > answered)
    shown = [shown for _, shown in seen]
    assert shown == sorted(shown, reverse=True), "once hidden, hidden"
    pair.doomed.start()
