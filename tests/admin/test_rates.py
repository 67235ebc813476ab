"""Token buckets."""

from __future__ import annotations

from pgnym.admin.rates import MOST_KNOWN, Rates


def test_a_burst_then_a_rate() -> None:
    rates = Rates(0.5, 3)
    assert [rates.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 2]
    assert rates.take("b", 0.0) == 0, "each for itself"
    assert rates.take("a", 1.0) == 1
    assert rates.take("a", 2.1) == 0
    assert rates.take("a", 2.1) > 0


def test_memory_is_bounded() -> None:
    rates = Rates(1, 1)
    for number in range(MOST_KNOWN + 5):
        rates.take(str(number), 0.0)
    assert len(rates._buckets) == MOST_KNOWN
