"""The reveal budget: how many values one statement, and one role of a tenant per minute, may be given.

Pure: time is passed in (seconds of any monotonic clock). What is refused isn't counted, because it isn't
shown.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

WINDOW = 60.0
STEP = 1.0


class Over(Enum):
    """Which limit would be exceeded."""

    STATEMENT = "statement"
    MINUTE = "minute"


@dataclass(slots=True)
class Window:
    """Counts in steps of a second. A step leaves only when the whole of it is older than the window, so that
    no 60 seconds, wherever they begin, hold more than the limit."""

    total: int = 0
    steps: deque[list[float]] = field(default_factory=deque)

    def expire(self, now: float) -> None:
        """Forget the steps that ended more than a window ago."""
        steps = self.steps
        while steps and steps[0][0] + STEP <= now - WINDOW:
            self.total -= int(steps.popleft()[1])

    def add(self, count: int, now: float) -> None:
        """Count ``count`` at time ``now``."""
        if self.steps and now < self.steps[-1][0] + STEP:
            self.steps[-1][1] += count
        else:
            self.steps.append([now, count])
        self.total += count


class Budget:
    """What has been revealed in the last minute, by (tenant, role)."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], Window] = {}

    def statement(self, tenant: str, role: str, statement_limit: int, minute_limit: int) -> StatementBudget:
        """The budget of one statement of ``role`` in ``tenant``; limits in values."""
        window = self._windows.get((tenant, role))
        if window is None:
            window = self._windows[tenant, role] = Window()
        return StatementBudget(window, statement_limit, minute_limit)

    def spent(self, tenant: str, role: str, now: float) -> int:
        """Values revealed in the minute before ``now``."""
        window = self._windows.get((tenant, role))
        if window is None:
            return 0
        window.expire(now)
        return window.total


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
        self._window.expire(now)
        if self._window.total + count > self._minute_limit:
            return Over.MINUTE
        self._window.add(count, now)
        self.spent += count
        return None
