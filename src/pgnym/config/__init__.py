"""The typed configuration: ``pgnym.yaml``, the environment, and what must hold between them.

May import: nothing of pgnym. Any room but wire, sql and vault may import it.
"""

from pgnym.config.address import Address
from pgnym.config.errors import ConfigError
from pgnym.config.load import load, parse
from pgnym.config.model import Column, Config, ProtectedColumn, Role, Table
from pgnym.config.secrets import admin_url, master_key, master_key_of_file, vault_password

__all__ = [
    "Address",
    "Column",
    "Config",
    "ConfigError",
    "ProtectedColumn",
    "Role",
    "Table",
    "admin_url",
    "load",
    "master_key",
    "master_key_of_file",
    "parse",
    "vault_password",
]
