"""Every refusal says what, why, what to do, and where, whatever stands before the place."""

from __future__ import annotations

import re

import pytest
from case_files import SCOPE, Case, all_cases
from sample_catalog import sample_catalog

from pgnym.gateway.reports import report_of
from pgnym.sql.errors import Refused
from pgnym.sql.lexer import lex
from pgnym.sql.planner import Planner

PLANNER = Planner(sample_catalog())
COLUMNS = {column.name for relation in PLANNER.catalog.by_oid.values() for column in relation.columns}
OWN = {"0A000", "42501", "54001", "55000"}  # SQLSTATEs of refusals that PostgreSQL itself would not raise
WORD = re.compile(r"[A-Za-z_]\w*|\"[^\"]+\"|'[^']*'|[-+*/<>=~!@#%^&|`?]+|\$?[\d.]+|.|$", re.DOTALL)
# What a place may show instead of a word of the message: what the message describes.
DESCRIBED = {
    "constant": r"'|\$?\d|current_user|bigint",
    "number": r"\d",
    "cast to": r":|'|\$?\d",
    "syntax error": r".",
    "unterminated": r"'",
    "ORDER BY": r"\w|\(|\|\|",  # the item, whatever it begins with
    "GROUP BY": r"\w|\(|\|\|",
    "window": r"\(",
    "computed column": r"full_name",
    "JSON": r"JSON",
    "an XML function": r"xml",
    "specified more than once": r"employee",
    "derived column": r"x",
    "temporary relation": r"pg_temp",
    "child of": r"archive|staging",
    "a foreign key": r"REFERENCES|FOREIGN|CONSTRAINT",
    "EXCLUSION": r"EXCLUDE",
    "an index on": r"customer_contact",
    "computed default": r"current_user",
    "on the contents": r"new",
    "CREATE RULE": r"customer",
}


def refused(text: str, types: tuple[int, ...] = ()) -> Refused | None:
    try:
        PLANNER.plan(text.encode(), types, SCOPE)
    except Refused as refusal:
        return refusal
    return None


def refusals() -> list[tuple[Case, Refused]]:
    found = [(case, refused(case.statement, case.types)) for case in all_cases()]
    return [(case, refusal) for case, refusal in found if refusal is not None]


CASES = refusals()
each = pytest.mark.parametrize(("case", "refusal"), CASES, ids=[f"{c.file}: {c.title}" for c, _ in CASES])


def test_there_are_refusals() -> None:
    assert len(CASES) > 100


@each
def test_it_says_why_and_what_to_do(case: Case, refusal: Refused) -> None:
    assert re.fullmatch(r"[0-9A-Z]{5}", refusal.sqlstate)
    assert refusal.message
    if refusal.sqlstate in OWN:
        assert refusal.detail
        assert refusal.hint.endswith(".")
        assert refusal.hint != refusal.detail


def _starts(text: str) -> set[int]:
    """Where statements begin."""
    lexed = lex(text.encode())
    ends = [0, *(e for e, name in zip(lexed.ends, lexed.names, strict=True) if name == "ASCII_59")]
    return {next((s for s in lexed.starts if s >= end), 0) for end in ends}


@each
def test_its_place_is_that_of_the_thing_it_names(case: Case, refusal: Refused) -> None:
    assert refusal.position is not None or refusal.sqlstate not in OWN
    if refusal.position is None:
        return
    raw = case.statement.encode()
    match = WORD.match(raw[refusal.position :].decode())  # a place within a character would fail to decode
    assert match is not None
    word = match[0]
    if word.strip('"').lower() in refusal.message.lower():
        return
    if word.strip('"') in COLUMNS:
        return  # the column that is meant by "a protected column"
    described = [form for text, form in DESCRIBED.items() if text in refusal.message]
    if any(re.match(form, word) for form in described):
        return
    # Nothing that the message names stands in the text exactly once: then the statement itself.
    assert refusal.position in _starts(case.statement), (word, refusal.message)


BEFORE = {
    "a comment": "/* é 山田 🙂 ' $$ */ ",
    "a comment to the end of line": "-- ü '\n",
    "nested comments": "/* a /* ö */ ; */\n\t",
    "another statement": "SELECT 'ß'; ",
    "an escape string": "SELECT E'\\'é\\\\' || e'山\\n'; ",
    "dollar quotes": 'SELECT $ä$ ; \'é $ä$ AS "ñ;"; ',
    "a unicode string": "SELECT U&'\\00e9é'; ",
    "a bit string": "SELECT B'01', X'1F'; ",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@each
def test_the_place_counts_characters_whatever_stands_before(
    case: Case, refusal: Refused, before: str
) -> None:
    if refusal.sqlstate not in OWN or ("constants in a body" in refusal.message and "SELECT" in before):
        return  # the constants of a statement before it are in the text as well
    text = before + case.statement
    moved = refused(text, case.types)
    assert moved is not None
    assert (moved.sqlstate, moved.message) == (refusal.sqlstate, refusal.message)
    alone = report_of(refusal, case.statement.encode()).position
    shown = report_of(moved, text.encode()).position
    assert alone is not None
    assert shown == len(before) + alone


@pytest.mark.parametrize("constant", ["'é'", "E'\\t山'", "$q$🙂;'$q$", "U&'\\00e9'", "'a' /* ü */"])
def test_the_place_is_behind_constants_of_any_length(constant: str) -> None:
    """One plan serves all constants of a shape, so a place is kept relative to them."""
    for value in ("'a'", constant, "'" + "ü" * 50 + "'"):
        text = f"SELECT {value} FROM customer WHERE company = {value} AND notes = company"
        refusal = refused(text)
        assert refusal is not None
        position = report_of(refusal, text.encode()).position
        assert position is not None
        assert text[position - 1 :].startswith("= company")
