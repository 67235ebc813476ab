"""All sessions of a process between two of their transactions, while a token key changes; see ``vault/pausing.py``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from pgnym.gateway.session import Session


class Pausable(Protocol):
    """A connection with a session, or one that is about to have one."""

    session: Session | None

    @property
    def paused(self) -> bool:
        """Whether it stands still, or has no session yet."""

    def pause(self) -> None:
        """Stand still as soon as no transaction is open."""

    def go_on(self) -> None:
        """The end of it."""

    def end_paused(self) -> None:
        """End it while it stands still."""


class Halt:
    """``connections``: those of the process, whichever there are."""

    def __init__(self, connections: Iterable[Pausable]) -> None:
        self._connections = connections
        self._changed = asyncio.Event()
        self.wanted = False

    def noted(self) -> None:
        """A connection has come to stand still, or has ended."""
        self._changed.set()

    async def all(self) -> None:
        """Returns once all stand still."""
        self.wanted = True
        for connection in list(self._connections):
            connection.pause()
        while not all(connection.paused for connection in self._connections):
            self._changed.clear()
            await self._changed.wait()

    def over(self, others: bool) -> None:
        """Let all go on. ``others``: tokens are others than before, so sessions that hold some end."""
        self.wanted = False
        for connection in list(self._connections):
            session = connection.session
            if others and session is not None and holds_tokens(session):
                connection.end_paused()
            else:
                connection.go_on()


def holds_tokens(session: Session) -> bool:
    """Whether the server has texts with tokens, or results with them, for the session beyond the end of a transaction.

    The unnamed statement is none of them: drivers parse before they bind. It is marked, and not bound again.
    """
    unnamed = session.prepared.get(b"")
    if unnamed is not None and unnamed.fixed:
        unnamed.outdated = True
    return bool(session.cursors) or any(p.fixed for name, p in session.prepared.items() if name)
