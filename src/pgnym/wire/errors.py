"""What this room raises.

Messages name the thing and the problem, never the content: they reach logs and clients.
"""

from __future__ import annotations


class ProtocolViolation(Exception):
    """A peer sent something that is not a well-formed message.

    ``message`` (str) says which message and what is wrong with it; ``sqlstate`` is ``08P01``
    (protocol_violation). The connection can't be used further: after a bad length nobody knows where the next
    message starts.
    """

    sqlstate = "08P01"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FrameError(ProtocolViolation):
    """A message length is impossible, or over the bound for its type."""


class CodecError(Exception):
    """A value can't be read as its type, or doesn't fit.

    Parameters: ``sqlstate`` (what PostgreSQL gives for the same mistake, or ``0A000`` where the spelling is
    one that only the server can interpret), ``message`` (names the type, never the value), ``hint`` (may be
    empty).
    """

    def __init__(self, sqlstate: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.hint = hint
