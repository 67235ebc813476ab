"""The end of inference over one statement: what became of each constant and parameter, as edits and parameter lists."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pgnym.sql.casts import cast_fits
from pgnym.sql.catalog import Leaf, Protection
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Constant, Fixed
from pgnym.sql.grouping import tell_apart
from pgnym.sql.infer import Run
from pgnym.sql.kinds import ArrayOf, Document, LateCast, Occurrence, Open, Token, shape
from pgnym.sql.literals import decode
from pgnym.sql.plan import Parameter, Use, ValueUse
from pgnym.sql.repeated import unify_repeated
from pgnym.sql.rewrite import Edit, Hole, LookupHole
from pgnym.sql.searching import alike
from pgnym.sql.splices import CLASS, SEARCH, Around
from pgnym.sql.types import BPCHAR, NUMBERS, TEXT, TEXT_ARRAY, VARCHAR, VARCHAR_ARRAY, array_of, family
from pgnym.sql.unify import describe

_STRENGTH = {Use.COMPARE: 0, Use.CARRY: 1, Use.WRITE: 2}
_NUMERIC, _JSONB, _FLOAT4, _FLOAT8 = 1700, 3802, 700, 701
_POINT_OR_EXPONENT = re.compile(r"[0-9][.eE]")
_KEPT_CASTS = frozenset({TEXT, VARCHAR, TEXT_ARRAY, VARCHAR_ARRAY})
_SHOWN = "a constant or parameter that may be shown beside {} is not supported"
_STRINGS = frozenset({TEXT, VARCHAR, BPCHAR})
# A date where a timestamp is meant is midnight, whatever the settings; (declared type, type of the column).
_WIDENED = frozenset({(1082, 1114)})


@dataclass(slots=True)
class Settled:
    """Edits and parameters of one statement."""

    edits: list[Edit]
    parameters: tuple[Parameter, ...] | None
    shown: dict[int, int]
    sent: dict[int, int]
    compares: frozenset[str]


def settle(run: Run) -> Settled:
    """Judge all occurrences. Raises Refused when a constant or its cast doesn't fit the domain that it met."""
    unify_repeated(run)
    tell_apart(run)
    edits = [Edit(start, end, new) for (start, end), new in run.edits.items()]
    for search in alike(run.searches.values()):
        opening, *others = search.edits()
        if (*search.kept, CLASS) in run.splices.around and opening.start == opening.end:
            # what stands in place of the value stands within the predicate
            run.splices.around[*search.kept, SEARCH] = Around((search.opening,), ())
        else:
            edits.append(opening)
        edits.extend(others)
    _distribute_casts(run)
    compares: set[str] = set()
    parameters: list[Occurrence] = []
    for occurrence in run.occurrences.values():
        if occurrence.parameter:
            parameters.append(occurrence)
        use = value_use(run, occurrence)
        if use is None:
            continue
        compares |= _compared(occurrence)
        if not occurrence.parameter:
            edits.extend(_constant_edits(run, occurrence, use))
    edits.extend(_late_cast_edits(run))
    settled = Settled(edits, None, {}, {}, frozenset(compares | run.compared))
    _settle_parameters(run, sorted(parameters, key=lambda o: o.start), settled)
    settled.edits = run.splices.edits(run.lexed, settled.edits, run.pins)
    return settled


def _distribute_casts(run: Run) -> None:
    """A cast with a length around several constants to be stored (Django's bulk_update: ``(CASE …)::varchar(24)``).

    Each constant is cut as the cast would cut it. Columns among them have the same length, so the cast leaves them alone.
    """
    for cast in run.late_casts:
        if isinstance(cast.kind, Open) and _distributed(run, cast):
            for occurrence in cast.kind.root().occurrences:
                if not occurrence.cast_oid:
                    occurrence.cast_oid = cast.cast_oid
                    occurrence.cast_typmod = cast.cast_typmod


def _distributed(run: Run, cast: LateCast) -> bool:
    kind = shape(cast.kind)
    if (
        not isinstance(cast.kind, Open)
        or cast.cast_typmod == -1
        or cast.cast_array
        or not isinstance(kind, Token)
        or kind.typmod != cast.cast_typmod
    ):
        return False
    return all(use is Use.WRITE for use, _ in cast.kind.root().uses) and cast_fits(run, cast, kind, False)


def _late_cast_edits(run: Run) -> list[Edit]:
    """Casts of what turned out to be tokens: they must name the column's type, and become casts to text."""
    edits: dict[tuple[int, int], Edit] = {}
    for cast in run.late_casts:
        kind = shape(cast.kind)
        is_array = isinstance(kind, ArrayOf)
        if isinstance(kind, ArrayOf):
            kind = shape(kind.element)
        if not isinstance(kind, Token):
            continue
        if (
            isinstance(cast.kind, Open)
            and cast.kind.root().shown
            and _wider(cast.cast_oid, kind.protection.type_oid)
        ):
            raise _widened(kind, cast.span[0])
        distributed = _distributed(run, cast)
        if not cast_fits(run, cast, kind, is_array) or (cast.cast_typmod != -1 and not distributed):
            raise _unfit(cast.cast_name, kind, cast.span[0])
        if distributed or (cast.cast_oid not in _KEPT_CASTS and cast.cast_name != "citext"):
            edits[cast.span] = Edit(*cast.span, stored_array(cast.cast_oid) if is_array else b"text")
    return list(edits.values())


def _unfit(name: str | None, token: Token, position: int) -> Refused:
    return Refused(
        f"cast to {name} does not fit {describe(token)}",
        detail="A value that becomes a token must be of the column's own type.",
        hint="Cast to the column's type, or leave the cast out.",
        position=position,
    )


def _token_of(occurrence: Occurrence) -> tuple[Token | None, bool]:
    """(the token an occurrence has become, whether as an array of it)."""
    if occurrence.open is None:
        return None, False
    kind = shape(occurrence.open)
    is_array = isinstance(kind, ArrayOf)
    if isinstance(kind, ArrayOf):
        kind = shape(kind.element)
    return (kind, is_array) if isinstance(kind, Token) else (None, False)


def _uses(occurrence: Occurrence) -> list[tuple[Use, Token]]:
    if occurrence.open is None:
        return []
    root = occurrence.open.root()
    while isinstance(root.bound, ArrayOf):
        element = root.bound.element
        if not hasattr(element, "root"):
            return []
        root = element.root()
    return root.uses


def _compared(occurrence: Occurrence) -> frozenset[str]:
    return frozenset(c for use, token in _uses(occurrence) if use is not Use.WRITE for c in token.columns)


def value_use(run: Run, occurrence: Occurrence) -> ValueUse | None:
    """How a constant or parameter becomes a token, None when it stays as it is."""
    token, is_array = _token_of(occurrence)
    uses = _uses(occurrence)
    if uses and occurrence.open is not None and isinstance(document := shape(occurrence.open), Document):
        return _document_use(occurrence, document, uses)
    if token is None or not uses:
        return None
    use, strongest = max(uses, key=lambda u: _STRENGTH[u[0]])
    columns = frozenset(c for _, met in uses for c in met.columns)
    if not cast_fits(run, occurrence, token, is_array):
        raise _unfit(occurrence.cast_name, token, occurrence.start)
    original = family(run.catalog, strongest.protection.type_oid)
    if occurrence.numeric and not _takes_number(strongest.protection.codec_oid, original, use):
        if occurrence.open is not None and occurrence.open.root().cast:
            # A number that a later cast makes text: plain PostgreSQL has no fault to find with it.
            raise Refused(
                f"a number that is cast elsewhere can't be brought together with {describe(token)}",
                detail="It would have to become a token where it is a number still.",
                hint="Write the value in quotes.",
                position=occurrence.start,
            )
        raise Refused(
            f"operator does not exist: {describe(token)} and a number",
            sqlstate="42883",
            hint="Write the value in quotes.",
            position=occurrence.start,
        )
    if _decimal(run, occurrence) and strongest.protection.type_oid in (21, 23):
        raise Refused(
            f"a decimal or large number can't be brought together with {describe(token)}",
            detail="The column's type is an integer.",
            hint="Write a whole number within the range of the type.",
            position=occurrence.start,
        )
    if _is_shown(occurrence):
        _check_shown(run, occurrence, strongest, token)
    if is_array and isinstance(occurrence.fold, Applied):
        raise Refused("a computed array constant is not supported", position=occurrence.start)
    return ValueUse(
        use,
        strongest.protection,
        columns,
        is_array,
        max(occurrence.cast_oid, 0),
        occurrence.cast_typmod if occurrence.cast_oid else -1,
    )


def _document_use(occurrence: Occurrence, document: Document, uses: list[tuple[Use, Token]]) -> ValueUse:
    """How a JSON document becomes one with tokens: its own text and cast stay, but for the strings at the paths."""
    if occurrence.cast_typmod != -1 or occurrence.cast_array:
        detail = "What the cast makes of the document can't be told, as its strings are replaced before."
        raise Refused(
            f"cast to {occurrence.cast_name} does not fit {document.of}",
            detail=detail,
            hint="Cast to jsonb, or leave the cast out.",
            position=occurrence.start,
        )
    use = max((use for use, _ in uses), key=lambda u: _STRENGTH[u])
    leaves = tuple(Leaf(path, token.protection) for path, token in document.leaves)
    columns = frozenset(c for _, met in uses for c in met.columns)
    return ValueUse(use, leaves[0].protection, columns, cast_oid=max(occurrence.cast_oid, 0), leaves=leaves)


def _takes_number(codec_oid: int, original: str, use: Use) -> bool:
    """Whether a number without quotes means the column's value that its digits spell.

    Compared with a real, PostgreSQL reads it as double precision, where 0.1 is another value than 0.1 as real.
    """
    if original == "number" or codec_oid == _FLOAT8:
        return True
    return use is Use.WRITE and (original == "text" or codec_oid == _FLOAT4)


def _is_shown(occurrence: Occurrence) -> bool:
    """Whether the value may come out of the statement."""
    root = occurrence.open.root() if occurrence.open is not None else None
    while root is not None and not root.shown and isinstance(root.bound, ArrayOf):
        element = root.bound.element
        root = element.root() if isinstance(element, Open) else None
    return root is not None and root.shown


def _check_shown(run: Run, occurrence: Occurrence, strongest: Token, token: Token) -> None:
    """Raise Refused unless the constant is shown as PostgreSQL would show it: in its own type and spelling."""
    protection = strongest.protection
    what = _SHOWN.format(describe(token))
    hint = "Select the column by itself, and put the constant in its place in the application."
    if protection.type_oid == BPCHAR:
        detail = "A char(n) value is padded to the column's length, a constant beside it is not."
        raise Refused(what, detail=detail, hint=hint, position=occurrence.start)
    if protection.type_oid in NUMBERS and _widens(occurrence, protection.type_oid):
        raise _widened(token, occurrence.start)
    if not _spelled_alike(run, occurrence, protection):
        detail = "Equal values of its type have one token, which is shown in the spelling that the column gives it."
        if protection.typmod != -1:
            hint = "Write a constant with as many digits after the point as the column has."
        raise Refused(what + " in this spelling", detail=detail, hint=hint, position=occurrence.start)


def _widened(token: Token, position: int) -> Refused:
    return Refused(
        _SHOWN.format(describe(token)),
        detail="The result would have a wider type than the column.",
        hint="Cast the constant to the column's type.",
        position=position,
    )


def _widens(occurrence: Occurrence, original: int) -> bool:
    """Whether a constant makes the common type with a number column another than the column's."""
    named = occurrence.cast_oid or occurrence.declared
    if named in NUMBERS:
        return _wider(named, original)
    return occurrence.numeric and original == 21  # a bare integer is an int4


def _wider(named: int, original: int) -> bool:
    """Whether the common type of two numbers is another than the column's."""
    return named in NUMBERS and original in NUMBERS and NUMBERS.index(named) > NUMBERS.index(original)


def _spelled_alike(run: Run, occurrence: Occurrence, protection: Protection) -> bool:
    """Whether a value that is shown is written as the column writes an equal one: of numbers, with the same scale."""
    if protection.codec_oid not in (_NUMERIC, _JSONB):
        return True
    scaled = protection.codec_oid == _NUMERIC and protection.typmod != -1
    if scaled and occurrence.cast_oid == _NUMERIC and occurrence.cast_typmod == protection.typmod:
        return True
    if not isinstance(occurrence.fold, Constant) or occurrence.cast_array:
        return False
    run.pins.add(occurrence.fold.ordinal)
    value = decode(run.lexed.cuts.raw(occurrence.fold.ordinal), run.session.standard_strings)
    if protection.codec_oid == _JSONB:
        return _POINT_OR_EXPONENT.search(value) is None
    whole, _, fraction = value.strip().partition(".")
    scale = (protection.typmod - 4) & 0x7FF
    return scaled and len(fraction) == scale and whole.lstrip("+-").isdigit() and (fraction + "0").isdigit()


def _decimal(run: Run, occurrence: Occurrence) -> bool:
    if not occurrence.numeric or not isinstance(occurrence.fold, Constant):
        return False
    start = run.lexed.cuts.starts[occurrence.fold.ordinal]
    return run.lexed.names[run.lexed.token_at(start)] == "FCONST"


def _constant_edits(run: Run, occurrence: Occurrence, use: ValueUse) -> list[Edit]:
    fold = occurrence.fold
    if not isinstance(fold, Constant | Fixed | Applied):
        raise Refused("constant is not supported here", position=occurrence.start)
    if use.leaves:
        return [Edit(occurrence.start, occurrence.end, Hole(fold, use))]
    span = occurrence.cast_span
    name = run.type_named.get(span[0]) if span is not None else None
    if span is not None and span[0] < occurrence.start and span[1] <= occurrence.start:
        if run.lexed.text[span[1] : occurrence.start].strip(b" \t\r\n\f\v") != b"":
            raise Refused("comment between a type and its constant is not supported", position=span[0])
        edits = [Edit(span[0], occurrence.end, Hole(fold, use))]
        last = occurrence.end
    else:
        edits = [Edit(occurrence.start, occurrence.end, Hole(fold, use))]
        last = retyped(occurrence, use.array, edits)
    if name is not None and last:
        clause, place = name
        place = max(place, last)
        edits.append(Edit(place, place, clause))
    return edits


def retyped(occurrence: Occurrence, is_array: bool, edits: list[Edit]) -> int:
    """Add the replacement of a cast's type by text, where it is another; the end of the cast, 0 when nothing changes."""
    span = occurrence.cast_span
    if span is None or (occurrence.cast_oid in _KEPT_CASTS and occurrence.cast_typmod == -1):
        return 0
    if occurrence.cast_name == "citext":
        return 0
    edits.append(Edit(span[0], span[1], stored_array(occurrence.cast_oid) if is_array else b"text"))
    return span[1]


def stored_array(oid: int) -> bytes:
    """What a cast of array constants becomes: arrays of varchar and text have no operators in common."""
    return b"varchar[]" if oid == VARCHAR_ARRAY else b"text[]"


@dataclass(slots=True)
class _Group:
    """Occurrences of one parameter that must have the same value upstream."""

    use: ValueUse | None
    number: int
    occurrences: list[Occurrence]


def _key(use: ValueUse | None) -> object:
    if use is None:
        return None
    p = use.protection
    return p.prefix, p.type_oid, p.typmod, use.array, use.cast_oid, use.cast_typmod, use.leaves


def _settle_parameters(run: Run, occurrences: list[Occurrence], settled: Settled) -> None:
    uses = {o.start: value_use(run, o) for o in occurrences}
    searched = searched_parameters(run)
    asks = run.splices or any(isinstance(edit.new, LookupHole) for edit in settled.edits)
    if not any(uses.values()) and not asks:
        return
    highest = max([len(run.parameter_types), *(o.parameter for o in occurrences), *searched])
    groups: dict[int, list[_Group]] = {}
    free: list[Occurrence] = []
    for occurrence in occurrences:
        use = uses[occurrence.start]
        if use is None and occurrence.open is not None and occurrence.open.root().bound is None:
            free.append(occurrence)
            continue
        mine = groups.setdefault(occurrence.parameter, [])
        for group in mine:
            if _key(group.use) == _key(use):
                group.occurrences.append(occurrence)
                group.use = _stronger(group.use, use)
                break
        else:
            mine.append(_Group(use, 0, [occurrence]))
    withheld = set(searched) - set(groups)
    for occurrence in free:
        if occurrence.parameter in withheld:
            _withhold(run, occurrence, settled)
            continue
        mine = groups.setdefault(occurrence.parameter, [_Group(None, 0, [])])
        mine[0].occurrences.append(occurrence)
    extra: list[Parameter] = []
    kept: list[Parameter] = []
    for number in range(1, highest + 1):
        mine = groups.get(number, [])
        if number in searched:
            _searched_types(run, number, searched[number], mine, settled)
        kept.append(Parameter(number, mine[0].use if mine else None, number in withheld))
        for index, group in enumerate(mine):
            group.number = number
            if index:
                extra.append(Parameter(number, group.use))
                group.number = highest + len(extra)
            _group_edits(run, group, settled)
            _group_types(run, number, group, settled)
    settled.parameters = (*kept, *extra)


def searched_parameters(run: Run) -> dict[int, tuple[int, int]]:
    """Client parameters that predicates on contents and deferred functions take: number → (type, where it stands first).

    Raises Refused 42P08 when two of them take it for different types.
    """
    found: dict[int, tuple[int, int]] = {}
    searched = [parameter for search in run.searches.values() for parameter in search.parameters]
    for number, type_oid, where in [*searched, *sorted(run.splices.parameters)]:
        known = found.setdefault(number, (type_oid, where))
        if known[0] != type_oid and not {known[0], type_oid} <= _STRINGS:
            raise Refused(
                f"inconsistent types deduced for parameter ${number}",
                sqlstate="42P08",
                hint="Cast it in each place, or use two parameters.",
                position=where,
            )
    return found


def _withhold(run: Run, occurrence: Occurrence, settled: Settled) -> None:
    """Beside what takes a parameter's value away it may only be tested for NULL: that much of it is sent."""
    if not occurrence.null_tested:
        raise Refused(
            f"parameter ${occurrence.parameter} is used with the contents of a protected column, and elsewhere",
            detail="Its value isn't sent to the database.",
            hint="Use two parameters.",
            position=occurrence.start,
        )
    retyped(occurrence, occurrence.cast_array, settled.edits)


def _searched_types(
    run: Run, number: int, searched: tuple[int, int], groups: list[_Group], settled: Settled
) -> None:
    """The type that a client is shown for a parameter which predicates on contents take."""
    type_oid, where = searched
    declared = run.parameter_types[number - 1] if number <= len(run.parameter_types) else 0
    if not groups:
        settled.sent[number] = TEXT
        if not declared:
            settled.shown[number] = type_oid
        return
    is_told = declared or any(o.cast_oid for g in groups for o in g.occurrences)
    if not is_told and type_oid not in _STRINGS and all(g.use is None for g in groups):
        raise Refused(
            f"the type of parameter ${number} depends on where it is used first",
            sqlstate="42P08",
            detail="One of its uses is a predicate on a protected column, which the database doesn't get to see.",
            hint="Cast it in each place, or use two parameters.",
            position=where,
        )


def _stronger(one: ValueUse | None, other: ValueUse | None) -> ValueUse | None:
    if one is None or other is None:
        return one
    best = max(one, other, key=lambda u: _STRENGTH[u.use])
    return replace(best, columns=one.columns | other.columns)


def _group_edits(run: Run, group: _Group, settled: Settled) -> None:
    for occurrence in group.occurrences:
        if group.number != occurrence.parameter:
            settled.edits.append(Edit(occurrence.start, occurrence.end, b"$%d" % group.number))
        if group.use is not None and not group.use.leaves:
            last = retyped(occurrence, group.use.array, settled.edits)
            span = occurrence.cast_span
            name = run.type_named.get(span[0]) if span is not None else None
            if last and name is not None:
                clause, place = name
                settled.edits.append(Edit(place, place, clause))


def _group_types(run: Run, number: int, group: _Group, settled: Settled) -> None:
    use = group.use
    if use is None or use.leaves:
        return
    protection = use.protection
    declared = run.parameter_types[number - 1] if number <= len(run.parameter_types) else 0
    original = array_of(run.catalog, protection.type_oid) if use.array else protection.type_oid
    original_family = family(run.catalog, protection.type_oid)
    if declared:
        if not _declared_fits(run, declared, use):
            cast = any(o.cast_oid or (o.open is not None and o.open.root().cast) for o in group.occurrences)
            raise Refused(
                f"parameter ${number} is declared with a type that {', '.join(sorted(use.columns))} can't be compared with",
                sqlstate="0A000" if cast else "42883",  # behind a cast, PostgreSQL compares
                detail=f"The parameter's type has OID {declared}, the column's {protection.type_oid}.",
                hint="Declare the column's own type, or leave the type open.",
                position=group.occurrences[0].start,
            )
        if declared not in _KEPT_CASTS and declared != 0 and not _is_citext(run, declared):
            settled.sent[group.number] = TEXT_ARRAY if use.array else TEXT
            settled.shown[number] = declared
        return
    retypes = use.cast_oid not in _KEPT_CASTS or use.cast_typmod != -1
    if use.cast_oid and (original_family != "text" or retypes):
        settled.shown[number] = use.cast_oid
    elif protection.type_oid != protection.stored_oid and not _is_named(group):
        settled.shown[number] = original


def _is_named(group: _Group) -> bool:
    return any(o.open is not None and o.open.root().named for o in group.occurrences)


def _is_citext(run: Run, oid: int) -> bool:
    known = run.catalog.types.get(oid)
    return known is not None and known.name == "citext"


def _declared_fits(run: Run, declared: int, use: ValueUse) -> bool:
    original = family(run.catalog, use.protection.type_oid)
    if use.array:
        from pgnym.sql.types import element_of

        inner = element_of(run.catalog, declared)
        if use.protection.array and use.use is not Use.WRITE and original != "text":
            return inner == use.protection.type_oid  # operators of arrays take two of one type
        return inner != 0 and family(run.catalog, inner) in (original, "text")
    if (declared, use.protection.type_oid) in _WIDENED:
        return True
    if use.protection.type_oid in (_FLOAT4, _FLOAT8) and declared in (*NUMBERS, _FLOAT4, _FLOAT8):
        return True
    return family(run.catalog, declared) in (original, "text")
