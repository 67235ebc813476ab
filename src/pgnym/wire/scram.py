"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929), both sides, without I/O.

A gateway that ends TLS on both legs can't relay the exchange, since a client binds to the gateway's certificate. It plays
the server to the client, with the server's own verifier, and the client to the server. A client's proof is ClientKey XOR
ClientSignature, and the verifier is enough to compute ClientSignature: so who checks a proof learns ClientKey, and that is
enough to make a proof of one's own (RFC 5802 section 9 says so of whoever has the verifier and sees an exchange). No
password is seen or stored.

As PostgreSQL does, user names in the messages are ignored (the one in the start-up packet counts), and authzid is refused.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC

PLAIN, PLUS = b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS"
BINDING_TYPE = b"tls-server-end-point"
MAX_ITERATIONS = 10_000_000
_KEY = 32
_NONCE = 18  # bytes, as PostgreSQL's SCRAM_RAW_NONCE_LEN
_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(\d{1,8}):([A-Za-z0-9+/=]{1,1000})\$([A-Za-z0-9+/=]{44}):([A-Za-z0-9+/=]{44})"
)
_CLIENT_FIRST = re.compile(
    rb"(?P<gs2>(?P<flag>[ny]|p=(?P<type>[A-Za-z0-9.-]{1,64})),(?P<authzid>[^,]*),)(?P<bare>n=[^,]*,r=(?P<nonce>[!-+\--~]{1,512})(?:,.*)?)",
    re.DOTALL,
)
_CLIENT_FINAL = re.compile(
    rb"(?P<without>c=(?P<binding>[A-Za-z0-9+/=]{1,4096}),r=(?P<nonce>[!-+\--~]{1,1024})(?:,[^p].*)?),p=(?P<proof>[A-Za-z0-9+/=]{1,128})",
    re.DOTALL,
)
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\--~]{1,1024}),s=(?P<salt>[A-Za-z0-9+/=]{1,1024}),i=(?P<count>\d{1,8})(?:,.*)?",
    re.DOTALL,
)
_SERVER_FINAL = re.compile(rb"v=(?P<signature>[A-Za-z0-9+/=]{1,128})(?:,.*)?", re.DOTALL)


class ScramError(Exception):
    """A message that isn't as the protocol has it, or a peer that isn't who it should be. Its text holds no secret."""


class WrongProof(ScramError):
    """The client doesn't know the password."""


@dataclass(frozen=True, slots=True, repr=False)
class Verifier:
    """What a server stores of a password (RFC 5803). It gives no login by itself, but an attack on the password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier | None:
        """From ``pg_authid.rolpassword``; None for one of another kind (md5)."""
        found = _VERIFIER.fullmatch(text)
        if found is None:
            return None
        salt, stored, server = (_decoded(part.encode()) for part in found.groups()[1:])
        if len(stored) != _KEY or len(server) != _KEY or not 1 <= int(found[1]) <= MAX_ITERATIONS:
            return None
        return cls(int(found[1]), salt, stored, server)

    @classmethod
    def mock(cls, secret: bytes, user: bytes, iterations: int = 4096) -> Verifier:
        """Of a user that has none: no proof fits, and the salt is the same each time (RFC 5802 section 5.1's advice)."""
        salt = _hmac(secret, b"salt" + user)[:16]
        return cls(iterations, salt, os.urandom(_KEY), os.urandom(_KEY))


class ScramServer:
    """The server's side. ``binding``: the channel's data (hash of the certificate) where PLUS was offered."""

    def __init__(self, verifier: Verifier, binding: bytes | None) -> None:
        self._verifier = verifier
        self._binding = binding
        self._gs2 = b""
        self._bound = False
        self._nonce = b""
        self._auth = b""
        self._signature = b""

    def first(self, mechanism: bytes, message: bytes) -> bytes:
        """The answer to the client's first message. Raises ScramError."""
        found = _CLIENT_FIRST.fullmatch(message)
        if found is None:
            raise ScramError("malformed SCRAM message: client-first-message")
        flag = found["flag"]
        if found["authzid"]:
            raise ScramError("client uses authorization identity, but it is not supported")
        self._bound = mechanism == PLUS
        if self._bound != flag.startswith(b"p="):
            raise ScramError(
                "malformed SCRAM message: the mechanism and its channel binding flag don't fit together"
            )
        if self._bound and (self._binding is None or found["type"] != BINDING_TYPE):
            raise ScramError("unsupported SCRAM channel-binding type")
        if flag == b"y" and self._binding is not None:
            # RFC 5802 section 6: somebody has taken PLUS out of our offer.
            raise ScramError("SCRAM channel binding negotiation error")
        if b",m=" in b"," + found["bare"]:
            raise ScramError("client requires an unsupported SCRAM extension")
        self._gs2 = found["gs2"]
        self._nonce = found["nonce"] + base64.b64encode(os.urandom(_NONCE))
        verifier = self._verifier
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, base64.b64encode(verifier.salt), verifier.iterations)
        self._auth = found["bare"] + b"," + answer
        return answer

    def final(self, message: bytes) -> bytes:
        """ClientKey, from the client's last message. Raises WrongProof, ScramError."""
        found = _CLIENT_FINAL.fullmatch(message)
        if found is None:
            raise ScramError("malformed SCRAM message: client-final-message")
        expected = self._gs2 + (self._binding if self._bound and self._binding is not None else b"")
        if not bytes_eq(_decoded(found["binding"]), expected):
            raise ScramError("SCRAM channel binding check failed")
        if not bytes_eq(found["nonce"], self._nonce):
            raise ScramError("invalid SCRAM response: nonce does not match")
        proof = _decoded(found["proof"])
        if len(proof) != _KEY:
            raise ScramError("malformed SCRAM message: proof")
        auth = self._auth + b"," + found["without"]
        client_key = _xor(proof, _hmac(self._verifier.stored_key, auth))
        if not bytes_eq(_sha256(client_key), self._verifier.stored_key):
            raise WrongProof("the proof does not fit")
        self._signature = _hmac(self._verifier.server_key, auth)
        return client_key

    def last(self) -> bytes:
        """The server's last message, once ``final`` has returned."""
        return b"v=" + base64.b64encode(self._signature)


class ScramClient:
    """The client's side, with a key in place of a password. ``binding``: to use PLUS on a channel with this data."""

    def __init__(self, verifier: Verifier, client_key: bytes, binding: bytes | None) -> None:
        self._verifier = verifier
        self._client_key = client_key
        self._binding = binding
        self._gs2 = b"n,," if binding is None else b"p=" + BINDING_TYPE + b",,"
        self._nonce = base64.b64encode(os.urandom(_NONCE))
        self._bare = b"n=,r=" + self._nonce
        self._auth = b""

    def first(self) -> tuple[bytes, bytes]:
        """The mechanism, and its first message."""
        return (PLAIN if self._binding is None else PLUS), self._gs2 + self._bare

    def final(self, message: bytes) -> bytes:
        """The answer to the server's first message. Raises ScramError; WrongProof where no proof would be accepted."""
        found = _SERVER_FIRST.fullmatch(message)
        if found is None or not found["nonce"].startswith(self._nonce) or found["nonce"] == self._nonce:
            raise ScramError("malformed SCRAM message from the server")
        if _decoded(found["salt"]) != self._verifier.salt or int(found["count"]) != self._verifier.iterations:
            # The server plays a user without a password: this one's is no longer valid, or was changed meanwhile.
            raise WrongProof("the server answers with another salt")
        without = b"c=%b,r=%b" % (base64.b64encode(self._gs2 + (self._binding or b"")), found["nonce"])
        self._auth = self._bare + b"," + message + b"," + without
        proof = _xor(self._client_key, _hmac(self._verifier.stored_key, self._auth))
        return without + b",p=" + base64.b64encode(proof)

    def check(self, message: bytes) -> None:
        """Is the server who it should be? Raises ScramError."""
        found = _SERVER_FINAL.fullmatch(message)
        if found is None or not bytes_eq(
            _decoded(found["signature"]), _hmac(self._verifier.server_key, self._auth)
        ):
            raise ScramError("the server does not know the password either")


def _hmac(key: bytes, data: bytes) -> bytes:
    keyed = HMAC(key, SHA256())
    keyed.update(data)
    return keyed.finalize()


def _sha256(data: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(data)
    return digest.finalize()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ScramError("malformed SCRAM message: base64") from None
