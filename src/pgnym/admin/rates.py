"""How many requests are taken, by whom: token buckets."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

MOST_KNOWN = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """``burst`` requests at once, then ``per_second``, for each name. Pure: ``now`` is in seconds of a monotonic clock."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str, now: float) -> int:
        """Count a request. 0 if it may go on, else the seconds (at least 1) after which one may."""
        bucket = self._buckets.get(name)
        if bucket is None:
            # Whom nobody has heard of for longest is forgotten: memory is bounded whatever addresses come.
            if len(self._buckets) >= MOST_KNOWN:
                self._buckets.popitem(last=False)
            bucket = self._buckets[name] = _Bucket(self._burst, now)
        else:
            self._buckets.move_to_end(name)
            bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._rate)
            bucket.at = now
        if bucket.left < 1:
            return max(1, math.ceil((1 - bucket.left) / self._rate))
        bucket.left -= 1
        return 0
