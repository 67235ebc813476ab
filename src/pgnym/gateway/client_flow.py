"""From the client to the server.

What does not concern the gateway is forwarded as the bytes it came in, a chunk at a time, without a copy where the whole
chunk passes. A message that concerns it is planned, its values are turned into tokens, put into the vault, and only then is
the rewritten message sent. While that is under way the flow is *blocked*: nothing is read from the client, so that order
is kept and memory bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from pgnym.audit.records import Action
from pgnym.gateway import injected
from pgnym.gateway.copy_in import CopyIn
from pgnym.gateway.effects import Refresh, Store, Work
from pgnym.gateway.reports import ErrorReport, GatewayError, report_of
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.slots import FUNCTION_CALL, QUERY, STEP_OF_TYPE, SYNC, Portal, Prepared, Slot, Step
from pgnym.gateway.tokenize import Tokens, bind_values, render
from pgnym.sql.plan import Rewrite, StatementPlan
from pgnym.sql.words import Mention
from pgnym.wire import messages
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import FRONTEND, Frontend

_HEADER = struct.Struct("!BI").unpack_from
_BOUNDS: Final = FRONTEND.bounds
_PARSE, _BIND, _EXECUTE = Frontend.PARSE, Frontend.BIND, Frontend.EXECUTE
_DESCRIBE, _CLOSE, _FLUSH = Frontend.DESCRIBE, Frontend.CLOSE, Frontend.FLUSH
_COPY_DATA, _COPY_DONE, _COPY_FAIL = Frontend.COPY_DATA, Frontend.COPY_DONE, Frontend.COPY_FAIL
_NAMED: Final = frozenset((_CLOSE, _BIND, _DESCRIBE, _EXECUTE, _PARSE))
_COPY: Final = frozenset((_COPY_DATA, _COPY_DONE, _COPY_FAIL))
_ABORTED: Final = ErrorReport(
    "25P02", "current transaction is aborted, commands ignored until end of transaction block"
)


class ClientFlow:
    """The direction client → server of one session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.blocked = False
        self.discarding = (
            False  # a message of this batch was refused: drop all until Sync, as the server would
        )
        self.copy: CopyIn | None = None
        self._pending = bytearray()
        self._skip = 0
        self._waiting_copy: Slot | None = None
        self._waiting_drain = False

    # -- feeding ------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.blocked or self._pending:
            self._pending += data
            if self.blocked:
                return
            data = bytes(self._pending)
            self._pending.clear()
        self._run(data)

    def block(self) -> None:
        """Take no further message until ``unblock``."""
        self.blocked = True
        self.session.effects.hold_client(True)

    def unblock(self) -> None:
        """Go on with what has been waiting."""
        if self.session.closed:
            return
        self.blocked = False
        self.session.effects.hold_client(False)
        if self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            self._run(data)

    def copy_started(self, slot: Slot) -> None:
        """The server answered a COPY FROM STDIN that concerns us with CopyInResponse."""
        plan = slot.plan
        if plan is not None and plan.copy is not None and plan.copy.incoming:
            self.copy = CopyIn(plan.copy, self.session, slot)
        if self._waiting_copy is slot:
            self._waiting_copy = None
            self.unblock()

    def slot_ended(self, slot: Slot) -> None:
        """The last reply of a slot has come (or it failed)."""
        if self.copy is not None and self.copy.slot is slot:
            self.copy = None
        if self._waiting_copy is slot:
            self._waiting_copy = None
            self.unblock()

    def drained(self) -> None:
        """All replies have come."""
        if self._waiting_drain:
            self._waiting_drain = False
            self.unblock()

    # -- the loop -----------------------------------------------------------------------------------------------

    def _run(self, data: bytes) -> None:
        session = self.session
        size = len(data)
        start = pos = 0
        if self._skip:
            pos = min(self._skip, size)
            self._skip -= pos
        while size - pos >= 5:
            kind, length = _HEADER(data, pos)
            if length < 4 or length > _BOUNDS[kind]:
                self._forward(data, start, pos)
                self._fatal(FRONTEND.error(kind, length).message)
                return
            end = pos + 1 + length
            if end > size:
                if self._may_stream(kind):
                    self._skip = end - size
                    pos = size
                break
            if self._passes(kind, data, pos, end):
                pos = end
                continue
            self._forward(data, start, pos)
            start = pos
            try:
                consumed = self._concerned(kind, data[pos:end])
            except ProtocolViolation as error:
                self._refuse_message(kind, report_of(error))
                consumed = True
            if consumed:
                pos = start = end
            if self.blocked or session.closed:
                break
        if session.batch and not session.tracked:
            self._track()
        self._forward(data, start, pos)
        if pos < size:
            self._pending[:0] = data[pos:]

    def _forward(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            whole = start == 0 and end == len(data)
            self.session.effects.to_server(data if whole else memoryview(data)[start:end])

    def _may_stream(self, kind: int) -> bool:
        """Whether the rest of an incomplete message can be passed on as it comes."""
        if self.discarding:
            return False
        if kind == _COPY_DATA:
            return self.copy is None
        return (
            kind == _BIND and not self.session.prepared and not self.session.portals and not self._tracking()
        )

    def _tracking(self) -> bool:
        return self.session.tracked

    def _passes(self, kind: int, data: bytes, pos: int, end: int) -> bool:
        """Whether the message can go on as it is; does the book-keeping if so. The hot path of every message."""
        session = self.session
        if self.discarding:
            return False
        if kind == QUERY:
            if session.engines.current.classify(data[pos + 5 : end - 1], session):
                return False
            session.expect.append(QUERY)
            session.batch.clear()
            session.tracked = False
            return True
        if kind == SYNC:
            if session.copying_in:
                return True  # ignored by a server in copy-in mode (protocol section 55.2.6)
            if session.tracked or self.copy is not None:
                return False
            session.expect.append(SYNC)
            session.batch.clear()
            return True
        if kind in _NAMED:
            if session.tracked or session.prepared or session.portals:
                return False
            if kind == _PARSE:
                name_end = data.index(0, pos + 5, end)
                text_end = data.find(0, name_end + 1, end)
                if text_end < 0 or session.engines.current.classify(data[name_end + 1 : text_end], session):
                    return False
            session.batch.append(kind)
            return True
        if kind == _COPY_DATA or kind == _COPY_DONE or kind == _COPY_FAIL:
            if kind != _COPY_DATA:
                session.copying_in = False
            return self.copy is None
        if kind == FUNCTION_CALL:
            session.expect.append(FUNCTION_CALL)
            return True
        return kind != _FLUSH or (self.copy is None and not session.batch)

    def _track(self) -> None:
        """Give the messages of the open batch a slot each: from here on replies are attributed one by one."""
        session = self.session
        for kind in session.batch:
            session.expect.append(Slot(STEP_OF_TYPE.get(kind, Step.DESCRIBE_PORTAL)))
        session.batch.clear()
        session.tracked = True

    # -- messages that may concern us ---------------------------------------------------------------------------

    def _concerned(self, kind: int, message: bytes) -> bool:
        """Handle a message that ``_passes`` did not let through. False: not consumed, to be tried again when unblocked."""
        session = self.session
        if self.discarding:
            if kind == SYNC:
                self.discarding = False
                return self._sync()
            if kind == Frontend.TERMINATE:
                session.effects.to_server(message)
            return True
        if kind == QUERY:
            return self._query(message)
        if kind == SYNC:
            return self._sync()
        if kind == _FLUSH:
            if session.batch and not session.tracked:
                self._track()
            if self.copy is None:
                session.effects.to_server(messages.FLUSH)
            return True
        if kind in _COPY:
            return self._copy(kind, message)
        if not session.tracked:
            self._track()
        if kind == _PARSE:
            return self._parse(message)
        if kind == _BIND:
            return self._bind(message)
        if kind == _DESCRIBE:
            return self._describe(message)
        if kind == _EXECUTE:
            return self._execute(message)
        return self._close(message)

    def _relay(self, message: bytes, slot: Slot) -> bool:
        self.session.expect.append(slot)
        self.session.effects.to_server(message)
        return True

    def _sync(self) -> bool:
        session = self.session
        if self.copy is not None:
            return True
        session.expect.append(Slot(Step.SYNC))
        session.tracked = False
        session.batch.clear()
        session.effects.to_server(messages.SYNC)
        return True

    # -- planning -----------------------------------------------------------------------------------------------

    def _ready_to_plan(self, flags: int, *, simple: bool) -> bool:
        """Whether catalog, search_path and names are known for sure; if not, sees to it and blocks."""
        session = self.session
        if (session.naming or session.catalog_touched) and self._between_cycles():
            # Names and tables change when the server gets there: wait until it has.
            self._waiting_drain = True
            self.block()
            return False
        if not flags & Mention.CONCERNS:
            return True
        if session.catalog_touched and session.status == IDLE and not session.expect:
            self._work(Refresh(), self._refreshed)
            return False
        if session.path is None:
            self.block()
            injected.ask_scope(session, simple=simple, done=self._scope_known)
            return False
        return True

    def _between_cycles(self) -> bool:
        """Whether replies are outstanding, and all of them will come without anything more from the client."""
        expect = self.session.expect
        if not expect:
            return False
        last = expect[-1]
        return not isinstance(last, Slot) or last.step in (Step.SYNC, Step.QUERY)

    def _refreshed(self, result: object, error: Exception | None) -> None:
        if error is None:
            self.session.catalog_touched = False
            self.unblock()
        else:
            self._fatal(f"the catalog could not be read: {type(error).__name__}", "08006")

    def _scope_known(self, rows: list[list[bytes | None]] | None) -> None:
        session = self.session
        if rows:
            path, user = rows[0]
            session.path = injected.parse_path(path or b"")
            session.user = (user or b"").decode()
        else:
            session.path = None
            self._scope_failed = not self.discarding
        self.unblock()

    _scope_failed = False

    def _plan(self, text: bytes, oids: tuple[int, ...]) -> Rewrite | None:
        session = self.session
        engine = session.engines.current
        encoding = session.parameters.get("client_encoding", "UTF8")
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise GatewayError(
                "0A000",
                f"client_encoding {encoding} is not supported on statements that touch protected columns",
                hint="SET client_encoding TO 'UTF8'.",
            )
        return engine.planner.plan(text, oids, session.scope())

    def _query(self, message: bytes) -> bool:
        session = self.session
        text = messages.Query.parse(message).text
        session.batch.clear()
        session.tracked = False
        flags = session.engines.current.flags(text, session)
        if self._scope_failed:
            self._scope_failed = False
            self._refuse_query(_ABORTED, text)
            return True
        if not self._ready_to_plan(flags, simple=True):
            return False
        try:
            rewrite = self._plan(text, ())
            if rewrite is None:
                session.expect.append(QUERY)
                session.effects.to_server(message)
                return True
            sent, tokens = render(rewrite, session)
        except Exception as error:
            self._refuse_query(report_of(error, text), text)
            return True
        slot = Slot(
            Step.QUERY, rewrite.statements, rewrite.fingerprint, rewrite.positions, text=text, sent_text=sent
        )
        for plan in rewrite.statements:
            if plan.parameters is not None and any(p.use for p in plan.parameters) and plan.effect is None:
                self._refuse_query(ErrorReport("42P02", "there is no parameter $1"), text)
                return True

        def send() -> None:
            self._expect_query(slot)
            session.effects.to_server(messages.Query(sent).build())
            self._await_copy(slot)

        self._store(tokens, rewrite.fingerprint, send, lambda report: self._refuse_query(report, text))
        return True

    def _expect_query(self, slot: Slot) -> None:
        session = self.session
        if any(plan.effect is not None for plan in slot.plans):
            session.naming += 1
        if any(plan.catalog_change for plan in slot.plans):
            session.catalog_touched = True
        session.expect.append(slot)

    def _await_copy(self, slot: Slot) -> None:
        if any(plan.copy is not None and plan.copy.incoming for plan in slot.plans):
            self._waiting_copy = slot
            self.block()

    def _store(
        self,
        tokens: Tokens,
        fingerprint: str,
        send: Callable[[], None],
        refuse: Callable[[ErrorReport], None],
    ) -> None:
        """Put what is not yet in the vault, with its audit record; then send. A search waits for neither."""
        session = self.session
        if not tokens.counts and not tokens.needed:
            send()
            return
        record = session.record(Action.TOKENIZE, fingerprint, tokens.counts)
        if not tokens.writes and not tokens.needed:
            session.effects.post(record)
            send()
            return

        def done(result: object, error: Exception | None) -> None:
            if error is not None:
                refuse(report_of(error))
            else:
                send()
            if self._waiting_copy is None:
                self.unblock()

        self._work(Store(tokens.needed, record), done)

    def _work(self, work: Work, done: Callable[[object, Exception | None], None]) -> None:
        self.block()

        def finished(result: object, error: Exception | None) -> None:
            if not self.session.closed:
                self.blocked = False
                done(result, error)

        self.session.effects.start(work, finished)

    # -- refusals -----------------------------------------------------------------------------------------------

    def _audit_refusal(self, report: ErrorReport, fingerprint: str = "") -> None:
        if report is not _ABORTED:
            session = self.session
            session.effects.post(session.record(Action.REFUSE, fingerprint, {}, denied=report.sqlstate))

    def _refuse_query(self, report: ErrorReport, text: bytes) -> None:
        """Answer a Query with an error, and leave the transaction as PostgreSQL would: failed, if there is one."""
        session = self.session
        self._audit_refusal(report)
        if not session.expect and session.status == IDLE:
            session.effects.to_client(report.encode() + messages.ReadyForQuery(b"I").build())
            return
        session.expect.append(Slot(Step.QUERY, report=report))
        session.effects.to_server(messages.Query(injected.FAILING).build())

    def _refuse_step(self, report: ErrorReport, step: Step) -> None:
        """Make the server fail at this place of the batch, so that order and transaction state are its own."""
        session = self.session
        if self.discarding:
            return
        self._audit_refusal(report)
        session.expect.append(Slot(step, report=report))
        session.effects.to_server(messages.Parse(injected.NAME, injected.FAILING).build())
        self.discarding = True

    def _refuse_message(self, kind: int, report: ErrorReport) -> None:
        if kind == QUERY:
            self._refuse_query(report, b"")
        elif kind in _NAMED:
            self._refuse_step(report, Step.PARSE)
        else:
            self._fatal(report.message)

    def _fatal(self, message: str, sqlstate: str = "08P01") -> None:
        session = self.session
        session.effects.to_client(ErrorReport(sqlstate, message, severity="FATAL").encode())
        session.effects.close(message)

    # -- extended query -----------------------------------------------------------------------------------------

    def _parse(self, message: bytes) -> bool:
        session = self.session
        parse = messages.Parse.parse(message)
        name, text = parse.name, parse.text
        flags = session.engines.current.flags(text, session)
        if self._scope_failed:
            self._scope_failed = False
            self._refuse_step(_ABORTED, Step.PARSE)
            return True
        if flags:
            if not self._ready_to_plan(flags, simple=False):
                return False
            try:
                rewrite = self._plan(text, parse.oids)
                rendered = render(rewrite, session) if rewrite is not None else None
            except Exception as error:
                self._refuse_step(report_of(error, text), Step.PARSE)
                return True
            if rewrite is not None and rendered is not None:
                self._parse_rewritten(parse, rewrite, *rendered)
                return True
        undo = self._forget_statement(name) if not name else None
        return self._relay(message, Slot(Step.PARSE, undo=undo))

    def _parse_rewritten(self, parse: messages.Parse, rewrite: Rewrite, sent: bytes, tokens: Tokens) -> None:
        session = self.session
        plan = rewrite.statements[0] if rewrite.statements else StatementPlan("")
        prepared = Prepared(plan, parse.oids, rewrite.fingerprint, literals=tokens.needed)
        slot = Slot(
            Step.PARSE, (plan,), rewrite.fingerprint, rewrite.positions, text=parse.text, sent_text=sent
        )

        def send() -> None:
            if self.discarding:
                return
            # A Parse of an existing name fails in the server and leaves the old statement: restore it then.
            old = session.prepared.get(parse.name)
            session.prepared[parse.name] = prepared

            def undo() -> None:
                if old is not None and parse.name:
                    session.prepared[parse.name] = old
                else:
                    session.prepared.pop(parse.name, None)

            slot.undo = undo
            session.expect.append(slot)
            session.effects.to_server(messages.Parse(parse.name, sent, _sent_oids(plan, parse.oids)).build())

        self._store(tokens, rewrite.fingerprint, send, lambda report: self._refuse_step(report, Step.PARSE))

    def _forget_statement(self, name: bytes) -> Callable[[], None] | None:
        old = self.session.prepared.pop(name, None)
        if old is None or not name:
            return None

        def undo() -> None:
            self.session.prepared[name] = old

        return undo

    def _forget_portal(self, name: bytes) -> Callable[[], None] | None:
        old = self.session.portals.pop(name, None)
        if old is None or not name:
            return None

        def undo() -> None:
            self.session.portals[name] = old

        return undo

    def _bind(self, message: bytes) -> bool:
        session = self.session
        bind = messages.Bind.parse(message)
        prepared = session.prepared.get(bind.statement)
        if prepared is None:
            undo = self._forget_portal(bind.portal)
            return self._relay(message, Slot(Step.BIND, undo=undo))
        try:
            sent, tokens = bind_values(prepared, bind, session)
        except Exception as error:
            self._refuse_step(report_of(error), Step.BIND)
            return True
        tokens.needed.update((t, v) for t, v in prepared.literals.items() if not session.vault.is_known(t))
        slot = Slot(Step.BIND, (prepared.plan,), prepared.fingerprint)

        def send() -> None:
            if self.discarding:
                return
            old = session.portals.get(bind.portal)
            session.portals[bind.portal] = Portal(prepared, bind.result_formats)

            def undo() -> None:
                if old is not None and bind.portal:
                    session.portals[bind.portal] = old
                else:
                    session.portals.pop(bind.portal, None)

            slot.undo = undo
            session.expect.append(slot)
            session.effects.to_server(message if sent is bind else sent.build())

        self._store(tokens, prepared.fingerprint, send, lambda report: self._refuse_step(report, Step.BIND))
        return True

    def _describe(self, message: bytes) -> bool:
        session = self.session
        target = messages.Describe.parse(message)
        name = target.name
        if target.kind == b"S":
            prepared = session.prepared.get(name)
            plans = (prepared.plan,) if prepared else ()
            return self._relay(message, Slot(Step.DESCRIBE_STATEMENT, plans, parameters=prepared))
        portal = session.portals.get(name)
        if portal is None:
            return self._relay(message, Slot(Step.DESCRIBE_PORTAL))
        return self._relay(
            message, Slot(Step.DESCRIBE_PORTAL, (portal.prepared.plan,), formats=portal.formats)
        )

    def _execute(self, message: bytes) -> bool:
        session = self.session
        portal = session.portals.get(messages.Execute.parse(message).portal)
        if portal is None:
            return self._relay(message, Slot(Step.EXECUTE))
        prepared = portal.prepared
        slot = Slot(Step.EXECUTE, (prepared.plan,), prepared.fingerprint, formats=portal.formats)
        if prepared.plan.effect is not None:
            session.naming += 1
        if prepared.plan.catalog_change:
            session.catalog_touched = True
        self._relay(message, slot)
        self._await_copy(slot)
        return True

    def _close(self, message: bytes) -> bool:
        target = messages.Close.parse(message)
        forget = self._forget_statement if target.kind == b"S" else self._forget_portal
        undo = forget(target.name)
        return self._relay(message, Slot(Step.CLOSE, undo=undo))

    # -- COPY ---------------------------------------------------------------------------------------------------

    def _copy(self, kind: int, message: bytes) -> bool:
        session = self.session
        copy = self.copy
        if copy is None or kind == _COPY_FAIL:
            self.copy = None
            session.effects.to_server(message)
            return True
        try:
            out, tokens = copy.feed(message[5:]) if kind == _COPY_DATA else copy.finish()
        except Exception as error:
            self._fail_copy(copy, report_of(error))
            return True

        def send() -> None:
            if out:
                session.effects.to_server(messages.copy_data(out))
            if kind == _COPY_DONE:
                self.copy = None
                session.effects.to_server(messages.COPY_DONE)

        if not tokens.counts:
            send()
            return True

        def done(result: object, error: Exception | None) -> None:
            if error is not None:
                self._fail_copy(copy, report_of(error))
            else:
                send()
            self.unblock()

        record = session.record(Action.TOKENIZE, copy.slot.fingerprint, tokens.counts)
        self._work(Store(tokens.needed, record), done)
        return True

    def _fail_copy(self, copy: CopyIn, report: ErrorReport) -> None:
        """End the COPY by CopyFail; the server's error for it is shown as ours."""
        self.copy = None
        self._audit_refusal(report, copy.slot.fingerprint)
        copy.slot.report = report
        self.session.effects.to_server(messages.CopyFail(b"refused by the gateway").build())


def _sent_oids(plan: StatementPlan, declared: tuple[int, ...]) -> tuple[int, ...]:
    """The parameter types to name upstream: the client's own, but text where a token goes in."""
    sent = plan.sent_parameter_types or {}
    if plan.parameters is None:
        count = max([len(declared), *sent]) if sent else len(declared)
        own = [declared[i] if i < len(declared) else 0 for i in range(count)]
        return tuple(sent.get(i + 1, oid) for i, oid in enumerate(own))
    oids = []
    for index, parameter in enumerate(plan.parameters, 1):
        own_oid = declared[parameter.source - 1] if parameter.source <= len(declared) else 0
        oids.append(sent.get(index, own_oid))
    while oids and oids[-1] == 0:
        oids.pop()
    return tuple(oids)
