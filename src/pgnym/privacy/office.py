"""Where a gateway works on reports and erasures: connections of its own, and the role that it takes on.

The connection to the application's database has the settings that an application would have, for its triggers; pgnym's own
statements run under an empty search_path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor
from pgnym.config import Config
from pgnym.privacy import holders, subjects
from pgnym.privacy.access import Guise, acting, require
from pgnym.privacy.connectors.known import Known
from pgnym.privacy.erasing import Eraser
from pgnym.privacy.errors import PrivacyError, UnknownSubject
from pgnym.privacy.reporting import Element, Reporter
from pgnym.privacy.subjects import Place, tokens_of
from pgnym.vault.by_value import ByValue, Identity
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

MOST_ROWS = 50_000
"""Rows of one subject that a report over HTTP may have; it is built in memory."""
_AT_ONCE = 4
SETTINGS = {
    "application_name": "pgnym privacy",
    "statement_timeout": "100s",
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
}

_PATIENCE = {"statement_timeout": "1h", "idle_in_transaction_session_timeout": "1h"}


@dataclass(frozen=True, slots=True)
class Desk:
    """Two connections (one, where the vault is in the application's database), for one piece of work."""

    office: Office
    app: Connection
    store: Connection
    guise: Guise

    def reporter(self, tenant: TenantVault, log: AuditLog, actor: Actor, *, confined: bool) -> Reporter:
        """Reports. ``confined``: on rows of this tenant only."""
        at = self.office
        return Reporter(
            self.app,
            self.store,
            tenant,
            log,
            actor,
            at.identity,
            at.element,
            self.guise,
            confined,
            MOST_ROWS,
            at.connectors,
            at.by_value,
        )

    def eraser(self, tenant: TenantVault, log: AuditLog, actor: Actor) -> Eraser:
        """Erases."""
        at = self.office
        return Eraser(
            self.app,
            self.store,
            tenant,
            log,
            actor,
            at.config.privacy.settle,
            self.guise,
            at.connectors,
            at.by_value,
        )

    async def places(self, table: str | None) -> list[Place]:
        """The tables with rows of subjects of ``table``. Raises PrivacyError where not all rows could be seen."""
        config = self.office.config
        everywhere = await holders.holders(self.app, self.store)
        found = await subjects.places(self.app, config, subjects.root(config, table), everywhere)
        await require(self.app, self.guise, found, everywhere)
        return found

    async def tokens(self, places: Sequence[Place], subject: str) -> set[bytes]:
        """The tokens in all rows of a subject. Raises UnknownSubject if there is no row."""
        count, tokens = 0, set[bytes]()
        async with self.app.transaction(readonly=True), acting(self.app, self.guise):
            for place in places:
                rows, held = await tokens_of(self.app, place, subject)
                count += rows
                tokens |= held
        if not count:
            raise UnknownSubject(f"no row of {places[0].label} is of that subject")
        return tokens


@dataclass(frozen=True, slots=True)
class Office:
    """What a gateway needs for reports and erasures.

    ``connect`` opens a connection of the gateway's login to the application's database, with the settings given.
    ``connectors``: other systems to be asked as well.
    """

    config: Config
    connect: Callable[[dict[str, str]], Awaitable[Connection]]
    identity: Identity
    element: Element
    connectors: tuple[Known, ...] = ()
    by_value: ByValue = field(init=False)
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_value", ByValue(self.config.consent_by(), self.identity))

    @asynccontextmanager
    async def desk(self, vault: Vault, *, patient: bool = False) -> AsyncIterator[Desk]:
        """Connections, for the time of the block. Waits while others are at work. ``patient``: statements may take long.

        What the server refuses within comes out as PrivacyError, without its text: that may quote a row.
        """
        async with self._free:
            try:
                app = await self.connect(SETTINGS | (_PATIENCE if patient else {}))
                try:
                    path = await app.fetchval("SELECT pg_catalog.current_setting('search_path')")
                    await app.execute("SET search_path = ''")
                    guise = Guise(self.config.vault.privacy_role, path)
                    if self.config.vault.url is None:
                        yield Desk(self, app, app, guise)
                    else:
                        store = await vault.connector.connect()
                        # A transaction there may wait for what is asked of the application's database.
                        await store.execute("SET idle_in_transaction_session_timeout = '1h'")
                        try:
                            yield Desk(self, app, store, guise)
                        finally:
                            store.terminate()
                finally:
                    app.terminate()  # whatever it is at, nobody waits for it
            except asyncpg.PostgresError as error:
                raise told(error) from None
            except (OSError, asyncpg.InterfaceError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise PrivacyError("the protected database can't be reached") from None


def told(error: asyncpg.PostgresError, outcome: str = "; nothing was changed") -> PrivacyError:
    """What the server said, in words of our own. ``outcome``: what that means."""
    state = error.sqlstate or ""
    if state[:2] == "22":
        return UnknownSubject("that is no ID of a subject")
    if state == "42501":
        return PrivacyError(
            f"the role for reports and erasures lacks a right{outcome}",
            hint="Run `pgnym apply`. A trigger of the application that writes elsewhere must be SECURITY DEFINER.",
        )
    if state in ("55P03", "57014"):
        return PrivacyError(f"rows are in use, or it takes too long{outcome}", hint="Try again later.")
    return PrivacyError(f"the protected database refused it ({state}){outcome}")
