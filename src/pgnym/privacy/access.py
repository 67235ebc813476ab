"""Taking on the role that may read and erase a subject's rows, and whether it sees all that there is.

A gateway's login has no right to the application's tables. ``apply`` gives it a role that has (``onboard/rights.py``), and
this takes it on for a part of a transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import Holder, quoted
from pgnym.privacy.subjects import Place

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_MEMBER = "SELECT pg_catalog.pg_has_role(r.oid, 'MEMBER') FROM pg_catalog.pg_roles r WHERE r.rolname = $1"
# Rows may be hidden by row-level security, unless apply's policy lets the role see all and no other takes away.
_SEEN = """
SELECT t.name, coalesce(pg_catalog.has_table_privilege(t.name, 'SELECT'), false),
  pg_catalog.row_security_active(t.name) AND NOT (
    EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = t.name::regclass AND p.polname = 'pgnym_privacy'
      AND p.polpermissive AND p.polcmd = '*' AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
      AND (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) = ANY (p.polroles))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = t.name::regclass AND NOT p.polpermissive)
  )
FROM unnest($1::text[]) AS t (name)
"""


@dataclass(frozen=True, slots=True)
class Guise:
    """The role to take on, and the search_path that triggers of the application may expect."""

    role: str
    search_path: str


@asynccontextmanager
async def acting(app: Connection, guise: Guise | None) -> AsyncIterator[None]:
    """Take on a role within a transaction, until the end of the block. None: stay who one is.

    Where the block fails, the transaction must be rolled back.
    """
    if guise is None:
        yield
        return
    await app.execute(f"SET LOCAL ROLE {quoted(guise.role)}")
    await app.execute("SELECT pg_catalog.set_config('search_path', $1, true)", guise.search_path)
    yield
    # Not at the end of a savepoint: what SET LOCAL says lasts until that of the transaction.
    await app.execute("SET LOCAL ROLE NONE; SET LOCAL search_path = ''")


async def require(
    app: Connection, guise: Guise | None, places: Sequence[Place], everywhere: Iterable[Holder]
) -> None:
    """Raise PrivacyError unless all rows of all these tables are seen: what is hidden would be missing without a word."""
    if guise is not None and not await app.fetchval(_MEMBER, guise.role):
        raise PrivacyError(
            f"the gateway may not take on the role {guise.role}",
            hint="Run `pgnym apply`; it says what it lacks.",
        )
    names = sorted({place.sql for place in places} | {holder.sql for holder in everywhere})
    async with app.transaction(), acting(app, guise):
        for name, readable, hidden in await app.fetch(_SEEN, names):
            if not readable:
                raise PrivacyError(
                    f"there is no right to read {name}", hint="Run `pgnym apply`: it grants what is lacking."
                )
            if hidden:
                raise PrivacyError(
                    f"row-level security of {name} may hide rows",
                    hint="Run `pgnym apply`, or use a role with BYPASSRLS.",
                )
