"""What a plan says, as data and in words: for ``pgnym check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unicodedata import east_asian_width

import msgspec

from pgnym.gateway.rights import missing, needed
from pgnym.policy.roles import RolePolicy
from pgnym.semantics.documents import map_leaves
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.expression import describe
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.plan import (
    FollowPiece,
    Given,
    LiteralPiece,
    Lookup,
    LookupPiece,
    MarkPiece,
    OutputColumn,
    Piece,
    Rewrite,
    StatementPlan,
    Use,
    ValueUse,
)
from pgnym.wire import codecs

_WINDOW = 76  # columns of a line that is shown over a caret
_BECAUSE = {Use.COMPARE: "compared with", Use.WRITE: "stored in", Use.CARRY: "shown beside"}
_SIGHT = {"REVEAL": "values", "MASK": "masks", "TOKENS": "tokens"}
_CHARACTER = (1042, 1043)


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a statement: character offset, line and column, all from 1."""

    position: int
    line: int
    column: int


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A constant (``place``) or a client parameter (``parameter``) that becomes a token, or an array of them."""

    domain: str
    use: str
    columns: tuple[str, ...]
    array: bool = False
    place: Place | None = None
    parameter: int | None = None


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """A look-up in the vault, made before the statement is sent."""

    answer: str
    domain: str
    columns: tuple[str, ...]
    place: Place
    test: str = ""


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result column that carries protected values; ``sees`` is what the role is shown of it.

    ``computed``: functions that are applied to that.
    """

    number: int
    domains: tuple[str, ...]
    columns: tuple[str, ...]
    sees: str
    within: tuple[str, ...] = ()
    type: str = ""
    computed: tuple[str, ...] = ()


class Rights(msgspec.Struct, frozen=True, omit_defaults=True):
    """Columns by the right that is needed; ``missing``: those that the role lacks."""

    compare: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Budget(msgspec.Struct, frozen=True):
    """How many values the role may be shown by one statement, and in a minute."""

    statement: int
    minute: int


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a statement is refused."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    place: Place | None = None


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One statement. ``outcome``: unchanged, rewritten, refused, or skipped (a psql command)."""

    source: str
    line: int
    statement: str
    outcome: str
    sent: str = ""
    values: tuple[Value, ...] = ()
    questions: tuple[Question, ...] = ()
    shown: tuple[Shown, ...] = ()
    rights: Rights = Rights()
    budget: Budget | None = None
    refusal: Refusal | None = None
    note: str = ""

    @property
    def refused(self) -> bool:
        """Whether the statement would not be carried out."""
        return self.refusal is not None


def of_rewrite(
    rewrite: Rewrite, text: str, catalog: Catalog, role: RolePolicy, purpose: str | None
) -> dict[str, Any]:
    """The fields of an ``Explanation`` for a statement that is rewritten (or only its results are)."""
    asked = needed(rewrite)
    lacking = missing(rewrite, role, purpose)
    outputs = [
        _shown(number, output, catalog, role, purpose)
        for statement in rewrite.statements
        for number, output in enumerate(statement.outputs, 1)
        if output is not None
    ]
    fields: dict[str, Any] = {
        "outcome": "rewritten",
        "sent": "".join(_piece(piece) for piece in rewrite.pieces),
        "values": tuple(_values(rewrite, text)),
        "questions": tuple(_question(p.lookup, text) for p in rewrite.pieces if isinstance(p, LookupPiece)),
        "shown": tuple(outputs),
        "rights": Rights(
            tuple(sorted(r.column for r in asked if r.verb == "compare")),
            tuple(sorted(r.column for r in asked if r.verb == "write")),
            tuple(f"{r.verb} {r.column}" for r in lacking),
        ),
    }
    if any(output.sees != "tokens" for output in outputs):
        fields["budget"] = Budget(role.allowance.statement or 0, role.allowance.minute or 0)
    refusal = _bad_value(rewrite, text)
    if lacking:
        right = lacking[0]
        refusal = Refusal(
            "42501",
            f"permission denied to {right.verb} plaintext in column {right.column}",
            f"Role {role.name} sees or is given only tokens or masks there.",
            "Grant the role 'compare', 'write' or 'reveal' on the column in the configuration.",
        )
    if refusal is not None:
        fields |= {"outcome": "refused", "refusal": refusal}
    return fields


def of_refusal(refusal: Refused, text: str) -> Refusal:
    """A refusal with its place in characters."""
    place = None if refusal.position is None else place_of(text, refusal.position)
    return Refusal(refusal.sqlstate, refusal.message, refusal.detail, refusal.hint, place)


def place_of(text: str, offset: int) -> Place:
    """The place of a byte offset into the UTF-8 form of ``text``."""
    before = text.encode()[:offset].decode(errors="ignore")
    return Place(len(before) + 1, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _piece(piece: Piece) -> str:
    if isinstance(piece, LiteralPiece):
        return f"‹{'tokens' if _several(piece.use) else 'token'} of {_domain(piece.use)}›"
    if isinstance(piece, LookupPiece):
        return f"‹{piece.lookup.answer.value} of {piece.lookup.protection.domain}›"
    if isinstance(piece, MarkPiece):
        return f"‹{piece.part.value}›"
    return (piece.text if isinstance(piece, FollowPiece) else piece).decode()


def _values(rewrite: Rewrite, text: str) -> Iterator[Value]:
    for piece in rewrite.pieces:
        if isinstance(piece, LiteralPiece):
            yield _value(piece.use, place_of(text, piece.position), None)
    for statement in rewrite.statements:
        yield from _parameters(statement)
        if statement.copy is not None:
            yield from (_value(use, None, None) for use in statement.copy.columns if use is not None)


def _parameters(statement: StatementPlan) -> Iterator[Value]:
    seen = set()
    for parameter in statement.parameters or ():
        if parameter.use is not None and (parameter.source, parameter.use) not in seen:
            seen.add((parameter.source, parameter.use))
            yield _value(parameter.use, None, parameter.source)


def _value(use: ValueUse, place: Place | None, parameter: int | None) -> Value:
    columns = tuple(sorted(use.columns or (use.protection.column,)))
    return Value(_domain(use), use.use.value, columns, _several(use), place, parameter)


def _several(use: ValueUse) -> bool:
    """Whether a value holds tokens rather than becoming one."""
    return use.array or bool(use.leaves)


def _domain(use: ValueUse) -> str:
    """The domain, or those of the paths of a document."""
    if use.leaves:
        return ", ".join(sorted({leaf.protection.domain for leaf in use.leaves}))
    return use.protection.domain


def _question(lookup: Lookup, text: str) -> Question:
    test = ""
    if lookup.test is not None:
        test = describe(
            lookup.test, tuple(f"${c}" if isinstance(c, int) else f"'{c}'" for c in lookup.constants)
        )
    return Question(
        lookup.answer.value,
        lookup.protection.domain,
        tuple(sorted(lookup.columns)),
        place_of(text, lookup.position),
        test,
    )


def _shown(
    number: int, output: OutputColumn, catalog: Catalog, role: RolePolicy, purpose: str | None
) -> Shown:
    columns = frozenset(c for lineage in output.lineages for c in lineage.columns)
    type_name = ""
    if output.type_oid is not None:
        found = catalog.types.get(output.type_oid)
        type_name = found.name if found is not None else str(output.type_oid)
        if output.typmod is not None and output.typmod > 4 and output.type_oid in _CHARACTER:
            type_name += f"({output.typmod - 4})"
    return Shown(
        number,
        tuple(sorted({lineage.protection.domain for lineage in output.lineages})),
        tuple(sorted(columns)),
        _SIGHT[role.combined(columns, purpose).name],
        tuple(c.value for c in output.containers),
        type_name,
        tuple(
            describe(d.expression, tuple(map(_given, d.constants))) for d in output.deferrals if d is not None
        ),
    )


def _given(given: Given) -> str:
    if given.parameter is not None:
        return f"${given.parameter}"
    return (
        "NULL"
        if given.text is None and given.enclosed is None
        else f"'{given.text}'"
        if given.text is not None
        else "value"
    )


def _bad_value(rewrite: Rewrite, text: str) -> Refusal | None:
    """The first constant that its column's type does not take, as the gateway will find it."""
    for piece in rewrite.pieces:
        if isinstance(piece, LiteralPiece) and piece.use.leaves:
            try:
                paths = tuple(leaf.path for leaf in piece.use.leaves)
                map_leaves(piece.value.encode(), paths, lambda _, part: part)
            except EvaluationError as error:
                column = f"Columns {', '.join(sorted(piece.use.columns))}."
                place = place_of(text, piece.position)
                return Refusal(error.sqlstate, error.message, column, error.hint, place)
            continue
        if not isinstance(piece, LiteralPiece) or piece.use.array or piece.use.cast_oid or not piece.value:
            continue
        protection = piece.use.protection
        try:
            canonical = codecs.canonical_from_text(protection.codec_oid, -1, piece.value.encode())
            if piece.use.use is Use.WRITE:
                codecs.codec_for(protection.codec_oid).fit(canonical, protection.typmod)
        except codecs.CodecError as error:
            place = place_of(text, piece.position)
            return Refusal(error.sqlstate, error.message, f"Column {protection.column}.", error.hint, place)
    return None


# -- in words -----------------------------------------------------------------------------------------------


def lines(explanation: Explanation) -> Iterator[str]:
    """The explanation of one statement, line by line."""
    where = f"{explanation.source}:{explanation.line}: " if explanation.source else ""
    yield f"» {where}{' '.join(explanation.statement.split())}"
    if explanation.note:
        yield f"  {explanation.note}"
    if explanation.outcome == "unchanged":
        yield "  touches nothing protected: forwarded as it is"
    if explanation.sent:
        changed = explanation.sent != explanation.statement
        yield f"  sent as: {' '.join(explanation.sent.split())}" if changed else "  sent as it is"
    for value in explanation.values:
        yield f"  {_subject(value)}: {_BECAUSE[Use(value.use)]} {', '.join(value.columns)}"
    for question in explanation.questions:
        asked = f" where {question.test}" if question.test else ""
        yield f"  the vault is asked for {question.answer} of {question.domain}{asked}"
    for shown in explanation.shown:
        within = f" within {' in '.join(reversed(shown.within))}" if shown.within else ""
        kind = f" ({shown.type})" if shown.type else ""
        yield f"  column {shown.number}{kind}: {shown.sees} of {', '.join(shown.columns)}{within}"
        yield from (f"    computed from them: {function}" for function in shown.computed)
    if explanation.rights.compare or explanation.rights.write:
        asked_for = [
            f"{verb} {c}" for verb in ("compare", "write") for c in getattr(explanation.rights, verb)
        ]
        yield f"  rights: {', '.join(asked_for)}"
    if explanation.budget is not None:
        budget = explanation.budget
        yield f"  budget: {budget.statement} values for a statement, {budget.minute} in a minute"
    if explanation.refusal is not None:
        yield from _refusal_lines(explanation.refusal, explanation.statement)


def _subject(value: Value) -> str:
    token = f"‹{'tokens' if value.array else 'token'} of {value.domain}›"
    if value.place is not None:
        return f"constant at line {value.place.line}, column {value.place.column} → {token}"
    return f"${value.parameter} → {token}" if value.parameter is not None else f"COPY data → {token}"


def _refusal_lines(refusal: Refusal, text: str) -> Iterator[str]:
    yield f"  refused ({refusal.sqlstate}): {refusal.message}"
    if refusal.place is not None:
        for line in caret(text, refusal.place):
            yield f"  {line}"
    for name in ("detail", "hint"):
        value = getattr(refusal, name)
        if value:
            yield f"  {name}: {value}"


def caret(text: str, place: Place) -> tuple[str, str]:
    """The line of a place and, below it, a caret; of long lines the part around it. As psql shows errors."""
    line = text.split("\n")[place.line - 1].rstrip("\r").replace("\t", " ")
    at = place.column - 1
    start = max(0, min(at - _WINDOW // 2, len(line) - _WINDOW))
    cut = line[start : start + _WINDOW]
    before = f"LINE {place.line}: {'…' if start else ''}"
    width = sum(2 if east_asian_width(c) in "WF" else 1 for c in cut[: at - start])
    after = "…" if start + _WINDOW < len(line) else ""
    return before + cut + after, " " * (len(before) + width) + "^"
