"""A value of one type as one of another, where a client's type isn't the column's: PostgreSQL's casts, done here."""

from __future__ import annotations

from pgnym.gateway.reports import GatewayError
from pgnym.sql.plan import Use
from pgnym.wire import codecs
from pgnym.wire.codecs.numbers import widened

TEXTS = frozenset((0, 19, 25, 705, 1042, 1043))
INTEGERS = frozenset((20, 21, 23))
DATE, TIMESTAMP, NUMERIC, FLOAT4, FLOAT8 = 1082, 1114, 1700, 700, 701
FLOATS = frozenset((FLOAT4, FLOAT8))


def convert(canonical: bytes, source: int, target: int, use: Use) -> bytes:
    """A canonical value of one type as one of another, where PostgreSQL's implicit or assignment cast is exact.

    A number beside a real is compared as double precision: one that no real equals gets a value that is in no row. Raises
    ``GatewayError`` 42804 for any other pair, since the gateway does not guess at casts.
    """
    if source == target or target in TEXTS:
        return canonical
    if source in INTEGERS and (target in INTEGERS or target == NUMERIC):
        return codecs.canonical_from_text(target, -1, canonical)
    if source in TEXTS:
        return codecs.canonical_from_text(target, -1, canonical)
    if target in FLOATS and source in INTEGERS | FLOATS | {NUMERIC}:
        if source == FLOAT4:
            return widened(canonical)
        if target == FLOAT4 and use is not Use.WRITE:
            return _real(codecs.canonical_from_text(FLOAT8, -1, canonical), use)
        return codecs.canonical_from_text(target, -1, canonical)
    if source == DATE and target == TIMESTAMP:
        if canonical in (b"infinity", b"-infinity"):
            return canonical
        era = b" BC" if canonical.endswith(b" BC") else b""
        return canonical.removesuffix(b" BC") + b" 00:00:00" + era
    if source == TIMESTAMP and target == DATE and canonical.endswith(b" 00:00:00"):
        return canonical.removesuffix(b" 00:00:00")
    raise GatewayError(
        "42804",
        "a value of another type meets a protected column",
        detail=f"The value has type OID {source}, the column {target}.",
        hint="Send the value in the column's own type, or cast it to that.",
    )


def _real(canonical: bytes, use: Use) -> bytes:
    """The real that a double precision value equals; the value itself, marked, where there is none."""
    try:
        real = codecs.canonical_from_text(FLOAT4, -1, canonical)
        equal = widened(real) == canonical
    except codecs.CodecError:  # too large or too small for a real
        equal = False
    if equal:
        return real
    if use is Use.CARRY:
        raise GatewayError(
            "0A000",
            "a double precision value that may be shown beside a protected real is not supported",
            hint="Cast it to real.",
        )
    return b"=" + canonical
