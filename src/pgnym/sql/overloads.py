"""Whether a call of a built-in function's name may mean a user's own function (``func_get_detail`` in parse_func.c).

The extension citext has variants of ``min``, ``replace``, ``split_part`` and their like. Nothing becomes citext
unasked (``citext--1.4.sql``: casts to it are for assignment), so these are meant only where an argument is one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgnym.sql.catalog import Catalog
from pgnym.sql.kinds import Kind, Open, Plain, Token, shape

_CITEXT = "citext"


def own_functions_meant(catalog: Catalog, name: str, *, citext: bool) -> bool:
    """Whether one of the database's own functions may be meant. ``citext``: whether an argument may be of that type."""
    overloads = catalog.functions.get(name, ())
    return any(citext or not any(is_citext(catalog, a) for a in f.arguments) for f in overloads)


def is_citext(catalog: Catalog, type_oid: int) -> bool:
    """Whether a type is citext."""
    known = catalog.types.get(type_oid)
    return known is not None and known.name == _CITEXT


def any_citext(catalog: Catalog, kinds: Iterable[Kind]) -> bool:
    """Whether one of several values may be citext: also one of a type that isn't known."""
    return any(_may_be_citext(catalog, kind) for kind in kinds)


def _may_be_citext(catalog: Catalog, kind: Kind) -> bool:
    known = shape(kind)
    if isinstance(kind, Open) and any(o.cast_name == _CITEXT for o in kind.root().occurrences):
        return True
    if isinstance(known, Token):
        return any(is_citext(catalog, p.type_oid) for p in known.lineage)
    return isinstance(known, Plain) and (not known.type_oid or is_citext(catalog, known.type_oid))
