"""No two uses of advisory locks share a number."""

from __future__ import annotations

from pgnym.vault import locks


def test_numbers_differ() -> None:
    numbers = [value for name, value in vars(locks).items() if name.isupper()]
    assert len(numbers) >= 5
    assert len(set(numbers)) == len(numbers)
