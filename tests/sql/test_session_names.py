"""What a session alone knows: prepared statements by SQL or by protocol, relations that aren't committed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from case_files import SCOPE
from rendering import render_outputs, render_text
from sample_catalog import sample_catalog

from pgnym.sql.errors import Refused
from pgnym.sql.plan import SessionScope, StatementPlan
from pgnym.sql.planner import Planner

PLANNER = Planner(sample_catalog())


def parsed(text: str, types: tuple[int, ...] = ()) -> StatementPlan:
    """The plan that the gateway keeps for the name of a protocol Parse."""
    rewrite = PLANNER.plan(text.encode(), types, SCOPE)
    assert rewrite is not None
    return rewrite.statements[0]


def knowing(**prepared: StatementPlan) -> SessionScope:
    return replace(SCOPE, prepared=prepared)


def test_a_statement_of_protocol_parse_is_executed_by_sql() -> None:
    scope = knowing(p=parsed("SELECT email FROM customer WHERE email = $1 AND birth_date = $2", (0, 1082)))
    rewrite = PLANNER.plan(b"EXECUTE p('a', '1962-02-18')", (), scope)
    assert rewrite is not None
    assert render_text(rewrite) == "EXECUTE p(<email:'a'>, <birth:'1962-02-18'>)"
    assert render_outputs(rewrite.statements[0]) == "email:1043(64)"


def test_a_parameter_of_protocol_parse_that_was_split_gets_its_second_argument() -> None:
    scope = knowing(p=parsed("SELECT 1 FROM customer WHERE email = $1 OR company = $1"))
    rewrite = PLANNER.plan(b"EXECUTE p('a')", (), scope)
    assert rewrite is not None
    assert render_text(rewrite) == "EXECUTE p(<email:'a'>, 'a')"


def test_a_long_name_of_protocol_parse_is_known_by_its_first_63_bytes() -> None:
    plan = parsed("SELECT email FROM customer WHERE email = $1")
    for written in ("n" * 63, "n" * 70, "N" * 64):
        rewrite = PLANNER.plan(f"EXECUTE {written}('a')".encode(), (), knowing(**{"n" * 65: plan}))
        assert rewrite is not None
        assert render_outputs(rewrite.statements[0]) == "email:1043(64)"
    assert PLANNER.plan(f"EXECUTE {'n' * 62}('a')".encode(), (), knowing(**{"n" * 65: plan})) is None


@pytest.mark.parametrize("text", ["EXECUTE p('a')", "EXECUTE other('a@b')", "EXPLAIN EXECUTE other('a@b')"])
def test_a_name_that_is_not_protected_passes_and_reveals_nothing(text: str) -> None:
    scope = knowing(q=parsed("SELECT email FROM customer"))
    assert PLANNER.plan(text.encode(), (), scope) is None


@pytest.mark.parametrize(
    ("statement", "command"),
    [
        ("DECLARE c CURSOR FOR SELECT email FROM customer", "DECLARE"),
        ("COPY customer TO STDOUT", "COPY"),
        ("EXPLAIN SELECT 1 FROM customer WHERE email = 'a'", "EXPLAIN"),
    ],
)
def test_a_utility_statement_of_protocol_parse_is_not_executed_by_sql(statement: str, command: str) -> None:
    """Its effect (a cursor, a copy) would not be known under EXECUTE."""
    with pytest.raises(Refused, match=command):
        PLANNER.plan(b"EXECUTE p", (), knowing(p=parsed(statement)))


def test_a_table_is_not_made_of_a_protected_statement() -> None:
    scope = knowing(**{"n" * 65: parsed("SELECT email FROM customer")})
    with pytest.raises(Refused, match="CREATE TABLE AS EXECUTE"):
        PLANNER.plan(f"CREATE TABLE x AS EXECUTE {'n' * 63}".encode(), (), scope)


@pytest.mark.parametrize("name", ["fresh", "pg_temp.fresh", "public.fresh"])
def test_a_relation_that_is_not_committed_is_refused_with_what_to_do(name: str) -> None:
    text = f"INSERT INTO {name} SELECT customer_id, email FROM customer"
    with pytest.raises(Refused, match=f'"{name}" does not exist') as caught:
        PLANNER.plan(text.encode(), (), SCOPE)
    assert caught.value.sqlstate == "42P01"
    assert "commit first" in caught.value.hint
    assert caught.value.position == text.index(name)
