"""Keys: the master key, what is derived from it, and how keys are wrapped.

    master key ── HKDF ──▶ wrapping key per KEK ── AES-KW ──▶ KEK of a tenant
    KEK        ── HKDF ──▶ wrapping key per key ── AES-KW ──▶ data, token, search and audit keys of the tenant

KEKs and the keys below them are random. HKDF-SHA-256 (RFC 5869) binds each wrapping key to tenant, purpose and
generation, so AES-KW (RFC 3394, NIST SP 800-38F), which has no associated data, still refuses a wrapped key that was
moved to another row; and no nonce has to be kept unique.

Wiping is best effort: bytes that CPython or OpenSSL copied before can't be reached. The objects that hold keys here are
overwritten and let go, and never show a key in their repr.
"""

from __future__ import annotations

import base64
import os
from enum import Enum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from pgnym.vault.errors import KeyProblem, WrongMasterKey

KEY_LENGTH = 32

_LABEL = b"pgnym/v1/"


class Purpose(Enum):
    """What a wrapped key is for. No key serves two purposes."""

    KEK = "kek"  # wraps the tenant's other keys
    DATA = "data"  # seals values
    TOKEN = "token"  # noqa: S105 - computes deterministic tokens
    SEARCH = "search"  # computes blind indexes
    AUDIT = "audit"  # seals details of audit records, and chains them


def derive(key: bytes | bytearray, label: bytes, context: bytes = b"", length: int = KEY_LENGTH) -> bytes:
    """HKDF-SHA-256 without salt (the keys are uniform). ``label`` separates uses, ``context`` instances of a use."""
    info = _LABEL + label + b"\x00" + context
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(bytes(key))


def master_key_generate() -> str:
    """A new master key, as base64 text."""
    return base64.b64encode(os.urandom(KEY_LENGTH)).decode("ascii")


class Secret:
    """A key of 32 bytes in memory. ``name`` is what errors and repr say."""

    __slots__ = ("_key", "name")

    def __init__(self, key: bytes | bytearray, name: str) -> None:
        if len(key) != KEY_LENGTH:
            raise KeyProblem(f"{name} has {len(key)} bytes, not {KEY_LENGTH}", key=name)
        self._key = bytearray(key)
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled or copied")

    @property
    def wiped(self) -> bool:
        """Whether the key is gone."""
        return not self._key

    def expose(self) -> bytes:
        """The key itself, for a primitive. KeyProblem once it is wiped."""
        if not self._key:
            raise KeyProblem(f"{self.name} was wiped", key=self.name, hint="Unseal the gateway first.")
        return bytes(self._key)

    def derive(self, label: bytes, context: bytes = b"") -> bytes:
        """A key for one use of this one; see ``derive``."""
        return derive(self.expose(), label, context)

    def wipe(self) -> None:
        """Overwrites the key and lets it go."""
        self._key[:] = bytes(len(self._key))
        self._key.clear()

    def wrap(self, key: bytes, purpose: Purpose, tenant: int, generation: int) -> bytes:
        """``key`` wrapped for one place in the key table."""
        return aes_key_wrap(self.derive(b"wrap", _place(purpose, tenant, generation)), key)

    def unwrap(self, wrapped: bytes, purpose: Purpose, tenant: int, generation: int) -> Secret:
        """The key that ``wrap`` wrapped for this place; KeyProblem if it is another place, key or content."""
        name = f"{tenant}/{purpose.value}/{generation}"
        try:
            key = aes_key_unwrap(self.derive(b"wrap", _place(purpose, tenant, generation)), wrapped)
        except (InvalidUnwrap, ValueError):
            raise KeyProblem(
                f"key {name} of the vault does not unwrap under {self.name}",
                key=name,
                hint="The key table was changed or restored apart from the rest. Nothing was changed.",
            ) from None
        return Secret(key, f"key {name}")


class MasterKey(Secret):
    """The key under which all others lie: 32 bytes, from wherever. ``id`` tells one from another and is safe to show."""

    __slots__ = ("id",)

    def __init__(self, secret: bytes | bytearray) -> None:
        super().__init__(secret, "the master key")
        self.id = derive(secret, b"master key id", length=8).hex()
        self.name = f"master key {self.id}"

    def unwrap_kek(self, wrapped: bytes, tenant: int, generation: int) -> Secret:
        """A tenant's KEK; WrongMasterKey if this is not the key it was wrapped by."""
        try:
            return self.unwrap(wrapped, Purpose.KEK, tenant, generation)
        except KeyProblem as problem:
            raise wrong_master_key(self, problem.key) from None


def wrong_master_key(given: MasterKey, key: str, wanted: str | None = None) -> WrongMasterKey:
    """The error for a master key that does not fit. ``key``: what did not unwrap; ``wanted``: id of the right one."""
    by = f"was wrapped by master key {wanted}" if wanted else "does not unwrap"
    return WrongMasterKey(
        f"wrong master key: {key} of the vault {by}; given was master key {given.id}",
        key=key,
        hint="Give the master key that this vault was made with. Nothing was changed.",
    )


def _place(purpose: Purpose, tenant: int, generation: int) -> bytes:
    return purpose.value.encode() + b"\x00" + tenant.to_bytes(4, "big") + generation.to_bytes(4, "big")
