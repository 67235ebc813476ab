"""The planner: a client text, parameter types and session scope to a ``Rewrite``, by way of two caches.

First the very text; then its shape (constants and comments cut out), so that an application that writes constants into
its statements is planned once per statement. Refusals are kept as well; they hold no constants.
"""

from __future__ import annotations

import traceback
from collections.abc import Hashable
from dataclasses import dataclass

from pglast.parser import fingerprint

from pgnym.sql.cache import BoundedCache
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.hints import complete
from pgnym.sql.infer import Knowledge, Run, split
from pgnym.sql.lexer import Lexed, lex
from pgnym.sql.plan import Rewrite, SessionScope, StatementPlan
from pgnym.sql.rewrite import Edit, Template, check_strings
from pgnym.sql.sequence import Sequence
from pgnym.sql.shape import Cuts, cut
from pgnym.sql.statements import COMMANDS
from pgnym.sql.syntax import Statement, parse
from pgnym.sql.touch import touches
from pgnym.sql.utility import plan_statement

_EXACT_ENTRIES, _EXACT_BYTES = 4096, 16 << 20
_SHAPE_ENTRIES, _SHAPE_BYTES = 2048, 16 << 20
_VARIANTS = 16  # plans of one shape that differ by constants whose value matters (ORDER BY 1)
_PLAN_COST = 2000  # bytes that a plan holds beside its text, about


@dataclass(frozen=True, slots=True)
class _Unconcerned:
    """The text touches nothing protected."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refusal without its place (``cut`` and ``offset`` anchor it)."""

    refusal: Refused
    cut: int
    offset: int | None


_Outcome = Template | _Unconcerned | _Refusal
_UNCONCERNED = _Unconcerned()


@dataclass(frozen=True, slots=True)
class _Variant:
    """A plan that holds for texts of a shape in which the pinned constants are spelled like this."""

    pins: tuple[int, ...]
    spelled: tuple[bytes, ...]
    outcome: _Outcome


_SCANNED: tuple[_Variant, ...] = ()  # stands for: look under the scanner's own shape


def _scanned_key(lexed: Lexed) -> bytes:
    """A key that no quick shape has."""
    return b"\0\0" + (lexed.text if lexed.inert else lexed.cuts.key)


class Planner:
    """Plans statements against one catalog snapshot. Not thread-safe; one per process and catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._knowledge = Knowledge.of(catalog)
        self._exact: BoundedCache[Rewrite | _Unconcerned] = BoundedCache(_EXACT_ENTRIES, _EXACT_BYTES)
        self._shapes: BoundedCache[tuple[_Variant, ...]] = BoundedCache(_SHAPE_ENTRIES, _SHAPE_BYTES)

    @property
    def cached(self) -> tuple[int, int]:
        """(entries, bytes) held by both caches."""
        return len(self._exact) + len(self._shapes), self._exact.size + self._shapes.size

    def plan(self, text: bytes, parameter_types: tuple[int, ...], scope: SessionScope) -> Rewrite | None:
        """The rewrite of a client text (UTF-8), None when it touches nothing protected.

        Parameters: ``parameter_types``, the OIDs of the client's Parse (0: open). Raises Refused.
        """
        session_key = (parameter_types, scope.search_path, scope.user, scope.standard_strings)
        key = (text, session_key)
        known = self._exact.get(key)
        if known is not None:
            return known if isinstance(known, Rewrite) else None
        if b"\0" in text:
            raise Refused("invalid byte in statement: NUL", sqlstate="22021", position=text.index(b"\0"))
        cuts = cut(text)
        variants = self._shapes.get((cuts.key, session_key))
        lexed: Lexed | None = None
        if variants is _SCANNED:
            lexed = lex(text)
            cuts = lexed.cuts
            variants = self._shapes.get((_scanned_key(lexed), session_key))
        outcome = _matching(variants, cuts) if variants else None
        volatile = False
        if outcome is None:
            lexed = lexed or lex(text)
            outcome, pins, volatile = self._plan(lexed, parameter_types, scope)
            if not volatile:
                variant = _Variant(pins, tuple(lexed.cuts.raw(o) for o in pins), outcome)
                self._keep(cuts, lexed, session_key, variants, variant)
            cuts = lexed.cuts
        if isinstance(outcome, _Refusal):
            raise _placed(outcome, cuts)
        if isinstance(outcome, _Unconcerned):
            if not volatile:
                self._exact.put(key, _UNCONCERNED, len(text) + 200)
            return None
        if not scope.standard_strings:
            check_strings(cuts)
        rewrite = outcome.apply(cuts, scope.standard_strings)
        if not volatile:
            self._exact.put(key, rewrite, 2 * len(text) + 500)
        return rewrite

    def judge(
        self, lexed: Lexed, parameter_types: tuple[int, ...], scope: SessionScope
    ) -> tuple[Rewrite | Refused | None, tuple[int, ...]]:
        """What ``plan`` comes to, and the ordinals of the constants that this depends on. Nothing is kept."""
        outcome, pins, _ = self._plan(lexed, parameter_types, scope)
        if isinstance(outcome, _Unconcerned):
            return None, pins
        if isinstance(outcome, _Refusal):
            return _placed(outcome, lexed.cuts), pins
        try:
            if not scope.standard_strings:
                check_strings(lexed.cuts)
            return outcome.apply(lexed.cuts, scope.standard_strings), pins
        except Refused as refusal:
            return refusal, pins

    def _keep(
        self,
        cuts: Cuts,
        lexed: Lexed,
        session_key: Hashable,
        variants: tuple[_Variant, ...] | None,
        variant: _Variant,
    ) -> None:
        """Keep a plan under the quick shape of its text, or under the scanner's where the two differ."""
        kept = (*(variants or ())[-(_VARIANTS - 1) :], variant)
        key = cuts.key
        if lexed.inert or cuts != lexed.cuts:
            self._shapes.put((cuts.key, session_key), _SCANNED, len(cuts.key) + 200)
            key = _scanned_key(lexed)
        self._shapes.put((key, session_key), kept, len(key) + _PLAN_COST * len(kept))

    def _plan(
        self, lexed: Lexed, parameter_types: tuple[int, ...], scope: SessionScope
    ) -> tuple[_Outcome, tuple[int, ...], bool]:
        """(outcome, ordinals of constants that it depends on, whether it depends on the session's names)."""
        pins: set[int] = set()
        volatile = False
        try:
            statements = parse(lexed.text)
            plans: list[StatementPlan] = []
            edits: list[Edit] = []
            concerned = False
            sequence = Sequence(scope)
            for statement in statements:
                run = Run(self._knowledge, sequence.scope, lexed, parameter_types, statement.start)
                run.end = lexed.ends[lexed.token_at(statement.end) - 1]
                try:
                    _pin_strings(run, statement)
                    sequence.check(run, statement.node)
                    touched = touches(run, statement.node)
                    plan, own_edits = plan_statement(run, statement.node, touched)
                except Refused as refusal:
                    complete(refusal, statement, lexed)
                    raise
                finally:
                    pins |= run.pins
                    volatile = volatile or run.volatile
                sequence.note(statement.node, plan.effect, touched and plan.catalog_change)
                concerned = concerned or touched or plan.effect is not None or bool(plan.outputs or own_edits)
                plans.append(plan)
                edits.extend(own_edits)
            if not concerned:
                return _UNCONCERNED, tuple(sorted(pins)), volatile
            template = Template.make(lexed.cuts, edits, tuple(plans), fingerprint(lexed.text.decode()))
            return template, tuple(sorted(pins)), volatile
        except Refused as refusal:
            return _anchored(refusal, lexed.cuts), tuple(sorted(pins)), volatile
        except (LookupError, TypeError, AttributeError, ValueError, AssertionError) as error:
            # a tree of a form that isn't foreseen: fail closed; where it happened, but no value of it
            internal = Refused("internal error while planning", sqlstate="XX000", detail=_place(error))
            return _anchored(internal, lexed.cuts), (), True
        except RecursionError:
            return (
                _anchored(Refused("statement is too deeply nested", sqlstate="54001"), lexed.cuts),
                (),
                True,
            )


# Statements in which constants stand only as expressions; elsewhere they may be names, bodies of functions, options.
_EXPRESSIONS_ONLY = frozenset(
    {*COMMANDS, "PrepareStmt", "ExecuteStmt", "DeclareCursorStmt", "ExplainStmt", "CallStmt"}
)


def _pin_strings(run: Run, statement: Statement) -> None:
    tag, _ = split(statement.node)
    if tag in _EXPRESSIONS_ONLY:
        return
    lexed = run.lexed
    for ordinal, start in enumerate(lexed.cuts.starts):
        if statement.start <= start < statement.end and not lexed.is_comment(ordinal):
            run.pins.add(ordinal)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else "unknown place"
    return f"{type(error).__name__} at {where}"


def _matching(variants: tuple[_Variant, ...], cuts: Cuts) -> _Outcome | None:
    for variant in variants:
        if all(cuts.raw(o) == s for o, s in zip(variant.pins, variant.spelled, strict=True)):
            return variant.outcome
    return None


def _anchored(refusal: Refused, cuts: Cuts) -> _Refusal:
    """Make a refusal independent of the constants of its text. Its traceback is dropped: it holds the frames' values."""
    refusal.__traceback__ = None
    refusal.__context__ = None
    if refusal.position is None:
        return _Refusal(refusal, 0, None)
    before = sum(1 for end in cuts.ends if end <= refusal.position)
    return _Refusal(refusal, before, refusal.position - (cuts.ends[before - 1] if before else 0))


def _placed(kept: _Refusal, cuts: Cuts) -> Refused:
    refusal = kept.refusal
    position = None
    if kept.offset is not None:
        position = (cuts.ends[kept.cut - 1] if kept.cut else 0) + kept.offset
    return Refused(
        refusal.message,
        sqlstate=refusal.sqlstate,
        detail=refusal.detail,
        hint=refusal.hint,
        position=position,
    )
