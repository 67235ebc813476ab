"""A gateway process in ``mode: observe``: the shared state, the catalog as it would be, and the report.

It needs neither keys nor a vault: nothing is protected yet. Where columns hold tokens already it does not run, since clients
would be shown tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pgnym.config.errors import ConfigError
from pgnym.config.model import Config
from pgnym.gateway import readiness
from pgnym.gateway.catalogs import FAILURES, Catalogs, Connect, read_rows, signatures_of
from pgnym.gateway.engine import Engine
from pgnym.gateway.login import LoginRefused
from pgnym.gateway.observed import ObservedClientFlow, ObservedServerFlow, Watcher
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.runtime import Runtime
from pgnym.gateway.search_paths import effective_path, login_schemas
from pgnym.gateway.session import Actor, Session
from pgnym.gateway.shapes import Shapes
from pgnym.metrics.counts import Counts
from pgnym.sql.catalog import Catalog
from pgnym.sql.load import CatalogRows
from pgnym.sql.signing import with_signatures

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    from pgnym.gateway.connection import ClientConnection

_LOG = logging.getLogger("pgnym.observe")
_REFUSED = "gateway.mode is observe, but columns are protected already"
_HINT = "Use `mode: enforce`; or take protection away by `pgnym undo`."


class Projection(Protocol):
    """The catalog's rows with the configuration applied. ``present``: columns that are protected already."""

    @property
    def rows(self) -> CatalogRows:
        """The rows."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Columns that can't be protected, and why."""


Project = Callable[[Config, CatalogRows], Projection]
"""``onboard.projecting.project``. Passed in, since the onboard room stands above this one."""


class ObservedCatalogs(Catalogs):
    """The snapshot as it would be. ``protected``: constraints of protection that are there already."""

    def __init__(self, connect: Connect, config: Config, project: Project) -> None:
        super().__init__(connect, connect, signatures_of(config))
        self._config = config
        self._project = project
        self.problems: tuple[str, ...] = ()
        self.protected: tuple[str, ...] = ()
        self.on_catalog: Callable[[Catalog], None] = lambda _: None
        """Called with a snapshot in which relations differ from the one before."""

    async def _read(self, connection: Connection[Record], epoch: int) -> Catalog:
        rows = await read_rows(connection, None)
        projection = self._project(self._config, rows)
        self.problems = projection.problems
        before = self.protected
        self.protected = tuple(sorted({check[1] for check in rows.checks}))
        catalog = with_signatures(projection.rows.build(epoch), self._signatures)
        if self.protected and not before:
            _LOG.error("columns have come to be protected: %s", _REFUSED)
            self.on_protection()
        if _lasting(catalog) != _lasting(self.current.catalog):
            self.on_catalog(catalog)
        return catalog

    async def schemas(self, user: str) -> tuple[str, frozenset[str]]:
        """The search_path setting of a new session of ``user``, and the schemas that it may use.

        Raises ``GatewayError`` 08006 if the database can't be asked.
        """
        try:
            async with self._lock:
                return await login_schemas(await self._ready(), user)
        except FAILURES as error:
            self._drop()
            raise GatewayError("08006", f"the catalog can't be read ({type(error).__name__})") from error


def _lasting(catalog: Catalog) -> dict[tuple[str, str], object]:
    """What is not of one session alone: temporary tables come and go, and concern nobody else."""
    return {key: r for key, r in catalog.relations.items() if not key[0].startswith("pg_temp_")}


@dataclass(slots=True)
class Observed:
    """What all sessions count together."""

    catalogs: ObservedCatalogs
    shapes: Shapes
    metrics: Counts
    seen: int = 0
    unconcerned: int = 0
    not_followed: int = 0

    @property
    def engine(self) -> Engine:
        """The newest engine."""
        return self.catalogs.current


class NoVault:
    """Stands for the vault of a session that never tokenizes or reveals."""

    def token(self, prefix: bytes, identity: bytes) -> bytes:
        """Never called."""
        raise AssertionError("an observing gateway tokenizes nothing")

    def random_token(self, prefix: bytes) -> bytes:
        """Never called."""
        raise AssertionError("an observing gateway tokenizes nothing")

    def cached(self, token: bytes) -> bytes | None:
        """Never called."""
        raise AssertionError("an observing gateway reveals nothing")


@dataclass(slots=True, kw_only=True)
class ObservedSession(Session):
    """``watcher`` reads along; None where the database is not the one to be protected."""

    watcher: Watcher | None


class ObservingRuntime(Runtime):
    """The shared state of an observing process."""

    def __init__(self, config: Config, catalogs: ObservedCatalogs) -> None:
        super().__init__(config, catalogs)
        self.observed = Observed(catalogs, Shapes(self.policy), self.counts)
        self._since = datetime.now(UTC)
        self._writer: asyncio.Task[None] | None = None
        self._failing = False
        catalogs.on_catalog = self.observed.shapes.catalog_changed

    @property
    def sealed(self) -> bool:
        """There is nothing to unseal."""
        return False

    @property
    def state(self) -> str:
        """In one word, for the ready line."""
        return "observing"

    async def start(self) -> None:
        """Read the catalog, begin to judge and to write reports. Raises ``ConfigError`` and ``GatewayError``."""
        catalogs = self.observed.catalogs
        await catalogs.start()
        if catalogs.protected:
            raise ConfigError("gateway.mode", f"observe, but the database has {catalogs.protected[0]}", _HINT)
        for problem in catalogs.problems:
            _LOG.warning("%s", problem)
        self.observed.shapes.start()
        try:
            self._write_report()
        except OSError as error:
            raise ConfigError("observe.report_file", f"can't be written: {error.strerror}") from error
        self._writer = asyncio.get_running_loop().create_task(self._write_now_and_then())

    async def session(
        self, actor: Actor, connection: ClientConnection, settings: Mapping[str, str]
    ) -> Session:
        """A session that is passed through. Raises ``LoginRefused``, and ``GatewayError`` as ``Catalogs.refresh``."""
        self.admit()
        catalogs = self.observed.catalogs
        watcher = None
        if actor.database == self.config.upstream.database:
            if catalogs.protected:
                raise LoginRefused("55000", _REFUSED, hint=_HINT)
            setting, usable = await catalogs.schemas(actor.user)
            path = effective_path(settings.get("search_path", setting), actor.user, usable)
            watcher = Watcher(self.observed, actor.user, settings.get("pgnym.purpose"), path, usable)
        return ObservedSession(
            effects=connection,
            engines=catalogs,
            vault=NoVault(),
            role=self.policy.for_user(actor.user),
            masker=self.policy.masker,
            validation=self.policy.validation,
            roles=self.policy.for_user,
            purse=self.purse,
            actor=actor,
            watcher=watcher,
        )

    def flows(self, session: Session) -> tuple[ObservedClientFlow, ObservedServerFlow]:
        """Both directions of a session."""
        assert isinstance(session, ObservedSession)
        return ObservedClientFlow(session, session.watcher), ObservedServerFlow(session)

    def hang_up(self) -> None:
        """SIGHUP: write a report now."""
        self._write_safely()

    async def close(self) -> None:
        """Judge what waits, write the last report, and end."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await asyncio.to_thread(self.observed.shapes.close)
        if self._writer is not None:
            self._write_safely()
        await super().close()

    # -- reports ---------------------------------------------------------------------------------------

    def report(self) -> readiness.Report:
        """What has been seen so far."""
        observed = self.observed
        return readiness.compiled(
            database=self.config.upstream.database,
            since=self._since,
            columns=[column.name for column in self.config.columns()],
            problems=observed.catalogs.problems,
            seen=observed.seen,
            unconcerned=observed.unconcerned,
            not_followed=observed.not_followed,
            dropped=observed.shapes.dropped,
            found=observed.shapes.all_seen(),
        )

    def _write_report(self) -> None:
        readiness.write(self.report(), Path(self.config.observe.report_file))

    def _write_safely(self) -> None:
        try:
            self._write_report()
        except OSError as error:
            if not self._failing:
                _LOG.error("observe.report_file can't be written: %s", error.strerror)
            self._failing = True
        else:
            self._failing = False

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.config.observe.every)
            self._write_safely()
