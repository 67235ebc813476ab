"""What both SQL connectors have in common: their options, and how they are checked."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from pgnym.config.errors import ConfigError
from pgnym.privacy.connectors.interface import Setup

MOST_ROWS = 10_000
Statement = Annotated[str, Meta(min_length=1)]


class SqlOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``report``: queries by name. ``erase``: statements, run in order in one transaction. Each has one parameter, the
    identifier, a text."""

    url: str
    password_file: str
    report: dict[str, Statement]
    erase: tuple[Statement, ...]
    authority_file: str | None = None


def read(setup: Setup, schemes: tuple[str, ...], parameter: str) -> tuple[SqlOptions, SplitResult, str]:
    """The options, the parts of the URL, and the password. Raises ConfigError."""
    options = setup.read(SqlOptions)
    try:
        parts = urlsplit(options.url)
        valid = parts.scheme in schemes and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not parts.hostname or not parts.username or not parts.path.strip("/"):
        raise ConfigError(setup.place("url"), f"expected {schemes[0]}://USER@HOST[:PORT]/DATABASE")
    if parts.password is not None:
        raise ConfigError(setup.place("url"), "holds a password", "use password_file")
    for place, texts in (("report", options.report.values()), ("erase", options.erase)):
        for text in texts:
            if text.rstrip().endswith(";"):
                raise ConfigError(setup.place(place), "a statement ends in a semicolon", "leave it out")
            if parameter not in text:
                raise ConfigError(setup.place(place), f"a statement without {parameter} is about everybody")
    return options, parts, setup.secret("password_file", options.password_file)
