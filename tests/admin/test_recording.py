"""Records of calls: floods are counted, what comes while there is no log is kept, and both within bounds."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import cast

import pytest

from pgnym.admin import recording
from pgnym.admin.recording import Entry, Recorder
from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor, AuditRecord, Decision
from pgnym.vault.errors import VaultUnavailable


@dataclass
class Log:
    """Stands for the audit log; ``down``: it can't be written to."""

    records: list[AuditRecord] = field(default_factory=list)
    down: bool = False
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> None:
        """Wait for so many records."""
        async with asyncio.timeout(10):
            while len(self.records) < count:
                self.more.clear()
                await self.more.wait()

    async def write(self, record: AuditRecord) -> None:
        if self.down:
            raise VaultUnavailable("the vault's server is away")
        self.records.append(record)
        self.more.set()

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records]


@dataclass
class World:
    log: Log = field(default_factory=Log)
    sealed: bool = False
    now: float = 0.0

    def recorder(self, comes: bool = True) -> Recorder:
        return Recorder(
            lambda: None if self.sealed else cast(AuditLog, self.log), lambda: comes, lambda: self.now
        )


def entry(address: str = "192.0.2.1", operation: str = "showAudit", agent: str = "") -> Entry:
    actor = Actor("nobody", "", address, agent)
    return Entry("main", actor, operation, Decision.DENIED, "GET /v1/audit", "429")


def test_the_first_is_written_and_the_rest_counted() -> None:
    async def run() -> None:
        world = World()
        recorder = world.recorder()
        for n in range(5):
            await recorder.over_limit(entry(agent=f"agent {n}"), "GET /v1/audit")
        await recorder.over_limit(entry("192.0.2.2"), "GET /v1/audit")
        assert world.log.texts == ["GET /v1/audit 429"] * 2
        world.now = 3.2
        await recorder.close()
        assert world.log.texts[2:] == ["GET /v1/audit 429, 4 more within 3 seconds"]
        assert world.log.records[2].actor == Actor("nobody", "", "192.0.2.1")

    asyncio.run(run())


def test_counts_are_written_in_time_and_kept_while_they_can_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_LOOK", 0.005)

    async def run() -> None:
        world = World()
        recorder = world.recorder()
        for _ in range(3):
            await recorder.over_limit(entry(), "GET /v1/audit")
        world.log.down = True
        world.now = recording.WINDOW
        await asyncio.sleep(0.05)
        assert len(world.log.texts) == 1
        await recorder.over_limit(entry(), "GET /v1/audit")
        world.log.down = False
        await world.log.until(2)
        assert world.log.texts[1] == "GET /v1/audit 429, 3 more within 10 seconds"
        await recorder.close()
        assert len(world.log.texts) == 2

    asyncio.run(run())


def test_callers_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_COUNTED", 3)

    async def run() -> None:
        world = World()
        recorder = world.recorder()
        for n in range(10):
            await recorder.over_limit(entry(f"192.0.2.{n}"), "GET /v1/audit")
        assert len(world.log.texts) == 3
        await recorder.close()
        assert world.log.texts[3:] == ["calls by many callers 429, 7 more within 1 seconds"]

    asyncio.run(run())


def test_what_comes_while_sealed_is_written_afterwards(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "_LOOK", 0.005)
    monkeypatch.setattr(recording, "MOST_KEPT", 3)
    caplog.set_level(logging.INFO)

    async def run() -> None:
        world = World(sealed=True)
        recorder = world.recorder()
        for _ in range(5):
            await recorder.write(entry())
        world.sealed = False
        await world.log.until(4)
        await recorder.close()
        assert all(text.startswith("GET /v1/audit 429 at 2") for text in world.log.texts[:3])
        assert world.log.texts[3:] == ["2 more calls while sealed, which are in the gateway's own log"]

    asyncio.run(run())
    assert caplog.text.count("showAudit by 192.0.2.1: 429") == 5


@pytest.mark.parametrize("comes", [True, False])
def test_what_could_not_be_written_is_said(comes: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        recorder = World(sealed=True).recorder(comes)
        for _ in range(2):
            await recorder.write(entry())
        await recorder.close()

    asyncio.run(run())
    assert ("2 calls of the admin endpoint are in no audit log" in caplog.text) is comes
