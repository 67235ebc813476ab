"""The search_path of a session that has not begun yet, and what a value of that setting comes to."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_IDENTIFIER = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')

# The search_path that a login of user $1 begins with, as ``process_settings()`` in postinit.c finds it, and the schemas
# of it that exist and that the user may use, as ``recomputeNamespacePath()`` in namespace.c does. Run it on a connection
# that did not begin with a search_path of its own, of a role without one.
_PATH = """
SELECT coalesce(
  (SELECT pg_catalog.substr(c, 13) FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
   WHERE c LIKE 'search_path=%' AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1))
     AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
   ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1),
  (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'))
"""
_USABLE = """
SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r
WHERE r.rolname = $1 AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
"""


async def login_schemas(connection: Connection[Record], user: str) -> tuple[str, frozenset[str]]:
    """The search_path setting that a new session of ``user`` begins with, and the schemas that the user may use.

    Those are none when there is no such role. Raises what asyncpg raises.
    """
    usable = frozenset(row[0] for row in await connection.fetch(_USABLE, user))
    return await connection.fetchval(_PATH, user) or "", usable


def effective_path(setting: str, user: str, usable: Collection[str]) -> tuple[str, ...]:
    """What ``current_schemas(true)`` gives for a value of search_path: names that exist, pg_catalog first unless named."""
    named = [user if name == "$user" else name for name in identifiers(setting)]
    path = tuple(dict.fromkeys(name for name in named if name in usable or name == "pg_catalog"))
    return path if "pg_catalog" in path else ("pg_catalog", *path)


def identifiers(text: str) -> tuple[str, ...]:
    """The names of a list as ``SplitIdentifierString()`` reads it: unquoted ones are folded to lower case."""
    return tuple(
        quoted.replace('""', '"') if quoted or not plain else plain.lower()
        for quoted, plain in _IDENTIFIER.findall(text)
    )
