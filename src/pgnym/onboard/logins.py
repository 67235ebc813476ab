"""The gateway's login on a server that doesn't hold the vault: it reads the catalog there.

(For reports and erasures it can take on a role with rights to tables: see ``rights.py``.)
"""

from __future__ import annotations

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Connection, quoted
from pgnym.vault.migrations import scram_verifier


async def ensure_login(app: Connection, user: str, password: str | None) -> None:
    """Create the login if it isn't there, and set its password (as a SCRAM verifier, so that no log holds
    it)."""
    row = await app.fetchrow("SELECT rolsuper, rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1", user)
    secret = f" PASSWORD '{scram_verifier(password)}'" if password is not None else ""
    if row is None:
        await app.execute(
            f"CREATE ROLE {quoted(user)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS{secret}"
        )
    elif row["rolsuper"] or not row["rolcanlogin"]:
        text = f"role {user} can't be the gateway's: it must log in and be no superuser"
        raise OnboardError(text, "name another by vault.user")
    elif secret:
        await app.execute(f"ALTER ROLE {quoted(user)}{secret}")
    database = await app.fetchval("SELECT current_database()")
    await app.execute(f"GRANT CONNECT ON DATABASE {quoted(database)} TO {quoted(user)}")


_SCRAM = """
CREATE SCHEMA IF NOT EXISTS pgnym;
CREATE OR REPLACE FUNCTION pgnym.scram_verifier(name text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 $$;
REVOKE ALL ON FUNCTION pgnym.scram_verifier(text) FROM PUBLIC;
"""


async def ensure_verifiers(app: Connection, user: str) -> bool:
    """Let the gateway check SCRAM passwords itself, which it has to with TLS on both legs; False where the owner may not.

    Only the owner of the function, a superuser, can read ``pg_authid``; only ``user`` may call it.
    """
    if not await app.fetchval("SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"):
        return False
    async with app.transaction():
        await app.execute(_SCRAM)
        await app.execute(
            f"GRANT USAGE ON SCHEMA pgnym TO {quoted(user)};"
            f"GRANT EXECUTE ON FUNCTION pgnym.scram_verifier(text) TO {quoted(user)}"
        )
    return True
