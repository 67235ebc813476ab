"""Requests of the gateway's own on a client's upstream session; their replies never reach the client.

Everything is schema-qualified, so a client's search_path cannot reach it (cf. pgbouncer CVE-2025-12819), and no injected
message ends a batch: a Sync would commit early (protocol section 55.2.3).
"""

from __future__ import annotations

from collections.abc import Callable

from pgnym.gateway.session import Session
from pgnym.gateway.slots import Slot, Step
from pgnym.wire import messages

NAME = b"pgnym_refused"
"""Name of the statement that is never created, since preparing it fails."""

FAILING = b"SELECT pg_catalog.pgnym_refused_statement()"
"""A statement that the server refuses in analysis (42883), or with 25P02 where the transaction has failed already.

It stands in for a statement that the gateway refuses: the error comes at the right place, the transaction fails and the
rest of the batch is discarded by the server's own rules; only the error's text is replaced.
"""

_SCOPE_NAME = b"pgnym_scope"
_SCOPE = b"SELECT pg_catalog.current_schemas(true)::pg_catalog.text, CURRENT_USER::pg_catalog.text"


def ask_scope(
    session: Session, *, simple: bool, done: Callable[[list[list[bytes | None]] | None], None]
) -> None:
    """Ask the server for the session's effective search_path and role. ``done`` gets the rows, or None if it failed."""
    expect, send = session.expect, session.effects.to_server
    session.injected += 1

    def answered(rows: list[list[bytes | None]] | None) -> None:
        session.injected_done()
        done(rows)

    if simple:
        expect.append(Slot(Step.QUERY, swallow=True, done=answered))
        send(messages.Query(_SCOPE).build())
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
    send(
        messages.Parse(_SCOPE_NAME, _SCOPE).build()
        + messages.Bind(_SCOPE_NAME, _SCOPE_NAME, (), [], ()).build()
        + messages.Execute(_SCOPE_NAME).build()
        + messages.Close(b"P", _SCOPE_NAME).build()
        + messages.Close(b"S", _SCOPE_NAME).build()
        + messages.FLUSH
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
