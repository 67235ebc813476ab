"""How far expressions reach in their text."""

from __future__ import annotations

import json

import pytest
from pglast.parser import parse_sql_json

from pgnym.sql.errors import Refused
from pgnym.sql.lexer import lex
from pgnym.sql.spans import span

EXPRESSIONS = [
    "upper( c )",
    "pg_catalog.upper(c)",
    '"left"(c, -1)',
    "count(*) FILTER (WHERE (a))",
    "upper(c) OVER w",
    "lag(c) OVER (ORDER BY (a))",
    "c::date",
    "c::numeric(10, 2)",
    "c::timestamp with time zone",
    "(a || b)::text",
    "CAST(c AS date)",
    "date '2020-01-01'",
    "interval '1 day'",
    "-5",
    "- 5",
    "NULL",
    "true",
    "current_date",
    "current_timestamp(3)",
    "(c) + 1",
    "1 + (c)",
    "(a) + (b)",
    "(a + 1) * (b + (2))",
    "-(c)",
    "substring(c from 2 for 3)",
    "substring(c similar 'x' escape '#')",
    "trim(both 'x' from c)",
    "extract(year from c)",
    "overlay(c placing 'x' from 1)",
    "position('a' in c)",
    "c AT TIME ZONE 'utc'",
    "c[1]",
    "(c).x",
    "(a).b.c",
    "(f(a))[1]",
    "t.c",
    'c COLLATE "C"',
    "c IS NOT NULL",
    "c IS NULL",
    "CASE WHEN true THEN CASE WHEN a THEN b END ELSE 2 END",
    "c SIMILAR TO 'x'",
    "a LIKE 'x' ESCAPE '#'",
    "(a, b)",
    "ROW(a)",
    "ARRAY[1, (2)]",
    "EXISTS(SELECT 1)",
    "(SELECT a FROM b WHERE (c)) + (1)",
    "NULLIF(a, b)",
    "COALESCE(a, b)",
    "GREATEST(a, b)",
    "(a) IN (1, (2))",
    "x = ANY(ARRAY[1])",
    "a BETWEEN (1) AND (2)",
    "NOT (a)",
    "(a) AND (b OR (c))",
    "a ->> 'b'",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("frame", ["{}", "(({}))", "/* é */ {} ", "f(1, {}, 2)"])
def test_the_whole_expression_and_no_more(expression: str, frame: str) -> None:
    text = f"SELECT {frame.format(expression)} AS x FROM t"
    tree = json.loads(parse_sql_json(text))
    node = tree["stmts"][0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    if frame.startswith("f("):
        node = node["FuncCall"]["args"][1]
    encoded = text.encode()
    start, end = span(lex(encoded), node)
    assert encoded[start:end].decode() == expression


def test_what_has_no_place_is_refused() -> None:
    tree = json.loads(parse_sql_json("SELECT c AT LOCAL"))
    node = tree["stmts"][0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    with pytest.raises(Refused):
        span(lex(b"SELECT c AT LOCAL"), node)
