"""Names of prepared statements under which the server may have either of two statements.

A request that gives a name to another statement, or frees it, counts when it is sent, but the server may discard it: when a
request before it fails (protocol section 55.2.3), or, where the gateway has cut an answer off, nobody can say when. What is
named in a later batch must not be taken for a statement that doesn't concern the gateway while the server may still have
one that does: a constant would reach it. So a name stays in doubt until the server has acknowledged; later batches wait for
that, and if it doesn't come, the statement is closed, whichever it is. The client is then told that it isn't there.
"""

from __future__ import annotations

from pgnym.gateway.session import Session
from pgnym.gateway.slots import Change, Prepared, Slot, Step
from pgnym.sql.plan import SessionAct, StatementPlan
from pgnym.wire import messages

_LONG_AGO = -1  # the number of no cycle


def given_away(session: Session, name: bytes, declared: tuple[int, ...] = ()) -> Change:
    """A name becomes that of a statement which doesn't concern the gateway, or of none; in doubt if it was one that does."""
    value = None
    if name in session.prepared:
        value = Prepared(StatementPlan(""), declared, "", foreign=True, parsed_in=session.cycle)
    return Change(session.prepared, name, value).make()


def acknowledged(session: Session, change: Change | None) -> None:
    """The server has carried out a Parse or Close."""
    value = change.value if change is not None else None
    if change is None or not isinstance(value, Prepared):
        return
    value.parsed_in = None
    if value.foreign and change.names.get(change.name) is value:
        del change.names[change.name]


def in_doubt(session: Session) -> list[bytes]:
    """The names that are in doubt. Within the batch that named them they aren't: if it fails, all of it is discarded."""
    return [name for name, prepared in session.prepared.items() if is_in_doubt(session, prepared)]


def is_in_doubt(session: Session, prepared: Prepared) -> bool:
    """Whether the server may have another statement than this under its name."""
    return prepared.parsed_in is not None and prepared.parsed_in != session.cycle


def close(session: Session, name: bytes) -> None:
    """Free a name that is in doubt, now that all else has been answered."""
    del session.prepared[name]
    session.expect.append(Slot(Step.CLOSE, swallow=True))
    session.effects.to_server(messages.Close(b"S", name).build())


def cut_off(session: Session, slot: Slot) -> None:
    """The rest of an answer won't be seen: the statements from the current one on may have named others, or not."""
    for plan in slot.plans[slot.index :]:
        effect = plan.effect
        if effect is None or effect.name is None:
            continue  # all names are freed: that more are known than there are does no harm
        name = effect.name.encode()
        known = session.prepared.get(name)
        if effect.act is SessionAct.PREPARE and effect.inner is not None:
            session.apply(effect.act, effect.name, effect.inner, slot.fingerprint)
            session.prepared[name].parsed_in = _LONG_AGO
        elif effect.act in (SessionAct.PREPARE, SessionAct.DEALLOCATE) and known is not None:
            known.parsed_in = _LONG_AGO
