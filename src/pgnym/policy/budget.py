"""The reveal budget: how many values one statement, and one role of a tenant per minute, may be given.

Pure: time is passed in (seconds of any monotonic clock). What is refused isn't counted, because it isn't
shown.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from enum import Enum
from typing import Final

SPAN: Final = 61
"""Whole seconds that a window holds, the current one included: so no 60 seconds, wherever they begin, hold more."""
CELLS: Final = SPAN + 1
"""Numbers in which a window is kept."""


class Over(Enum):
    """Which limit would be exceeded."""

    STATEMENT = "statement"
    MINUTE = "minute"


class Window:
    """Counts by second, in a ring of ``CELLS`` numbers, which may lie in memory that processes share.

    The first number is the second that was counted last. Each change leaves the ring true, or with a count too many, if
    the process ends in the middle.
    """

    __slots__ = ("_cells",)

    def __init__(self, cells: MutableSequence[int] | memoryview[int] | None = None) -> None:
        self._cells = [0] * CELLS if cells is None else cells

    def take(self, count: int, limit: int, now: float) -> bool:
        """Count ``count`` more at time ``now``, unless more than ``limit`` would be in the window. False: they would."""
        cell = self._advance(now)
        if sum(self._cells[1:]) + count > limit:
            return False
        self._cells[cell] += count
        return True

    def total(self, now: float) -> int:
        """What the minute before ``now`` holds."""
        self._advance(now)
        return sum(self._cells[1:])

    def _advance(self, now: float) -> int:
        """Forget what is older than the window; the cell of the present second."""
        cells = self._cells
        last = cells[0]
        second = max(int(now), last)  # another process may have been here with a later time
        for passed in range(max(last, second - SPAN) + 1, second + 1):
            cells[1 + passed % SPAN] = 0
        cells[0] = second
        return 1 + second % SPAN


class Budget:
    """What has been revealed in the last minute, by (tenant, role). ``make`` gives the window of one of them."""

    __slots__ = ("_make", "_windows")

    def __init__(self, make: Callable[[str, str], Window] = lambda tenant, role: Window()) -> None:
        self._make = make
        self._windows: dict[tuple[str, str], Window] = {}

    def statement(self, tenant: str, role: str, statement_limit: int, minute_limit: int) -> StatementBudget:
        """The budget of one statement of ``role`` in ``tenant``; limits in values."""
        return StatementBudget(self._window(tenant, role), statement_limit, minute_limit)

    def spent(self, tenant: str, role: str, now: float) -> int:
        """Values revealed in the minute before ``now``."""
        return self._window(tenant, role).total(now)

    def _window(self, tenant: str, role: str) -> Window:
        window = self._windows.get((tenant, role))
        if window is None:
            window = self._windows[tenant, role] = self._make(tenant, role)
        return window


class StatementBudget:
    """Counts for one statement, and with it for the minute of its role."""

    __slots__ = ("_minute_limit", "_statement_limit", "_window", "spent")

    def __init__(self, window: Window, statement_limit: int, minute_limit: int) -> None:
        self._window = window
        self._statement_limit = statement_limit
        self._minute_limit = minute_limit
        self.spent = 0

    def take(self, count: int, now: float) -> Over | None:
        """Count ``count`` more values (at least 0) at time ``now``. Returns the limit that forbids it, else
        None."""
        if self.spent + count > self._statement_limit:
            return Over.STATEMENT
        if not self._window.take(count, self._minute_limit, now):
            return Over.MINUTE
        self.spent += count
        return None
