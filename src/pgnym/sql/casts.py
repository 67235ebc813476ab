"""Casts. Drivers and ORMs put them everywhere: ``$1::VARCHAR``, ``'1962-02-18'::date``, ``date '1962-02-18'``.

A cast of a constant or parameter tells the type its author had in mind: the value must be of that type, and where the
stored column is text the type's name in the statement is replaced. A cast of a column between text-like types leaves the
token as it is; what would change the value is refused.
"""

from __future__ import annotations

from pgnym.sql.deferred import defer_cast
from pgnym.sql.infer import Node, Run, expression, infer, location, split
from pgnym.sql.kinds import (
    ArrayOf,
    Deferred,
    Document,
    Kind,
    LateCast,
    Occurrence,
    Open,
    Plain,
    Row,
    Text,
    Token,
    protected,
    shape,
    unsized,
)
from pgnym.sql.overloads import is_citext
from pgnym.sql.plan import Container
from pgnym.sql.resolve import Scope
from pgnym.sql.type_names import type_end
from pgnym.sql.types import BPCHAR, TEXT, VARCHAR, array_of, family, find_type, type_name_parts, typmod_of
from pgnym.sql.unify import unsupported


@expression("TypeCast")
def _cast(run: Run, node: Node, scope: Scope) -> Kind:
    kind = infer(run, node["arg"], scope)
    target = node["typeName"]
    schema, name = type_name_parts(target)
    oid = find_type(run.catalog, run.knowledge.types, schema, name)
    typmod = _typmod(run, target, oid)
    is_array = bool(target.get("arrayBounds"))
    known = shape(kind)
    if isinstance(kind, Open):
        return _cast_open(run, node, kind, oid, typmod, is_array)
    if isinstance(known, Open):
        return known
    if isinstance(known, ArrayOf) and isinstance(inner := shape(known.element), Open) and is_array:
        _cast_late(run, node, known, array_of(run.catalog, oid), typmod, is_array)
        inner.root().cast = True
        return known
    if not protected(known):
        return known if isinstance(known, ArrayOf | Row) else Plain(f"a value of type {name}", oid)
    if isinstance(known, Token) and not is_array:
        return _cast_token(run, node, known, oid, typmod)
    if isinstance(known, Deferred) and not is_array:
        return _cast_deferred(run, node, known, oid, typmod)
    if isinstance(known, Text) and family(run.catalog, oid) == "text" and typmod == -1 and not is_array:
        return Text((known,), Container.TEXT, known.of, exact=True, fixed=known.fixed)
    if (
        isinstance(known, Text)
        and known.container is Container.JSON
        and name in ("json", "jsonb")
        and not is_array
    ):
        return known
    if isinstance(known, Document) and not is_array and typmod == -1:
        if name in ("json", "jsonb"):
            return known
        if family(run.catalog, oid) == "text":
            return Text((known,), Container.TEXT, f"the text of {known.of}", exact=True)
    if isinstance(known, ArrayOf):
        cast = _cast_array(run, node, known, oid, typmod, is_array)
        if cast is not None:
            return cast
    if isinstance(known, Text) and not is_array:
        return _deferred(run, node, known, oid, typmod)
    raise unsupported(known, f"cast to {name}", location(node))


def _cast_array(run: Run, node: Node, kind: ArrayOf, oid: int, typmod: int, is_array: bool) -> Kind | None:
    """An array to an array of the same elements, or to its text form; None for any other cast."""
    inner = shape(kind.element)
    if not isinstance(inner, Token) or inner.mixed:
        return None
    to_text = family(run.catalog, oid) == "text"
    if not is_array:
        columns = ", ".join(sorted(inner.columns))
        return (
            Text((kind,), Container.TEXT, f"the text form of column {columns}")
            if to_text and typmod == -1
            else None
        )
    original = inner.protection.type_oid
    if BPCHAR in (oid, original) and oid != original:
        return None
    if _text_like(run, inner):
        if not to_text or typmod not in (-1, inner.typmod):
            return None
    elif oid != original or typmod not in (-1, inner.typmod):
        return None
    if inner.protection.stored_oid != oid or typmod != -1:
        _retype(run, node, b"varchar[]" if oid == VARCHAR else b"text[]")
        return kind if typmod != -1 or not _text_like(run, inner) else unsized(kind)
    return unsized(kind)


def _typmod(run: Run, target: Node, oid: int) -> int:
    """The modifier of a TypeName; its constants are pinned."""
    arguments: list[int] = []
    for modifier in target.get("typmods", ()):
        tag, fields = split(modifier)
        if tag != "A_Const" or "ival" not in fields:
            return -2  # an interval's fields and the like: never equal to a column's
        run.pin(fields)
        arguments.append(fields["ival"].get("ival", 0))
    return typmod_of(oid, arguments)


def _text_like(run: Run, token: Token) -> bool:
    return family(run.catalog, token.protection.type_oid) == "text"


def _cast_open(run: Run, node: Node, kind: Open, oid: int, typmod: int, is_array: bool) -> Kind:
    """Note the cast on the occurrence; whether it fits is judged when its kind is known (``rewrite.py``)."""
    tag, _ = split(node["arg"])
    root = kind.root()
    if root.bound is not None and not isinstance(shape(kind), Token):
        return kind
    start = location(node["typeName"])
    if start is None:
        return kind
    cast_oid = array_of(run.catalog, oid) if is_array else oid
    if tag not in ("A_Const", "ParamRef") or len(root.occurrences) != 1 or root.occurrences[0].cast_oid:
        _cast_late(run, node, kind, cast_oid, typmod, is_array)
        root.cast = True
        return kind
    occurrence = root.occurrences[0]
    occurrence.cast_oid = cast_oid
    occurrence.cast_typmod = typmod
    occurrence.cast_array = is_array
    occurrence.cast_span = (start, type_end(run.lexed, start))
    occurrence.cast_name = type_name_parts(node["typeName"])[1]
    if not occurrence.cast_oid:
        occurrence.cast_oid = -1
    return kind


def _cast_late(
    run: Run, node: Node, kind: Open | ArrayOf, cast_oid: int, typmod: int, is_array: bool
) -> None:
    start = location(node["typeName"])
    if start is None:
        return
    span = (start, type_end(run.lexed, start))
    name = type_name_parts(node["typeName"])[1]
    run.late_casts.append(LateCast(kind, span, cast_oid or -1, typmod, is_array, name))


def _cast_token(run: Run, node: Node, token: Token, oid: int, typmod: int) -> Kind:
    at = location(node)
    protection = token.protection
    name = type_name_parts(node["typeName"])[1]
    to_text = family(run.catalog, oid) == "text"
    original = family(run.catalog, protection.type_oid)
    if token.mixed:
        raise unsupported(token, f"cast to {name}", at)
    folded = is_citext(run.catalog, protection.type_oid)
    if original == "text" and is_citext(run.catalog, oid) != folded:
        return _cast_case(token, name, folded and to_text and oid != BPCHAR and typmod == -1, at)
    if original == "text":
        # char(n) loses its trailing blanks when it becomes text
        if not to_text or BPCHAR in (oid, protection.type_oid) or typmod not in (-1, token.typmod):
            return _deferred(run, node, token, oid, typmod)
        if typmod == -1:
            # the column's own modifier goes, as it would with PostgreSQL's relabelling
            if protection.stored_oid == protection.type_oid or oid in (TEXT, VARCHAR):
                return Token(token.lineage, protection, -1, token.mixed, collations=token.collations)
            return token
        _retype(run, node)
        return token
    if to_text:
        if typmod != -1:
            return _deferred(run, node, token, oid, typmod)
        what = f"the text form of column {', '.join(sorted(token.columns))}"
        return Text((token,), Container.TEXT, what, exact=True, fixed=True)
    if oid == protection.type_oid and typmod in (-1, token.typmod):
        _retype(run, node)
        return token
    return _deferred(run, node, token, oid, typmod)


def _cast_case(token: Token, name: str, as_text: bool, position: int | None) -> Kind:
    """Between citext and other texts, which differ in what is equal. ``as_text``: it is shown as text is."""
    columns = ", ".join(sorted(token.columns))
    if as_text:
        return Text((token,), Container.TEXT, f"the text form of column {columns}", exact=True, fixed=True)
    refusal = unsupported(token, f"cast to {name}", position)
    refusal.hint = (
        "Compare lower() of the column, or configure `normalize: casefold`, so that case never matters."
    )
    raise refusal


def _cast_deferred(run: Run, node: Node, known: Deferred, oid: int, typmod: int) -> Kind:
    """The result of a deferred function as text; a text stays what it is."""
    if family(run.catalog, oid) != "text" or oid == BPCHAR or typmod != -1:
        return _deferred(run, node, known, oid, typmod)
    if known.type_oid in (TEXT, VARCHAR):
        return known
    return Text((known,), Container.TEXT, f"the text form of {known.of}", exact=True)


def _deferred(run: Run, node: Node, kind: Kind, oid: int, typmod: int) -> Kind:
    """A cast that changes the value, where it can be made after the reveal. Raises Refused where it can't."""
    what = f"cast to {type_name_parts(node['typeName'])[1]}"
    found = defer_cast(run, {"TypeCast": node}, kind, oid, what) if typmod == -1 else None
    if found is None:
        raise unsupported(kind, what, location(node))
    return found


def _retype(run: Run, node: Node, name: bytes = b"text") -> None:
    """Replace the type's name in a cast of a column by ``text``, as which the token is stored."""
    start = location(node["typeName"])
    if start is None or run.view_depth:
        return
    run.edits[start, type_end(run.lexed, start)] = name


def cast_fits(run: Run, occurrence: Occurrence | LateCast, token: Token, is_array: bool) -> bool:
    """Whether the cast around a constant or parameter names a type of the domain's family."""
    if not occurrence.cast_oid:
        return True
    if occurrence.cast_array != is_array:
        return False
    named = occurrence.cast_oid
    original = token.protection.type_oid
    if is_array:
        return named == array_of(run.catalog, original) or (
            family(run.catalog, original) == "text" and named in (1009, 1015, 1014)
        )
    return family(run.catalog, named) == family(run.catalog, original)
