"""The mention test: never too little."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_catalog import sample_catalog

from pgnym.sql.catalog import Catalog, Column, Function, Protection, Relation
from pgnym.sql.mention import Mentions
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner
from pgnym.sql.words import Mention, session_flags

MENTIONS = Mentions(sample_catalog())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM customer",
        "SELECT * FROM CUSTOMER",
        'select * from"customer"where 1=1',
        'SELECT * FROM "Odd Name"',
        "SELECT * FROM customer_contact",
        "SELECT * FROM contact_of_contact",
        "SELECT * FROM torn",
        "SELECT customer_by_email('x')",
        "SELECT * FROM all_customers()",
        "SELECT find_customer('x')",
        'SELECT * FROM U&"cust\\006fmer"',
        "SELECT NULL::customer",
        "DO 'BEGIN DELETE FROM customer; END'",
        "SELECT 1/*customer*/",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM customer$$",
        "DO $x$DELETE FROM customer$x$",
    ],
)
def test_what_may_touch_a_protected_relation_counts(text: str) -> None:
    assert MENTIONS.concerns(text.encode())
    assert MENTIONS.concerns(text.encode())  # from the cache


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM album",
        "SELECT * FROM customers",
        "SELECT customer_id FROM orders",
        "SELECT * FROM album_title",
        "SELECT abalance FROM pgbench_accounts WHERE aid = 1",
        "BEGIN",
        "",
    ],
)
def test_other_texts_do_not_count(text: str) -> None:
    assert not MENTIONS.concerns(text.encode())


def test_without_protection_nothing_counts() -> None:
    assert not Mentions(Catalog(1)).concerns(b'SELECT * FROM U&"x"')


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


def test_a_name_with_a_dollar_sign_counts() -> None:
    protection = Protection("s.t.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", "a$b", "r", (Column("c", 1, 25, -1, protection),))
    mentions = Mentions(Catalog(1, {("s", "a$b"): relation}, {1: relation}))
    assert mentions.concerns(b"SELECT * FROM A$b")


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=16, max_size=80),
    st.booleans(),
)
def test_a_spelling_that_is_cut_to_the_name_counts(spelling: str, bare: bool) -> None:
    if bare:
        spelling = "t" + re.sub(r"[^a-zA-Z0-9_\x80-\U0010ffff]", "x", spelling)
    stored = "".join(c.lower() if c.isascii() else c for c in spelling) if bare else spelling
    stored = stored.encode()[:63].decode(errors="ignore")
    protection = Protection("s.t.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", stored, "r", (Column("c", 1, 25, -1, protection),))
    mentions = Mentions(Catalog(1, {("s", stored): relation}, {1: relation}))
    written = spelling if bare else '"' + spelling.replace('"', '""') + '"'
    assert mentions.concerns(f"SELECT * FROM {written} WHERE true".encode())


def test_a_long_spelling_of_a_table_is_planned_as_the_table() -> None:
    name = "a" * 63
    protection = Protection(f"s.{name}.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", name, "r", (Column("c", 1, 25, -1, protection),))
    catalog = Catalog(1, {("s", name): relation}, {1: relation})
    rewrite = Planner(catalog).plan(
        f"SELECT c FROM {name}tail".encode(), (), SessionScope(("s",), "app", {}, {})
    )
    assert rewrite is not None
    assert rewrite.statements[0].reads == {f"s.{name}.c"}


def test_a_function_whose_body_spells_the_table_longer_counts() -> None:
    name = "a" * 63
    protection = Protection(f"s.{name}.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", name, "r", (Column("c", 1, 25, -1, protection),))
    function = Function(2, "s", "f", (), 25, "sql", False, body=f"SELECT c FROM {name}tail")
    catalog = Catalog(1, {("s", name): relation}, {1: relation}, functions={"f": (function,)})
    assert Mentions(catalog).concerns(b"SELECT f()")


@given(NAMES, st.sampled_from([" ", ",", "(", ".", "\n", "/**/"]))
def test_any_name_counts_as_it_is_quoted(name: str, border: str) -> None:
    protection = Protection("s.t.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", name, "r", (Column("c", 1, 25, -1, protection),))
    mentions = Mentions(Catalog(1, {("s", name): relation}, {1: relation}))
    quoted = '"' + name.replace('"', '""') + '"'
    assert mentions.concerns(f"SELECT * FROM{border}{quoted}{border}WHERE true".encode())


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        (b"DO $$execute p(1)$$", Mention.NAMES),
        (b"DO $$BEGIN PERFORM 1; commit$$", Mention.ENDS),
        (b"DO $x$BEGIN SET LOCAL role$x$", Mention.SETTINGS),
        (b"DO $$drop$$", Mention.DDL),
        (b"fetch$$", Mention.NAMES),
    ],
)
def test_a_dollar_sign_hides_no_word(text: bytes, flag: Mention) -> None:
    assert session_flags(text) & flag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SET search_path = x", Mention.SETTINGS),
        (b"select set_config('a', 'b', false)", Mention.SETTINGS),
        (b"SELECT U&\"set\\005fconfig\"('search_path', 'x', false)", Mention.SETTINGS),
        (b"UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'", Mention.SETTINGS),
        (b"EXECUTE p(1)", Mention.NAMES),
        (b"fetch all from c", Mention.NAMES),
        (b"DISCARD ALL", Mention.SETTINGS | Mention.NAMES),
        (b"SELECT offset_set FROM x", 0),
        (b"SELECT 1", 0),
        (b"SELECT 1; SELECT 2", 0),
    ],
)
def test_words_that_change_the_session(text: bytes, expected: int) -> None:
    assert session_flags(text) == expected
