"""What else of a database touches protected relations: views over them, functions whose SQL body reads them.

Found by identifiers, without parsing: it may name too much (then a statement is planned that needn't be), never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pgnym.sql.catalog import Catalog, Type

LONGEST_NAME = 63  # bytes: NAMEDATALEN - 1
_IDENTIFIER = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')


def clipped(name: str) -> str:
    """A name as PostgreSQL's scanner cuts it: to 63 bytes, between characters (``truncate_identifier``)."""
    if len(name) * 4 <= LONGEST_NAME:
        return name
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


def identifiers(text: str) -> set[str]:
    """All words of a text that may be names, folded and cut as PostgreSQL does (quoted ones with their case, too)."""
    found: set[str] = set()
    for quoted, bare in _IDENTIFIER.findall(text):
        if quoted:
            found.add(quoted.replace('""', '"'))
            found.update(w.lower() for w in re.findall(r"[^\W\d][\w$]*", quoted))
        else:
            folded = bare.lower()
            found.add(folded)
            if "$" in folded:
                found.update(folded.split("$"))  # the end of a dollar-quoted string
    return {clipped(name) for name in found}


@dataclass(frozen=True, slots=True)
class Dependents:
    """Names that concern the planner.

    ``relations``: (schema, name) of relations that are protected, broken, or views over such. ``relation_names``,
    ``function_names``: their bare names.
    """

    relations: frozenset[tuple[str, str]]
    relation_names: frozenset[str]
    function_names: frozenset[str]


def find_dependents(catalog: Catalog) -> Dependents:
    """The fixpoint over view definitions and SQL function bodies."""
    relations = {key for key, r in catalog.relations.items() if r.protected or r.broken is not None}
    names = {name for _, name in relations}
    functions: set[str] = {name for _schema, name in catalog.signatures}
    views = {
        key: identifiers(r.view_sql)
        for key, r in catalog.relations.items()
        if r.view_sql is not None and key not in relations
    }
    bodies: dict[str, set[str]] = {}
    for name, overloads in catalog.functions.items():
        for function in overloads:
            if function.body is not None:
                bodies.setdefault(name, set()).update(identifiers(function.body))
            if _returns_rows_of(catalog, function.result, relations):
                functions.add(name)
    grew = bool(relations)
    while grew:
        grew = False
        known = names | functions
        for key in [k for k, words in views.items() if words & known]:
            del views[key]
            relations.add(key)
            names.add(key[1])
            grew = True
        for name in [n for n, words in bodies.items() if words & known]:
            del bodies[name]
            functions.add(name)
            grew = True
    return Dependents(frozenset(relations), frozenset(names), frozenset(functions))


def _returns_rows_of(catalog: Catalog, type_oid: int, relations: set[tuple[str, str]]) -> bool:
    known = catalog.types.get(type_oid)
    if known is not None and known.element:
        known = catalog.types.get(known.element)
    if known is None or not known.relation:
        return False
    relation = catalog.by_oid.get(known.relation)
    return relation is not None and (relation.schema, relation.name) in relations


def types_by_name(types: Iterable[Type]) -> dict[str, list[Type]]:
    """An index of types by bare name."""
    index: dict[str, list[Type]] = {}
    for known in types:
        index.setdefault(known.name, []).append(known)
    return index
