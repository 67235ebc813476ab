"""The reveal budget over two gateways of two workers each, and grants that lift it: used, forged, revoked, brought back."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from victims import MINUTE, PEOPLE, Shop, canaries, shop

from support.cluster import Cluster, free_port
from support.gateway import Gateway

pytestmark = pytest.mark.server

WHOLE = "SELECT email FROM customer"
EXPORT = "-c pgnym.purpose=export"
OVER = psycopg.errors.InsufficientPrivilege


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways before one database and vault."""

    shops: tuple[Shop, Shop]
    token: str

    def call(self, method: str, path: str, body: object = None, shop: int = 0) -> Any:
        """What the admin endpoint answers. Raises ``urllib.error.HTTPError`` for what it refuses."""
        gateway = self.shops[shop].gateway
        request = urllib.request.Request(
            f"http://{gateway.admin_host}:{gateway.admin_port}{path}",
            None if body is None else json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": str(time.monotonic_ns()),
            },
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def grant(self, seconds: float = 600, **changes: object) -> int:
        """A grant for user ``tight``; its number."""
        body = {
            "db_user": self.shops[0].users("tight"),
            "purpose": "export",
            "statement": None,
            "minute": None,
            "until": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
            "reason": "a test",
        }
        return int(self.call("POST", "/v1/grants", body | changes)["id"])

    @contextmanager
    def granted(self, seconds: float = 600, **changes: object) -> Iterator[int]:
        """A grant for the time of the block; in effect on both gateways when it begins, on none when it has ended."""
        number = self.grant(seconds, **changes)
        self.until(lambda: all(self.may(made) for made in self.shops))
        try:
            yield number
        finally:
            if self.call("GET", f"/v1/grants/{number}")["state"] == "valid":  # the test may have revoked it
                self.call("DELETE", f"/v1/grants/{number}")
            self.until(lambda: not any(self.may(made) for made in self.shops))

    @staticmethod
    def may(made: Shop, options: str = EXPORT) -> bool:
        """Whether ``tight`` is given more than its own limit, by both workers (asked several times)."""
        found = set()
        for _ in range(4):
            with made.connect("tight", options) as session:
                try:
                    found.add(len(session.execute(WHOLE).fetchall()) == PEOPLE)
                except OVER:
                    found.add(False)
        return found == {True}

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    postgres.psql("CREATE DATABASE attacked_4 TEMPLATE template0")
    with shop(postgres, "attacked_4", workers=2) as made:
        config = made.deployed.config | {
            "gateway": {"listen": f"127.0.0.1:{free_port()}"},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
        }
        token = made.deployed.pgnym("token", "create", "--role", "root", "--ttl", "1h").stdout.strip()
        with Gateway(replace(made.deployed, config=config), arguments=["--workers", "2"]) as second:
            yield Pair((made, replace(made, gateway=second)), token)
            for gateway in (made.gateway, second):
                assert "internal error" not in gateway.stderr_text()
    postgres.psql("DROP DATABASE attacked_4 WITH (FORCE)")


def count_all(pair: Pair, sessions: int = 24) -> tuple[int, int]:
    """How many values sessions on both gateways together get, and how many statements were refused."""

    def attack(number: int) -> tuple[int, int]:
        got = refusals = 0
        with pair.shops[number % 2].connect("tight") as session:
            for step in range(8):
                text = f"SELECT email FROM customer OFFSET {(number * 7 + step * 5) % PEOPLE} LIMIT {1 + step % 5}"
                try:
                    got += len(session.execute(text).fetchall())
                except OVER:
                    refusals += 1
        return got, refusals

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(attack, range(sessions)))
    return sum(got for got, _ in results), sum(refused for _, refused in results)


def test_two_gateways_together_give_no_more_than_a_minute_allows(pair: Pair) -> None:
    begun = time.monotonic()
    got, refused = count_all(pair)
    assert got <= MINUTE
    # What one gateway holds unused while the other asks goes back within five seconds.
    assert got >= MINUTE * 3 // 4
    assert refused > 40
    more, _ = count_all(pair, 8)
    assert time.monotonic() - begun < 60, "else the window moved on, and this proves nothing"
    assert got + more <= MINUTE
    with pair.shops[0].direct() as owner:
        row = owner.execute("SELECT name, counts FROM vault.reveal_loan WHERE name = 'role:tight'").fetchone()
    assert row is not None
    assert sum(row[1]) <= MINUTE  # type: ignore[call-overload]


def test_a_grant_lifts_the_budget_for_who_states_its_purpose(pair: Pair) -> None:
    with pair.granted() as number:
        for made in pair.shops:
            assert not pair.may(made, ""), "no purpose stated"
            assert not pair.may(made, "-c pgnym.purpose=service"), "another purpose"
            with made.connect("tight", EXPORT) as session:
                with session.cursor().copy("COPY customer (email) TO STDOUT") as copied:
                    given = b"".join(bytes(part) for part in copied)
                assert len(canaries(given)) == PEOPLE
                session.execute("SET pgnym.purpose = 'service'")
                with pytest.raises(OVER):
                    session.execute(WHOLE)
        with made.connect("helpdesk", EXPORT) as other:
            assert not canaries(other.execute(WHOLE).fetchall()), "a grant gives no sight"
        shown = made.deployed.pgnym("audit", "show", "--purpose", "export", "--format", "jsonl").stdout
        records = [json.loads(line) for line in shown.splitlines()]
        reveals = [r for r in records if r["action"] == "reveal" and r["grant"] == number]
        assert reveals
        assert {r["counts"]["email"] for r in reveals} == {PEOPLE}
        assert f"under grant {number}" in made.deployed.pgnym("audit", "show", "--purpose", "export").stdout
    created = made.deployed.pgnym("audit", "show", "--action", "admin", "--format", "jsonl").stdout
    operations = [json.loads(line)["fingerprint"] for line in created.splitlines()]
    assert {"createGrant", "revokeGrant"} <= set(operations)


def test_a_grant_has_limits_of_its_own(pair: Pair) -> None:
    with (
        pair.granted(statement=PEOPLE, minute=40 * PEOPLE),
        pair.shops[0].connect("tight", EXPORT) as session,
    ):
        with pytest.raises(OVER, match="budget exceeded") as refused:
            session.execute(WHOLE + " UNION ALL SELECT first_name FROM customer")
        assert f"{PEOPLE} values per statement by grant" in str(refused.value.diag.message_detail)
        given, detail = 0, ""
        while given <= 40 * PEOPLE:
            try:
                given += len(session.execute(WHOLE).fetchall())
            except OVER as error:
                detail = str(error.diag.message_detail)
                break
        assert f"{40 * PEOPLE} values per minute by grant" in detail
        assert 20 * PEOPLE < given <= 40 * PEOPLE


def test_a_grant_ends_in_the_middle_of_a_session(pair: Pair) -> None:
    made = pair.shops[1]
    end = datetime.now(UTC) + timedelta(seconds=4)
    pair.call(
        "POST",
        "/v1/grants",
        {
            "role": "tight",
            "purpose": "export",
            "statement": None,
            "minute": None,
            "until": end.isoformat(),
            "reason": "short",
        },
    )
    given = 0
    with made.connect("tight", EXPORT) as session:
        while True:
            asked = datetime.now(UTC)
            try:
                session.execute(WHOLE)
            except OVER:
                if given:
                    break
                assert asked < end  # the gateway has not learned of it yet
            else:
                assert asked < end, "given after its end"
                given += 1
    assert datetime.now(UTC) >= end


def test_a_grant_that_is_revoked_ends_everywhere(pair: Pair) -> None:
    with pair.granted() as number:
        pair.call("DELETE", f"/v1/grants/{number}", shop=1)
        pair.until(lambda: not any(pair.may(made) for made in pair.shops))
        assert pair.call("GET", f"/v1/grants/{number}")["state"] == "revoked"


FORGED = {
    "another end": "UPDATE vault.reveal_grant SET until = until + interval '1 day' WHERE id = {0}",
    "a role for a user": "UPDATE vault.reveal_grant SET db_user = NULL, role = 'tight' WHERE id = {0}",
    "another purpose": "UPDATE vault.reveal_grant SET purpose = 'service' WHERE id = {0}",
    "a copy under another number": (
        "INSERT INTO vault.reveal_grant OVERRIDING SYSTEM VALUE SELECT 900000 + id, tenant, db_user, role, purpose,"
        " statement_limit, minute_limit, until, reason, created, created_by, NULL, NULL, seal FROM vault.reveal_grant"
        " WHERE id = {0}; DELETE FROM vault.reveal_grant WHERE id = {0}"
    ),
    "one of another tenant": "UPDATE vault.reveal_grant SET tenant = tenant + 1 WHERE id = {0}",
    "one made of nothing": (
        "INSERT INTO vault.reveal_grant (tenant, db_user, purpose, until, reason, created, created_by) SELECT tenant,"
        " '{1}', 'service', until, reason, created, created_by FROM vault.reveal_grant WHERE id = {0}"
    ),
}


@pytest.mark.parametrize("way", FORGED)
def test_a_grant_can_not_be_forged(pair: Pair, way: str) -> None:
    users = pair.shops[0].users
    with pair.granted(db_user=users("tight")) as number, pair.shops[0].direct() as owner:
        saved = owner.execute("SELECT * FROM vault.reveal_grant WHERE id = %s", (number,)).fetchone()
        assert saved is not None
        owner.execute(FORGED[way].format(number, users("tight")))
        owner.execute("NOTIFY pgnym_invalidate, 'grants'")
        if way == "one made of nothing":
            pair.until(lambda: "not made by pgnym" in pair.shops[0].gateway.stderr_text())
        else:
            pair.until(lambda: not any(pair.may(made) for made in pair.shops))
        assert not any(pair.may(made, "-c pgnym.purpose=service") for made in pair.shops)
        owner.execute("DELETE FROM vault.reveal_grant WHERE id >= 900000 OR seal = '' OR id = %s", (number,))
        places = ", ".join(["%s"] * len(saved))
        owner.execute(f"INSERT INTO vault.reveal_grant OVERRIDING SYSTEM VALUE VALUES ({places})", saved)
        owner.execute("NOTIFY pgnym_invalidate, 'grants'")


def test_a_revoked_grant_can_not_be_brought_back(pair: Pair) -> None:
    """The row as it was before, alone, and then with the list of what was revoked."""
    first = pair.grant(purpose="sacrifice")
    pair.call("DELETE", f"/v1/grants/{first}")  # so that there is an older list
    with pair.granted() as number, pair.shops[0].direct() as owner:
        older = owner.execute("SELECT * FROM vault.revocation").fetchall()
        assert older
        pair.call("DELETE", f"/v1/grants/{number}")
        pair.until(lambda: not any(pair.may(made) for made in pair.shops))
        owner.execute(
            "UPDATE vault.reveal_grant SET revoked = NULL, revoked_by = NULL WHERE id = %s", (number,)
        )
        owner.execute("NOTIFY pgnym_invalidate, 'grants'")
        time_to_learn(pair)
        assert not any(pair.may(made) for made in pair.shops)
        newer = owner.execute("SELECT * FROM vault.revocation").fetchall()
        assert newer != older
        put_back(owner, older)
        owner.execute("NOTIFY pgnym_invalidate, 'grants'")
        set_back = "not as it was written, or an older one"
        pair.until(  # it is looked at when somebody states a purpose
            lambda: (
                not any(pair.may(made) or set_back not in made.gateway.stderr_text() for made in pair.shops)
            )
        )
        put_back(owner, newer)
        owner.execute("UPDATE vault.reveal_grant SET revoked = now() WHERE id = %s", (number,))
        owner.execute("NOTIFY pgnym_invalidate, 'grants'")


def test_a_revoked_token_can_not_be_brought_back(pair: Pair) -> None:
    made = pair.call("POST", "/v1/api-tokens", {"role": "operator", "name": "thief"})
    stolen = replace(pair, token=made["secret"])
    assert stolen.call("GET", "/v1/grants")["items"] is not None
    pair.call("DELETE", f"/v1/api-tokens/{made['id']}")
    with pair.shops[0].direct() as owner:
        owner.execute("UPDATE vault.api_token SET revoked = NULL WHERE id = %s", (made["id"],))
    for number in range(2):
        with pytest.raises(urllib.error.HTTPError) as refused:
            stolen.call("GET", "/v1/grants", shop=number)
        assert refused.value.code == 401
        refused.value.close()


def put_back(owner: psycopg.Connection[tuple[object, ...]], rows: list[tuple[object, ...]]) -> None:
    owner.execute("DELETE FROM vault.revocation")
    for row in rows:
        owner.execute("INSERT INTO vault.revocation VALUES (%s, %s, %s, %s)", row)


def time_to_learn(pair: Pair) -> None:
    """Until all gateways have read grants that were made after what is to be learned."""
    number = pair.grant(purpose="marker")
    marked = "-c pgnym.purpose=marker"
    pair.until(lambda: all(pair.may(made, marked) for made in pair.shops))
    pair.call("DELETE", f"/v1/grants/{number}")


def test_nothing_is_given_while_the_vault_can_not_lend(pair: Pair) -> None:
    made = pair.shops[0]
    gateway = "pgnym_gateway"
    with made.direct() as owner:
        owner.execute(f"REVOKE UPDATE ON vault.reveal_loan FROM {gateway}")
        owner.execute(f"REVOKE UPDATE (seconds, counts) ON vault.reveal_loan FROM {gateway}")
        try:
            with made.connect("app") as app:
                deadline = time.monotonic() + 30
                failure: psycopg.Error | None = None
                while failure is None:  # until what was lent before can't be used any more
                    assert time.monotonic() < deadline
                    try:
                        app.execute(WHOLE)
                    except psycopg.Error as error:
                        failure = error
                assert failure.sqlstate == "58000"
                assert not canaries(failure)
                assert app.execute("SELECT 1").fetchone() == (1,)
        finally:
            owner.execute(f"GRANT UPDATE (seconds, counts) ON vault.reveal_loan TO {gateway}")
    with made.connect("app") as app:
        assert len(app.execute(WHOLE).fetchall()) == PEOPLE


def test_the_command_line_makes_lists_and_ends_grants(pair: Pair) -> None:
    made = pair.shops[0]
    pgnym = made.deployed.pgnym
    number = pgnym(
        "grant", "create", "--role", "tight", "--purpose", "export", "--statement", "unlimited", "--minute", "5000",
        "--ttl", "1h", "--reason", "yearly report",
    ).stdout.strip()  # fmt: skip
    pair.until(lambda: all(pair.may(each) for each in pair.shops))
    listed = pgnym("grant", "list").stdout
    assert f"{number}  role tight for export, any number per statement, 5000 per minute" in listed
    pgnym("grant", "revoke", number)
    pair.until(lambda: not any(pair.may(each) for each in pair.shops))
    assert pgnym("grant", "revoke", number, check=False).returncode == 1
    refused = pgnym(
        "grant", "create", "--role", "nobody", "--purpose", "x", "--statement", "1", "--minute", "1", "--ttl", "1h",
        "--reason", "x", check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "no such role" in refused.stderr
