"""How a statement is refused so that nothing but its text tells the refusal from an error of PostgreSQL's.

The server is made to fail in the statement's place (``injected.FAILING``), so order, transaction state and what is discarded
until Sync are its own doing; only the error's text is replaced. A transaction that saw a refusal can't commit half its work.
"""

from __future__ import annotations

from pgnym.audit.records import Action
from pgnym.gateway import injected
from pgnym.gateway.reports import SHUTDOWN, ErrorReport
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.slots import Slot, Step
from pgnym.wire import messages

ABORTED = ErrorReport(
    "25P02", "current transaction is aborted, commands ignored until end of transaction block"
)


class Refusing:
    """Refuses on behalf of one session.

    ``discarding``: a message of the open batch was refused or has failed; all until Sync is dropped, as the server does.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.discarding = False

    def audit(self, report: ErrorReport, fingerprint: str = "") -> None:
        """Record a refusal. (That a failed transaction takes no statements is not one.)"""
        if report is not ABORTED:
            session = self._session
            session.effects.post(session.record(Action.REFUSE, fingerprint, {}, denied=report.sqlstate))
            session.counts.refused(report.sqlstate)

    def query(self, report: ErrorReport, *, in_batch: bool = False) -> None:
        """Answer a Query with an error. ``in_batch``: it ends an extended-query batch, whose work must be rolled back."""
        session = self._session
        if self.discarding:
            return
        self.audit(report)
        if not session.expect and session.status == IDLE and not in_batch:
            session.effects.to_client(report.encode() + messages.ReadyForQuery(b"I").build())
            if session.draining:
                session.effects.to_client(SHUTDOWN.encode())
                session.effects.close("shutting down")
            return
        session.expect.append(Slot(Step.QUERY, report=report))
        session.effects.to_server(messages.Query(injected.FAILING).build())

    def step(self, report: ErrorReport, step: Step) -> None:
        """Answer a message of an extended-query batch with an error."""
        if self.discarding:
            return
        session = self._session
        self.audit(report)
        session.expect.append(Slot(step, report=report))
        session.effects.to_server(messages.Parse(injected.NAME, injected.FAILING).build())
        self.discarding = True

    def fatal(self, message: str, sqlstate: str = "08P01") -> None:
        """End the session: what the client sends can't be told apart any more."""
        self._session.effects.to_client(ErrorReport(sqlstate, message, severity="FATAL").encode())
        self._session.effects.close(message)
