"""Kinds of jsonb values of which only the strings at some paths are tokens: their part of the unification.

A constant or parameter that meets such a value is a document, too: the gateway tokenizes the strings at the same paths.
What can't be told from the statement (a key that isn't constant) may still be shown, with the lineage of all paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgnym.semantics.documents import EACH, Path
from pgnym.sql import unify
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import Document, Kind, Open, Plain, Text, Token, shape
from pgnym.sql.plan import Container, Use

ANY_KEY = object()


class Digits(str):
    """A step of digits in a path: an index of an array, or a key of an object."""

    __slots__ = ()


Step = str | int | object


def meet(node: Open, document: Document, use: Use, what: str, position: int | None) -> None:
    """A variable meets a document: it becomes one with tokens at the same paths."""
    root = node.root()
    if any(o.numeric for o in root.occurrences):
        raise unify.conflict(document, Plain("a number"), what, position)
    if root.bound is None:
        root.bound = replace(document, carried=())
    elif not (isinstance(root.bound, Document) and _alike(root.bound, document)):
        raise unify.conflict(root.bound, document, what, position)
    root.uses.extend((use, token) for _, token in document.leaves)


def use_again(node: Open, use: Use) -> None:
    """What a variable has become is put to another use as well."""
    kind = shape(node)
    if isinstance(kind, Document):
        node.root().uses.extend((use, token) for _, token in kind.leaves)
    elif isinstance(kind, Token):
        unify.meet(node, kind, use, "a document", None)


def _alike(one: Document, other: Document) -> bool:
    """Whether both have tokens of the same domains at the same paths."""
    left, right = dict(one.leaves), dict(other.leaves)
    return left.keys() == right.keys() and all(unify.same_domain(left[p], right[p]) for p in left)


def compare(left: Kind, right: Kind, what: str, position: int | None, *, whole: bool = True) -> None:
    """Equality (``whole``), or containment, of which the gateway judges for each constant which leaves it asks for."""
    one, other = shape(left), shape(right)
    if whole:
        for kind in (one, other):
            unify.groupable(kind, what, position)
    if isinstance(one, Document) and isinstance(right, Open):
        meet(right, one, Use.COMPARE, what, position)
    elif isinstance(other, Document) and isinstance(left, Open):
        meet(left, other, Use.COMPARE, what, position)
    elif not (isinstance(one, Document) and isinstance(other, Document) and _alike(one, other)):
        raise unify.conflict(one, other, what, position)


def flow(kinds: Sequence[Kind], what: str, position: int | None) -> Kind:
    """The kind of a value that is one of several, of which one at least is a document."""
    shapes = [shape(k) for k in kinds]
    documents = [s for s in shapes if isinstance(s, Document)]
    first = documents[0]
    if all(isinstance(s, Document | Open) for s in shapes) and all(_alike(first, d) for d in documents):
        joined = replace(first, leaves=_joined(documents))
        opens = tuple(k for k in kinds if isinstance(k, Open))
        for node in opens:
            meet(node, joined, Use.CARRY, what, position)
        return replace(joined, carried=(*opens, *(o for d in documents for o in d.carried)))
    for kind, known in zip(kinds, shapes, strict=True):
        if isinstance(known, Open) or (isinstance(known, Text) and known.container is not Container.JSON):
            raise unify.conflict(first, known, what, position)
        if not isinstance(known, Document | Plain | Text):
            raise unify.conflict(first, kind, what, position)
    return Text(tuple(kinds), Container.JSON, f"one of several values, among them {first.of}")


def _joined(documents: Sequence[Document]) -> tuple[tuple[Path, Token], ...]:
    leaves: dict[Path, Token] = {}
    for document in documents:
        for path, token in document.leaves:
            known = leaves.get(path)
            leaves[path] = token if known is None else replace(known, lineage=known.lineage | token.lineage)
    return tuple(leaves.items())


def assign(target: Document, label: str, kind: Kind, what: str, position: int | None) -> None:
    """A value is stored where ``target`` is: the whole column, or what lies at a subscript of it."""
    value = shape(kind)
    if isinstance(kind, Open):
        meet(kind, target, Use.WRITE, what, position)
        return
    if isinstance(value, Document):
        if not _alike(value, target):
            raise unify.conflict(value, target, what, position)
        for node in value.carried:
            use_again(node, Use.WRITE)
        return
    if isinstance(value, Text) and target.leaves[0][0] == () and _of_string(value):
        (inner,) = value.parts
        unify.assign(target.leaves[0][1].protection, label, inner, what, position)
        return
    raise Refused(
        f"{what} would store {unify.describe(value)} in jsonb column {label}, which has protected paths",
        detail="The value is computed by the database, which can't turn what lies at a path into a token.",
        hint="Pass the document as a constant or parameter; or change a part of it by jsonb_set() with a constant path.",
        position=position,
    )


def _of_string(value: Text) -> bool:
    """Whether it is ``to_jsonb`` of one string."""
    return value.container is Container.JSON and value.fixed and len(value.parts) == 1


def step(document: Document, key: Step) -> Kind:
    """``document -> key``. As in jsonpath's lax mode a path may pass an array, or ``[*]`` what is none."""
    leaves: list[tuple[Path, Token]] = []
    for path, token in document.leaves:
        if isinstance(key, int | Digits):
            leaves.append((path[1:] if path[:1] == (EACH,) else path, token))
            if isinstance(key, int):
                continue
        rest = path
        while rest[:1] == (EACH,):
            rest = rest[1:]
        if rest and rest[0] == key:
            leaves.append((rest[1:], token))
    found = dict(leaves)
    return (
        replace(document, leaves=tuple(found.items())) if found else Plain("a part of a jsonb value", _JSONB)
    )


def walk(kind: Kind, keys: Sequence[Step]) -> Kind:
    """The kind of what lies behind several keys."""
    for key in keys:
        if not isinstance(kind, Document):
            return kind
        if key is ANY_KEY:
            return anywhere(kind)
        kind = step(kind, key)
    return kind


def anywhere(document: Document) -> Text:
    """Some part of a document, it isn't known which."""
    tokens = tuple(token for _, token in document.leaves)
    of = f"a part of {document.of} at a key that isn't constant"
    return Text((*tokens, *document.carried), Container.JSON, of)


def as_text(kind: Kind) -> Kind:
    """What ``->>`` makes of a part: the string itself, else the JSON text."""
    if isinstance(kind, Text):
        return text_of(kind)
    if not isinstance(kind, Document):
        return Plain("text of a part of a jsonb value", 25)
    at = dict(kind.leaves)
    if () in at:
        return replace(at[()], typmod=-1, whole=False, carried=kind.carried)
    return text_of(replace(anywhere(kind), of=kind.of))


def text_of(part: Text) -> Text:
    """The text of a part that may be a string, too."""
    return Text((part,), Container.TEXT, f"the text of {part.of}", exact=True, loose=True)


_JSONB = 3802
