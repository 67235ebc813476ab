"""The reveal budget: limits of a statement, what a grant lifts, and that no pool gives out more than it was lent in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pgnym.policy import Allowance, Lift, Over, Pool, StatementBudget
from pgnym.policy.budget import CELLS, LOAN_SECONDS, lifted

SECOND = 10**9
OWN = Allowance("role:app", 10, 100)


def lift(
    number: int = 7,
    *,
    user: str | None = None,
    role: str | None = "app",
    statement: int | None = None,
    minute: int | None = None,
    until: float = 100.0,
) -> Lift:
    return Lift(number, user, role, "export", statement, minute, until)


def test_a_statement_has_its_own_limit() -> None:
    budget = StatementBudget()
    assert not budget.over(10, OWN)
    budget.spent = 8
    assert not budget.over(2, OWN)
    assert budget.over(3, OWN)
    assert not budget.over(10**9, Allowance("grant:1", None, 100, 1))
    assert (OWN.of(Over.STATEMENT), OWN.of(Over.MINUTE)) == (10, 100)


def test_a_grant_lifts_for_its_purpose_and_until_its_end() -> None:
    lifts = [lift()]
    expected = Allowance("grant:7", None, None, 7)
    assert lifted(OWN, lifts, "u", "app", "export", 99.999) == expected
    assert lifted(OWN, lifts, "u", "app", "export", 100.0) is OWN
    assert lifted(OWN, lifts, "u", "app", None, 1.0) is OWN
    assert lifted(OWN, lifts, "u", "app", "Export", 1.0) is OWN
    assert lifted(OWN, lifts, "u", "support", "export", 1.0) is OWN
    named = [lift(user="carol", role=None)]
    assert lifted(OWN, named, "carol", "app", "export", 1.0) == expected
    assert lifted(OWN, named, "dave", "app", "export", 1.0) is OWN


def test_a_grant_takes_nothing_away_and_the_most_generous_counts() -> None:
    small = lift(1, statement=5, minute=500)
    assert lifted(OWN, [small], "u", "app", "export", 1.0) == Allowance("grant:1", 10, 500, 1)
    large = lift(2, statement=50, minute=20)
    assert lifted(OWN, [small, large], "u", "app", "export", 1.0) == Allowance("grant:2", 50, 100, 2)
    unlimited = Allowance("role:app", None, 3)
    assert lifted(unlimited, [small], "u", "app", "export", 1.0).statement is None


def test_a_pool_gives_what_it_was_lent_while_it_may_be_used() -> None:
    pool = Pool()
    assert pool.take(1, 0) is None
    pool.add(100, 10, 5 * SECOND)
    pool.add(102, 4, 7 * SECOND)
    assert pool.take(12, SECOND) == 2
    assert pool.take(3, SECOND) is None
    assert pool.available(SECOND) == 2
    assert pool.available(6 * SECOND) == 2, "the older was given out first"
    assert pool.expired(6 * SECOND) == []
    assert pool.expired(7 * SECOND) == [(102, 2)]
    assert pool.expired(7 * SECOND) == []
    assert pool.available(0) == 0


def test_loans_of_one_second_are_one() -> None:
    pool = Pool()
    pool.add(100, 10, 5 * SECOND)
    pool.add(100, 5, 6 * SECOND)
    assert pool.available(5 * SECOND - 1) == 15
    assert pool.available(5 * SECOND) == 0, "the earlier end holds for both"
    assert pool.expired(5 * SECOND) == [(100, 15)]


@given(
    st.lists(
        st.tuples(st.sampled_from(("take", "lend", "back")), st.integers(0, 50), st.floats(0, 3)), max_size=80
    )
)
def test_a_pool_loses_and_makes_nothing(steps: list[tuple[str, int, float]]) -> None:
    cells = [0] * CELLS
    pool = Pool(cells)
    now = 0
    lent = given_out = back = 0
    ends: list[tuple[int, int]] = []
    for what, count, pause in steps:
        now += int(pause * SECOND)
        if what == "lend":
            back += sum(part for _, part in pool.expired(now))
            pool.add(1000 + now // SECOND, count, now + LOAN_SECONDS * SECOND)
            lent += count
            ends.append((now + LOAN_SECONDS * SECOND, count))
        elif what == "take" and pool.take(count, now) is not None:
            given_out += count
            assert given_out <= sum(part for _, part in ends)
        elif what == "back":
            back += sum(part for _, part in pool.expired(now))
        assert pool.available(now) <= sum(part for end, part in ends if end > now)
        assert min(cells) >= 0
    back += sum(part for _, part in pool.expired(now + 100 * SECOND))
    assert lent == given_out + back
