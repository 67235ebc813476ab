"""PostgreSQL's own tools through the gateway: psql, pg_dump, pg_restore, pgbench."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import binaries
from support.binaries import Unavailable
from support.cluster import PASSWORD, SUPERUSER, Cluster
from support.gateway import DIRECT, Endpoint, deployment, through

pytestmark = pytest.mark.server
TOKEN = re.compile(r"pn1[a-z2-7]{27}")
PEOPLE = """
CREATE TABLE person (id int PRIMARY KEY, mail varchar(40) UNIQUE, name varchar(20), born date, city text);
COMMENT ON TABLE person IS 'people';
INSERT INTO person VALUES (1, 'ada@example.org', 'Ada', '1815-12-10', 'London'),
  (2, 'émile@example.org', 'É"m\\ile', NULL, ''), (3, NULL, '', '2000-02-29', 'Å');
CREATE TABLE letter (id int PRIMARY KEY, sender varchar(40) REFERENCES person (mail), text text);
INSERT INTO letter VALUES (1, 'ada@example.org', 'hello');
CREATE VIEW mails AS SELECT id, mail FROM person WHERE mail IS NOT NULL;
CREATE INDEX ON person (city);
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT 2 * i';
"""
TABLES: dict[str, Any] = {
    "public.person": {"columns": {"mail": {"domain": "mail", "mask": "email"}, "name": {}, "born": {}}},
    "public.letter": {"columns": {"sender": {"domain": "mail"}}},
}
LOW, MASKED = "tools_low", "tools_masked"
ROLES = {
    "app": {"users": [SUPERUSER], "reveal": ["*"], "reveal_limit": {"statement": 1000, "minute": 10_000}},
    "low": {"users": [LOW], "tokens": ["*"]},
    "masked": {"users": [MASKED], "mask": ["*"]},
}


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs of one version."""

    folder: Path

    def run(self, program: str, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
        """Run to its end; what it printed. Fails on another exit code."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        done = subprocess.run(
            [str(self.folder / program), *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=60,
            env=environment | {"LC_ALL": "C.UTF-8", "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "10"},
        )  # fmt: skip
        assert done.returncode == code, f"{program}: {done.returncode}: {done.stderr}"
        return done.stdout + (done.stderr if code else "")

    def psql(self, url: str, script: str, *arguments: str) -> str:
        """Run a script; every error ends it."""
        return self.run("psql", "-X", "-v", "ON_ERROR_STOP=1", *arguments, "-f", "-", url, stdin=script)


@pytest.fixture(scope="module", params=["embedded", "system"])
def tools(request: pytest.FixtureRequest) -> Tools:
    try:
        return Tools(binaries.embedded() if request.param == "embedded" else binaries.system())
    except Unavailable as error:
        pytest.skip(str(error))


@dataclass(frozen=True, slots=True)
class Pair:
    """A twin and the gateway before a protected copy of it."""

    cluster: Cluster
    twin: Endpoint
    tested: Endpoint

    def both(self, run: Callable[[Endpoint], str]) -> tuple[str, str]:
        """The outcome of the same on both, with the databases' names made one."""
        mine, theirs = run(self.tested), run(self.twin)
        return mine.replace(self.tested.database, "DB"), theirs.replace(self.twin.database, "DB")


@pytest.fixture(scope="module")
def pair(postgres: Cluster) -> Iterator[Pair]:
    names = ("tools_twin", "tools_tested")
    for role in (LOW, MASKED):
        postgres.psql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    try:
        for name in names:
            postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0")
            postgres.psql(PEOPLE, name)
            postgres.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {LOW}, {MASKED}", name)
        with through(deployment(postgres, names[1], tables=TABLES, roles=ROLES)) as tested:
            yield Pair(postgres, Endpoint(postgres.host, postgres.port, names[0]), tested)
    finally:
        for name in names:
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        postgres.psql(f"DROP OWNED BY {LOW}, {MASKED}; DROP ROLE {LOW}, {MASKED}")


SCRIPTS = {
    "select": "SELECT * FROM person ORDER BY id;",
    "expanded": "\\x\nSELECT id, mail, born FROM person WHERE mail = 'ada@example.org';",
    "csv and html": "\\pset format csv\nTABLE mails;\n\\pset format html\nSELECT name FROM person ORDER BY id;",
    "variables": "\\set m '''ada@example.org'''\nSELECT id, name FROM person WHERE mail = :m;\n"
    "SELECT mail AS found FROM person WHERE id = 1 \\gset\nSELECT :'found' AS again;",
    "gexec": "SELECT format('SELECT name FROM person WHERE mail = %L', 'ada@example.org') \\gexec",
    "gdesc": "SELECT mail, born, city FROM person \\gdesc",
    "bind": "SELECT name FROM person WHERE mail = $1 \\bind 'ada@example.org' \\g",
    "crosstab": "SELECT id, city, name FROM person WHERE id = 1 \\crosstabview",
    "several statements": "SELECT 1; SELECT name FROM person WHERE id = 1; SELECT 2;",
    "one query string": "SELECT 1\\; SELECT name FROM person WHERE id = 1\\; SELECT 2;",
    "fetch count": "\\set FETCH_COUNT 2\nSELECT * FROM person ORDER BY id;",
    "transaction": "BEGIN; INSERT INTO person VALUES (9, 'n@x', 'N'); SELECT mail FROM person WHERE name = 'N'; ROLLBACK;",
    "copy out": "COPY person TO STDOUT; COPY (SELECT mail, city FROM person WHERE id = 2) TO STDOUT CSV HEADER;",
    "copy in": "BEGIN; COPY person FROM STDIN;\n7\tseven@x\tS\\\\even\t1999-01-02\t\\N\n8\t\\N\t\t\\N\tx\n\\.\n"
    "SELECT * FROM person WHERE id > 6 ORDER BY id; ROLLBACK;",
    "databases": "\\l DB*",
    "functions": "\\df\n\\df+ twice\n\\sf twice",
    "roles": "\\du " + LOW,
    "views": "\\dv\n\\d+ mails\n\\sv mails",
    "tables": "\\dt\n\\di\n\\pset format unaligned\n\\dp letter\n\\z mails",
    "a missing table": "\\set ON_ERROR_STOP off\n\\d nowhere",
    "notices": "DO $$BEGIN RAISE NOTICE 'hello'; END$$;",
    "errors": "\\set ON_ERROR_STOP off\nINSERT INTO person VALUES (1);\n"
    "INSERT INTO person (id, mail) VALUES (77, 'ada@example.org');\n"
    "SELECT nosuch FROM person;\nSELEC 1;\n\\echo :LAST_ERROR_SQLSTATE",
    "explain": "EXPLAIN (COSTS OFF) SELECT name FROM person WHERE id = 1;",
    "conninfo": "\\echo :USER :ENCODING\n\\encoding",
}  # fmt: skip


NEWER = {"bind", "databases", "tables"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_psql_shows_what_it_always_showed(tools: Tools, pair: Pair, name: str) -> None:
    script = SCRIPTS[name]
    major = tools.run("psql", "--version")
    if name in NEWER and " 15." in major:
        pytest.skip("psql 15 can't do it with a server of version 18")
    mine, theirs = pair.both(lambda e: tools.psql(e.url(), script.replace("DB", e.database[:6])))
    if "\\l" in script:
        mine, theirs = (re.sub(r"DB|tools_\w+|  +|-+", "", text) for text in (mine, theirs))
    # What apply grants for reports on data subjects is there to be seen.
    assert re.sub(r"\npgnym_gateway_privacy=\w+/postgres", "", mine) == theirs


def test_a_table_is_described_with_what_protects_it(tools: Tools, pair: Pair) -> None:
    """``\\d`` reads the catalog, which is unprotected: it shows the types and constraints that are there."""
    mine, theirs = pair.both(lambda e: tools.psql(e.url(), "\\d person\n\\dt+ person"))
    if not os.environ.get(DIRECT):
        assert "pgnym_" in mine
        assert re.search(r"born +\| text", mine)
    assert re.search(r"born +\| date", theirs)
    for text in (mine, theirs):
        assert "person_mail_key" in text
        assert "people" in text


COMPLETIONS = {
    "tables": "SELECT c.relname, NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm')"
    " AND (c.relname) LIKE 'per%' AND pg_catalog.pg_table_is_visible(c.oid) LIMIT 1000",
    "columns": "SELECT attname FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c WHERE c.oid = a.attrelid"
    " AND a.attnum > 0 AND NOT a.attisdropped AND (attname) LIKE 'ma%' AND (c.relname) = 'person'",
}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_what_tab_completion_asks(tools: Tools, pair: Pair, name: str) -> None:
    mine, theirs = pair.both(lambda e: tools.psql(e.url(), COMPLETIONS[name] + ";"))
    assert mine == theirs
    assert "1 row" in mine


def test_copy_of_files(tools: Tools, pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("mail,id,born\nfile@x.org,50,2001-02-03\n,51,\n")

    def run(endpoint: Endpoint) -> str:
        out = tmp_path / endpoint.database
        tools.psql(
            endpoint.url(),
            f"BEGIN;\n\\copy person (mail, id, born) from '{tmp_path}/in.csv' csv header\n"
            f"\\copy (SELECT * FROM person WHERE id >= 50 ORDER BY id) to '{out}'\nROLLBACK;",
        )
        return out.read_text()

    mine, theirs = pair.both(run)
    assert mine == theirs
    assert "file@x.org" in mine


# -- pg_dump and pg_restore -------------------------------------------------------------------------------------

protected_only = pytest.mark.skipif(
    f"'{DIRECT}' in __import__('os').environ", reason="there are no tokens without the gateway"
)


@protected_only
def test_a_dump_by_a_role_that_sees_tokens_holds_tokens(tools: Tools, pair: Pair) -> None:
    _can_dump(tools)
    dump = tools.run("pg_dump", "--data-only", "-t", "person", pair.tested.url(user=LOW))
    assert len(TOKEN.findall(dump)) == 6
    assert "ada@" not in dump
    assert "London" in dump
    assert dump.count("\\N") == 2


def test_a_dump_by_a_role_that_sees_values_holds_values(tools: Tools, pair: Pair) -> None:
    """As any COPY does, within its budget and with a record in the audit log."""
    mine, theirs = pair.both(lambda e: tools.run("pg_dump", "--data-only", *_plain(tools), e.url()))
    assert mine == theirs
    assert "ada@example.org" in mine
    inserts, plain = pair.both(
        lambda e: tools.run("pg_dump", "--data-only", "--inserts", "-t", "person", *_plain(tools), e.url())
    )
    assert inserts == plain


@protected_only
def test_a_dump_by_a_role_that_sees_masks_holds_masks(tools: Tools, pair: Pair) -> None:
    _can_dump(tools)
    dump = tools.run("pg_dump", "--data-only", "-t", "person", pair.tested.url(user=MASKED))
    assert TOKEN.findall(dump) == []
    assert "ada@" not in dump
    assert re.search(r"^1\t[^\t]*\*[^\t]*\t", dump, re.MULTILINE)
    assert "London" in dump


def test_a_dump_by_two_jobs(tools: Tools, pair: Pair, tmp_path: Path) -> None:
    """They share a snapshot, by a statement that names it."""
    _can_dump(tools)
    folder = tmp_path / "dump"
    tools.run("pg_dump", "-Fd", "-j", "2", "--exclude-schema=vault", "-f", str(folder), pair.tested.url())
    shown = tools.run("pg_restore", "--data-only", "-f", "-", str(folder))
    assert "ada@example.org" in shown


@protected_only
def test_a_dump_over_the_budget_ends_with_an_error(tools: Tools, postgres: Cluster, database: str) -> None:
    _can_dump(tools)
    postgres.psql(PEOPLE, database)
    postgres.psql(
        "INSERT INTO person (id, name) SELECT n, 'N' || n FROM generate_series(100, 900) n", database
    )
    roles = {
        "app": {"users": [SUPERUSER], "reveal": ["*"], "reveal_limit": {"statement": 100, "minute": 10_000}}
    }
    with through(deployment(postgres, database, tables=TABLES, roles=roles)) as tested:
        said = tools.run("pg_dump", "--data-only", "-t", "person", tested.url(), code=1)
    assert "budget" in said
    assert len(re.findall(r"N\d{3}\t", said)) <= 100


@protected_only
@pytest.mark.parametrize("how", ["custom", "plain"])
def test_a_dump_of_tokens_is_restored_into_a_fresh_database(
    tools: Tools, pair: Pair, make_database: Callable[..., str], tmp_path: Path, how: str
) -> None:
    """The backup of the application's database, with tokens and constraints; restored past the gateway."""
    _can_dump(tools)
    file = tmp_path / "dump"
    fresh = make_database()
    source = pair.cluster.url(pair.tested.database)
    target = pair.cluster.url(fresh)
    options = ("--exclude-schema=vault", "--no-privileges", "-f", str(file))
    if how == "custom":
        tools.run("pg_dump", "-Fc", *options, source)
        tools.run("pg_restore", "--exit-on-error", "-d", target, str(file))
    else:
        tools.run("pg_dump", *options, source)
        tools.psql(target, file.read_text())
    query = "SELECT * FROM person ORDER BY id"
    assert pair.cluster.psql(query, fresh) == pair.cluster.psql(query, pair.tested.database)
    assert "pgnym_" in pair.cluster.psql("SELECT conname FROM pg_constraint WHERE contype = 'c'", fresh)


@protected_only
def test_data_is_restored_through_the_gateway(
    tools: Tools, pair: Pair, postgres: Cluster, make_database: Callable[..., str], tmp_path: Path
) -> None:
    """A dump of values from an unprotected database, into one that is protected: the values become tokens."""
    _can_dump(tools)
    file = tmp_path / "dump"
    tools.run("pg_dump", "-Fc", "--data-only", "-f", str(file), pair.twin.url())
    fresh = make_database()
    postgres.psql(PEOPLE + "TRUNCATE person, letter;", fresh)
    with through(deployment(postgres, fresh, tables=TABLES, roles=ROLES)) as tested:
        tools.run("pg_restore", "--exit-on-error", "--data-only", "-d", tested.url(), str(file))
        shown = tools.psql(tested.url(), "SELECT * FROM person ORDER BY id; SELECT * FROM letter")
        expected = tools.psql(pair.twin.url(), "SELECT * FROM person ORDER BY id; SELECT * FROM letter")
    assert shown == expected
    stored = postgres.psql("SELECT mail, name, born FROM person", fresh)
    assert len(TOKEN.findall(stored)) == 6
    assert "ada@" not in stored


# -- pgbench ----------------------------------------------------------------------------------------------------


def test_pgbench_runs_beside_protected_tables(tools: Tools, pair: Pair) -> None:
    url = pair.tested.url()
    tools.run("pgbench", "-i", "-q", "-s", "1", url)
    for mode in ("simple", "extended", "prepared"):
        said = tools.run("pgbench", "-n", "-M", mode, "-c", "2", "-t", "20", url)
        assert "number of transactions actually processed: 40/40" in said
    tools.run("pgbench", "-i", "-I", "d", url)


def _can_dump(tools: Tools) -> None:
    if " 15." in tools.run("pg_dump", "--version"):
        pytest.skip("pg_dump 15 does not dump a server of version 18")


def _plain(tools: Tools) -> tuple[str, ...]:
    """Options that make two dumps comparable."""
    _can_dump(tools)
    return ("--exclude-schema=vault", "--restrict-key=pgnym")
