"""A bounded cache: least recently used entries go first, by number and by size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Keeps at most ``entries`` values whose sizes sum up to at most ``size`` bytes (as the caller counts them)."""

    __slots__ = ("_entries", "_held", "_limit", "_size")

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._limit = size
        self._size = 0
        self._held: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes held, as counted by ``put``."""
        return self._size

    def get(self, key: Hashable) -> Value | None:
        """The value, made the most recent; None when it isn't there."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of ``size`` bytes; one that is larger than the whole cache is not kept."""
        old = self._held.pop(key, None)
        if old is not None:
            self._size -= old[1]
        if size > self._limit:
            return
        self._held[key] = value, size
        self._size += size
        while len(self._held) > self._entries or self._size > self._limit:
            _, (_, dropped) = self._held.popitem(last=False)
            self._size -= dropped
