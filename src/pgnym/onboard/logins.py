"""The gateway's login on a server that doesn't hold the vault: it reads the catalog there, nothing else."""

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
