"""``to_char`` of dates and timestamps (formatting.c): the patterns that depend on nothing but the moment.

Known are all keywords of PostgreSQL, so that what isn't offered (``TMMonth``, ``TZ``, ``RM``, ``J`` …) is refused instead of
being taken for text. What is no keyword stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pgnym.semantics import moments
from pgnym.semantics.binding import Binder, Constants, Entry, Run, entry
from pgnym.semantics.dates import date_as_instant, days_part
from pgnym.semantics.errors import unsupported
from pgnym.semantics.expression import Collation
from pgnym.semantics.moments import DAY, FOREVER, NEVER
from pgnym.semantics.types import DATE, TEXT, TIMESTAMP, TIMESTAMPTZ

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WIDTH = 9  # to which the names of months and days are padded

# DCH_keywords, longest first as DCH_index finds them; those that are written in either case, and those that are as they are.
_EITHER = (
    "IYYY", "IDDD", "SSSSS", "SSSS", "HH24", "HH12", "A.D.", "B.C.", "A.M.", "P.M.", "Y,YYY", "YYYY", "IYY", "YYY", "DDD",
    "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "TZH", "TZM", "AD", "AM", "BC", "CC", "DD", "FX", "HH", "ID", "IW", "IY", "MI",
    "MM", "MS", "OF", "PM", "RM", "SS", "TZ", "US", "WW", "YY", "D", "I", "J", "Q", "W", "Y",
)  # fmt: skip
_CASED = ("MONTH", "Month", "month", "MON", "Mon", "mon", "DAY", "Day", "day", "DY", "Dy", "dy")
_KEYWORDS = sorted({*_CASED, *_EITHER, *(k.lower() for k in _EITHER)}, key=lambda k: (-len(k), k))
_NODE = re.compile(
    r"(?P<prefix>FM|fm|TM|tm)?+(?:"
    r"(?P<keyword>" + "|".join(map(re.escape, _KEYWORDS)) + r")(?P<suffix>TH|th|SP)?"
    r'|"(?P<quoted>[^"\\]*)"|(?P<text>[^"\\]))'
)


@dataclass(frozen=True, slots=True)
class _Moment:
    """Days from 2000-01-01 and microseconds of the day."""

    days: int
    micros: int

    @property
    def year(self) -> int:
        """As it is written: 1 for 1 BC (``ADJUST_YEAR``)."""
        year = moments.civil_of(self.days)[0]
        return year if year > 0 else 1 - year

    @property
    def hour(self) -> int:
        return self.micros // 3_600_000_000


_Show = Callable[[_Moment], tuple[int, int]]
"""A number and the width to which it is padded with zeros."""


def _of_day(unit: str, width: int) -> _Show:
    return lambda m: (days_part(unit, m.days), width)


def _week_year(digits: int) -> _Show:
    def show(moment: _Moment) -> tuple[int, int]:
        year = abs(days_part("isoyear", moment.days))
        return (year, 4) if digits == 4 else (year % 10**digits, digits)

    return show


_NUMBERS: dict[str, _Show] = {
    "YYYY": lambda m: (m.year, 4),
    "YYY": lambda m: (m.year % 1000, 3),
    "YY": lambda m: (m.year % 100, 2),
    "Y": lambda m: (m.year % 10, 1),
    "IYYY": _week_year(4),
    "IYY": _week_year(3),
    "IY": _week_year(2),
    "I": _week_year(1),
    "Q": _of_day("quarter", 1),
    "MM": _of_day("month", 2),
    "DDD": _of_day("doy", 3),
    "DD": _of_day("day", 2),
    "D": lambda m: (days_part("dow", m.days) + 1, 1),
    "ID": _of_day("isodow", 1),
    "IW": _of_day("week", 2),
    "WW": lambda m: ((days_part("doy", m.days) - 1) // 7 + 1, 2),
    "W": lambda m: ((days_part("day", m.days) - 1) // 7 + 1, 1),
    "HH24": lambda m: (m.hour, 2),
    "HH12": lambda m: ((m.hour - 1) % 12 + 1, 2),
    "HH": lambda m: ((m.hour - 1) % 12 + 1, 2),
    "MI": lambda m: (m.micros // 60_000_000 % 60, 2),
    "SS": lambda m: (m.micros // 1_000_000 % 60, 2),
    "MS": lambda m: (m.micros % 1_000_000 // 1000, 3),
    "US": lambda m: (m.micros % 1_000_000, 6),
}
_OF_TIME = frozenset({"HH24", "HH12", "HH", "MI", "SS", "MS", "US", "AM", "PM", "A.M.", "P.M."})
_ALWAYS_PADDED = frozenset({"MS", "US"})
_Piece = Callable[[_Moment], str]


@lru_cache(maxsize=256)
def _pieces(pattern: str, *, of_date: bool) -> tuple[_Piece, ...]:
    """A pattern as functions of a moment. ``of_date``: it may not look at the time of day."""
    pieces: list[_Piece] = []
    place = 0
    while place < len(pattern):
        found = _NODE.match(pattern, place)
        if found is None or found["suffix"] or found["prefix"] in ("TM", "tm"):
            raise unsupported("this pattern of to_char() is not supported")
        place = found.end()
        if found["keyword"] is None:
            if found["prefix"]:
                raise unsupported("this pattern of to_char() is not supported")
            pieces.append(_fixed(found["quoted"] if found["quoted"] is not None else found["text"]))
            continue
        if of_date and found["keyword"].upper() in _OF_TIME:
            raise unsupported(
                "the time of day in to_char() of a date is not supported",
                "Midnight may be another hour in some time zones: cast the date to timestamp.",
            )
        pieces.append(_piece(found["keyword"], padded=not found["prefix"]))
    return tuple(pieces)


def _fixed(text: str) -> _Piece:
    return lambda _moment: text


def _piece(keyword: str, *, padded: bool) -> _Piece:
    number = _NUMBERS.get(keyword.upper())
    if keyword in _CASED:
        return _name(keyword, padded=padded)
    if number is not None:

        def show(moment: _Moment) -> str:
            value, width = number(moment)
            return f"{value:0{width if padded or keyword.upper() in _ALWAYS_PADDED else 1}d}"

        return show
    if keyword.upper() in ("AM", "PM", "A.M.", "P.M."):
        dotted, lower = "." in keyword, keyword.islower()

        def half(moment: _Moment) -> str:
            letters = "PM" if moment.hour >= 12 else "AM"
            text = f"{letters[0]}.M." if dotted else letters
            return text.lower() if lower else text

        return half
    raise unsupported("this pattern of to_char() is not supported")


def _name(keyword: str, *, padded: bool) -> _Piece:
    """The English name of a month or day, in the case of the keyword."""
    of_month, short = keyword.lower().startswith("m"), keyword.lower() in ("mon", "dy")
    case: Callable[[str], str] = str if keyword[1].islower() and keyword[0].isupper() else str.lower
    if keyword.isupper():
        case = str.upper

    def show(moment: _Moment) -> str:
        if of_month:
            name = _MONTHS[days_part("month", moment.days) - 1]
        else:
            name = _DAYS[days_part("dow", moment.days)]
        name = case(name[:3] if short else name)
        return name.ljust(_WIDTH) if padded and not short else name

    return show


def _to_char(read: Callable[[bytes], int], *, of_date: bool) -> Binder:

    def bind(_collation: Collation | None, constants: Constants) -> Run:
        moment, pattern = constants

        def shown(value: bytes, form: bytes) -> bytes | None:
            instant = read(value)
            if instant in (FOREVER, NEVER) or not form:
                return None
            days, micros = divmod(instant, DAY)
            at = _Moment(days, micros)
            return "".join(piece(at) for piece in _pieces(form.decode(), of_date=of_date)).encode()

        if pattern is not None:
            _pieces(pattern.decode(), of_date=of_date)  # what isn't supported is said at once
            return lambda value: shown(value, pattern)
        if moment is not None:
            return lambda form: shown(moment, form)
        return shown

    return bind


ENTRIES: tuple[Entry, ...] = (
    entry("to_char", (DATE, TEXT), TEXT, _to_char(date_as_instant, of_date=True)),
    entry("to_char", (TIMESTAMP, TEXT), TEXT, _to_char(moments.read_moment, of_date=False)),
    entry("to_char", (TIMESTAMPTZ, TEXT), TEXT, None),
)
