"""What to say of an error: one line, and what would help. A server's text is shown only where it can't hold a value."""

from __future__ import annotations

import ssl

import asyncpg

from pgnym.config import ConfigError
from pgnym.gateway.reports import GatewayError
from pgnym.onboard import OnboardError
from pgnym.vault.errors import VaultError


def explain(error: Exception) -> tuple[str, str]:
    """(message, hint). An error that isn't foreseen is named by its type alone: its text might quote anything."""
    if isinstance(error, ConfigError):
        return str(error), error.hint
    if isinstance(error, OnboardError):
        return error.message, error.hint
    if isinstance(error, GatewayError):
        return error.report.message, error.report.hint
    if isinstance(error, VaultError):
        return str(error), error.hint
    if isinstance(error, asyncpg.PostgresError):
        return of_server(error)
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}", "check sslmode and sslrootcert"
    if isinstance(error, TimeoutError):
        return "the server did not answer in time", "is it there, and reachable from here?"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return (
            f"{place}{error.strerror or type(error).__name__}",
            "is the server there, and reachable from here?",
        )
    if isinstance(error, asyncpg.InterfaceError | ValueError) and from_driver(error):
        return "the URL can't be used", "expected postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE"
    return f"unexpected {type(error).__name__}", "please report it, with what was run"


def of_server(error: asyncpg.PostgresError) -> tuple[str, str]:
    """A server's message, without DETAIL; data exceptions and constraint violations quote values even in it."""
    state = error.sqlstate or "?"
    if state[:2] in ("22", "23"):
        return f"the server refused a value ({state})", ""
    hints = {
        "28P01": "check user and password of the URL",
        "28000": "check pg_hba.conf: this user may not connect like this",
        "3D000": "check the database's name",
        "42P01": "run `pgnym apply` first",
        "42501": "use the URL of the owner or of a superuser",
        "53300": "the server has no free connection",
        "57P03": "the server is starting or stopping: try again",
    }
    return f"{error.args[0] if error.args else type(error).__name__} ({state})", hints.get(state, "")


def from_driver(error: BaseException) -> bool:
    """Whether asyncpg's reading of a URL raised it."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "asyncpg.connect_utils":
            return True
        trace = trace.tb_next
    return False
