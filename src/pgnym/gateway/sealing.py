"""Sealed and unsealed: a gateway process with its keys, or without.

Sealed, it has no master key, no tenant's key and no value in memory, and refuses logins (57P03). Sealing an unsealed
one ends its sessions. Several workers of one gateway act alike: what one is told, it tells the others over the ``Bus``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from pgnym.audit.log import AuditLog
from pgnym.gateway.audit_keeper import AuditKeeper
from pgnym.gateway.audit_sender import AuditSender
from pgnym.gateway.resolver import Resolver
from pgnym.gateway.runtime import Runtime
from pgnym.vault.errors import AlreadyUnsealed, VaultError
from pgnym.vault.keys import MasterKey
from pgnym.vault.shares import Progress, ShareCollector
from pgnym.vault.store import Vault


class Word(Enum):
    """What workers of one gateway tell each other."""

    SHARE = b"S"  # a share was given: its words
    FORGET = b"F"  # start over with the shares
    KEY = b"K"  # the master key was given: its bytes
    SEAL = b"L"


class Bus(Protocol):
    """The way to the other workers."""

    def tell(self, word: Word, content: bytes) -> None:
        """To all others; they do the same."""


class Sealing:
    """The seal of one process.

    ``open_vault`` connects with a key that it then owns; ``open_log`` makes what goes with a vault.
    """

    def __init__(
        self,
        runtime: Runtime,
        open_vault: Callable[[MasterKey], Awaitable[Vault]],
        open_log: Callable[[Vault], tuple[AuditLog, AuditKeeper, AuditSender | None]],
        bus: Bus | None = None,
    ) -> None:
        self._runtime = runtime
        self._open_vault = open_vault
        self._open_log = open_log
        self.bus = bus
        self._shares = ShareCollector()
        self._lock = asyncio.Lock()

    @property
    def progress(self) -> Progress:
        """How many shares have been given."""
        return self._shares.progress

    async def give_key(self, secret: bytes, *, tell: bool = True) -> None:
        """Unseal with the master key itself; an unsealed one goes on with it, if the master key is being changed.

        Errors: AlreadyUnsealed, KeyProblem (no key), WrongMasterKey, VaultUnavailable, VaultOutdated, GatewayError. It is
        then as sealed as before.
        """
        await self._take(MasterKey(secret))
        self._shares.clear()
        if tell and self.bus is not None:
            self.bus.tell(Word.KEY, secret)

    async def give_share(self, text: str, *, tell: bool = True) -> Progress:
        """Take a share, and do as ``give_key`` if there are enough. Errors: ShareRefused, and those of ``give_key``."""
        vault = self._runtime.vault
        if vault is not None and not await vault.master.replaceable():
            raise _already()
        progress = self._shares.add(text)
        if tell and self.bus is not None:
            self.bus.tell(Word.SHARE, text.encode())
        if progress.given >= progress.needed:
            await self._take(self._shares.combine())
        return progress

    def forget_shares(self, *, tell: bool = True) -> None:
        """Start over."""
        self._shares.clear()
        if tell and self.bus is not None:
            self.bus.tell(Word.FORGET, b"")

    async def seal(self, *, tell: bool = True) -> None:
        """End all sessions, write what the audit log still holds, and wipe keys and values. Nothing if it is sealed."""
        runtime = self._runtime
        if tell and self.bus is not None:
            self.bus.tell(Word.SEAL, b"")
        self._shares.clear()
        async with self._lock:
            if runtime.vault is None:
                return
            vault, audit, keeper = runtime.vault, runtime.audit, runtime.audit_keeper
            sender = runtime.audit_sender
            runtime.vault = None  # from here on logins and look-ups are refused
            runtime.end_sessions()
            runtime.audit = runtime.audit_keeper = runtime.audit_sender = None
            runtime.resolver = Resolver()
            try:
                if keeper is not None:
                    await keeper.stop()
                if audit is not None:
                    await audit.close()
                if sender is not None:
                    await sender.stop()
            finally:
                await vault.close()
                await runtime.catalogs.close()
            runtime.log.warning("sealed")

    async def hear(self, word: Word, content: bytes) -> None:
        """What another worker was told."""
        try:
            if word is Word.KEY:
                await self.give_key(content, tell=False)
            elif word is Word.SHARE:
                await self.give_share(content.decode(), tell=False)
            elif word is Word.FORGET:
                self.forget_shares(tell=False)
            else:
                await self.seal(tell=False)
        except AlreadyUnsealed:
            return
        except VaultError as error:
            # The worker that was told has given the answer; this one would be of no use if it failed alone.
            self._runtime.log.error("this worker could not follow: %s", error.message)

    async def _take(self, master: MasterKey) -> None:
        vault = self._runtime.vault
        if vault is None:
            await self._unseal(master)
            return
        if master.id == vault.master.id or not await vault.master.replaceable():
            master.wipe()
            raise _already()
        await vault.master.adopt(master)
        self._runtime.log.info("goes on with master key %s", vault.master.id)

    async def _unseal(self, master: MasterKey) -> None:
        runtime = self._runtime
        async with self._lock:
            if runtime.vault is not None:
                master.wipe()
                raise _already()
            vault = await self._open_vault(master)
            try:
                await vault.tenant(runtime.config.tenants.default)
                await runtime.catalogs.start()
            except BaseException:
                await vault.close()
                raise
            runtime.audit, runtime.audit_keeper, runtime.audit_sender = self._open_log(vault)
            runtime.vault = vault
            vault.pauser.halt, vault.pauser.resume = runtime.halt.all, runtime.halt.over
            runtime.log.info("unsealed")


def _already() -> AlreadyUnsealed:
    return AlreadyUnsealed("the gateway is unsealed already", hint="Seal it first to give it another key.")
