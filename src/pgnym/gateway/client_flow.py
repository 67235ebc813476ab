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
from pgnym.gateway import exchange
from pgnym.gateway.copy_in import CopyIn
from pgnym.gateway.effects import Question, Resolve, Store, Work
from pgnym.gateway.flow import Flow
from pgnym.gateway.refusing import Refusing
from pgnym.gateway.reports import ErrorReport, report_of
from pgnym.gateway.requests import Requests
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.slots import COPY_ENDED, FUNCTION_CALL, QUERY, STEP_OF_TYPE, SYNC, Slot, Step
from pgnym.gateway.tokenize import Tokens
from pgnym.sql.plan import StatementPlan
from pgnym.wire import messages
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import FRONTEND, Frontend

_HEADER = struct.Struct("!BI").unpack_from
_BOUNDS: Final = FRONTEND.bounds
_PARSE, _BIND, _EXECUTE = Frontend.PARSE, Frontend.BIND, Frontend.EXECUTE
_DESCRIBE, _CLOSE, _FLUSH = Frontend.DESCRIBE, Frontend.CLOSE, Frontend.FLUSH
_COPY_DATA, _COPY_DONE, _COPY_FAIL = Frontend.COPY_DATA, Frontend.COPY_DONE, Frontend.COPY_FAIL
_NAMED: Final = frozenset((_CLOSE, _BIND, _DESCRIBE, _EXECUTE, _PARSE))
_STATEMENT: Final = ord("S")
_COUNTED: Final = _NAMED - {_PARSE}
_COPY: Final = frozenset((_COPY_DATA, _COPY_DONE, _COPY_FAIL))


class ClientFlow(Flow):
    """The direction client → server of one session."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.refusing = Refusing(session)
        self._requests = Requests(self)
        self.copy: CopyIn | None = None
        self._awaited_copy: Slot | None = None
        self._awaits_drain = False
        self._pausing: Callable[[], None] | None = None
        self.paused = False
        self._later: list[Callable[[], None]] = []

    def _hold(self, hold: bool) -> None:
        self.session.effects.hold_client(hold)

    def copy_started(self, slot: Slot) -> None:
        """The server answered a COPY FROM STDIN that concerns us with CopyInResponse."""
        plan = slot.plan
        if plan is not None and plan.copy is not None and plan.copy.incoming:
            try:
                self.copy = CopyIn(plan.copy, self.session, slot)
            except Exception as error:
                self._fail_copy(slot, report_of(error))
        else:
            self.session.copying_in = True
        if self._awaited_copy is slot:
            self._awaited_copy = None
            self.later(self.unblock)

    def slot_ended(self, slot: Slot) -> None:
        """The last reply of a slot has come (or it failed)."""
        if self.copy is not None and self.copy.slot is slot:
            self.copy = None
        if self._awaited_copy is slot:
            self._awaited_copy = None
            self.later(self.unblock)

    def later(self, step: Callable[[], None]) -> None:
        """Do something once what the server has said so far is on its way to the client, so that no answer overtakes it."""
        self._later.append(step)

    def caught_up(self) -> None:
        """What the server has said so far is on its way to the client."""
        while self._later:
            steps, self._later = self._later, []
            for step in steps:
                step()

    def drained(self) -> None:
        """All replies have come."""
        if self._awaits_drain:
            self._awaits_drain = False
            self.unblock()
        if self._pausing is not None:
            self._try_to_pause()

    def pause(self, paused: Callable[[], None]) -> None:
        """Stop before the next statement, once no transaction is open and all is answered; then call ``paused``."""
        self._pausing = paused
        self._try_to_pause()

    def go_on(self) -> None:
        """The end of a pause, or of the wish for one."""
        self._pausing = None
        if self.paused:
            self.paused = False
            self.unblock()

    def _try_to_pause(self) -> None:
        session, then = self.session, self._pausing
        idle = (
            session.status == IDLE
            and not session.expect
            and not session.batch
            and not session.injected
            and not session.copying_in
        )
        if (
            then is None
            or self.paused
            or self.blocked
            or self._pending
            or self._skip
            or self.copy
            or not idle
        ):
            return
        self.paused = True
        self.block()
        then()

    # -- the loop -----------------------------------------------------------------------------------------------

    def _run(self, data: bytes) -> None:
        session = self.session
        if session.prepared and data[0] == _BIND and self._at_a_batch() and exchange.begin(session, data):
            session.effects.to_server(data)
            return
        if session.exchanges:
            exchange.expand(session)
        self._needed = 0
        size = len(data)
        start = pos = 0
        if self._skip:
            pos = min(self._skip, size)
            self._skip -= pos
        # Nothing of the session concerns us: then most messages need no more than to be counted.
        plain = not (
            session.tracked
            or session.prepared
            or session.portals
            or session.cursors
            or session.copying_in
            or self.copy is not None
            or self.refusing.discarding
        )
        batch, expect = session.batch, session.expect
        while size - pos >= 5:
            kind, length = _HEADER(data, pos)
            if length < 4 or length > _BOUNDS[kind]:
                self._forward(data, start, pos)
                self.refusing.fatal(FRONTEND.error(kind, length).message)
                return
            end = pos + 1 + length
            if end > size:
                if self._may_stream(kind):
                    if kind == _BIND:
                        session.batch.append(kind)
                    self._skip = end - size
                    pos = size
                else:
                    self._needed = end - pos
                break
            if plain:
                if kind in _COUNTED:
                    batch.append(kind)
                    pos = end
                    continue
                if kind == SYNC:
                    expect.append(SYNC)
                    session.counts.unprotected += batch.count(_EXECUTE)
                    batch.clear()
                    pos = end
                    continue
            if self._passes(kind, data, pos, end):
                pos = end
                plain = plain and not session.tracked
                continue
            plain = False
            self._forward(data, start, pos)
            start = pos
            try:
                consumed = self._concerned(kind, data[pos:end])
            except ProtocolViolation as error:
                self._refuse_malformed(kind, report_of(error))
                consumed = True
            if consumed:
                pos = start = end
            if self.blocked or session.closed:
                break
        self._track_open()
        self._forward(data, start, pos)
        if pos < size:
            self._pending[:0] = data[pos:]

    def _at_a_batch(self) -> bool:
        """Whether the next message begins a batch, and nothing is out of the ordinary."""
        session = self.session
        return not (
            session.tracked
            or session.batch
            or session.copying_in
            or self._skip
            or self.copy is not None
            or self.refusing.discarding
        )

    def _forward(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            whole = start == 0 and end == len(data)
            self.session.effects.to_server(data if whole else memoryview(data)[start:end])

    def _may_stream(self, kind: int) -> bool:
        """Whether the rest of an incomplete message can be passed on as it comes."""
        if self.refusing.discarding:
            return False
        if kind == _COPY_DATA:
            return self._may_copy()
        return kind == _BIND and not self.session.named and not self.session.tracked

    def _passes(self, kind: int, data: bytes, pos: int, end: int) -> bool:
        """Whether the message can go on as it is; does the book-keeping if so. The hot path of every message."""
        session = self.session
        if self.refusing.discarding:
            return False
        if kind == QUERY:
            engine = session.private or session.engines.current
            # to classify a text that ends a transaction can make stale what is known
            if session.stale or engine.classify_once(data[pos + 5 : end - 1], session) or session.stale:
                return False
            self._end_batch()
            session.counts.unprotected += 1
            session.expect.append(QUERY)
            return True
        if kind == SYNC:
            if session.copying_in:
                return True  # ignored by a server in copy-in mode (protocol section 55.2.6)
            if session.tracked or self.copy is not None:
                return False
            session.expect.append(SYNC)
            session.counts.unprotected += session.batch.count(_EXECUTE)
            session.batch.clear()
            return True
        if kind in _NAMED:
            if session.tracked or (session.named and self._names(kind, data, pos, end)):
                return False
            if kind == _PARSE:
                name_end = data.find(0, pos + 5, end)
                text_end = data.find(0, name_end + 1, end)
                engine = session.private or session.engines.current
                if (
                    name_end < 0
                    or text_end < 0
                    or session.stale
                    or engine.classify(data[name_end + 1 : text_end], session)
                    or session.stale
                ):
                    return False
            session.batch.append(kind)
            return True
        if kind in _COPY:
            if not self._may_copy():
                return False
            if kind != _COPY_DATA:
                self._copy_ended()
            return True
        if kind == FUNCTION_CALL:
            self._end_batch()
            session.counts.unprotected += 1
            session.expect.append(FUNCTION_CALL)
            return True
        return kind != _FLUSH or (self.copy is None and not session.batch)

    def _may_copy(self) -> bool:
        """Whether COPY data does not concern us, and so may pass.

        Data for a statement that has failed meanwhile, or was refused, must not: the server would ignore it, but it would
        have been told.
        """
        session = self.session
        if self.copy is not None:
            return False
        if session.copying_in or session.batch:
            return True
        for expected in reversed(session.expect):
            if not isinstance(expected, Slot):
                return True
            if expected.step in (Step.EXECUTE, Step.QUERY):
                return not expected.plans and expected.report is None
        return False

    def _copy_ended(self) -> None:
        session = self.session
        if not session.copying_in:  # sent without waiting
            self._track_open()
            if session.expect:
                session.expect.append(COPY_ENDED)
        session.copying_in = False

    def _names(self, kind: int, data: bytes, pos: int, end: int) -> bool:
        """Whether a message names a prepared statement or portal that concerns the gateway."""
        session = self.session
        first = pos + 6 if kind in (_DESCRIBE, _CLOSE) else pos + 5
        stop = data.find(0, first, end)
        if stop < 0:
            return True  # malformed: let the parser say so
        name = data[first:stop]
        if kind == _PARSE:
            return name in session.prepared
        if kind == _BIND:
            second = data.find(0, stop + 1, end)
            return second < 0 or name in session.portals or data[stop + 1 : second] in session.prepared
        if kind == _EXECUTE:
            return session.portal(name) is not None
        if data[pos + 5] == _STATEMENT:
            return name in session.prepared
        return session.portal(name) is not None

    def _end_batch(self) -> None:
        """A Query or FunctionCall ends a batch too, unless a message before it fails: then it is discarded with them."""
        self._track_open()
        self.session.tracked = False

    def _track_open(self) -> None:
        """``_track``, if a batch is open that is not tracked yet."""
        session = self.session
        if session.batch and not session.tracked:
            self._track()

    def _track(self) -> None:
        """Give the messages of the open batch a slot each: from here on replies are attributed one by one."""
        session = self.session
        for kind in session.batch:
            session.expect.append(Slot(STEP_OF_TYPE.get(kind, Step.DESCRIBE_PORTAL)))
        session.executed = _EXECUTE in session.batch
        session.counts.unprotected += session.batch.count(_EXECUTE)
        session.batch.clear()
        session.tracked = True

    # -- messages that may concern us ------------------------------------------------------------------

    def _concerned(self, kind: int, message: bytes) -> bool:
        """Handle a message that ``_passes`` did not let through. False: not consumed, to be tried again when unblocked."""
        session = self.session
        if self.refusing.discarding:
            if kind == SYNC:
                self.refusing.discarding = False
                return self._sync()
            if kind == Frontend.TERMINATE:
                session.effects.to_server(message)
            return True
        if kind == QUERY:
            self._track_open()
            consumed = self._requests.query(message)
            if consumed:
                session.tracked = False
            return consumed
        if kind == SYNC:
            return self._sync()
        if kind == _FLUSH:
            self._track_open()
            if self.copy is None:
                session.effects.to_server(message)
            return True
        if kind in _COPY:
            return self._copy(kind, message)
        if not session.tracked:
            if kind == _PARSE and not session.batch and self._requests.look_again(message):
                return False
            self._track()
        return self._requests.extended(kind, message)

    def _sync(self) -> bool:
        session = self.session
        if self.copy is not None:
            return True
        session.expect.append(Slot(Step.SYNC))
        session.cycle += 1
        session.tracked = False
        session.batch.clear()
        session.effects.to_server(messages.SYNC)
        return True

    def _refuse_malformed(self, kind: int, report: ErrorReport) -> None:
        if kind == QUERY:
            self.refusing.query(report)
        elif kind in _NAMED:
            self.refusing.step(report, Step.PARSE)
        else:
            self.refusing.fatal(report.message)

    # -- waiting ---------------------------------------------------------------------------------------

    def work(self, work: Work, done: Callable[[object, Exception | None], None]) -> None:
        """Block while ``work`` is done; ``done`` must unblock, or see to it that something does."""
        self.block()

        def finished(result: object, error: Exception | None) -> None:
            if not self.session.closed:
                self.blocked = False
                done(result, error)

        self.session.effects.start(work, finished)

    def await_drain(self) -> None:
        """Block until all replies that are outstanding have come."""
        self._awaits_drain = True
        self.block()

    def await_copy(self, slot: Slot) -> None:
        """After a statement that copies into protected columns: block until the server wants the data, or ends."""
        if copies_in(slot.plans):
            self._awaited_copy = slot
            self.block()

    def store(
        self,
        tokens: Tokens,
        fingerprint: str,
        send: Callable[[], None],
        refuse: Callable[[ErrorReport], None],
    ) -> None:
        """Put values into the vault, with the audit record of it; then send. A mere search waits for neither."""
        session = self.session
        if not tokens.counts and not tokens.values:
            send()
            return
        record = session.record(Action.TOKENIZE, fingerprint, tokens.counts, tokens=tokens.values)
        session.counts.took_in(session.role.name, tokens.counts)
        if not tokens.values:
            session.effects.post(record)
            send()
            return
        session.note_stored(tokens.values)
        self._wait_for(Store(tokens.values, record), lambda _: send(), refuse)

    def resolve(
        self,
        questions: tuple[Question, ...],
        fingerprint: str,
        send: Callable[[tuple[bytes, ...]], None],
        refuse: Callable[[ErrorReport], None],
    ) -> None:
        """Have questions answered, once all that is put so far is in the vault; then send."""
        if not questions:
            send(())
            return
        record = self.session.record(Action.SEARCH, fingerprint, {})

        def answered(result: object) -> None:
            assert isinstance(result, tuple)
            send(result)

        self._wait_for(Resolve(questions, record), answered, refuse)

    def _wait_for(
        self, work: Work, then: Callable[[object], None], refuse: Callable[[ErrorReport], None]
    ) -> None:
        """Block while ``work`` is done; then go on, unless what comes then blocks again."""

        def done(result: object, error: Exception | None) -> None:
            if error is not None:
                refuse(report_of(error))
            else:
                then(result)
            if not self.blocked:
                self.unblock()

        self.work(work, done)

    # -- COPY ------------------------------------------------------------------------------------------

    def _copy(self, kind: int, message: bytes) -> bool:
        session = self.session
        copy = self.copy
        if copy is None:
            last = session.expect[-1] if session.expect else None
            if isinstance(last, Slot) and not last.failed and copies_in(last.plans[last.index + 1 :]):
                self._awaited_copy = last  # data for a further COPY of the same text, sent without waiting
                self.block()
                return False
            return True  # ignored, as the server would
        if kind == _COPY_FAIL:
            self.copy = None
            session.effects.to_server(message)
            return True
        try:
            out, tokens = copy.feed(message[5:]) if kind == _COPY_DATA else copy.finish()
        except Exception as error:
            self._fail_copy(copy.slot, report_of(error))
            return True

        def send() -> None:
            if out:
                session.effects.to_server(messages.copy_data(out))
            if kind == _COPY_DONE:
                self.copy = None
                session.effects.to_server(messages.COPY_DONE)

        self.store(tokens, copy.slot.fingerprint, send, lambda report: self._fail_copy(copy.slot, report))
        return True

    def _fail_copy(self, slot: Slot, report: ErrorReport) -> None:
        """End the COPY by CopyFail; the server's error for it is shown as ours. What data still comes is dropped."""
        self.copy = None
        self.refusing.audit(report, slot.fingerprint)
        slot.report = report
        self.session.effects.to_server(messages.CopyFail(b"refused by the gateway").build())


def copies_in(plans: tuple[StatementPlan, ...]) -> bool:
    """Whether one of the statements may be a COPY FROM STDIN. (Of those on unprotected tables, the plan says no more.)"""
    return any(plan.command == "COPY" if plan.copy is None else plan.copy.incoming for plan in plans)
