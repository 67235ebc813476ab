"""The mention test: never too little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_catalog import sample_catalog

from pgnym.sql.catalog import Catalog, Column, Protection, Relation
from pgnym.sql.mention import Mentions

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


@given(NAMES, st.sampled_from([" ", ",", "(", ".", "\n", "/**/"]))
def test_any_name_counts_as_it_is_quoted(name: str, border: str) -> None:
    protection = Protection("s.t.c", "d", b"pn1aaa", False, 25, -1, 25, 25)
    relation = Relation(1, "s", name, "r", (Column("c", 1, 25, -1, protection),))
    mentions = Mentions(Catalog(1, {("s", name): relation}, {1: relation}))
    quoted = '"' + name.replace('"', '""') + '"'
    assert mentions.concerns(f"SELECT * FROM{border}{quoted}{border}WHERE true".encode())


def test_the_cache_is_bounded() -> None:
    mentions = Mentions(sample_catalog())
    for number in range(10_000):
        mentions.concerns(b"SELECT %d" % number)
    assert len(mentions._cache) <= 2048


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SET search_path = x", True),
        (b"select set_config('a', 'b', false)", True),
        (b"EXECUTE p(1)", True),
        (b"fetch all from c", True),
        (b"DISCARD ALL", True),
        (b"SELECT offset_set FROM x", False),
        (b"SELECT 1", False),
    ],
)
def test_words_that_change_the_session(text: bytes, expected: bool) -> None:
    assert Mentions.session_words(text) is expected
