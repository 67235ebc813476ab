"""The numbers of a process at one moment, and their sum over processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from pgnym.metrics.counts import BOUNDS, Counts, Pairs, Timing

Key = TypeVar("Key")
Buckets = Annotated[list[int], Meta(min_length=len(BOUNDS) + 1, max_length=len(BOUNDS) + 1)]


class Histogram(msgspec.Struct, array_like=True):
    """A ``Timing``, to be sent."""

    buckets: Buckets = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, other: Histogram) -> None:
        """Both."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


class Totals(msgspec.Struct):
    """What only grows, since the gateway started: that of workers that have died stays counted."""

    unprotected: int = 0
    protected: int = 0
    hits: int = 0
    misses: int = 0
    unwritten: int = 0
    reveals: Pairs = {}
    tokenized: Pairs = {}
    refusals: dict[str, int] = {}
    refused_logins: dict[str, int] = {}
    over_budget: dict[str, int] = {}
    get: Histogram = msgspec.field(default_factory=Histogram)
    put: Histogram = msgspec.field(default_factory=Histogram)
    audit: Histogram = msgspec.field(default_factory=Histogram)
    retained: dict[str, int] = {}
    purged: dict[str, int] = {}
    retention_runs: int = 0
    retention_failures: int = 0

    @classmethod
    def of(cls, counts: Counts, unwritten: int) -> Totals:
        """Those of a process. ``unwritten``: audit records that could not be written."""
        timings, retained = counts.timings, counts.retained
        return cls(
            counts.unprotected, counts.protected, counts.hits, counts.misses, unwritten,
            dict(counts.reveals), dict(counts.tokenized), dict(counts.refusals), dict(counts.refused_logins),
            dict(counts.over_budget), _histogram(timings.get), _histogram(timings.put), _histogram(timings.audit),
            dict(retained.rows), dict(retained.values), retained.runs, retained.failures,
        )  # fmt: skip

    def add(self, other: Totals) -> None:
        """Both."""
        self.unprotected += other.unprotected
        self.protected += other.protected
        self.hits += other.hits
        self.misses += other.misses
        self.unwritten += other.unwritten
        self.retention_runs += other.retention_runs
        self.retention_failures += other.retention_failures
        for mine, theirs in ((self.reveals, other.reveals), (self.tokenized, other.tokenized)):
            _add(mine, theirs)
        for known, more in (
            (self.refusals, other.refusals),
            (self.refused_logins, other.refused_logins),
            (self.over_budget, other.over_budget),
            (self.retained, other.retained),
            (self.purged, other.purged),
        ):
            _add(known, more)
        self.get.add(other.get)
        self.put.add(other.put)
        self.audit.add(other.audit)


class State(msgspec.Struct, frozen=True):
    """What a process is like now. ``waiting``: audit records not written yet, the oldest for ``lag`` seconds.

    ``export_lag``: seconds since all records had been sent on; None where this process doesn't send. ``retention_done``:
    when the last run of retention by any gateway did all of its work, in seconds since 1970; None where it knows of none.
    """

    sealed: bool
    sessions: int
    cached_values: int
    waiting: int
    lag: float
    export_lag: float | None = None
    retention_done: float | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """Both, of the time ``at`` (the system's monotonic clock: it is the same in all processes)."""

    at: float
    totals: Totals
    state: State


class Measures(msgspec.Struct, frozen=True):
    """What a gateway tells: totals over all workers there have been, states of those that there are."""

    version: str
    totals: Totals
    states: list[State]

    @classmethod
    def of(cls, version: str, snapshots: Iterable[Snapshot], since: float) -> Measures:
        """The sum. A process that has said nothing after ``since`` is no more."""
        totals = Totals()
        states = []
        for snapshot in snapshots:
            totals.add(snapshot.totals)
            if snapshot.at >= since:
                states.append(snapshot.state)
        return cls(version, totals, states)


def _histogram(timing: Timing) -> Histogram:
    return Histogram(list(timing.buckets), timing.seconds)


def _add(known: dict[Key, int], more: dict[Key, int]) -> None:
    for key, number in more.items():
        known[key] = known.get(key, 0) + number
