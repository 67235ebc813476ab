"""The demo: its search for canaries, its children, and the whole of ``pgnym demo --check``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

import asyncpg
import pytest

from pgnym.cli import demo, demo_search
from pgnym.cli.demo_process import Child, ChildError, pgnym
from pgnym.cli.demo_search import Found, search
from pgnym.cli.demo_tour import PROTECTED
from pgnym.cli.embedded import EmbeddedPostgres
from pgnym.config import load


def test_a_canary_is_found_in_any_case_and_as_hex(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0\1Ottoline BRACKWATER\0")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"\\x" + "Kvapilová".encode().hex().encode())
    (tmp_path / "c").write_bytes(b"Brackwat er")
    looked = search(tmp_path, ["Brackwater", "Kvapilová"])
    assert looked.files == 3
    assert set(looked.found) == {Found(0, tmp_path / "a"), Found(1, tmp_path / "deep" / "b")}


@pytest.mark.parametrize("before", range(6))
def test_a_canary_across_two_chunks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(demo_search, "CHUNK", 16)
    (tmp_path / "a").write_bytes(b"." * (8 + 2 * before) + b"Brackwater.....")
    assert search(tmp_path, ["Brackwater"]).found == (Found(0, tmp_path / "a"),)
    (tmp_path / "a").write_bytes(b"." * (8 + 2 * before) + b"Brackwate.r.....")
    assert search(tmp_path, ["Brackwater"]).found == ()


@pytest.mark.parametrize("canaries", [[], ["Nagi"], ["Brackwater", "short"]])
def test_a_search_that_would_prove_nothing_is_refused(tmp_path: Path, canaries: list[str]) -> None:
    with pytest.raises(ValueError, match="canaries of at least"):
        search(tmp_path, canaries)


def test_a_child_is_ready_when_it_says_so(tmp_path: Path) -> None:
    code = "import sys; print('first', file=sys.stderr); print('up 1', file=sys.stderr, flush=True); input()"
    child = Child(
        ["sh", "-c", f'exec {sys.executable} -c "$0" < /dev/zero', code], ready="up ", log=tmp_path / "log"
    )
    assert child.start() == "up 1"
    assert child.stop() is not None
    assert (tmp_path / "log").read_text().startswith("first\nup 1\n")


def test_a_child_that_ends_early_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "echo 'no such luck' >&2; exit 3"], ready="up", log=tmp_path / "log")
    with pytest.raises(ChildError, match="no such luck"):
        child.start()
    assert child.wait() == 3


def test_a_failed_command_says_why() -> None:
    with pytest.raises(ChildError, match="pgnym plan exited with"):
        pgnym("plan", "--config", "/nonexistent/pgnym.yaml", environment={})


def test_its_configuration_is_valid_and_protects_what_the_tour_looks_at(tmp_path: Path) -> None:
    path = tmp_path / "pgnym.yaml"
    path.write_text(demo.CONFIG.format(port=1, admin_port=2, upstream=3, database="shop"))
    config = load(path)
    tables = {f"public.{table}": set(columns) for table, columns in PROTECTED.items()}
    assert {name: set(table.columns) for name, table in config.tables.items()} == tables


def test_its_secrets_are_in_no_repr() -> None:
    known = demo.Secrets()
    assert not any(value in repr(known) for value in (known.admin, known.vault, known.master, known.app))
    assert demo.Secrets().master != known.master


@pytest.mark.server
def test_the_whole_demo(capsys: pytest.CaptureFixture[str]) -> None:
    code = demo.run(argparse.Namespace(check=True, dir=None, port=0, admin_port=0))
    out, err = capsys.readouterr()
    assert code == 0, out + err
    lines = out.splitlines()
    assert all(line.startswith("ok") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} checks hold"
    assert "canaries" in lines[-2]


@pytest.mark.server
def test_the_search_would_notice_plaintext(tmp_path: Path) -> None:
    """The demo without plan and apply: its search must find the values, in the tables and in the WAL."""
    known = demo.Secrets()
    folder = Path("/tmp") / tmp_path.name
    with EmbeddedPostgres(folder, password=known.admin) as server:
        expected = asyncio.run(demo._shop(server, known))
    looked = search(server.data, expected.canaries)
    shutil.rmtree(folder)
    places = {str(found.file.relative_to(server.data)).split("/")[0] for found in looked.found}
    assert {"base", "pg_wal"} <= places


def test_errors_end_in_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    monkeypatch.setattr(demo, "_run", fail)
    assert demo.run(argparse.Namespace(check=True, dir=None, port=0, admin_port=0)) == 1
    assert capsys.readouterr().err == "pgnym demo: the database system is starting up\n"
