"""Getting rid of what the plaintext has left behind in the server's files.

- Dead row versions and index entries: the table is rewritten (VACUUM FULL), which makes new files for it, its TOAST
  table and its indexes; the old ones are cut to nothing at once.
- Statistics: ANALYZE replaces the most common values and histograms; the replaced rows of pg_statistic (and of
  pg_attrdef, for defaults) are themselves dead row versions, so these are rewritten as well.
- WAL: segments are recycled under new names with their old contents. ``scrub_wal`` overwrites them.
"""

from __future__ import annotations

from collections.abc import Collection

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Connection, Progress, Report, Stage, Table

CATALOGS = ("pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data", "pg_catalog.pg_attrdef")

MAY_CLEAN_CATALOGS = """
SELECT r.rolsuper OR pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = current_user AND d.datname = current_database()
"""

READY_SEGMENTS = """
SELECT count(*) FROM pg_catalog.pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND name > pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())
"""


async def clean(
    app: Connection, tables: Collection[Table], views: Collection[str], report: Report
) -> list[str]:
    """Rewrite tables and statistics; outside a transaction. ``views``: materialized views over them.

    Returns as advice what could not be done. Needs the tables' owner; for the catalogs the database's owner or a
    superuser.
    """
    statements = [f"VACUUM (FULL, ANALYZE) {table.sql}" for table in tables] + [
        f"ANALYZE {view}" for view in views
    ]
    # VACUUM leaves out, with a mere warning, what it may not process: so ask before.
    advice = []
    if await app.fetchval(MAY_CLEAN_CATALOGS):
        statements += [f"VACUUM FULL {name}" for name in CATALOGS]
    else:
        advice = [f"as a superuser or the database's owner: VACUUM FULL {', '.join(CATALOGS)}"]
    for done, statement in enumerate(statements, 1):
        await app.execute(statement)
        report(Progress(Stage.CLEAN, statement.rpartition(" ")[2], done, len(statements)))
    return advice


async def leftovers(app: Connection) -> list[str]:
    """Advice on what holds plaintext outside the tables and can't be cleaned by ``clean``."""
    advice = [
        "earlier backups, archived WAL, replicas that lag and the server's log files still hold plaintext"
    ]
    if await app.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements')"
    ):
        advice.append(
            "pg_stat_statements may hold statements with plaintext: SELECT pg_stat_statements_reset()"
        )
    slots = "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL"
    for (slot,) in await app.fetch(slots):
        advice.append(f"replication slot {slot} keeps WAL that holds plaintext until it is read")
    advice.append("the WAL of before is overwritten in time, or at once by: pgnym apply --scrub-wal")
    return advice


async def scrub_wal(app: Connection) -> int:
    """Overwrite the WAL written so far; returns how many segments were passed. Needs a superuser.

    A finished segment is renamed for later use and keeps its contents until it is written anew. A checkpoint sets the
    start of recovery behind all that was written and recycles what is older. Then each segment that lies ready is begun
    and closed (pg_switch_wal fills the rest with zeros, since PostgreSQL 11), and the second round does the same with
    those that the first one let go of. Segments that replication slots or archiving still need stay.
    """
    if not await app.fetchval("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"):
        raise OnboardError("only a superuser may switch and checkpoint the WAL", "give --url of a superuser")
    passed = 0
    for _ in range(2):
        await switch(app)
        await app.execute("CHECKPOINT")
        for _ in range(1 + await app.fetchval(READY_SEGMENTS)):
            await switch(app)
            passed += 1
    await app.execute("CHECKPOINT")
    return passed


async def switch(app: Connection) -> None:
    """Close the current segment; a record first, since an empty one is not closed."""
    await app.execute(
        "SELECT pg_catalog.pg_logical_emit_message(false, 'pgnym', ''), pg_catalog.pg_switch_wal()"
    )
