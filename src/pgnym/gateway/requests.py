"""Query and the extended-query messages where they concern the gateway: planned, tokenized, sent, replies expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pgnym.gateway import doubts, injected
from pgnym.gateway.deferred import with_parameters
from pgnym.gateway.drafts import answer_oid
from pgnym.gateway.planning import Planned, Planning, Refusal
from pgnym.gateway.questions import Parameters, ask
from pgnym.gateway.reports import ErrorReport, GatewayError, report_of
from pgnym.gateway.retrying import MOST, is_repeatable
from pgnym.gateway.slots import QUERY, Change, Portal, Prepared, Slot, Step
from pgnym.gateway.tokenize import bind_values, check_encoding, with_answers
from pgnym.policy.budget import StatementBudget
from pgnym.sql.plan import Lookup, StatementPlan
from pgnym.sql.words import Mention
from pgnym.wire import messages
from pgnym.wire.frames import Frontend
from pgnym.wire.frontend import bind_result_formats

if TYPE_CHECKING:
    from pgnym.gateway.client_flow import ClientFlow

ALL_ROWS = bytes(4)  # the row limit of an Execute without one


class Requests:
    """Handles the messages that ``ClientFlow`` did not let pass. Each method says whether the message is consumed."""

    def __init__(self, flow: ClientFlow) -> None:
        self._flow = flow
        self._session = flow.session
        self._planning = Planning(flow)
        self._handlers: dict[int, Callable[[bytes], bool]] = {
            Frontend.PARSE: self._parse,
            Frontend.BIND: self._bind,
            Frontend.DESCRIBE: self._describe,
            Frontend.EXECUTE: self._execute,
            Frontend.CLOSE: self._close,
        }

    def extended(self, kind: int, message: bytes) -> bool:
        """Parse, Bind, Describe, Execute or Close. Raises ``ProtocolViolation``."""
        return self._handlers[kind](message)

    def look_again(self, message: bytes) -> bool:
        """Whether the catalog has to be read, and is being read, before a batch that a Parse begins."""
        session = self._session
        if not session.stale and not session.catalog_touched:
            return False
        return self._planning.look_again(session.engine.flags(messages.Parse.parse(message).text, session))

    # -- simple query ----------------------------------------------------------------------------------

    def query(self, message: bytes) -> bool:
        """Query. Raises ``ProtocolViolation``."""
        session, flow = self._session, self._flow
        text = messages.Query.parse(message).text
        flags = session.engine.flags(text, session)
        outcome = self._planning.plan(text, (), flags, simple=True)
        if outcome is False:
            return False
        if outcome is True:
            session.note(flags)
            session.counts.unprotected += 1
            session.expect.append(Slot(Step.QUERY) if session.stale else QUERY)
            session.effects.to_server(message)
        elif isinstance(outcome, Refusal):
            flow.refusing.query(outcome.report, in_batch=session.tracked)
        else:
            self._send_query(text, outcome, flags)
        return True

    def _send_query(self, text: bytes, planned: Planned, flags: int) -> None:
        flow, rewrite, in_batch = self._flow, planned.rewrite, self._session.tracked

        def refuse(report: ErrorReport) -> None:
            flow.refusing.query(report, in_batch=in_batch)

        def stored() -> None:
            self._session.counts.protected += 1
            self._ask_and_send(text, planned, flags, refuse, tries=0 if in_batch else MOST)

        flow.store(planned.tokens, rewrite.fingerprint, stored, refuse)

    def _ask_and_send(
        self,
        text: bytes,
        planned: Planned,
        flags: int,
        refuse: Callable[[ErrorReport], None],
        *,
        tries: int,
        described: bool = False,
    ) -> None:
        session, flow, rewrite = self._session, self._flow, planned.rewrite
        plans = tuple(reply for plan in rewrite.statements for reply in plan.replies)
        slot = Slot(Step.QUERY, plans, rewrite.fingerprint, text=text, described=described)
        if tries and is_repeatable(plans, planned.draft.lookups):

            def again(failed: Slot) -> None:
                self._ask_and_send(text, planned, flags, refuse, tries=tries - 1, described=failed.described)

            slot.again = again

        def send(answers: tuple[bytes, ...]) -> None:
            if flow.refusing.discarding:
                return
            sent = planned.draft.with_answers(answers)
            slot.sent_text, slot.positions = sent.text, sent.positions
            session.note(flags)
            for plan in slot.plans:
                self._expect_changes(plan)
            session.expect.append(slot)
            session.effects.to_server(messages.Query(sent.text).build())
            flow.await_copy(slot)

        flow.resolve(planned.questions, rewrite.fingerprint, send, refuse)

    def _expect_changes(self, plan: StatementPlan) -> None:
        """Note what a statement that is about to be sent will change when the server gets there."""
        session = self._session
        if plan.effect is not None:
            session.naming += 1
        if plan.catalog_change:
            session.catalog_touched = session.stale = True

    # -- extended query --------------------------------------------------------------------------------

    def _relay(self, message: bytes, slot: Slot) -> bool:
        self._session.expect.append(slot)
        self._session.effects.to_server(message)
        return True

    def _parse(self, message: bytes) -> bool:
        session = self._session
        parse = messages.Parse.parse(message)
        known = session.prepared.get(parse.name) if parse.name else None
        if known is not None and not known.foreign and session.expect:
            session.effects.to_server(
                messages.FLUSH
            )  # what is under way may have freed the name, or not made it
            self._flow.await_drain()
            return False
        if parse.name and self._in_doubt(parse.name):
            return False
        flags = session.engine.flags(parse.text, session)
        concerned = flags or session.stale
        outcome = self._planning.plan(parse.text, parse.oids, flags, simple=False) if concerned else True
        if outcome is False:
            return False
        if isinstance(outcome, Refusal):
            self._flow.refusing.step(outcome.report, Step.PARSE)
            return True
        if isinstance(outcome, Planned):
            self._parse_planned(parse, outcome, flags)
            return True
        session.note(flags)
        if flags & Mention.SETTINGS:
            # Executed again, it changes settings again: then the session's scope must be asked for anew.
            prepared = Prepared(StatementPlan("SET"), parse.oids, "", changes_settings=True)
            change = Change(session.prepared, parse.name, prepared).make()
        else:
            change = doubts.given_away(session, parse.name, parse.oids)
        self._relay(message, Slot(Step.PARSE, change=change))
        self._await_name(change)
        return True

    def _in_doubt(self, name: bytes) -> bool:
        """Whether a request of an earlier batch that changes the name is under way; if so, blocks until it is answered.

        Where all has been answered but that, since the batch's answer was cut off, the name is freed.
        """
        session = self._session
        prepared = session.prepared.get(name)
        if prepared is None or not doubts.is_in_doubt(session, prepared):
            return False
        if session.expect:
            session.effects.to_server(messages.FLUSH)
            self._flow.await_drain()
            return True
        doubts.close(session, name)
        return False

    def _await_name(self, change: Change) -> None:
        """A name that is taken: which of the two statements later messages mean depends on the server's answer."""
        old = change.old
        if change.name and old is not None and not (isinstance(old, Prepared) and old.foreign):
            self._session.effects.to_server(messages.FLUSH)
            self._flow.await_drain()

    def _parse_planned(self, parse: messages.Parse, planned: Planned, flags: int) -> None:
        session, flow = self._session, self._flow
        rewrite, lookups = planned.rewrite, planned.draft.lookups
        plan = rewrite.statements[0] if rewrite.statements else StatementPlan("")
        plan = replace(plan, lookups=lookups) if lookups else plan
        sent = planned.draft.with_parameters(1 + len(plan.parameters or ()))
        prepared = Prepared(
            plan,
            parse.oids,
            rewrite.fingerprint,
            literals=planned.tokens.values,
            fixed=planned.tokens.keyed,
            changes_settings=bool(flags & Mention.SETTINGS),
            lookups=lookups,
        )
        slot = Slot(
            Step.PARSE, (plan,), rewrite.fingerprint, sent.positions, text=parse.text, sent_text=sent.text
        )
        oids = sent_oids(plan, parse.oids, lookups)

        def send() -> None:
            if flow.refusing.discarding:
                return
            session.note(flags)
            prepared.parsed_in = session.cycle
            slot.change = Change(session.prepared, parse.name, prepared).make()
            session.expect.append(slot)
            session.effects.to_server(messages.Parse(parse.name, sent.text, oids).build())
            self._await_name(slot.change)

        flow.store(
            planned.tokens, rewrite.fingerprint, send, lambda report: flow.refusing.step(report, Step.PARSE)
        )

    def _bind(self, message: bytes) -> bool:
        session, flow = self._session, self._flow
        portal_end = message.find(0, 5)
        statement_end = message.find(0, portal_end + 1)
        portal, statement = message[5:portal_end], message[portal_end + 1 : statement_end]
        readable = 5 <= portal_end < statement_end
        if readable and self._in_doubt(statement):
            return False
        prepared = session.prepared.get(statement) if readable else None
        if prepared is None or prepared.foreign:
            # Not ours: what may be wrong with it is for the server to say.
            return self._relay(message, Slot(Step.BIND, change=Change(session.portals, portal, None).make()))
        if prepared.outdated:
            report = ErrorReport("26000", "the unnamed statement must be parsed again: tokens are others now")
            flow.refusing.step(report, Step.BIND)
            return True
        plan = prepared.plan
        if plan.outputs or plan.parameters or prepared.lookups:
            # Its rights are looked at again: since it was prepared the role or purpose may have changed.
            known = self._planning.scope_is_known()
            if known is False:
                return False
            if isinstance(known, Refusal):
                flow.refusing.step(known.report, Step.BIND)
                return True
            try:
                check_encoding(session)
            except GatewayError as error:
                flow.refusing.step(error.report, Step.BIND)
                return True
        if plan.parameters is None and not prepared.literals and not prepared.lookups:
            # Nothing in it becomes a token; only the formats that results will have are of interest.
            result_formats = bind_result_formats(message, statement_end + 1)
            change = Change(session.portals, portal, Portal(prepared, result_formats)).make()
            return self._relay(message, Slot(Step.BIND, (plan,), prepared.fingerprint, change=change))
        bind = messages.Bind.parse(message)
        try:
            sent, tokens = bind_values(prepared, bind, session)
            parameters = Parameters(bind, prepared.declared, session)
            questions = ask(prepared.lookups, session, parameters)
            if plan.deferred:
                plan = with_parameters(plan, parameters.value)
        except Exception as error:
            flow.refusing.step(report_of(error), Step.BIND)
            return True
        tokens.values.update(prepared.literals)
        if plan is not prepared.plan:
            prepared = replace(prepared, plan=plan)
        slot = Slot(Step.BIND, (prepared.plan,), prepared.fingerprint)

        def refuse(report: ErrorReport) -> None:
            flow.refusing.step(report, Step.BIND)

        def send(answers: tuple[bytes, ...]) -> None:
            if flow.refusing.discarding:
                return
            made = Portal(prepared, bind.result_formats)
            if is_repeatable((prepared.plan,), prepared.lookups):
                made.again = again
            slot.change = Change(session.portals, bind.portal, made).make()
            session.expect.append(slot)
            session.effects.to_server(message if sent is bind else with_answers(sent, answers).build())

        def again(executing: bytes, tries: int) -> None:
            def send_again(answers: tuple[bytes, ...]) -> None:
                executed = Slot(
                    Step.EXECUTE, (prepared.plan,), prepared.fingerprint, formats=bind.result_formats
                )
                if tries:
                    executed.again = lambda _: again(executing, tries - 1)
                session.expect.extend((Slot(Step.BIND, swallow=True), executed, Slot(Step.SYNC)))
                bound = with_answers(sent, answers).build()
                session.effects.to_server(bound + executing + messages.SYNC)

            flow.resolve(questions, prepared.fingerprint, send_again, flow.refusing.query)

        def stored() -> None:
            flow.resolve(questions, prepared.fingerprint, send, refuse)

        flow.store(tokens, prepared.fingerprint, stored, refuse)
        return True

    def _describe(self, message: bytes) -> bool:
        session = self._session
        name = message[6:-1]  # a name that is malformed is not ours, and for the server to judge
        if message[5:6] == b"S":
            if self._in_doubt(name):
                return False
            prepared = session.prepared.get(name)
            if prepared is not None and prepared.foreign:
                prepared = None
            plans = (prepared.plan,) if prepared else ()
            return self._relay(message, Slot(Step.DESCRIBE_STATEMENT, plans, parameters=prepared))
        portal = session.portal(name)
        if portal is None:
            return self._relay(message, Slot(Step.DESCRIBE_PORTAL))
        slot = Slot(Step.DESCRIBE_PORTAL, (portal.prepared.plan,), formats=portal.formats)
        return self._relay(message, slot)

    def _execute(self, message: bytes) -> bool:
        session = self._session
        portal = session.portal(message[5:-5])
        if portal is not None and portal.prepared.plan.outputs:
            known = self._planning.scope_is_known()
            if known is False:
                return False
            if isinstance(known, Refusal):
                self._flow.refusing.step(known.report, Step.EXECUTE)
                return True
        executed, session.executed = session.executed, True
        if portal is None:
            session.counts.unprotected += 1
            return self._relay(message, Slot(Step.EXECUTE))
        prepared = portal.prepared
        if prepared.changes_settings:
            session.note(Mention.SETTINGS)
        if prepared.plan.command == "SET":
            session.counts.unprotected += 1
        else:
            session.counts.protected += 1
        slot = Slot(Step.EXECUTE, (prepared.plan,), prepared.fingerprint, formats=portal.formats)
        make_again = portal.again
        if make_again is not None and not executed:
            slot.again = lambda _: make_again(message, MOST - 1)
        if prepared.plan.outputs and message[-4:] != ALL_ROWS:
            if portal.budget is None:
                portal.budget = StatementBudget()
            slot.budget = portal.budget
        self._expect_changes(prepared.plan)
        self._relay(message, slot)
        for statement in prepared.plan.follow:
            injected.run(session, statement.encode())
        self._flow.await_copy(slot)
        return True

    def _close(self, message: bytes) -> bool:
        session = self._session
        target = messages.Close.parse(message)
        if target.kind == b"S":
            change = doubts.given_away(session, target.name)
        else:
            change = Change(session.portals, target.name, None).make()
        return self._relay(message, Slot(Step.CLOSE, change=change))


def sent_oids(plan: StatementPlan, declared: tuple[int, ...], lookups: tuple[Lookup, ...]) -> tuple[int, ...]:
    """The parameter types to name upstream: the client's own, but text where a token goes in, and those of answers."""
    sent = plan.sent_parameter_types or {}
    if plan.parameters is None:
        count = max([len(declared), *sent]) if sent else len(declared)
        own = [declared[i] if i < len(declared) else 0 for i in range(count)]
        return tuple(sent.get(i + 1, oid) for i, oid in enumerate(own))
    oids = []
    for index, parameter in enumerate(plan.parameters, 1):
        own_oid = declared[parameter.source - 1] if parameter.source <= len(declared) else 0
        oids.append(sent.get(index, own_oid))
    oids.extend(map(answer_oid, lookups))
    while oids and oids[-1] == 0:
        oids.pop()
    return tuple(oids)
