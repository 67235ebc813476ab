"""The yardstick: what a proxy in CPython costs that looks at nothing but message headers.

An ``asyncio.Protocol`` on either side; every message header in both directions is walked (type and length),
as any gateway must that wants to know where messages begin, and the bytes go on as they came. pgnym's
unprotected traffic should cost what this costs.

    python benchmarks/forwarder.py --listen 6500 --upstream 5432
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import struct
import sys

HEADER = 5  # a type byte and a length that counts itself (protocol 3.0, "Message Formats")
length_at = struct.Struct("!I").unpack_from


class Walker:
    """Follows message boundaries through chunks that don't align with them."""

    def __init__(self, *, untyped: bool) -> None:
        self.messages = 0
        self._held = b""  # a header of which only a part has come
        self._skip = 0  # bytes of the current message still to come
        self._untyped = untyped  # the client's first packet has no type byte

    def walk(self, chunk: bytes) -> None:
        """Counts the messages that begin in ``chunk``."""
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        at, end = self._skip, len(chunk)
        while at < end:
            if self._untyped:
                if end - at < 4:
                    break
                at += length_at(chunk, at)[0]
                self._untyped = False
            else:
                if end - at < HEADER:
                    break
                at += 1 + length_at(chunk, at + 1)[0]
            self.messages += 1
        if at < end:
            self._held, self._skip = chunk[at:], 0
        else:
            self._skip = at - end


class Side(asyncio.Protocol):
    """One connection of a pair; ``other`` is its partner. Reading pauses while the partner's buffer is
    full.
    """

    def __init__(self, *, client: bool) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        self.walker = Walker(untyped=client)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.walker.walk(data)
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Client(Side):
    """The client's side: connects to the server as soon as there is a client."""

    def __init__(self, upstream: int, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__(client=True)
        self._upstream = upstream
        self._tasks = tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        server = Side(client=False)
        assert self.transport is not None
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: server, "127.0.0.1", self._upstream)
        except OSError as error:
            print(f"forwarder: no connection upstream: {error}", file=sys.stderr, flush=True)
            self.transport.abort()
            return
        server.other, self.other = self, server
        self.transport.resume_reading()


async def serve(listen: int, upstream: int) -> None:
    """Forwards connections until SIGTERM."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    server = await loop.create_server(lambda: Client(upstream, tasks), "127.0.0.1", listen)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(f"forwarder ready 127.0.0.1:{listen}", file=sys.stderr, flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Forward PostgreSQL connections, walking message headers.")
    parser.add_argument("--listen", type=int, required=True, help="port on the loopback")
    parser.add_argument("--upstream", type=int, required=True, help="port of PostgreSQL on the loopback")
    args = parser.parse_args()
    asyncio.run(serve(args.listen, args.upstream))


if __name__ == "__main__":
    main()
