"""From the tokens that an answer holds to the answer with their values: budget, memory, vault, and the record before all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import monotonic

from pgnym.audit.records import Action
from pgnym.gateway.effects import Lookup
from pgnym.gateway.reports import ErrorReport, over_budget, report_of
from pgnym.gateway.reveal import Reveal
from pgnym.gateway.session import Session
from pgnym.policy.budget import StatementBudget

Found = tuple[Collection[bytes], dict[str, int]]
"""The tokens to look up, and how many per domain (``Reveal.find``)."""


def spend(session: Session, budget: StatementBudget, fingerprint: str, found: Found) -> ErrorReport | None:
    """Count the values; the error, which is recorded, if they are more than may be given."""
    tokens, counts = found
    over = budget.take(len(tokens), monotonic())
    if over is None:
        return None
    session.effects.post(session.record(Action.REFUSE, fingerprint, counts, denied="42501"))
    session.counts.refused("42501")
    session.counts.spent(session.role.name)
    return over_budget(over, session.role)


def open_tokens(
    session: Session,
    reveal: Reveal,
    chunk: bytes,
    fingerprint: str,
    found: Found,
    answered: Callable[[bytes], None],
    failed: Callable[[ErrorReport], None],
) -> None:
    """Call back with the chunk rebuilt, once its record is committed and the values are there; or with what failed.

    Never before this has returned, and not at all for a session that is over.
    """
    tokens, counts = found
    role = session.role.name
    values: dict[bytes, bytes] = {}
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
            answer = reveal.rebuild(chunk, values)
        except Exception as failure:
            failed(report_of(failure))
        else:
            session.counts.revealed(role, counts)
            answered(answer)

    record = session.record(Action.REVEAL, fingerprint, counts, tokens=tokens)
    session.effects.start(Lookup(missing, record), done)
