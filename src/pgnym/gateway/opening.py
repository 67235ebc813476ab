"""From the tokens that an answer holds to the answer with their values: budget, memory, vault, and the record before all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pgnym.audit.records import Action
from pgnym.gateway.consenting import Held, Values, guard
from pgnym.gateway.effects import Lend, Lookup
from pgnym.gateway.reports import ErrorReport, over_budget, report_of
from pgnym.gateway.reveal import Reveal
from pgnym.gateway.session import Session
from pgnym.policy.budget import Allowance, Over, StatementBudget, Taken

Found = tuple[Collection[bytes], dict[str, int]]
"""The tokens to look up, and how many per domain (``Reveal.find``)."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Values that a statement may be given: counted, or with ``lacking`` to be counted once more has been lent."""

    budget: StatementBudget
    allowance: Allowance
    fingerprint: str
    found: Found
    lacking: bool


def spend(session: Session, budget: StatementBudget, fingerprint: str, found: Found) -> Spent | ErrorReport:
    """Count the values; the error, which is recorded, if they are more than may be given.

    The allowance is looked at each time: a grant ends in the middle of a statement, too. Raises ``GatewayError`` 53400.
    """
    count = len(found[0])
    allowance = session.allowance()
    if budget.over(count, allowance):
        return _over(session, Over.STATEMENT, allowance, fingerprint, found)
    taken = session.purse.take(session.actor.tenant, allowance, count)
    if taken is Taken.OVER:
        return _over(session, Over.MINUTE, allowance, fingerprint, found)
    lacking = taken is Taken.LACKING
    if not lacking:
        budget.spent += count
    return Spent(budget, allowance, fingerprint, found, lacking)


def _over(session: Session, over: Over, allowance: Allowance, fingerprint: str, found: Found) -> ErrorReport:
    record = session.record(Action.REFUSE, fingerprint, found[1], denied="42501", grant=allowance.grant or 0)
    session.effects.post(record)
    session.counts.refused("42501")
    session.counts.spent(session.role.name)
    return over_budget(over, session.role, allowance)


def open_tokens(
    session: Session,
    spent: Spent,
    reveal: Reveal,
    chunk: bytes,
    answered: Callable[[bytes], None],
    failed: Callable[[ErrorReport], None],
) -> None:
    """Call back with the chunk rebuilt, once its values are lent and there and its record is committed; or with a failure.

    Never before this has returned, and not at all for a session that is over.
    """
    if not spent.lacking:
        _open(session, spent, reveal, chunk, answered, failed)
        return
    count = len(spent.found[0])

    def lent(result: object, error: Exception | None) -> None:
        if session.closed:
            return
        if error is not None:
            failed(report_of(error))
        elif result is True:
            spent.budget.spent += count
            _open(session, spent, reveal, chunk, answered, failed)
        else:
            failed(_over(session, Over.MINUTE, spent.allowance, spent.fingerprint, spent.found))

    session.effects.start(Lend(spent.allowance, count), lent)


def _open(
    session: Session,
    spent: Spent,
    reveal: Reveal,
    chunk: bytes,
    answered: Callable[[bytes], None],
    failed: Callable[[ErrorReport], None],
) -> None:
    tokens, counts = spent.found
    role = session.role.name
    values = Values()
    missing: list[bytes] = []
    cached = session.vault.cached
    for token in tokens:
        value = cached(token)
        if value is None:
            missing.append(token)
        else:
            values[token] = value
    session.counts.hits += len(values)
    session.counts.misses += len(missing)

    def done(result: object, error: Exception | None) -> None:
        if session.closed:
            return
        try:
            if error is not None:
                raise error
            values.update(result)  # type: ignore[call-overload]
            if isinstance(result, Values):
                values.withheld, values.restricted = result.withheld, result.restricted
            answer = reveal.rebuild(chunk, values)
        except Exception as failure:
            failed(report_of(failure))
        else:
            session.counts.revealed(role, counts)
            answered(answer)

    record = session.record(
        Action.REVEAL, spent.fingerprint, counts, tokens=tokens, grant=spent.allowance.grant or 0
    )
    held = Held(frozenset(tokens), reveal.domains()) if session.holds_back else None
    session.effects.start(Lookup(missing, record, guard(session, reveal.guarded(), held)), done)
