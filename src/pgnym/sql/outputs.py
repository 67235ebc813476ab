"""What comes out of a statement: from the kinds of its columns to ``OutputColumn``."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.catalog import Catalog, Protection
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import ArrayOf, Deferred, Document, Kind, Row, Text, Token, frozen, shape, tokens
from pgnym.sql.plan import STORED_TYPMOD, Container, Deferral, Lineage, OutputColumn
from pgnym.sql.resolve import Field
from pgnym.sql.types import NUMBERS, TEXT, VARCHAR, array_of, family
from pgnym.sql.unify import unsupported

# Families whose JSON form is a string that is the canonical value itself, and those that have a form of their own in JSON:
# numbers bare, timestamps as ISO 8601, jsonb as it is.
_JSON_STRINGS = frozenset({"text", "1082", "2950", "inet"})
_JSON_FORMS = frozenset({"number", "1114", "1184", "3802"})

# char(n) loses blanks; timestamptz depends on TimeZone, bytea on bytea_output.
_UNSTABLE_TEXT = frozenset({1042, 1184, 17})
_PLAIN_TEXT = frozenset({25, 1043})

Stack = tuple[Container, ...]
Placed = tuple[Stack, Token | Deferred]


def output_columns(catalog: Catalog, columns: tuple[Field, ...]) -> tuple[OutputColumn | None, ...]:
    """The plan of each result column; () when none carries tokens."""
    found = tuple(_output(catalog, c) for c in columns)
    return found if any(found) else ()


def _output(catalog: Catalog, column: Field) -> OutputColumn | None:
    kind = frozen(column.kind)
    placed = _placed(kind)
    if not placed:
        return None
    stack = _one_stack(placed, column.name)
    for own, token in placed:
        _check_form(catalog, own, token)
    _check_numbers(placed, column.name)
    type_oid, typmod = _shown_type(catalog, kind)
    planned = kind.planned if isinstance(kind, Token) and type_oid is not None else None
    resized = _resized(kind) if isinstance(kind, Token) and type_oid is None else None
    lineages = _lineages(list(tokens(kind)))
    return OutputColumn(
        lineages, stack, type_oid, typmod, planned, resized, deferrals=_deferrals(catalog, placed)
    )


def _resized(token: Token) -> int | None:
    """The one modifier of the columns that a token may come from, where they are stored with another; -1 for several."""
    found = {p.typmod for p in token.lineage}
    if VARCHAR not in {p.stored_oid for p in token.lineage} or found == {STORED_TYPMOD}:
        return None
    return found.pop() if len(found) == 1 and not token.mixed else -1


def _deferrals(catalog: Catalog, placed: list[Placed]) -> tuple[Deferral | None, ...]:
    """By index, all deferred functions whose marks may stand in a column, also within those of others."""
    found: dict[int, Deferral] = {}
    seen: set[int] = set()

    def visit(deferred: Deferred) -> None:
        for mark in deferred.marks:
            if mark.deferral is None or mark.index in seen:
                continue
            seen.add(mark.index)
            inspected = frozenset(c for kind in mark.operands for t in tokens(kind) for c in t.columns)
            index = mark.spelled.index if mark.spelled is not None else mark.index
            others = found[index].columns if index in found else frozenset()
            found[index] = replace(mark.deferral, columns=inspected | others)
            for operand in mark.operands:
                for stack, part in _placed(frozen(operand)):
                    nullable = isinstance(part, Deferred) and part.nullable
                    if stack not in ((), (Container.TEXT,)) or (stack and nullable):
                        raise unsupported(part, mark.deferral.what, mark.place)
                    _check_form(catalog, stack, part)
                    if isinstance(part, Deferred):
                        visit(part)

    for stack, part in placed:
        if isinstance(part, Deferred):
            if part.nullable and Container.TEXT in stack:
                raise unsupported(part, "building a value", part.marks[0].place)
            visit(part)
    return tuple(found.get(index) for index in range(max(found, default=-1) + 1))


def _codec(part: Token | Deferred) -> int:
    return part.shown_oid if isinstance(part, Deferred) else part.protection.codec_oid


def _check_form(catalog: Catalog, stack: Stack, token: Token | Deferred) -> None:
    """Raise Refused unless a value has a form that is known where its token stands."""
    columns = ", ".join(sorted(c for t in tokens(token) for c in t.columns))
    if stack and stack[-1] is Container.JSON:
        found = family(catalog, token.shown_oid if isinstance(token, Deferred) else token.protection.type_oid)
        if isinstance(token, Deferred) and Container.TEXT in stack:
            raise unsupported(token, "JSON within text", token.marks[0].place)
        # Within JSON that is part of a longer text, keys can't be told from values for certain.
        known = _JSON_STRINGS - {"1082"} if Container.TEXT in stack else _JSON_STRINGS | _JSON_FORMS
        if found not in known:
            raise Refused(
                f"JSON of protected column {columns} is not supported",
                detail="Its type has another form in JSON than the string that the token is.",
                hint="Select the column, and build the JSON in the application.",
            )
    if (Container.TEXT in stack or Container.RECORD in stack) and _codec(token) in _UNSTABLE_TEXT:
        raise Refused(
            f"text built around protected column {columns} is not supported",
            detail="The text form of its type depends on settings of the session, or loses trailing blanks.",
            hint="Select the column by itself.",
        )


def _check_numbers(placed: list[Placed], name: str) -> None:
    """Raise Refused for rows whose numbers of one domain differ in size: in binary a token doesn't tell which it is."""
    seen: dict[bytes, int] = {}
    for stack, token in placed:
        if (
            Container.RECORD not in stack
            or not isinstance(token, Token)
            or token.protection.type_oid not in NUMBERS
        ):
            continue
        if seen.setdefault(token.protection.prefix, token.protection.type_oid) != token.protection.type_oid:
            raise Refused(
                f'row "{name}" holds protected column {", ".join(sorted(token.columns))} and another type of its domain',
                detail="In binary format the numbers of a row have the size of their type, which tokens don't tell.",
                hint="Select the columns by themselves.",
            )


def _lineages(present: list[Token]) -> tuple[Lineage, ...]:
    protections: dict[bytes, Protection] = {}
    columns: dict[bytes, set[str]] = {}
    for token in present:
        for protection in (token.protection, *sorted(token.lineage, key=lambda p: p.column)):
            if protection in token.lineage or protection is token.protection:
                protections.setdefault(protection.prefix, protection)
        for protection in token.lineage:
            columns.setdefault(protection.prefix, set()).add(protection.column)
    return tuple(Lineage(protections[p], frozenset(columns[p])) for p in sorted(columns))


def _shown_type(catalog: Catalog, kind: Kind) -> tuple[int | None, int | None]:
    """(type, modifier) where the server's are not those of the values."""
    if isinstance(kind, Token):
        protection = kind.protection
        if kind.mixed:
            return None, None
        if protection.type_oid != protection.stored_oid or kind.typmod != -1:
            return protection.type_oid, kind.typmod
        return None, None  # an expression: the server knows best
    if isinstance(kind, Deferred) and kind.type_oid != TEXT:
        return kind.shown_oid, -1
    if isinstance(kind, ArrayOf):
        element = shape(kind.element)
        if isinstance(element, Deferred) and element.type_oid != TEXT:
            return array_of(catalog, element.shown_oid) or None, -1
        if isinstance(element, Token) and not element.mixed:
            protection = element.protection
            if protection.type_oid != protection.stored_oid or element.typmod != -1:
                return array_of(catalog, protection.type_oid) or None, element.typmod
    return None, None


def _one_stack(placed: list[Placed], name: str) -> Stack:
    """What stands around every token of a column.

    A value that is a token, and a text in which one is, may stand beside each other (a row with a name and a full name):
    both are texts in which tokens are replaced, as long as the value is its own text form.
    """
    found = {stack for stack, _ in placed}
    longest = max(found, key=len)
    if longest and longest[-1] is Container.TEXT and found == {longest, longest[:-1]}:
        alone = [token for stack, token in placed if stack != longest]
        if all(_codec(t) in _PLAIN_TEXT for t in alone):
            return longest
    if len(found) != 1:
        raise Refused(
            f'column "{name}" embeds protected values in more than one way',
            detail="Some stand in JSON, text, an array or a record of their own within the same value.",
            hint="Select them as separate columns.",
        )
    return longest


def _placed(kind: Kind) -> list[Placed]:
    """All tokens with what stands around them, outermost first. Text within text adds nothing."""
    kind = shape(kind)
    if isinstance(kind, Token | Deferred):
        return [((), kind)]
    if isinstance(kind, ArrayOf):
        return _within(Container.ARRAY, _placed(kind.element))
    if isinstance(kind, Row):
        return _within(Container.RECORD, [p for f in kind.fields for p in _placed(f)])
    if isinstance(kind, Document):
        return [((Container.JSON,), token) for _, token in kind.leaves]
    if not isinstance(kind, Text):
        return []
    if kind.container is Container.JSON:
        return [p for part in kind.parts for p in _placed_in_json(part)]
    inner = [p for part in kind.parts for p in _placed(part)]
    if (
        not kind.exact
        and any(isinstance(p := shape(part), Text) and p.loose for part in kind.parts)
        and inner
    ):
        # Whether to escape a value depends on whether it stands within JSON there, which the text doesn't tell.
        raise unsupported(kind, "text around a part of a jsonb value", None)
    if kind.exact and not any(stack == () for stack, _ in inner):
        return inner  # the text of JSON is that JSON
    return [(stack if stack[:1] == (Container.TEXT,) else (Container.TEXT, *stack), t) for stack, t in inner]


def _placed_in_json(kind: Kind) -> list[Placed]:
    """JSON functions take JSON, arrays and rows apart; all else becomes a JSON string."""
    kind = shape(kind)
    if isinstance(kind, ArrayOf):
        return _placed_in_json(kind.element)
    if isinstance(kind, Row):
        return [p for f in kind.fields for p in _placed_in_json(f)]
    if isinstance(kind, Document) or (isinstance(kind, Text) and kind.container is Container.JSON):
        return _placed(kind)
    return _within(Container.JSON, _placed(kind))


def _within(container: Container, placed: list[Placed]) -> list[Placed]:
    return [((container, *stack), token) for stack, token in placed]


def read_columns(outputs: tuple[OutputColumn | None, ...]) -> frozenset[str]:
    """All base columns that come out."""
    return frozenset(c for o in outputs if o is not None for lineage in o.lineages for c in lineage.columns)
