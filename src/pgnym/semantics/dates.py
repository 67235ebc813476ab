"""Parts of dates and timestamps, truncation, and sums (timestamp.c, date.c). All of it apart from time zones.

Of a timestamp with time zone only what UTC and any other zone have in common is offered: its seconds from the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pgnym.semantics import moments
from pgnym.semantics.binding import Entry, Run, entry, plain
from pgnym.semantics.casts import date_to_timestamp
from pgnym.semantics.errors import EvaluationError, unsupported
from pgnym.semantics.moments import DAY, FOREVER, NEVER
from pgnym.semantics.types import (
    BOOL,
    DATE,
    FLOAT8,
    INT4,
    INTERVAL,
    LOCAL,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
)

_SECOND = 1_000_000
_JULIAN_EPOCH = 2_451_545
"""The Julian day of 2000-01-01."""
_UNIX_EPOCH = -10_957
"""1970-01-01, in days from 2000-01-01."""
_UNITS = {
    **dict.fromkeys(("microsecond", "microseconds", "us", "usec", "usecs", "useconds"), "microseconds"),
    **dict.fromkeys(("millisecond", "milliseconds", "ms", "msec", "msecs", "mseconds"), "milliseconds"),
    **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), "second"),
    **dict.fromkeys(("minute", "minutes", "min", "mins", "m"), "minute"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), "hour"),
    **dict.fromkeys(("day", "days", "d"), "day"),
    **dict.fromkeys(("week", "weeks", "w"), "week"),
    **dict.fromkeys(("month", "months", "mon", "mons"), "month"),
    **dict.fromkeys(("quarter", "qtr"), "quarter"),
    **dict.fromkeys(("year", "years", "yr", "yrs", "y"), "year"),
    **dict.fromkeys(("decade", "decades", "dec", "decs"), "decade"),
    **dict.fromkeys(("century", "centuries", "cent", "c"), "century"),
    **dict.fromkeys(("millennium", "millennia", "mil", "mils"), "millennium"),
    "dow": "dow", "isodow": "isodow", "doy": "doy", "isoyear": "isoyear", "julian": "julian", "epoch": "epoch",
}  # fmt: skip
"""datetktbl and deltatktbl, as far as they are of use here."""
_CLOCK = ("microseconds", "milliseconds", "second", "minute", "hour")
_TRUNCATED = (*_CLOCK, "day", "week", "month", "quarter", "year", "decade", "century", "millennium")


def _unit(name: bytes) -> str:
    found = _UNITS.get(name.decode().lower())
    if found is None:  # known to PostgreSQL with another meaning, or not at all
        raise unsupported("this unit of time is not supported")
    return found


def days_part(unit: str, days: int) -> int:
    """A whole number that a day has."""
    if unit == "dow":
        return (days + 6) % 7
    if unit == "isodow":
        return (days + 5) % 7 + 1
    if unit == "julian":
        return days + _JULIAN_EPOCH
    if unit in ("week", "isoyear"):
        return _iso_week(days)[unit == "week"]
    year, month, day = moments.civil_of(days)
    shown = year if year > 0 else year - 1  # there is no year 0
    match unit:
        case "day":
            return day
        case "month":
            return month
        case "quarter":
            return (month - 1) // 3 + 1
        case "year":
            return shown
        case "doy":
            return days - moments.days_of(year, 1, 1) + 1
        case "decade":
            return year // 10
        case "century":
            return (year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)
        case "millennium":
            return (year + 999) // 1000 if year > 0 else -((999 - (year - 1)) // 1000)
    raise unsupported(f"{unit} of a day is not supported")


def _iso_week(days: int) -> tuple[int, int]:
    """Year and number of the ISO week: it belongs to the year of its Thursday."""
    thursday = days - (days + 5) % 7 + 3
    year = moments.civil_of(thursday)[0]
    number = (thursday - moments.days_of(year, 1, 1)) // 7 + 1
    return (year if year > 0 else year - 1), number


def _infinite_part(unit: str, instant: int) -> bytes | None:
    """Of infinity: what grows without end is infinite, the rest NULL."""
    if unit in ("year", "decade", "century", "millennium", "julian", "isoyear", "epoch"):
        return b"Infinity" if instant == FOREVER else b"-Infinity"
    return None


def _of_date(name: bytes, date: bytes) -> bytes | None:
    """``extract(name FROM date)``"""
    unit, days = _unit(name), moments.read_date(date)
    if unit in _CLOCK:
        raise EvaluationError(f'unit "{unit}" not supported for type date', "0A000")
    if days in (FOREVER, NEVER):
        return _infinite_part(unit, days)
    if unit == "epoch":
        return b"%d" % ((days - _UNIX_EPOCH) * 86_400)
    return b"%d" % days_part(unit, days)


def _of_timestamp(name: bytes, timestamp: bytes) -> bytes | None:
    """``extract(name FROM timestamp)``"""
    unit, instant = _unit(name), moments.read_moment(timestamp)
    if instant in (FOREVER, NEVER):
        return _infinite_part(unit, instant)
    days, micros = divmod(instant, DAY)
    match unit:
        case "epoch":
            return _fixed(_since_unix_epoch(instant), 6)
        case "julian":
            raise unsupported("the Julian day of a timestamp is not supported", "That of a date is.")
        case "microseconds":
            return b"%d" % (micros % (60 * _SECOND))
        case "milliseconds":
            return _fixed(micros % (60 * _SECOND), 3)
        case "second":
            return _fixed(micros % (60 * _SECOND), 6)
        case "minute":
            return b"%d" % (micros // (60 * _SECOND) % 60)
        case "hour":
            return b"%d" % (micros // (3600 * _SECOND))
    return b"%d" % days_part(unit, days)


def _since_unix_epoch(instant: int) -> int:
    """Microseconds. At the end of time versions of PostgreSQL differ about the last digits."""
    micros = instant - _UNIX_EPOCH * DAY
    if micros >= 1 << 63:
        raise unsupported("the epoch of so late a timestamp is not supported")
    return micros


def _fixed(number: int, scale: int) -> bytes:
    """``number`` in units of ``10**-scale``."""
    whole, fraction = divmod(abs(number), 10**scale)
    return b"%s%d.%s" % (b"-" if number < 0 else b"", whole, (b"%d" % fraction).rjust(scale, b"0"))


def _epoch_of_zoned(name: bytes, timestamp: bytes) -> bytes | None:
    """``extract(epoch FROM timestamptz)``: the one part that no time zone changes."""
    if _unit(name) != "epoch":
        raise unsupported(
            "parts of a timestamp with time zone depend on the TimeZone setting",
            "Only its epoch is supported.",
        )
    return _of_timestamp(name, timestamp)


def _as_float(read: Callable[[bytes], int], part: Run) -> Run:
    """``date_part``: as double precision, computed as such where it isn't a whole number."""

    def run(name: bytes, moment: bytes) -> bytes | None:
        unit, instant = _unit(name), read(moment)
        if unit not in ("epoch", "second", "milliseconds") or instant in (FOREVER, NEVER):
            return part(name, moment)
        whole, micros = divmod(instant % (60 * _SECOND), _SECOND)
        if unit == "epoch":
            number = float(_since_unix_epoch(instant)) / 1e6
        elif unit == "second":
            number = whole + micros / 1e6
        else:
            number = whole * 1000 + micros / 1e3
        return repr(number).removesuffix(".0").encode()

    return run


def _of_date_as_timestamp(name: bytes, date: bytes) -> bytes | None:
    """``date_part`` has no variant for dates: they become timestamps, at midnight."""
    return _of_timestamp(name, date_to_timestamp(date))


def _truncated(name: bytes, timestamp: bytes) -> bytes:
    """``date_trunc(name, timestamp)``"""
    unit, instant = _unit(name), moments.read_moment(timestamp)
    if unit not in _TRUNCATED:
        raise EvaluationError(f'unit "{unit}" not supported for type timestamp without time zone', "0A000")
    if instant in (FOREVER, NEVER):
        return timestamp
    days, micros = divmod(instant, DAY)
    steps = {
        "microseconds": 1,
        "milliseconds": 1000,
        "second": _SECOND,
        "minute": 60 * _SECOND,
        "hour": 3600 * _SECOND,
    }
    if unit in steps:
        return moments.write_moment(instant - micros % steps[unit])
    return moments.write_moment(_first_day(unit, days) * DAY)


def _truncated_date(name: bytes, date: bytes) -> bytes:
    """``date_trunc(name, date)``: a midnight in whatever time zone the session has."""
    return _truncated(name, date_to_timestamp(date))


def _first_day(unit: str, days: int) -> int:
    if unit == "day":
        return days
    if unit == "week":
        return days - (days + 5) % 7
    year, month, _ = moments.civil_of(days)
    match unit:
        case "month":
            return moments.days_of(year, month, 1)
        case "quarter":
            return moments.days_of(year, (month - 1) // 3 * 3 + 1, 1)
        case "year":
            return moments.days_of(year, 1, 1)
        case "decade":
            return moments.days_of(year // 10 * 10, 1, 1)
        case "century":
            return moments.days_of((year - 1) // 100 * 100 + 1, 1, 1)
        case _:
            return moments.days_of((year - 1) // 1000 * 1000 + 1, 1, 1)


def _plus_days(date: bytes, count: bytes) -> bytes:
    return _moved_date(date, int(count))


def _minus_days(date: bytes, count: bytes) -> bytes:
    return _moved_date(date, -int(count))


def _moved_date(date: bytes, count: int) -> bytes:
    days = moments.read_date(date)
    return date if days in (FOREVER, NEVER) else moments.write_date(days + count)


def _days_between(one: bytes, other: bytes) -> bytes:
    days, from_days = moments.read_date(one), moments.read_date(other)
    if FOREVER in (days, from_days) or NEVER in (days, from_days):
        raise EvaluationError("cannot subtract infinite dates", "22008")
    return b"%d" % (days - from_days)


@dataclass(frozen=True, slots=True)
class _Span:
    """An interval: months and days have no fixed length."""

    months: int
    days: int
    micros: int


_SPAN = re.compile(
    rb"(?:(-?[0-9]+) years?)? ?(?:(-?[0-9]+) mons?)? ?(?:(-?[0-9]+) days?)?"
    rb" ?(?:(-?)([0-9]+):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?)?\Z"
)


def _read_span(canonical: bytes) -> _Span:
    """An interval in IntervalStyle postgres, whose signs are written with each number."""
    found = _SPAN.match(canonical.replace(b"+", b""))
    if found is None or not canonical:
        raise unsupported("this interval is not supported")
    years, months, days, sign, hours, minutes, seconds, fraction = found.groups()
    clock = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    micros = clock * _SECOND + int((fraction or b"").ljust(6, b"0"))
    return _Span(int(years or 0) * 12 + int(months or 0), int(days or 0), -micros if sign else micros)


def _moved(instant: int, span: _Span, sign: int) -> int:
    """First the months, to the last day of the month at most; then days, then time (timestamp_pl_interval)."""
    if instant in (FOREVER, NEVER):
        return instant
    days, micros = divmod(instant, DAY)
    if span.months:
        year, month, day = moments.civil_of(days)
        index = year * 12 + month - 1 + sign * span.months
        year, month = index // 12, index % 12 + 1
        following = moments.days_of(year + month // 12, month % 12 + 1, 1)
        days = min(moments.days_of(year, month, 1) + day - 1, following - 1)
        _checked(days * DAY + micros)
    moved = _checked((days + sign * span.days) * DAY + micros)
    return _checked(moved + sign * span.micros)


def _checked(instant: int) -> int:
    if not moments.FIRST_INSTANT <= instant < moments.END_INSTANT:
        raise EvaluationError("timestamp out of range", "22008")
    return instant


def _moving(read: Callable[[bytes], int], sign: int, place: int) -> Run:
    """``moment ± interval``, the moment being the argument at ``place``."""

    def run(*arguments: bytes) -> bytes:
        instant, span = read(arguments[place]), _read_span(arguments[1 - place])
        return moments.write_moment(_moved(instant, span, sign))

    return run


def date_as_instant(date: bytes) -> int:
    days = moments.read_date(date)
    return days if days in (FOREVER, NEVER) else _checked(days * DAY)


def _is_finite(moment: bytes) -> bytes:
    return b"f" if moment.endswith(b"infinity") else b"t"


_PARTS: tuple[tuple[int, Run], ...] = (
    (DATE, _of_date),
    (TIMESTAMP, _of_timestamp),
    (TIMESTAMPTZ, _epoch_of_zoned),
)
_FLOAT_PARTS: tuple[tuple[int, Run], ...] = (
    (DATE, _as_float(date_as_instant, _of_date_as_timestamp)),
    (TIMESTAMP, _as_float(moments.read_moment, _of_timestamp)),
    (TIMESTAMPTZ, _as_float(moments.read_moment, _epoch_of_zoned)),
)
_READERS = ((DATE, date_as_instant), (TIMESTAMP, moments.read_moment))

ENTRIES: tuple[Entry, ...] = (
    *[entry("extract", (TEXT, kind), NUMERIC, plain(part)) for kind, part in _PARTS],
    *[entry("date_part", (TEXT, kind), FLOAT8, plain(part)) for kind, part in _FLOAT_PARTS],
    *[
        entry(name, (TEXT, kind), result, None)
        for name, result in (("extract", NUMERIC), ("date_part", FLOAT8))
        for kind in (TIME, INTERVAL)
    ],
    entry("date_trunc", (TEXT, TIMESTAMP), TIMESTAMP, plain(_truncated)),
    entry("date_trunc", (TEXT, DATE), LOCAL, plain(_truncated_date)),
    entry("date_trunc", (TEXT, TIMESTAMPTZ), TIMESTAMPTZ, None),
    entry("date_trunc", (TEXT, INTERVAL), INTERVAL, None),
    entry("+", (DATE, INT4), DATE, plain(_plus_days)),
    entry("+", (INT4, DATE), DATE, plain(lambda count, date: _plus_days(date, count))),
    entry("-", (DATE, INT4), DATE, plain(_minus_days)),
    entry("-", (DATE, DATE), INT4, plain(_days_between)),
    *[entry("+", (kind, INTERVAL), TIMESTAMP, plain(_moving(read, 1, 0))) for kind, read in _READERS],
    *[entry("+", (INTERVAL, kind), TIMESTAMP, plain(_moving(read, 1, 1))) for kind, read in _READERS],
    *[entry("-", (kind, INTERVAL), TIMESTAMP, plain(_moving(read, -1, 0))) for kind, read in _READERS],
    *[entry("isfinite", (kind,), BOOL, plain(_is_finite)) for kind in (DATE, TIMESTAMP, TIMESTAMPTZ)],
    entry("isfinite", (INTERVAL,), BOOL, None),
    # These exist, too: what they give depends on the TimeZone setting, or is an interval.
    *[
        entry(sign, pair, result, None)
        for sign, pair, result in (
            ("-", (TIMESTAMP, TIMESTAMP), INTERVAL),
            ("-", (TIMESTAMPTZ, TIMESTAMPTZ), INTERVAL),
            ("-", (DATE, TIMESTAMP), INTERVAL),
            ("-", (TIMESTAMP, DATE), INTERVAL),
            ("+", (TIMESTAMPTZ, INTERVAL), TIMESTAMPTZ),
            ("-", (TIMESTAMPTZ, INTERVAL), TIMESTAMPTZ),
            ("+", (INTERVAL, TIMESTAMPTZ), TIMESTAMPTZ),
            ("+", (DATE, TIME), TIMESTAMP),
            ("+", (TIME, DATE), TIMESTAMP),
            ("+", (INTERVAL, INTERVAL), INTERVAL),
            ("-", (INTERVAL, INTERVAL), INTERVAL),
            ("+", (TIME, INTERVAL), TIME),
            ("+", (INTERVAL, TIME), TIME),
            ("-", (TIME, INTERVAL), TIME),
            ("-", (TIME, TIME), INTERVAL),
        )
    ],
)
