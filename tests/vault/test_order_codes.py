"""Codes between codes: always one, in order, and short for what applications do."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgnym.vault.order_codes import (
    DIGITS,
    END,
    LONGEST,
    Runs,
    between,
    evenly,
    is_ascending,
    probes,
    tenant_prefix,
)

Choose = Callable[[random.Random, list[str], str], int]
ARRIVALS: dict[str, tuple[Choose, int, float]] = {
    # how they come, where the next is put, the longest code, the mean length
    "at random": (lambda r, codes, last: r.randint(0, len(codes)), 12, 5),
    "ascending": (lambda r, codes, last: len(codes), 8, 7),
    "descending": (lambda r, codes, last: 0, 8, 7),
    "ascending between others": (lambda r, codes, last: max(len(codes) - 1, 0), 12, 8),
    "mostly ascending": (
        lambda r, codes, last: len(codes) if r.random() < 0.9 else r.randint(0, len(codes)),
        12,
        8,
    ),
}


def arrive(count: int, choose: Choose) -> list[str]:
    random_ = random.Random(1)
    codes: list[str] = []
    runs = Runs()
    last = ""
    for _ in range(count):
        at = choose(random_, codes, last)
        low = codes[at - 1] if at else ""
        high = codes[at] if at < len(codes) else END
        (last,) = between(low, high, 1, rising=runs.rising(low), falling=runs.falling(high))
        assert low < last < high
        assert last[-1] != DIGITS[0]  # or there might be nothing below it
        runs.given([last], low, high)
        codes.insert(at, last)
    return codes


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_codes_stay_short(arrival: str) -> None:
    choose, longest, mean = ARRIVALS[arrival]
    lengths = [len(code) for code in arrive(20_000, choose)]
    assert max(lengths) <= longest
    assert sum(lengths) / len(lengths) <= mean


def test_the_worst_order_of_arrival_costs_a_bit_per_value() -> None:
    """Each between the two that came last. Nothing that never changes a code can do much better."""

    def worst(_: random.Random, codes: list[str], last: str) -> int:
        at = bisect_left(codes, last) if last else 0
        return at + len(codes) % 2

    lengths = [len(code) for code in arrive(2000, worst)]
    assert max(lengths) <= 2000 / 6 + 10
    assert max(lengths) < LONGEST


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 5000])
def test_evenly(count: int) -> None:
    codes = evenly(count)
    assert len(codes) == count
    assert is_ascending(["", *codes, END])
    assert all(between(one, other, 50) for one, other in pairwise(codes))


def test_a_million_take_five_characters() -> None:
    assert max(map(len, evenly(1_000_000))) == 5


fractions = st.text(DIGITS, min_size=1, max_size=12).map(lambda text: text.rstrip(DIGITS[0])).filter(bool)


@settings(max_examples=500, deadline=None)
@given(
    st.tuples(fractions | st.just(""), fractions | st.just(END)).filter(lambda pair: pair[0] < pair[1]),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
)
def test_there_is_always_room(pair: tuple[str, str], count: int, rising: bool, falling: bool) -> None:
    low, high = pair
    for codes in (between(low, high, count, rising=rising, falling=falling), probes(low, high, count)):
        assert len(codes) == count
        assert is_ascending([low, *codes, high])
        assert all(code[-1] != DIGITS[0] for code in codes)


def test_tenants_keep_apart() -> None:
    numbers = [*range(200), 4095, 4096, 2**31 - 1]
    prefixes = [tenant_prefix(number) for number in numbers]
    assert is_ascending(prefixes)
    for one, other in pairwise(prefixes):
        assert one + END < other
