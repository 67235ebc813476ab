"""Making a statement again that came upon a value without a rank (``sql/ordering.py``), before the client hears of it.

The value was stored by another session after the vault was asked for the order, so the vault is asked once more. That is as
if the statement had come a little later, if nothing of its answer has been shown, and nothing else depends on it: it must
stand by itself, outside a transaction, with no other statement in its batch and nothing sent behind it. All others fail with
``40001``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pgnym.gateway.session import IDLE
from pgnym.gateway.slots import Slot, Step
from pgnym.sql.ordering import UNRANKED
from pgnym.sql.plan import Answer, Lookup, StatementPlan

if TYPE_CHECKING:
    from pgnym.gateway.client_flow import ClientFlow

MOST = 5
"""How often a statement is made again."""

_UNRANKED = UNRANKED.encode()
_STALE = (Answer.RANKS, Answer.CODE)  # what another session's new value may make wrong


def is_repeatable(plans: tuple[StatementPlan, ...], lookups: Collection[Lookup]) -> bool:
    """Whether a text is one query that could fail in this way, and does nothing but give an answer."""
    if len(plans) != 1 or not any(lookup.answer in _STALE for lookup in lookups):
        return False
    (plan,) = plans
    return plan.command == "SELECT" and plan.effect is None and plan.copy is None and not plan.catalog_change


def is_made_again(client: ClientFlow, slot: Slot, message: bytes) -> bool:
    """Whether an error is kept from the client, since the statement will be made again once the server is ready."""
    session, again = client.session, slot.again
    if again is None or slot.answered or _UNRANKED not in message or session.status != IDLE or client.blocked:
        return False
    expect = session.expect
    if len(expect) != (1 if slot.step is Step.QUERY else 2):
        return False
    last = expect[-1]
    if not isinstance(last, Slot) or last.step not in (Step.QUERY, Step.SYNC):
        return False
    if last is not slot:
        expect.popleft()
    last.swallow = True
    last.done = lambda _: again(slot)
    client.block()
    return True
