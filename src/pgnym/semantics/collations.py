"""The order of values: of each type, exactly that of its default btree operator class; of texts, under a collation."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

from pgnym.semantics import libc, moments
from pgnym.semantics.errors import UnsupportedCollation, foreign_provider, unsupported
from pgnym.semantics.expression import Collation
from pgnym.semantics.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    CIDR,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    JSONB,
    LOCAL,
    NAME,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    VARCHAR,
)

Key = Callable[[bytes], Any]
_BYTEWISE_LIBC = frozenset(("C", "POSIX", "C.UTF-8", "C.UTF8", "C.utf8", "C.utf-8"))
"""glibc 2.35 and later order C.UTF-8 by code point, which in UTF-8 is the order of the bytes."""


def sort_key(type_oid: int, collation: Collation | None) -> Key:
    """A key function on canonical values, whose order is the server's.

    Equal keys are what the server's ``=`` takes for equal. Raises ``UnsupportedCollation`` if the order can't be had on
    this machine, ``EvaluationError`` 0A000 for a type whose order isn't known here.
    """
    if type_oid in (TEXT, VARCHAR):
        return _text_key(collation)
    if type_oid == BPCHAR:
        inner = _text_key(collation)
        return lambda value: inner(value.rstrip(b" "))
    key = _KEYS.get(type_oid)
    if key is None:
        name = "jsonb" if type_oid == JSONB else f"the type with OID {type_oid}"
        raise unsupported(f"the order of {name} is not known to the gateway")
    return key


def is_bytewise(collation: Collation) -> bool:
    """Whether texts under it are ordered by their bytes. Raises ``UnsupportedCollation`` if it is nondeterministic."""
    if not collation.deterministic:
        raise UnsupportedCollation(
            f'collation "{collation.name}" is nondeterministic: texts that differ may be equal',
            "Use a COLLATE clause with a deterministic collation.",
        )
    if collation.provider == "b":
        return True  # all of the builtin provider's order by code point
    return collation.provider == "c" and collation.locale in _BYTEWISE_LIBC


def _text_key(collation: Collation | None) -> Key:
    if collation is None:
        raise UnsupportedCollation(
            "it isn't known which collation orders these texts", "Add a COLLATE clause."
        )
    if is_bytewise(collation):
        return bytes
    if collation.provider != "c":
        raise foreign_provider(collation.provider, collation.locale, "the order of texts")
    return cmp_to_key(libc.locale(collation.locale, collation.version).comparison())


def _numeric(value: bytes) -> tuple[int, Decimal]:
    if value == b"NaN":
        return 1, _ZERO  # beyond infinity, and equal to itself
    return 0, Decimal(value.decode())


def _float(value: bytes) -> tuple[int, float]:
    return (1, 0.0) if value == b"NaN" else (0, float(value))


def _inet(value: bytes) -> tuple[int, int, int, int]:
    """network_cmp: family, the bits that both networks have, the length of the mask, all bits of the address.

    Comparing the network part padded with zeros, then the length, is the same order.
    """
    interface = ipaddress.ip_interface(value.decode())
    network = interface.network
    return interface.version, int(network.network_address), network.prefixlen, int(interface.ip)


_ZERO = Decimal(0)
_KEYS: dict[int, Key] = {
    NAME: bytes,
    BOOL: bytes,  # f, t
    BYTEA: bytes,  # hex digits order as the octets do
    UUID: bytes,
    TIME: bytes,  # of fixed width, but for a fraction without trailing zeros
    INT2: int,
    INT4: int,
    INT8: int,
    NUMERIC: _numeric,
    FLOAT4: _float,
    FLOAT8: _float,
    DATE: moments.read_date,
    TIMESTAMP: moments.read_moment,
    TIMESTAMPTZ: moments.read_moment,
    LOCAL: moments.read_moment,
    INET: _inet,
    CIDR: _inet,
}
