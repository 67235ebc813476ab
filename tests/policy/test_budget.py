"""The reveal budget: exact per statement, and no minute holds more than its limit, wherever it begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgnym.policy import Budget, Over


def test_a_statement_has_its_own_limit() -> None:
    budget = Budget()
    statement = budget.statement("main", "app", 10, 1000)
    assert statement.take(4, 0.0) is None
    assert statement.take(6, 0.0) is None
    assert statement.take(1, 0.0) is Over.STATEMENT
    assert statement.take(0, 0.0) is None
    assert statement.spent == 10
    assert budget.statement("main", "app", 10, 1000).take(10, 0.0) is None
    assert budget.spent("main", "app", 0.0) == 20  # what was refused isn't counted


def test_a_minute_is_shared_by_the_statements_of_a_role_in_a_tenant() -> None:
    budget = Budget()
    assert budget.statement("a", "app", 100, 50).take(40, 1.0) is None
    assert budget.statement("a", "app", 100, 50).take(11, 2.0) is Over.MINUTE
    assert budget.statement("a", "app", 100, 50).take(10, 2.0) is None
    assert budget.statement("b", "app", 100, 50).take(50, 2.0) is None
    assert budget.statement("a", "support", 100, 50).take(50, 2.0) is None
    assert budget.statement("a", "app", 100, 50).take(1, 60.9) is Over.MINUTE
    assert budget.statement("a", "app", 100, 50).take(40, 62.0) is None
    assert budget.spent("a", "app", 200.0) == 0
    assert budget.spent("x", "app", 0.0) == 0


def test_a_limit_of_nothing_lets_nothing_through() -> None:
    assert Budget().statement("a", "b", 0, 100).take(1, 0.0) is Over.STATEMENT
    assert Budget().statement("a", "b", 100, 0).take(1, 0.0) is Over.MINUTE


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 60)), max_size=60))
def test_no_minute_holds_more_than_the_limit(takes: list[tuple[float, int]]) -> None:
    budget = Budget()
    now, limit = 0.0, 100
    taken: list[tuple[float, int]] = []
    for pause, count in takes:
        now += pause
        if budget.statement("t", "r", 1000, limit).take(count, now) is None:
            taken.append((now, count))
    for start, _ in taken:
        assert sum(count for at, count in taken if start <= at <= start + 60.0) <= limit
