"""The common case in one piece: a prepared statement that only reveals, executed in a batch of its own.

Drivers execute a prepared statement by Bind, Describe (or not), Execute and Sync in one write, and the server answers a
small result in one write too. Then neither needs to be taken apart: the batch is one ``Exchange`` in the queue of expected
replies, and its answer is looked at as a whole. Whatever turns out otherwise (an error, an answer in several pieces, a
notice in it) makes the exchange the slots that it stands for, and these are answered message by message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgnym.gateway.describe import show_description
from pgnym.gateway.opening import Found, open_tokens, spend
from pgnym.gateway.reports import ErrorReport
from pgnym.gateway.reveal import RowReveal, reveals_of
from pgnym.gateway.session import Session
from pgnym.gateway.slots import Change, Portal, Slot, Step
from pgnym.gateway.tokenize import supports_encoding
from pgnym.policy.budget import StatementBudget
from pgnym.wire import messages
from pgnym.wire.frames import BACKEND, Backend, run_end
from pgnym.wire.frontend import bind_result_formats

if TYPE_CHECKING:
    from pgnym.gateway.server_flow import ServerFlow

_EXECUTE_AND_SYNC: Final = messages.Execute(b"").build() + messages.SYNC
_TAILS: Final = {
    messages.Describe(b"P", b"").build() + _EXECUTE_AND_SYNC: True,
    _EXECUTE_AND_SYNC: False,
}
_READY: Final = bytes((Backend.READY_FOR_QUERY, 0, 0, 0, 5))
_ROW, _COMMAND, _DESCRIPTION = Backend.DATA_ROW, Backend.COMMAND_COMPLETE, Backend.ROW_DESCRIPTION


@dataclass(slots=True)
class Exchange:
    """One batch that executes a prepared statement through the unnamed portal.

    ``old``: what the unnamed portal was before. ``busy``: its answer has come, and waits for audit record or values.
    """

    portal: Portal
    old: Portal | None
    described: bool
    busy: bool = False

    def slots(self, session: Session) -> tuple[Slot, ...]:
        """The expected replies that it stands for."""
        prepared, formats = self.portal.prepared, self.portal.formats
        plans = (prepared.plan,)
        change = Change(session.portals, b"", self.portal, self.old)
        bind = Slot(Step.BIND, plans, prepared.fingerprint, change=change)
        execute = Slot(Step.EXECUTE, plans, prepared.fingerprint, formats=formats)
        if self.described:
            return bind, Slot(Step.DESCRIBE_PORTAL, plans, formats=formats), execute, Slot(Step.SYNC)
        return bind, execute, Slot(Step.SYNC)


def begin(session: Session, data: bytes) -> bool:
    """Whether a chunk from the client is such a batch, and nothing else; if so it is expected, and may go on as it is.

    Only for a session whose next message begins a batch.
    """
    bind_end = 1 + int.from_bytes(data[1:5], "big")
    described = _TAILS.get(data[bind_end:])
    if described is None or data[5]:
        return False
    name_end = data.find(0, 6, bind_end)
    prepared = session.prepared.get(data[6:name_end]) if name_end > 0 else None
    if (
        prepared is None
        or session.path is None
        or not prepared.only_reveals
        or not supports_encoding(session)
    ):
        return False
    portal = Portal(prepared, bind_result_formats(data, name_end + 1))
    session.expect.append(Exchange(portal, session.portals.get(b""), described))
    session.portals[b""] = portal
    session.counts.protected += 1
    session.exchanges = True
    return True


def expand(session: Session) -> None:
    """Make all exchanges that are not answered yet the slots they stand for."""
    session.exchanges = False
    expect = session.expect
    for _ in range(len(expect)):
        head = expect.popleft()
        if isinstance(head, Exchange) and not head.busy:
            expect.extend(head.slots(session))
        else:
            expect.append(head)


def answer(flow: ServerFlow, exchange: Exchange, data: bytes, pos: int) -> int:
    """Deal with the answer of an exchange, if the whole of it is there from ``pos`` on; the offset behind it, else 0.

    Raises ``ProtocolViolation``.
    """
    if exchange.busy or not data.startswith(messages.BIND_COMPLETE, pos):
        return 0
    session, size = flow.session, len(data)
    pos += 5
    description = b""
    if exchange.described:
        end = pos + 1 + int.from_bytes(data[pos + 1 : pos + 5], "big")
        if end >= size or data[pos] != _DESCRIPTION:
            return 0
        description = data[pos:end]
        pos = end
    rows_end = run_end(data, BACKEND, _ROW, pos)
    end = rows_end + 1 + int.from_bytes(data[rows_end + 1 : rows_end + 5], "big")
    if end + 6 > size or data[rows_end] != _COMMAND or not data.startswith(_READY, end):
        return 0
    end += 6
    head, reveal = _shape(session, exchange.portal, description)
    if reveal is not None and rows_end > pos:
        chunk = data[pos:rows_end]
        found = reveal.find(chunk)
        if found[0]:
            exchange.busy = True
            _reveal(flow, exchange, (head, chunk, data[rows_end:end]), reveal, found)
            return end
        head += reveal.unchanged(chunk)
        pos = rows_end
    flow.finish(exchange, head + data[pos:end])
    return end


def _shape(session: Session, portal: Portal, description: bytes) -> tuple[bytes, RowReveal | None]:
    """What the client gets before the rows, and how they are revealed; remembered, as it is the same each time."""
    outputs = portal.prepared.plan.outputs

    def make() -> tuple[bytes, RowReveal | None]:
        slot = Slot(Step.EXECUTE, (portal.prepared.plan,), formats=portal.formats)
        head = messages.BIND_COMPLETE
        if description:
            slot.fields, shown = show_description(description, outputs, session, planned=slot.planned)
            head += shown
        columns = reveals_of(outputs, slot, session)
        return head, RowReveal(columns) if columns else None

    return session.derive(outputs, (portal.formats, description), make)


def _reveal(
    flow: ServerFlow, exchange: Exchange, parts: tuple[bytes, bytes, bytes], reveal: RowReveal, found: Found
) -> None:
    """Send the answer once its record is committed and its values are there, or an error in place of the rows."""
    session = flow.session
    head, chunk, tail = parts
    fingerprint = exchange.portal.prepared.fingerprint

    def refused(report: ErrorReport) -> None:
        # The server has finished the statement; its ReadyForQuery ends the cycle for the client too.
        flow.finish(exchange, head + report.encode() + tail[-6:])

    spent = spend(session, StatementBudget(), fingerprint, found)
    if isinstance(spent, ErrorReport):
        refused(spent)
        return

    def answered(rows: bytes) -> None:
        flow.finish(exchange, head + rows + tail)
        flow.resume()

    def failed(report: ErrorReport) -> None:
        refused(report)
        flow.resume()

    flow.block()
    open_tokens(session, spent, reveal, chunk, answered, failed)
