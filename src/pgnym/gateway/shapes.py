"""What statements looked like, and what would become of each: counted by shape, with nothing kept of their constants.

A shape is known by a digest of its text without constants. Where the quick cutting of ``sql/shape.py`` can't tell a constant
(``$$…$$``), it stands in what is digested, never in what is kept: the text that a report shows is cut by PostgreSQL's own
scanner. Each shape is planned once, by a thread beside the event loop; what does not fit into its queue is dropped, and
counted.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

from pgnym.gateway.judging import Judge, Outcome, Verdict
from pgnym.policy.roles import Policy
from pgnym.sql.catalog import Catalog
from pgnym.sql.plan import SessionScope
from pgnym.sql.shape import Cuts, cut

MOST_SHAPES = 5000
MOST_WAITING = 256
MOST_WAITING_BYTES = 16 << 20
MOST_VARIANTS = 16


@dataclass(slots=True)
class Seen:
    """A shape (or one of its variants, where the value of a constant matters for the plan) and how often it was seen."""

    user: str
    epoch: int
    first: datetime
    last: datetime
    count: int = 1
    verdict: Verdict | None = None  # None: not judged yet


@dataclass(slots=True)
class _Shape:
    """``pins``: ordinals of the constants whose value matters; None: not judged yet."""

    pins: tuple[int, ...] | None = None
    variants: dict[bytes, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Job:
    text: bytes = field(repr=False)
    types: tuple[int, ...]
    scope: SessionScope
    purpose: str | None
    shape: _Shape
    seen: Seen
    epoch: int


@dataclass(slots=True)
class Dropped:
    """Statements that were not judged, and why."""

    queue_full: int = 0
    too_many_shapes: int = 0
    too_long: int = 0
    unreadable: int = 0  # the session's messages could not be followed


class Shapes:
    """Counts and judges. ``note`` is called by the event loop; one thread plans.

    Parameters: ``policy`` decides who has which rights; ``most`` bounds the shapes that are kept, ``waiting`` those that
    wait to be judged.
    """

    def __init__(self, policy: Policy, most: int = MOST_SHAPES, waiting: int = MOST_WAITING) -> None:
        self.dropped = Dropped()
        self._policy = policy
        self._most = most
        self._shapes: dict[bytes, _Shape] = {}
        self._held = 0
        self._judge = Judge(Catalog(epoch=0), policy)
        self._epoch = 0
        self._jobs: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._log = logging.getLogger("pgnym.observe")
        self._thread = threading.Thread(target=self._work, name="pgnym-observe", daemon=True)

    def start(self) -> None:
        """Start the thread that plans."""
        self._thread.start()

    def close(self) -> None:
        """Judge what waits, and stop."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def catalog_changed(self, catalog: Catalog) -> None:
        """Shapes are judged anew, each when it is next seen."""
        with self._lock:
            self._judge = Judge(catalog, self._policy)
            self._epoch += 1

    def note(self, text: bytes, types: tuple[int, ...], scope: SessionScope, purpose: str | None) -> None:
        """A statement that concerns the gateway has been sent. Costs microseconds; never waits."""
        cuts = cut(text)
        digest = blake2b(cuts.key, digest_size=16)
        digest.update(repr((types, scope.search_path, scope.user, purpose, scope.standard_strings)).encode())
        key = digest.digest()
        shape = self._shapes.get(key)
        spelled = _spelling(cuts, shape.pins or ()) if shape is not None else b""
        if shape is not None and spelled not in shape.variants and len(shape.variants) >= MOST_VARIANTS:
            self.dropped.too_many_shapes += 1
            return
        now = datetime.now(UTC)
        seen = shape.variants.get(spelled) if shape is not None else None
        if seen is not None:
            seen.count += 1
            seen.last = now
            if seen.epoch == self._epoch:
                return
        elif self._held >= self._most:
            self.dropped.too_many_shapes += 1
            return
        shape = shape or _Shape()
        fresh = seen or Seen(scope.user, self._epoch, now, now)
        if not self._offer(_Job(text, types, scope, purpose, shape, fresh, self._epoch)):
            self.dropped.queue_full += seen is None
            return
        fresh.epoch = self._epoch
        if seen is None:
            self._held += 1
            self._shapes[key] = shape
            shape.variants[spelled] = fresh

    def all_seen(self) -> list[Seen]:
        """Everything that has been seen so far."""
        return [seen for shape in list(self._shapes.values()) for seen in list(shape.variants.values())]

    def waiting(self) -> int:
        """How many wait to be judged."""
        return self._jobs.qsize()

    def _offer(self, job: _Job) -> bool:
        if self._waiting_bytes + len(job.text) > MOST_WAITING_BYTES:
            return False
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        with self._lock:
            self._waiting_bytes += len(job.text)
        return True

    # -- the thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                self._waiting_bytes -= len(job.text)
                judge = self._judge
            try:
                verdict, pins = judge(job.text, job.types, job.scope, job.purpose)
            except Exception as error:
                # A defect of the planner: reported as the refusal that it would be; the text might be in the error's.
                self._log.error("internal error %s while judging a statement", type(error).__name__)
                verdict, pins = Verdict(Outcome.REFUSED, "(not shown)", "XX000", "internal error"), ()
            job.seen.verdict = verdict
            if job.shape.pins is None:
                # The first of a shape: where constants matter, it becomes a variant with its own spelling.
                job.shape.variants = {_spelling(cut(job.text), pins): job.seen}
                job.shape.pins = pins


def _spelling(cuts: Cuts, pins: tuple[int, ...]) -> bytes:
    """A digest of how the constants are spelled that matter; equal for all where none does."""
    if not pins or pins[-1] >= len(cuts.starts):
        return b""
    return blake2b(b"\0".join(cuts.raw(p) for p in pins), digest_size=16).digest()
