"""Text that is put around expressions, or repeated: what stands outside, what inside."""

from __future__ import annotations

import pytest
from case_files import SCOPE
from rendering import render_text
from sample_catalog import sample_catalog

from pgnym.sql.errors import Refused
from pgnym.sql.lexer import lex
from pgnym.sql.ordering import UNRANKED
from pgnym.sql.places import bare, enclosed, expression_span, places
from pgnym.sql.plan import Answer, LookupPiece, Rewrite
from pgnym.sql.planner import Planner
from pgnym.sql.syntax import parse


def plan(statement: str) -> Rewrite:
    rewrite = Planner(sample_catalog()).plan(statement.encode(), (), SCOPE)
    assert rewrite is not None
    return rewrite


def test_the_text_around_an_expression() -> None:
    """In full, once; everywhere else it is shown as rank<…>(…)."""
    pieces = plan("SELECT 1 FROM customer ORDER BY email DESC").pieces
    assert pieces[0] == b"SELECT 1 FROM customer ORDER BY NULLIF(coalesce("
    assert isinstance(pieces[1], LookupPiece)
    assert pieces[1].lookup.answer is Answer.RANKS
    assert pieces[2] == f"::jsonb ->> coalesce((email)::text, '0'), '{UNRANKED}'), '')::int DESC".encode()


def test_one_ranking_serves_all_columns_of_a_domain() -> None:
    rewrite = plan(
        "SELECT min(c.email) FROM customer c JOIN employee e ON c.email < e.email"
        " JOIN invoice i ON i.billing_email > e.email ORDER BY max(e.email)"
    )
    lookups = [p.lookup for p in rewrite.pieces if isinstance(p, LookupPiece)]
    assert {look.columns for look in lookups} == {
        frozenset(("public.customer.email", "public.employee.email", "public.invoice.billing_email"))
    }
    assert len({look.protection for look in lookups}) == 1
    assert rewrite.statements[0].compares == lookups[0].columns


def test_collations_have_rankings_of_their_own() -> None:
    rewrite = plan('SELECT 1 FROM customer ORDER BY email, email COLLATE "C"')
    collations = [p.lookup.protection.collation for p in rewrite.pieces if isinstance(p, LookupPiece)]
    assert [c.name if c is not None else None for c in collations] == ["default", "C"]


def test_what_is_repeated_is_repeated_as_it_is_rewritten() -> None:
    text = render_text(
        plan(
            "SELECT (SELECT min(e.email) FROM employee e WHERE e.last_name = 'x' AND title = 'y') FROM customer c ORDER BY 1"
        )
    )
    inner = (
        "(SELECT (<email ordered>::jsonb ->> (min(rank<email ranks>(e.email))))%s FROM employee e "
        "WHERE e.last_name = <last_name:'x'> AND title = 'y')"
    )
    named = inner % ' AS "min"'
    assert text == f'SELECT {named} AS "min" FROM customer c ORDER BY rank<email ranks>({named})'


def test_a_repeated_query_that_sorts_itself() -> None:
    text = render_text(
        plan("SELECT ARRAY(SELECT e.email FROM employee e ORDER BY 1) FROM customer c ORDER BY c.email")
    )
    assert text.count("rank<email ranks>(e.email)") == 1
    text = render_text(
        plan(
            "SELECT (SELECT min(e.email) FROM (SELECT email FROM employee ORDER BY 1) e) FROM customer c ORDER BY 1"
        )
    )
    assert text.count("ORDER BY rank<email ranks>(email)") == 2


def test_a_span_that_does_not_parse_alike_is_refused() -> None:
    """The tree says something else than the text: nothing is put around it."""
    text = b"SELECT a, b FROM t"
    node = parse(text)[0].node["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    assert expression_span(lex(text), node) == (7, 8)
    with pytest.raises(Refused, match="end of an expression"):
        expression_span(lex(b"SELECT x, b FROM t"), node)


def test_trees_without_places_are_equal_wherever_they_stand() -> None:
    trees = [
        parse(t)[0].node["SelectStmt"]["targetList"] for t in (b"SELECT f(a, 'x')", b"SELECT   f( a,'x' )")
    ]
    assert trees[0] != trees[1]
    assert bare(trees[0]) == bare(trees[1])
    assert sorted(places(trees[0])) == [7, 7, 9, 12]


def test_the_closing_parenthesis() -> None:
    lexed = lex(b"SELECT (a[(1)] + (2)), (b")
    assert lexed.text[lexed.starts[enclosed(lexed, 1)] :] == b"), (b"
    assert enclosed(lexed, len(lexed.starts) - 2) == len(lexed.starts)


def test_the_text_around_an_expression_with_an_order_index() -> None:
    """In full, once; everywhere else it is shown as code<…>(…) and place<…>."""
    pieces = plan("SELECT 1 FROM member WHERE name > 'x' ORDER BY max(name)").pieces
    code = '(pgnym.order_aap((name)::text) COLLATE pg_catalog."C")'
    assert pieces[0] == f"SELECT 1 FROM member WHERE ({code} > pgnym.place_aap(NULLIF(".encode()
    assert isinstance(pieces[1], LookupPiece)
    assert pieces[1].lookup.answer is Answer.CODE
    assert (
        pieces[2]
        == (
            "::text, '?'))) ORDER BY (pgnym.order_aap(((pgnym.token_aap(max("
            f'{code}))))::text) COLLATE pg_catalog."C")'
        ).encode()
    )
