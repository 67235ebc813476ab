"""What a connector is. One is made by a function that an entry point of the group ``pgnym.connectors`` names.

The entry point's name is the ``kind`` of the configuration. The function is called once when the gateway starts, with a
``Setup``, and raises ``ConfigError`` for options that it can't use.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from pgnym.config.errors import ConfigError
from pgnym.config.secrets import read_secret

LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
"""Hosts that may be reached without TLS."""
Options = TypeVar("Options", bound=msgspec.Struct)


class ConnectorError(Exception):
    """The other system could not do it. ``message`` names what was tried and how it failed: no value, no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Connector(Protocol):
    """Another system. ``identifier``: the person's ID, or the value of a column, as configured; never "".

    Both raise ``ConnectorError``, and are cancelled when they take longer than the configured timeout.
    """

    async def report(self, identifier: str) -> list[Any]:
        """What is held on the person: things that msgspec can write as JSON. Empty if there is nothing."""

    async def erase(self, identifier: str) -> int:
        """Erase what is held; returns how many things that were, 0 if there was nothing.

        It may be called again after a failure, or after a success that could not be noted: then there is less, or nothing.
        """


@dataclass(frozen=True, slots=True)
class Setup:
    """What a connector is made of. ``name``: in the configuration. ``timeout`` in seconds. File names in ``options`` (keys
    that end in ``_file``) are absolute."""

    name: str
    options: Mapping[str, object]
    timeout: float

    def place(self, option: str) -> str:
        """How an error names an option."""
        return f"connectors.{self.name}.options" + (f".{option}" if option else "")

    def read(self, kind: type[Options]) -> Options:
        """The options as a struct (``forbid_unknown_fields``). Raises ConfigError."""
        try:
            return msgspec.convert(dict(self.options), kind)
        except msgspec.ValidationError as error:
            raise ConfigError(self.place(""), str(error)) from None

    def authorities(self, file: str | None) -> ssl.SSLContext:
        """TLS that verifies the server, by the authorities of a PEM file or those of the system. Raises ConfigError."""
        try:
            return ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError):
            raise ConfigError(self.place("authority_file"), "is no PEM file of an authority") from None

    def secret(self, option: str, file: str) -> str:
        """The first line of a secrets file. Raises ConfigError, which shows nothing of it."""
        text = read_secret(file, self.place(option)).partition("\n")[0].strip()
        if not text:
            raise ConfigError(self.place(option), f"{file} is empty")
        return text


Make = Callable[[Setup], Connector]
