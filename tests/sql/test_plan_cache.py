"""The plan cache: the same answers, in bounded memory, without constants in what is kept."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
from case_files import SCOPE
from rendering import render_outputs, render_text
from sample_catalog import sample_catalog

from pgnym.sql.cache import BoundedCache
from pgnym.sql.errors import Refused
from pgnym.sql.plan import LiteralPiece
from pgnym.sql.planner import Planner


@pytest.fixture
def planner() -> Planner:
    return Planner(sample_catalog())


def sent(planner: Planner, text: str) -> str:
    rewrite = planner.plan(text.encode(), (), SCOPE)
    assert rewrite is not None
    return render_text(rewrite)


def test_one_plan_serves_all_texts_of_a_shape(planner: Planner) -> None:
    sent(planner, "SELECT email FROM customer WHERE email = 'a' AND company = 'b' AND loyalty_no = -1")
    held = len(planner._shapes)
    assert sent(
        planner,
        "SELECT email FROM customer WHERE email = 'längér' AND company = E'\\'' AND loyalty_no = -12345",
    ) == (
        "SELECT email FROM customer WHERE email = <email:'längér'> AND company = E'\\'' AND loyalty_no = <loyalty:'-12345'>"
    )
    assert len(planner._shapes) == held


def test_comments_are_no_part_of_the_shape(planner: Planner) -> None:
    for number in range(100):
        sent(planner, f"SELECT email FROM customer WHERE email = 'a' /* trace {number} */")
    assert len(planner._shapes) == 1


def test_a_constant_that_matters_is_part_of_the_plan(planner: Planner) -> None:
    for _ in range(2):
        assert sent(planner, "SELECT customer_id, email FROM customer ORDER BY 1").endswith("ORDER BY 1")
        assert sent(planner, "SELECT customer_id, email FROM customer ORDER BY 2").endswith("(email)")
    for value in ("a", "b"):  # the expression is repeated with its constants
        text = sent(planner, f"SELECT CASE company WHEN '{value}' THEN email END FROM customer ORDER BY 1")
        assert text.count(f"'{value}'") == 2
    assert "'a'>::text" in sent(planner, "SELECT 1 FROM customer WHERE email = 'a'::varchar(3)")
    first = planner.plan(b"SELECT 1 FROM customer WHERE email = 'a'::varchar(4)", (), SCOPE)
    assert first is not None
    assert [p.use.cast_typmod for p in first.pieces if isinstance(p, LiteralPiece)] == [8]


def test_a_body_of_code_is_judged_each_time(planner: Planner) -> None:
    sent(planner, "DO $$BEGIN DELETE FROM customer; END$$")
    with pytest.raises(Refused):
        planner.plan(b"DO $$BEGIN DELETE FROM customer WHERE email = 'x'; END$$", (), SCOPE)


def test_copy_options_are_judged_each_time(planner: Planner) -> None:
    for delimiter in (";", "|"):
        rewrite = planner.plan(f"COPY customer TO STDOUT (DELIMITER '{delimiter}')".encode(), (), SCOPE)
        assert rewrite is not None
        copy = rewrite.statements[0].copy
        assert copy is not None
        assert copy.delimiter == delimiter


def test_another_search_path_is_another_plan(planner: Planner) -> None:
    text = b"SELECT email FROM customer WHERE email = 'a'"
    assert planner.plan(text, (), SCOPE) is not None
    assert planner.plan(text, (), replace(SCOPE, search_path=("archive", "pg_catalog"))) is None
    assert planner.plan(text, (), SCOPE) is not None


def test_other_parameter_types_are_another_plan(planner: Planner) -> None:
    text = b"SELECT 1 FROM customer WHERE birth_date = $1"
    plain = planner.plan(text, (), SCOPE)
    typed = planner.plan(text, (1082,), SCOPE)
    assert plain is not None
    assert typed is not None
    assert plain.statements[0].sent_parameter_types is None
    assert typed.statements[0].sent_parameter_types == {1: 25}


def test_a_parameter_of_a_subquery_is_text_unless_it_is_declared(planner: Planner) -> None:
    text = b"SELECT 1 FROM customer, (SELECT $1 AS d) v WHERE birth_date = v.d"
    with pytest.raises(Refused) as caught:
        planner.plan(text, (), SCOPE)
    assert caught.value.sqlstate == "42883"
    typed = planner.plan(text, (1082,), SCOPE)
    assert typed is not None
    assert typed.statements[0].sent_parameter_types == {1: 25}


def test_the_setting_of_backslashes_is_part_of_the_plan(planner: Planner) -> None:
    text = rb"SELECT 1 FROM customer WHERE email = 'a\b'"
    assert planner.plan(text, (), SCOPE) is not None
    with pytest.raises(Refused, match="standard_conforming_strings"):
        planner.plan(text, (), replace(SCOPE, standard_strings=False))
    assert planner.plan(
        rb"SELECT 1 FROM customer WHERE email = E'a\\b'", (), replace(SCOPE, standard_strings=False)
    )


def test_refusals_are_kept_with_their_place_and_without_constants(planner: Planner) -> None:
    for value in ("short", "a much longer constant"):
        text = f"SELECT 1 FROM customer WHERE company = '{value}' AND email < company || 'secret'"
        with pytest.raises(Refused) as caught:
            planner.plan(text.encode(), (), SCOPE)
        assert caught.value.position == text.index("<")
        shown = " ".join((caught.value.message, caught.value.detail, caught.value.hint))
        assert value not in shown
        assert "secret" not in shown
    assert len(planner._shapes) == 1


def test_execute_depends_on_the_session(planner: Planner) -> None:
    prepared = planner.plan(b"PREPARE p(text) AS SELECT email FROM customer WHERE email = $1", (), SCOPE)
    assert prepared is not None
    effect = prepared.statements[0].effect
    assert effect is not None
    assert effect.inner is not None
    knowing = replace(SCOPE, prepared={"p": effect.inner})
    assert planner.plan(b"EXECUTE p('a')", (), SCOPE) is None
    rewrite = planner.plan(b"EXECUTE p('a')", (), knowing)
    assert rewrite is not None
    assert render_text(rewrite) == "EXECUTE p(<email:'a'>)"
    assert render_outputs(rewrite.statements[0]) == "email:1043(64)"
    assert planner.plan(b"EXECUTE p('a')", (), SCOPE) is None


def test_fetch_shows_what_its_cursor_does(planner: Planner) -> None:
    declared = planner.plan(b"DECLARE c CURSOR FOR SELECT email, company FROM customer", (), SCOPE)
    assert declared is not None
    effect = declared.statements[0].effect
    assert effect is not None
    assert effect.inner is not None
    knowing = replace(SCOPE, cursors={"c": effect.inner})
    rewrite = planner.plan(b"FETCH ALL FROM c", (), knowing)
    assert rewrite is not None
    assert render_outputs(rewrite.statements[0]) == "email:1043(64) -"
    assert rewrite.statements[0].reads == {"public.customer.email"}
    assert planner.plan(b"MOVE c", (), knowing) is None


def test_a_flood_of_distinct_statements_stays_within_bounds(planner: Planner) -> None:
    for number in range(6000):
        planner.plan(f"SELECT email AS c{number} FROM customer WHERE email = 'x{number}'".encode(), (), SCOPE)
        if number % 3 == 0:
            with pytest.raises(Refused):
                planner.plan(f"SELECT soundex(email) AS c{number} FROM customer".encode(), (), SCOPE)
    entries, size = planner.cached
    assert entries <= 4096 + 2048
    assert size <= 32 << 20


def test_a_flood_of_constants_keeps_one_plan(planner: Planner) -> None:
    for number in range(3000):
        planner.plan(f"SELECT email FROM customer WHERE email = 'x{number}'".encode(), (), SCOPE)
    assert len(planner._shapes) == 1


def test_large_statements_do_not_fill_memory(planner: Planner) -> None:
    values = ", ".join(f"({n}, 'user{n}@example.org')" for n in range(2000))
    for number in range(40):
        text = f"INSERT INTO customer (customer_id, email) VALUES {values} /* {number} */"
        assert planner.plan(text.encode(), (), SCOPE) is not None
    gc.collect()
    assert planner.cached[1] <= 32 << 20


def test_a_refusal_does_not_hold_the_statement_by_its_traceback(planner: Planner) -> None:
    with pytest.raises(Refused):
        planner.plan(b"SELECT soundex(email) FROM customer", (), SCOPE)
    for _key, (variants, _size) in planner._shapes._held.items():
        for variant in variants:
            refusal = getattr(variant.outcome, "refusal", None)
            assert refusal is None or refusal.__traceback__ is None


def test_the_bounded_cache_drops_the_least_recently_used() -> None:
    cache: BoundedCache[int] = BoundedCache(2, 100)
    cache.put("a", 1, 10)
    cache.put("b", 2, 10)
    assert cache.get("a") == 1
    cache.put("c", 3, 10)
    assert cache.get("b") is None
    cache.put("d", 4, 95)
    assert (len(cache), cache.size) == (1, 95)
    cache.put("e", 5, 101)
    assert cache.get("e") is None
    cache.put("d", 6, 5)
    assert (cache.get("d"), cache.size) == (6, 5)
