"""The master key in shares that people keep: SLIP-39 mnemonics, any M of N of which give the key back.

SLIP-39 (SatoshiLabs, "Shamir's Secret-Sharing for Mnemonic Codes") is Shamir's scheme over GF(256) with a digest of the
secret among the shares, so that a wrong set is noticed, and a checksum over each share's words, so that a mistyped one is.
The implementation is the reference one, ``shamir-mnemonic``. No passphrase is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.share import Share

from pgnym.vault.errors import VaultError
from pgnym.vault.keys import KEY_LENGTH, MasterKey

MOST_SHARES = 16  # of SLIP-39: member indexes have four bits
_EXPONENT = 0  # of PBKDF2's rounds: they would slow down guessing a passphrase, and there is none


class ShareRefused(VaultError):
    """A share that can't be used. What was given before it stays as it was."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the shares that are needed have been given. ``needed`` is 0 as long as none has."""

    given: int
    needed: int


def split(master: MasterKey, threshold: int, count: int) -> list[str]:
    """``count`` shares of the master key, any ``threshold`` of which are enough. Errors: ValueError for odd numbers."""
    if not 1 <= threshold <= count <= MOST_SHARES or (threshold == 1 and count > 1):
        raise ValueError(
            f"{threshold} of {count} shares is not possible (2 of 2 to {MOST_SHARES} of {MOST_SHARES}, or 1 of 1)"
        )
    (shares,) = generate_mnemonics(1, [(threshold, count)], master.expose(), iteration_exponent=_EXPONENT)
    return list(shares)


class ShareCollector:
    """Collects shares until there are enough."""

    def __init__(self) -> None:
        self._shares: dict[int, Share] = {}

    def __repr__(self) -> str:
        return f"<ShareCollector with {len(self._shares)} shares>"

    @property
    def progress(self) -> Progress:
        """How far it is."""
        needed = next((share.member_threshold for share in self._shares.values()), 0)
        return Progress(len(self._shares), needed)

    def add(self, text: str) -> Progress:
        """Take one more share, or the same again. Errors: ShareRefused, which never shows a word of it."""
        try:
            share = Share.from_mnemonic(text.strip().lower())
        except MnemonicError:
            raise ShareRefused(
                "the share is not valid",
                hint="A word is wrong, missing or in the wrong place: check it and type it again.",
            ) from None
        if share.group_count != 1 or len(share.value) != KEY_LENGTH:
            raise ShareRefused(
                "the share is not one of a pgnym master key", hint="Shares are made by: pgnym keys split"
            )
        first = next(iter(self._shares.values()), None)
        if first is not None and share.common_parameters() != first.common_parameters():
            raise ShareRefused(
                "the share belongs to another set than those given before",
                hint="Shares of two splits can't be mixed. Start over to use the other set.",
            )
        known = self._shares.get(share.index)
        if known is not None and known != share:
            raise ShareRefused(
                "another share of the same number was given before", hint="One of the two is wrong."
            )
        self._shares[share.index] = share
        return self.progress

    def combine(self) -> MasterKey:
        """The master key, once there are enough shares; they are forgotten. Errors: ShareRefused."""
        progress = self.progress
        if not progress.needed or progress.given < progress.needed:
            raise ShareRefused(f"{progress.given} of {progress.needed} shares are not enough")
        shares = list(self._shares.values())[: progress.needed]
        self.clear()
        try:
            return MasterKey(combine_mnemonics([share.mnemonic() for share in shares]))
        except MnemonicError:
            raise ShareRefused(
                "the shares don't fit together", hint="One of them is wrong. All were forgotten: start over."
            ) from None

    def clear(self) -> None:
        """Forget all shares."""
        self._shares.clear()
