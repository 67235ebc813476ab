"""The pools of the reveal budget in memory that all workers share, so that what one is lent is there for all of them.

Made before the workers are forked. Each pool has a byte of the file to lock (POSIX record locks: they belong to a process,
and end with it). Times of different workers compare, since the monotonic clock is the system's.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pgnym.gateway.reports import GatewayError
from pgnym.policy.budget import CELLS, Pool

_WORD = 8
_NAME_WORDS = 2  # of a hash of tenant and role
_SLOT = (_NAME_WORDS + CELLS) * _WORD
_TABLE = 0  # the byte to lock while a slot is given out; slot n has byte n + 1
SLOTS = 4096
"""Pairs of tenant and role that one start of the gateway can count for."""


class SharedPools:
    """Gives out pools by tenant and role, the same in every process forked after it was made. ``slots``: how many."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._file, path = tempfile.mkstemp(
            prefix="pgnym-budget-"
        )  # kept for the locks, until the last process ends
        os.unlink(path)
        os.ftruncate(self._file, slots * _SLOT)
        self._memory = mmap.mmap(self._file, slots * _SLOT)
        self._words = memoryview(self._memory).cast("Q")

    def pool(self, tenant: str, name: str) -> Pool:
        """The pool of a role, or of a grant, in a tenant. Raises ``GatewayError`` 53400 if there are too many of them."""
        digest = hashlib.blake2b(f"{tenant}\0{name}".encode(), digest_size=_NAME_WORDS * _WORD).digest()
        key = [int.from_bytes(digest[i : i + _WORD], "big") | 1 for i in (0, _WORD)]
        words, size = self._words, _SLOT // _WORD
        with self.locked(_TABLE):
            for number in range(self._slots):
                at = number * size
                found = words[at : at + _NAME_WORDS].tolist()
                if found[1] == 0:
                    # The second word is written last: a slot without it is still free.
                    words[at], words[at + 1] = key
                    found = key
                if found == key:
                    return _SharedPool(self, number, words[at + _NAME_WORDS : at + size])
        raise GatewayError(
            "53400",
            f"the reveal budget can't be counted for more than {self._slots} pairs of tenant and role",
            hint="Restart the gateway, or serve fewer tenants with one.",
        )

    @contextmanager
    def locked(self, byte: int) -> Iterator[None]:
        """Keep the other processes out of what ``byte`` stands for."""
        descriptor = self._file
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, byte)


class _SharedPool(Pool):
    __slots__ = ("_byte", "_shared")

    def __init__(self, shared: SharedPools, number: int, cells: memoryview[int]) -> None:
        super().__init__(cells)
        self._shared, self._byte = shared, number + 1

    def take(self, count: int, now: int) -> int | None:
        with self._shared.locked(self._byte):
            return super().take(count, now)

    def available(self, now: int) -> int:
        with self._shared.locked(self._byte):
            return super().available(now)

    def add(self, second: int, count: int, until: int) -> None:
        with self._shared.locked(self._byte):
            super().add(second, count, until)

    def expired(self, now: int) -> list[tuple[int, int]]:
        with self._shared.locked(self._byte):
            return super().expired(now)
