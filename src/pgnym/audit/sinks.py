"""Where audit records are sent: a syslog receiver over TCP or TLS (RFC 5424, RFC 6587, RFC 5425), or a file.

A sink's ``send`` returns once the batch is handed over as safely as the way allows: a file is flushed to disk, a socket has
taken all bytes. TCP has no receipt, so what was in a connection's buffers when it broke may be lost: send to a receiver
near by.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from pgnym.vault.errors import VaultError

_PRIORITY = 13 * 8 + 6  # facility "log audit", severity "informational" (RFC 5424 section 6.2.1)
_TIMEOUT = 15.0

Line = tuple[datetime, str]


class SinkFailed(VaultError):
    """The batch was not taken; it will be sent again. Its text says where and why."""


class Sink(Protocol):
    """Takes batches in order."""

    async def send(self, lines: Sequence[Line]) -> None:
        """Hand over; raises SinkFailed."""

    async def close(self) -> None:
        """No more will come."""


class FileSink:
    """Appends lines to a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def send(self, lines: Sequence[Line]) -> None:
        """Append, and flush to disk."""
        data = "".join(f"{text}\n" for _, text in lines).encode()
        try:
            await asyncio.to_thread(self._append, data)
        except OSError as error:
            raise SinkFailed(f"{self._path}: {error.strerror}") from None

    def _append(self, data: bytes) -> None:
        place = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(place, left) :]
            os.fsync(place)
        finally:
            os.close(place)

    async def close(self) -> None:
        """Nothing is kept open."""


class SyslogSink:
    """Sends syslog messages, each with its length before it (RFC 6587 section 3.4.1; the way RFC 5425 prescribes)."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._name = socket.gethostname()

    async def send(self, lines: Sequence[Line]) -> None:
        """Connect if need be, write, and wait until the system has taken it."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                if self._writer is None or self._writer.is_closing():
                    _, self._writer = await asyncio.open_connection(
                        self._host, self._port, ssl=self._context, limit=1 << 16
                    )
                    # Else drain returns while up to 64 KiB are still with us.
                    self._writer.transport.set_write_buffer_limits(0)
                for time, text in lines:
                    self._writer.write(self._message(time, text))
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            await self.close()
            why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            raise SinkFailed(f"{self._host}:{self._port}: {why}") from None

    def _message(self, time: datetime, text: str) -> bytes:
        body = f"<{_PRIORITY}>1 {time.isoformat()} {self._name} pgnym - audit - {text}".encode()
        return b"%d " % len(body) + body

    async def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def sink_for(address: str) -> Sink:
    """``file:/path``, ``tcp://host:port``, ``tls://host:port``. Raises ValueError for anything else."""
    if address.startswith("file:/"):
        return FileSink(address.removeprefix("file:"))
    parts = urlsplit(address)
    if (
        parts.scheme not in ("tcp", "tls")
        or not parts.hostname
        or parts.port is None
        or parts.path not in ("", "/")
    ):
        raise ValueError("expected file:/path, tcp://host:port or tls://host:port")
    context = ssl.create_default_context() if parts.scheme == "tls" else None
    return SyslogSink(parts.hostname, parts.port, context)
