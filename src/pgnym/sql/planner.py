"""The planner: a client text, parameter types and session scope to a ``Rewrite``, by way of two caches.

First the very text; then its shape (constants and comments cut out), so that an application that writes constants into
its statements is planned once per statement. Refusals are kept as well; they hold no constants.
"""

from __future__ import annotations

from dataclasses import dataclass

from pglast.parser import fingerprint

from pgnym.sql.cache import BoundedCache
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Knowledge, Run, split
from pgnym.sql.lexer import Lexed, lex
from pgnym.sql.plan import Rewrite, SessionScope, StatementPlan
from pgnym.sql.rewrite import Edit, Template, check_strings
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


class Planner:
    """Plans statements against one catalog snapshot. Not thread-safe; one per process and catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._knowledge = Knowledge.of(catalog)
        self._exact: BoundedCache[Rewrite | _Unconcerned] = BoundedCache(_EXACT_ENTRIES, _EXACT_BYTES)
        self._shapes: BoundedCache[list[_Variant]] = BoundedCache(_SHAPE_ENTRIES, _SHAPE_BYTES)

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
        lexed = lex(text)
        shape_key = (text if lexed.inert else lexed.shape, session_key)
        variants = self._shapes.get(shape_key)
        outcome = _matching(variants, lexed) if variants else None
        if outcome is None:
            outcome, pins, volatile = self._plan(lexed, parameter_types, scope)
            if not volatile:
                ordinals = tuple(sorted(pins))
                variant = _Variant(ordinals, tuple(lexed.raw(o) for o in ordinals), outcome)
                kept = [*(variants or ())[-(_VARIANTS - 1) :], variant]
                self._shapes.put(shape_key, kept, len(lexed.shape) + _PLAN_COST * len(kept))
        else:
            volatile = False
        if isinstance(outcome, _Refusal):
            raise _placed(outcome, lexed)
        if isinstance(outcome, _Unconcerned):
            if not volatile:
                self._exact.put(key, _UNCONCERNED, len(text) + 200)
            return None
        if not scope.standard_strings:
            check_strings(lexed)
        rewrite = outcome.apply(lexed, scope.standard_strings)
        if not volatile:
            self._exact.put(key, rewrite, 2 * len(text) + 500)
        return rewrite

    def _plan(
        self, lexed: Lexed, parameter_types: tuple[int, ...], scope: SessionScope
    ) -> tuple[_Outcome, set[int], bool]:
        """(outcome, ordinals of constants that it depends on, whether it depends on the session's names)."""
        pins: set[int] = set()
        volatile = False
        try:
            statements = parse(lexed.text)
            plans: list[StatementPlan] = []
            edits: list[Edit] = []
            concerned = False
            for statement in statements:
                run = Run(self._knowledge, scope, lexed, parameter_types)
                try:
                    _pin_strings(run, statement)
                    touched = touches(run, statement.node)
                    plan, own_edits = plan_statement(run, statement.node, touched)
                finally:
                    pins |= run.pins
                    volatile = volatile or run.volatile
                concerned = concerned or touched or plan.effect is not None
                plans.append(plan)
                edits.extend(own_edits)
            if not concerned:
                return _UNCONCERNED, pins, volatile
            return Template.make(lexed, edits, tuple(plans), fingerprint(lexed.text.decode())), pins, volatile
        except Refused as refusal:
            return _anchored(refusal, lexed), pins, volatile
        except RecursionError:
            return _anchored(Refused("statement is too deeply nested", sqlstate="54001"), lexed), pins, True


# Statements in which constants stand only as expressions; elsewhere they may be names, bodies of functions, options.
_EXPRESSIONS_ONLY = frozenset({*COMMANDS, "PrepareStmt", "ExecuteStmt", "DeclareCursorStmt", "ExplainStmt", "CallStmt"})


def _pin_strings(run: Run, statement: Statement) -> None:
    tag, _ = split(statement.node)
    if tag in _EXPRESSIONS_ONLY:
        return
    lexed = run.lexed
    for ordinal, start in enumerate(lexed.cut_starts):
        if statement.start <= start < statement.end and not lexed.is_comment(ordinal):
            run.pins.add(ordinal)


def _matching(variants: list[_Variant], lexed: Lexed) -> _Outcome | None:
    for variant in variants:
        if all(lexed.raw(o) == s for o, s in zip(variant.pins, variant.spelled, strict=True)):
            return variant.outcome
    return None


def _anchored(refusal: Refused, lexed: Lexed) -> _Refusal:
    """Make a refusal independent of the constants of its text. Its traceback is dropped: it holds the frames' values."""
    refusal.__traceback__ = None
    refusal.__context__ = None
    if refusal.position is None:
        return _Refusal(refusal, 0, None)
    cut = sum(1 for end in lexed.cut_ends if end <= refusal.position)
    return _Refusal(refusal, cut, refusal.position - (lexed.cut_ends[cut - 1] if cut else 0))


def _placed(kept: _Refusal, lexed: Lexed) -> Refused:
    refusal = kept.refusal
    position = None
    if kept.offset is not None:
        position = (lexed.cut_ends[kept.cut - 1] if kept.cut else 0) + kept.offset
    return Refused(
        refusal.message,
        sqlstate=refusal.sqlstate,
        detail=refusal.detail,
        hint=refusal.hint,
        position=position,
    )
