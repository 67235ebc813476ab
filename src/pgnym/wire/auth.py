"""Authentication messages: what kinds there are, and SASL with its list of mechanisms (protocol, "SASL
Authentication").
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from pgnym.wire.frames import Backend, Buffer, Frontend
from pgnym.wire.reader import Reader, cstring, framed

MAX_MECHANISMS = 32
MAX_SASL = 65_535


class AuthKind(IntEnum):
    """The int32 that says which Authentication* message it is."""

    OK = 0
    KERBEROS_V5 = 2
    CLEARTEXT_PASSWORD = 3
    MD5_PASSWORD = 5
    GSS = 7
    GSS_CONTINUE = 8
    SSPI = 9
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12


@dataclass(frozen=True, slots=True)
class Authentication:
    """One Authentication* message. ``data`` is what follows the kind: salt, mechanisms, or SASL data.

    Its repr leaves ``data`` out: it is part of a proof of a password.
    """

    kind: AuthKind
    data: bytes = b""

    @classmethod
    def parse(cls, message: Buffer) -> Authentication:
        """Read a whole message, header included. Raises ``ProtocolViolation``, also for an unknown kind."""
        reader = Reader("Authentication", Backend.AUTHENTICATION, message)
        code = reader.int32()
        try:
            kind = AuthKind(code)
        except ValueError:
            raise reader.error(f"unknown kind {code}") from None
        data = reader.rest()
        if kind in _LENGTHS and len(data) != _LENGTHS[kind]:
            raise reader.error("wrong length")
        found = cls(kind, data)
        if kind is AuthKind.SASL:
            _mechanisms(reader, data)
        return found

    @property
    def mechanisms(self) -> tuple[bytes, ...]:
        """What an ``AuthKind.SASL`` message offers, best first; () for other kinds."""
        if self.kind is not AuthKind.SASL:
            return ()
        return tuple(name for name in self.data.split(b"\0") if name)

    def without_channel_binding(self) -> Authentication:
        """The same offer without the ``-PLUS`` mechanisms.

        Where TLS ends at the gateway the client's channel is not the server's, so binding to it can only
        fail.
        """
        return sasl(tuple(name for name in self.mechanisms if not name.endswith(b"-PLUS")))

    def build(self) -> bytes:
        """The message."""
        return framed(Backend.AUTHENTICATION, struct.pack("!i", self.kind) + self.data)

    def __repr__(self) -> str:
        return f"Authentication({self.kind.name})"


def sasl(mechanisms: tuple[bytes, ...]) -> Authentication:
    """An offer of ``mechanisms``."""
    return Authentication(AuthKind.SASL, b"".join(cstring(name) for name in mechanisms) + b"\0")


@dataclass(frozen=True, slots=True, repr=False)
class PasswordMessage:
    """A cleartext or md5 password, without its NUL."""

    password: bytes

    @classmethod
    def parse(cls, message: Buffer) -> PasswordMessage:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("PasswordMessage", Frontend.PASSWORD, message)
        password = reader.string()
        reader.done()
        return cls(password)

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.PASSWORD, cstring(self.password))


@dataclass(frozen=True, slots=True, repr=False)
class SASLInitialResponse:
    """The mechanism chosen, and its first data (None: none sent)."""

    mechanism: bytes
    data: bytes | None

    @classmethod
    def parse(cls, message: Buffer) -> SASLInitialResponse:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("SASLInitialResponse", Frontend.PASSWORD, message)
        mechanism = reader.string()
        data = reader.value()
        reader.done()
        return cls(mechanism, data)

    def build(self) -> bytes:
        """The message."""
        if self.data is None:
            return framed(Frontend.PASSWORD, cstring(self.mechanism) + b"\xff\xff\xff\xff")
        return framed(
            Frontend.PASSWORD, cstring(self.mechanism) + len(self.data).to_bytes(4, "big") + self.data
        )


@dataclass(frozen=True, slots=True, repr=False)
class SASLResponse:
    """Further SASL data from the client."""

    data: bytes

    @classmethod
    def parse(cls, message: Buffer) -> SASLResponse:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        return cls(Reader("SASLResponse", Frontend.PASSWORD, message).rest())

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.PASSWORD, self.data)


_LENGTHS = {
    AuthKind.OK: 0,
    AuthKind.KERBEROS_V5: 0,
    AuthKind.CLEARTEXT_PASSWORD: 0,
    AuthKind.MD5_PASSWORD: 4,
    AuthKind.GSS: 0,
    AuthKind.SSPI: 0,
}


def _mechanisms(reader: Reader, data: bytes) -> None:
    """Check the list: names ended by NUL, the list by one more."""
    names = data.split(b"\0")
    if len(names) < 3 or names[-2:] != [b"", b""] or not all(names[:-2]):
        raise reader.error("mechanism list without end or with an empty name")
    if len(names) > MAX_MECHANISMS:
        raise reader.error("too many mechanisms")
