"""The CHECK that binds a column to its domain, and by its name to a row of the registry.

A column that holds what another holds (CREATE TABLE AS, LIKE) carries the CHECK of that other one: ``pgnym_<id>`` for
LIKE, as LIKE … INCLUDING CONSTRAINTS names it and ATTACH PARTITION asks for it; ``pgnym_<id>_<n>`` for what a query has
brought, of which a table may have several. A column whose values come from several columns has one CHECK for each.
So the database itself says where a copied token comes from, and whose policy it goes by; nothing has to be written to the
registry, and nothing is left when the statement or its transaction fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pgnym.semantics.documents import Path, jsonpath
from pgnym.sql.catalog import Protection
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import ArrayOf, Document, Kind, Token, protected, shape
from pgnym.sql.resolve import Field
from pgnym.sql.unify import describe

CHECK_NAME = re.compile(r"pgnym_(\d{1,9})(?:_\d+)?\Z")
_TEXTS = frozenset({25, 1042, 1043})  # types that have an empty value
_UNSIZED = frozenset({25, 1043})  # of these the new column's own type and length are shown
_SHORT = 34  # the modifier of varchar(30)
_HINT = "Leave the column out, or make a view: it is computed when it is read."


def quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def check_name(identifier: int, copy: int = 0) -> str:
    """The constraint that binds a column to registry row ``identifier``; ``copy`` tells several in one table apart."""
    return f"pgnym_{identifier}_{copy}" if copy else f"pgnym_{identifier}"


def check_expression(column: str, prefix: bytes, empty: bool) -> str:
    """Admits NULL, tokens of the domain and, for text (``empty``), the empty string.

    ``COLLATE "C"``: the match is of bytes, whatever collation the column has (a nondeterministic one would
    refuse patterns). ``$`` matches at the very end only: PostgreSQL's default is not newline-sensitive.
    """
    text = f'{quoted(column)}::pg_catalog.text COLLATE pg_catalog."C"'
    nothing = f"{quoted(column)} IS NULL OR " + (f"{text} OPERATOR(pg_catalog.=) '' OR " if empty else "")
    return f"{nothing}{text} OPERATOR(pg_catalog.~) '{pattern(prefix)}'"


def array_check(column: str, prefix: bytes, empty: bool) -> str:
    """Admits NULL, and arrays of whose elements each is NULL, a token of the domain or, for text, the empty string.

    Judged by what ``array_out`` prints: a token needs no quotes there, the empty string has them, and NULL, a string, has
    them, too. Two tokens in a row, without a comma between, are no element.
    """
    text = f'{quoted(column)}::pg_catalog.text COLLATE pg_catalog."C"'
    item = f"(NULL|{prefix.decode('ascii')}[a-z2-7]{{24}}" + ('|"")' if empty else ")")
    bounds = r"((\[-?[0-9]+:-?[0-9]+\])+=)?"
    form = f"^({bounds}[{{]+{item}([}}{{,]+{item})*[}}]+|[{{][}}])$"
    return f"{quoted(column)} IS NULL OR {text} OPERATOR(pg_catalog.~) '{form}'"


def path_exists(column: str, path: Path) -> str:
    """Whether a document has something at a path, be it only null."""
    return f"pg_catalog.jsonb_path_exists({quoted(column)}, {_jsonpath(jsonpath(path))})"


def no_string(column: str, path: Path) -> str:
    """Whether a document has something at a path that can't become a token."""
    test = f'{jsonpath(path)}.type() ? (@ != "string" && @ != "null")'
    return f"pg_catalog.jsonb_path_exists({quoted(column)}, {_jsonpath(test)})"


def path_check(column: str, path: Path, prefix: bytes) -> str:
    """Admits documents in which each value at the path is null, the empty string or a token of the domain.

    ``.type()`` is asked first, since a filter looks into arrays, and a comparison with what is no string is unknown.
    """
    place = jsonpath(path)
    test = (
        f'!exists({place}.type() ? (@ != "string" && @ != "null")) && '
        f'!exists({place} ? (@.type() == "string" && !(@ == "" || @ like_regex "{pattern(prefix)}")))'
    )
    return f"{quoted(column)} IS NULL OR pg_catalog.jsonb_path_match({quoted(column)}, {_jsonpath(test)})"


def _jsonpath(text: str) -> str:
    """A constant of type jsonpath."""
    return "'" + text.replace("'", "''") + "'"


def pattern(prefix: bytes) -> str:
    """The regular expression of the domain's tokens."""
    return f"^{prefix.decode('ascii')}[a-z2-7]{{24}}$"


def guards(columns: Sequence[Field], position: int | None, *, copied: bool = True) -> dict[str, str]:
    """The CHECKs for the columns of a new table: name → condition.

    Parameters: ``columns`` by their names in the new table; ``copied``: it is filled with the values (CREATE TABLE AS); of
    columns that are only modelled on others (LIKE a view) those that embed tokens are plain text.

    Raises Refused for values that hold tokens and aren't tokens: no CHECK could keep plaintext out.
    """
    used: dict[int, int] = {}
    checks: dict[str, str] = {}
    for column in columns:
        token = guardable(column.kind)
        if token is None and isinstance(document := shape(column.kind), Document) and _as_it_was(document):
            for path, leaf in document.leaves:
                for origin in origins(leaf):
                    copy = used.get(origin.id, 1 if copied else 0)
                    used[origin.id] = copy + 1
                    checks[check_name(origin.id, copy)] = path_check(column.name, path, origin.prefix)
            continue
        if token is None:
            if copied and protected(column.kind):
                raise _unguarded(column.name, describe(column.kind), position)
            continue
        _check_type(column.name, token, position)
        condition = array_check if token.protection.array else check_expression
        for origin in origins(token):
            copy = used.get(origin.id, 1 if copied else 0)
            used[origin.id] = copy + 1
            empty = origin.codec_oid in _TEXTS
            checks[check_name(origin.id, copy)] = condition(column.name, origin.prefix, empty)
    return checks


def guardable(kind: Kind) -> Token | None:
    """The token that a value is, or the elements of an array where the origin has arrays; None if it is neither."""
    kind = shape(kind)
    token = shape(kind.element) if isinstance(kind, ArrayOf) else kind
    if not isinstance(token, Token) or token.mixed or token.protection.array != isinstance(kind, ArrayOf):
        return None
    return token


def _as_it_was(document: Document) -> bool:
    """Whether all paths are where they are in the columns that they come from: the registry knows no other place."""
    return all(origin.path == path for path, leaf in document.leaves for origin in origins(leaf))


def origins(token: Token) -> list[Protection]:
    """The columns that a value may come from, each once; the one whose type is shown comes first."""
    found: dict[int, Protection] = {token.protection.id: token.protection}
    for protection in sorted(token.lineage, key=lambda p: p.id):
        for each in (protection, *protection.union):
            found.setdefault(each.id, each)
    return list(found.values())


def _check_type(name: str, token: Token, position: int | None) -> None:
    """Only text shows its own type: what is stored as text can't tell by it that it was numeric without a scale."""
    protection = token.protection
    if protection.codec_oid in _UNSIZED and not protection.array:
        # short ones are all stored as varchar(30), which hides that their lengths differ
        sizes = {p.typmod for p in token.lineage}
        fits = len(sizes) == 1 or not all(0 <= size <= _SHORT for size in sizes)
    else:
        fits = token.typmod == protection.typmod and len({p.type_oid for p in token.lineage}) == 1
    if fits:
        return
    raise Refused(
        f'derived column "{name}" would have another type than {describe(token)}',
        detail="Its type is kept with the column that it comes from, and this value has lost or widened it.",
        hint=_HINT,
        position=position,
    )


def _unguarded(name: str, what: str, position: int | None) -> Refused:
    return Refused(
        f'derived column "{name}" would hold tokens without being protected',
        detail=f"It would hold {what}: no CHECK constraint could keep plaintext out of it.",
        hint=_HINT,
        position=position,
    )
