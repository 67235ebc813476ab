"""Cutting a script into statements, as psql does."""

from __future__ import annotations

import pytest

from pgnym.cli.scripts import of_command, statements

CUTS: dict[str, tuple[str, list[str]]] = {
    "semicolons": ("SELECT 1; SELECT 2;\nSELECT 3", ["SELECT 1", "SELECT 2", "SELECT 3"]),
    "nothing": (" ;; -- only a comment\n /* and another */ ;", []),
    "quotes": ("SELECT ';', \";\"; SELECT 2", ["SELECT ';', \";\"", "SELECT 2"]),
    "doubled quotes": ("SELECT 'it''s;' ; SELECT 2", ["SELECT 'it''s;'", "SELECT 2"]),
    "escapes": (r"SELECT E'\';' ; SELECT 2", [r"SELECT E'\';'", "SELECT 2"]),
    "a backslash in a plain string": (r"SELECT '\' ; SELECT 2", [r"SELECT '\'", "SELECT 2"]),
    "a name that ends in e": ("SELECT type'a;' ; SELECT 2", ["SELECT type'a;'", "SELECT 2"]),
    "dollar quotes": ("SELECT $a$ ; $$ ; $a$; SELECT 2", ["SELECT $a$ ; $$ ; $a$", "SELECT 2"]),
    "parameters": ("SELECT $1; SELECT $2", ["SELECT $1", "SELECT $2"]),
    "comments": ("SELECT 1 -- ; '\n; SELECT /* ; /* ; */ ' */ 2", ["SELECT 1 -- ; '", "SELECT /* ; /* ; */ ' */ 2"]),
    "comments before": ("-- about it\n/* more */ SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
    "a rule": (
        "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3",
        ["CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)", "SELECT 3"],
    ),
    "the body of a function": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
        ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "SELECT 3"],
    ),
    "transactions": ("BEGIN; SELECT 1; END; SELECT 2", ["BEGIN", "SELECT 1", "END", "SELECT 2"]),
    "data of a COPY": (
        "COPY t (a) FROM stdin WITH (FORMAT csv);\n1;'\n2\n\\.\nSELECT 1",
        ["COPY t (a) FROM stdin WITH (FORMAT csv)", "SELECT 1"],
    ),
    "psql commands": (
        "\\set x 1\nSELECT 1 \\gset\n\\d t; \nSELECT 2", ["\\set x 1", "SELECT 1", "\\gset", "\\d t;", "SELECT 2"]),
    "what never ends": ("SELECT 1; SELECT 'a", ["SELECT 1", "SELECT 'a"]),
    "a comment that never ends": ("SELECT 1; SELECT 2 /* a", ["SELECT 1", "SELECT 2 /* a"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_a_script_is_cut_where_psql_cuts_it(name: str) -> None:
    text, expected = CUTS[name]
    assert [s.text for s in statements(text, "f")] == expected


def test_each_statement_knows_its_line() -> None:
    text = "-- about\n\nSELECT 1;\nCOPY t FROM stdin;\n1\n2\n\\.\n\n  SELECT\n 2; \\d\n"
    assert [(s.line, s.command) for s in statements(text, "f")] == [
        (3, False),
        (4, False),
        (9, False),
        (10, True),
    ]


@pytest.mark.parametrize(
    ("command", "sql"),
    [
        ("\\copy t from 'a b.csv' csv header", "COPY t FROM STDIN csv header"),
        ("\\copy t (a, b) to out.txt", "COPY t (a, b) TO STDOUT"),
        ("\\copy (select a from t) to program 'gzip > x'", "COPY (select a from t) TO STDOUT"),
        ("\\COPY t from stdin", "COPY t FROM STDIN"),
        ("\\d t", None),
    ],
)
def test_what_psql_sends_for_a_command(command: str, sql: str | None) -> None:
    (statement,) = statements(command, "f")
    sent = of_command(statement)
    assert (sent or "").replace("\n", " ") == (sql or "")
