"""What is kept in memory: values within their bytes and time, known tokens within theirs."""

from __future__ import annotations

import pytest

from pgnym.vault import cache, known, tokens
from pgnym.vault.cache import CacheBudget
from pgnym.vault.known import KnownTokens


class Clock:
    """The time that both modules see."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cache, "monotonic", made)
    monkeypatch.setattr(known, "monotonic", made)
    return made


def token(n: int) -> bytes:
    return tokens.deterministic(bytes(32), tokens.prefix(1), str(n).encode())


def test_values_stay_within_the_bytes(clock: Clock) -> None:
    budget = CacheBudget(100_000, 60)
    one, two = budget.section(), budget.section()
    for n in range(5000):
        (one if n % 2 else two).put([(token(n), b"x" * 200)])
    held = len(one) + len(two)
    assert held * (200 + 300) <= 100_000
    assert held > 50
    assert two.get(token(4998)) == b"x" * 200
    assert two.get(token(0)) is None


def test_what_is_asked_for_stays(clock: Clock) -> None:
    budget = CacheBudget(100_000, 60)
    section = budget.section()
    section.put([(token(0), b"hot")])
    for n in range(1, 5000):
        section.put([(token(n), b"x" * 200)])
        assert section.get(token(0)) == b"hot"


def test_asking_does_not_keep_a_value_beyond_its_time(clock: Clock) -> None:
    budget = CacheBudget(100_000, 60)
    section = budget.section()
    section.put([(token(0), b"value")])
    for _ in range(5):
        clock.now += 10
        assert section.get(token(0)) == b"value"
    clock.now += 11
    assert section.get(token(0)) is None
    assert len(section) == 0


def test_sections_do_not_see_each_other(clock: Clock) -> None:
    budget = CacheBudget(100_000, 60)
    one, two = budget.section(), budget.section()
    one.put([(token(0), b"value")])
    assert two.get(token(0)) is None


def test_dropped_and_cleared_values_are_gone(clock: Clock) -> None:
    budget = CacheBudget(100_000, 60)
    section = budget.section()
    section.put((token(n), b"v") for n in range(3))
    section.drop([token(0), token(99)])
    assert [section.get(token(n)) for n in range(3)] == [None, b"v", b"v"]
    budget.clear()
    assert len(section) == 0
    section.put([(token(0), b"v")])
    section.clear()
    assert section.get(token(0)) is None


def test_a_cache_without_room_keeps_nothing(clock: Clock) -> None:
    for limit in (0, 500):
        section = CacheBudget(limit, 60).section()
        section.put([(token(0), b"v")])
        assert section.get(token(0)) is None


def test_its_representation_shows_no_value(clock: Clock) -> None:
    section = CacheBudget(100_000, 60).section()
    section.put([(token(0), b"secret")])
    assert "secret" not in repr(section)


def test_a_known_token_is_forgotten_in_time(clock: Clock) -> None:
    tokens_known = KnownTokens(100, 1000)
    clock.now += 7
    tokens_known.add([token(0)])
    clock.now += 49
    assert token(0) in tokens_known
    clock.now += 51.1
    assert token(0) not in tokens_known


@pytest.mark.parametrize("step", [1.0, 3.3, 26.0, 49.9, 51.0, 99.0])
def test_no_pattern_of_use_keeps_a_known_token_too_long(clock: Clock, step: float) -> None:
    tokens_known = KnownTokens(100, 1000)
    added: dict[int, float] = {}
    for n in range(200):
        clock.now += step
        tokens_known.add([token(n)])
        added[n] = clock.now
        for m in range(max(0, n - 120), n):
            if clock.now - added[m] > 100:
                assert token(m) not in tokens_known


def test_known_tokens_are_bounded(clock: Clock) -> None:
    tokens_known = KnownTokens(100, 1000)
    for n in range(5000):
        tokens_known.add([token(n)])
    assert sum(token(n) in tokens_known for n in range(5000)) <= 1002
    assert token(4999) in tokens_known


def test_a_pending_token_is_known_once_confirmed(clock: Clock) -> None:
    tokens_known = KnownTokens(100, 1000)
    assert tokens_known.take_pending() is None
    tokens_known.add_pending([token(0)])
    confirm = tokens_known.take_pending()
    assert token(0) not in tokens_known
    assert confirm is not None
    confirm()
    assert token(0) in tokens_known


def test_what_is_dropped_meanwhile_is_not_confirmed(clock: Clock) -> None:
    tokens_known = KnownTokens(100, 1000)
    tokens_known.add_pending([token(0)])
    confirm = tokens_known.take_pending()
    assert confirm is not None
    tokens_known.drop([token(0)])
    confirm()
    assert token(0) not in tokens_known
    tokens_known.add_pending([token(1), token(2)])
    tokens_known.drop([token(1)])
    confirm = tokens_known.take_pending()
    assert confirm is not None
    confirm()
    assert token(1) not in tokens_known
    assert token(2) in tokens_known
    tokens_known.clear()
    assert token(2) not in tokens_known
