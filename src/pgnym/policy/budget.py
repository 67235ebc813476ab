"""The reveal budget: how many values one statement, and one role of a tenant per minute, may be given.

Pure: time is passed in. What is refused isn't counted, because it isn't shown. The count of a minute is kept by the vault,
for all gateways; a gateway counts against what it has been lent there, in a ``Pool``.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

LOAN_SECONDS: Final = 5
"""How long a gateway may give out what it has been lent. What is left then goes back."""
WINDOW_SECONDS: Final = 60 + LOAN_SECONDS + 1
"""Whole seconds, the current one included, over which the vault adds up what it has lent: what is shown within any 60
seconds was lent within them or LOAN_SECONDS before."""
_LOANS = 8  # more than the seconds in which a loan may still be used
_LOAN = 3  # numbers: the second it was made (of the vault's clock), what is left, until when (ns of the gateway's)
CELLS: Final = _LOANS * _LOAN
"""Numbers in which a pool is kept."""


class Over(Enum):
    """Which limit would be exceeded."""

    STATEMENT = "statement"
    MINUTE = "minute"


class Taken(Enum):
    """What has become of a wish to count values."""

    GIVEN = "given"
    OVER = "over"
    LACKING = "lacking"
    """More must be lent first."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be given: values per ``statement`` and per ``minute``, None for any number.

    ``name``: under which the minute is counted. ``grant``: the number of the grant that lifts the role's own limits.
    """

    name: str
    statement: int | None
    minute: int | None
    grant: int | None = None

    def of(self, over: Over) -> int | None:
        """The limit of that kind."""
        return self.statement if over is Over.STATEMENT else self.minute


@dataclass(frozen=True, slots=True)
class Lift:
    """What a grant does: for the database user or the role named, while the session states ``purpose``.

    ``until``: seconds since 1970.
    """

    grant: int
    user: str | None
    role: str | None
    purpose: str
    statement: int | None
    minute: int | None
    until: float

    def holds(self, user: str, role: str, purpose: str | None, now: float) -> bool:
        """Whether it is for that session now."""
        return (
            now < self.until
            and self.purpose == purpose
            and (self.user is None or self.user == user)
            and (self.role is None or self.role == role)
        )


def lifted(
    own: Allowance, lifts: Iterable[Lift], user: str, role: str, purpose: str | None, now: float
) -> Allowance:
    """The allowance by the most generous grant that holds, else the role's ``own``; a grant never takes away."""
    found = [lift for lift in lifts if lift.holds(user, role, purpose, now)]
    if not found:
        return own
    best = max(found, key=lambda lift: (_size(lift.statement), _size(lift.minute), -lift.grant))
    return Allowance(
        f"grant:{best.grant}",
        _larger(own.statement, best.statement),
        _larger(own.minute, best.minute),
        best.grant,
    )


def _size(limit: int | None) -> float:
    return float("inf") if limit is None else limit


def _larger(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


class StatementBudget:
    """Counts for one statement."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0

    def over(self, count: int, allowance: Allowance) -> bool:
        """Whether ``count`` more values (at least 0) are too many for a statement."""
        return allowance.statement is not None and self.spent + count > allowance.statement


class Pool:
    """What a gateway has been lent and not given out, in ``CELLS`` numbers, which may lie in memory that processes share.

    Each change leaves the numbers true, or with values too few, if the process ends in the middle. ``now``: nanoseconds of
    a monotonic clock.
    """

    __slots__ = ("_cells",)

    def __init__(self, cells: MutableSequence[int] | memoryview[int] | None = None) -> None:
        self._cells = [0] * CELLS if cells is None else cells

    def take(self, count: int, now: int) -> int | None:
        """Give out ``count``; returns what is left. None, and nothing is taken, if there isn't as much."""
        loans = self._loans(now)
        left = sum(loan[1] for loan in loans) - count
        if left < 0:
            return None
        for _, has, at in sorted(loans):  # what must go back first is given out first
            taken = min(has, count)
            self._cells[at + 1] -= taken
            count -= taken
            if not count:
                break
        return left

    def available(self, now: int) -> int:
        """How much can be taken."""
        return sum(loan[1] for loan in self._loans(now))

    def add(self, second: int, count: int, until: int) -> None:
        """A loan that the vault has made in that second, to be used before ``until``."""
        cells, at = self._cells, second % _LOANS * _LOAN
        if cells[at] == second and cells[at + 1]:
            cells[at + 2] = min(cells[at + 2], until)
            cells[at + 1] += count
        else:  # what was there can't be used any more
            cells[at + 1] = 0
            cells[at], cells[at + 2] = second, until
            cells[at + 1] = count

    def expired(self, now: int) -> list[tuple[int, int]]:
        """Takes out what can't be used any more: (second, count), to be given back."""
        cells, found = self._cells, []
        for at in range(0, CELLS, _LOAN):
            if cells[at + 1] and cells[at + 2] <= now:
                found.append((cells[at], cells[at + 1]))
                cells[at + 1] = 0
        return found

    def _loans(self, now: int) -> list[tuple[int, int, int]]:
        """(Until, left, place) of what can be used."""
        numbers = list(self._cells)
        return [
            (numbers[at + 2], numbers[at + 1], at)
            for at in range(0, CELLS, _LOAN)
            if numbers[at + 1] and numbers[at + 2] > now
        ]
