"""What a gateway remembers of the order of a domain: some of its values, and between which of them a value belongs."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

SAMPLE = 20_000
"""Values of a domain in memory, at most."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two codes; with their tokens, b"" where there is none. ``exact``: the code of an equal value."""

    low: str
    high: str
    low_token: bytes = b""
    high_token: bytes = b""
    exact: str | None = None
    exact_token: bytes = b""


class Sample:
    """Some values of a domain, by their keys, with code and token."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.entries: list[tuple[str, bytes]] = []  # code, token

    def add(self, key: Any, code: str, token: bytes) -> None:
        """Keep one more."""
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            return
        self.keys.insert(at, key)
        self.entries.insert(at, (code, token))
        if len(self.keys) > SAMPLE:
            self.keys = self.keys[::2]
            self.entries = self.entries[::2]

    def around(self, key: Any, within: Gap) -> Gap:
        """What is known to be next to a key; at the ends, what is next to ``within``."""
        at = bisect_left(self.keys, key)
        low, low_token = self.entries[at - 1] if at else (within.low, within.low_token)
        if at == len(self.keys):
            return Gap(low, within.high, low_token, within.high_token)
        code, token = self.entries[at]
        if self.keys[at] == key:
            return Gap(low, within.high, low_token, b"", code, token)
        return Gap(low, code, low_token, token)

    def clear(self) -> None:
        """Forget all."""
        self.keys.clear()
        self.entries.clear()
