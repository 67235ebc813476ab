"""Opened values in memory: bounded in bytes and in time, one section per tenant, one budget for all.

Eviction is by two generations, an approximation of LRU that costs nothing on a hit of the young generation: what was not
asked for during a whole generation goes. When the young generation reaches half of the budget, it becomes the old
one, and the old one is forgotten. An entry's own deadline is set once, so asking often does not keep it beyond its
time.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

_ENTRY_COST = 300
"""Bytes that an entry takes beside its value: token, tuple, deadline, objects' headers, its share of the dict."""

_Entry = tuple[bytes, float]


class CacheBudget:
    """The common bound. ``limit`` in bytes (0: nothing is kept), ``ttl`` in seconds."""

    def __init__(self, limit: int, ttl: float) -> None:
        self.ttl = ttl
        self._half = limit // 2
        self._young_size = 0
        self._sections: list[ValueCache] = []

    def section(self) -> ValueCache:
        """A new section."""
        section = ValueCache(self)
        self._sections.append(section)
        return section

    def clear(self) -> None:
        """Forgets everything."""
        for section in self._sections:
            section.young.clear()
            section.old.clear()
        self._young_size = 0

    @property
    def values(self) -> int:
        """How many values are held."""
        return sum(map(len, self._sections))

    def admit(self, size: int) -> bool:
        """Makes room for an entry of the young generation; False if it is larger than any room."""
        if size > self._half:
            return False
        if self._young_size + size > self._half:
            for section in self._sections:
                section.old = section.young
                section.young = {}
            self._young_size = 0
        self._young_size += size
        return True


class ValueCache:
    """The values of one tenant."""

    __slots__ = ("_budget", "old", "young")

    def __init__(self, budget: CacheBudget) -> None:
        self._budget = budget
        self.young: dict[bytes, _Entry] = {}
        self.old: dict[bytes, _Entry] = {}

    def __repr__(self) -> str:
        return f"<ValueCache of {len(self)}>"

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def get(self, token: bytes) -> bytes | None:
        """The value, if it is there and not too old."""
        entry = self.young.get(token)
        if entry is None:
            entry = self.old.pop(token, None)
            if entry is None:
                return None
            if entry[1] > monotonic() and self._budget.admit(len(entry[0]) + _ENTRY_COST):
                self.young[token] = entry
        if entry[1] <= monotonic():
            self.young.pop(token, None)
            return None
        return entry[0]

    def put(self, values: Iterable[tuple[bytes, bytes]]) -> None:
        """Keeps values, from now for the budget's time."""
        deadline = monotonic() + self._budget.ttl
        admit = self._budget.admit
        for token, value in values:
            if admit(len(value) + _ENTRY_COST):
                self.young[token] = (value, deadline)

    def drop(self, tokens: Iterable[bytes]) -> None:
        """Forgets these. (Their size leaves the budget with their generation.)"""
        for token in tokens:
            self.young.pop(token, None)
            self.old.pop(token, None)

    def clear(self) -> None:
        """Forgets all of this tenant."""
        self.young.clear()
        self.old.clear()
