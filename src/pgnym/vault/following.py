"""How a process follows changes of the master key (``master_rotation``) and of token keys (``pausing``) while it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from pgnym.vault.errors import VaultError, vault_closed
from pgnym.vault.keyring import Keyring, TenantKeys
from pgnym.vault.keys import MasterKey

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Run = Callable[[Callable[["Connection"], Awaitable[Any]]], Awaitable[Any]]


class MasterFollower:
    """The master key of a process, and how another takes its place.

    ``run``: does work on the connection for keys, while nothing else is done with keys. ``changed`` is called when another
    master key is in use.
    """

    def __init__(self, keyring: Keyring, run: Run, changed: Callable[[], None]) -> None:
        self._keyring = keyring
        self._run = run
        self._changed = changed
        self.find: Callable[[], bytes | None] = lambda: None
        """Gives a master key that may be another by now: asked for while the master key is being changed."""

    @property
    def id(self) -> str:
        """The id of the master key in use."""
        return self._keyring.master_id

    async def replaceable(self) -> bool:
        """Whether another master key could take the place of ours, since a change of it is under way."""
        return bool(await self._run(self._keyring.replaceable))

    async def adopt(self, master: MasterKey) -> None:
        """Go on under the other key of a change of the master key. ``master`` is owned from now on.

        Errors: WrongMasterKey (nothing was changed), VaultUnavailable.
        """
        try:
            await self._run(lambda connection: self._keyring.adopt(connection, master))
        except BaseException:
            master.wipe()
            raise
        self._changed()

    async def look(self) -> None:
        """Adopt the master key that ours is being changed to, if it lies where ours came from."""
        try:
            if not await self.replaceable():
                return
            secret = self.find()
            if secret is not None and MasterKey(secret).id != self.id:
                await self.adopt(MasterKey(secret))
        except VaultError:
            # If the server can't be reached, the watch will have us look again; and a key that is neither of the two is
            # left to whoever gives it as the key.
            return


class Tokenizing(Protocol):
    """A tenant's part of the vault. ``token``: makes its deterministic tokens."""

    token: Callable[[bytes, bytes], bytes]
    keys: TenantKeys

    def use_tokens(self) -> bool:
        """Makes tokens by the keys that were read last; whether they are others than before."""


class TokenFollower:
    """Stops the making of tokens while a token key changes. ``reload``: reads a tenant's keys anew, given those it has."""

    def __init__(
        self,
        tenants: Callable[[], Iterable[Any]],
        reload: Callable[[Any, TenantKeys], Awaitable[None]],
    ) -> None:
        self._tenants: Callable[[], Iterable[Tokenizing]] = tenants
        self._reload = reload

    def suspend(self) -> None:
        """From here on nobody makes tokens: they would be those of before."""
        for tenant in self._tenants():
            tenant.token = _changing

    async def renew(self) -> bool:
        """Tokens are made again, by the keys that there are now; whether they are others. VaultError: not yet."""
        found = list(self._tenants())
        for tenant in found:
            await self._reload(tenant, tenant.keys)
        others = [tenant.use_tokens() for tenant in found]
        return any(others)


def _changing(_prefix: bytes, _identity: bytes) -> bytes:
    raise VaultError("the token key is being changed", hint="Try again in a moment.")


def wiped(_prefix: bytes, _identity: bytes) -> bytes:
    """What makes tokens of a tenant whose keys are gone: nothing does."""
    raise vault_closed()
