"""``pgnym check``: explanations, carets, exit codes; before ``apply`` and after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgnym.cli.explaining import caret, place_of
from support.cluster import Cluster
from support.gateway import Deployment, deployment

TABLES = {
    "public.person": {
        "columns": {"mail": {"domain": "mail"}, "name": {}, "born": {}, "note": {"tokens": "randomized"}}
    },
    "public.papers": {
        "columns": {
            "tags": {},
            "doc": {"paths": {"mail": {"domain": "mail"}, "address.street": {"domain": "street"}}},
        }
    },
}
ROLES = {
    "app": {"users": ["check_app"], "reveal": ["*"], "reveal_limit": {"statement": 50, "minute": 500}},
    "support": {"users": ["check_support"], "mask": ["*"]},
}
SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, mail varchar(40) UNIQUE, name varchar(20), born date, note text, city text);
CREATE TABLE papers (id int, tags int[], doc jsonb);
CREATE SCHEMA other; CREATE TABLE other.person (id int, mail text);
"""


@pytest.fixture(scope="module", params=["before apply", "after apply"])
def made(request: pytest.FixtureRequest, postgres: Cluster) -> Iterator[Deployment]:
    name = "check_tested"
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    postgres.psql(
        "CREATE ROLE check_app LOGIN; CREATE ROLE check_support LOGIN; CREATE ROLE check_other LOGIN"
    )
    postgres.psql(SCHEMA, name)
    postgres.psql("ALTER ROLE check_other SET search_path = other, public", name)
    postgres.psql("GRANT ALL ON SCHEMA public, other TO PUBLIC", name)
    found = deployment(postgres, name, tables=TABLES, roles=ROLES)
    if request.param == "after apply":
        found.apply()
    yield found
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")
    for role in ("check_app", "check_support", "check_other"):
        postgres.psql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def check(made: Deployment, *arguments: str, code: int = 0, stdin: str | None = None) -> list[dict[str, Any]]:
    """The explanations of a run, which must end with ``code``."""
    arguments = ("check", "--format", "json", "--url", made.owner_url, *arguments)
    done = made.pgnym(*arguments, check=False, stdin=stdin)
    assert done.returncode == code, done.stderr
    assert ("has not run" in done.stderr) == (not _applied(made))
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _applied(made: Deployment) -> bool:
    return made.pgnym("plan", check=False).returncode == 0


def test_arrays_and_documents_are_explained(made: Deployment) -> None:
    sql = "INSERT INTO papers VALUES (1, '{1,2}', '{\"mail\": \"a@x\"}') RETURNING tags, doc, doc->>'mail'"
    (told,) = check(made, "--sql", sql)
    assert told["sent"] == (
        "INSERT INTO papers VALUES (1, ‹tokens of public.papers.tags›, ‹tokens of mail, street›) RETURNING tags, doc,"
        " doc->>'mail'"
    )
    assert told["rights"]["write"] == [
        "public.papers.doc.address.street",
        "public.papers.doc.mail",
        "public.papers.tags",
    ]
    assert [set(shown["columns"]) for shown in told["shown"]] == [
        {"public.papers.tags"},
        {"public.papers.doc.mail", "public.papers.doc.address.street"},
        {"public.papers.doc.mail"},
    ]
    (told,) = check(made, "--sql", "SELECT 1 FROM papers WHERE doc @> '{\"mail\": 5}'", code=1)
    assert told["refusal"]["sqlstate"] == "22023"


def test_a_statement_is_explained(made: Deployment) -> None:
    (told,) = check(
        made,
        "--sql",
        "UPDATE person SET name = 'Ärmel' WHERE mail = 'a@x' AND id = 7 RETURNING mail, born, id",
    )
    assert told["outcome"] == "rewritten"
    assert told["sent"] == (
        "UPDATE person SET name = ‹token of public.person.name› WHERE mail = ‹token of mail› AND id = 7"
        " RETURNING mail, born, id"
    )
    stored, compared = told["values"]
    assert (stored["use"], stored["columns"], stored["place"]["column"]) == (
        "write",
        ["public.person.name"],
        26,
    )
    assert (compared["use"], compared["domain"], compared["place"]["column"]) == ("compare", "mail", 47)
    assert [(s["number"], s["sees"], s["type"]) for s in told["shown"]] == [
        (1, "values", "varchar(40)"),
        (2, "values", "date"),
    ]
    assert told["rights"] == {"compare": ["public.person.mail"], "write": ["public.person.name"]}
    assert told["budget"] == {"statement": 50, "minute": 500}


def test_parameters_are_explained(made: Deployment) -> None:
    (told,) = check(made, "--sql", "SELECT id FROM person WHERE mail = ANY($1) OR name = $2")
    assert [(v["parameter"], v["domain"], v.get("array", False)) for v in told["values"]] == [
        (1, "mail", True),
        (2, "public.person.name", False),
    ]


def test_a_refusal_says_where_and_what_to_do(made: Deployment) -> None:
    text = "SELECT 'é', count(*) FROM person\n  GROUP BY note"
    (told,) = check(made, "--sql", text, code=1)
    assert told["outcome"] == "refused"
    refusal = told["refusal"]
    assert refusal["sqlstate"] == "0A000"
    assert "public.person.note" in refusal["message"]
    assert refusal["detail"]
    assert "deterministic" in refusal["hint"]
    assert (refusal["place"]["line"], refusal["place"]["column"]) == (
        2,
        text.split("\n")[1].index("note") + 1,
    )


def test_what_the_role_may_not_do_is_refused(made: Deployment) -> None:
    (told,) = check(
        made, "--user", "check_support", "--sql", "SELECT mail FROM person WHERE mail = 'a'", code=1
    )
    assert told["refusal"]["sqlstate"] == "42501"
    assert told["rights"]["missing"] == ["compare public.person.mail"]
    assert told["shown"][0]["sees"] == "masks"
    (told,) = check(made, "--user", "check_support", "--sql", "SELECT mail FROM person")
    assert told["outcome"] == "rewritten"


def test_a_constant_that_is_no_value_of_the_type_is_refused(made: Deployment) -> None:
    found = check(
        made,
        "--sql",
        "SELECT id FROM person WHERE born = 'no date'; INSERT INTO person (name) VALUES ('abcdefghijklmnopqrstuvwxyz')",
        code=1,
    )
    assert [f["refusal"]["sqlstate"] for f in found] == ["22007", "22001"]


def test_names_are_looked_up_as_the_users_session_would(made: Deployment) -> None:
    (mine,) = check(made, "--user", "check_app", "--sql", "SELECT mail FROM person")
    (theirs,) = check(made, "--user", "check_other", "--sql", "SELECT mail FROM person")
    assert (mine["outcome"], theirs["outcome"]) == ("rewritten", "unchanged")
    script = "SET search_path TO other; SELECT mail FROM person; RESET search_path; SELECT mail FROM person"
    told = check(made, "--sql", script)
    assert [t["outcome"] for t in told] == ["unchanged", "unchanged", "unchanged", "rewritten"]


def test_names_that_statements_make_hold_for_the_next(made: Deployment) -> None:
    told = check(made, "-", stdin="PREPARE p AS SELECT mail FROM person WHERE mail = $1; EXECUTE p('a@x')")
    assert [t["outcome"] for t in told] == ["rewritten", "rewritten"]
    assert told[1]["sent"] == "EXECUTE p(‹token of mail›)"


def test_a_dump_and_a_psql_script_are_read(made: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "script.sql"
    file.write_text(
        "\\set ON_ERROR_STOP on\nCOPY person (id, mail) FROM stdin;\n1\ta@x;'\n\\.\n\\copy person (mail) from 'x'\n"
    )
    told = check(made, str(file))
    assert [(t["line"], t["outcome"]) for t in told] == [(1, "skipped"), (2, "rewritten"), (5, "rewritten")]
    assert told[1]["values"][0]["columns"] == ["public.person.mail"]


def test_in_words(made: Deployment) -> None:
    done = made.pgnym(
        "check", "--url", made.owner_url, "-", check=False,
        stdin="SELECT 1;\nSELECT sum(id) FROM person GROUP BY note",
    )  # fmt: skip
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == ["» stdin:1: SELECT 1", "  touches nothing protected: forwarded as it is"]
    at = next(i for i, line in enumerate(lines) if line.startswith("  LINE 1: "))
    assert lines[at][lines[at + 1].index("^") :] == "note"
    assert lines[-1] == "1 unchanged, 1 refused"


def test_usage(made: Deployment, tmp_path: Path) -> None:
    for arguments, said in [
        ((), "no statements"),
        (("--sql", " ; -- nothing"), "no statements"),
        ((str(tmp_path / "nowhere.sql"),), "No such file"),
    ]:
        done = made.pgnym("check", *arguments, check=False)
        assert (done.returncode, said in done.stderr) == (2, True)


def test_nothing_is_run(made: Deployment, postgres: Cluster) -> None:
    check(made, "--sql", "CREATE TABLE made_by_check (i int)")
    check(made, "--sql", "INSERT INTO person (id, mail) VALUES (1, 'a@x')")
    assert postgres.psql("SELECT count(*) FROM person", "check_tested") == "0\n"
    assert postgres.psql("SELECT to_regclass('made_by_check') IS NULL", "check_tested") == "t\n"


def test_a_caret_stands_under_its_character_whatever_stands_before() -> None:
    text = "SELECT 'häß', '山田',\n\t'x' ~ 'y'"
    place = place_of(text, text.encode().index(b"~"))
    assert (place.line, place.column, text[place.position - 1]) == (2, 6, "~")
    line, mark = caret(text, place)
    assert line[mark.index("^")] == "~"
    wide = "SELECT '山田' ~ 'y'"
    line, mark = caret(wide, place_of(wide, wide.encode().index(b"~")))
    assert mark.index("^") == line.index("~") + 2  # two characters before it are two columns wide
    long = "SELECT " + "a, " * 100 + "b ~ 'y' FROM " + "t, " * 100 + "u"
    line, mark = caret(long, place_of(long, long.index("~")))
    assert line[mark.index("^")] == "~"
    assert len(line) < 100
