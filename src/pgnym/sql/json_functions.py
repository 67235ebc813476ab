"""Functions of jsonb values with protected paths."""

from __future__ import annotations

from pgnym.sql import documents
from pgnym.sql.documents import ANY_KEY, Step
from pgnym.sql.functions import Call, builtin, other
from pgnym.sql.json_operators import changed_at, constant_key, constant_path, path_step
from pgnym.sql.kinds import Document, Kind, Plain, Row, Text, shape
from pgnym.sql.plan import Container
from pgnym.sql.unify import require_plain

_KEY = Plain("a key of a jsonb value", 25)


def _document(call: Call) -> Document | None:
    known = shape(call.arguments[0]) if call.arguments else None
    return known if isinstance(known, Document) else None


def _plain_rest(call: Call) -> None:
    for kind in call.arguments[1:]:
        require_plain(kind, call.what, call.position)


@builtin(
    "jsonb_array_length",
    "jsonb_typeof",
    "jsonb_object_keys",
    "json_array_length",
    "json_typeof",
    "json_object_keys",
)
def _shape(call: Call) -> Kind:
    """What these tell is the same of tokens: a string is one, and keys are none."""
    if _document(call) is None:
        return other(call, "pg_catalog")
    return Plain(f"the result of {call.what}")


@builtin(
    "jsonb_array_elements", "jsonb_array_elements_text", "json_array_elements", "json_array_elements_text"
)
def _elements(call: Call) -> Kind:
    document = _document(call)
    if document is None:
        return other(call, "pg_catalog")
    inner = documents.step(document, 0)
    return documents.as_text(inner) if call.name.endswith("_text") else inner


@builtin("jsonb_each", "jsonb_each_text", "json_each", "json_each_text")
def _pairs(call: Call) -> Kind:
    document = _document(call)
    if document is None:
        return other(call, "pg_catalog")
    value = documents.anywhere(document)
    if call.name.endswith("_text"):
        return Row(("key", "value"), (_KEY, documents.text_of(value)))
    return Row(("key", "value"), (_KEY, value))


@builtin("jsonb_extract_path", "jsonb_extract_path_text", "json_extract_path", "json_extract_path_text")
def _extract(call: Call) -> Kind:
    document = _document(call)
    if document is None:
        return other(call, "pg_catalog")
    _plain_rest(call)
    keys: list[Step] = []
    for node in call.nodes[1:]:
        keys.append(path_step(constant_key(call.run, node)) if not call.variadic else ANY_KEY)
    found = documents.walk(document, keys)
    return documents.as_text(found) if call.name.endswith("_text") else found


@builtin("jsonb_set", "jsonb_set_lax", "jsonb_insert")
def _set(call: Call) -> Kind:
    document = _document(call)
    if document is None or len(call.arguments) < 3:
        return other(call, "pg_catalog")
    require_plain(call.arguments[1], "a path", call.position)
    for kind in call.arguments[3:]:
        require_plain(kind, call.what, call.position)
    path = constant_path(call.run, call.nodes[1])
    return changed_at(call.run, document, path, call.arguments[2], call.what, call.position)


@builtin("jsonb_strip_nulls", "json_strip_nulls")
def _stripped(call: Call) -> Kind:
    document = _document(call)
    if document is None:
        return other(call, "pg_catalog")
    _plain_rest(call)
    return document


@builtin("jsonb_pretty")
def _pretty(call: Call) -> Kind:
    document = _document(call)
    if document is None:
        return other(call, "pg_catalog")
    return Text((document,), Container.TEXT, f"the text of {document.of}", exact=True)
