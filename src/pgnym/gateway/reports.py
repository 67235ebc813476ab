"""Errors as clients see them: every failure inside the gateway becomes one ``ErrorReport``."""

from __future__ import annotations

from dataclasses import dataclass

from pgnym.policy.budget import Allowance, Over
from pgnym.policy.roles import RolePolicy
from pgnym.sql.errors import Refused
from pgnym.vault.errors import CannotOpen, VaultError
from pgnym.wire.reports import error_response


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An ErrorResponse to be. ``position`` is 1-based, in characters, as the protocol wants it (section 55.8)."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    position: int | None = None
    severity: str = "ERROR"

    def encode(self) -> bytes:
        """The ErrorResponse message."""
        return error_response(
            self.severity,
            self.sqlstate,
            self.message,
            detail=self.detail,
            hint=self.hint,
            position=self.position,
        )


SHUTDOWN = ErrorReport("57P01", "terminating connection due to administrator command", severity="FATAL")
"""As a server says it when its administrator shuts it down."""


class GatewayError(Exception):
    """A failure whose text is fit for the client."""

    def __init__(self, sqlstate: str, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.report = ErrorReport(sqlstate, message, detail, hint)


def report_of(error: Exception, text: bytes = b"") -> ErrorReport:
    """The report for an error. ``text`` is the client's statement, to turn a byte offset into a character position.

    Errors of other rooms carry ``sqlstate``, ``message`` and ``hint`` where they know better; anything else is an internal
    error that shows its type alone, since its text might hold a value.
    """
    if isinstance(error, GatewayError):
        return error.report
    if isinstance(error, Refused):
        position = None
        if error.position is not None:
            position = len(text[: error.position].decode("utf-8", "replace")) + 1
        return ErrorReport(error.sqlstate, error.message, error.detail, error.hint, position)
    if isinstance(error, VaultError):
        # 58000 system_error: outside the database proper. XX001 data_corrupted: a ciphertext that does not open.
        corrupted = isinstance(error, CannotOpen)
        return ErrorReport("XX001" if corrupted else "58000", error.message, hint=error.hint)
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        message = getattr(error, "message", None) or str(error)
        return ErrorReport(
            sqlstate, message, getattr(error, "detail", "") or "", getattr(error, "hint", "") or ""
        )
    return ErrorReport(
        "XX000",
        f"internal error in the gateway ({type(error).__name__})",
        hint="Nothing was revealed or stored. The gateway's log names the place.",
    )


def over_budget(over: Over, role: RolePolicy, allowance: Allowance) -> ErrorReport:
    """The error of a spent reveal budget."""
    by_grant = "" if allowance.grant is None else f" by grant {allowance.grant}"
    return ErrorReport(
        "42501",
        "reveal budget exceeded",
        detail=f"Role {role.name} may be given {allowance.of(over)} values per {over.value}{by_grant}.",
        hint="Select fewer rows or columns, state the purpose of a grant (pgnym grant create), or raise reveal_limit of"
        " the role in the configuration.",
    )
