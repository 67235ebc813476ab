"""From the server to the client.

While the head of the queue of expected replies is an integer, nothing there concerns the gateway: headers are walked for
ReadyForQuery, ParameterStatus and COPY, and the chunk goes on as it came. At a ``Slot`` each message is attributed: replies
to injected requests are swallowed, descriptions corrected, rows that may carry tokens revealed. A reveal waits for its audit
record and for values that are not in memory; meanwhile the flow is *blocked* and upstream is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from pgnym.gateway import doubts, exchange, injected
from pgnym.gateway.client_flow import ClientFlow
from pgnym.gateway.describe import show_description, show_parameters
from pgnym.gateway.effects import Cancel, Refresh
from pgnym.gateway.exchange import Exchange
from pgnym.gateway.failures import Failure, FailureReveal
from pgnym.gateway.flow import Flow
from pgnym.gateway.opening import open_tokens, spend
from pgnym.gateway.reports import SHUTDOWN, ErrorReport, report_of
from pgnym.gateway.retrying import is_made_again
from pgnym.gateway.reveal import CopyReveal, Reveal, RowReveal
from pgnym.gateway.session import IDLE, Session
from pgnym.gateway.slots import COPY_ENDED, QUERY, SYNC, Slot, Step
from pgnym.policy.budget import StatementBudget
from pgnym.wire import messages
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import BACKEND, Backend, run_end
from pgnym.wire.messages import ParameterDescription, ParameterStatus, parse_data_row

_HEADER = struct.Struct("!BI").unpack_from
_BOUNDS: Final = BACKEND.bounds
_READY, _STATUS, _ERROR, _NOTICE = (
    Backend.READY_FOR_QUERY,
    Backend.PARAMETER_STATUS,
    Backend.ERROR_RESPONSE,
    Backend.NOTICE_RESPONSE,
)
_ROW, _COPY_DATA, _COPY_IN = Backend.DATA_ROW, Backend.COPY_DATA, Backend.COPY_IN_RESPONSE
# Messages that must be seen whole even where nothing concerns us.
_WATCHED: Final = frozenset((_READY, _STATUS, _COPY_IN, _ERROR))
_NEVER_DROPPED: Final = frozenset((_READY, _STATUS, Backend.NOTIFICATION_RESPONSE))
_RELAY: Final = object()
_HELD: Final = object()


class ServerFlow(Flow):
    """The direction server → client of one session."""

    def __init__(self, session: Session, client: ClientFlow) -> None:
        super().__init__(session)
        self.client = client
        self._out: list[bytes | memoryview] = []
        self._dropping = False  # an answer was cut off: nothing more of this cycle reaches the client
        self._ended = False  # the gateway is draining, and the client's last transaction is over
        self._last = b""
        self._handlers = self._handle()
        self._reveal: tuple[Slot, int, Reveal | None] | None = None

    def _hold(self, hold: bool) -> None:
        self.session.effects.hold_server(hold)

    # -- the loop --------------------------------------------------------------------------------------

    def _run(self, data: bytes) -> None:
        expect = self.session.expect
        self._needed = 0
        size = len(data)
        start = pos = 0
        if self._skip:
            pos = min(self._skip, size)
            self._skip -= pos
        while size - pos >= 5:
            kind, length = _HEADER(data, pos)
            if length < 4 or length > _BOUNDS[kind]:
                self._emit(data, start, pos)
                self._fatal(BACKEND.error(kind, length).message)
                return
            end = pos + 1 + length
            head = expect[0] if expect else QUERY
            raw = head.__class__ is int and not self._dropping
            if end > size:
                if raw and kind not in _WATCHED and kind != _NOTICE:
                    self._skip = end - size
                    pos = size
                else:
                    self._needed = end - pos
                break
            if raw:
                pos = self._raw(data, pos, size)
                continue
            if head.__class__ is Exchange:
                self._emit(data, start, pos)
                start = pos
                try:
                    stop = 0 if self._dropping else exchange.answer(self, head, data, pos)
                except ProtocolViolation as error:
                    self._fatal(f"from the server: {error.message}")
                    return
                if not stop:
                    exchange.expand(self.session)
                    continue
                pos = start = stop
                if self.blocked:
                    break
                continue
            try:
                stop = run_end(data, BACKEND, kind, pos) if kind in (_ROW, _COPY_DATA) else end
                answer = self._message(head, kind, data[pos:stop])
            except ProtocolViolation as error:
                self._emit(data, start, pos)
                self._fatal(f"from the server: {error.message}")
                return
            if answer is _RELAY:
                pos = stop
                continue
            self._emit(data, start, pos)
            pos = start = stop
            if answer is _HELD:
                self._say_last()
                break
            if answer:
                self._out.append(answer)  # type: ignore[arg-type]
        if pos == size and not start and not self._out:
            self.session.effects.to_client(data)
        else:
            self._emit(data, start, pos)
            if not self.blocked:
                self._flush()  # what goes before a reveal goes with it
            if pos < size:
                self._pending[:0] = data[pos:]
        self._caught_up()

    def _caught_up(self) -> None:
        """What has come is dealt with: do what had to wait for that."""
        self.client.caught_up()
        if self._ended:
            self.shut_down()
        elif not self.session.expect and not self.blocked:
            self.client.drained()

    def finish(self, exchange: Exchange, answer: bytes) -> None:
        """The answer of an exchange, which is the head of what is expected, is ready; it ends with ReadyForQuery."""
        session = self.session
        self._out.append(answer)
        session.expect.popleft()
        session.status = answer[-1]
        self._forget_copy_end()
        self._cycle_ended()

    def resume(self) -> None:
        """Go on after what was waited for. It may have been the last thing to come: then nothing else says that all has."""
        waiting = bool(self._pending)
        self.unblock()
        self._flush()
        if not waiting:
            self._caught_up()

    def _raw(self, data: bytes, pos: int, size: int) -> int:
        """Walk over complete messages that concern nobody, until one does; the offset reached.

        The first message is known to be complete.
        """
        header, bounds, expect, last = _HEADER, _BOUNDS, self.session.expect, size - 5
        while pos <= last:
            kind, length = header(data, pos)
            end: int = pos + 1 + length
            if end > size or length < 4 or length > bounds[kind]:
                break
            if kind == _ROW:
                pos = run_end(data, BACKEND, _ROW, pos)
                continue
            if kind in _WATCHED:
                self._watch(kind, data[pos:end])
                if expect and expect[0].__class__ is not int:
                    return end
            pos = end
        return pos

    def shut_down(self) -> None:
        """Tell the client that the gateway goes away, at a moment when nothing is under way."""
        self.session.effects.to_client(SHUTDOWN.encode())
        self.session.effects.close("shutting down")

    def _emit(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            whole = start == 0 and end == len(data)
            self._out.append(data if whole else memoryview(data)[start:end])

    def _flush(self) -> None:
        out = self._out
        if out:
            self.session.effects.to_client(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def _fatal(self, message: str) -> None:
        self._flush()
        self.session.effects.to_client(ErrorReport("08P01", message, severity="FATAL").encode())
        self.session.effects.close(message)

    # -- where nothing concerns us ---------------------------------------------------------------------

    def _watch(self, kind: int, message: bytes) -> None:
        session = self.session
        if kind == _READY:
            session.status = message[5]
            if session.expect:
                session.expect.popleft()
                self._forget_copy_end()
            self._cycle_ended()
        elif kind == _STATUS:
            self._parameter(message)
        elif kind == _ERROR:
            session.copying_in = False
        else:
            session.copying_in = True
            self._forget_syncs()

    def _forget_syncs(self) -> None:
        """Syncs sent before copy-in mode began are read in it, and ignored (protocol section 55.2.6).

        Unless the client has ended its data already: then those behind the end are answered.
        """
        if self.session.exchanges:
            exchange.expand(self.session)
        expect = self.session.expect
        head = None if not expect or expect[0] == SYNC else expect.popleft()
        while expect and (expect[0] == SYNC or (isinstance(expect[0], Slot) and expect[0].step is Step.SYNC)):
            expect.popleft()
        if self._forget_copy_end():
            self.session.copying_in = False
        if head is not None:
            expect.appendleft(head)

    def _forget_copy_end(self) -> bool:
        expect = self.session.expect
        if expect and expect[0] == COPY_ENDED:
            expect.popleft()
            return True
        return False

    def _cycle_ended(self) -> None:
        session = self.session
        if session.status == IDLE:
            if session.path_touched:
                session.path = None  # a SET may have been rolled back
                session.path_touched = False
            if session.private is not None:
                session.private, session.stale = None, True  # others may see now what was private
            if not session.expect:
                session.portals.clear()
                if session.draining and not self.blocked and not self.client.blocked:
                    self._ended = True

    def _parameter(self, message: bytes) -> object:
        status = ParameterStatus.parse(message)
        self.session.set_parameter(
            status.name.decode("utf-8", "replace"), status.value.decode("utf-8", "replace")
        )
        return _RELAY

    # -- where a slot is at the head -------------------------------------------------------------------

    def _message(self, head: int | Slot | Exchange, kind: int, message: bytes) -> object:
        """What becomes of a message: ``_RELAY``, ``_HELD`` (blocked; sent later), or bytes in its place."""
        if self._dropping and kind not in _NEVER_DROPPED:
            return b""
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(head, message)
        return b"" if head.__class__ is Slot and head.swallow else _RELAY

    def _handle(self) -> dict[int, Callable[[Any, bytes], object]]:
        """What to do with each type of message while a slot is at the head; any other is relayed."""
        ended = (
            Backend.PARSE_COMPLETE,
            Backend.BIND_COMPLETE,
            Backend.CLOSE_COMPLETE,
            Backend.NO_DATA,
        )
        completed = (Backend.COMMAND_COMPLETE, Backend.EMPTY_QUERY_RESPONSE, Backend.PORTAL_SUSPENDED)
        return {
            _READY: lambda head, message: self._ready(message),
            _STATUS: lambda head, message: self._parameter(message),
            Backend.NOTIFICATION_RESPONSE: lambda head, message: _RELAY,
            _ERROR: self._error,
            _NOTICE: self._notice,
            Backend.ROW_DESCRIPTION: self._described,
            _ROW: self._rows,
            _COPY_DATA: self._rows,
            _COPY_IN: self._copy_in,
            Backend.PARAMETER_DESCRIPTION: self._parameters,
            **dict.fromkeys(completed, self._completed),
            **dict.fromkeys(ended, self._end),
        }

    def _notice(self, slot: Slot, message: bytes) -> object:
        return _RELAY if slot.swallow else self._reveal_report(slot, message)

    def _copy_in(self, slot: Slot, message: bytes) -> object:
        self.client.copy_started(slot)
        self._forget_syncs()
        return _RELAY

    def _parameters(self, slot: Slot, message: bytes) -> object:
        prepared = slot.parameters
        if prepared is None:
            return _RELAY
        return ParameterDescription(
            show_parameters(ParameterDescription.parse(message).oids, prepared)
        ).build()

    def _end(self, slot: Slot, message: bytes) -> object:
        self.session.expect.popleft()
        if slot.step in (Step.PARSE, Step.CLOSE):
            doubts.acknowledged(self.session, slot.change)
        self._tell(slot, slot.rows)
        return b"" if slot.swallow else _RELAY

    def _tell(self, slot: Slot, rows: list[list[bytes | None]] | None) -> None:
        done = slot.done
        if done is not None:
            self.client.later(lambda: done(rows))
        self.client.slot_ended(slot)

    def _ready(self, message: bytes) -> object:
        session = self.session
        session.status = message[5]
        self._dropping = False
        swallowed = False
        head = session.expect.popleft() if session.expect else None
        if head is not None:
            self._forget_copy_end()
        if isinstance(head, Slot):
            self._settle_names(head)
            swallowed = head.swallow
        self._cycle_ended()
        if isinstance(head, Slot):
            self._tell(head, None if head.failed else head.rows)
        if swallowed:
            return b""
        return self._after_reading(message) if session.stale and session.status == IDLE else _RELAY

    def _after_reading(self, message: bytes) -> object:
        """Hold ReadyForQuery until the catalog is known that the session has changed: then no other session is behind it."""

        def done(result: object, error: Exception | None) -> None:
            session = self.session
            if session.closed:
                return
            if error is None:  # else it is read before the session's next statement, which says what is wrong
                session.catalog_known(None)
            self._out.append(message)
            self.resume()

        self.block()
        self.session.effects.start(Refresh(), done)
        return _HELD

    def _settle_names(self, slot: Slot) -> None:
        if slot.plans:
            self.session.naming -= sum(plan.effect is not None for plan in slot.plans)

    def _described(self, slot: Slot, message: bytes) -> object:
        if slot.swallow:
            return b""
        outputs = slot.outputs
        answer: object = _RELAY
        if outputs:
            # Prepared statements are described again and again, in the same words.
            slot.fields, shown = self.session.derive(
                outputs,
                (slot.planned, message),
                lambda: show_description(message, outputs, self.session, planned=slot.planned),
            )
            if shown != message:
                answer = shown
        if slot.described:
            answer = b""
        slot.described = slot.again is not None  # then the text has no other statement
        if slot.step in (Step.DESCRIBE_STATEMENT, Step.DESCRIBE_PORTAL):
            self._end(slot, message)
        return answer

    def _completed(self, slot: Slot, message: bytes) -> object:
        command = message[0] == Backend.COMMAND_COMPLETE
        if slot.step is Step.QUERY:
            plan = slot.plan
            if command:
                self._apply_effect(slot)
                slot.index += 1
                slot.budget = None
            slot.fields = None
            return b"" if slot.swallow or (plan is not None and plan.hidden) else _RELAY
        if command:
            self._apply_effect(slot)
        self._settle_names(slot)
        return self._end(slot, message)

    def _apply_effect(self, slot: Slot) -> None:
        """A statement that names things has succeeded."""
        plan = slot.plan
        effect = plan.effect if plan is not None else None
        if effect is None:
            return
        self.session.apply(effect.act, effect.name, effect.inner, slot.fingerprint)

    # -- errors ----------------------------------------------------------------------------------------

    def _error(self, slot: Slot, message: bytes) -> object:
        """ErrorResponse: the rest of the batch is discarded by the server until Sync (section 55.2.3)."""
        session = self.session
        if slot.again is not None and is_made_again(self.client, slot, message):
            return b""
        slot.failed = True
        session.copying_in = False
        if slot.step is Step.QUERY:
            self.client.slot_ended(slot)
            if slot.swallow:
                return b""
        else:
            self._abandon_batch()
        return self._reveal_report(slot, message)

    def _abandon_batch(self, *, cut_off: bool = False) -> None:
        """All that has been sent up to the next Sync is discarded by the server, Query and FunctionCall too.

        ``cut_off``: by us, so the server may carry out some of it yet. Then names stay as they are, and in doubt.
        """
        session = self.session
        dropped: list[Slot] = []
        while session.expect:
            head = session.expect[0]
            if head == SYNC or (isinstance(head, Slot) and head.step is Step.SYNC):
                break
            session.expect.popleft()
            if isinstance(head, Slot):
                dropped.append(head)
        if not session.expect:
            self.client.refusing.discarding = True
        if not cut_off:
            self._restore_names(dropped)
        for slot in dropped:
            if slot.step in (Step.EXECUTE, Step.QUERY):
                self._settle_names(slot)
                if cut_off:
                    doubts.cut_off(session, slot)
            self._tell(slot, None)

    def _restore_names(self, dropped: list[Slot]) -> None:
        """Undo what the dropped requests did to names, but not what requests behind the next Sync do."""
        later = [s.change for s in self.session.expect if isinstance(s, Slot) and s.change is not None]
        undone = [slot.change for slot in dropped if slot.change is not None]
        if not undone:
            return
        for change in (*reversed(later), *reversed(undone)):
            change.undo()
        first = dropped[0]
        if first.step is Step.PARSE and first.change is not None and not first.change.name:
            self.session.prepared.pop(b"", None)  # it is gone before its successor is looked at
        for change in later:
            change.make()

    def _reveal_report(self, slot: Slot, message: bytes) -> object:
        failure = Failure.read(message, slot, self.session)
        if failure.shown is not None:
            return failure.shown
        reveal = FailureReveal.of(failure, self.session)
        if reveal is None:
            return failure.encode()
        return self._look_up(slot, reveal, message)

    # -- revealing -------------------------------------------------------------------------------------

    def _rows(self, slot: Slot, chunk: bytes) -> object:
        slot.answered = True
        if slot.swallow:
            if chunk[0] == _ROW:
                pos = 0
                while pos < len(chunk):
                    end = pos + 1 + _HEADER(chunk, pos)[1]
                    slot.rows.append(parse_data_row(chunk[pos:end]))
                    pos = end
            return b""
        if not slot.outputs:
            return _RELAY
        try:
            reveal = self._plan_reveal(slot, chunk[0])
            if reveal is None:
                return _RELAY
            return self._look_up(slot, reveal, chunk)
        except ProtocolViolation:
            raise
        except Exception as error:
            return self._cut_off(slot, report_of(error))

    def _plan_reveal(self, slot: Slot, kind: int) -> Reveal | None:
        known = self._reveal
        if known is not None and known[0] is slot and known[1] == slot.index:
            return known[2]
        make = RowReveal.of if kind == _ROW else CopyReveal.of
        reveal = make(slot, self.session)
        self._reveal = (slot, slot.index, reveal)
        return reveal

    def _look_up(self, slot: Slot, reveal: Reveal, chunk: bytes) -> object:
        """Find the tokens, see what may be shown, and put the values in; held while something must be waited for."""
        session = self.session
        found = reveal.find(chunk)
        if not found[0]:
            return reveal.unchanged(chunk)
        if slot.budget is None:
            slot.budget = StatementBudget()
        spent = spend(session, slot.budget, slot.fingerprint, found)
        if isinstance(spent, ErrorReport):
            return self._give_up(slot, reveal, chunk, spent)

        def answered(answer: object) -> None:
            if answer:
                self._out.append(answer)  # type: ignore[arg-type]
            self.resume()

        def failed(report: ErrorReport) -> None:
            answer = self._give_up(slot, reveal, chunk, report)
            if answer is _HELD:
                self._say_last()
                self._caught_up()
            else:
                answered(answer)

        self.block()
        open_tokens(session, spent, reveal, chunk, answered, failed)
        return _HELD

    def _give_up(self, slot: Slot, reveal: Reveal, chunk: bytes, report: ErrorReport) -> object:
        """Nothing can be shown: an answer is cut off; a report of the server is worth more than ours, and goes as it is."""
        if isinstance(reveal, FailureReveal):
            return reveal.unchanged(chunk)
        return self._cut_off(slot, report)

    def _cut_off(self, slot: Slot, report: ErrorReport) -> object:
        """End an answer in the middle: the client gets the error, the server a cancel, and nothing more flows."""
        session, client = self.session, self.client
        self._dropping = True
        slot.failed = True
        if slot.step is not Step.QUERY:
            self._abandon_batch(cut_off=True)
        else:
            doubts.cut_off(session, slot)
        self._last = report.encode()
        self.block()
        expect = session.expect
        if not expect:
            # The batch is still open: what it did before the answer must not be committed by its Sync.
            session.effects.to_server(messages.Parse(injected.NAME, injected.FAILING).build())
        if len(expect) > 1 or client.blocked:
            # A cancel might meet a later statement instead (protocol section 55.2.8): the answer is read to its end.
            client.later(self.unblock)
            return _HELD
        client.block()

        def done(result: object, error: Exception | None) -> None:
            self.unblock()
            client.unblock()

        session.effects.start(Cancel(), done)
        return _HELD

    def _say_last(self) -> None:
        """The error that ends an answer, behind all that came before it."""
        if self._last:
            self._out.append(self._last)
            self._last = b""
            self._flush()
