"""Where the workers of a gateway leave their numbers for one another: memory that they share, a place for each.

Made before the workers are forked. A worker owns its place by a lock that the kernel gives back when the process ends, so
one that is started for a worker that died takes over the place, and adds to what is there. (POSIX record locks: they
belong to a process.)
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from pgnym.metrics.snapshots import Snapshot

_PLACE = 4 * 1024 * 1024  # a file with holes: what isn't written takes no room
_HEAD = 4


class SharedSnapshots:
    """One snapshot for each of ``count`` workers."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._file, path = tempfile.mkstemp(prefix="pgnym-metrics-")
        os.unlink(path)
        os.ftruncate(self._file, count * _PLACE)
        self._memory = mmap.mmap(self._file, count * _PLACE)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Snapshot)

    def claim(self) -> int | None:
        """A place that no living process owns, owned until this process ends; None if there is none."""
        for place in range(self._count):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._count + place)
            except OSError:
                continue
            return place
        return None

    def write(self, place: int, snapshot: Snapshot) -> None:
        """Leave a snapshot. Raises ValueError if it is too large (which what is counted is bounded to prevent)."""
        data = self._encoder.encode(snapshot)
        if len(data) > _PLACE - _HEAD:
            raise ValueError("the numbers of a worker take too much room")
        at = place * _PLACE
        with self._locked(place):
            self._memory[at : at + _HEAD + len(data)] = len(data).to_bytes(_HEAD, "big") + data

    def read(self, place: int) -> Snapshot | None:
        """What was left there last; None if nothing was."""
        at = place * _PLACE
        with self._locked(place):
            size = int.from_bytes(self._memory[at : at + _HEAD], "big")
            data = self._memory[at + _HEAD : at + _HEAD + size]
        return self._decoder.decode(data) if data else None

    def all(self) -> Iterator[Snapshot]:
        """All that have been left."""
        for place in range(self._count):
            snapshot = self.read(place)
            if snapshot is not None:
                yield snapshot

    @contextmanager
    def _locked(self, place: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)
