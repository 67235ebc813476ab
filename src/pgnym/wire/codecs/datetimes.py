"""date, timestamp, timestamptz."""

from __future__ import annotations

import re
import struct
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.codecs.calendar import (
    DAY,
    abbreviation_at,
    civil_of,
    days_of,
    offset_at,
    offset_local,
    weekday_of,
    zone,
)
from pgnym.wire.codecs.numbers import SPACE
from pgnym.wire.errors import CodecError

_int32 = struct.Struct("!i")
_int64 = struct.Struct("!q")

_MOMENT_ZERO: Final = datetime(2000, 1, 1)
_DAY_ZERO: Final = date(2000, 1, 1).toordinal()
FOREVER: Final = (1 << 63) - 1
NEVER: Final = -(1 << 63)
_DATE_FOREVER: Final = (1 << 31) - 1
_DATE_NEVER: Final = -(1 << 31)
FIRST_DAY: Final = -2_451_545
"""4714-11-24 BC, Julian day 0: the first that a date or timestamp may have."""
LAST_DATE: Final = 2_145_031_948
"""5874897-12-31."""
FIRST_INSTANT: Final = FIRST_DAY * DAY
END_INSTANT: Final = 106_751_983 * DAY
"""294277-01-01, the first instant that a timestamp may not have."""

_PLAIN = re.compile(rb"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])\Z")
# What nearly every client writes, for datetime's own parser; the rest goes the long way. 24:00 and second 60
# do too.
_USUAL = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?\Z"
)
_ISO = re.compile(
    rb"(?:(?P<year>[0-9]{4,7})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
    rb"|(?P<slash>[0-9]{4,7})/(?P<month2>[0-9]{1,2})/(?P<day2>[0-9]{1,2})"
    rb"|(?P<packed>[0-9]{8}))"
    rb"(?:(?:[ \t]+|[ \t]*[tT][ \t]*)"
    rb"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{1,2})(?:\.(?P<fraction>[0-9]*))?)?"
    rb"(?:[ \t]*(?P<half>[aApP][mM])(?![A-Za-z]))?"
    rb"(?:[ \t]*(?P<zone>[zZ]|(?i:utc|gmt)|[+-][0-9]{1,2}(?::?[0-9]{2}(?::?[0-9]{2})?)?"
    rb"|[A-Za-z_]+/[A-Za-z0-9_+/-]+))?)?"
    rb"(?:[ \t]*(?P<era>(?i:bc|ad)))?\Z"
)
_HOURS = re.compile(rb"(:[0-9.]+[+-][0-9]{2})(?= BC\Z|\Z)")
"""An offset of whole hours, after the seconds."""
_OFFSET = re.compile(rb"([+-])([0-9]{1,2})(?::?([0-9]{2})(?::?([0-9]{2}))?)?\Z")
_WORDS = frozenset(
    b"now today tomorrow yesterday epoch allballs noon midnight current invalid abstime zulu "
    b"january february march april may june july august september october november december "
    b"jan feb mar apr jun jul aug sep sept oct nov dec "
    b"monday tuesday wednesday thursday friday saturday sunday "
    b"mon tue tues wed weds thu thur thurs fri sat sun".split()
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MAX_INPUT: Final = 128
"""MAXDATELEN of PostgreSQL: longer input is no date."""


class Date(Codec):
    """``date``. Canonical: YYYY-MM-DD, with BC after it where it is."""

    name = "date"
    oid = 1082
    array_oid = 1182
    size = 4

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """ISO 8601 and close to it; a time of day and a zone are read and dropped, as ``date_in`` does."""
        if _PLAIN.match(data) and data[:4] != b"0000":
            return data
        word = _infinity(data)
        if word is not None:
            return word
        days, _, _ = _read(self, data)
        return _date_text(self._checked(days))

    def receive(self, data: bytes) -> bytes:
        """Days from 2000-01-01."""
        if len(data) != 4:
            raise self.binary_error()
        (days,) = _int32.unpack(data)
        if days in (_DATE_FOREVER, _DATE_NEVER):
            return b"infinity" if days > 0 else b"-infinity"
        return _date_text(self._checked(days))

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """As DateStyle says."""
        if settings.date_format == "ISO" or canonical.endswith(b"infinity"):
            return canonical
        body, era = _era(canonical)
        return _styled_date(body.split(b"-"), settings) + era

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """Days from 2000-01-01."""
        if len(canonical) == 10:
            return _int32.pack(date.fromisoformat(canonical.decode()).toordinal() - _DAY_ZERO)
        if canonical.endswith(b"infinity"):
            return _int32.pack(_DATE_NEVER if canonical[:1] == b"-" else _DATE_FOREVER)
        return _int32.pack(_days(canonical))

    def _checked(self, days: int) -> int:
        if not FIRST_DAY <= days <= LAST_DATE:
            raise CodecError("22008", "date out of range")
        return days


class Timestamp(Codec):
    """``timestamp without time zone``. Canonical: YYYY-MM-DD HH:MM:SS[.ffffff]."""

    name = "timestamp without time zone"
    oid = 1114
    array_oid = 1115
    size = 8
    zoned = False
    suffix = b""

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """ISO 8601 and close to it. Without time zone a given zone is read and dropped; with, it counts."""
        usual = self._usual(data, settings)
        if usual is not None:
            return usual
        word = _infinity(data)
        if word is not None:
            return word
        days, micros, where = _read(self, data)
        instant = days * DAY + micros
        if self.zoned:
            if where is None:
                offset = offset_local(zone(settings.timezone), instant)
            else:
                offset = where if isinstance(where, int) else offset_local(zone(where), instant)
            instant -= offset * 1_000_000
        return self._text(self._checked(instant))

    def receive(self, data: bytes) -> bytes:
        """Microseconds from 2000-01-01."""
        if len(data) != 8:
            raise self.binary_error()
        (instant,) = _int64.unpack(data)
        if instant in (FOREVER, NEVER):
            return b"infinity" if instant > 0 else b"-infinity"
        return self._text(self._checked(instant))

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """As DateStyle and, with time zone, TimeZone say."""
        if settings.date_format == "ISO" and (not self.zoned or settings.timezone == "UTC"):
            return canonical
        if canonical.endswith(b"infinity"):
            return canonical
        if settings.date_format == "ISO" and _USUAL.match(canonical):
            near = _in_zone(canonical, zone(settings.timezone))
            if near is not None:
                return near
        instant = _instant(canonical)
        if not self.zoned:
            return _styled_timestamp(instant, settings, b"")
        where = zone(settings.timezone)
        offset = offset_at(where, instant)
        local = instant + offset * 1_000_000
        if settings.date_format == "ISO":
            return _timestamp_text(local, _offset_text(offset))
        name = "UTC" if where is None else abbreviation_at(where, instant)
        return _styled_timestamp(local, settings, b" " + name.encode())

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """Microseconds from 2000-01-01."""
        if canonical.endswith(b"infinity"):
            return _int64.pack(NEVER if canonical[:1] == b"-" else FOREVER)
        return _int64.pack(_instant(canonical))

    def fit(self, canonical: bytes, typmod: int) -> bytes:
        """Rounded half away from 2000-01-01 to the digits of ``typmod`` (AdjustTimestampForTypmod)."""
        if not 0 <= typmod < 6 or canonical.endswith(b"infinity") or b"." not in canonical:
            return canonical
        instant = _instant(canonical)
        unit = 10 ** (6 - typmod)
        rounded = (abs(instant) + unit // 2) // unit * unit
        return self._text(self._checked(rounded if instant >= 0 else -rounded))

    def _text(self, instant: int) -> bytes:
        return _timestamp_text(instant, self.suffix)

    def _usual(self, data: bytes, settings: Settings) -> bytes | None:
        """The canonical form of a usual spelling, None if it isn't one."""
        found = _USUAL.match(data)
        if found is None:
            return None
        try:
            moment = datetime.fromisoformat(data.decode())
            if not self.zoned:
                moment = moment.replace(tzinfo=None)
            elif found.group(1) is None:
                if settings.timezone != "UTC":
                    return None
            else:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            return None
        return _strip(moment.isoformat(" ")).encode() + self.suffix

    def _checked(self, instant: int) -> int:
        if not FIRST_INSTANT <= instant < END_INSTANT:
            raise CodecError("22008", "timestamp out of range")
        return instant


class Timestamptz(Timestamp):
    """``timestamp with time zone``. Canonical: in UTC, with +00 after it."""

    name = "timestamp with time zone"
    oid = 1184
    array_oid = 1185
    zoned = True
    suffix = b"+00"


def iso_8601(shown: bytes) -> bytes:
    """A timestamp in ISO style as JSON functions print it:

    T after the date, minutes in the offset (JsonEncodeDateTime).
    """
    return _HOURS.sub(rb"\1:00", shown.replace(b" ", b"T", 1))


def _strip(text: str) -> str:
    """Without zeros at the end of a fraction (isoformat gives six digits or none)."""
    return text.rstrip("0") if "." in text else text


def _in_zone(canonical: bytes, where: tzinfo | None) -> bytes | None:
    """A usual timestamptz in ISO style in a time zone; None near the ends of what datetime holds."""
    moment = datetime.fromisoformat(canonical.decode())
    if not 1 < moment.year < 9999:
        return None
    local = moment.astimezone(where or UTC)
    offset = local.utcoffset() or timedelta()
    shown = _strip(local.replace(tzinfo=None).isoformat(" ")).encode()
    return shown + _offset_text(offset.days * 86_400 + offset.seconds)


def _infinity(data: bytes) -> bytes | None:
    word = data.strip(SPACE).lower()
    if word in (b"infinity", b"+infinity"):
        return b"infinity"
    return word if word == b"-infinity" else None


def _read(codec: Codec, data: bytes) -> tuple[int, int, int | str | None]:
    """Day, microsecond of the day, and zone: seconds east, the name of a zone, or None.

    Raises ``CodecError``.
    """
    text = data.strip(SPACE)
    found = _ISO.match(text) if len(text) <= MAX_INPUT else None
    if found is None:
        raise _not_iso(codec, text)
    part = found.groupdict()
    packed = part["packed"]
    if packed:
        year, month, day = int(packed[:4]), int(packed[4:6]), int(packed[6:])
    else:
        year = int(part["year"] or part["slash"])
        month, day = int(part["month"] or part["month2"]), int(part["day"] or part["day2"])
    if year == 0:
        raise _field_error()
    if (part["era"] or b"").lower() == b"bc":
        year = 1 - year
    try:
        days = days_of(year, month, day)
    except ValueError:
        raise _field_error() from None
    if part["hour"] is None:
        return days, 0, None
    return days, _time(part), _zone(part["zone"])


def _time(part: dict[str, bytes | None]) -> int:
    hour, minute, second = int(part["hour"] or 0), int(part["minute"] or 0), int(part["second"] or 0)
    fraction = part["fraction"]
    # PostgreSQL reads the fraction as a double and rounds to even (ParseFractionalSecond).
    micros = round(float(b"0." + fraction) * 1_000_000) if fraction else 0
    if part["half"]:
        if not 1 <= hour <= 12:
            raise _field_error()
        hour = hour % 12 + (12 if part["half"].lower() == b"pm" else 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second or micros)):
        raise _field_error()
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros


def _zone(text: bytes | None) -> int | str | None:
    if text is None:
        return None
    found = _OFFSET.match(text)
    if found:
        digits = found.group(2)
        hours, minutes, seconds = int(digits), int(found.group(3) or 0), int(found.group(4) or 0)
        if hours > 15 or minutes > 59 or seconds > 59:
            raise CodecError("22009", "time zone displacement out of range")
        offset = (hours * 60 + minutes) * 60 + seconds
        return -offset if found.group(1) == b"-" else offset
    name = text.decode("ascii")
    if name.lower() in ("z", "utc", "gmt"):
        return 0
    zone(name)
    return name


def _field_error() -> CodecError:
    return CodecError("22008", "date/time field value out of range")


def _not_iso(codec: Codec, text: bytes) -> CodecError:
    words = re.findall(rb"[a-z]+", text.lower())
    if not any(0x30 <= c <= 0x39 for c in text) and not any(word in _WORDS for word in words):
        return CodecError(
            "22007", f"invalid input syntax for type {codec.name.removesuffix(' without time zone')}"
        )
    return CodecError(
        "0A000",
        f"this spelling of a value of type {codec.name} is not supported for protected columns",
        "Write it in ISO 8601, such as 1999-12-31 or 1999-12-31 23:59:59+01.",
    )


def _date_text(days: int) -> bytes:
    year, month, day = civil_of(days)
    if year > 0:
        return b"%04d-%02d-%02d" % (year, month, day)
    return b"%04d-%02d-%02d BC" % (1 - year, month, day)


def _clock(micros: int) -> bytes:
    seconds, fraction = divmod(micros, 1_000_000)
    text = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return text + (b".%06d" % fraction).rstrip(b"0") if fraction else text


def _timestamp_text(instant: int, suffix: bytes) -> bytes:
    days, micros = divmod(instant, DAY)
    body, era = _era(_date_text(days))
    return body + b" " + _clock(micros) + suffix + era


def _offset_text(offset: int) -> bytes:
    """EncodeTimezone(): hours, and minutes and seconds where they aren't zero."""
    sign = b"-" if offset < 0 else b"+"
    minutes, seconds = divmod(abs(offset), 60)
    hours, minutes = divmod(minutes, 60)
    if seconds:
        return sign + b"%02d:%02d:%02d" % (hours, minutes, seconds)
    return sign + (b"%02d:%02d" % (hours, minutes) if minutes else b"%02d" % hours)


def _era(canonical: bytes) -> tuple[bytes, bytes]:
    return (canonical[:-3], b" BC") if canonical.endswith(b" BC") else (canonical, b"")


def _days(canonical: bytes) -> int:
    body, era = _era(canonical)
    year, month, day = body.split(b"-")
    return days_of(1 - int(year) if era else int(year), int(month), int(day))


def _instant(canonical: bytes) -> int:
    body, era = _era(canonical)
    clock = body.removesuffix(b"+00")
    if clock[4:5] == b"-" and not era:
        gone = datetime.fromisoformat(clock.decode()) - _MOMENT_ZERO
        return gone.days * DAY + gone.seconds * 1_000_000 + gone.microseconds
    date_part, _, clock = clock.partition(b" ")
    whole, _, fraction = clock.partition(b".")
    hour, minute, second = whole.split(b":")
    micros = ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1_000_000 + int(fraction.ljust(6, b"0"))
    return _days(date_part + era) * DAY + micros


def _styled_date(parts: list[bytes], settings: Settings) -> bytes:
    year, month, day = parts
    if settings.date_format == "GERMAN":
        return b".".join((day, month, year))
    separator = b"/" if settings.date_format == "SQL" else b"-"
    if settings.date_order == "DMY":
        return separator.join((day, month, year))
    return separator.join((month, day, year))


def _styled_timestamp(local: int, settings: Settings, suffix: bytes) -> bytes:
    days, micros = divmod(local, DAY)
    body, era = _era(_date_text(days))
    clock = _clock(micros)
    if settings.date_format != "POSTGRES":
        return _styled_date(body.split(b"-"), settings) + b" " + clock + suffix + era
    year, month, day = body.split(b"-")
    name = _MONTHS[int(month) - 1].encode()
    middle = (day, name) if settings.date_order == "DMY" else (name, day)
    words = (_WEEKDAYS[weekday_of(days)].encode(), *middle, clock, year)
    return b" ".join(words) + suffix + era
