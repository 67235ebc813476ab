"""From the first byte to the last over real sockets: TLS or not, who is let in, and how connections end.

The upstream server is a few lines of asyncio that let anybody in.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from playbook import IN_TRANSACTION, READY, FakeVault, complete, query
from shop_catalog import shop

from pgnym.config.address import Address
from pgnym.config.model import Config, Gateway, Upstream
from pgnym.gateway.catalogs import Catalogs
from pgnym.gateway.connection import ClientConnection
from pgnym.gateway.engine import Engine
from pgnym.gateway.listener import Listener, bind, server_context
from pgnym.gateway.runtime import Runtime
from pgnym.vault.store import Vault
from pgnym.wire.messages import TERMINATE
from pgnym.wire.reports import parse_report
from pgnym.wire.startup import GSSENC_REQUEST, SSL_REQUEST, CancelRequest, StartupMessage
from support.certificates import Certificates, make_certificates

SECONDS = 20
STARTUP = StartupMessage(3 << 16, {b"user": b"app", b"database": b"app"}).build()
AUTHENTICATED = b"R" + struct.pack("!II", 8, 0)
KEY = b"K" + struct.pack("!III", 12, 4711, 42)
WELCOME = AUTHENTICATED + KEY + READY
CANCEL = CancelRequest(4711, struct.pack("!I", 42)).build()


def timed(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """Run a coroutine as a test, within bounds."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(SECONDS):
                await test(**fixtures)

        asyncio.run(bounded())

    return run


# -- the stage -------------------------------------------------------------------------------------------------


@dataclass
class Upstreams:
    """A server that lets everybody in, and says of every Query that it is done. ``mute``: it never answers at all."""

    mute: bool = False
    port: int = 0
    logins: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    cancels: list[bytes] = field(default_factory=list)
    queries: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has hung up, which is what some tests wait for
        finally:
            writer.close()
            self.ended.set()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        body = await reader.readexactly(int.from_bytes(head[:4], "big") - 8)
        if head[4:] == CANCEL[4:8]:
            self.cancels.append(head + body)
            return
        self.logins += 1
        self.called.set()
        if self.mute:
            await reader.read()
            return
        writer.write(WELCOME)
        while True:
            header = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(header[1:], "big") - 4)
            if header[:1] == b"X":
                return
            self.queries.append(body[:-1])
            word = body[:-1].decode()
            writer.write(complete(word) + (IN_TRANSACTION if word == "BEGIN" else READY))


class FakeVaults:
    """Every tenant has a vault."""

    async def tenant(self, name: str) -> FakeVault:
        return FakeVault()

    async def close(self) -> None:
        pass


class FixedCatalog:
    """A catalog that never changes."""

    current = Engine(shop())

    async def close(self) -> None:
        pass


@dataclass
class Door:
    """A gateway in front of a server."""

    runtime: Runtime
    server: Upstreams
    port: int
    visitors: list[Visitor] = field(default_factory=list)


@asynccontextmanager
async def opened(
    *,
    certificates: Certificates | None = None,
    required: bool = False,
    sealed: bool = False,
    mute: bool = False,
    connections: int = 10,
    login_timeout: float = SECONDS,
) -> AsyncIterator[Door]:
    """A gateway that listens on a port of the loopback interface. ``required``: TLS is."""
    async with AsyncExitStack() as stack:
        upstream = Upstreams(mute=mute)
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        upstream.port = server.sockets[0].getsockname()[1]
        config = Config(
            gateway=Gateway(max_connections=connections, login_timeout=login_timeout),
            upstream=Upstream(host="127.0.0.1", port=upstream.port, sslmode="disable"),
        )
        runtime = Runtime(config, cast(Catalogs, FixedCatalog()))
        if not sealed:
            runtime.vault = cast(Vault, FakeVaults())
        stack.push_async_callback(runtime.close)
        context = (
            None if certificates is None else server_context(str(certificates.server), str(certificates.key))
        )
        sock = bind(Address("127.0.0.1", 0))
        listener = Listener(
            sock,
            lambda initial, peer, direct: ClientConnection(runtime, initial, peer, direct),
            context=context,
            tls_required=required,
            timeout=login_timeout,
        )
        stack.push_async_callback(runtime.drain, 0)
        stack.push_async_callback(listener.close)
        door = Door(runtime, upstream, sock.getsockname()[1])
        try:
            yield door
        finally:
            for visitor in door.visitors:
                visitor.leave()


class Visitor:
    """A client that speaks in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def at(cls, door: Door, context: ssl.SSLContext | None = None) -> Visitor:
        """Connected; with direct TLS if there is a context."""
        name = None if context is None else "localhost"
        streams = await asyncio.open_connection("127.0.0.1", door.port, ssl=context, server_hostname=name)
        visitor = cls(*streams)
        door.visitors.append(visitor)
        return visitor

    @classmethod
    async def inside(cls, door: Door) -> Visitor:
        """Logged in without TLS."""
        visitor = await cls.at(door)
        visitor.say(STARTUP)
        assert await visitor.hear(len(WELCOME)) == WELCOME
        return visitor

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    async def hear(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        """All until the other side closes; a reset is an end too."""
        heard = b""
        try:
            while data := await self._reader.read(65536):
                heard += data
        except ConnectionError:
            pass
        return heard

    async def secure(self, context: ssl.SSLContext) -> None:
        """The handshake, on the connection as it is."""
        await self._writer.start_tls(context, server_hostname="localhost")

    def leave(self) -> None:
        self._writer.transport.abort()

    async def farewell(self) -> tuple[str, str]:
        """Severity and SQLSTATE of the one ErrorResponse that is all that still comes."""
        fields = parse_report(await self.rest())
        return fields["S"].decode(), fields["C"].decode()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def trusting(certificates: Certificates, *protocols: str) -> ssl.SSLContext:
    """A client's context that trusts the test authority and offers ALPN ``protocols``."""
    context = ssl.create_default_context(cafile=str(certificates.authority))
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


# -- TLS or not ------------------------------------------------------------------------------------------------


@timed
async def test_a_client_may_log_in_without_tls() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        visitor.say(query("SELECT"))
        assert await visitor.hear(len(complete("SELECT") + READY)) == complete("SELECT") + READY


@timed
async def test_tls_is_declined_where_there_is_no_certificate() -> None:
    async with opened() as door:
        visitor = await Visitor.at(door)
        visitor.say(SSL_REQUEST)
        assert await visitor.hear(1) == b"N"
        visitor.say(STARTUP)
        assert await visitor.hear(len(WELCOME)) == WELCOME


@pytest.mark.parametrize("first", [False, True], ids=["ssl", "gssenc then ssl"])
@timed
async def test_tls_is_agreed_by_one_byte(certificates: Certificates, first: bool) -> None:
    async with opened(certificates=certificates, required=True) as door:
        visitor = await Visitor.at(door)
        if first:
            visitor.say(GSSENC_REQUEST)
            assert await visitor.hear(1) == b"N"
        visitor.say(SSL_REQUEST)
        assert await visitor.hear(1) == b"S"
        await visitor.secure(trusting(certificates))
        visitor.say(STARTUP)
        assert await visitor.hear(len(WELCOME)) == WELCOME


@timed
async def test_bytes_behind_an_ssl_request_are_never_taken_for_the_clients(
    certificates: Certificates,
) -> None:
    """They came in the clear, so anybody may have put them there (CVE-2021-23214): the handshake meets and fails on them."""
    async with opened(certificates=certificates) as door:
        visitor = await Visitor.at(door)
        visitor.say(SSL_REQUEST + STARTUP)
        assert await visitor.hear(1) == b"S"
        assert AUTHENTICATED not in await visitor.rest()
        assert door.server.logins == 0
        assert not door.runtime.connections


@timed
async def test_a_startup_packet_split_at_every_byte() -> None:
    async with opened() as door:
        visitor = await Visitor.at(door)
        for byte in STARTUP:
            visitor.say(bytes([byte]))
            await asyncio.sleep(0)
        assert await visitor.hear(len(WELCOME)) == WELCOME


@pytest.mark.parametrize("again", [SSL_REQUEST, GSSENC_REQUEST], ids=["ssl", "gssenc"])
@timed
async def test_encryption_is_asked_for_once(again: bytes) -> None:
    async with opened() as door:
        visitor = await Visitor.at(door)
        visitor.say(again)
        assert await visitor.hear(1) == b"N"
        visitor.say(again)
        assert await visitor.farewell() == ("FATAL", "08P01")
        assert door.server.logins == 0


@timed
async def test_encryption_is_not_asked_for_under_tls(certificates: Certificates) -> None:
    async with opened(certificates=certificates) as door:
        visitor = await Visitor.at(door)
        visitor.say(SSL_REQUEST)
        assert await visitor.hear(1) == b"S"
        await visitor.secure(trusting(certificates))
        visitor.say(SSL_REQUEST)
        assert await visitor.farewell() == ("FATAL", "08P01")


@timed
async def test_direct_tls(certificates: Certificates) -> None:
    async with opened(certificates=certificates, required=True) as door:
        visitor = await Visitor.at(door, trusting(certificates, "postgresql"))
        visitor.say(STARTUP)
        assert await visitor.hear(len(WELCOME)) == WELCOME


@timed
async def test_direct_tls_without_alpn_is_refused(certificates: Certificates) -> None:
    """Or bytes of another protocol could be passed off as PostgreSQL's (ALPACA)."""
    async with opened(certificates=certificates) as door:
        visitor = await Visitor.at(door, trusting(certificates))
        visitor.say(STARTUP)
        assert await visitor.rest() == b""
        assert door.server.logins == 0


@timed
async def test_direct_tls_behind_a_declined_request_is_refused(certificates: Certificates) -> None:
    async with opened(certificates=certificates) as door:
        visitor = await Visitor.at(door)
        visitor.say(GSSENC_REQUEST)
        assert await visitor.hear(1) == b"N"
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await visitor.secure(trusting(certificates, "postgresql"))
        assert door.server.logins == 0


@timed
async def test_direct_tls_where_there_is_no_certificate(certificates: Certificates) -> None:
    async with opened() as door:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Visitor.at(door, trusting(certificates, "postgresql"))


@pytest.mark.parametrize("before", [b"", GSSENC_REQUEST], ids=["at once", "behind gssenc"])
@timed
async def test_plaintext_is_refused_where_tls_is_required(certificates: Certificates, before: bytes) -> None:
    async with opened(certificates=certificates, required=True) as door:
        visitor = await Visitor.at(door)
        if before:
            visitor.say(before)
            assert await visitor.hear(1) == b"N"
        visitor.say(STARTUP)
        assert await visitor.farewell() == ("FATAL", "28000")
        assert door.server.logins == 0


@timed
async def test_a_cancel_may_come_in_the_clear(certificates: Certificates) -> None:
    """libpq before 17 never sends it otherwise, and the server takes it too."""
    async with opened(certificates=certificates, required=True) as door:
        visitor = await Visitor.at(door)
        visitor.say(CANCEL)
        assert await visitor.rest() == b""
        assert door.server.cancels == [CANCEL]


# -- who is let in ---------------------------------------------------------------------------------------------


@timed
async def test_a_client_that_says_nothing_is_hung_up_on() -> None:
    async with opened(login_timeout=0.1) as door:
        visitor = await Visitor.at(door)
        assert await visitor.rest() == b""


@timed
async def test_a_client_that_stops_in_its_startup_packet_is_hung_up_on() -> None:
    async with opened(login_timeout=0.1) as door:
        visitor = await Visitor.at(door)
        visitor.say(STARTUP[:-1])
        assert await visitor.rest() == b""
        assert not door.runtime.connections


@timed
async def test_a_login_that_takes_too_long_ends_on_both_sides() -> None:
    async with opened(mute=True, login_timeout=0.2) as door:
        visitor = await Visitor.at(door)
        visitor.say(STARTUP)
        assert await visitor.rest() == b""
        await door.server.ended.wait()


@timed
async def test_a_session_has_no_login_timeout() -> None:
    async with opened(login_timeout=0.1) as door:
        visitor = await Visitor.inside(door)
        await asyncio.get_running_loop().run_in_executor(None, asyncio.run, asyncio.sleep(0.3))
        visitor.say(query("SELECT"))
        assert await visitor.hear(len(complete("SELECT") + READY)) == complete("SELECT") + READY


@timed
async def test_too_many_connections() -> None:
    async with opened(connections=1) as door:
        first = await Visitor.inside(door)
        second = await Visitor.at(door)
        second.say(STARTUP)
        assert await second.farewell() == ("FATAL", "53300")
        first.leave()
        await door.server.ended.wait()
        await Visitor.inside(door)


@timed
async def test_a_sealed_gateway_lets_nobody_in() -> None:
    async with opened(sealed=True) as door:
        visitor = await Visitor.at(door)
        visitor.say(STARTUP)
        assert await visitor.farewell() == ("FATAL", "57P03")
        assert door.server.logins == 0


@timed
async def test_a_server_that_is_away() -> None:
    async with opened() as door:
        gone = await asyncio.start_server(door.server.serve, "127.0.0.1", 0)
        port = gone.sockets[0].getsockname()[1]
        gone.close()
        await gone.wait_closed()
        door.runtime.connector.upstream = Upstream(host="127.0.0.1", port=port, sslmode="disable")
        visitor = await Visitor.at(door)
        visitor.say(STARTUP)
        assert await visitor.farewell() == ("FATAL", "08001")


@timed
async def test_bytes_behind_the_startup_packet_are_refused() -> None:
    """The server would refuse them too: a client must wait for its answer."""
    async with opened() as door:
        visitor = await Visitor.at(door)
        visitor.say(STARTUP + query("SELECT"))
        assert await visitor.farewell() == ("FATAL", "08P01")


# -- how connections end ---------------------------------------------------------------------------------------


@timed
async def test_a_client_that_leaves_takes_the_servers_connection_along() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        visitor.leave()
        await door.server.ended.wait()


@timed
async def test_terminate_is_passed_on() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        visitor.say(TERMINATE)
        assert await visitor.rest() == b""
        assert not door.runtime.connections


@timed
async def test_draining_ends_an_idle_session_at_once() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        drained = asyncio.create_task(door.runtime.drain(SECONDS))
        assert await visitor.farewell() == ("FATAL", "57P01")
        await drained


@timed
async def test_draining_lets_a_transaction_finish() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        visitor.say(query("BEGIN"))
        begun = complete("BEGIN") + IN_TRANSACTION
        assert await visitor.hear(len(begun)) == begun
        drained = asyncio.create_task(door.runtime.drain(SECONDS))
        await asyncio.sleep(0)
        visitor.say(query("COMMIT"))
        done = complete("COMMIT") + READY
        assert await visitor.hear(len(done)) == done
        assert await visitor.farewell() == ("FATAL", "57P01")
        await drained


@timed
async def test_draining_has_a_hard_end() -> None:
    async with opened() as door:
        visitor = await Visitor.inside(door)
        visitor.say(query("BEGIN"))
        begun = complete("BEGIN") + IN_TRANSACTION
        assert await visitor.hear(len(begun)) == begun
        await door.runtime.drain(0.1)
        assert await visitor.rest() == b""
        await door.server.ended.wait()


@timed
async def test_nobody_is_let_in_while_draining() -> None:
    async with opened() as door:
        first = await Visitor.inside(door)
        first.say(query("BEGIN"))
        await first.hear(len(complete("BEGIN") + IN_TRANSACTION))
        drained = asyncio.create_task(door.runtime.drain(SECONDS))
        await asyncio.sleep(0)
        visitor = await Visitor.at(door)
        visitor.say(STARTUP)
        assert await visitor.farewell() == ("FATAL", "57P01")
        first.leave()
        await drained


@timed
async def test_a_login_under_way_does_not_hold_up_draining() -> None:
    async with opened(mute=True) as door:
        visitor = await Visitor.at(door)
        visitor.say(STARTUP)
        await door.server.called.wait()
        await door.runtime.drain(SECONDS)
        assert await visitor.rest() == b""


# -- sockets ---------------------------------------------------------------------------------------------------


@timed
async def test_a_dead_unix_socket_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / ".s.PGSQL.6432"
    bind(Address(path=str(path))).close()
    assert path.exists()
    sock = bind(Address(path=str(path)))
    listener = Listener(sock, lambda *_: asyncio.Protocol(), context=None, tls_required=False, timeout=None)
    await listener.close()
    assert not path.exists()


@timed
async def test_a_live_unix_socket_is_not_taken(tmp_path: Path) -> None:
    path = str(tmp_path / ".s.PGSQL.6432")
    sock = bind(Address(path=path))
    with pytest.raises(OSError, match="in use"):
        bind(Address(path=path))
    sock.close()
