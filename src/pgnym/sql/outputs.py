"""What comes out of a statement: from the kinds of its columns to ``OutputColumn``."""

from __future__ import annotations

from pgnym.sql.catalog import Catalog, Protection
from pgnym.sql.errors import Refused
from pgnym.sql.kinds import ArrayOf, Kind, Row, Text, Token, frozen, shape, tokens
from pgnym.sql.plan import Container, Lineage, OutputColumn
from pgnym.sql.resolve import Field
from pgnym.sql.types import array_of, family

# Types whose JSON form is a string that is the canonical value itself.
_JSON_STRINGS = frozenset({"text", "1082", "2950", "inet"})

# char(n) loses blanks; timestamptz depends on TimeZone, bytea on bytea_output.
_UNSTABLE_TEXT = frozenset({1042, 1184, 17})


def output_columns(catalog: Catalog, columns: tuple[Field, ...]) -> tuple[OutputColumn | None, ...]:
    """The plan of each result column; () when none carries tokens."""
    found = tuple(_output(catalog, c) for c in columns)
    return found if any(found) else ()


def _output(catalog: Catalog, column: Field) -> OutputColumn | None:
    kind = frozen(column.kind)
    present = list(tokens(kind))
    if not present:
        return None
    stack = _one_stack(kind, column.name)
    if Container.JSON in stack:
        for token in present:
            if family(catalog, token.protection.type_oid) not in _JSON_STRINGS:
                raise Refused(
                    f"JSON of protected column {', '.join(sorted(token.columns))} is not supported",
                    detail="Its type has another form in JSON than the string that the token is.",
                    hint="Select the column, and build the JSON in the application.",
                )
    if Container.TEXT in stack or Container.RECORD in stack:
        for token in present:
            if token.protection.codec_oid in _UNSTABLE_TEXT:
                raise Refused(
                    f"text built around protected column {', '.join(sorted(token.columns))} is not supported",
                    detail="The text form of its type depends on settings of the session, or loses trailing blanks.",
                    hint="Select the column by itself.",
                )
    type_oid, typmod = _shown_type(catalog, kind)
    return OutputColumn(_lineages(present), stack, type_oid, typmod)


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
    if isinstance(kind, ArrayOf):
        element = shape(kind.element)
        if isinstance(element, Token) and element.protection.type_oid != element.protection.stored_oid:
            return array_of(catalog, element.protection.type_oid) or None, -1
    return None, None


def _one_stack(kind: Kind, name: str) -> tuple[Container, ...]:
    found = _stacks(kind)
    if len(found) != 1:
        raise Refused(
            f'column "{name}" embeds protected values in more than one way',
            detail="Some stand in JSON, text, an array or a record of their own within the same value.",
            hint="Select them as separate columns.",
        )
    (stack,) = found
    if not stack and isinstance(kind, Text):
        return (Container.TEXT,)
    return stack


def _stacks(kind: Kind) -> set[tuple[Container, ...]]:
    """What stands around each token, outermost first; text within text, or within anything else, adds nothing."""
    kind = shape(kind)
    if isinstance(kind, Token):
        return {()}
    if isinstance(kind, ArrayOf):
        return {(Container.ARRAY, *s) for s in _stacks(kind.element)}
    if isinstance(kind, Row):
        return {(Container.RECORD, *s) for f in kind.fields for s in _stacks(f)}
    if isinstance(kind, Text):
        inner = _json_stacks if kind.container is Container.JSON else _stacks
        return {s for p in kind.parts for s in inner(p)}
    return set()


def _json_stacks(kind: Kind) -> set[tuple[Container, ...]]:
    """JSON functions take JSON, arrays and rows apart; all else becomes a JSON string."""
    kind = shape(kind)
    if isinstance(kind, Token):
        return {(Container.JSON,)}
    if isinstance(kind, ArrayOf):
        return _json_stacks(kind.element)
    if isinstance(kind, Row):
        return {s for f in kind.fields for s in _json_stacks(f)}
    if isinstance(kind, Text):
        if kind.container is Container.JSON:
            return _stacks(kind)
        return {(Container.JSON, *s) for p in kind.parts for s in _stacks(p)}
    return set()


def read_columns(outputs: tuple[OutputColumn | None, ...]) -> frozenset[str]:
    """All base columns that come out."""
    return frozenset(c for o in outputs if o is not None for lineage in o.lineages for c in lineage.columns)
