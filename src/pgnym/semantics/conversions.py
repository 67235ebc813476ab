"""What a value becomes when it stands where another type is wanted, and its own form in a column of limited length."""

from __future__ import annotations

from collections.abc import Callable

from pgnym.semantics import moments
from pgnym.semantics.types import BPCHAR, DATE, TEXT, TIMESTAMP, VARCHAR

Convert = Callable[[bytes], bytes]
_HEADER = 4
"""A length typmod counts the varlena header."""


def own_form(type_oid: int, typmod: int) -> Convert | None:
    """The value as its column shows it; None where that is as it is.

    The columns of one domain may differ in length, so a char(n) is padded anew.
    """
    if type_oid == BPCHAR and typmod > _HEADER:
        length = typmod - _HEADER
        return lambda value: _padded(value, length)
    return None


def implicit(source: int, target: int) -> Convert | None:
    """The conversion between two types of which ``types.converts`` says that it is done unasked; None: nothing to do."""
    if source == BPCHAR and target in (TEXT, VARCHAR):
        return lambda value: value.rstrip(b" ")
    if source == DATE and target == TIMESTAMP:
        return _date_to_timestamp
    return None


def _padded(value: bytes, length: int) -> bytes:
    if not value.isascii():
        return value.decode().ljust(length).encode() if len(value.decode()) < length else value
    return value.ljust(length)


def _date_to_timestamp(canonical: bytes) -> bytes:
    days = moments.read_date(canonical)
    return moments.write_moment(days if days in (moments.FOREVER, moments.NEVER) else days * moments.DAY)
