"""Lengths of time as the configuration writes them: a number and a unit, such as ``36h``, ``30d``, ``6m`` or ``2y``.

``m`` is months: what is kept is kept for days or longer.
"""

from __future__ import annotations

from datetime import timedelta

PATTERN = "^[0-9]{1,5}[hdwmy]$"
EXACT_PATTERN = "^[1-9][0-9]{0,4}[hdw]$"
LONGEST = timedelta(days=366_000)
"""About a thousand years: beyond it a server can't compute times."""

_WORDS = {"h": "hours", "d": "days", "w": "weeks", "m": "months", "y": "years"}
_AT_MOST = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "m": timedelta(days=31),
    "y": timedelta(days=366),
}


def interval(text: str) -> str:
    """As PostgreSQL's ``interval`` reads it: it knows how long a month is."""
    return f"{int(text[:-1])} {_WORDS[text[-1]]}"


def at_most(text: str) -> timedelta:
    """Its length, with the longest months and years. Exact for hours, days and weeks."""
    return int(text[:-1]) * _AT_MOST[text[-1]]
