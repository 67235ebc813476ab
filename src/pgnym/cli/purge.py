"""``pgnym purge``: values that no row holds any more."""

from __future__ import annotations

import argparse
import asyncio

from pgnym.cli.onboarding import agreed
from pgnym.cli.privacy import DONE, FAILED, office
from pgnym.config import load
from pgnym.privacy.purging import Purger


def run(options: argparse.Namespace) -> int:
    """Count them, or delete them after a question."""
    config = load(options.config)
    question = "Delete the values that no row holds any more, for good?"
    if not options.dry_run and not agreed(options.yes, question):
        return FAILED

    async def work() -> None:
        async with office(config, options, options.tenant) as at:
            for tenant in at.tenants:
                purger = Purger(at.app, at.vault, tenant, at.log, at.actor, options.older_than)
                found = await purger.purge(dry_run=options.dry_run)
                told = ", ".join(f"{count} of {name}" for name, count in sorted(found.items())) or "no values"
                print(f"{tenant.name}: {told} {'would be deleted' if options.dry_run else 'deleted'}")

    asyncio.run(work())
    return DONE
