"""Protected columns that no processing activity of the register names: what is done with them is not described."""

from __future__ import annotations

from pgnym.config.model import Config
from pgnym.config.patterns import best
from pgnym.onboard.model import Connection, Finding
from pgnym.vault.connection import set_tenant

_SHOWN = 5


async def unregistered(config: Config, vault: Connection) -> list[Finding]:
    """One warning that names them, or none. ``vault``: with a schema of this version; the owner's connection."""
    patterns: set[str] = set()
    async with vault.transaction(readonly=True):
        for (tenant,) in await vault.fetch("SELECT id FROM vault.tenant ORDER BY id"):
            await set_tenant(vault, tenant)
            for (columns,) in await vault.fetch(
                "SELECT columns FROM vault.processing_activity WHERE tenant = $1", tenant
            ):
                patterns.update(columns)
    missing = [column.name for column in config.columns() if not best(patterns, column.name)]
    if not missing:
        return []
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return [
        Finding(
            "the register",
            f"no processing activity names {', '.join(missing[:_SHOWN])}{more}",
            "describe what is done with them (Art. 30 GDPR): docs/register.md",
        )
    ]
