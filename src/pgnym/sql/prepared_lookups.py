"""Look-ups in a statement that SQL PREPARE names: their answers are further parameters, given anew by each EXECUTE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Constant, Fixed, Fold
from pgnym.sql.infer import Run
from pgnym.sql.kinds import Occurrence
from pgnym.sql.literals import decode
from pgnym.sql.plan import Answer, Lookup, StatementPlan
from pgnym.sql.rewrite import Edit, LookupHole
from pgnym.sql.types import TEXT


def with_lookups(run: Run, inner: StatementPlan, edits: list[Edit]) -> tuple[StatementPlan, list[Edit]]:
    """The plan with its look-ups, and the edits with parameters in their places."""
    first = len(inner.parameters or ()) + 1
    numbers: dict[Lookup, int] = {}
    changed = []
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if isinstance(edit.new, LookupHole):
            lookup = _lookup(run, edit.new)
            edit = replace(edit, new=b"$%d" % numbers.setdefault(lookup, first + len(numbers)))
        changed.append(edit)
    return replace(inner, lookups=tuple(numbers)), changed


def _lookup(run: Run, hole: LookupHole) -> Lookup:
    """The look-up with the constants that PREPARE writes: the plan depends on these, as it is kept under a name."""

    def constant(ordinal: int) -> str:
        run.pins.add(ordinal)
        return decode(run.lexed.cuts.raw(ordinal), run.session.standard_strings)

    return hole.filled(constant)


def ordinals(fold: object) -> list[int]:
    """The constants of the text that a fold is made of."""
    if isinstance(fold, Constant):
        return [fold.ordinal]
    if isinstance(fold, Applied):
        return [o for a in fold.arguments for o in ordinals(a)]
    return []


def answer_type(lookup: Lookup) -> bytes:
    """The name of an answer's type."""
    return {Answer.MATCHES: b"text[]", Answer.PLACE: b"text", Answer.CODE: b"text"}.get(
        lookup.answer, b"jsonb"
    )


def undeclared_types(run: Run, inner: StatementPlan) -> list[Edit]:
    """Types for a PREPARE that declares none, where the text sent has a parameter without a use to tell its type."""
    if not any(parameter.withheld for parameter in inner.parameters or ()):
        return []
    names = {TEXT: b"text", None: b"unknown"}
    sent = inner.sent_parameter_types or {}
    types = [names.get(sent.get(n), b"text[]") for n in range(1, len(inner.parameters or ()) + 1)]
    types.extend(map(answer_type, inner.lookups))
    place = run.lexed.ends[word_index(run, "prepare") + 1]
    return [Edit(place, place, b" (" + b", ".join(types) + b")")]


def word_index(run: Run, word: str) -> int:
    """The token that is the first ``word`` of the statement."""
    lexed = run.lexed
    for index in range(lexed.token_at(run.start), len(lexed.starts)):
        if lexed.text[lexed.starts[index] : lexed.ends[index]].lower() == word.encode():
            return index
    raise Refused(f"unsupported form of {word.upper()}", position=run.start)


def asked(lookup: Lookup, given: Sequence[Occurrence | int | None]) -> LookupHole:
    """The look-up with the arguments of an EXECUTE: constants, None for NULL, or the place of what is neither."""
    constants: list[Fold | int | None] = []
    for source in lookup.constants:
        if isinstance(source, str):
            constants.append(Fixed(source))
            continue
        argument = given[source - 1] if source is not None and source <= len(given) else None
        if isinstance(argument, int) or (
            argument is not None and not isinstance(argument.fold, Constant | Fixed | Applied)
        ):
            raise Refused(
                f"argument {source} of EXECUTE is searched for in a protected column, and is not a constant",
                detail=f"It is used with {', '.join(sorted(lookup.columns))}.",
                hint="Pass a constant.",
                position=argument if isinstance(argument, int) else argument.start,
            )
        constants.append(None if argument is None else argument.fold)  # type: ignore[arg-type]
    return LookupHole(
        lookup.answer,
        lookup.protection,
        lookup.columns,
        lookup.test,
        tuple(constants),
        lookup.nulls,
        lookup.loose,
    )
