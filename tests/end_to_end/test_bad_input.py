"""What users get wrong, and what goes wrong around them: each has a clear answer, and the gateway lives on."""

from __future__ import annotations

import base64
import copy
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.cluster import SUPERUSER, Cluster, free_port
from support.gateway import DIRECT, Deployment, Gateway, GatewayError, command, console_script, deployment
from support.rawwire import SYNC, RawClient, bind, execute, message, parse, query, startup

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(f"'{DIRECT}' in __import__('os').environ", reason="it is pgnym that is asked"),
]

TABLE = "CREATE TABLE person (id int PRIMARY KEY, email text, name varchar(20), score int)"
PROTECTED: dict[str, Any] = {"public.person": {"columns": {"email": {}, "name": {}}}}
SECRET = "Plaintext-7f3a9b"


@pytest.fixture(scope="module")
def made(postgres: Cluster) -> Iterator[Deployment]:
    """An applied configuration; its database goes with the module."""
    postgres.psql("CREATE DATABASE bad_input")
    try:
        postgres.psql(TABLE, "bad_input")
        done = deployment(postgres, "bad_input", tables=PROTECTED)
        done.apply()
        yield done
    finally:
        postgres.psql("DROP DATABASE bad_input WITH (FORCE)")


@pytest.fixture(scope="module")
def gateway(made: Deployment) -> Iterator[Gateway]:
    """A gateway that lives through the whole module; what it said by then holds no secret and no traceback."""
    with Gateway(made) as running:
        yield running
        said = running.stderr_text()
        assert SECRET not in said
        assert made.master_key not in said
        assert made.vault_password not in said
        assert "Traceback" not in said


@pytest.fixture
def alive(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway; after the test it must still serve, and what was wrong must not have been stored."""
    yield gateway
    assert gateway.running
    with psycopg.connect(gateway.url(), autocommit=True) as connection:
        stored = connection.execute("DELETE FROM person RETURNING id, email").fetchall()
        connection.execute("INSERT INTO person (id, email) VALUES (1, 'probe@x.org')")
        assert connection.execute("SELECT email FROM person WHERE id = 1").fetchone() == ("probe@x.org",)
        connection.execute("DELETE FROM person")
    assert stored == []


def refused(made: Deployment, *arguments: str, code: int = 1, **options: Any) -> str:
    """Run pgnym; it must fail with ``code``, in a few lines and without a traceback. Its stderr."""
    done = made.pgnym(*arguments, check=False, seconds=15, **options)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert made.master_key not in done.stderr + done.stdout
    return done.stderr


def copied(made: Deployment, **changes: Any) -> Deployment:
    """A deployment whose configuration may be changed."""
    return replace(made, config=copy.deepcopy(made.config), **changes)


def on_other_ports(made: Deployment) -> Deployment:
    other = copied(made)
    other.config["gateway"]["listen"] = f"127.0.0.1:{free_port()}"
    other.config["admin"]["listen"] = f"127.0.0.1:{free_port()}"
    return other


# Configuration

WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], list[str]]] = {
    "an unknown section": (lambda c: c.update(gatewey={}), ["gatewey", "gateway"]),
    "an unknown option": (lambda c: c["gateway"].update(lissten="x"), ["gateway.lissten", "listen"]),
    "a wrong type": (lambda c: c["gateway"].update(workers="two"), ["gateway.workers"]),
    "a number out of range": (lambda c: c["upstream"].update(port=99999), ["upstream.port"]),
    "a wrong choice": (
        lambda c: c["tables"]["public.person"]["columns"].update(email={"tokens": "random"}),
        ["tables.public.person.columns.email.tokens", "randomized"],
    ),
    "a table without its schema": (lambda c: c["tables"].update(person={"columns": {"x": {}}}), ["tables.person"]),
    "a listener without TLS beyond loopback": (
        lambda c: c["gateway"].update(listen="0.0.0.0:6432"), ["gateway.tls", "0.0.0.0:6432"]),
    "a key file that isn't there": (
        lambda c: c.update(keys={"master_key_file": "nowhere/key"}), ["keys.master_key_file", "nowhere/key"]),
    "a certificate that isn't there": (
        lambda c: c["gateway"].update(tls={"cert": "no.crt", "key": "no.key"}), ["gateway.tls", "no.crt"]),
    "a user in two roles": (
        lambda c: c["roles"].update(other={"users": [SUPERUSER], "mask": ["*"]}), ["roles", SUPERUSER]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("verb", ["serve", "plan"])
def test_a_wrong_configuration_is_told_by_path_and_reason(made: Deployment, name: str, verb: str) -> None:
    change, expected = WRONG[name]
    if verb == "plan" and name in {"a key file that isn't there", "a certificate that isn't there"}:
        pytest.skip("what plan doesn't read")
    wrong = copied(made)
    change(wrong.config)
    said = refused(wrong, verb, sealed=name == "a key file that isn't there")
    for word in expected:
        assert word in said


def test_no_configuration_file(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    done = subprocess.run(
        [*command(), "serve", "-c", str(missing)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert missing.name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    file = tmp_path / "pgnym.yaml"
    file.write_text("gateway: [unclosed")
    done = subprocess.run([*command(), "serve", "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert file.name in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_errors_have_exit_code_2(made: Deployment) -> None:
    refused(made, "no-such-command", code=2)
    refused(made, "serve", "--no-such-option", code=2)


def test_the_console_script_is_the_same_program(made: Deployment) -> None:
    script = console_script()
    if script is None:
        pytest.skip("pgnym isn't installed in this environment")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for word in ("serve", "plan", "apply", "undo", "demo"):
        assert word in done.stdout


# plan and apply


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"public.persn": {"columns": {"email": {}}}}, ["public.persn", "person"]),
        ({"public.person": {"columns": {"emial": {}}}}, ["emial", "email"]),
        ({"nowhere.person": {"columns": {"email": {}}}}, ["nowhere"]),
        ({"public.person": {"subject": "nobody", "columns": {"email": {}}}}, ["nobody"]),
    ],
    ids=["table", "column", "schema", "subject"],
)
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_what_does_not_exist_is_named_and_nothing_is_done(
    postgres: Cluster, database: str, tables: dict[str, Any], expected: list[str], verb: str
) -> None:
    postgres.psql(TABLE, database)
    wrong = deployment(postgres, database, tables=tables)
    said = refused(wrong, verb, *(["--yes"] if verb == "apply" else []))
    for word in expected:
        assert word in said
    assert postgres.psql("SELECT count(*) FROM pg_constraint WHERE conname LIKE 'pgnym%'", database) == "0\n"


def test_plan_says_that_something_is_to_be_done(postgres: Cluster, database: str) -> None:
    postgres.psql(TABLE, database)
    made = deployment(postgres, database, tables=PROTECTED)
    assert made.pgnym("plan", check=False).returncode == 2
    made.apply()
    assert made.pgnym("plan", check=False).returncode == 0


def test_a_database_that_is_not_there(postgres: Cluster) -> None:
    wrong = deployment(postgres, "no_such_database", tables=PROTECTED)
    assert "no_such_database" in refused(wrong, "plan")


def test_an_owner_url_with_a_wrong_password() -> None:
    with Cluster(auth="scram-sha-256") as cluster:
        cluster.psql("CREATE DATABASE app")
        wrong = deployment(cluster, "app", tables=PROTECTED)
        url = cluster.url("app", password="wrong-" + SECRET)
        said = refused(wrong, "plan", "--url", url)
        assert "password" in said
        assert SECRET not in said


# Keys and vault


def test_without_a_key_the_gateway_is_sealed(made: Deployment) -> None:
    with Gateway(on_other_ports(made), sealed=True) as gateway:
        assert gateway.state == "sealed"
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(gateway.url())
        assert "sealed" in str(caught.value)
        with RawClient(gateway.host, gateway.port) as client:
            [*_, error] = client.login(SUPERUSER, "bad_input")
            assert error.kind == b"E"
            assert error.fields()["C"] == "57P03"
            assert error.fields()["H"]
        assert gateway.running


def test_a_wrong_key_opens_nothing(made: Deployment) -> None:
    wrong = replace(on_other_ports(made), master_key=base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(GatewayError, match=r"(?i)key") as caught, Gateway(wrong):
        pass
    assert "Traceback" not in str(caught.value)
    assert wrong.master_key not in str(caught.value)


@pytest.mark.parametrize("key", ["short", base64.b64encode(b"x" * 31).decode(), "!" * 44])
def test_a_malformed_key_is_refused(made: Deployment, key: str) -> None:
    with (
        pytest.raises(GatewayError, match=r"(?i)key") as caught,
        Gateway(replace(on_other_ports(made), master_key=key)),
    ):
        pass
    assert key not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_wrong_vault_password(made: Deployment) -> None:
    with Cluster(auth="scram-sha-256") as cluster:
        cluster.psql("CREATE DATABASE app")
        cluster.psql(TABLE, "app")
        good = deployment(cluster, "app", tables=PROTECTED)
        good.apply()
        with Gateway(good) as gateway, psycopg.connect(gateway.url(), autocommit=True) as connection:
            connection.execute("INSERT INTO person (id, email) VALUES (1, 'x')")
        wrong = copied(good, vault_password="wrong-" + SECRET)
        with (
            pytest.raises(GatewayError, match=r"refused the login[^$]*vault\.user") as caught,
            Gateway(wrong),
        ):
            pass
        assert SECRET not in str(caught.value)
        assert "Traceback" not in str(caught.value)


@contextmanager
def two_clusters() -> Iterator[tuple[Cluster, Cluster, Deployment]]:
    with Cluster() as app, Cluster() as vault:
        app.psql("CREATE DATABASE app")
        vault.psql("CREATE DATABASE store")
        app.psql(TABLE, "app")
        made = deployment(app, "app", tables=PROTECTED, vault=(vault, "store"))
        made.apply()
        yield app, vault, made


def test_a_vault_that_goes_away_and_comes_back() -> None:
    with two_clusters() as (app, vault, made), Gateway(made) as gateway:
        with psycopg.connect(gateway.url(), autocommit=True) as connection:
            connection.execute("INSERT INTO person (id, email) VALUES (1, 'before@x.org')")
            vault.stop("immediate")
            with pytest.raises(psycopg.OperationalError) as caught:
                connection.execute(f"INSERT INTO person (id, email) VALUES (2, '{SECRET}')")
            assert caught.value.sqlstate is not None
            assert "vault" in str(caught.value)
            assert SECRET not in str(caught.value)
            # Nothing is read without its audit record, so reading fails too; and the session goes on.
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT email FROM person")
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert connection.execute("SELECT score FROM person WHERE id = 1").fetchone() == (None,)
            vault.start()
            deadline = time.monotonic() + 20
            while True:
                try:
                    row = connection.execute("SELECT email FROM person WHERE id = 1").fetchone()
                    break
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert row == ("before@x.org",)
        assert app.psql("SELECT count(*) FROM person", "app") == "1\n"
        assert SECRET not in gateway.stderr_text()
        assert "Traceback" not in gateway.stderr_text()


def test_a_vault_that_is_away_at_start() -> None:
    with two_clusters() as (_, vault, made):
        vault.stop("immediate")
        with pytest.raises(GatewayError, match="vault") as caught, Gateway(made):
            pass
        assert "Traceback" not in str(caught.value)


def test_an_upstream_that_is_away() -> None:
    with two_clusters() as (app, _, made), Gateway(made) as gateway:
        app.stop("immediate")
        with RawClient(gateway.host, gateway.port) as client:
            [*_, error] = client.login(SUPERUSER, "app")
            assert error.kind == b"E"
            assert error.fields()["C"] in {"08001", "08006", "57P03"}
        app.start()
        deadline = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(gateway.url()) as connection:
                    assert connection.execute("SELECT count(email) FROM person").fetchone() == (0,)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


# Messages and statements


@pytest.mark.parametrize(
    "packet",
    [
        b"\x16\x03\x01\x00\x05hello",
        struct.pack("!i", 0x7FFFFFFF) + b"x" * 100,
        struct.pack("!i", 60_000) + struct.pack("!i", 3 << 16) + b"u" * 59_992,
        struct.pack("!i", 8),
        b"\0" * 100,
        b"\xff" * 100,
        os.urandom(200),
    ],
    ids=["tls", "huge", "long", "short", "zeros", "ones", "random"],
)
def test_garbage_instead_of_a_startup_packet(alive: Gateway, packet: bytes) -> None:
    with RawClient(alive.host, alive.port) as client:
        client.send(packet)
        client.close_sending()
        client.drain()


@pytest.mark.parametrize(
    "garbage",
    [
        message(b"Q", b"INSERT INTO person (id, email) VALUES (1, '" + SECRET.encode() + b"')"),
        message(b"P", b"\0INSERT INTO person (id, email) VALUES (1, $1)\0\0\x05"),
        parse("UPDATE person SET email = $1") + message(b"B", b"\0\0\0\0\0\x01\0\0\0\x40" + SECRET.encode()),
        parse("INSERT INTO person (id, email) VALUES (1, $1)") + message(b"B", b"\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0"),
        parse("INSERT INTO person (id, email) VALUES (1, $1)") + bind([SECRET.encode(), b"x", b"y"]) + execute(),
        message(b"E", b""),
        message(b"D", b""),
        message(b"C", b"S"),
        message(b"F", b"\0"),
        b"Q" + struct.pack("!i", 2),
        b"B" + struct.pack("!i", -1),
        b"d" + struct.pack("!i", 0x7FFFFFFF) + b"x" * 1000,
        b"\0\0\0\0\0\0\0\0",
    ],
    ids=range(13),
)  # fmt: skip
def test_malformed_messages_end_in_an_error_or_the_end(alive: Gateway, garbage: bytes) -> None:
    with RawClient(alive.host, alive.port) as client:
        client.login(SUPERUSER, "bad_input")
        client.send(garbage + SYNC)
        client.close_sending()
        kinds = [m.kind for m in client.read_to_end()]
        assert b"E" in kinds or kinds == []


def test_apply_tells_another_master_key_also_when_nothing_is_to_do(made: Deployment) -> None:
    other = replace(made, master_key=base64.b64encode(b"k" * 32).decode())
    done = other.pgnym("apply", "--yes", check=False)
    assert done.returncode == 1
    assert "wrong master key" in done.stderr


def test_apply_gives_the_login_its_password_also_when_nothing_is_to_do(made: Deployment) -> None:
    listen = {"listen": "127.0.0.1:0"}
    config = made.config | {
        section: made.config.get(section, {}) | listen for section in ("gateway", "admin")
    }
    other = replace(made, config=config, vault_password="another-" + made.vault_password)
    other.pgnym("apply", "--yes")
    with Gateway(other) as gateway, psycopg.connect(gateway.url()) as connection:
        assert connection.execute("SELECT email FROM person").fetchall() == []
    made.pgnym("apply", "--yes")


STATEMENTS: dict[str, tuple[str, str]] = {
    "no SQL": (f"EMAIL person '{SECRET}'", "42601"),
    "an unterminated literal": (f"SELECT * FROM person WHERE email = '{SECRET}", "42601"),
    "an unterminated comment": (f"SELECT * FROM person WHERE email = '{SECRET}' /*", "42601"),
    "an unterminated identifier": (f"SELECT * FROM person WHERE email = '{SECRET}' AND \"id", "42601"),
    "unbalanced": (f"SELECT (((* FROM person WHERE email = '{SECRET}'", "42601"),
    "an unknown column": (f"SELECT nope FROM person WHERE email = '{SECRET}'", "42703"),
    "an unknown table": (f"SELECT * FROM person, nowhere WHERE email = '{SECRET}'", "42P01"),
    "an ambiguous column": (f"SELECT * FROM person a, person b WHERE email = '{SECRET}'", "42702"),
    "a type that does not match": (f"SELECT * FROM person WHERE email = '{SECRET}' AND score = 'x'", "22P02"),
    "too long": (f"INSERT INTO person (id, name) VALUES (1, '{SECRET} {SECRET}')", "22001"),
    "deeply nested": (f"SELECT {'(' * 20_000}1{')' * 20_000} FROM person WHERE email = '{SECRET}'", "42601"),
    "a computed value": (f"UPDATE person SET email = score || '{SECRET}'", "0A000"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_wrong_statement_has_the_servers_kind_of_error(
    alive: Gateway, postgres: Cluster, name: str
) -> None:
    statement, sqlstate = STATEMENTS[name]
    with psycopg.connect(alive.url(), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.encode())
        assert caught.value.sqlstate == sqlstate, caught.value
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert SECRET not in postgres.log_text()


def test_a_huge_statement(alive: Gateway) -> None:
    values = ", ".join(f"({n}, 'e{n}@x.org')" for n in range(20_000))
    with psycopg.connect(alive.url()) as connection:
        assert (
            connection.execute(f"INSERT INTO person (id, email) VALUES {values}".encode()).rowcount == 20_000
        )
        row = connection.execute("SELECT id FROM person WHERE email = 'e19999@x.org'").fetchone()
        assert row == (19_999,)
        connection.rollback()


def test_a_client_that_vanishes_in_a_transaction(alive: Gateway, postgres: Cluster) -> None:
    client = RawClient(alive.host, alive.port)
    client.login(SUPERUSER, "bad_input", application_name="vanishing")
    client.send(query("BEGIN; INSERT INTO person (id, email) VALUES (7, 'gone@x.org')"))
    client.read_until_kind(b"Z")
    client.reset()
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vanishing'"
    deadline = time.monotonic() + 10
    while postgres.psql(left) != "0\n":
        assert time.monotonic() < deadline, "its server session stays"
        time.sleep(0.05)
    assert postgres.psql("SELECT count(*) FROM person", "bad_input") == "0\n"


def test_a_client_that_never_reads(alive: Gateway) -> None:
    """Its result must wait at the server, not in the gateway's memory."""
    before = memory_kib(alive.pid)
    with RawClient(alive.host, alive.port) as client:
        client.login(SUPERUSER, "bad_input")
        client.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 3000)"))
        deadline = time.monotonic() + 2
        most = before
        while time.monotonic() < deadline:
            most = max(most, memory_kib(alive.pid))
            time.sleep(0.1)
        assert most - before < 50_000, f"{most - before} KiB more for a result of 300 MB that nobody reads"


def memory_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_many_connections_that_say_nothing(alive: Gateway) -> None:
    mute = [socket.create_connection((alive.host, alive.port)) for _ in range(50)]
    with psycopg.connect(alive.url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for one in mute:
        one.close()


def test_terminate_drains_and_ends_with_code_0(made: Deployment) -> None:
    with Gateway(on_other_ports(made)) as other:
        with psycopg.connect(other.url(), autocommit=True) as connection:
            connection.execute("SELECT email FROM person")
        assert other.terminate() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other.host, other.port))


def test_a_port_that_is_taken(made: Deployment) -> None:
    wrong = on_other_ports(made)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong.config["gateway"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(wrong, "serve")
    assert "listen" in said or "in use" in said


def test_startup_without_a_user(alive: Gateway) -> None:
    with RawClient(alive.host, alive.port) as client:
        client.send(startup({"database": "bad_input"}))
        [error] = client.read_to_end()
        assert error.fields()["C"] == "28000"
