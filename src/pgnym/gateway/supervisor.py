"""Several workers: the parent process, and how workers tell each other what concerns all of them.

The parent binds the sockets and forks workers that accept from them; it passes signals on, and starts a worker anew that has
died. Each worker has a socket to the parent, which passes what one says on to the others. What it says can be the master
key, so it stays in memory; the parent keeps it too, for a worker that is started later, until it is told to seal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

from pgnym.gateway.sealing import Word

_LOG = logging.getLogger("pgnym.serve")
_HEAD = struct.Struct("!cI")
_LARGEST = 4096
RESPAWN_SECONDS = 1.0
READY, SEALED, FAILED = b"u", b"s", b"x"
_WORDS = {word.value for word in Word}


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """One message: kind, length, content."""
    return _HEAD.pack(kind, len(content)) + content


def frames(buffer: bytearray) -> list[tuple[bytes, bytes]]:
    """Takes the complete messages from a buffer."""
    found = []
    while len(buffer) >= _HEAD.size:
        kind, length = _HEAD.unpack_from(buffer)
        if length > _LARGEST:
            raise ValueError("a message between workers is too long")
        if len(buffer) < _HEAD.size + length:
            break
        found.append((kind, bytes(buffer[_HEAD.size : _HEAD.size + length])))
        del buffer[: _HEAD.size + length]
    return found


class WorkerBus(asyncio.Protocol):
    """A worker's end. ``hear`` is called with what other workers were told, one thing at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._heard: asyncio.Queue[tuple[Word, bytes]] = asyncio.Queue()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, hear: Callable[[Word, bytes], Awaitable[None]]) -> None:
        """Begin to listen."""
        await asyncio.get_running_loop().create_connection(lambda: self, sock=self._sock)
        self._task = asyncio.create_task(self._attend(hear))

    async def _attend(self, hear: Callable[[Word, bytes], Awaitable[None]]) -> None:
        while True:
            await hear(*await self._heard.get())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio: the parent passes something on."""
        self._buffer += data
        for kind, content in frames(self._buffer):
            self._heard.put_nowait((Word(kind), content))

    def tell(self, word: Word, content: bytes) -> None:
        """``Bus``: to the other workers."""
        assert self._transport is not None
        self._transport.write(frame(word.value, content))

    def report(self, state: bytes) -> None:
        """To the parent: ready, or sealed."""
        assert self._transport is not None
        self._transport.write(frame(state))

    def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()


@dataclass(slots=True)
class _Worker:
    pid: int
    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    state: bytes = b""


class Supervisor:
    """The parent. ``work`` runs in a worker with its end of the socket, and returns its exit code."""

    def __init__(
        self, count: int, work: Callable[[socket.socket], int], announce: Callable[[str], None]
    ) -> None:
        self._count = count
        self._work = work
        self._announce = announce
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._told: list[tuple[bytes, bytearray]] = []  # what a later worker must be told
        self._announced = self._stopping = self._failed = False
        self._respawn_at: float | None = None

    def run(self) -> int:
        """Until the last worker has ended. Returns the exit code."""
        wake_reader, wake_writer = socket.socketpair()
        for end in (wake_reader, wake_writer):
            end.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        before = signal.set_wakeup_fd(wake_writer.fileno())
        self._selector.register(wake_reader, selectors.EVENT_READ)
        try:
            for _ in range(self._count):
                self._spawn()
            while self._workers or self._respawn_at is not None:
                due = None if self._respawn_at is None else max(0.0, self._respawn_at - monotonic())
                for key, _ in self._selector.select(due):
                    if key.data is None:
                        for caught in wake_reader.recv(256):
                            self._signalled(caught)
                    else:
                        self._receive(key.data)
                if self._respawn_at is not None and self._respawn_at <= monotonic():
                    self._respawn_at = None
                    while len(self._workers) < self._count:
                        self._spawn()
        finally:
            signal.set_wakeup_fd(before)
            self._forget()
        return 1 if self._failed else 0

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            ours.close()
            for worker in self._workers.values():
                worker.sock.close()
            self._forget()
            os._exit(self._work(theirs))
        theirs.close()
        worker = self._workers[pid] = _Worker(pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        for kind, content in self._told:
            ours.sendall(frame(kind, bytes(content)))

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            for pid in self._workers:
                os.kill(pid, signal.SIGHUP)
        elif number == signal.SIGCHLD:
            self._reap()

    def _stop(self) -> None:
        self._stopping = True
        self._respawn_at = None
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:
                continue
            self._receive(worker)  # what it said last
            self._selector.unregister(worker.sock)
            worker.sock.close()
            if not self._stopping:
                _LOG.error("a worker ended with status %d; starting another", status)
                self._respawn_at = monotonic() + RESPAWN_SECONDS

    def _receive(self, worker: _Worker) -> None:
        try:
            data = worker.sock.recv(65536, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError):
            return
        if not data:
            return  # it ends; SIGCHLD says so
        worker.buffer += data
        for kind, content in frames(worker.buffer):
            if kind in _WORDS:
                self._pass_on(worker, kind, content)
            elif kind == FAILED:  # a worker that can't start has said why; the others would say the same
                self._failed = True
                self._stop()
            else:
                worker.state = kind
                self._all_ready()

    def _all_ready(self) -> None:
        states = [worker.state for worker in self._workers.values()]
        if not self._announced and len(states) == self._count and all(states):
            self._announced = True
            self._announce("sealed" if SEALED in states else "unsealed")

    def _pass_on(self, worker: _Worker, kind: bytes, content: bytes) -> None:
        if kind in (Word.SEAL.value, Word.FORGET.value, Word.KEY.value):
            self._forget()
        if kind in (Word.KEY.value, Word.SHARE.value):
            self._told.append((kind, bytearray(content)))
        for other in self._workers.values():
            if other is not worker:
                try:
                    other.sock.sendall(frame(kind, content))
                except OSError:
                    _LOG.warning("worker %d could not be told; it is ending", other.pid)

    def _forget(self) -> None:
        for _, content in self._told:
            content[:] = bytes(len(content))
        self._told.clear()
