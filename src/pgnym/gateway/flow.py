"""What both directions of a session have in common: bytes that must wait, and messages that are not all there."""

from __future__ import annotations

from pgnym.gateway.session import Session


class Flow:
    """One direction. A subclass looks at messages in ``_run`` and holds its peer in ``_hold``.

    While the flow is *blocked* nothing is looked at: what comes is kept, in order, and the peer is not read further.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.blocked = False
        self._pending = bytearray()
        self._skip = 0  # bytes still to come of a message that is passed on as it comes
        self._needed = 0  # length of the message that is incomplete in _pending, once known

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer."""
        if self.blocked or self._pending:
            self._pending += data
            if self.blocked or len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
            self._pending.clear()
        self._run(data)

    def block(self) -> None:
        """Look at no further message until ``unblock``."""
        self.blocked = True
        self._hold(True)

    def unblock(self) -> None:
        """Go on with what has been waiting."""
        if self.session.closed:
            return
        self.blocked = False
        self._hold(False)
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            self._run(data)

    def _run(self, data: bytes) -> None:
        raise NotImplementedError

    def _hold(self, hold: bool) -> None:
        raise NotImplementedError
