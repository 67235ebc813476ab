"""A PostgreSQL client of bytes: says exactly what it is told and keeps exactly what it hears.

Blocking sockets, no state machine: tests decide what is sent, in which pieces, and what to wait for. Message
formats are those of "Message Formats" in the PostgreSQL manual's chapter on the frontend/backend protocol.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import os
import re
import socket
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
CANCEL = 1234 << 16 | 5678
SSL_REQUEST = 1234 << 16 | 5679
GSSENC_REQUEST = 1234 << 16 | 5680
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its type byte and what follows the length word."""

    kind: bytes
    body: bytes

    def fields(self) -> dict[str, str]:
        """Of an ErrorResponse or NoticeResponse: field code → text."""
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {p[:1].decode(): p[1:].decode() for p in parts if p}


# Building what a client says


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message with its length word; ``kind`` is empty for start-up messages."""
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str | bytes) -> bytes:
    """A zero-terminated string."""
    return (value.encode() if isinstance(value, str) else value) + b"\0"


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3_0) -> bytes:
    """StartupMessage."""
    pairs = b"".join(text(k) + text(v) for k, v in parameters.items())
    return message(b"", struct.pack("!i", version) + pairs + b"\0")


def query(sql: str | bytes) -> bytes:
    """Query (simple)."""
    return message(b"Q", text(sql))


def parse(sql: str | bytes, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Parse."""
    return message(b"P", text(name) + text(sql) + struct.pack(f"!h{len(types)}I", len(types), *types))


def bind(
    values: Sequence[bytes | None] = (),
    *,
    portal: str = "",
    statement: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    """Bind. ``formats`` and ``results``: none, one for all, or one each; 0 text, 1 binary."""
    body = text(portal) + text(statement) + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(what: str, name: str = "") -> bytes:
    """Describe; ``what`` is "S" (statement) or "P" (portal)."""
    return message(b"D", what.encode() + text(name))


def close(what: str, name: str = "") -> bytes:
    """Close; ``what`` as for ``describe``."""
    return message(b"C", what.encode() + text(name))


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    """Execute."""
    return message(b"E", text(portal) + struct.pack("!i", max_rows))


def function_call(oid: int, arguments: Sequence[bytes | None], *, binary: bool = False) -> bytes:
    """FunctionCall, with one format for all."""
    body = struct.pack("!Ihhh", oid, 1, int(binary), len(arguments))
    for value in arguments:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"F", body + struct.pack("!h", int(binary)))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")
COPY_DONE = message(b"c")


def copy_data(data: bytes) -> bytes:
    """CopyData."""
    return message(b"d", data)


def copy_fail(reason: str) -> bytes:
    """CopyFail."""
    return message(b"f", text(reason))


# Talking


class RawClient:
    """A connection that hasn't said anything yet. ``heard`` has all messages received so far."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.heard: list[Message] = []
        self.backend_key = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes, *, pieces_of: int | None = None) -> None:
        """Send ``data``, at once or in pieces of so many bytes, each in a TCP segment of its own."""
        if pieces_of is None:
            self._socket.sendall(data)
            return
        for start in range(0, len(data), pieces_of):
            self._socket.sendall(data[start : start + pieces_of])

    def close_sending(self) -> None:
        """Half-close: no more will be said. The peer may have closed before."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def reset(self) -> None:
        """Close at once with a TCP reset, as a crashed client's kernel may."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def read_bytes(self, count: int) -> bytes:
        """Exactly ``count`` bytes. Raises EOFError when the peer closes before, in order or by a reset."""
        while len(self._buffer) < count:
            try:
                chunk = self._socket.recv(65536)
            except ConnectionResetError:  # it closed with bytes of ours unread
                chunk = b""
            if not chunk:
                raise EOFError(f"closed; had {bytes(self._buffer[:200])!r}")
            self._buffer += chunk
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def read(self) -> Message:
        """The next message. Raises EOFError at the end."""
        header = self.read_bytes(5)
        heard = Message(header[:1], self.read_bytes(struct.unpack("!i", header[1:])[0] - 4))
        self.heard.append(heard)
        return heard

    def read_until(self, done: Callable[[Message], bool]) -> list[Message]:
        """Messages up to and including the first that is ``done``."""
        messages = [self.read()]
        while not done(messages[-1]):
            messages.append(self.read())
        return messages

    def read_until_kind(self, kinds: bytes, times: int = 1) -> list[Message]:
        """Messages up to and including the ``times``-th of one of ``kinds``."""
        messages: list[Message] = []
        for _ in range(times):
            messages += self.read_until(lambda m: m.kind in kinds)
        return messages

    def read_to_end(self) -> list[Message]:
        """All messages until the peer closes."""
        messages = []
        while True:
            try:
                messages.append(self.read())
            except EOFError:
                return messages

    def drain(self) -> bytes:
        """Whatever else comes until the peer closes, well formed or not. Raises TimeoutError if it doesn't close."""
        rest = bytes(self._buffer)
        while True:
            try:
                chunk = self._socket.recv(65536)
            except ConnectionResetError:
                return rest
            if not chunk:
                return rest
            rest += chunk

    def login(
        self,
        user: str,
        database: str,
        password: str | None = None,
        *,
        version: int = PROTOCOL_3_0,
        **parameters: str,
    ) -> list[Message]:
        """Start up and authenticate (trust, cleartext, md5, SCRAM-SHA-256) until ReadyForQuery or an error."""
        self.send(startup({"user": user, "database": database, **parameters}, version))
        return self.authenticate(user, password)

    def authenticate(self, user: str, password: str | None) -> list[Message]:
        """What follows a StartupMessage: answers the server's requests until ReadyForQuery or an error."""
        messages = []
        scram: Scram | None = None
        while True:
            heard = self.read()
            messages.append(heard)
            if heard.kind == b"K":
                self.backend_key = heard.body
            if heard.kind in b"ZE":
                return messages
            if heard.kind != b"R":
                continue
            request = struct.unpack("!i", heard.body[:4])[0]
            secret = password or ""
            if request == 3:
                self.send(message(b"p", text(secret)))
            elif request == 5:
                inner = hashlib.md5(secret.encode() + user.encode()).hexdigest()
                outer = hashlib.md5(inner.encode() + heard.body[4:]).hexdigest()
                self.send(message(b"p", text("md5" + outer)))
            elif request == 10:
                scram = Scram(secret)
                first = scram.first()
                mechanism = text("SCRAM-SHA-256")
                self.send(message(b"p", mechanism + struct.pack("!i", len(first)) + first))
            elif request == 11 and scram is not None:
                self.send(message(b"p", scram.final(heard.body[4:])))


class Scram:
    """The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._nonce = base64.b64encode(os.urandom(18))

    def first(self) -> bytes:
        """client-first-message; PostgreSQL ignores the user name in it."""
        return b"n,," + self._bare()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message."""
        given = dict(part.split(b"=", 1) for part in server_first.split(b","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password.encode(), base64.b64decode(given[b"s"]), int(given[b"i"])
        )
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        unproven = b"c=biws,r=" + given[b"r"]
        signed = b",".join((self._bare(), server_first, unproven))
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return unproven + b",p=" + base64.b64encode(proof)

    def _bare(self) -> bytes:
        return b"n=,r=" + self._nonce


def cancel(host: str, port: int, backend_key: bytes) -> None:
    """Send a CancelRequest for a session's BackendKeyData, and wait until the server closes, as libpq does."""
    with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(message(b"", struct.pack("!i", CANCEL) + backend_key))
        answer = connection.recv(64)
    if answer:
        raise AssertionError(f"a cancel request was answered: {answer!r}")


# Comparing


def normalise(messages: Iterable[Message], replacements: Mapping[bytes, bytes]) -> list[Message]:
    """Without what differs between any two sessions: cancel keys, PIDs, random salts and nonces, names of
    twins.

    ``replacements`` maps regular expressions to what takes the place of their matches.
    """
    result = []
    for heard in messages:
        body = heard.body
        if heard.kind == b"K":
            body = b"\0" * len(body)
        elif heard.kind == b"A":
            body = b"\0\0\0\0" + body[4:]
        elif heard.kind == b"R" and len(body) >= 4:
            body = _normalise_authentication(body)
        for pattern, instead in replacements.items():
            body = re.sub(pattern, instead, body)
        result.append(Message(heard.kind, body))
    return result


def _normalise_authentication(body: bytes) -> bytes:
    request = struct.unpack("!i", body[:4])[0]
    if request == 5:
        return body[:4] + b"salt"
    if request == 11:
        return body[:4] + re.sub(rb"(r=|s=)[^,]+", rb"\1", body[4:])
    if request == 12:
        return body[:4] + b"v="
    return body
