"""Somebody who may do anything to the audit tables but has not the keys: what they did is found, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from pgnym.audit.chain import ChainKey, Checkpoint
from pgnym.audit.log import AuditLog, AuditUnavailable
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.audit.retention import AuditTenant, drop_before, expired
from pgnym.audit.verify import Fault, Verdict, verify
from pgnym.vault.store import Vault
from support.cluster import Cluster
from support.vault_database import migrated

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

pytestmark = pytest.mark.server


def record(tenant: str, number: int) -> AuditRecord:
    return AuditRecord(
        datetime.now(UTC),
        tenant,
        Actor("app", "app"),
        Action.REVEAL,
        purpose=f"{number}",
        counts={"email": number},
    )


@dataclass(slots=True)
class Scene:
    """A log of tenants main (two writers, one after the other, of six and four records) and other (six records)."""

    owner: Connection
    vault: Vault
    logs: list[AuditLog]
    first: UUID
    second: UUID
    kept: list[Checkpoint]
    as_gateway: Callable[[], AbstractAsyncContextManager[Connection]]

    async def verdict(self, tenant: str = "main", **more: object) -> Verdict:
        part = await self.vault.tenant(tenant)
        async with self.as_gateway() as connection:
            return await verify(connection, part.id, tenant, part.audit_key, **more)  # type: ignore[arg-type]

    async def found(self, tenant: str = "main", **more: object) -> set[tuple[str, str, int, int]]:
        names = {self.first: "first", self.second: "second", None: "?"}
        return {
            (f.fault.value, names.get(f.writer, "another"), f.first, f.last)
            for f in (await self.verdict(tenant, **more)).findings
        }


Attack = Callable[[Scene], Awaitable[None]]


def play(postgres: Cluster, database: str, attack: Attack) -> None:
    async def outer() -> None:
        async with migrated(postgres, database) as made, made.vault() as vault, made.owner() as owner:
            logs = [AuditLog(vault), AuditLog(vault)]
            kept: list[Checkpoint] = []
            writers: list[UUID] = []
            for log, count in zip(logs, (6, 4), strict=True):
                for number in range(count):
                    await log.write(record("main", number))
                    if number == 2:
                        kept += await log.checkpoint()
                    if log is logs[0]:
                        await log.write(record("other", number))
                writers += log.heads("main")
            first, second = writers
            scene = Scene(owner, vault, logs, first, second, kept, made.as_gateway)
            assert await scene.found() == set(), "sound before the attack"
            assert await scene.found("other") == set()
            try:
                await attack(scene)
            finally:
                for log in logs:
                    await log.close()

    asyncio.run(outer())


SQL_ATTACKS: dict[str, tuple[str, set[tuple[str, str, int, int]]]] = {
    "a column is changed": (
        "UPDATE vault.audit SET db_user = 'nobody' WHERE writer = $1 AND sequence = 3",
        {("changed", "first", 3, 3)},
    ),
    "a time is changed": (
        "UPDATE vault.audit SET time = time - interval '1 day' WHERE writer = $1 AND sequence = 3",
        {("changed", "first", 3, 3)},
    ),
    "counts are changed": (
        "UPDATE vault.audit SET counts = '{}' WHERE writer = $1 AND sequence = 1",
        {("changed", "first", 1, 1)},
    ),
    "details are replaced": (
        "UPDATE vault.audit SET details = (SELECT details FROM vault.audit WHERE writer = $1 AND sequence = 1)"
        " WHERE writer = $1 AND sequence = 2",
        {("changed", "first", 2, 2)},
    ),
    "a mac is changed": (
        r"UPDATE vault.audit SET mac = '\x00' WHERE writer = $1 AND sequence = 2",
        {("changed", "first", 2, 2)},
    ),
    "the first record is removed": (
        "DELETE FROM vault.audit WHERE writer = $1 AND sequence = 1",
        {("missing", "first", 1, 1)},
    ),
    "some in the middle are removed": (
        "DELETE FROM vault.audit WHERE writer = $1 AND sequence IN (4, 5)",
        {("missing", "first", 4, 5)},
    ),
    "the end is cut off": (
        "DELETE FROM vault.audit WHERE writer = $1 AND sequence > 4",
        {("truncated", "first", 5, 6)},
    ),
    "all records of a writer are removed": (
        "DELETE FROM vault.audit WHERE writer = $1",
        {("truncated", "first", 1, 6)},
    ),
    "all records of all tenants are removed": (
        "TRUNCATE vault.audit",
        {("truncated", "first", 1, 6), ("truncated", "second", 1, 4)},
    ),
    "two are exchanged": (
        "UPDATE vault.audit SET sequence = 5 - sequence WHERE writer = $1 AND sequence IN (2, 3)",
        {("changed", "first", 2, 2), ("changed", "first", 3, 3), ("changed", "first", 4, 4)},
    ),
    "a copy is added at the end": (
        "INSERT INTO vault.audit SELECT (a).* FROM (SELECT a #= hstore('sequence', '7') AS a FROM vault.audit a"
        " WHERE writer = $1 AND sequence = 6) c",
        {("added", "first", 7, 7)},
    ),
    "a copy is added in its place": (
        "INSERT INTO vault.audit SELECT (a).* FROM (SELECT a #= hstore('time', (time + interval '1 second')::text) AS a"
        " FROM vault.audit a WHERE writer = $1 AND sequence = 3) c",
        {("added", "first", 3, 3)},
    ),
    "a record of another tenant is brought in": (
        "UPDATE vault.audit SET tenant = (SELECT id FROM vault.tenant WHERE name = 'main')"
        " WHERE tenant <> (SELECT id FROM vault.tenant WHERE name = 'main') AND sequence = 2 AND $1::uuid IS NOT NULL",
        {("foreign", "another", 2, 2)},
    ),
    "a writer's row is removed": (
        "DELETE FROM vault.audit_writer WHERE writer = $1",
        {("writer missing", "?", 0, 0), ("writer missing", "first", 0, 0), ("foreign", "first", 1, 1)},
    ),
    "a writer is hidden with all it wrote": (
        "WITH a AS (DELETE FROM vault.audit WHERE writer = $1), c AS (DELETE FROM vault.audit_checkpoint WHERE writer = $1)"
        " DELETE FROM vault.audit_writer WHERE writer = $1",
        {("writer missing", "?", 0, 0)},
    ),
    "a writer's head is set back with its records": (
        "WITH a AS (DELETE FROM vault.audit WHERE writer = $1 AND sequence > 5)"
        " UPDATE vault.audit_writer SET sequence = 5, mac = (SELECT mac FROM vault.audit WHERE writer = $1 AND sequence = 5)"
        " WHERE writer = $1",
        {("writer changed", "first", 0, 0)},
    ),
    "a writer's start is changed": (
        "UPDATE vault.audit_writer SET started = started - interval '1 day' WHERE writer = $1",
        {("writer changed", "first", 0, 0)},
    ),
    "a checkpoint is changed": (
        "UPDATE vault.audit_checkpoint SET sequence = 2 WHERE writer = $1",
        {("checkpoint changed", "first", 2, 2)},
    ),
    "a checkpoint is made to say that records were dropped": (
        "WITH a AS (DELETE FROM vault.audit WHERE writer = $1 AND sequence < 4)"
        " UPDATE vault.audit_checkpoint SET dropped = true WHERE writer = $1",
        {("checkpoint changed", "first", 3, 3), ("missing", "first", 1, 3)},
    ),
}


@pytest.mark.parametrize("name", SQL_ATTACKS)
def test_it_is_found_and_located(postgres: Cluster, database: str, name: str) -> None:
    statement, expected = SQL_ATTACKS[name]

    async def attack(scene: Scene) -> None:
        await scene.owner.execute("CREATE EXTENSION IF NOT EXISTS hstore")
        if "$1" in statement:
            await scene.owner.execute("SET session_replication_role = replica")
            await scene.owner.fetch(statement, scene.first)
        else:
            await scene.owner.execute(statement)
        assert await scene.found() == expected

    play(postgres, database, attack)


def test_what_is_taken_from_a_tenant_is_missed_there(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        await scene.owner.execute(
            "UPDATE vault.audit SET tenant = (SELECT id FROM vault.tenant WHERE name = 'other')"
            " WHERE writer = $1 AND sequence = 2",
            scene.first,
        )
        assert await scene.found() == {("missing", "first", 2, 2)}
        assert {found[0] for found in await scene.found("other")} == {"foreign"}

    play(postgres, database, attack)


async def set_back(scene: Scene) -> None:
    """Put everything back to how it was after the second writer's third record, as an old copy of the tables would."""
    at = scene.kept[-1]
    assert at.writer == scene.second
    assert at.sequence == 3
    await scene.owner.execute("DELETE FROM vault.audit WHERE writer = $1 AND sequence > 2", scene.second)
    part = await scene.vault.tenant("main")
    # The head of that time was there to be copied: whoever took a copy has its seal.
    mac = await scene.owner.fetchval(
        "SELECT mac FROM vault.audit WHERE writer = $1 AND sequence = 2", scene.second
    )
    head = ChainKey(part.audit_key, part.id).head(scene.second, 2, mac)
    await scene.owner.execute(
        "UPDATE vault.audit_writer SET sequence = 2, mac = $2, head = $3 WHERE writer = $1",
        scene.second,
        mac,
        head,
    )
    await scene.owner.execute("DELETE FROM vault.audit_checkpoint WHERE writer = $1", scene.second)


def test_an_old_copy_of_everything_is_found_by_what_was_kept_elsewhere(
    postgres: Cluster, database: str
) -> None:
    async def attack(scene: Scene) -> None:
        await set_back(scene)
        assert await scene.found() == set(), "nothing in the tables can tell"
        assert await scene.found(anchors=scene.kept) == {("set back", "second", 3, 3)}
        heads = scene.logs[1].heads("main")
        assert await scene.found(heads=heads) == {("set back", "second", 3, 4)}

    play(postgres, database, attack)


def test_a_writer_whose_log_was_set_back_does_not_go_on_in_it(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        await set_back(scene)
        with pytest.raises(AuditUnavailable):
            await scene.logs[1].write(record("main", 9))
        await scene.logs[1].write(record("main", 9))  # as a new writer
        assert set(scene.logs[1].heads("main")) != {scene.second}
        assert await scene.found() == set()

    play(postgres, database, attack)


def test_the_gateway_itself_may_not_change_or_delete(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        part = await scene.vault.tenant("main")
        for statement in (
            "UPDATE vault.audit SET db_user = 'x'",
            "DELETE FROM vault.audit",
            "TRUNCATE vault.audit",
            "DELETE FROM vault.audit_writer",
            "UPDATE vault.audit_writer SET seal = ''",
            "UPDATE vault.audit_checkpoint SET sequence = 1",
            "DELETE FROM vault.audit_checkpoint",
            "SELECT * FROM vault.audit_default",
            "DROP TABLE vault.audit",
        ):
            async with scene.as_gateway() as connection:
                await connection.execute("SELECT set_config('pgnym.tenant', $1, false)", str(part.id))
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        assert await scene.found() == set()

    play(postgres, database, attack)


def test_writers_at_work_are_sound_while_they_write(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        async def write(log: AuditLog) -> None:
            for number in range(60):
                await log.write(record("main", number))

        async def look() -> list[Verdict]:
            return [await scene.verdict() for _ in range(5)]

        done = await asyncio.gather(*(write(log) for log in scene.logs for _ in range(4)), look())
        verdicts: list[Verdict] = done[-1]  # type: ignore[assignment]
        assert all(verdict.sound for verdict in verdicts), [v.findings for v in verdicts]
        last = await scene.verdict()
        assert last.sound
        assert last.records == 10 + 2 * 4 * 60
        assert not {f for f in last.findings if f.fault is Fault.CHANGED}

    play(postgres, database, attack)


def test_records_fall_into_their_month(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        where = await scene.owner.fetch("SELECT DISTINCT tableoid::regclass::text AS t FROM vault.audit")
        assert [row["t"] for row in where] == [f"vault.audit_{datetime.now(UTC):%Y_%m}"]
        await scene.logs[0].prepare(5)
        partitions = await scene.owner.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'vault.audit'::regclass"
        )
        assert partitions == 1 + 6

    play(postgres, database, attack)


async def this_month(scene: Scene) -> str:
    """The partition that all records are in."""
    name: str = await scene.owner.fetchval(
        "SELECT relname FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE i.inhparent = 'vault.audit'::regclass AND c.relname = $1",
        f"audit_{datetime.now(UTC):%Y_%m}",
    )
    return name


def test_a_month_that_is_dropped_in_order_leaves_a_log_that_is_sound(
    postgres: Cluster, database: str
) -> None:
    async def attack(scene: Scene) -> None:
        name = await this_month(scene)
        later = datetime.now(UTC) + timedelta(days=40)
        parties = {
            part.id: AuditTenant(part.id, part.name, part.audit_key)
            for part in [await scene.vault.tenant(n) for n in ("main", "other")]
        }
        assert await expired(scene.owner, datetime.now(UTC)) == []
        (done, *_) = await drop_before(scene.owner, parties, later, datetime.now(UTC))
        assert (done.name, done.records) == (name, 16)
        assert await scene.found() == set()
        await scene.logs[1].write(record("main", 9))  # into the default partition; the chain goes on
        await scene.logs[1].write(record("main", 10))
        verdict = await scene.verdict()
        assert (verdict.sound, verdict.records) == (True, 2)
        await scene.owner.execute("DELETE FROM vault.audit WHERE writer = $1 AND sequence = 5", scene.second)
        assert await scene.found() == {("missing", "second", 5, 5)}

    play(postgres, database, attack)


def test_a_month_that_is_dropped_without_the_keys_is_missed(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        await scene.owner.execute(f"DROP TABLE vault.{await this_month(scene)}")
        assert await scene.found() == {("truncated", "first", 1, 6), ("truncated", "second", 1, 4)}

    play(postgres, database, attack)


def test_no_tenant_is_left_out_of_what_is_dropped(postgres: Cluster, database: str) -> None:
    async def attack(scene: Scene) -> None:
        part = await scene.vault.tenant("main")
        only = {part.id: AuditTenant(part.id, part.name, part.audit_key)}
        later = datetime.now(UTC) + timedelta(days=40)
        with pytest.raises(ValueError, match="1 tenants"):
            await drop_before(scene.owner, only, later, datetime.now(UTC))
        assert await scene.found() == set()

    play(postgres, database, attack)
