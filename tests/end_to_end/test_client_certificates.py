"""Client certificates: whose they must be, who is let in without; certificates that are replaced while the gateway runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from support.certificates import Authority
from support.cluster import PASSWORD, SUPERUSER, Cluster
from support.gateway import Deployment, Gateway, GatewayError, deployment

pytestmark = pytest.mark.server

ENDED = "(?i)certificate required|unknown ca|closed|eof|reset"  # asyncio doesn't always send the alert


@dataclass(frozen=True, slots=True)
class World:
    """A gateway that wants client certificates; ``files`` are those in its configuration."""

    authority: Authority
    files: Path
    made: Deployment
    gateway: Gateway

    def connect(
        self, certificate: tuple[Path, Path] | None, user: str = SUPERUSER, mode: str = "require"
    ) -> psycopg.Connection[tuple[object, ...]]:
        options = f"?sslmode={mode}&gssencmode=disable&connect_timeout=20"
        if certificate is None:
            options += "&sslcertmode=disable"
        else:
            options += f"&sslcert={certificate[0]}&sslkey={certificate[1]}"
        return psycopg.connect(self.gateway.url(user=user) + options, autocommit=True)


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def world(
    request: pytest.FixtureRequest, postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    database = f"client_certificates_{request.param}"
    directory = tmp_path_factory.mktemp("files")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    server = authority.sign("server", "localhost", hosts=True)
    for source, name in ((server[0], "cert"), (server[1], "key"), (authority.path, "ca")):
        shutil.copy(source, directory / name)
    tls = {name: str(directory / name) for name in ("cert", "key")} | {"client_ca": str(directory / "ca")}
    postgres.psql(f"CREATE DATABASE {database} TEMPLATE template0")
    made = deployment(postgres, database, gateway={"tls": tls, "workers": request.param})
    listen = [made.config["gateway"]["listen"], f"unix:{directory}/.s.PGSQL.6432"]
    made.config["gateway"]["listen"] = listen
    made.apply()
    with Gateway(made) as gateway:
        yield World(authority, directory, made, gateway)
        assert "internal error" not in gateway.stderr_text()
    postgres.psql(f"DROP DATABASE {database} WITH (FORCE)")


def test_who_shows_their_own_certificate_gets_in(world: World) -> None:
    mine = world.authority.sign("mine", SUPERUSER)
    with world.connect(mine) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(
        host=str(world.files),
        port=6432,
        user=SUPERUSER,
        password=PASSWORD,
        dbname=world.made.config["upstream"]["database"],
    ) as local:  # a Unix socket has its own access rights
        assert local.execute("SELECT 1").fetchone() == (1,)


def test_nobody_else_gets_in(world: World, tmp_path: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match=ENDED):
        world.connect(None)
    with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
        world.connect(world.authority.sign("other", "somebody_else"))
    for number, names in enumerate(
        [(SUPERUSER, "x"), ("x", SUPERUSER), (), (SUPERUSER.upper(),), (SUPERUSER + " ",)]
    ):
        with pytest.raises(psycopg.OperationalError, match="certificate authentication failed"):
            world.connect(world.authority.sign(f"odd{number}", *names))
    with pytest.raises(psycopg.OperationalError, match=ENDED):
        world.connect(Authority(tmp_path).sign("forged", SUPERUSER))
    with pytest.raises(psycopg.OperationalError, match=r"TLS|SSL"):
        world.connect(None, mode="disable")
    said = world.gateway.stderr_text()
    assert "whose certificate is not of user 'postgres' was refused" in said
    assert "a TLS handshake with 127.0.0.1 failed: PEER_DID_NOT_RETURN_A_CERTIFICATE" in said
    assert "a TLS handshake with 127.0.0.1 failed: CERTIFICATE_VERIFY_FAILED" in said


def test_a_certificate_is_no_password(world: World) -> None:
    """The server still asks for what it asks for: here whether there is such a user."""
    with pytest.raises(psycopg.OperationalError, match="nobody_here"):
        world.connect(world.authority.sign("nobody", "nobody_here"), "nobody_here")


def handshake(world: World, authority: Authority, version: ssl.TLSVersion) -> bytes:
    """The server's certificate, by a handshake with this version of TLS only. Raises ``ssl.SSLError``."""
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(*authority.sign("probe", SUPERUSER))
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection((world.gateway.host, world.gateway.port), timeout=20) as bare:
        bare.sendall(struct.pack("!II", 8, 80877103))
        assert bare.recv(1) == b"S"
        with context.wrap_socket(bare, server_hostname="localhost") as wrapped:
            return wrapped.getpeercert(binary_form=True) or b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_is_of_version_1_2_at_least(world: World) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert handshake(world, world.authority, version)
    with pytest.raises(ssl.SSLError):
        handshake(world, world.authority, ssl.TLSVersion.TLSv1_1)


def test_certificates_are_replaced_while_it_runs(world: World, tmp_path: Path) -> None:
    mine = world.authority.sign("mine", SUPERUSER)
    workers = world.made.config["gateway"]["workers"]
    before = handshake(world, world.authority, ssl.TLSVersion.TLSv1_3)
    with world.connect(mine) as kept:
        reloaded, failed = (
            lambda: world.gateway.stderr_text().count("gateway.tls: certificate reloaded"),
            lambda: world.gateway.stderr_text().count("gateway.tls: the certificate was not reloaded"),
        )

        def hang_up(count: object, expected: int) -> None:
            os.kill(world.gateway.pid, signal.SIGHUP)
            deadline = time.monotonic() + 20
            while count() < expected:  # type: ignore[operator]
                assert time.monotonic() < deadline

        # A key that doesn't fit: the old pair stays.
        new = Authority(tmp_path)
        fresh = new.sign("server", "localhost", hosts=True)
        shutil.copy(fresh[1], world.files / "key")
        hang_up(failed, workers)
        assert handshake(world, world.authority, ssl.TLSVersion.TLSv1_3) == before
        shutil.copy(fresh[0], world.files / "cert")
        shutil.copy(new.path, world.files / "ca")
        hang_up(reloaded, workers)
        for _ in range(2 * workers):
            assert handshake(world, new, ssl.TLSVersion.TLSv1_3) != before
            with pytest.raises(psycopg.OperationalError, match=ENDED):
                world.connect(mine)
            with world.connect(new.sign("mine", SUPERUSER)) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert kept.execute("SELECT 1").fetchone() == (1,), "who is in stays"
    old = world.authority.sign("server", "localhost", hosts=True)
    for source, name in ((old[0], "cert"), (old[1], "key"), (world.authority.path, "ca")):
        shutil.copy(source, world.files / name)
    hang_up(reloaded, 2 * workers)


def test_client_certificates_need_tls(postgres: Cluster, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = deployment(postgres, "postgres", gateway={"tls": {"client_ca": str(authority.path)}})
    with pytest.raises(GatewayError, match=re.escape("gateway.tls.client_ca")), Gateway(made):
        pass
    made = deployment(postgres, "postgres", admin={"tls": {"client_ca": str(authority.path)}})
    with pytest.raises(GatewayError, match="client_ca"), Gateway(made):
        pass
