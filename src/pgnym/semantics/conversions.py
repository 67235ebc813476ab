"""What a value becomes when it stands where another type is wanted, and its own form in a column of limited length."""

from __future__ import annotations

from collections.abc import Callable

from pgnym.semantics.casts import cast
from pgnym.semantics.numbers import rounded
from pgnym.semantics.types import BPCHAR, CIDR, INET, NUMERIC

Convert = Callable[[bytes], bytes]
_HEADER = 4
"""A length typmod counts the varlena header."""


def own_form(type_oid: int, typmod: int) -> Convert | None:
    """The value as its column shows it; None where that is as it is.

    The columns of one domain may differ in length, so a char(n) is padded anew; a numeric(p,s) has the
    scale of the column.
    """
    if type_oid == BPCHAR and typmod > _HEADER:
        length = typmod - _HEADER
        return lambda value: value.decode().ljust(length).encode()
    if type_oid == NUMERIC and typmod > _HEADER:
        scale = max((typmod - _HEADER & 0x7FF ^ 0x400) - 0x400, 0)
        return lambda value: rounded(value, scale)
    return None


def implicit(source: int, target: int) -> Convert | None:
    """The conversion between two types of which ``types.converts`` says that it is done unasked; None: nothing to do."""
    if source == CIDR and target == INET:
        return _cidr_to_inet
    convert = cast(source, target)
    return None if convert is bytes else convert


def _cidr_to_inet(value: bytes) -> bytes:
    """A network's text always has its mask; that of an address without network hasn't."""
    return value.removesuffix(b"/128" if b":" in value else b"/32")
