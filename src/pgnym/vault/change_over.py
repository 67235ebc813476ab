"""The change-over from one master key to another, as the vault's tables have it.

    old master key ── HKDF ──▶ AES-KW ──┐
                                        ├─▶ bridge key ── HKDF ──▶ AES-KW ──▶ KEKs
    new master key ── HKDF ──▶ AES-KW ──┘

While it lasts the KEKs of all tenants lie under a random *bridge key*, which either master key opens: so gateways of both
kinds run side by side, and both can add tenants. Neither master key is ever wrapped under the other: a copy of the tables
from that time opens for whoever has one of the two, but gives nobody the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from pgnym.vault.keys import MasterKey, wrong_master_key

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

READ = "SELECT old_key, new_key, bridge, under_old, under_new FROM vault.master_rotation"
_LABEL = b"bridge"


@dataclass(frozen=True, slots=True)
class ChangeOver:
    """One row of ``vault.master_rotation``. ``old``, ``new``, ``bridge``: ids of keys."""

    old: str
    new: str
    bridge: str
    under_old: bytes | None = field(repr=False)
    under_new: bytes | None = field(repr=False)

    @classmethod
    async def read(cls, connection: Connection) -> ChangeOver | None:
        """The change-over that is under way."""
        row = await connection.fetchrow(READ)
        return None if row is None else cls(*row)

    @property
    def staying(self) -> str | None:
        """The id of the key that stays, once that is decided."""
        if self.under_old is None:
            return self.new
        return self.old if self.under_new is None else None

    def other(self, key: str) -> str:
        """The id of the other master key."""
        return self.new if key == self.old else self.old

    def admits(self, key: str) -> bool:
        """Whether the master key of this id opens the vault."""
        return key in (self.old, self.new) and self.staying in (None, key)

    def bridge_under(self, master: MasterKey) -> MasterKey:
        """The bridge key. WrongMasterKey if ``master`` is neither of the two, or not any more."""
        wrapped = {self.old: self.under_old, self.new: self.under_new}.get(master.id)
        if wrapped is None:
            raise wrong_master_key(master, "the bridge key", self.staying or f"{self.old} and {self.new}")
        try:
            return MasterKey(aes_key_unwrap(_wrapping(master, self.old, self.new), wrapped))
        except (InvalidUnwrap, ValueError):
            raise wrong_master_key(master, "the bridge key") from None


def wrap_bridge(master: MasterKey, bridge: MasterKey, old: str, new: str) -> bytes:
    """The bridge key under one master key, for the change-over between the keys of these ids."""
    return aes_key_wrap(_wrapping(master, old, new), bridge.expose())


def _wrapping(master: MasterKey, old: str, new: str) -> bytes:
    return master.derive(_LABEL, old.encode() + b"\x00" + new.encode())
