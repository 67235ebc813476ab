"""A refusal says what would work, in the terms of the statement at hand."""

from __future__ import annotations

import pytest
from case_files import SCOPE
from sample_catalog import sample_catalog

from pgnym.sql.catalog import Catalog, Column, Protection, Relation
from pgnym.sql.errors import Refused
from pgnym.sql.planner import Planner

PLANNER = Planner(sample_catalog())


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("SELECT soundex(lower(email)) FROM customer", "Select the column"),
        ("EXPLAIN SELECT soundex(lower(email)) FROM customer", "Select the column"),
        ("SELECT left(email, customer_id) FROM customer GROUP BY 1", "Group by the column itself"),
        ("CREATE INDEX ON customer (lower(email))", "Index the column itself"),
        ("CREATE UNIQUE INDEX ON customer (customer_id) WHERE email LIKE 'a%'", "Index the column itself"),
        ("CREATE INDEX ON customer USING gin (email)", "Index the column itself"),
        ("CREATE VIEW v AS SELECT lower(email) FROM customer", "out of the view"),
        ("CREATE TABLE t AS SELECT lower(email) FROM customer", "Leave the expression out"),
        ("ALTER TABLE customer ADD CHECK (length(email) > 3)", "let the application"),
        (
            "ALTER TABLE customer ADD COLUMN x text GENERATED ALWAYS AS (lower(email)) STORED",
            "let the application",
        ),
        ("CREATE POLICY p ON customer USING (email LIKE 'a%')", "let the application"),
        ("CREATE STATISTICS s ON lower(email), customer_id FROM customer", "statistics of tokens"),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW WHEN (new.email LIKE 'a%') EXECUTE FUNCTION f()",
            "let the application",
        ),
        ("UPDATE customer SET company = soundex(email)", "Read the value first"),
        ("UPDATE customer SET email = lower(email)", "Compute the value in the application"),
        ("INSERT INTO artist SELECT 1, soundex(email) FROM customer", "Read the value first"),
        ("PREPARE p AS UPDATE customer SET company = soundex(email)", "Read the value first"),
        ("DELETE FROM customer WHERE email LIKE company", "Read the keys"),
        (
            "SELECT 1 FROM customer WHERE first_name || ' ' || last_name ILIKE 'ann b%'",
            "ask of each by itself",
        ),
        ("SELECT 1 FROM customer WHERE email LIKE first_name || '%'", "ask of each by itself"),
    ],
)
def test_the_hint_fits_the_statement(text: str, hint: str) -> None:
    for _ in range(2):  # the second time from the cache
        with pytest.raises(Refused) as caught:
            PLANNER.plan(text.encode(), (), SCOPE)
        assert caught.value.sqlstate == "0A000"
        assert hint in caught.value.hint


def test_sql_json_of_a_protected_jsonb_must_say_its_type() -> None:
    """It is jsonb if an argument is; the server knows a token only, and would make json of it."""
    protection = Protection("public.t.doc", "doc", b"pn1aaa", False, 3802, -1, 3802, 25)
    relation = Relation(1, "public", "t", "r", (Column("doc", 1, 25, -1, protection),))
    planner = Planner(Catalog(1, {("public", "t"): relation}, {1: relation}))
    for text in ("SELECT JSON_OBJECT('k': doc) FROM t", "SELECT JSON_ARRAYAGG(doc) FROM t"):
        with pytest.raises(Refused, match="without RETURNING") as caught:
            planner.plan(text.encode(), (), SCOPE)
        assert caught.value.hint == "Add RETURNING jsonb."
    assert (
        planner.plan(b"SELECT JSON_OBJECT('k': doc RETURNING jsonb), to_json(doc) FROM t", (), SCOPE)
        is not None
    )
