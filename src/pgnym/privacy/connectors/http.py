"""The HTTP/1.1 client of connectors: h11 over asyncio, one request a connection.

It follows no redirect (a credential would go along), uses no proxy, and bounds what it reads. Where to, and by which TLS, is
all configured.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from pgnym.privacy.connectors.interface import ConnectorError

MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read to its end."""

    status: int
    body: bytes


async def fetch(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, tls: ssl.SSLContext
) -> Response:
    """Ask, and read the answer. ``tls``: for https. Raises ConnectorError, which names the host alone."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    target = parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    sent = {"Host": parts.netloc, "User-Agent": "pgnym", "Accept": "application/json", "Connection": "close"}
    sent |= headers
    if body is not None:
        sent["Content-Length"] = str(len(body))
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls if secure else None)
        try:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(method=method, target=target, headers=list(sent.items()))
            data = connection.send(request) or b""
            if body is not None:
                data += connection.send(h11.Data(data=body)) or b""
            writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            return await _read(connection, reader, host)
        finally:
            writer.transport.abort()
    except ssl.SSLError as error:
        raise ConnectorError(f"{host}: TLS failed ({error.reason or 'unknown'})") from None
    except (OSError, EOFError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise ConnectorError(f"{host} can't be reached") from None
    except h11.ProtocolError:
        raise ConnectorError(f"{host} does not speak HTTP/1.1 as it should") from None


async def _read(connection: h11.Connection, reader: asyncio.StreamReader, host: str) -> Response:
    status, body = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BYTES:
                raise ConnectorError(f"{host} answered more than {MAX_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Response(status, bytes(body))
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise ConnectorError(f"{host} ended its answer too early")
