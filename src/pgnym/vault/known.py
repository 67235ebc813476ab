"""Which tokens were put lately, so that a value written a thousand times is put once.

A token is *known* for at most ``ttl`` seconds after it was put. That must be far below the grace after which an
unreferenced value may be purged: see ``store.PURGE_GRACE``.

Where puts commit asynchronously, a crash of the server may lose one that we were told of. So tokens are first *pending*,
and become known when the server has flushed the log past them, seen over a connection that was open before they were put:
had the server crashed in between, that connection would be gone, and with it all that is pending or known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic


class KnownTokens:
    """Tokens of one tenant, in two generations: each is kept between ``ttl / 2`` and ``ttl`` seconds, ``limit`` at most."""

    __slots__ = ("_half_limit", "_half_ttl", "_old", "_pending", "_turn", "_young", "epoch")

    def __init__(self, ttl: float, limit: int) -> None:
        self._half_ttl = ttl / 2
        self._half_limit = limit // 2
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._pending: list[tuple[float, list[bytes]]] = []
        self._turn = 0.0  # when the young generation becomes old
        self.epoch = (
            0  # counts drops: who awaited something meanwhile must not add what may have been dropped
        )

    def __contains__(self, token: bytes) -> bool:
        if monotonic() >= self._turn:
            self._age()
        return token in self._young or token in self._old

    def add(self, tokens: Iterable[bytes]) -> None:
        """These were put and are durable."""
        if monotonic() >= self._turn or len(self._young) >= self._half_limit:
            self._age()
        self._young.update(tokens)

    def add_pending(self, tokens: list[bytes]) -> None:
        """These were put and will be durable when the log is flushed."""
        self._pending.append((monotonic(), tokens))

    def take_pending(self) -> Callable[[], None] | None:
        """Takes what is pending now; returns what to call once it is flushed, or None if nothing is pending."""
        if not self._pending:
            return None
        taken, self._pending = self._pending, []
        epoch = self.epoch

        def confirm() -> None:
            # What is not added here only costs another put.
            if epoch == self.epoch:
                for since, tokens in taken:
                    if monotonic() - since < self._half_ttl:
                        self.add(tokens)

        return confirm

    def drop(self, tokens: Iterable[bytes]) -> None:
        """These may be gone from the vault."""
        self.epoch += 1
        gone = set(tokens)
        self._young -= gone
        self._old -= gone
        self._pending = [(since, [t for t in kept if t not in gone]) for since, kept in self._pending]

    def clear(self) -> None:
        """Any may be gone."""
        self.epoch += 1
        self._young.clear()
        self._old.clear()
        self._pending.clear()

    def _age(self) -> None:
        now, turn = monotonic(), self._turn
        # After a pause longer than a generation, the young ones are too old as well.
        in_time = now < turn + self._half_ttl
        self._old = self._young if in_time else set()
        self._young = set()
        # A turn that is noticed late does not prolong the life of what becomes old.
        self._turn = (turn if in_time and turn <= now else now) + self._half_ttl
