"""What this room raises. No message, hint or repr holds a value."""

from __future__ import annotations


class EvaluationError(Exception):
    """An expression has no value, as PostgreSQL would say; or (0A000) this room can't tell it exactly.

    ``sqlstate`` and ``message`` are PostgreSQL's where PostgreSQL has them, without the quoted value.
    """

    def __init__(self, message: str, sqlstate: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.hint = hint


class UnsupportedCollation(EvaluationError):
    """What the server does under this collation can't be done exactly on this machine; the message says why."""

    def __init__(
        self, reason: str, hint: str = 'Use COLLATE "C" where a plain order by code point will do.'
    ) -> None:
        super().__init__(reason, "0A000", hint)


def unsupported(message: str, hint: str = "") -> EvaluationError:
    """What PostgreSQL can do and this room doesn't."""
    return EvaluationError(message, "0A000", hint)
