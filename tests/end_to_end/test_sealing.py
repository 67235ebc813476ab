"""A gateway that starts sealed, with one worker and with several: unsealed by shares or key, and what is refused before."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

pytestmark = pytest.mark.server

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}}}}


@pytest.fixture
def applied(postgres: Cluster, database: str) -> Deployment:
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql("CREATE TABLE t (id int, mail text); INSERT INTO t VALUES (1, 'ada@example.org')", database)
    made.apply()
    return made


def call(gateway: Gateway, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(gateway.admin_host, gateway.admin_port, timeout=30)
    try:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, path, data)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def shares_of(made: Deployment, *arguments: str) -> list[str]:
    return made.pgnym("keys", "split", *arguments).stdout.splitlines()


def repeats(text: str, share: str) -> bool:
    """Whether two words of the share stand there in a row (a single one may be any word)."""
    return any(f"{one} {other}" in text for one, other in pairwise(share.split()))


def reads(gateway: Gateway) -> str:
    with psycopg.connect(gateway.url()) as session:
        row = session.execute("SELECT mail FROM t WHERE id = 1").fetchone()
        assert row is not None
        return str(row[0])


def refused(gateway: Gateway) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(gateway.url())
    return str(caught.value)


def until_all_read(gateway: Gateway, workers: int) -> None:
    """Whichever worker accepts: each has been unsealed once so many connections in a row work."""
    deadline = time.monotonic() + 30
    row = 0
    while row < workers * 8:
        try:
            assert reads(gateway) == "ada@example.org"
            row += 1
        except psycopg.OperationalError:
            row = 0
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 3])
def test_shares_unseal_every_worker(applied: Deployment, workers: int) -> None:
    first, second, third = shares_of(applied)
    other = shares_of(applied)
    with Gateway(applied, sealed=True, arguments=["--workers", str(workers)]) as gateway:
        assert gateway.state == "sealed"
        assert "the gateway is sealed" in refused(gateway)
        assert call(gateway, "GET", "/v1/seal") == (
            200,
            {"sealed": True, "shares_given": 0, "shares_needed": 0},
        )
        status, told = call(gateway, "POST", "/v1/unseal", {"share": first})
        assert (status, told["sealed"], told["shares_given"], told["shares_needed"]) == (200, True, 1, 2)
        deadline = time.monotonic() + 10
        while any(call(gateway, "GET", "/v1/seal")[1]["shares_given"] != 1 for _ in range(workers * 4)):
            assert time.monotonic() < deadline, "each worker is told"
        for wrong in (other[1], first + " word", "nonsense", " ".join(second.split()[::-1])):
            status, told = call(gateway, "POST", "/v1/unseal", {"share": wrong})
            assert status == 422
            assert not repeats(str(told), wrong)
        assert "the gateway is sealed" in refused(gateway), "and changes nothing"
        status, told = call(gateway, "POST", "/v1/unseal", {"share": third})
        assert (status, told["sealed"]) == (200, False)
        until_all_read(gateway, workers)
        assert call(gateway, "POST", "/v1/unseal", {"share": second})[0] == 409
        assert not repeats(gateway.stderr_text(), first)
        assert not repeats(gateway.stderr_text(), third)


def test_a_key_unseals_and_a_wrong_one_does_not(applied: Deployment) -> None:
    with Gateway(applied, sealed=True) as gateway:
        wrong = base64.b64encode(os.urandom(32)).decode()
        status, told = call(gateway, "POST", "/v1/unseal", {"key": wrong})
        assert status == 422
        assert wrong not in str(told)
        assert call(gateway, "POST", "/v1/unseal", {"key": "AAAA"})[0] == 422
        for body in (
            b"",
            b"{}",
            b"[1]",
            b'{"share": 1}',
            b'{"share": "a", "key": "b"}',
            b'{"secret": "x"}',
            b"\xff",
        ):
            assert call(gateway, "POST", "/v1/unseal", body)[0] == 400
        assert call(gateway, "GET", "/v1/unseal")[0] == 405
        assert "the gateway is sealed" in refused(gateway)
        assert call(gateway, "POST", "/v1/unseal", {"key": applied.master_key})[0] == 200
        assert reads(gateway) == "ada@example.org"
        assert call(gateway, "GET", "/readyz")[0] == 200


def test_shares_of_another_key_are_refused_by_the_vault(applied: Deployment, postgres: Cluster) -> None:
    stranger = deployment(postgres, "none", tables=TABLES)  # another master key
    with Gateway(applied, sealed=True) as gateway:
        one, other, _ = shares_of(stranger)
        assert call(gateway, "POST", "/v1/unseal", {"share": one})[0] == 200
        status, told = call(gateway, "POST", "/v1/unseal", {"share": other})
        assert status == 422
        assert call(gateway, "GET", "/v1/seal")[1] == {"sealed": True, "shares_given": 0, "shares_needed": 0}
        for share in shares_of(applied)[:2]:
            status, told = call(gateway, "POST", "/v1/unseal", {"share": share})
        assert (status, told["sealed"]) == (200, False)


def test_shares_can_be_begun_anew(applied: Deployment) -> None:
    with Gateway(applied, sealed=True) as gateway:
        call(gateway, "POST", "/v1/unseal", {"share": shares_of(applied)[0]})
        assert call(gateway, "POST", "/v1/unseal", {"reset": True})[1]["shares_given"] == 0
        for share in shares_of(applied, "--shares", "5", "--threshold", "3")[1:4]:
            status, told = call(gateway, "POST", "/v1/unseal", {"share": share})
            assert status == 200
        assert told["sealed"] is False


def test_the_command(applied: Deployment) -> None:
    shares = shares_of(applied)
    with Gateway(applied, sealed=True) as gateway:
        admin = f"{gateway.admin_host}:{gateway.admin_port}"
        few = applied.pgnym("unseal", "--admin", admin, stdin=shares[0], check=False)
        assert (few.returncode, few.stderr.splitlines()[-1]) == (
            1,
            "pgnym: not unsealed: more shares are needed",
        )
        wrong = applied.pgnym("unseal", "--admin", admin, stdin="what is this", check=False)
        assert wrong.returncode == 1
        assert "the share is not valid" in wrong.stderr
        assert applied.pgnym("unseal", "--admin", admin, stdin=shares[2]).stdout == "unsealed\n"
        assert reads(gateway) == "ada@example.org"


def children(pid: int) -> Iterator[int]:
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_a_worker_that_is_started_later_is_told(applied: Deployment) -> None:
    with Gateway(applied, sealed=True, arguments=["--workers", "2"]) as gateway:
        for share in shares_of(applied)[:2]:
            assert call(gateway, "POST", "/v1/unseal", {"share": share})[0] == 200
        until_all_read(gateway, 2)
        before = set(children(gateway.pid))
        os.kill(next(iter(before)), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while not (set(children(gateway.pid)) - before and len(set(children(gateway.pid))) == 2):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        until_all_read(gateway, 2)
        assert gateway.terminate() == 0


@pytest.mark.parametrize("by", ["shares", "key"])
def test_a_serving_gateway_goes_on_with_the_new_master_key(
    applied: Deployment, tmp_path: Path, by: str
) -> None:
    """Every worker of it learns the key that one was given; and a worker that is started later has it too."""
    new = tmp_path / "new.key"
    new.write_text(base64.b64encode(os.urandom(32)).decode())
    first, second, _ = shares_of(applied, "--key-file", str(new))
    wrong = base64.b64encode(os.urandom(32)).decode()
    old_shares = shares_of(applied)[:2]
    with Gateway(applied, sealed=True, arguments=["--workers", "2"]) as gateway:
        for share in old_shares:
            call(gateway, "POST", "/v1/unseal", {"share": share})
        until_all_read(gateway, 2)
        begin = applied.pgnym(
            "keys",
            "rotate",
            "master",
            "--new-key-file",
            str(new),
            "--shares",
            sealed=True,
            stdin="\n".join(old_shares),
        )
        assert "both open the vault" in begin.stdout
        assert call(gateway, "POST", "/v1/unseal", {"key": wrong})[0] == 422
        assert call(gateway, "POST", "/v1/unseal", {"key": applied.master_key})[0] == 409, "it has that one"
        finish = ("keys", "rotate", "master", "--finish", "--new-key-file", str(new))
        refusal = applied.pgnym(*finish, sealed=True, check=False)
        assert "2 processes still hold master key" in refusal.stderr
        if by == "shares":
            assert call(gateway, "POST", "/v1/unseal", {"share": first})[0] == 200
            assert call(gateway, "POST", "/v1/unseal", {"share": second})[0] == 200
        else:
            assert call(gateway, "POST", "/v1/unseal", {"key": new.read_text()})[0] == 200
        assert "opens nothing any more" in applied.pgnym(*finish, sealed=True).stdout
        until_all_read(gateway, 2)
        os.kill(next(children(gateway.pid)), signal.SIGKILL)
        gateway.wait_for_log("starting another")
        until_all_read(gateway, 2)
        for secret in (first, second, new.read_text()):
            assert not repeats(gateway.stderr_text(), secret)
            assert secret not in gateway.stderr_text()
