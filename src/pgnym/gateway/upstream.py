"""Connections to the protected server, with libpq's meanings of ``sslmode``.

The answer to SSLRequest is read from the bare socket, one byte and no more: whatever an attacker has put behind it stays in
the socket and reaches the TLS handshake, which fails on it (CVE-2021-23222, pgbouncer CVE-2021-3935).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from pgnym.config.model import Upstream
from pgnym.gateway.reports import GatewayError
from pgnym.wire.startup import SSL_REQUEST

P = TypeVar("P", bound=asyncio.BaseProtocol)
_VERIFYING = ("verify-ca", "verify-full")
_REQUIRING = ("require", *_VERIFYING)


def tls_context(upstream: Upstream) -> ssl.SSLContext | None:
    """The client-side TLS context for an sslmode; None where TLS is not used.

    ``require`` with a root certificate verifies as ``verify-ca`` does, as libpq does it. ``allow`` behaves as ``prefer``:
    it would only send more in the clear. Raises ``OSError`` or ``ssl.SSLError`` for an unreadable root certificate.
    """
    if upstream.sslmode == "disable" or upstream.host.startswith("/"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = upstream.sslmode == "verify-full"
    if upstream.sslrootcert is not None:
        context.load_verify_locations(upstream.sslrootcert)
    elif upstream.sslmode in _VERIFYING:
        context.load_default_certs()
    verify = upstream.sslmode in _VERIFYING or (
        upstream.sslmode == "require" and upstream.sslrootcert is not None
    )
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


class Connector:
    """Opens connections to one upstream server."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.context = tls_context(upstream)

    async def connect(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Connect and, as sslmode says, secure. Raises ``GatewayError`` 08001 (08006 for TLS) that names the server."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.upstream.connect_timeout or None):
                sock = await self._socket(loop)
                try:
                    secure = await self._agree(loop, sock)
                    transport, protocol = await loop.create_connection(
                        factory,
                        sock=sock,
                        ssl=self.context if secure else None,
                        server_hostname=self.upstream.host if secure else None,
                    )
                except BaseException:
                    sock.close()
                    raise
        except ssl.SSLError as error:
            raise GatewayError(
                "08006",
                f"no TLS with the server at {self._name}: {error.reason or type(error).__name__}",
                hint="Check upstream.sslmode and upstream.sslrootcert.",
            ) from error
        except (OSError, TimeoutError) as error:
            why = (
                "no answer in time"
                if isinstance(error, TimeoutError)
                else (error.strerror or type(error).__name__)
            )
            raise GatewayError(
                "08001",
                f"the server at {self._name} can't be reached: {why}",
                hint="Check upstream.host and upstream.port, and that the server runs.",
            ) from error
        return transport, protocol

    @property
    def _name(self) -> str:
        return f"{self.upstream.host}:{self.upstream.port}"

    async def _socket(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        host, port = self.upstream.host, self.upstream.port
        if host.startswith("/"):
            return await _dial(loop, socket.AF_UNIX, f"{host}/.s.PGSQL.{port}")
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        last: OSError | None = None
        for family, _, _, _, address in infos:
            try:
                return await _dial(loop, family, address)
            except OSError as error:
                last = error
        raise last if last is not None else OSError(f"no address for {host}")

    async def _agree(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bool:
        if self.context is None:
            return False
        await loop.sock_sendall(sock, SSL_REQUEST)
        answer = await loop.sock_recv(sock, 1)
        if answer == b"S":
            return True
        if answer == b"N" and self.upstream.sslmode not in _REQUIRING:
            return False
        raise GatewayError(
            "08006",
            f"the server at {self._name} does not offer TLS, and upstream.sslmode is {self.upstream.sslmode}",
            hint="Turn TLS on in the server (ssl = on), or set upstream.sslmode.",
        )


async def _dial(loop: asyncio.AbstractEventLoop, family: int, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await loop.sock_connect(sock, address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


async def send_cancel(connector: Connector, packet: bytes) -> None:
    """Send a CancelRequest and wait until the server has closed the connection: only then has it been acted on.

    (Closing earlier, a pooler cancelled a later query: pgbouncer#717.) Raises what ``connect`` raises.
    """
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport, _ = await connector.connect(lambda: _CancelProtocol(closed))
    transport.write(packet)
    try:
        async with asyncio.timeout(connector.upstream.connect_timeout or 10):
            await closed
    finally:
        transport.abort()


class _CancelProtocol(asyncio.Protocol):
    def __init__(self, closed: asyncio.Future[None]) -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
