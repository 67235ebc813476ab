"""Which types can be protected, what they are stored as, and the CHECK that binds a column to its domain."""

from __future__ import annotations

from pgnym.sql.guard import array_check as array_check
from pgnym.sql.guard import check_expression as check_expression
from pgnym.sql.guard import check_name as check_name
from pgnym.sql.guard import no_string as no_string
from pgnym.sql.guard import path_check as path_check
from pgnym.sql.guard import path_exists as path_exists
from pgnym.sql.guard import pattern as pattern
from pgnym.sql.types import ELEMENTS, TEXT_ARRAY, VARCHAR_ARRAY

TOKEN_LENGTH = 30
TEXT, VARCHAR, BPCHAR = 25, 1043, 1042
VARLENA_HEADER = 4  # typmod of varchar(n) is n plus this, as in src/include/catalog/pg_type.dat's varchar

NAMES: dict[int, str] = {
    TEXT: "text",
    VARCHAR: "varchar",
    BPCHAR: "char",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
    21: "smallint",
    23: "integer",
    20: "bigint",
    1700: "numeric",
    700: "real",
    701: "double precision",
    2950: "uuid",
    869: "inet",
    17: "bytea",
    3802: "jsonb",
}
# Columns of one domain share tokens, so that equal values must have equal canonical forms.
FAMILIES: dict[int, str] = {TEXT: "text", VARCHAR: "text", 21: "integer", 23: "integer", 20: "integer"}
NUMERIC, JSONB = 1700, 3802


# Arrays of these types can be protected, element by element (a token of jsonb would be an element of its own).
ARRAYS: dict[int, int] = {
    array: element for array, element in ELEMENTS.items() if element in NAMES and element != JSONB
}


def codec(type_oid: int, base_name: str) -> int | None:
    """The built-in type whose formats a type has, or None if it can't be protected."""
    if type_oid in NAMES or type_oid in ARRAYS:
        return type_oid
    return {"citext": TEXT, "_citext": TEXT_ARRAY}.get(base_name)


# Why types that people do put personal data in can't be protected; by pg_type.typtype, then by name.
_KINDS = {
    "d": (
        "the constraints of a domain type would be given tokens",
        "change the column to the type that it is based on; what the constraints ask, the application then has to see to",
    ),
    "e": (
        "a token is none of an enum's labels, and so few values are soon guessed",
        "change the column to text, with a table of its values; or leave it unprotected",
    ),
    "c": ("a composite value has no text that could be a token", "protect a column for each of its fields"),
    "r": ("ranges are compared by what lies within them", "protect a column for each of its bounds"),
    "m": ("ranges are compared by what lies within them", "protect a column for each of its bounds"),
}
_NAMED = {
    "json": ("json has no equality, and keeps each spelling", "change the column to jsonb"),
    "_jsonb": (
        "documents in an array have no form as tokens",
        "change the column to jsonb, with an array in it",
    ),
    "interval": (
        "one interval has many spellings (1 day, 24 hours)",
        "change the column to a number of seconds",
    ),
    "timetz": (
        "equal times of different zones are shown differently",
        "change the column to timestamptz or text",
    ),
    "money": ("its text depends on lc_monetary", "change the column to numeric"),
    "xml": ("xml has no equality", "change the column to text"),
    "bool": ("of two values each token is guessed at once", "leave it unprotected"),
}


def unsupported(type_kind: str, base_name: str) -> tuple[str, str]:
    """Why a type can't be protected, and what to do. Parameters: ``pg_type.typtype`` and ``typname``."""
    known = _NAMED.get(base_name) or _KINDS.get(type_kind)
    if known is not None:
        return known
    names = ", ".join(NAMES.values())
    return "it is not supported", f"supported are {names}, citext, and arrays of these but jsonb"


def element(codec_oid: int) -> int:
    """The type of the values that become tokens: of an array its elements', else the type itself."""
    return ARRAYS.get(codec_oid, codec_oid)


def family(codec_oid: int, type_name: str) -> str:
    """Columns may share a domain if this is the same: char(n) pads, so its length matters."""
    inner = element(codec_oid)
    return type_name.removesuffix("[]") if inner == BPCHAR else FAMILIES.get(inner, NAMES[inner])


def text_like(codec_oid: int) -> bool:
    """Whether the type, or that of the elements, has an empty value."""
    return element(codec_oid) in (TEXT, VARCHAR, BPCHAR)


def stored_type(type_oid: int, typmod: int, type_name: str, codec_oid: int) -> str:
    """The type that holds the tokens of a column: its own where they fit."""
    if codec_oid in ARRAYS:
        inner = VARCHAR if type_oid == VARCHAR_ARRAY else 0
        return stored_type(inner, typmod, type_name.removesuffix("[]"), ARRAYS[codec_oid]) + "[]"
    if type_oid == VARCHAR:
        narrow = typmod >= 0 and typmod - VARLENA_HEADER < TOKEN_LENGTH
        return f"character varying({TOKEN_LENGTH})" if narrow else type_name
    if codec_oid == TEXT:
        return type_name
    return "text"
