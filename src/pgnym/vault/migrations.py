"""Migrations of the schema ``vault``: numbered SQL files, run by the owner, all in one transaction or not at all.

The grants are not part of a migration: they are set anew on each run, for the gateway's role, and whatever others were given
(by ``ALTER DEFAULT PRIVILEGES``, say) is taken back.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from pgnym.vault import locks
from pgnym.vault.errors import VaultError, VaultOutdated

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SCHEMA = "vault"

_GRANTS = {
    "migration": "SELECT",
    "tenant": "SELECT, INSERT",
    "master_rotation": "SELECT",
    "domain": "SELECT",
    "protected_column": "SELECT",
    "key": "SELECT, INSERT, UPDATE (reserved)",
    "value": "SELECT, INSERT, UPDATE (last_put), DELETE",
    "gram": "SELECT, INSERT",  # a value's deletion takes them along
    "search_epoch": "SELECT",
    "deletion": "SELECT, INSERT, UPDATE (noted), DELETE",  # UPDATE: for SELECT … FOR UPDATE
    "erasure_connector": "SELECT, INSERT, UPDATE, DELETE",
    "audit": "SELECT, INSERT",
    "audit_unchained": "SELECT",
    "audit_writer": "SELECT, INSERT, UPDATE (sequence, mac, head)",
    "audit_checkpoint": "SELECT, INSERT",
    "audit_export": "SELECT, INSERT, UPDATE (sequence)",
    "api_token": "SELECT, INSERT, UPDATE (revoked, last_used)",
    "reveal_grant": "SELECT, INSERT, UPDATE (revoked, revoked_by, seal)",
    "revocation": "SELECT, INSERT, UPDATE (epoch, names, seal)",
    "reveal_loan": "SELECT, INSERT, UPDATE (seconds, counts)",
    "idempotency_key": "SELECT, INSERT, UPDATE (request, created, under_way, answer), DELETE",
    "consent_text": "SELECT, INSERT",
    "consent_event": "SELECT, INSERT",
    "restriction_event": "SELECT, INSERT",
    "erasure": "SELECT, INSERT, UPDATE",
    "retention_run": "SELECT, INSERT, UPDATE (ended, told, problem), DELETE",
    "erasure_token": "SELECT, INSERT, DELETE",
    "legal_basis": "SELECT, INSERT, UPDATE, DELETE",
    "processing_activity": "SELECT, INSERT, UPDATE, DELETE",
    "activity_basis": "SELECT, INSERT, DELETE",
    "subject_request": "SELECT, INSERT, UPDATE (version, state, due, extended, reminded)",
    "subject_request_event": "SELECT, INSERT",
}
_FILE_NAME = re.compile(r"(\d{4})_\w+\.sql")
_SCRAM_ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. ``digest`` is kept with the version, so that a file changed afterwards is noticed."""

    version: int
    name: str
    sql: str
    digest: str


class MigrationFailed(VaultError):
    """The schema can't be brought to this version as things are. Nothing was changed."""


async def migrate(
    connection: Connection, gateway_user: str, gateway_password: str | None, *, may_see_all: str = ""
) -> int:
    """Brings the schema to this version and the gateway's role to its rights; returns the version. Idempotent.

    ``connection``: of the schema's owner, outside a transaction. ``gateway_user`` is created if it is not there. With
    ``gateway_password`` its password is set (sent as a SCRAM verifier, so that no server log holds it); with None it
    keeps what it has. ``may_see_all``: a role that the gateway may be a member of although row-level security doesn't bind
    it (it has no right to this schema). All or nothing. Errors: MigrationFailed, and what the server says
    (asyncpg.PostgresError).
    """
    async with connection.transaction():
        # Nothing here may be resolved along the path of whoever runs this.
        await connection.execute("SET LOCAL search_path = ''")
        await connection.execute("SELECT pg_catalog.pg_advisory_xact_lock($1)", locks.SCHEMA)
        version = await _run(connection)
        await _role(connection, gateway_user, gateway_password, may_see_all)
        await _grant(connection, gateway_user)
    return version


async def current_version(connection: Connection) -> int:
    """The version of the schema in this database; 0 if there is none. For the owner or the gateway's role."""
    if await connection.fetchval("SELECT pg_catalog.to_regclass('vault.migration') IS NULL"):
        return 0
    found: int = await connection.fetchval("SELECT coalesce(max(version), 0) FROM vault.migration")
    return found


def latest_version() -> int:
    """The version that this pgnym works with."""
    return _migrations()[-1].version


def outdated(found: int) -> VaultOutdated:
    """The error for a schema of another version than ``latest_version``."""
    if found == 0:
        return VaultOutdated("the vault's schema is not there", hint="Run `pgnym apply` first.")
    wanted = latest_version()
    hint = "Run `pgnym apply`." if found < wanted else "This pgnym is older than the vault: upgrade it."
    return VaultOutdated(f"the vault's schema has version {found}, this pgnym works with {wanted}", hint=hint)


@cache
def _migrations() -> tuple[Migration, ...]:
    found = []
    for entry in resources.files("pgnym.vault").joinpath("schema").iterdir():
        if match := _FILE_NAME.fullmatch(entry.name):
            sql = entry.read_text("utf-8")
            found.append(Migration(int(match[1]), entry.name, sql, hashlib.sha256(sql.encode()).hexdigest()))
    found.sort(key=lambda m: m.version)
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise AssertionError("the migration files are not numbered 1, 2, 3 …")
    return tuple(found)


async def _run(connection: Connection) -> int:
    if await connection.fetchval("SELECT pg_catalog.to_regclass('vault.migration') IS NULL"):
        if await connection.fetchval("SELECT pg_catalog.to_regnamespace('vault') IS NOT NULL"):
            raise MigrationFailed(
                "a schema `vault` that is not pgnym's is in this database",
                hint="Rename it, or give pgnym a database of its own by `vault.url`.",
            )
        await connection.execute("CREATE SCHEMA vault")
        await connection.execute(
            "CREATE TABLE vault.migration (version integer PRIMARY KEY, name text NOT NULL, digest text NOT NULL,"
            " applied timestamptz NOT NULL DEFAULT now())"
        )
    rows = await connection.fetch("SELECT version, digest FROM vault.migration")
    done: dict[int, str] = {row["version"]: row["digest"] for row in rows}
    if done and max(done) > latest_version():
        raise outdated(max(done))
    for migration in _migrations():
        if migration.version in done:
            if done[migration.version] != migration.digest:
                raise MigrationFailed(
                    f"migration {migration.name} is not the one that this database was made with",
                    hint="Use a released pgnym, of this version or a later one.",
                )
            continue
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO vault.migration (version, name, digest) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.digest,
        )
    return latest_version()


async def _role(connection: Connection, user: str, password: str | None, may_see_all: str) -> None:
    verifier = None if password is None else scram_verifier(password)
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", user
    ):
        try:
            await connection.execute(
                f"CREATE ROLE {_identifier(user)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
                + (f" PASSWORD '{verifier}'" if verifier else "")
            )
        except asyncpg.InsufficientPrivilegeError:
            raise MigrationFailed(
                f"the gateway's role {user} is not there, and this login may not create it",
                hint=f"As a superuser: CREATE ROLE {_identifier(user)} LOGIN PASSWORD '…';",
            ) from None
    else:
        await _refuse_mighty(connection, user, may_see_all)
        if verifier:
            await connection.execute(f"ALTER ROLE {_identifier(user)} PASSWORD '{verifier}'")


async def _refuse_mighty(connection: Connection, user: str, may_see_all: str) -> None:
    """An existing role serves only if row-level security binds it."""
    row = await connection.fetchrow(
        "SELECT r.rolcanlogin, r.rolsuper OR r.rolbypassrls AS above, pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER')"
        " OR EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE (m.rolsuper OR (m.rolbypassrls AND m.rolname <> $2))"
        " AND pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')) AS member"
        " FROM pg_catalog.pg_roles r, pg_catalog.pg_namespace n WHERE r.rolname = $1 AND n.nspname = 'vault'",
        user,
        may_see_all,
    )
    if row is None or row["above"] or row["member"] or not row["rolcanlogin"]:
        raise MigrationFailed(
            f"role {user} can't be the gateway's: it must log in, and neither be a superuser, bypass row-level security,"
            " own the schema vault, nor be a member of a role that does",
            hint="Name another by `vault.user`; it is created as needed.",
        )


async def _grant(connection: Connection, user: str) -> None:
    """Takes back all that anyone but the owner has on the schema, and gives the gateway what it needs."""
    owner, database = await connection.fetchrow(  # type: ignore[misc]
        "SELECT pg_catalog.pg_get_userbyid(nspowner), pg_catalog.current_database()"
        " FROM pg_catalog.pg_namespace WHERE nspname = 'vault'"
    )
    grantees = await connection.fetch(
        "SELECT DISTINCT coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') FROM ("
        "  SELECT a.grantee FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a WHERE n.nspname = 'vault'"
        "  UNION SELECT a.grantee FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a"
        "    WHERE c.relnamespace = 'vault'::pg_catalog.regnamespace"
        "  UNION SELECT a.grantee FROM pg_catalog.pg_attribute t JOIN pg_catalog.pg_class c ON c.oid = t.attrelid,"
        "    pg_catalog.aclexplode(t.attacl) a WHERE c.relnamespace = 'vault'::pg_catalog.regnamespace"
        "  UNION SELECT a.grantee FROM pg_catalog.pg_proc p, pg_catalog.aclexplode(p.proacl) a"
        "    WHERE p.pronamespace = 'vault'::pg_catalog.regnamespace"
        "  UNION SELECT 0"
        ") g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee WHERE r.rolname IS DISTINCT FROM $1",
        owner,
    )
    for (grantee,) in grantees:
        await connection.execute(
            f"REVOKE ALL ON SCHEMA vault FROM {grantee} CASCADE;"
            f"REVOKE ALL ON ALL TABLES IN SCHEMA vault FROM {grantee} CASCADE;"
            f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA vault FROM {grantee} CASCADE;"
            f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA vault FROM {grantee} CASCADE"
        )
    gateway = _identifier(user)
    await connection.execute(f"GRANT CONNECT ON DATABASE {_identifier(database)} TO {gateway}")
    await connection.execute(f"GRANT USAGE ON SCHEMA vault TO {gateway}")
    await connection.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vault TO {gateway}")
    for table, rights in _GRANTS.items():
        await connection.execute(f"GRANT {rights} ON vault.{table} TO {gateway}")


def _identifier(name: str) -> str:
    if not name or "\0" in name:
        raise MigrationFailed("an empty name can't be a role's or database's")
    return '"' + name.replace('"', '""') + '"'


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password under SCRAM-SHA-256 (RFC 5803, RFC 5802 section 3)."""
    if not password or not password.isascii() or not password.isprintable():
        # SASLprep (RFC 4013) leaves printable ASCII as it is, and only that.
        raise MigrationFailed("the gateway's password must be printable ASCII", hint="Generate a random one.")
    salt = os.urandom(16)
    salted = PBKDF2HMAC(hashes.SHA256(), 32, salt, _SCRAM_ITERATIONS).derive(password.encode())

    def mac(key: bytes, message: bytes) -> bytes:
        keyed = hmac.HMAC(key, hashes.SHA256())
        keyed.update(message)
        return keyed.finalize()

    stored_key = hashlib.sha256(mac(salted, b"Client Key")).digest()
    server_key = mac(salted, b"Server Key")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
