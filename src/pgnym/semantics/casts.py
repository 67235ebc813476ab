"""Casts between texts and the types that stand in texts, by those types' input and output functions.

What a type's input reads depends on settings or differs between versions in places (``DateStyle``, ``0x1F``, ``1_000``):
only spellings that mean the same everywhere are read, the others refused. No message holds the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from pgnym.semantics import moments
from pgnym.semantics.errors import EvaluationError, unsupported
from pgnym.semantics.numbers import fitting, write_numeric
from pgnym.semantics.types import (
    BOOL,
    BPCHAR,
    DATE,
    INET,
    INT2,
    INT4,
    INT8,
    INTEGERS,
    LOCAL,
    NUMERIC,
    TEXT,
    TIMESTAMP,
    UUID,
    VARCHAR,
)

Convert = Callable[[bytes], bytes]
_SPACE = b" \t\n\v\f\r"
_CHARACTERS = (TEXT, VARCHAR, BPCHAR)
_INTEGER = re.compile(rb"[+-]?[0-9]+\Z")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?\Z")
_NEWER = re.compile(rb"[+-]?(?:0[xXoObB]|[0-9]+_)")
"""What PostgreSQL 16 began to read."""
_SPECIAL = {b"nan": b"NaN", b"infinity": b"Infinity", b"-infinity": b"-Infinity"}
_DATE = re.compile(rb"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_TIMESTAMP = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?\Z"
)
_UUID = re.compile(rb"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z")
_NAMES = {
    INT2: "smallint",
    INT4: "integer",
    INT8: "bigint",
    NUMERIC: "numeric",
    BOOL: "boolean",
    UUID: "uuid",
}


def cast(source: int, target: int) -> Convert | None:
    """The cast between two types; None if it isn't offered. A date or timestamp becomes text as under DateStyle ISO."""
    if source == target:
        return bytes
    if target in _CHARACTERS:
        return _to_text(source)
    if source in _CHARACTERS:
        return _READERS.get(target)
    return _BETWEEN.get((source, target))


def shows_by_setting(source: int, target: int) -> bool:
    """Whether the cast gives a text that depends on the DateStyle setting."""
    return target in _CHARACTERS and source in (DATE, TIMESTAMP)


def _to_text(source: int) -> Convert | None:
    if source == BPCHAR:
        return lambda value: value.rstrip(b" ")
    if source == BOOL:
        return lambda value: b"true" if value == b"t" else b"false"
    if source == INET:
        return _inet_text
    return bytes if source in _SHOWN_AS_THEY_ARE else None


_SHOWN_AS_THEY_ARE = frozenset((*_CHARACTERS, *INTEGERS, NUMERIC, UUID, DATE, TIMESTAMP))


def _inet_text(value: bytes) -> bytes:
    """Unlike its output, the text of an address always has its mask."""
    if b"/" in value:
        return value
    return value + (b"/128" if b":" in value else b"/32")


def _invalid(type_oid: int) -> EvaluationError:
    return EvaluationError(f"invalid input syntax for type {_NAMES[type_oid]}", "22P02")


def _integer(type_oid: int) -> Convert:
    def read(text: bytes) -> bytes:
        digits = text.strip(_SPACE)
        if _INTEGER.match(digits):
            if len(digits) > 100:
                raise EvaluationError("value is out of range", "22003")
            return fitting(int(digits), type_oid)
        if _NEWER.match(digits):
            raise unsupported("this spelling of a number is not supported")
        raise _invalid(type_oid)

    return read


def _numeric(text: bytes) -> bytes:
    digits = text.strip(_SPACE)
    if _NUMBER.match(digits):
        return write_numeric(Decimal(digits.decode()))
    special = _SPECIAL.get(digits.lower())
    if special is not None:
        return special
    if _NEWER.match(digits) or digits.lower().lstrip(b"+-").startswith(b"inf"):
        raise unsupported("this spelling of a number is not supported")
    raise _invalid(NUMERIC)


def _boolean(text: bytes) -> bytes:
    """Any beginning of a word that no other word has (parse_bool)."""
    word = text.strip(_SPACE).lower()
    for result, words in ((b"t", (b"true", b"yes")), (b"f", (b"false", b"no"))):
        if word and any(full.startswith(word) for full in words):
            return result
    exact = {b"on": b"t", b"1": b"t", b"off": b"f", b"of": b"f", b"0": b"f"}.get(word)
    if exact is None:
        raise _invalid(BOOL)
    return exact


def _date(text: bytes) -> bytes:
    found = _DATE.match(text.strip(_SPACE))
    if found is None:
        raise unsupported("only dates written as YYYY-MM-DD are read from texts")
    year, month, day = (int(part) for part in found.groups())
    try:
        return date(year, month, day).isoformat().encode()
    except ValueError:
        raise EvaluationError("date/time field value out of range", "22008") from None


def _timestamp(text: bytes) -> bytes:
    stripped = text.strip(_SPACE)
    if _DATE.match(stripped):
        return _date(stripped) + b" 00:00:00"
    found = _TIMESTAMP.match(stripped)
    if found is None:
        raise unsupported("only timestamps written as YYYY-MM-DD HH:MM:SS are read from texts")
    day, hour, minute, second, fraction = found.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        raise unsupported("this time of day is not supported")
    clock = b"%s %s:%s:%s" % (_date(day), hour, minute, second or b"00")
    fraction = (fraction or b"").rstrip(b"0")
    return clock + b"." + fraction if fraction else clock


def _uuid(text: bytes) -> bytes:
    if not _UUID.match(text):
        if re.fullmatch(rb"[0-9a-fA-F{}-]*", text):
            raise unsupported("this spelling of a uuid is not supported")
        raise _invalid(UUID)
    digits = text.replace(b"-", b"").lower()
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _numeric_to_integer(type_oid: int) -> Convert:
    def convert(value: bytes) -> bytes:
        if value[-1:] in b"Ny":
            raise EvaluationError(f"cannot convert NaN or infinity to {_NAMES[type_oid]}", "0A000")
        number = Decimal(value.decode())
        if number.adjusted() > 30:
            raise EvaluationError(f"{_NAMES[type_oid]} out of range", "22003")
        return fitting(int(number.to_integral_value(ROUND_HALF_UP)), type_oid)

    return convert


def _date_of(timestamp: bytes) -> bytes:
    instant = moments.read_moment(timestamp)
    infinite = instant in (moments.FOREVER, moments.NEVER)
    return moments.write_date(instant if infinite else instant // moments.DAY)


def date_to_timestamp(canonical: bytes) -> bytes:
    """Midnight. Raises ``EvaluationError`` 22008 beyond what a timestamp may be."""
    days = moments.read_date(canonical)
    return moments.write_moment(days if days in (moments.FOREVER, moments.NEVER) else days * moments.DAY)


_READERS: dict[int, Convert] = {
    **{t: _integer(t) for t in INTEGERS},
    NUMERIC: _numeric,
    BOOL: _boolean,
    DATE: _date,
    TIMESTAMP: _timestamp,
    UUID: _uuid,
}


def _narrowing(target: int) -> Convert:
    return lambda value: fitting(int(value), target)


_BETWEEN: dict[tuple[int, int], Convert] = {
    **{
        (source, target): _narrowing(target) for source in INTEGERS for target in INTEGERS if source != target
    },
    **{(source, NUMERIC): bytes for source in INTEGERS},
    **{(NUMERIC, target): _numeric_to_integer(target) for target in INTEGERS},
    (DATE, TIMESTAMP): date_to_timestamp,
    (TIMESTAMP, DATE): _date_of,
    (LOCAL, DATE): _date_of,
    (LOCAL, TIMESTAMP): bytes,
}
