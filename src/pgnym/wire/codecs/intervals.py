"""Intervals as constants in searches (``born + interval '1 month' > …``); no column of the type is protected.

Canonical is PostgreSQL's output under IntervalStyle postgres, without its ``+`` signs: ``-1 mons 3 days 04:05:06``.
"""

from __future__ import annotations

import re
import struct

from pgnym.wire.errors import CodecError

OID = 1186
_binary = struct.Struct("!qii")  # interval_send: microseconds, days, months
_PART = re.compile(
    rb"\s*([+-]?)([0-9]{1,9})(?:\s*([a-z]+)|:([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?)(?=\s|\Z|[+-]|[0-9])"
)
_HOUR, _MINUTE, _SECOND = 3_600_000_000, 60_000_000, 1_000_000
# What PostgreSQL takes for a unit (datetktbl's deltatktbl), as (field, factor).
_UNITS: dict[bytes, tuple[str, int]] = {
    name.encode(): meaning
    for names, meaning in (
        ("y yr yrs year years", ("months", 12)),
        ("mon mons month months", ("months", 1)),
        ("w week weeks", ("days", 7)),
        ("d day days", ("days", 1)),
        ("h hr hrs hour hours", ("micros", _HOUR)),
        ("m min mins minute minutes", ("micros", _MINUTE)),
        ("s sec secs second seconds", ("micros", _SECOND)),
    )
    for name in names.split()
}


def from_text(data: bytes) -> bytes:
    """Canonical form of an interval in words or as a time; each unit once, in whole numbers.

    Raises ``CodecError`` 0A000 for other spellings, of which there are many.
    """
    text = data.strip().lower()
    fields = {"months": 0, "days": 0, "micros": 0}
    seen: set[bytes] = set()
    position = 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            raise _unknown()
        sign, amount, unit, minutes, seconds, fraction = found.groups()
        if unit is not None:
            if unit not in _UNITS or unit in seen:
                raise _unknown()
            seen.add(unit)
            field, factor = _UNITS[unit]
            value = int(amount) * factor
        else:
            if b":" in seen:
                raise _unknown()
            seen.add(b":")
            field = "micros"
            value = int(amount) * _HOUR + int(minutes) * _MINUTE + int(seconds or 0) * _SECOND
            value += int((fraction or b"").ljust(6, b"0"))
        fields[field] += -value if sign == b"-" else value
        position = found.end()
    if not seen or max(map(abs, (fields["months"], fields["days"]))) >= 1 << 31:
        raise _unknown()
    return _canonical(**fields)


def from_binary(data: bytes) -> bytes:
    """Canonical form of ``interval_send``'s output. Raises ``CodecError`` 22P03."""
    if len(data) != _binary.size:
        raise CodecError("22P03", "incorrect binary data format")
    micros, days, months = _binary.unpack(data)
    return _canonical(months, days, micros)


def _canonical(months: int, days: int, micros: int) -> bytes:
    parts = []
    if months:
        parts.append(b"%d mons" % months)
    if days:
        parts.append(b"%d days" % days)
    if micros or not parts:
        seconds, fraction = divmod(abs(micros), _SECOND)
        clock = b"%02d:%02d:%02d.%06d" % (seconds // 3600, seconds // 60 % 60, seconds % 60, fraction)
        parts.append((b"-" if micros < 0 else b"") + clock)
    return b" ".join(parts)


def _unknown() -> CodecError:
    return CodecError(
        "0A000",
        "this spelling of an interval is not supported",
        "Write it in words and whole numbers, such as '1 year 2 days'.",
    )
