"""Does every protected column hold what it should: its CHECK stands, and each of its tokens opens?"""

from __future__ import annotations

from dataclasses import dataclass

from pgnym.onboard import registry, rows, survey
from pgnym.onboard.applying import Tools
from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Finding, Stage, quoted
from pgnym.onboard.undoing import all_tenants
from pgnym.vault.tokens import TOKEN_PATTERN, prefix


@dataclass(frozen=True, slots=True)
class Verdict:
    """``tokens`` were looked at; ``findings`` is empty if all is well."""

    tokens: int
    findings: tuple[Finding, ...]


async def verify(tools: Tools) -> Verdict:
    """Look at every protected column of the database. Changes nothing."""
    findings: list[Finding] = []
    seen = 0
    async with survey.pinned(tools.app, "repeatable_read"):
        registered = await registry.read(tools.vault)
        found = await survey.all_bindings(tools.app)
        bound = survey.originals(found, registry.places(registered))
        for row in registered.values():
            if row.id not in bound and row.state == "protected":
                findings.append(Finding(row.name, "is registered, but its CHECK is gone", "pgnym apply"))
        for binding in found:
            identifier = binding.id
            label = f"{binding.schema}.{binding.table}"
            where = f"{label}.{binding.column}"
            if identifier not in registered:
                findings.append(Finding(where, "has a CHECK, but the vault doesn't know it"))
                continue
            if not binding.validated:
                findings.append(Finding(where, "its CHECK is NOT VALID"))
            table = await survey.table(tools.app, binding.schema, binding.table)
            if table is None:
                raise OnboardError(f"{label} is gone that was there a moment ago", "run it again")
            tenants = await all_tenants(tools)
            tick = rows.ticker(tools.report, Stage.CHECK, label, table.rows)
            name = quoted(binding.column)
            domain = prefix(registered[identifier].domain_id)
            lost = 0
            query = f"SELECT DISTINCT {name}::text FROM {table.sql} WHERE {name}::text <> ''"  # noqa: S608 - quoted
            async for batch in rows.batches(tools.app, query):
                tokens = {
                    t
                    for (value,) in batch
                    for t in TOKEN_PATTERN.findall(value.encode())
                    if t.startswith(domain)
                }
                lost += len(tokens) - len(await rows.opened(tokens, tenants))
                seen += len(tokens)
                tick(len(batch))
            if lost:
                findings.append(Finding(where, f"{lost} of its tokens have no value in the vault"))
    return Verdict(seen, tuple(findings))
