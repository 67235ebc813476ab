"""``pgnym retention``: what has been kept long enough."""

from __future__ import annotations

import argparse
import asyncio
import sys

from pgnym.cli.onboarding import agreed
from pgnym.cli.privacy import DONE, FAILED, office
from pgnym.cli.vaults import chosen
from pgnym.config import load
from pgnym.privacy.retention import Report, Retention, kept_words


def run(options: argparse.Namespace) -> int:
    """Count it, or erase it after a question. A table that stands in the way makes it fail, after the others."""
    config = load(options.config)
    question = "Erase the rows whose time is over, and the values that no row holds any more, for good?"
    if not options.dry_run and not agreed(options.yes, question):
        return FAILED

    async def work() -> Report:
        async with office(config, options, None) as at:
            only = None
            if options.tenant is not None:
                (name,) = chosen([tenant.name for tenant in at.tenants], options.tenant)
                only = next(tenant for tenant in at.tenants if tenant.name == name)
            retention = Retention(
                config, at.app, at.vault, at.tenants, at.log, at.actor, config.retention.age, only=only
            )
            report = await retention.run(dry_run=options.dry_run)
            assert report is not None  # that is for runs on a schedule
            return report

    report = asyncio.run(work())
    tell(report, options.dry_run)
    for problem in report.problems:
        print(f"pgnym: {problem.message}", file=sys.stderr)
        if problem.hint:
            print(f"hint: {problem.hint}", file=sys.stderr)
    return FAILED if report.problems else DONE


def tell(report: Report, dry_run: bool) -> None:
    """Print what was done."""
    would = "would be " if dry_run else ""
    for outcome in report.outcomes:
        rule = outcome.rule
        print(
            f"{rule.label}: {outcome.rows.total()} rows {would}{rule.done} ({rule.kept} after {rule.column})"
        )
        if outcome.kept:
            print(f"{rule.label}: {outcome.kept.total()} rows kept: {kept_words(outcome.kept)}")
        if outcome.busy:
            print(f"{rule.label}: {outcome.busy} rows in use, left to the next run")
    for tenant, purposes in report.consents.items():
        for purpose, count in purposes.items():
            print(f"{tenant}: {count} consents to {purpose} have expired")
    for tenant, domains in report.values.items():
        words = ", ".join(f"{count} of {name}" for name, count in sorted(domains.items()))
        print(f"{tenant}: values that no row holds: {words} {would}deleted")
    if not (report.outcomes or report.consents or report.values):
        print("nothing to do")
