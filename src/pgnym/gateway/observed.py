"""A session in ``mode: observe``: every byte is passed on as it came, and what the client sends is read along.

Nothing is asked of the server and nothing of its answers is needed, so a session's search_path is followed from what the
client itself says: start-up options, SET, RESET. What can't be followed so is counted.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Collection
from typing import Final, Protocol

from pgnym.gateway.engine import Engine
from pgnym.gateway.reports import SHUTDOWN
from pgnym.gateway.search_paths import effective_path
from pgnym.gateway.session import Session
from pgnym.gateway.shapes import Shapes
from pgnym.metrics import counts as metrics_counts
from pgnym.sql.plan import SessionScope
from pgnym.sql.settings import new_search_path
from pgnym.sql.words import Mention, session_flags
from pgnym.wire import messages
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import Frontend

LONGEST_TEXT: Final = 1 << 20
"""Bytes of a message that is looked at; longer ones pass unseen, and are counted."""

_LOG = logging.getLogger("pgnym.observe")
_HEADER: Final = struct.Struct("!BI").unpack_from
_READ: Final = frozenset((Frontend.QUERY, Frontend.PARSE))
_IDLE: Final = b"Z\0\0\0\x05I"  # ReadyForQuery outside of a transaction


class Counts(Protocol):
    """What all sessions of an observing gateway count together."""

    shapes: Shapes
    metrics: metrics_counts.Counts
    seen: int
    unconcerned: int
    not_followed: int

    @property
    def engine(self) -> Engine:
        """The newest engine: which texts concern the gateway."""


class Watcher:
    """Reads the client's side of one session along.

    ``path``: the effective search_path it begins with; ``usable``: the schemas that its user may use.
    """

    def __init__(
        self,
        counts: Counts,
        user: str,
        purpose: str | None,
        path: tuple[str, ...],
        usable: Collection[str],
    ) -> None:
        self._counts = counts
        self._purpose = purpose
        self._first_path = path
        self._usable = usable
        self._scope = SessionScope(path, user, {}, {})
        self._followed = True
        self._pending = bytearray()
        self._needed = 0
        self._skip = 0
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Bytes that the client has sent, already on their way."""
        if self._lost:
            return
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
            self._pending.clear()
        self._walk(data)

    def lose(self) -> None:
        """Look at nothing more of this session."""
        self._lost = True
        self._counts.shapes.dropped.unreadable += 1

    def _walk(self, data: bytes) -> None:
        at, size = 0, len(data)
        while size - at >= 5:
            kind, length = _HEADER(data, at)
            end = at + 1 + length
            if length < 4:
                self.lose()  # the server will end this session
                return
            if kind not in _READ or length > LONGEST_TEXT:
                if kind in _READ:
                    self._counts.shapes.dropped.too_long += 1
                if end > size:
                    self._skip = end - size
                    return
            elif end > size:
                self._needed = end - at
                self._pending += data[at:]
                return
            else:
                self._message(kind, data[at:end])
            at = end
        if at < size:
            self._needed = 5
            self._pending += data[at:]

    def _message(self, kind: int, message: bytes) -> None:
        try:
            if kind == Frontend.QUERY:
                self._statement(messages.Query.parse(message).text, ())
            else:
                parse = messages.Parse.parse(message)
                self._statement(parse.text, parse.oids)
        except ProtocolViolation:
            self._counts.shapes.dropped.unreadable += 1

    def _statement(self, text: bytes, types: tuple[int, ...]) -> None:
        counts = self._counts
        counts.seen += 1
        if counts.engine.concerns(text):
            counts.metrics.protected += 1
            if not self._followed:
                counts.not_followed += 1
            counts.shapes.note(text, types, self._scope, self._purpose)
        else:
            counts.unconcerned += 1
            counts.metrics.unprotected += 1
        if session_flags(text) & Mention.SETTINGS:
            self._settings(text)

    def _settings(self, text: bytes) -> None:
        """Follow a change of search_path; a change that the words don't tell makes names uncertain from here on."""
        try:
            setting = new_search_path(text.decode())
        except UnicodeDecodeError:
            setting = None
        if setting is None:
            self._followed = False
            return
        scope = self._scope
        path = effective_path(setting, scope.user, self._usable) if setting else self._first_path
        self._scope = SessionScope(path, scope.user, {}, {}, scope.standard_strings)
        self._followed = True


class ObservedClientFlow:
    """The direction client → server."""

    blocked = False
    paused = False

    def pause(self, paused: Callable[[], None]) -> None:
        """``Inward``: never asked for, since nothing is tokenized."""
        raise AssertionError("a session that is only observed was to pause")

    def go_on(self) -> None:
        """``Inward``: as ``pause``."""
        raise AssertionError("a session that is only observed was to pause")

    def __init__(self, session: Session, watcher: Watcher | None) -> None:
        self._session = session
        self._watcher = watcher

    def feed(self, data: bytes) -> None:
        """Pass on, then look. A defect in looking must not reach the client: the session is no longer watched."""
        self._session.effects.to_server(data)
        self._session.status = 0  # not idle, as far as we know, until the server says so
        if self._watcher is not None:
            try:
                self._watcher.feed(data)
            except Exception as error:
                _LOG.error("internal error %s while reading along", type(error).__name__)
                self._watcher.lose()
                self._watcher = None


class ObservedServerFlow:
    """The direction server → client. Only whether a transaction is open is noted, for the time of shutting down."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def feed(self, data: bytes) -> None:
        """Pass on."""
        session = self._session
        session.effects.to_client(data)
        if data.endswith(_IDLE):
            session.status = _IDLE[-1]
            if session.draining:
                self.shut_down()

    def shut_down(self) -> None:
        """Tell the client that the gateway goes away."""
        self._session.effects.to_client(SHUTDOWN.encode())
        self._session.effects.close("shutting down")
