"""Requests of the gateway's own on a client's upstream session; their replies never reach the client.

Everything is schema-qualified, so a client's search_path cannot reach it (cf. pgbouncer CVE-2025-12819), and no injected
message ends a batch: a Sync would commit early (protocol section 55.2.3).
"""

from __future__ import annotations

from collections.abc import Callable

from pgnym.gateway.session import Session
from pgnym.gateway.slots import Slot, Step
from pgnym.sql.load import SNAPSHOT
from pgnym.wire import messages

NAME = b"pgnym_refused"
"""Name of the statement that is never created, since preparing it fails."""

FAILING = b"SELECT pg_catalog.pgnym_refused_statement()"
"""A statement that the server refuses in analysis (42883), or with 25P02 where the transaction has failed already.

It stands in for a statement that the gateway refuses: the error comes at the right place, the transaction fails and the
rest of the batch is discarded by the server's own rules; only the error's text is replaced.
"""

_OWN_NAME = b"pgnym_scope"
_SCOPE = (
    b"SELECT pg_catalog.current_schemas(true)::pg_catalog.text, CURRENT_USER::pg_catalog.text,"
    b" pg_catalog.current_setting('pgnym.purpose', true)"
)


Done = Callable[[list[list[bytes | None]] | None], None]
"""Gets the rows of an answer, or None if there was an error."""


def ask_scope(session: Session, *, simple: bool, done: Done) -> None:
    """Ask the server for the session's effective search_path, role and purpose."""
    _ask(session, _SCOPE, simple, done)


def ask_catalog(session: Session, *, simple: bool, done: Done) -> None:
    """Ask for the catalog as the session's open transaction sees it."""
    _ask(session, SNAPSHOT.encode(), simple, done)


def run(session: Session, text: bytes) -> None:
    """A statement within the open batch. Its error is that of the batch; otherwise nothing of it is seen.

    Unlike a question of ours it may take long, and what the client cancels then may be this.
    """
    expect, send = session.expect, session.effects.to_server
    steps = (Step.PARSE, Step.BIND, Step.EXECUTE, Step.CLOSE, Step.CLOSE)
    expect.extend(Slot(step, swallow=True) for step in steps)
    send(_messages(text))


def _ask(session: Session, text: bytes, simple: bool, done: Done) -> None:
    expect, send = session.expect, session.effects.to_server
    session.injected += 1

    def answered(rows: list[list[bytes | None]] | None) -> None:
        session.injected_done()
        done(rows)

    if simple:
        expect.append(Slot(Step.QUERY, swallow=True, done=answered))
        send(messages.Query(text).build())
        return
    rows: list[list[bytes | None]] = []  # filled by the replies to Execute, given out with the last reply
    expect.extend(
        (
            Slot(Step.PARSE, swallow=True),
            Slot(Step.BIND, swallow=True),
            Slot(Step.EXECUTE, swallow=True, rows=rows),
            Slot(Step.CLOSE, swallow=True),
            Slot(Step.CLOSE, swallow=True, done=answered, rows=rows),
        )
    )
    send(_messages(text) + messages.FLUSH)


def _messages(text: bytes) -> bytes:
    return (
        messages.Parse(_OWN_NAME, text).build()
        + messages.Bind(_OWN_NAME, _OWN_NAME, (), [], ()).build()
        + messages.Execute(_OWN_NAME).build()
        + messages.Close(b"P", _OWN_NAME).build()
        + messages.Close(b"S", _OWN_NAME).build()
    )


def parse_path(text: bytes) -> tuple[str, ...]:
    """The schemas of a ``name[]`` in text form (``{pg_catalog,public,"odd name"}``)."""
    names: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for char in text.decode("utf-8")[1:-1]:
        if escaped:
            current.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            names.append("".join(current))
            current.clear()
        else:
            current.append(char)
    if current or names:
        names.append("".join(current))
    return tuple(names)
