"""Before a statement is planned: its session's names, search_path and role, and the catalog, must be known for sure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgnym.gateway import doubts, injected
from pgnym.gateway.drafts import Draft, draft
from pgnym.gateway.effects import Question, Refresh
from pgnym.gateway.questions import ask
from pgnym.gateway.refusing import ABORTED
from pgnym.gateway.reports import ErrorReport, GatewayError, report_of
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.slots import Slot, Step
from pgnym.gateway.tokenize import Tokens, check_encoding, check_right
from pgnym.sql.errors import Refused
from pgnym.sql.plan import Rewrite
from pgnym.sql.settings import forbidden_setting
from pgnym.sql.words import Mention
from pgnym.wire import messages

if TYPE_CHECKING:
    from pgnym.gateway.client_flow import ClientFlow

# Names that the snapshot may not know yet: undefined_table, undefined_column, undefined_function, undefined_object,
# invalid_schema_name.
_UNKNOWN = frozenset(("42P01", "42703", "42883", "42704", "3F000"))

_WITHOUT_PARAMETERS = frozenset(("EXECUTE", "COPY", "PREPARE"))


FAILED = ord("E")
# Statements that end a transaction or a part of it, by themselves.
_ENDS_ONLY = re.compile(
    rb"\s*(?:commit|rollback|end|abort|release)(?:\s+(?:work|transaction|to|savepoint|and|no|chain|\w+|\"\w+\"))*\s*;?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A text that concerns the gateway: what to send, the values to put before, and the questions (of a Query) to answer."""

    rewrite: Rewrite
    draft: Draft
    tokens: Tokens
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that can't be carried out."""

    report: ErrorReport


class Planning:
    """Plans the texts of one session. Where it must wait first, it blocks the flow and is asked again."""

    def __init__(self, flow: ClientFlow) -> None:
        self._flow = flow
        self._session: Session = flow.session
        self._aborted = False  # the server would not answer our question, as the transaction has failed
        self._looked_again = False  # the catalog has been read for the text at hand

    def plan(
        self, text: bytes, oids: tuple[int, ...], flags: int, *, simple: bool
    ) -> Planned | Refusal | bool:
        """The outcome for a text. True: it does not concern us. False: the flow is blocked, ask again."""
        session = self._session
        if self._aborted:
            self._aborted = False
            return Refusal(ABORTED)
        if session.stale and _ENDS_ONLY.fullmatch(text):
            return True  # names nothing, and must get through also where nothing can be asked any more
        try:
            if not self._ready(flags, simple=simple):
                return False
        except GatewayError as error:
            return Refusal(error.report)
        if flags & Mention.SETTINGS and (forbidden := forbidden_setting(text)) is not None:
            return Refusal(ErrorReport("42501", f"parameter {forbidden} cannot be set by clients"))
        if not flags & Mention.CONCERNS:
            return True
        try:
            check_encoding(session)
            rewrite = session.engine.planner.plan(text, oids, session.scope())
            if rewrite is None:
                self._looked_again = False
                return True
            session.engines.current.remember(rewrite.fingerprint, rewrite.normalized)
            if flags & Mention.SETTINGS and len(rewrite.statements) > 1:
                raise GatewayError(
                    "0A000",
                    "statements on protected columns can't be in one text with SET, RESET or set_config",
                    detail="What a name means could change in the middle of the text.",
                    hint="Send the statements one by one.",
                )
            for plan in rewrite.statements:
                if plan.copy is not None:
                    for use in plan.copy.columns:
                        if use is not None:
                            check_right(use, session)
            drafted, tokens = draft(rewrite, session, simple=simple)
            if drafted.lookups and not simple and rewrite.statements[0].command in _WITHOUT_PARAMETERS:
                raise GatewayError(
                    "0A000",
                    f"{rewrite.statements[0].command} that looks into protected columns is not supported "
                    "in the extended protocol",
                    detail="The answer of the vault would be a parameter, which the statement can't have.",
                    hint="Send it as a simple query, or prepare and execute the query itself by the extended protocol.",
                )
            questions = ask(drafted.lookups, session) if simple else ()
        except Refused as error:
            if error.sqlstate in _UNKNOWN and not self._looked_again and self._can_look():
                self._looked_again = True
                self._look(simple=simple)
                return False
            self._looked_again = False
            return Refusal(report_of(error, text))
        except Exception as error:
            self._looked_again = False
            return Refusal(report_of(error, text))
        self._looked_again = False
        return Planned(rewrite, drafted, tokens, questions)

    def scope_is_known(self) -> bool | Refusal:
        """Whether it is known whom the session acts as and for what purpose. If not, the flow is blocked: ask again."""
        if self._aborted:
            self._aborted = False
            return Refusal(ABORTED)
        if self._session.path is None:
            self._flow.block()
            injected.ask_scope(self._session, simple=False, done=self._scope_known)
            return False
        return True

    def look_again(self, flags: int) -> bool:
        """Whether the session has changed the catalog and it is being read again, before a batch, as all see it."""
        session = self._session
        if not session.stale and not (session.catalog_touched and flags & Mention.CONCERNS):
            return False
        if session.expect:
            self._flow.await_drain()
        elif session.status == IDLE:
            self._look(simple=True)
        else:
            return False
        return True

    def _idle(self) -> bool:
        """Whether another connection sees the same catalog as the session: outside a transaction it does."""
        session = self._session
        return session.status == IDLE and not session.expect and not session.tracked

    def _can_look(self) -> bool:
        """Whether the catalog can be read as the session sees it, and may differ from what is known."""
        session = self._session
        if session.expect or session.status == FAILED:
            return False
        return self._idle() or _is_safe(session.path or ())

    def _look(self, *, simple: bool) -> None:
        """Read the catalog: over a connection of ours, or within the session's open transaction, which alone sees it."""
        if self._idle():
            self._flow.work(Refresh(), self._refreshed)
        else:
            self._flow.block()
            injected.ask_catalog(self._session, simple=simple, done=self._private_known)

    def _ready(self, flags: int, *, simple: bool) -> bool:
        session = self._session
        unsure = doubts.in_doubt(session) if flags & Mention.NAMES else ()
        if (session.naming or session.catalog_touched or session.stale or unsure) and session.expect:
            # Names and tables change when the server gets there; inside a batch it must be asked to answer.
            if not self._between_cycles():
                session.effects.to_server(messages.FLUSH)
            self._flow.await_drain()
            return False
        for name in unsure:
            doubts.close(session, name)
        if not flags & Mention.CONCERNS and not session.stale:
            return True
        if session.path is None:
            self._flow.block()
            injected.ask_scope(session, simple=simple, done=self._scope_known)
            return False
        if session.stale or session.catalog_touched:
            if not self._idle() and not _is_safe(session.path):
                raise GatewayError(
                    "0A000",
                    "a statement on protected tables after a change of the catalog in the same transaction is not supported"
                    " while another schema comes before pg_catalog in search_path",
                    hint="Commit first, or leave pg_catalog out of search_path: it then comes first by itself.",
                )
            self._look(simple=simple)
            return False
        return True

    def _between_cycles(self) -> bool:
        """Whether all replies that are outstanding will come without anything more from the client."""
        last = self._session.expect[-1]
        return not isinstance(last, Slot) or last.step in (Step.SYNC, Step.QUERY)

    def _refreshed(self, result: object, error: Exception | None) -> None:
        if error is None:
            session = self._session
            session.catalog_known(None)
            self._flow.unblock()
        else:
            report = report_of(error)
            self._flow.refusing.fatal(report.message, report.sqlstate)

    def _private_known(self, rows: list[list[bytes | None]] | None) -> None:
        session = self._session
        if rows and rows[0][0] is not None:
            session.catalog_known(session.engines.within(rows[0][0]))
        else:
            self._aborted = not self._flow.refusing.discarding
        self._flow.unblock()

    def _scope_known(self, rows: list[list[bytes | None]] | None) -> None:
        session = self._session
        if rows:
            path, user, purpose = rows[0]
            session.scope_known(
                injected.parse_path(path or b""),
                (user or b"").decode(),
                (purpose or b"").decode("utf-8", "replace"),
            )
        else:
            self._aborted = not self._flow.refusing.discarding
        self._flow.unblock()


def _is_safe(path: tuple[str, ...]) -> bool:
    """Whether no operator of the client's own can come before those that the catalog is read with."""
    return (
        next((schema for schema in path if not schema.startswith("pg_temp_")), "pg_catalog") == "pg_catalog"
    )
