"""What one process counts. Plain numbers: to count is an addition, and nobody waits for anybody.

Labels are names of the configuration (roles, domains) and SQLSTATEs, never anything that a client or a value says. How
many there can be is bounded all the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

OTHER: Final = "other"
MOST_PAIRS: Final = 4000
_MOST_STATES: Final = 100

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of a ``Timing``, in seconds."""

Pairs = dict[tuple[str, ...], int]
"""Numbers by role and domain."""


@dataclass(slots=True)
class Timing:
    """How long something took: how often, by bucket (the last one has no upper end), and altogether in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def took(self, seconds: float) -> None:
        """Once, so long."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Timings:
    """Round trips to the vault's server: values got, values put, audit records written. Each is of a batch."""

    get: Timing = field(default_factory=Timing)
    put: Timing = field(default_factory=Timing)
    audit: Timing = field(default_factory=Timing)


@dataclass(slots=True)
class Retained:
    """What runs of retention on the schedule have done. ``rows``: by table; ``values``: by domain; ``done``: when the last
    run of any gateway ended that did all of its work, in seconds since 1970 (None: none yet)."""

    rows: dict[str, int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    failures: int = 0
    done: float | None = None


@dataclass(slots=True)
class Counts:
    """What the sessions of a process have done. ``hits``, ``misses``: of the cache of opened values."""

    unprotected: int = 0
    protected: int = 0
    hits: int = 0
    misses: int = 0
    reveals: Pairs = field(default_factory=dict)
    tokenized: Pairs = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    refused_logins: dict[str, int] = field(default_factory=dict)
    over_budget: dict[str, int] = field(default_factory=dict)
    timings: Timings = field(default_factory=Timings)
    retained: Retained = field(default_factory=Retained)

    def revealed(self, role: str, domains: Mapping[str, int]) -> None:
        """So many values of each domain have been shown to a role."""
        _add_pairs(self.reveals, role, domains)

    def took_in(self, role: str, domains: Mapping[str, int]) -> None:
        """So many values of each domain have come from a role, to be stored or compared with."""
        _add_pairs(self.tokenized, role, domains)

    def refused(self, sqlstate: str) -> None:
        """A statement has been refused."""
        _add_state(self.refusals, sqlstate)

    def refused_login(self, sqlstate: str) -> None:
        """A login has been refused by the gateway itself."""
        _add_state(self.refused_logins, sqlstate)

    def spent(self, role: str) -> None:
        """A statement has been refused since the reveal budget is spent."""
        self.over_budget[role] = self.over_budget.get(role, 0) + 1


def _add_pairs(known: Pairs, role: str, domains: Mapping[str, int]) -> None:
    for domain, number in domains.items():
        key = role, domain
        if key not in known and len(known) >= MOST_PAIRS:
            key = OTHER, OTHER
        known[key] = known.get(key, 0) + number


def _add_state(known: dict[str, int], sqlstate: str) -> None:
    if sqlstate not in known and len(known) >= _MOST_STATES:
        sqlstate = OTHER
    known[sqlstate] = known.get(sqlstate, 0) + 1
