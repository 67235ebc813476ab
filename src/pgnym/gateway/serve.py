"""A gateway process, from configuration to clean end.

With one worker it runs in the calling process, with several in processes of their own (``supervisor.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from pgnym.audit.export import Exporter
from pgnym.audit.formats import cef, json_line
from pgnym.audit.log import AuditLog, Durability
from pgnym.audit.sinks import sink_for
from pgnym.config.address import Address
from pgnym.config.errors import ConfigError
from pgnym.config.model import Config, GatewayTls, Tls
from pgnym.config.secrets import master_key
from pgnym.gateway.audit_keeper import AuditKeeper
from pgnym.gateway.audit_sender import AuditSender
from pgnym.gateway.binding import end_point_of_file
from pgnym.gateway.catalogs import Catalogs, Connect, signatures_of
from pgnym.gateway.connection import ClientConnection
from pgnym.gateway.listener import Listener, bind, server_context
from pgnym.gateway.logins import upstream_login, vault_login
from pgnym.gateway.memory import forbid_core_files
from pgnym.gateway.observing import ObservedCatalogs, ObservingRuntime, Project
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.runtime import Runtime
from pgnym.gateway.sealing import Sealing
from pgnym.gateway.shared_pools import SharedPools
from pgnym.gateway.supervisor import FAILED, READY, SEALED, Supervisor, WorkerBus, frame
from pgnym.gateway.verifiers import Verifiers
from pgnym.metrics.shared import SharedSnapshots
from pgnym.policy.budget import Pool
from pgnym.semantics.folding import fold
from pgnym.vault.by_value import ByValue
from pgnym.vault.connection import Connector
from pgnym.vault.errors import VaultError
from pgnym.vault.keys import MasterKey
from pgnym.vault.links import Links
from pgnym.vault.orders import Codes
from pgnym.vault.restrictions import Restrictions
from pgnym.vault.store import Vault
from pgnym.wire.codecs import identity


class AdminServer(Protocol):
    """The admin endpoint, as the process that runs it sees it."""

    async def start(self) -> None:
        """Begin to serve."""

    async def close(self) -> None:
        """Stop, and end its connections."""


MakeAdmin = Callable[[Runtime, "list[socket.socket]", "ssl.SSLContext | None"], AdminServer]
"""Makes the admin endpoint of a runtime, on bound sockets. Passed in, since the admin room stands above this one."""

_LOG = logging.getLogger("pgnym.serve")


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound listeners, shared by all workers."""

    gateway: tuple[tuple[Address, socket.socket], ...]
    admin: tuple[tuple[Address, socket.socket], ...]

    @classmethod
    def bound(cls, config: Config) -> Sockets:
        """Bind all listeners of the configuration. Raises ``ConfigError`` naming the one that can't be bound."""
        return cls(_bind_all("gateway", config.gateway.addresses), _bind_all("admin", config.admin.addresses))

    def close(self) -> None:
        """Close them (a process that only supervises)."""
        for _, sock in (*self.gateway, *self.admin):
            sock.close()


def _bind_all(section: str, addresses: tuple[Address, ...]) -> tuple[tuple[Address, socket.socket], ...]:
    bound = []
    for address in addresses:
        try:
            bound.append((address, bind(address)))
        except OSError as error:
            raise ConfigError(
                f"{section}.listen",
                f"can't listen on {address}: {error.strerror}",
                "Is another process using it?",
            ) from error
    return tuple(bound)


def run(
    config: Config,
    make_admin: MakeAdmin,
    project: Project,
    workers: int | None = None,
    environment: Mapping[str, str] = os.environ,
    log_level: int = logging.INFO,
) -> int:
    """Serve until SIGTERM or SIGINT. ``workers`` overrides the configuration. Returns the exit code.

    ``project`` is for ``mode: observe``: the catalog as it would be.

    Raises ``ConfigError``, ``VaultError`` and ``GatewayError`` for what is wrong at start.
    """
    logging.basicConfig(
        stream=sys.stderr, level=log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    forbid_core_files()
    count = workers if workers is not None else config.gateway.workers
    observing = config.gateway.mode == "observe"
    if observing and count > 1:
        raise ConfigError("--workers", "mode: observe counts in one process", "use one worker")
    sockets = Sockets.bound(config)
    if count <= 1:
        starting = (
            start_observing(config, environment, project) if observing else start_runtime(config, environment)
        )
        asyncio.run(_serve(config, starting, sockets, make_admin, announce))
        return 0
    pools, snapshots = SharedPools(), SharedSnapshots(count)
    return Supervisor(
        count,
        lambda sock: _work(config, environment, sockets, make_admin, sock, pools, snapshots),
        lambda state: announce(sockets, state),
    ).run()


def announce(sockets: Sockets, state: str) -> None:
    """The ready line, on stderr."""
    gateway, admin = (_name(pairs[0][1]) for pairs in (sockets.gateway, sockets.admin))
    print(f"pgnym ready gateway={gateway} admin={admin} state={state}", file=sys.stderr, flush=True)


def _name(sock: socket.socket) -> str:
    address = sock.getsockname()
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _serve(
    config: Config,
    starting: Coroutine[None, None, Runtime],
    sockets: Sockets,
    make_admin: MakeAdmin,
    ready: Callable[[Sockets, str], None],
) -> None:
    runtime = await starting
    contexts = _contexts(config)
    _note_end_point(runtime, config)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: _unhandled(runtime, context))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listeners = [
        Listener(
            sock,
            lambda initial, peer, direct: ClientConnection(runtime, initial, peer, direct),
            context=contexts.gateway,
            tls_required=not address.local
            or (config.gateway.tls.client_ca is not None and address.path is None),
            timeout=config.gateway.login_timeout,
        )
        for address, sock in sockets.gateway
    ]
    admin = make_admin(runtime, [sock for _, sock in sockets.admin], contexts.admin)
    await admin.start()

    def hang_up() -> None:
        _reload_certificates(config, contexts)
        for listener in listeners:
            listener.context = contexts.gateway
        _note_end_point(runtime, config)
        runtime.hang_up()

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        ready(sockets, runtime.state)
        await stop.wait()
        for listener in listeners:
            await listener.close()
        await runtime.drain(config.gateway.drain_seconds)
    finally:
        await admin.close()
        await runtime.close()


@dataclass(slots=True)
class _Contexts:
    gateway: ssl.SSLContext | None
    admin: ssl.SSLContext | None


def _contexts(config: Config) -> _Contexts:
    return _Contexts(_context("gateway", config.gateway.tls), _context("admin", config.admin.tls))


def _context(section: str, tls: Tls) -> ssl.SSLContext | None:
    if tls.cert is None:
        return None
    try:
        return server_context(tls.cert, tls.key, _client_ca(tls))
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(name for name in (tls.cert, tls.key, _client_ca(tls)) if name is not None)
        raise ConfigError(f"{section}.tls", f"{files} can't be used: {error}") from error


def _client_ca(tls: Tls) -> str | None:
    return tls.client_ca if isinstance(tls, GatewayTls) else None


def _note_end_point(runtime: Runtime, config: Config) -> None:
    """What clients bind to, for SCRAM that ends here; unchanged if the certificate can't be read (then it isn't used)."""
    if config.gateway.tls.cert is None:
        return
    try:
        runtime.end_point = end_point_of_file(config.gateway.tls.cert)
    except (OSError, ValueError) as error:
        _LOG.error("gateway.tls: no channel binding: %s", type(error).__name__)


def _reload_certificates(config: Config, contexts: _Contexts) -> None:
    """SIGHUP: read the certificate files again. New connections use them; if they are unusable the old stay.

    The gateway gets a context of its own each time: an authority can't be taken out of one. (The admin endpoint's server
    keeps its context.)
    """
    for section, tls, context in (
        ("gateway", config.gateway.tls, contexts.gateway),
        ("admin", config.admin.tls, contexts.admin),
    ):
        if context is None or tls.cert is None:
            continue
        try:
            fresh = server_context(tls.cert, tls.key, _client_ca(tls))
            if section == "gateway":
                contexts.gateway = fresh
            else:  # a pair that doesn't fit has not come this far, and so replaces none that does
                context.load_cert_chain(tls.cert, tls.key)
        except (OSError, ssl.SSLError) as error:
            _LOG.error("%s.tls: the certificate was not reloaded: %s", section, error)
        else:
            _LOG.info("%s.tls: certificate reloaded", section)


def _catalog_connection(config: Config, environment: Mapping[str, str], **settings: str) -> Connect:
    """Opens connections of the gateway's own to the protected database, with ``settings``. Raises ``ConfigError``."""
    arguments = upstream_login(config, environment)

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            **arguments,
            timeout=config.upstream.connect_timeout or 60,
            server_settings={"application_name": "pgnym catalog", **settings},
        )
        return connection

    return connect


async def start_observing(config: Config, environment: Mapping[str, str], project: Project) -> Runtime:
    """Connect to the catalog. Raises ``ConfigError`` and ``GatewayError``."""
    # No search_path of its own: what sessions begin with is asked for on this connection.
    catalogs = ObservedCatalogs(_catalog_connection(config, environment), config, project)
    runtime = ObservingRuntime(config, catalogs)
    try:
        await runtime.start()
    except BaseException:
        await runtime.close()
        raise
    return runtime


async def start_runtime(
    config: Config, environment: Mapping[str, str], pools: Callable[[str, str], Pool] | None = None
) -> Runtime:
    """Connect to vault and catalog, if there is a key. Raises ``ConfigError``, ``VaultError`` and ``GatewayError``."""
    connect = _catalog_connection(config, environment, search_path="")
    where = vault_login(config, environment)
    secret = master_key(config, environment)

    async def registry() -> asyncpg.Connection[asyncpg.Record]:
        if config.vault.url is None:
            return await connect()
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            **where, timeout=config.vault.timeout or 60, server_settings={"search_path": ""}
        )
        return connection

    def find_master() -> bytes | None:
        try:
            return master_key(config, environment)
        except ConfigError as error:
            _LOG.error("no other master key: %s", error)
            return None

    async def open_vault(master: MasterKey) -> Vault:
        vault = await Vault.open(
            where,
            master,
            same_cluster=config.vault.url is None,
            cache_bytes=config.gateway.value_cache_bytes,
            scan_limit=config.vault.scan_limit,
            scan_bytes=config.vault.scan_bytes,
            candidate_limit=config.vault.candidate_limit,
            fold=fold,
            codes=Codes(Connector(upstream_login(config, environment))),
            timings=runtime.counts.timings,
            connect_timeout=config.vault.timeout or 60,
        )
        vault.master.find = find_master
        return vault

    runtime = Runtime(config, Catalogs(connect, registry, signatures_of(config)), pools)

    def open_log(vault: Vault) -> tuple[AuditLog, AuditKeeper, AuditSender | None]:
        audit = AuditLog(vault, Durability(config.audit.durability), timing=runtime.counts.timings.audit)
        keeper = AuditKeeper(audit, runtime.log, config.audit.checkpoint)
        export = config.audit.export
        if export is None:
            return audit, keeper, None
        line = cef if export.format == "cef" else json_line
        return audit, keeper, AuditSender(Exporter(vault, sink_for(export.to), line), runtime.log)

    runtime.verifiers = Verifiers(connect)
    restricting = config.privacy.restriction is not None
    runtime.consents.restrictions = Restrictions() if restricting else None
    if restricting or any(column.options.legal_basis == "consent" for column in config.columns()):
        runtime.consents.links = Links(upstream_login(config, environment))
    if config.consent_by():
        runtime.consents.by_value = ByValue(config.consent_by(), identity)
    runtime.sealing = Sealing(runtime, open_vault, open_log)
    try:
        if secret is not None:
            await runtime.sealing.give_key(secret)
    except BaseException:
        await runtime.close()
        raise
    return runtime


def _unhandled(runtime: Runtime, context: dict[str, object]) -> None:
    error = context.get("exception")
    if isinstance(error, Exception):
        runtime.log_defect(error)
    else:
        runtime.log.error("%s", context.get("message"))


# -- several workers -----------------------------------------------------------------------------------


def _work(
    config: Config,
    environment: Mapping[str, str],
    sockets: Sockets,
    make_admin: MakeAdmin,
    sock: socket.socket,
    pools: SharedPools,
    snapshots: SharedSnapshots,
) -> int:
    bus = WorkerBus(sock)

    async def starting() -> Runtime:
        runtime = await start_runtime(config, environment, pools.pool)
        runtime.meter.share(snapshots)
        assert runtime.sealing is not None
        runtime.sealing.bus = bus
        await bus.start(runtime.sealing.hear)
        return runtime

    async def serve() -> None:
        try:
            await _serve(
                config,
                starting(),
                sockets,
                make_admin,
                lambda _, state: bus.report(SEALED if state == "sealed" else READY),
            )
        finally:
            bus.close()

    try:
        asyncio.run(serve())
    except (ConfigError, VaultError, GatewayError) as error:
        hint = getattr(error, "hint", "")
        print(f"pgnym: {error}" + (f"\n  hint: {hint}" if hint else ""), file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            sock.sendall(frame(FAILED))
        return 1
    return 0
