"""Records reach the outside once each, in order, whatever the sink does; by one gateway at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgnym.audit.export import Exporter
from pgnym.audit.formats import json_line
from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.audit.sinks import FileSink, Line, SinkFailed, SyslogSink, sink_for
from pgnym.vault.rotation import owned
from pgnym.vault.store import Vault
from support.cluster import Cluster
from support.vault_database import VaultDatabase, run


def record(tenant: str, number: int) -> AuditRecord:
    return AuditRecord(
        datetime.now(UTC),
        tenant,
        Actor("app", "app"),
        Action.REVEAL,
        purpose=f"{number}",
        counts={"email": 1},
    )


class Unreliable:
    """Fails now and then, before or after it has taken a batch."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.failures = 0
        self.calls = 0

    async def send(self, lines: Sequence[Line]) -> None:
        self.calls += 1
        if self.calls % 3 == 1:
            self.failures += 1
            raise SinkFailed("not now")
        self.taken += [text for _, text in lines]

    async def close(self) -> None:
        pass


async def written(vault: Vault, count: int, log: AuditLog) -> None:
    for number in range(count):
        await log.write(record("main" if number % 2 else "other", number))


@pytest.mark.server
def test_each_record_once_and_in_order(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault:
            log, sink = AuditLog(vault), Unreliable()
            exporter = Exporter(vault, sink, json_line)
            try:
                for _ in range(3):
                    await written(vault, 40, log)
                    while True:
                        try:
                            await exporter.run()
                            break
                        except SinkFailed:
                            continue
                assert sink.failures
                assert await exporter.run() == 0
                found = [json.loads(line) for line in sink.taken]
                assert len(found) == 120
                assert len({(r["writer"], r["sequence"]) for r in found}) == 120
                for writer in {r["writer"] for r in found}:
                    own = [r["sequence"] for r in found if r["writer"] == writer]
                    assert own == sorted(own)
            finally:
                await exporter.close()
                await log.close()

    run(postgres, database, scenario)


@pytest.mark.server
def test_one_gateway_at_a_time(postgres: Cluster, database: str) -> None:
    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as one, made.vault() as other:
            log = AuditLog(one)
            first, second = (
                Exporter(vault, sink, json_line)
                for vault, sink in ((one, Unreliable()), (other, Unreliable()))
            )
            try:
                await written(one, 4, log)
                with pytest.raises(SinkFailed):
                    await first.run()
                assert await second.run() is None, "the first holds the lock, though its sink fails"
                assert await first.run() == 4
                await written(one, 2, log)
                await first.close()
                with pytest.raises(SinkFailed):
                    await second.run()
                assert await second.run() == 2, "the other goes on where the first left off"
            finally:
                await second.close()
                await log.close()

    run(postgres, database, scenario)


@pytest.mark.server
def test_keys_can_be_rotated_while_the_log_is_sent(postgres: Cluster, database: str) -> None:
    """Both hold an advisory lock of the vault's database, for as long as they run."""

    async def scenario(made: VaultDatabase) -> None:
        async with made.vault() as vault, made.owner() as owner:
            exporter = Exporter(vault, Unreliable(), json_line)
            assert await exporter.run() == 0
            async with owned(owner):
                assert await exporter.run() == 0
            await exporter.close()

    run(postgres, database, scenario)


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    sink = sink_for(f"file:{path}")
    assert isinstance(sink, FileSink)
    now = datetime.now(UTC)
    asyncio.run(sink.send([(now, "one"), (now, "two")]))
    asyncio.run(sink.send([(now, "three")]))
    assert path.read_text() == "one\ntwo\nthree\n"
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(SinkFailed, match="nosuch"):
        asyncio.run(sink_for(f"file:{tmp_path}/nosuch/audit.log").send([(now, "x")]))


def test_syslog_messages_are_counted_octets() -> None:
    async def scenario() -> None:
        received: asyncio.Queue[bytes] = asyncio.Queue()
        ended = asyncio.Event()

        async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    length = int(await reader.readuntil(b" "))
                    received.put_nowait(await reader.readexactly(length))
            except asyncio.IncompleteReadError:
                writer.close()
                await writer.wait_closed()
                ended.set()

        server = await asyncio.start_server(receive, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sink = sink_for(f"tcp://127.0.0.1:{port}")
        assert isinstance(sink, SyslogSink)
        now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
        await sink.send([(now, "CEF:0|pgnym|ä"), (now, "two")])
        async with asyncio.timeout(10):
            first = (await received.get()).decode()
            assert first.startswith("<110>1 2026-11-24T09:30:00+00:00 ")
            assert first.endswith(" pgnym - audit - CEF:0|pgnym|ä")
            assert (await received.get()).endswith(b" two")
            await sink.close()
            await ended.wait()
        server.close()
        await server.wait_closed()

    asyncio.run(scenario())


def test_a_receiver_that_is_not_there() -> None:
    with pytest.raises(SinkFailed, match=r"127\.0\.0\.1:1"):
        asyncio.run(sink_for("tcp://127.0.0.1:1").send([(datetime.now(UTC), "x")]))


@pytest.mark.parametrize(
    "address", ["", "udp://h:1", "tcp://h", "file:relative", "tcp://h:1/path", "http://h:1"]
)
def test_what_is_no_sink(address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        sink_for(address)
