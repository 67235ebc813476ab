"""What can go wrong in the vault. Messages name things (tenant, key, domain), never a value, key or password."""

from __future__ import annotations


class VaultError(Exception):
    """Base of all errors of this room. ``message`` says what and where, ``hint`` what would help."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class VaultUnavailable(VaultError):
    """The vault's server can't be reached, or did not answer in time. What was asked for may or may not be done."""


class VaultOutdated(VaultError):
    """The vault's schema is missing, or of another version than this pgnym."""


class TooManyValues(VaultError):
    """A question concerns more values than may be opened for one answer.

    ``bound`` says how many may, ``by_index`` that an index found as many as that (else a domain holds them).
    """

    def __init__(self, message: str, *, bound: int, by_index: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.bound = bound
        self.by_index = by_index


class CannotOpen(VaultError):
    """A ciphertext does not open: changed, moved to another token or tenant, or its key is gone."""


class KeyGone(CannotOpen):
    """The key of a ciphertext is not there: it was destroyed, perhaps after the row had been read."""


class KeyProblem(VaultError):
    """A key can't be used. ``key`` says which one (a master key's id, or ``tenant/purpose/generation``)."""

    def __init__(self, message: str, *, key: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key


class WrongMasterKey(KeyProblem):
    """The vault's keys were wrapped by another master key. Nothing was changed."""


def vault_closed() -> VaultUnavailable:
    """The error for whoever comes after the vault was closed."""
    return VaultUnavailable("the vault is closed", hint="The gateway is sealed or shutting down.")


class AlreadyUnsealed(VaultError):
    """The gateway has its key."""
