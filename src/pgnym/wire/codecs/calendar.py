"""Days and microseconds on PostgreSQL's time line: the proleptic Gregorian calendar, with no bound of years.

``datetime`` ends at the years 1 and 9999; PostgreSQL's dates run from 4713 BC to 5874897. A day is counted
from 2000-01-01, an instant in microseconds from that midnight, as in the binary formats. Years here are
astronomical: 0 is 1 BC.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgnym.wire.errors import CodecError

DAY = 86_400_000_000
"""Microseconds."""
_EPOCH = date(2000, 1, 1).toordinal()
_CYCLE_DAYS = 146_097
_CYCLE_YEARS = 400
"""The calendar, week days included, repeats after 400 years."""


def days_of(year: int, month: int, day: int) -> int:
    """Days from 2000-01-01. Raises ``ValueError`` for a day that the month doesn't have."""
    if 1 <= year <= 9999:
        return date(year, month, day).toordinal() - _EPOCH
    cycles = (year - 2000) // _CYCLE_YEARS
    return date(year - cycles * _CYCLE_YEARS, month, day).toordinal() - _EPOCH + cycles * _CYCLE_DAYS


def civil_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day."""
    cycles = days // _CYCLE_DAYS
    found = date.fromordinal(days - cycles * _CYCLE_DAYS + _EPOCH)
    return found.year + cycles * _CYCLE_YEARS, found.month, found.day


def weekday_of(days: int) -> int:
    """0 is Monday. 2000-01-01 was a Saturday."""
    return (days + 5) % 7


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo | None:
    """A zone of the time zone database, None for UTC.

    Raises ``CodecError`` (0A000) for a name it doesn't have.
    """
    if name.upper() in ("UTC", "GMT", "ETC/UTC", "ETC/GMT"):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CodecError(
            "0A000",
            "this TimeZone setting is not supported for protected timestamps",
            "Set TimeZone to a name of the IANA time zone database, such as Europe/Vienna.",
        ) from None


def offset_at(where: ZoneInfo | None, instant: int) -> int:
    """Seconds east of UTC at an instant."""
    if where is None:
        return 0
    return _seconds(_moved(instant, utc=True, where=where))


def abbreviation_at(where: ZoneInfo, instant: int) -> str:
    """What the zone calls its time at an instant: CET, or +03 where it has no name."""
    return _moved(instant, utc=True, where=where).tzname() or ""


def offset_local(where: ZoneInfo | None, local: int) -> int:
    """Seconds east of UTC for a wall clock time.

    Where the clock was put forward, the offset before holds; where back, the one after
    (DetermineTimeZoneOffset): the smaller of the two either way.
    """
    if where is None:
        return 0
    moved = _moved(local, utc=False, where=where)
    return min(_seconds(moved), _seconds(moved.replace(fold=1)))


def _moved(micros: int, *, utc: bool, where: ZoneInfo) -> datetime:
    """The instant in ``where``, in a year that ``datetime`` has.

    Beyond 9998 the last rule of the zone repeats with the calendar; before year 2 every zone has its first
    (local mean time).
    """
    days, rest = divmod(micros, DAY)
    year = civil_of(days)[0]
    if year > 9990:
        days -= -(-(year - 9990) // _CYCLE_YEARS) * _CYCLE_DAYS
    elif year < 2:
        days += -((year - 2) // _CYCLE_YEARS) * _CYCLE_DAYS
    naive = datetime(2000, 1, 1) + timedelta(days=days, microseconds=rest)
    if not utc:
        return naive.replace(tzinfo=where)
    return where.fromutc(naive.replace(tzinfo=where))


def _seconds(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else offset.days * 86_400 + offset.seconds
