"""Secrets never stand in the configuration: they come from the environment or from files it names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from pgnym.config.errors import ConfigError
from pgnym.config.model import Config

MASTER_KEY = "PGNYM_MASTER_KEY"
VAULT_PASSWORD = "PGNYM_VAULT_PASSWORD"  # noqa: S105 - the variable's name
ADMIN_URL = "PGNYM_ADMIN_URL"
MAX_BYTES = 4096


def master_key(config: Config, environment: Mapping[str, str]) -> bytes | None:
    """The 32 bytes of the master key, or None (start sealed); the environment wins. Raises ConfigError."""
    place, text = MASTER_KEY, environment.get(MASTER_KEY)
    if text is None:
        if config.keys.master_key_file is None:
            return None
        place = "keys.master_key_file"
        text = read_secret(config.keys.master_key_file, place)
    return key_of(text, place)


def master_key_of_file(name: str, place: str) -> bytes:
    """The 32 bytes of the master key in a secrets file. Raises ConfigError; ``place`` says what named the file."""
    return key_of(read_secret(name, place), place)


def key_of(text: str, place: str) -> bytes:
    """The 32 bytes of a master key in base64. Raises ConfigError, which never shows any of it."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ConfigError(place, "expected 32 bytes in base64", "make one with: pgnym keys generate")
    return key


def vault_password(config: Config, environment: Mapping[str, str]) -> str | None:
    """The password of the gateway's own login (``vault.user``), or None. Raises ConfigError."""
    text = environment.get(VAULT_PASSWORD)
    if text is None and config.vault.password_file is not None:
        text = read_secret(config.vault.password_file, "vault.password_file").rstrip("\r\n")
    if text == "":
        raise ConfigError("vault.password_file", "the password is empty")
    return text


def admin_url(option: str | None, environment: Mapping[str, str]) -> str:
    """The owner's connection URL: ``--url``, else the environment. Raises ConfigError if there is none."""
    url = option or environment.get(ADMIN_URL)
    if not url:
        raise ConfigError("--url", "missing", f"give the owner's URL of the database, or set {ADMIN_URL}")
    return url


def read_secret(name: str, place: str) -> str:
    """The text of a secrets file. Raises ConfigError, which never shows any of it."""
    try:
        with Path(name).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return data.decode()
    except OSError as error:
        raise ConfigError(place, f"{name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        pass
    raise ConfigError(place, f"{name} is not a short text file")
