"""Listening sockets, and what happens on a connection before its first start-up packet: TLS, or not.

Everything before TLS is read from the bare socket, packet by packet and not a byte more, so that nothing sent in the clear
can ever be taken for something sent under TLS (CVE-2021-23214, pgbouncer CVE-2021-3935).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable

from pgnym.config.address import Address
from pgnym.gateway.reports import ErrorReport
from pgnym.wire.startup import CANCEL_CODE, GSSENC_CODE, SSL_CODE, TLS_HANDSHAKE

BACKLOG = 1024
_LOG = logging.getLogger("pgnym.gateway")
_ALPN = "postgresql"
LOCAL = "local"
"""The address of a client on a Unix socket."""


def server_context(cert: str, key: str | None, client_ca: str | None = None) -> ssl.SSLContext:
    """The server-side TLS context of a listener. Raises ``OSError`` or ``ssl.SSLError`` for unusable files.

    ``client_ca``: clients must show a certificate that one of its authorities has signed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols([_ALPN])
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def bind(address: Address) -> socket.socket:
    """A listening socket; a dead Unix socket in its place is removed. Raises ``OSError``."""
    if address.path is not None:
        with contextlib.suppress(FileNotFoundError):
            if not _alive(address.path):
                os.unlink(address.path)
        where: tuple[object, ...] | str = address.path
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        info = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock, where = socket.socket(info[0], socket.SOCK_STREAM), info[4]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        return True


class Listener:
    """Accepts connections on one socket and hands each to ``factory`` once it is known whether TLS is used.

    ``factory`` gets the bytes of the start-up packet read so far, the peer's address, and whether TLS was direct (then the
    protocol must find ALPN "postgresql" agreed, protocol section 55.2.11).
    ``context``: offers TLS. ``tls_required``: a start-up without TLS is refused (but not a CancelRequest, which libpq before
    17 always sends in the clear, and which the server takes so). ``timeout``: seconds for all that comes
    before the protocol proper.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[bytes, str, bool], asyncio.BaseProtocol],
        *,
        context: ssl.SSLContext | None,
        tls_required: bool,
        timeout: float | None,
    ) -> None:
        self._sock = sock
        self._factory = factory
        self.context = context
        self._tls_required = tls_required
        self._timeout = timeout
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Accept no more; handshakes under way are ended."""
        path = self._sock.getsockname()
        tasks = [self._accepting, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()
        if isinstance(path, str) and path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(self._sock)
            except OSError:
                # Out of descriptors (EMFILE), or the peer was gone already: leave room for others to end.
                await asyncio.sleep(0.05)
                continue
            task = loop.create_task(self._shake(sock, peer))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake(self, sock: socket.socket, peer: object) -> None:
        address = LOCAL if sock.family == socket.AF_UNIX else str(peer[0])  # type: ignore[index]
        try:
            async with asyncio.timeout(self._timeout or None):
                sock.setblocking(False)
                if sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                secure, initial, direct = await self._negotiate(sock)
                if secure is None:
                    sock.close()
                    return
                context = self.context if secure else None
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: self._factory(initial, address, direct), sock, ssl=context
                )
        except ssl.SSLError as error:
            sock.close()
            _LOG.info("a TLS handshake with %s failed: %s", address, error.reason)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            sock.close()  # a peer that goes away; nobody to tell
        except BaseException:
            sock.close()
            raise

    async def _negotiate(self, sock: socket.socket) -> tuple[bool | None, bytes, bool]:
        """Whether TLS follows (None: hang up), the bytes of the start-up packet read so far, and whether TLS is direct."""
        loop = asyncio.get_running_loop()
        asked: set[int] = set()
        while True:
            await _readable(loop, sock)
            first = sock.recv(1, socket.MSG_PEEK)
            if not first:
                return None, b"", False
            if first[0] == TLS_HANDSHAKE and not asked:
                return (True if self.context is not None else None), b"", True
            header = await _exactly(loop, sock, 8)
            code = int.from_bytes(header[4:], "big")
            if int.from_bytes(header[:4], "big") != 8 or code not in (SSL_CODE, GSSENC_CODE) or code in asked:
                if self._tls_required and self.context is not None and code != CANCEL_CODE:
                    report = ErrorReport(
                        "28000",
                        "connections without TLS are refused",
                        hint="Connect with sslmode=require or stricter.",
                        severity="FATAL",
                    )
                    await loop.sock_sendall(sock, report.encode())
                    return None, b"", False
                return False, header, False
            asked.add(code)
            if code == SSL_CODE and self.context is not None:
                await loop.sock_sendall(sock, b"S")
                return True, b"", False
            await loop.sock_sendall(sock, b"N")


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock.fileno(), lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = await loop.sock_recv(sock, count - len(data))
        if not chunk:
            raise asyncio.IncompleteReadError(data, count)
        data += chunk
    return data
