"""The server that demo and benchmarks bring along."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from pgnym.cli.embedded import EmbeddedError, EmbeddedPostgres, find_binaries, free_port, unprivileged_user

pytestmark = pytest.mark.server


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the server's user can enter (pytest's own temporary folders are private)."""
    path = Path("/tmp") / f"pgnym-embedded-{os.getpid()}"
    path.mkdir()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def ask(url: str, sql: str) -> object:
    """One value."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def test_it_runs_with_a_password_and_settings(place: Path) -> None:
    with EmbeddedPostgres(place / "server", password="it's \\ 'odd'", settings={"work_mem": "7MB"}) as server:
        assert asyncio.run(ask(server.url(), "SHOW work_mem")) == "7MB"
        assert asyncio.run(ask(server.url(), "SHOW server_encoding")) == "UTF8"
        with pytest.raises(asyncpg.InvalidPasswordError):
            asyncio.run(ask(server.url(password="wrong"), "SELECT 1"))
        assert server.log.is_relative_to(server.data)
        assert "password authentication failed" in server.log.read_text()
    with pytest.raises(ConnectionError):
        asyncio.run(ask(server.url(), "SELECT 1"))


def test_the_password_is_in_no_file_and_no_repr(place: Path) -> None:
    server = EmbeddedPostgres(place / "server", password="bright-orange-herring")
    with server:
        pass
    holding = [p for p in place.rglob("*") if p.is_file() and b"bright-orange-herring" in p.read_bytes()]
    assert holding == []
    assert "herring" not in repr(server)


def test_a_used_directory_is_refused(place: Path) -> None:
    (place / "something").touch()
    with pytest.raises(EmbeddedError, match="not empty") as caught:
        EmbeddedPostgres(place, password="x").start()
    assert "another directory" in caught.value.hint


def test_a_failed_start_shows_the_log(place: Path) -> None:
    server = EmbeddedPostgres(place / "server", password="x", settings={"max_connections": "none"})
    with pytest.raises(EmbeddedError, match="max_connections"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
def test_root_copies_binaries_that_its_user_cannot_reach(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    package = find_binaries().parent.parent
    shutil.copytree(package, private / package.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, private / libraries.name, symlinks=True)
    binaries = private / package.name / find_binaries().parent.name / "bin"
    with EmbeddedPostgres(place / "server", password="x", binaries=binaries) as server:
        assert server.binaries.is_relative_to(place / "server")
        assert (server.data / "postmaster.pid").stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")
def test_root_is_told_when_its_user_cannot_enter(place: Path) -> None:
    assert unprivileged_user() is not None
    private = place / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="can't enter"):
        EmbeddedPostgres(private / "server", password="x").start()


def test_free_ports_can_be_bound() -> None:
    assert 0 < free_port() < 65536
