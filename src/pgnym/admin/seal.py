"""The seal: its state, unsealing (whoever has a share or the key needs no other proof), and sealing."""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

import msgspec

from pgnym.admin.problems import Problem
from pgnym.vault.errors import AlreadyUnsealed, KeyProblem, VaultError
from pgnym.vault.shares import Progress, ShareRefused


class Sealing(Protocol):
    """How the gateway is given its master key, and loses it."""

    @property
    def progress(self) -> Progress:
        """How many shares have been given."""

    async def give_key(self, secret: bytes) -> None:
        """The key itself."""

    async def give_share(self, text: str) -> Progress:
        """One share."""

    def forget_shares(self) -> None:
        """Start over."""

    async def seal(self) -> None:
        """End sessions and wipe keys."""


class SealState(msgspec.Struct, frozen=True):
    """Whether the master key is missing, and how many shares there are of those needed (0: none given yet)."""

    sealed: bool
    shares_given: int
    shares_needed: int


class Unseal(msgspec.Struct, forbid_unknown_fields=True):
    """One of the three. ``key`` is in base64; ``reset`` forgets shares given before."""

    share: str | None = None
    key: str | None = None
    reset: bool = False


async def unseal(sealing: Sealing | None, given: Unseal) -> None:
    """Take a share, or the key. Raises Problem; what was sent is not repeated."""
    sealing = possible(sealing)
    if sum((given.share is not None, given.key is not None, given.reset)) != 1:
        raise Problem(400, "give one of share, key and reset")
    try:
        secret = None if given.key is None else base64.b64decode(given.key, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, "the key is not base64") from None
    try:
        if given.share is not None:
            await sealing.give_share(given.share)
        elif secret is not None:
            await sealing.give_key(secret)
        else:
            sealing.forget_shares()
    except AlreadyUnsealed as error:
        raise Problem(409, error.message) from None
    except (ShareRefused, KeyProblem) as error:
        raise Problem(422, f"{error.message}. {error.hint or ''}".strip()) from None
    except VaultError as error:
        raise Problem(503, f"{error.message}. {error.hint or ''}".strip()) from None


def possible(sealing: Sealing | None) -> Sealing:
    """The sealing, or Problem 409 where there is none."""
    if sealing is None:
        raise Problem(409, "this gateway only observes: it has no keys")
    return sealing
