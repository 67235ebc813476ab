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


def foreign_provider(provider: str, locale: str, what: str) -> UnsupportedCollation:
    """For a collation that neither libc nor the builtin provider has. ``what`` can't be told exactly."""
    if not provider:
        return UnsupportedCollation(
            f"{what} of texts in a database of encoding {locale} can't be told by the gateway",
            "It works with databases of encoding UTF8.",
        )
    whose = "ICU" if provider == "i" else f'provider "{provider}"'
    return UnsupportedCollation(
        f'{what} under locale "{locale}" of {whose} can\'t be told exactly by the gateway',
        'Use a COLLATE clause with a libc or builtin collation, such as COLLATE "C".',
    )


def unsupported(message: str, hint: str = "") -> EvaluationError:
    """What PostgreSQL can do and this room doesn't."""
    return EvaluationError(message, "0A000", hint)
