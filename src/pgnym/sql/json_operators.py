"""Operators and subscripts of jsonb values with protected paths."""

from __future__ import annotations

import json

from pgnym.semantics.documents import EACH
from pgnym.sql import documents
from pgnym.sql.documents import ANY_KEY, Digits, Step
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.kinds import ArrayOf, Document, Kind, Open, Plain, Text, Token, shape
from pgnym.sql.plan import Container
from pgnym.sql.unify import compare, conflict, flow, require_plain, unsupported

_BOOLEAN = Plain("a boolean", 16)


def json_operator(
    run: Run, name: str, left: Kind, right: Kind, nodes: tuple[Node, Node], at: int | None
) -> Kind | None:
    """The kind of ``left name right`` where a side is a jsonb value with protected paths; None where none is."""
    one, other = shape(left), shape(right)
    if not isinstance(one, Document) and not isinstance(other, Document):
        return None
    what = f"operator {name}"
    match name:
        case "@>" | "<@":
            documents.compare(left, right, what, at, whole=False)
            return _BOOLEAN
        case "||":
            if isinstance(one, Text) and one.container is Container.TEXT:
                return None
            if isinstance(other, Text) and other.container is Container.TEXT:
                return None
            return concatenated(left, right, at)
    if not isinstance(one, Document):
        return None
    match name:
        case "->" | "->>":
            require_plain(right, "a key", at)
            found = documents.walk(one, [constant_key(run, nodes[1])])
            return documents.as_text(found) if name == "->>" else found
        case "#>" | "#>>":
            require_plain(right, "a path", at)
            found = documents.walk(one, constant_path(run, nodes[1]))
            return documents.as_text(found) if name == "#>>" else found
        case "?" | "?|" | "?&":
            _exists(one, right, name, at)
            return _BOOLEAN
        case "-":
            _without(one, right, at)
            return one
        case "#-":
            require_plain(right, "a path", at)
            return one
    return None


def concatenated(left: Kind, right: Kind, at: int | None) -> Kind:
    """``||`` of two jsonb values: the second's keys win, arrays are joined; so each path stays where it was."""
    return flow([left, right], "operator ||", at)


def _exists(document: Document, right: Kind, name: str, at: int | None) -> None:
    """``?``: keys are plain; the elements of an array of tokens are not."""
    inner = _strings(document)
    many = name != "?"
    if inner is None:
        require_plain(right, f"operator {name}", at)
    else:
        compare(ArrayOf(inner) if many else inner, right, f"operator {name}", at)


def _without(document: Document, right: Kind, at: int | None) -> None:
    """``- 'key'``, ``- 1``, ``- '{a,b}'::text[]``: of an array of tokens it takes the elements that are equal."""
    inner = _strings(document)
    known = shape(right)
    if inner is None or (isinstance(known, Open) and all(o.numeric for o in known.occurrences)):
        require_plain(right, "operator -", at)
        return
    is_array = isinstance(known, ArrayOf) or (
        isinstance(known, Open) and any(o.cast_array for o in known.occurrences)
    )
    compare(ArrayOf(inner) if is_array else inner, right, "operator -", at)


def _strings(document: Document) -> Token | None:
    """The token of the document's own elements, or of itself; None when it has tokens further down only."""
    own = [token for path, token in document.leaves if path in ((), (EACH,))]
    return own[0] if own else None


def string_taken_out(fields: Node) -> bool:
    """Whether an A_Expr is the text of a part of a jsonb value: ``->>`` or ``#>>``."""
    names = [n["String"].get("sval", "") for n in fields.get("name", ())]
    return fields.get("kind", "AEXPR_OP") == "AEXPR_OP" and names[-1:] in (["->>"], ["#>>"])


def subscripted(run: Run, kind: Document, steps: list[Node]) -> Kind:
    """``kind['a']['b']`` (PostgreSQL 14): the value as jsonb."""
    keys = []
    for step in steps:
        if step.get("is_slice"):
            raise unsupported(kind, "a slice", None)
        keys.append(constant_key(run, step["uidx"]))
    return documents.walk(kind, keys)


def constant_key(run: Run, node: Node) -> Step:
    """The key or index that an expression names, ``ANY_KEY`` if it isn't constant. The plan then depends on it."""
    tag, fields = split(node)
    while tag == "TypeCast":
        tag, fields = split(fields["arg"])
    if tag != "A_Const":
        return ANY_KEY
    run.pin(fields)
    if "ival" in fields:
        return int(fields["ival"].get("ival", 0))
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    return ANY_KEY


def constant_path(run: Run, node: Node) -> list[Step]:
    """The steps of a text array that is a constant: ``'{a,b}'``, ``ARRAY['a', 'b']``; ``ANY_KEY`` for what can't be told."""
    tag, fields = split(node)
    while tag == "TypeCast":
        tag, fields = split(fields["arg"])
    if tag == "A_ArrayExpr":
        return [path_step(constant_key(run, each)) for each in fields.get("elements", ())]
    if tag != "A_Const" or "sval" not in fields:
        return [ANY_KEY]
    run.pin(fields)
    text = str(fields["sval"].get("sval", "")).strip()
    if not (text.startswith("{") and text.endswith("}")):
        return [ANY_KEY]
    steps: list[Step] = []
    inner = text[1:-1]
    for part in inner.split(",") if inner.strip() else ():
        word = part.strip()
        if word.startswith('"') and word.endswith('"') and len(word) > 1 and "\\" not in word:
            word = str(json.loads(word))
        elif any(c in '"\\{}' for c in word) or word.upper() == "NULL" or not word:
            return [ANY_KEY]
        steps.append(path_step(word))
    return steps


def path_step(key: Step) -> Step:
    """A step of a path is text: digits are an index where they meet an array, a key where they meet an object."""
    return Digits(key) if isinstance(key, str) and key.lstrip("-").isdigit() else key


def changed_at(
    run: Run, document: Document, path: list[Step], value: Kind, what: str, at: int | None
) -> Kind:
    """What ``jsonb_set`` and ``jsonb_insert`` make: ``value`` lies behind ``path`` now."""
    if ANY_KEY in path:
        if isinstance(shape(value), Open):
            raise unsupported(document, f"{what} with a path that isn't constant", at)
        return Text((document, value), Container.JSON, f"JSON built by {what}")
    target = documents.walk(document, path)
    if not isinstance(target, Document):
        require_plain(value, what, at, f"a part of {document.of}")
        return document
    known = shape(value)
    if isinstance(value, Open):
        made = flow([target, value], what, at)
    elif isinstance(known, Document):
        made = flow([target, known], what, at)
    elif (
        isinstance(known, Text)
        and known.fixed
        and known.container is Container.JSON
        and len(known.parts) == 1
    ):
        inner = dict(target.leaves).get(())
        if inner is None:
            raise conflict(target, value, what, at)
        string = flow([inner, known.parts[0]], what, at)
        if not isinstance(string, Token) or string.mixed:
            raise conflict(target, value, what, at)
        return _carrying(document, string.carried)
    else:
        raise conflict(target, value, what, at)
    if not isinstance(made, Document):
        raise conflict(target, value, what, at)
    return _carrying(document, made.carried)


def _carrying(document: Document, opens: tuple[Open, ...]) -> Document:
    return Document(document.leaves, document.of, (*document.carried, *opens))
