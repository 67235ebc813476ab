"""The queue of replies the gateway expects, one entry per request it has sent upstream.

A cycle (all that ends with one ReadyForQuery) in which nothing concerns the gateway is one integer in the queue: the
type byte of the message that ends it, Query (``Q``), Sync (``S``) or FunctionCall (``F``). Everything else is a ``Slot``
per message, as replies must be attributed one by one (protocol section 55.2.3: they come in the order of the requests;
after an error the server is silent until it has read a Sync).
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pgnym.gateway.reports import ErrorReport
from pgnym.policy.budget import StatementBudget
from pgnym.sql.plan import Lookup, OutputColumn, StatementPlan
from pgnym.wire.messages import Field

QUERY = ord("Q")
SYNC = ord("S")
FUNCTION_CALL = ord("F")
COPY_ENDED = ord("c")
"""Not a request: the client ended its COPY data here, before the server had said that it wants any."""


class Step(Enum):
    """The request a slot stands for."""

    PARSE = "P"
    BIND = "B"
    DESCRIBE_STATEMENT = "DS"
    DESCRIBE_PORTAL = "DP"
    EXECUTE = "E"
    CLOSE = "C"
    SYNC = "S"
    QUERY = "Q"


STEP_OF_TYPE = {ord(s.value): s for s in (Step.PARSE, Step.BIND, Step.EXECUTE, Step.CLOSE)}


@dataclass(slots=True)
class Prepared:
    """A prepared statement that concerns the gateway. ``declared``: the type OIDs the client's Parse named.

    ``lookups``: questions whose answers are parameters of the statement sent upstream, behind those of its plan.
    """

    plan: StatementPlan
    declared: tuple[int, ...]
    fingerprint: str
    literals: dict[bytes, bytes] = field(default_factory=dict, repr=False)  # tokens of its constants → values
    changes_settings: bool = False
    lookups: tuple[Lookup, ...] = ()
    fixed: bool = False  # tokens are in its text, so it is right only as long as the token key is the same
    outdated: bool = False  # it was fixed, and the token key is another by now
    parsed_in: int | None = (
        None  # the cycle of its Parse, until the server has acknowledged it (``doubts.py``)
    )
    foreign: bool = False  # none of ours, or none at all; known while the server may still have one that is

    @property
    def only_reveals(self) -> bool:
        """Whether an execution has nothing to it but that its answer may carry tokens."""
        plan = self.plan
        return (
            bool(plan.outputs)
            and plan.parameters is None
            and plan.effect is None
            and plan.copy is None
            and not plan.catalog_change
            and not plan.deferred
            and not self.literals
            and not self.lookups
            and not self.changes_settings
            and not self.outdated
            and self.parsed_in is None
        )


@dataclass(slots=True)
class Portal:
    """A portal over a Prepared. ``formats`` are the result-format codes of its Bind; one budget holds for all Executes.

    ``again``: binds and executes it once more, given the Execute and how often that may be done.
    """

    prepared: Prepared
    formats: tuple[int, ...]
    budget: StatementBudget | None = None
    again: Callable[[bytes, int], None] | None = None


@dataclass(slots=True)
class Change:
    """What a request does to a name: it stands for ``value``, or for nothing that concerns the gateway (None).

    Made when the request is sent, as later ones may name it already; undone if the request fails.
    """

    names: MutableMapping[bytes, Any]
    name: bytes
    value: Prepared | Portal | None
    old: Prepared | Portal | None = None

    def make(self) -> Change:
        """Make it."""
        self.old = self.names.get(self.name)
        self._set(self.value)
        return self

    def undo(self) -> None:
        """Undo it; all that were made later must have been undone."""
        self._set(self.old)

    def _set(self, value: Prepared | Portal | None) -> None:
        if value is None:
            self.names.pop(self.name, None)
        else:
            self.names[self.name] = value


@dataclass(slots=True)
class Slot:
    """One expected reply. ``plans`` are the statements of a Query, one for the extended steps.

    ``swallow``: the gateway injected the request; nothing of its reply reaches the client. ``report``: the error to show
    in place of the one that the injected failing statement raises. ``change``: what it does to names if it succeeds.
    ``answered``: rows have come. ``described``: the client has the description of its rows already. ``again`` makes the
    statement once more (``retrying.py``), given this slot.
    """

    step: Step
    plans: tuple[StatementPlan, ...] = ()
    fingerprint: str = ""
    positions: tuple[tuple[int, int], ...] = ()
    text: bytes = field(default=b"", repr=False)
    sent_text: bytes | None = field(default=None, repr=False)
    index: int = 0
    formats: tuple[int, ...] = ()
    fields: tuple[Field, ...] | None = None
    parameters: Prepared | None = None
    swallow: bool = False
    report: ErrorReport | None = None
    change: Change | None = None
    done: Callable[[list[list[bytes | None]] | None], None] | None = None
    rows: list[list[bytes | None]] = field(default_factory=list, repr=False)
    budget: StatementBudget | None = None
    failed: bool = False
    answered: bool = False
    described: bool = False
    again: Callable[[Slot], None] | None = None

    @property
    def plan(self) -> StatementPlan | None:
        """The plan of the statement whose replies are coming now."""
        return self.plans[self.index] if self.index < len(self.plans) else None

    @property
    def planned(self) -> bool:
        """Whether the server describes the statement as it has planned it: not before Bind, and never an EXECUTE.

        FETCH is described as its cursor is, which has been planned (``UtilityTupleDescriptor``).
        """
        command = self.plan.command if self.plan is not None else ""
        if self.step is Step.DESCRIBE_STATEMENT:
            return command == "FETCH"
        return command != "EXECUTE"

    @property
    def outputs(self) -> tuple[OutputColumn | None, ...]:
        """The outputs of the current statement; () when it reveals nothing."""
        plan = self.plan
        return plan.outputs if plan is not None else ()
