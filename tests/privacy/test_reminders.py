"""Reminders of requests: each once before it is due, and once when it is overdue."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pgnym.audit.log import AuditLog
from pgnym.privacy.reminders import remind
from pgnym.privacy.requests import Kind, Requests, Step, Submission
from support.cluster import Cluster
from support.vault_database import VaultDatabase

pytestmark = pytest.mark.server


def test_each_is_reminded_of_before_it_is_due_and_when_it_is_overdue(
    postgres: Cluster, database: str
) -> None:
    async def work() -> None:
        now = datetime.now(UTC)
        store = VaultDatabase(postgres, database)
        await store.migrate()
        async with store.vault() as vault:
            tenant = await vault.tenant("main")
            log = AuditLog(vault)

            async def submit(days: int) -> None:
                new = Submission(Kind.ACCESS, None, now - timedelta(days=days), "", "")
                await vault.administer(lambda connection: Requests(connection, tenant).submit(new, "tester"))

            for days in (0, 27, 50):
                await submit(days)
            assert await remind(vault, log) == 2, "the fresh one has time"
            assert await remind(vault, log) == 0, "once"
            async with store.owner() as owner:
                await owner.execute(
                    "UPDATE vault.subject_request SET due = now() - interval '1 minute', reminded = now() - interval '1 day'"
                    " WHERE received < now() - interval '20 days' AND received > now() - interval '40 days'"
                )
                assert await remind(vault, log) == 1, "and once more when the time is over"
                assert await remind(vault, log) == 0
                (event,) = await owner.fetch(
                    "SELECT count(*) FROM vault.subject_request_event WHERE action = 'remind'"
                )
                (record,) = await owner.fetch(
                    "SELECT count(*) FROM vault.audit WHERE fingerprint = 'remindRequest'"
                )
                assert (event[0], record[0]) == (3, 3)
            async with store.owner() as owner:
                identifier = await owner.fetchval("SELECT id FROM vault.subject_request ORDER BY due LIMIT 1")
            rejected = await vault.administer(
                lambda connection: Requests(connection, tenant).take(
                    identifier, Step.REJECT, "tester", "unfounded", lambda version: True
                )
            )
            assert rejected is not None
            assert not rejected.open
            await log.close()

    asyncio.run(work())
