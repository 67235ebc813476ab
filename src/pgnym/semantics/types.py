"""OIDs of the types whose values this room knows (``pg_type.dat``), and how they may be converted unasked."""

from __future__ import annotations

UNKNOWN = 705
BOOL, BYTEA, NAME = 16, 17, 19
INT8, INT2, INT4 = 20, 21, 23
TEXT, VARCHAR, BPCHAR = 25, 1043, 1042
FLOAT4, FLOAT8, NUMERIC = 700, 701, 1700
CIDR, INET = 650, 869
DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 1082, 1083, 1114, 1184, 1186
UUID, JSONB = 2950, 3802
LOCAL = 0xFFFF_04A0
"""A type of our own: a timestamptz of which the local time is known, and not the TimeZone that it is local in.

It can be shown where that is known, ordered among its like, and cast; no function takes it, and nothing is compared with it.
"""

TEXTS = frozenset((TEXT, VARCHAR, BPCHAR, NAME))
INTEGERS = frozenset((INT2, INT4, INT8))

CATEGORIES = {
    BOOL: "B", BYTEA: "U", NAME: "S", TEXT: "S", VARCHAR: "S", BPCHAR: "S", UNKNOWN: "X",
    INT2: "N", INT4: "N", INT8: "N", FLOAT4: "N", FLOAT8: "N", NUMERIC: "N",
    CIDR: "I", INET: "I", DATE: "D", TIME: "D", TIMESTAMP: "D", TIMESTAMPTZ: "D", INTERVAL: "T", UUID: "U", JSONB: "U",
}  # fmt: skip
PREFERRED = frozenset((BOOL, TEXT, FLOAT8, INET, TIMESTAMPTZ, INTERVAL))

# pg_cast.dat, castcontext i. date to timestamptz, timestamp to timestamptz and time to timetz are left out: they
# depend on the TimeZone setting, so a signature that needs them isn't found.
IMPLICIT: dict[int, frozenset[int]] = {
    VARCHAR: frozenset((TEXT, BPCHAR)),
    BPCHAR: frozenset((TEXT, VARCHAR)),
    TEXT: frozenset((VARCHAR, BPCHAR)),
    NAME: frozenset((TEXT,)),
    INT2: frozenset((INT4, INT8, NUMERIC, FLOAT4, FLOAT8)),
    INT4: frozenset((INT8, NUMERIC, FLOAT4, FLOAT8)),
    INT8: frozenset((NUMERIC, FLOAT4, FLOAT8)),
    NUMERIC: frozenset((FLOAT4, FLOAT8)),
    FLOAT4: frozenset((FLOAT8,)),
    CIDR: frozenset((INET,)),
    DATE: frozenset((TIMESTAMP,)),
    TIME: frozenset((INTERVAL,)),
}


def shown_type(type_oid: int) -> int:
    """The type that PostgreSQL has for one of these."""
    return TIMESTAMPTZ if type_oid == LOCAL else type_oid


def converts(source: int, target: int) -> bool:
    """Whether a value of ``source`` may stand where ``target`` is wanted, without a cast being written."""
    return source in (target, UNKNOWN, 0) or target in IMPLICIT.get(source, ())
