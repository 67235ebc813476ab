"""What can stand in the way of a report, an erasure or a purge."""

from __future__ import annotations

from pgnym.vault.errors import VaultError


class PrivacyError(VaultError):
    """It can't be done as things are. Nothing was changed, unless the message says what was. Names places, no values."""
