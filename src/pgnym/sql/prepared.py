"""Statements by name: PREPARE, EXECUTE, DEALLOCATE, cursors, DISCARD, EXPLAIN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgnym.sql.deferred import kept_parameters, with_given
from pgnym.sql.dependents import LONGEST_NAME, clipped
from pgnym.sql.errors import Refused
from pgnym.sql.fold import Applied, Constant, Fixed, evaluate
from pgnym.sql.infer import Node, Run, infer, is_null, location, split
from pgnym.sql.kinds import Occurrence, Open, shape
from pgnym.sql.literals import decode
from pgnym.sql.plan import Answer, Given, OutputColumn, SessionAct, SessionEffect, StatementPlan, ValueUse
from pgnym.sql.prepared_lookups import (
    answer_type,
    asked,
    ordinals,
    undeclared_types,
    with_lookups,
    word_index,
)
from pgnym.sql.resolve import Scope
from pgnym.sql.rewrite import Edit, Hole, LookupHole
from pgnym.sql.settle import retyped
from pgnym.sql.spans import span
from pgnym.sql.statements import COMMANDS, Planned, plan_query, utility
from pgnym.sql.type_names import type_end
from pgnym.sql.types import array_of, family, find_type, type_name_parts
from pgnym.sql.unify import require_plain

_EMPTY = {Answer.RANKS: b"'{}'", Answer.ORDERED: b"'[]'"}


@utility("PrepareStmt")
def _prepare(run: Run, node: Node, touched: bool) -> Planned:
    types = [t["TypeName"] for t in node.get("argtypes", ())]
    run.parameter_types = tuple(_type_oid(run, t) for t in types)
    if touched:
        inner, edits = with_lookups(run, *plan_query(run, node["query"]))
        edits = edits + _type_edits(run, types, inner)
    else:
        tag, _ = split(node["query"])
        inner, edits = StatementPlan(COMMANDS.get(tag, "SELECT")), []
    effect = SessionEffect(SessionAct.PREPARE, node["name"], inner)
    plan = StatementPlan("PREPARE", relations=inner.relations, effect=effect, deferred=inner.deferred)
    return plan, edits


def _type_oid(run: Run, node: Node) -> int:
    schema, name = type_name_parts(node)
    oid = find_type(run.catalog, run.knowledge.types, schema, name)
    return array_of(run.catalog, oid) if node.get("arrayBounds") else oid


def _type_edits(run: Run, types: list[Node], inner: StatementPlan) -> list[Edit]:
    """Declared types that must be text, and types for parameters that were split off, or are answers of the vault."""
    if not types:
        return undeclared_types(run, inner)
    spans: list[tuple[int, int]] = []
    for node in types:
        start = location(node)
        if start is None:
            raise Refused("type of a prepared statement's parameter is not supported")
        spans.append((start, type_end(run.lexed, start)))
    edits = []
    sent = inner.sent_parameter_types or {}
    for number, (start, end) in enumerate(spans, 1):
        if number in sent:
            edits.append(Edit(start, end, b"text" if sent[number] == 25 else b"text[]"))
    added: list[bytes] = []
    for number, parameter in enumerate(inner.parameters or (), 1):
        if number <= len(spans):
            continue
        if number in sent:
            added.append(b"text" if sent[number] == 25 else b"text[]")
        elif parameter.source <= len(spans):
            start, end = spans[parameter.source - 1]
            added.append(run.lexed.text[start:end])
        else:
            added.append(b"unknown")
    added.extend(map(answer_type, inner.lookups))
    if added:
        edits.append(Edit(spans[-1][1], spans[-1][1], b", " + b", ".join(added)))
    return edits


@utility("ExecuteStmt")
def execute(run: Run, node: Node, touched: bool) -> Planned:
    """EXECUTE: the arguments become what the plan of the prepared statement says of its parameters.

    A name that the session doesn't hold as protected was planned, by PREPARE or Parse, as touching nothing protected. So its
    arguments can be plaintext for unprotected places only (should a table have become protected since, its CHECK refuses
    them), and nothing is revealed from it, as no plan says so.
    """
    run.volatile = True
    name = node["name"]
    inner = prepared_as(run, name)
    if inner is None:
        if touched:
            raise Refused("EXECUTE whose arguments read protected tables is not supported")
        return StatementPlan("EXECUTE"), []
    if inner.command not in COMMANDS.values():
        raise Refused(
            f'EXECUTE of prepared statement "{name}" is not supported: {inner.command} on protected tables',
            hint="Execute it as it was prepared, by the extended protocol (Bind and Execute).",
        )
    arguments = node.get("params", [])
    edits = _arguments(run, arguments, inner) if inner.parameters is not None else []
    if inner.parameters is None:
        for argument in arguments:
            require_plain(infer(run, argument, Scope()), "EXECUTE", None)
    plan = replace(
        inner,
        command="EXECUTE",
        outputs=_given(run, arguments, inner),
        parameters=None,
        shown_parameter_types=None,
        sent_parameter_types=None,
        lookups=(),
        effect=SessionEffect(SessionAct.EXECUTE, name, inner),
    )
    return plan, edits


def prepared_as(run: Run, name: str) -> StatementPlan | None:
    """The plan of a prepared statement that concerns us.

    Parse takes names of any length, of which the server's hash table compares the first 63 bytes (``string_compare``); the
    scanner has cut ``name`` to these.
    """
    prepared = run.session.prepared
    found = prepared.get(name)
    if found is None and len(name) * 4 >= LONGEST_NAME:
        for long, plan in prepared.items():
            if clipped(long) == name:
                return plan
    return found


def _arguments(run: Run, arguments: list[Node], inner: StatementPlan) -> list[Edit]:
    occurrences: list[Occurrence | None] = []
    for argument in arguments:
        kind = infer(run, argument, Scope())
        root = kind.root() if isinstance(kind, Open) else None
        occurrences.append(root.occurrences[0] if root is not None and len(root.occurrences) == 1 else None)
        if not isinstance(shape(kind), Open):
            require_plain(kind, "EXECUTE", None)
    edits: list[Edit] = []
    added: list[bytes | Hole | LookupHole] = []
    for number, parameter in enumerate(inner.parameters or (), 1):
        if parameter.source > len(arguments):
            break  # too few: the server says so
        occurrence = occurrences[parameter.source - 1]
        null = is_null(arguments[parameter.source - 1])
        if parameter.withheld:
            start, end = span(run.lexed, arguments[parameter.source - 1])
            edits.append(Edit(start, end, b"NULL" if null else b"''"))
            continue
        if parameter.use is None:
            if number > len(arguments):
                added.append(_copied(run, occurrence, null))
            continue
        if null:
            if number > len(arguments):
                added.append(b"NULL")
            continue
        if occurrence is None or not isinstance(occurrence.fold, Constant | Fixed | Applied):
            _, fields = split(arguments[parameter.source - 1])
            raise Refused(
                f"argument {parameter.source} of EXECUTE meets a protected column, and is not a constant",
                detail=f"It is used with {', '.join(sorted(parameter.use.columns))}.",
                hint="Pass a constant.",
                position=location(fields),
            )
        use = _with_cast(run, parameter.use, occurrence)
        hole = Hole(occurrence.fold, use)
        if number > len(arguments):
            added.append(hole)
            continue
        start = occurrence.start
        if use.leaves:
            edits.append(Edit(start, occurrence.end, hole))
            continue
        if occurrence.cast_span is not None and occurrence.cast_span[0] < start:
            start = occurrence.cast_span[0]
        edits.append(Edit(start, occurrence.end, hole))
        if start == occurrence.start:
            retyped(occurrence, use.array, edits)
    given = [None if is_null(a) else o or _computed(a) for a, o in zip(arguments, occurrences, strict=True)]
    added.extend(asked(lookup, given) for lookup in inner.lookups)
    if added:
        edits.extend(_appended(run, arguments, added))
    return edits


def _computed(argument: Node) -> int | None:
    """The place of an argument that is no constant."""
    return location(split(argument)[1])


def _given(run: Run, arguments: list[Node], inner: StatementPlan) -> tuple[OutputColumn | None, ...]:
    """The outputs with the arguments that deferred functions use."""
    if not inner.deferred or not kept_parameters(inner.outputs):
        return inner.outputs

    def give(number: int, type_oid: int) -> Given:
        if number > len(arguments):
            return Given(type_oid)  # too few: the server says so
        argument = arguments[number - 1]
        kind = infer(run, argument, Scope())
        found = kind.root().occurrences if isinstance(kind, Open) else []
        if is_null(argument):
            return Given(type_oid)
        if (
            len(found) != 1
            or not isinstance(found[0].fold, Constant | Fixed | Applied)
            or found[0].cast_array
        ):
            raise _not_constant(argument, number, "a function of a protected column")
        own = found[0].cast_oid
        if own and family(run.catalog, own) != family(run.catalog, type_oid):
            raise _not_constant(argument, number, "a function of a protected column")
        value = evaluate(found[0].fold, lambda o: decode(run.lexed.cuts.raw(o), run.session.standard_strings))
        return Given(type_oid, text=value)

    return with_given(inner.outputs, give)


def _not_constant(argument: Node, number: int, what: str) -> Refused:
    _, fields = split(argument)
    return Refused(
        f"argument {number} of EXECUTE meets {what}, and is not a constant of its type",
        hint="Pass a constant.",
        position=location(fields),
    )


def _with_cast(run: Run, use: ValueUse, occurrence: Occurrence) -> ValueUse:
    if use.leaves:
        return use
    original = family(run.catalog, use.protection.type_oid)
    if occurrence.numeric and original not in ("number", "text"):
        raise Refused(
            "a number can't be an argument for a protected column of another type",
            sqlstate="42804",
            position=occurrence.start,
        )
    if not occurrence.cast_oid:
        return use
    if occurrence.cast_array != use.array or (
        not use.array and family(run.catalog, occurrence.cast_oid) != original
    ):
        raise Refused(
            f"cast to {occurrence.cast_name} does not fit a protected column", position=occurrence.start
        )
    return replace(use, cast_oid=max(occurrence.cast_oid, 0), cast_typmod=occurrence.cast_typmod)


def _copied(run: Run, occurrence: Occurrence | None, is_null: bool) -> bytes | Hole:
    if is_null:
        return b"NULL"
    if occurrence is None:
        raise Refused(
            "an argument of EXECUTE that is used as two things at once must be a constant",
            hint="Pass a constant, or give the statement two parameters.",
        )
    for ordinal in ordinals(occurrence.fold):
        run.pins.add(ordinal)
    return run.lexed.text[occurrence.start : occurrence.end]


def _appended(run: Run, arguments: list[Node], added: Sequence[bytes | Hole | LookupHole]) -> list[Edit]:
    """Further arguments go before the closing parenthesis of the list."""
    lexed = run.lexed
    if not arguments:
        place = lexed.ends[word_index(run, "execute") + 1]
        parts = [part for new in added for part in (b", ", new)]
        return [Edit(place, place, new) for new in (b" (", *parts[1:], b")")]
    index = word_index(run, "execute") + 2  # EXECUTE name (
    depth = 0
    while index < len(lexed.starts):
        token = lexed.text[lexed.starts[index] : lexed.ends[index]]
        if token == b"(":
            depth += 1
        elif token == b")":
            depth -= 1
            if depth == 0:
                break
        index += 1
    if index >= len(lexed.starts):
        raise Refused("unsupported form of EXECUTE")
    place = lexed.starts[index]
    edits = []
    for new in added:
        edits.append(Edit(place, place, b", "))
        edits.append(Edit(place, place, new))
    return edits


@utility("DeallocateStmt")
def _deallocate(run: Run, node: Node, touched: bool) -> Planned:
    return StatementPlan("DEALLOCATE", effect=SessionEffect(SessionAct.DEALLOCATE, node.get("name"))), []


@utility("DeclareCursorStmt")
def _declare(run: Run, node: Node, touched: bool) -> Planned:
    if touched:
        inner, edits = plan_query(run, node["query"])
    else:
        inner, edits = StatementPlan("SELECT"), []
    effect = SessionEffect(SessionAct.DECLARE, node["portalname"], inner)
    return replace(inner, command="DECLARE", outputs=(), reads=frozenset(), effect=effect), edits


@utility("FetchStmt")
def _fetch(run: Run, node: Node, touched: bool) -> Planned:
    run.volatile = True
    command = "MOVE" if node.get("ismove") else "FETCH"
    inner = run.session.cursors.get(node["portalname"])
    if inner is None or node.get("ismove"):
        return StatementPlan(command), []
    plan = StatementPlan(
        command,
        outputs=inner.outputs,
        reads=inner.reads,
        relations=inner.relations,
        deferred=inner.deferred,
    )
    return plan, []


@utility("ClosePortalStmt")
def _close(run: Run, node: Node, touched: bool) -> Planned:
    return StatementPlan("CLOSE", effect=SessionEffect(SessionAct.CLOSE, node.get("portalname"))), []


@utility("DiscardStmt")
def _discard(run: Run, node: Node, touched: bool) -> Planned:
    target = node.get("target", "DISCARD_ALL")
    if target in ("DISCARD_ALL", "DISCARD_PLANS"):
        return StatementPlan("DISCARD", effect=SessionEffect(SessionAct.DISCARD)), []
    return StatementPlan("DISCARD"), []


@utility("ExplainStmt")
def _explain(run: Run, node: Node, touched: bool) -> Planned:
    """EXPLAIN shows tokens as the constants that they are sent as."""
    tag, fields = split(node["query"])
    if tag == "ExecuteStmt":
        inner, edits = execute(run, fields, touched)
    elif not touched:
        return StatementPlan("EXPLAIN"), []
    elif tag == "CreateTableAsStmt":
        if any(o["DefElem"].get("defname") == "analyze" for o in node.get("options", ())):
            raise Refused(
                "EXPLAIN ANALYZE of CREATE TABLE AS over protected tables is not supported",
                detail="It would make the table without the CHECK constraints that guard it.",
                hint="Explain the query alone.",
            )
        inner, edits = plan_query(run, fields["query"])
    elif tag == "DeclareCursorStmt":
        inner, edits = plan_query(run, fields["query"])
    else:
        inner, edits = plan_query(run, node["query"])
    options = {o["DefElem"]["defname"] for o in node.get("options", ())}
    if "analyze" not in options and not any(isinstance(edit.new, Hole) for edit in edits):
        edits = [_unranked(edit) for edit in edits]
    return replace(inner, command="EXPLAIN", outputs=(), reads=frozenset(), effect=None), edits


def _unranked(edit: Edit) -> Edit:
    """Ranks are only read where a query runs, unless they are of constants; a plan is the same without, and shorter."""
    empty = _EMPTY.get(edit.new.answer) if isinstance(edit.new, LookupHole) else None
    return replace(edit, new=empty) if empty is not None else edit
