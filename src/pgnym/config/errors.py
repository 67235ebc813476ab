"""The one error of configuration."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration can't be used.

    Parameters: ``path`` where (``tables.public.customer.columns.email.tokens``; empty for the file
    as a whole), ``reason`` what is wrong, ``hint`` what would mend it, ``source`` the file's name. Never
    contains the value of a secret.
    """

    def __init__(self, path: str, reason: str, hint: str = "", source: str = "") -> None:
        self.path = path
        self.reason = reason
        self.hint = hint
        self.source = source
        super().__init__(": ".join(part for part in (source, path, reason) if part))
