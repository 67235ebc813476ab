"""Type names and families of types that share a text form and an equality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgnym.sql.catalog import Catalog, Type

TEXT, VARCHAR, BPCHAR, UNKNOWN = 25, 1043, 1042, 705
TEXT_ARRAY, VARCHAR_ARRAY = 1009, 1015
# int2, int4, int8, numeric: the common type of two is the later one.
NUMBERS = (21, 23, 20, 1700)

# pg_type.dat: the built-in types a protected column may have had, with the aliases the grammar leaves as they are.
BUILTIN: Mapping[str, int] = {
    "bool": 16,
    "bytea": 17,
    "name": 19,
    "int8": 20,
    "int2": 21,
    "int4": 23,
    "text": TEXT,
    "oid": 26,
    "json": 114,
    "xml": 142,
    "float4": 700,
    "float8": 701,
    "inet": 869,
    "cidr": 650,
    "bpchar": BPCHAR,
    "varchar": VARCHAR,
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamptz": 1184,
    "interval": 1186,
    "timetz": 1266,
    "numeric": 1700,
    "uuid": 2950,
    "jsonb": 3802,
    "regclass": 2205,
    "record": 2249,
}
ARRAYS: Mapping[int, int] = {
    16: 1000, 17: 1001, 19: 1003, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 26: 1028, 114: 199, 700: 1021, 701: 1022,
    869: 1041, 650: 651, 1042: 1014, 1043: 1015, 1082: 1182, 1083: 1183, 1114: 1115, 1184: 1185, 1186: 1187,
    1266: 1270, 1700: 1231, 2950: 2951, 3802: 3807,
}  # fmt: skip
ELEMENTS: Mapping[int, int] = {array: element for element, array in ARRAYS.items()}
_FAMILIES = {
    TEXT: "text", VARCHAR: "text", BPCHAR: "text", UNKNOWN: "text",
    20: "number", 21: "number", 23: "number", 1700: "number",
    869: "inet", 650: "inet",
}  # fmt: skip


def base_type(catalog: Catalog, oid: int) -> int:
    """The type under a chain of domains."""
    for _ in range(32):
        known = catalog.types.get(oid)
        if known is None or not known.base:
            break
        oid = known.base
    return oid


def family(catalog: Catalog, oid: int) -> str:
    """A name for the types whose values mean the same when they are spelled the same; ``text`` for text-like ones."""
    oid = base_type(catalog, oid)
    known = catalog.types.get(oid)
    if known is not None and known.name == "citext":
        return "text"
    return _FAMILIES.get(oid, str(oid))


def array_of(catalog: Catalog, oid: int) -> int:
    """The array type of a type, or 0."""
    known = catalog.types.get(oid)
    if known is not None and known.array:
        return known.array
    return ARRAYS.get(oid, 0)


def element_of(catalog: Catalog, oid: int) -> int:
    """The element type of an array type, or 0."""
    known = catalog.types.get(oid)
    if known is not None and known.element:
        return known.element
    return ELEMENTS.get(oid, 0)


def find_type(catalog: Catalog, by_name: Mapping[str, list[Type]], schema: str | None, name: str) -> int:
    """The OID of a type by name, or 0. Ambiguity across schemas gives 0, unless the built-in one is among them."""
    if schema in (None, "pg_catalog") and name in BUILTIN:
        return BUILTIN[name]
    found = [t for t in by_name.get(name, ()) if schema is None or t.schema == schema]
    if len(found) == 1:
        return found[0].oid
    for candidate in found:
        if candidate.schema == "pg_catalog":
            return candidate.oid
    return 0


def typmod_of(oid: int, arguments: list[int]) -> int:
    """The modifier that ``type(arguments)`` has (``varchar_in``'s and others' typmodin functions)."""
    if not arguments:
        return -1
    if oid in (VARCHAR, BPCHAR):
        return arguments[0] + 4
    if oid == BUILTIN["numeric"]:
        scale = arguments[1] if len(arguments) > 1 else 0
        return ((arguments[0] << 16) | (scale & 0x7FF)) + 4
    return arguments[0]


def type_name_parts(node: dict[str, Any]) -> tuple[str | None, str]:
    """(schema, name) of a TypeName node."""
    names = [n["String"].get("sval", "") for n in node.get("names", ())]
    if not names:
        return None, ""
    return (names[-2] if len(names) > 1 else None), names[-1]
