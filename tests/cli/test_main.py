"""The command line: exit codes, errors in one line with a hint, no secrets, no traceback."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from pgnym.cli.failures import explain
from pgnym.cli.main import main
from pgnym.config import ConfigError
from support.cluster import Cluster
from support.gateway import deployment

TABLES = {"public.t": {"columns": {"mail": {"domain": "mail"}}}}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pgnym.cli.main import build_parser; build_parser().format_help();"
        "print([m for m in ('asyncpg', 'pglast', 'rich', 'msgspec', 'cryptography', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["keys"], ["undo"], ["serve", "--workers", "0"], ["demo", "--port", "x"]]
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: pgnym")


def test_keys_generate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "generate"]) == 0
    first = capsys.readouterr().out
    assert main(["keys", "generate"]) == 0
    assert len(base64.b64decode(first)) == 32
    assert capsys.readouterr().out != first


def test_errors_are_a_line_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGNYM_MASTER_KEY", "PGNYM_ADMIN_URL", "PGNYM_VAULT_ADMIN_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "pgnym.yaml"

    def said(text: str, *arguments: str) -> list[str]:
        file.write_text(text)
        assert main([*arguments, "-c", str(file)]) == 1
        return capsys.readouterr().err.splitlines()

    assert said("gatewy: {}", "plan") == [
        "pgnym: pgnym.yaml: gatewy: unknown option",
        "hint: did you mean gateway?",
    ]
    assert said("", "plan")[0] == "pgnym: --url: missing"
    assert said("", "apply")[0] == "pgnym: keys.master_key_file: no master key"
    assert said("", "plan", "--url", "mysql://me:hush@h/d")[0] == "pgnym: the URL can't be used"
    refused = said("", "plan", "--url", "postgresql://me:hush@127.0.0.1:1/d")
    assert len(refused) == 2
    assert "hush" not in "".join(refused)
    assert (
        said("vault: {url: 'postgresql://h/d'}", "plan", "--url", "postgresql://h/d")[0]
        == "pgnym: --vault-url: missing"
    )


def test_an_unforeseen_error_is_named_by_its_type_alone() -> None:
    message, _ = explain(RuntimeError("ada@example.org"))
    assert message == "unexpected RuntimeError"
    violation = asyncpg.CheckViolationError(
        'new row for relation "t" violates check constraint: ada@example.org'
    )
    assert "ada" not in explain(violation)[0]
    assert explain(ConfigError("a.b", "wrong", "mend it", "f.yaml")) == ("f.yaml: a.b: wrong", "mend it")


@pytest.mark.server
def test_from_plan_to_undo(postgres: Cluster, database: str) -> None:
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql(
        "CREATE TABLE t (id int, mail varchar(20)); INSERT INTO t VALUES (1, 'ada@example.org'), (2, NULL)",
        database,
    )
    early = made.pgnym("check", "--sql", "SELECT 1", check=False)
    assert "`pgnym apply` has" in early.stderr  # not run; or: before it has, the login may be missing
    assert made.pgnym("doctor", check=False).returncode == 1
    plan = made.pgnym("plan", check=False)
    assert plan.returncode == 2
    assert "change the type of mail: character varying(20) → character varying(30)" in plan.stdout
    asked = made.pgnym("apply", check=False, stdin="")
    assert (asked.returncode, asked.stderr.splitlines()[0]) == (1, "pgnym: --yes: missing")
    assert "Applied." in made.pgnym("apply", "--yes").stdout
    assert "Nothing to do" in made.pgnym("plan").stdout
    assert "Nothing to do" in made.pgnym("apply", "--yes").stdout
    assert "All is well." in made.pgnym("doctor").stdout
    assert "1 tokens looked at, 0 findings." in made.pgnym("verify").stdout
    told = made.pgnym("check", "--sql", "SELECT id FROM t WHERE mail = 'ada@example.org'").stdout
    assert "sent as: SELECT id FROM t WHERE mail = ‹token of mail›" in told
    told = made.pgnym(
        "check",
        "-",
        stdin="SELECT 1; SELECT mail || id FROM t; SELECT * FROM t WHERE mail LIKE id::text",
        check=False,
    ).stdout
    assert "forwarded as it is" in told
    assert "column 1: values of public.t.mail within text" in told
    assert "refused (0A000)" in told
    assert "segments" in made.pgnym("apply", "--yes", "--scrub-wal").stdout
    made.pgnym("undo", "--table", "public.t", "--yes")
    assert postgres.psql("SELECT mail FROM t WHERE id = 1", database).strip() == "ada@example.org"


@pytest.mark.server
def test_a_running_gateway_keeps_undo_from_starting(postgres: Cluster, database: str) -> None:
    made = deployment(postgres, database, tables=TABLES)
    postgres.psql("CREATE TABLE t (id int, mail varchar(20))", database)
    made.apply()
    secret = made.environment()["PGNYM_VAULT_PASSWORD"]

    async def work() -> None:
        url = postgres.url(database, user="pgnym_gateway", password=secret)
        gateway = await asyncpg.connect(url, server_settings={"application_name": "pgnym"})
        try:
            undo = await asyncio.to_thread(made.pgnym, "undo", "--table", "public.t", "--yes", check=False)
        finally:
            await gateway.close()
        assert undo.returncode == 1
        assert "a gateway is connected (1 sessions of pgnym_gateway)" in undo.stderr

    asyncio.run(work())


@pytest.mark.server
def test_another_database_than_the_configured_one_is_refused(
    postgres: Cluster, database: str, twin: str
) -> None:
    made = deployment(postgres, database, tables=TABLES)
    for name in (database, twin):
        postgres.psql(
            "CREATE TABLE t (id int, mail varchar(20)); INSERT INTO t VALUES (1, 'ada@example.org')", name
        )
    made.apply()
    other = made.pgnym("apply", "--yes", "--url", postgres.url(twin), check=False)
    assert "upstream: names another database than --url" in other.stderr
    assert postgres.psql("SELECT mail FROM t", twin).strip() == "ada@example.org"
