"""Times as what is authenticated has them: whole numbers, so that one moment has one form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 00:00 UTC of a moment with a time zone."""
    return (moment - _EPOCH) // _MICROSECOND
