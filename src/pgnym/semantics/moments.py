"""Dates and timestamps as numbers: days and microseconds from 2000-01-01 on the proleptic Gregorian calendar.

Python's ``datetime`` ends at the years 1 and 9999; PostgreSQL's types don't. Years here are astronomical: 0 is 1 BC.
"""

from __future__ import annotations

import re
from datetime import date

from pgnym.semantics.errors import EvaluationError

DAY = 86_400_000_000
"""Microseconds."""
FOREVER, NEVER = 1 << 64, -(1 << 64)
"""Beyond any day or instant: infinity and -infinity."""
FIRST_DAY, END_DAY = -2_451_545, 2_145_031_949
"""4714-11-24 BC, and the day after the last that a date may be."""
FIRST_INSTANT, END_INSTANT = FIRST_DAY * DAY, 106_751_983 * DAY
_EPOCH = date(2000, 1, 1).toordinal()
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
_DATE = re.compile(rb"([0-9]{4,7})-([0-9]{2})-([0-9]{2})")
_MOMENT = re.compile(
    rb"([0-9]{4,7})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?(?:\+00)?( BC)?\Z"
)


def days_of(year: int, month: int, day: int) -> int:
    """Days from 2000-01-01. Raises ``ValueError`` for a day that the month doesn't have."""
    cycles = 0 if 1 <= year <= 9999 else (year - 2000) // _CYCLE_YEARS
    return date(year - cycles * _CYCLE_YEARS, month, day).toordinal() - _EPOCH + cycles * _CYCLE_DAYS


def civil_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day."""
    cycles = days // _CYCLE_DAYS
    found = date.fromordinal(days - cycles * _CYCLE_DAYS + _EPOCH)
    return found.year + cycles * _CYCLE_YEARS, found.month, found.day


def read_date(canonical: bytes) -> int:
    """Days of a date's canonical text; ``FOREVER`` or ``NEVER`` for the infinities."""
    if len(canonical) == 10:
        return date.fromisoformat(canonical.decode()).toordinal() - _EPOCH
    infinite = _infinity(canonical)
    if infinite is not None:
        return infinite
    found = _DATE.match(canonical)
    if found is None:
        raise EvaluationError("invalid input syntax for type date", "22007")
    year, month, day = (int(part) for part in found.groups())
    return days_of(1 - year if canonical.endswith(b" BC") else year, month, day)


def read_moment(canonical: bytes) -> int:
    """Microseconds of a timestamp's canonical text, with or without the offset of UTC."""
    infinite = _infinity(canonical)
    if infinite is not None:
        return infinite
    found = _MOMENT.match(canonical)
    if found is None:
        raise EvaluationError("invalid input syntax for type timestamp", "22007")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, era = found.group(7), found.group(8)
    days = days_of(1 - year if era else year, month, day)
    micros = int(fraction.ljust(6, b"0")) if fraction else 0
    return days * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros


def write_date(days: int) -> bytes:
    """The canonical text. Raises ``EvaluationError`` 22008 beyond what a date may be."""
    if days in (FOREVER, NEVER):
        return b"infinity" if days == FOREVER else b"-infinity"
    if not FIRST_DAY <= days < END_DAY:
        raise EvaluationError("date out of range", "22008")
    year, month, day = civil_of(days)
    if year > 0:
        return b"%04d-%02d-%02d" % (year, month, day)
    return b"%04d-%02d-%02d BC" % (1 - year, month, day)


def write_moment(instant: int, suffix: bytes = b"") -> bytes:
    """The canonical text; ``suffix``: ``+00`` with time zone. Raises ``EvaluationError`` 22008."""
    if instant in (FOREVER, NEVER):
        return b"infinity" if instant == FOREVER else b"-infinity"
    if not FIRST_INSTANT <= instant < END_INSTANT:
        raise EvaluationError("timestamp out of range", "22008")
    days, micros = divmod(instant, DAY)
    day, _, era = write_date(days).partition(b" ")
    seconds, fraction = divmod(micros, 1_000_000)
    text = b"%s %02d:%02d:%02d" % (day, seconds // 3600, seconds // 60 % 60, seconds % 60)
    if fraction:
        text += b".%s" % (b"%06d" % fraction).rstrip(b"0")
    return text + suffix + b" BC" if era else text + suffix


def _infinity(canonical: bytes) -> int | None:
    if canonical == b"infinity":
        return FOREVER
    return NEVER if canonical == b"-infinity" else None
