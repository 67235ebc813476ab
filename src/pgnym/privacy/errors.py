"""What can stand in the way of a report, an erasure or a purge."""

from __future__ import annotations

from pgnym.vault.errors import VaultError


class PrivacyError(VaultError):
    """It can't be done as things are. Nothing was changed, unless the message says what was. Names places, no values."""


class UnknownSubject(PrivacyError):
    """No row is of that subject; or none that this tenant may know of, which is told no differently."""


class OthersRows(PrivacyError):
    """Rows of the subject are another tenant's."""


def unknown_subject(table: str) -> UnknownSubject:
    """The error for an ID that no row of the subject's table has."""
    return UnknownSubject(f"no row of {table} is of that subject", hint="Look at the ID.")
