"""What the session core asks of the world: bytes to write, and work to be done elsewhere.

The core is sans-I/O (as h11 and mitmproxy's layers are): it is fed bytes, and it calls an ``Effects`` object. In the
gateway that object is a pair of sockets, the vault and the audit log (``connection.py``); in tests it is a list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pgnym.audit.records import AuditRecord
from pgnym.gateway.consenting import Guard
from pgnym.policy.budget import Allowance
from pgnym.sql.plan import Lookup as Search


@dataclass(frozen=True, slots=True)
class Store:
    """Make values durable in the vault (token → canonical value), and an audit record with them. Result: None."""

    values: Mapping[bytes, bytes] = field(repr=False)
    record: AuditRecord | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """Write the audit record, then get the values of tokens. Result: dict of token → canonical value.

    With a ``guard`` consent is looked up first; the result is then ``Values``, which say what is withheld.
    """

    tokens: Collection[bytes]
    record: AuditRecord | None = None
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A look-up of a plan with its ``constants`` in canonical form."""

    lookup: Search
    constants: tuple[bytes | None, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resolve:
    """Answer questions about the values of domains; then write the audit record, with what was inspected filled in.

    Result: tuple of one answer per question, as text of its type (see ``plan.Answer``).
    """

    questions: tuple[Question, ...]
    record: AuditRecord


@dataclass(frozen=True, slots=True)
class Refresh:
    """Read the catalog anew, since this session changed it. Result: None; the session's catalog is then current."""


@dataclass(frozen=True, slots=True)
class Lend:
    """Count so many values against an allowance once the vault has lent them. Result: whether they may be given."""

    allowance: Allowance
    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the server to cancel what it does for this session (CancelRequest); done when the server has taken it."""


Work = Store | Lookup | Resolve | Lend | Refresh | Cancel


class Effects(Protocol):
    """The world as the session core sees it."""

    def to_client(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the client."""

    def to_server(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes upstream."""

    def hold_client(self, hold: bool) -> None:
        """Stop or resume reading from the client."""

    def hold_server(self, hold: bool) -> None:
        """Stop or resume reading from upstream."""

    def start(self, work: Work, done: Callable[[object, Exception | None], None]) -> None:
        """Do the work; call ``done(result, None)`` or ``done(None, error)``, never before this call has returned."""

    def post(self, record: AuditRecord) -> None:
        """Write an audit record that nothing waits for (refusals, searches); never dropped silently."""

    def close(self, reason: str) -> None:
        """Close both legs after what has been written is flushed."""
