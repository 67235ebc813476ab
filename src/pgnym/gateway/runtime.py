"""What all sessions of one gateway process share: configuration, policy, vault, audit log, catalog, connections."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pgnym.audit.log import AuditLog
from pgnym.audit.records import AuditRecord
from pgnym.config.model import Config
from pgnym.gateway.audit_keeper import AuditKeeper
from pgnym.gateway.audit_sender import AuditSender
from pgnym.gateway.catalogs import Catalogs
from pgnym.gateway.client_flow import ClientFlow
from pgnym.gateway.connection import ClientConnection, Inward, Outward
from pgnym.gateway.consenting import RESTRICTED, WITHHELD, Consents, Guard, Values, records
from pgnym.gateway.effects import Question
from pgnym.gateway.engine import Engine
from pgnym.gateway.halting import Halt
from pgnym.gateway.login import LoginRefused
from pgnym.gateway.metering import Meter
from pgnym.gateway.purse import Purse
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.resolver import Resolver, with_findings
from pgnym.gateway.server_flow import ServerFlow
from pgnym.gateway.session import Actor, Session
from pgnym.gateway.upstream import Connector, send_cancel
from pgnym.gateway.verifiers import Verifiers
from pgnym.metrics.counts import Counts
from pgnym.metrics.snapshots import Measures
from pgnym.policy.budget import Pool
from pgnym.policy.roles import Policy
from pgnym.sql.catalog import Catalog
from pgnym.vault.consents import Spoken, Subject
from pgnym.vault.errors import VaultError
from pgnym.vault.indexes import IndexesChanged
from pgnym.vault.store import TenantVault, Vault
from pgnym.wire.startup import BackendKeyData, CancelRequest

if TYPE_CHECKING:
    from pgnym.gateway.sealing import Sealing

_MOST_POSTED = 10_000


@dataclass(frozen=True, slots=True)
class Unprotected:
    """The engine for databases other than the protected one: nothing there concerns the gateway."""

    current: Engine

    def within(self, snapshot: bytes) -> Engine:
        """Nothing in a transaction does, either."""
        return self.current


class Runtime:
    """One gateway process. ``vault`` and ``audit`` are None while it is sealed."""

    def __init__(
        self, config: Config, catalogs: Catalogs, pools: Callable[[str, str], Pool] | None = None
    ) -> None:
        self.config = config
        self.connector = Connector(config.upstream)
        self.catalogs = catalogs
        catalogs.on_protection = self.protection_changed
        self.policy = Policy(config)
        self.purse = Purse(pools, lambda: self.vault)
        self.resolver = Resolver()
        self.consents = Consents()
        self.vault: Vault | None = None
        self.audit: AuditLog | None = None
        self.audit_keeper: AuditKeeper | None = None
        self.audit_sender: AuditSender | None = None
        self.sealing: Sealing | None = None
        self.verifiers: Verifiers | None = None
        self.end_point: bytes | None = None  # channel binding data of the gateway's own certificate
        self.connections: set[ClientConnection] = set()
        self.halt = Halt(self.connections)
        self.draining = False
        self.log = logging.getLogger("pgnym.gateway")
        self._keys: dict[tuple[int, bytes], ClientConnection] = {}
        self._unprotected = Unprotected(Engine(Catalog(epoch=0)))
        self._posted: set[asyncio.Task[None]] = set()
        self.unwritten = 0  # audit records
        self.counts = Counts()
        self.meter = Meter(self)

    @property
    def sealed(self) -> bool:
        """Whether the master key is missing."""
        return self.vault is None

    @property
    def state(self) -> str:
        """In one word, for the ready line."""
        return "sealed" if self.sealed else "unsealed"

    def measures(self) -> Measures:
        """The numbers of all workers."""
        return self.meter.measures()

    def hang_up(self) -> None:
        """SIGHUP has come."""

    # -- sessions --------------------------------------------------------------------------------------

    async def session(
        self, actor: Actor, connection: ClientConnection, settings: Mapping[str, str]
    ) -> Session:
        """A session for a client that is about to log in. ``settings``: those that its start-up packet names.

        Raises ``LoginRefused`` and ``VaultError``.
        """
        self.admit()
        if self.vault is None:
            raise LoginRefused(
                "57P03",
                "the gateway is sealed",
                hint="Unseal it by the admin endpoint, or restart it with keys.master_key_file or PGNYM_MASTER_KEY.",
            )
        protected = actor.database == self.config.upstream.database
        vault, restrictions = await self.vault.tenant(actor.tenant), self.consents.restrictions
        return Session(
            effects=connection,
            engines=self.catalogs if protected else self._unprotected,
            vault=vault,
            role=self.policy.for_user(actor.user),
            roles=self.policy.for_user,
            masker=self.policy.masker,
            validation=self.policy.validation,
            purse=self.purse,
            actor=actor,
            counts=self.counts,
            unrestricted=None if restrictions is None else partial(restrictions.quiet, vault),
        )

    def admit(self) -> None:
        """Raise ``LoginRefused`` unless one more session may begin."""
        if self.draining:
            raise LoginRefused("57P01", "the gateway is shutting down")
        if len(self.connections) > self.config.gateway.max_connections:
            raise LoginRefused(
                "53300",
                "too many connections to the gateway",
                hint="Raise gateway.max_connections, or close idle connections.",
            )

    def flows(self, session: Session) -> tuple[Inward, Outward]:
        """Both directions of a session: from the client, and from the server."""
        inward = ClientFlow(session)
        return inward, ServerFlow(session, inward)

    def remember_key(self, key: BackendKeyData, connection: ClientConnection) -> None:
        """A session's cancel key: cancels are passed on with it, unchanged, so any gateway can pass them."""
        self._keys[key.pid, key.key] = connection

    def forget_key(self, key: BackendKeyData) -> None:
        """The session has ended."""
        self._keys.pop((key.pid, key.key), None)

    async def cancel(self, request: CancelRequest) -> None:
        """Pass a cancel request on, but never while the server runs a statement of the gateway's own."""
        connection = self._keys.get((request.pid, request.key))
        session = connection.session if connection is not None else None
        if session is not None and session.injected:
            answered = asyncio.Event()
            session.waiters.append(answered.set)
            await answered.wait()
        await send_cancel(self.connector, request.build())

    # -- work for sessions -----------------------------------------------------------------------------

    def record_only(self, record: AuditRecord, done: Callable[[None, BaseException | None], None]) -> bool:
        """Write an audit record and call back; False where ``look_up`` must be used. Spares a task for each reveal."""
        return self.audit is not None and self.audit.submit(record, done)

    async def look_up(
        self,
        tenant: str,
        tokens: Collection[bytes],
        record: AuditRecord | None,
        guard: Guard | None = None,
    ) -> Mapping[bytes, bytes]:
        """Values of tokens, given out only once the record is written. Raises ``VaultError``."""
        vault, audit = self._opened()
        if guard is not None:
            return await self._guarded(vault, tenant, tokens, record, guard)
        if not tokens:
            if record is not None:
                await audit.write(record)
            return {}
        found = (await vault.tenant(tenant)).get(tokens)
        if record is None:
            return await found
        written, values = await asyncio.gather(audit.write(record), found, return_exceptions=True)
        for outcome in (written, values):
            if isinstance(outcome, BaseException):
                raise outcome
        assert isinstance(values, Mapping)
        return values

    async def _guarded(
        self, vault: Vault, tenant: str, tokens: Collection[bytes], record: AuditRecord | None, guard: Guard
    ) -> Values:
        own = await vault.tenant(tenant)
        restricted = await self.consents.restricted(vault, own, guard)
        withheld = await self.consents.withheld(vault, own, guard) - restricted
        hidden = restricted
        shown = record
        if guard.held is not None:
            shown = await self._denied(shown, restricted, restricted, guard.held.domains, RESTRICTED)
        if guard.guarded is not None:
            only = withheld & guard.guarded.only
            hidden |= only
            shown = await self._denied(shown, only, withheld, guard.guarded.domains, WITHHELD)
        values = Values(await self.look_up(tenant, [t for t in tokens if t not in hidden], shown))
        values.withheld, values.restricted = withheld, restricted
        return values

    async def _denied(
        self,
        record: AuditRecord | None,
        hidden: frozenset[bytes],
        withheld: frozenset[bytes],
        domains: Mapping[bytes, str],
        why: str,
    ) -> AuditRecord | None:
        """Write down what isn't shown, and why; what is left to be written of what is."""
        if record is None:
            return None
        shown, denied = records(record, hidden, withheld, domains, why)
        if denied is not None:
            self.counts.refused("42501")
            await self._opened()[1].write(denied)
        return shown

    async def spoken(self, tenant: TenantVault, subject: Subject) -> Sequence[Spoken]:
        """What stands for values of a subject, by which consent may have been told. Raises ``VaultError``."""
        found = await self.consents.spoken(self._opened()[0], tenant, [subject])
        return found.get(subject, [])

    async def store(self, tenant: str, values: Mapping[bytes, bytes], record: AuditRecord | None) -> None:
        """Put values, and their record. Raises ``VaultError``; then nothing may be sent upstream."""
        vault, audit = self._opened()
        put = (await vault.tenant(tenant)).put(values)
        if record is None:
            await put
            return
        for outcome in await asyncio.gather(audit.write(record), put, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def resolve(
        self, tenant: str, questions: Collection[Question], record: AuditRecord
    ) -> tuple[bytes, ...]:
        """Answers to questions about the values of domains, given out only once the record is written.

        Raises ``VaultError``, ``GatewayError`` 54000 over a bound and 40001 where an index isn't there any more, and
        ``EvaluationError`` as PostgreSQL would have it.
        """
        vault, audit = self._opened()
        values = await vault.tenant(tenant)
        try:
            answers = await self.resolver.answers(tenant, values, questions)
        except IndexesChanged:
            # What is planned from now on goes without an order index that is being filled anew.
            await self.catalogs.refresh()
            message = "the order index of a column has been taken away since the statement was planned"
            raise GatewayError("40001", message, hint="Try again.") from None
        await audit.write(with_findings(record, questions, answers))
        return tuple(answer.text for answer in answers)

    def post(self, record: AuditRecord) -> None:
        """Write a record that nothing waits for. What can't be written is counted and logged, never lost silently."""
        if self.audit is None or len(self._posted) >= _MOST_POSTED:
            self.unwritten += 1
            self.log.error("%d audit records of searches or refusals could not be written", self.unwritten)
            return
        task = asyncio.get_running_loop().create_task(self._write(self.audit, record))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def _write(self, audit: AuditLog, record: AuditRecord) -> None:
        try:
            await audit.write(record)
        except VaultError as error:
            self.unwritten += 1
            self.log.error(
                "an audit record (%s) could not be written: %s", record.action.value, error.message
            )

    def _opened(self) -> tuple[Vault, AuditLog]:
        if self.vault is None or self.audit is None:
            raise VaultError("the gateway has been sealed", hint="Unseal it and connect again.")
        return self.vault, self.audit

    def protection_changed(self) -> None:
        """Columns have come to be protected, or are no longer: statements that sessions prepared before are planned wrongly.

        Which of them is not known (what concerned nobody was not looked at), so the sessions end, each once its transaction
        is over, as they do when a server is restarted.
        """
        if self.consents.by_value is not None:
            self.consents.by_value.forget()
        self.log.info("protection has changed: %d sessions will end", len(self.connections))
        for connection in list(self.connections):
            connection.drain()

    def end_sessions(self) -> None:
        """End every session now, those that are idle with the server's own words for it."""
        for connection in list(self.connections):
            connection.drain()
            connection.close("sealed")

    # -- the end ---------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Let transactions finish, then end every session; after ``seconds`` end what is left."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            self._all_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_gone], timeout=seconds)
        for connection in list(self.connections):
            connection.close_now()

    _all_gone: asyncio.Future[None] | None = None

    def disconnected(self, connection: ClientConnection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self.halt.noted()
        gone = self._all_gone
        if not self.connections and gone is not None and not gone.done():
            gone.set_result(None)

    async def close(self) -> None:
        """End what is shared. Raises ``AuditUnavailable`` if records could not be written."""
        self.meter.stop()
        await self.catalogs.close()
        await self.purse.close()
        await self.consents.close()
        if self.verifiers is not None:
            self.verifiers.close()
        if self._posted:
            await asyncio.wait(self._posted, timeout=10)
        try:
            if self.audit_keeper is not None:
                await self.audit_keeper.stop()
            if self.audit is not None:
                await self.audit.close()
            if self.audit_sender is not None:
                await self.audit_sender.stop()
        finally:
            if self.vault is not None:
                await self.vault.close()

    def log_defect(self, error: Exception) -> None:
        """Log where an unexpected error happened, without its text: that could hold a value."""
        places = traceback.extract_tb(error.__traceback__)
        where = " < ".join(
            f"{p.filename.rsplit('/', 1)[-1]}:{p.lineno} {p.name}" for p in reversed(places[-6:])
        )
        self.log.error("internal error %s at %s", type(error).__name__, where)
