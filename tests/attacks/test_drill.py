"""The drill: a thousand sessions at once with the application's connection, each of which wants everything.

The server is one of its own, with as many connections. Sessions speak the bare protocol on one event loop, since a driver's
would keep this process busier than the gateway.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from victims import EMAIL, MINUTE, NAME, PEOPLE, Shop, shop

from support.cluster import Cluster

pytestmark = pytest.mark.server

SESSIONS = 1000
VALUE = re.compile(rb"canary\d+\.zxq@example\.org|Zanarius\d+Q")
WAYS = (
    "SELECT * FROM customer",
    "SELECT email FROM customer OFFSET {at} LIMIT 5",
    "SELECT first_name FROM customer WHERE id = {at}",
    "SELECT email FROM customer WHERE id = {at} UNION SELECT email FROM customer WHERE id = {at} + 1",
    "SELECT email FROM customer UNION ALL SELECT first_name FROM customer",
    "SELECT json_agg(c) FROM customer c",
    "SELECT json_agg(c) FROM (SELECT email FROM customer OFFSET {at} LIMIT 4) c",
    "COPY customer TO STDOUT",
    "COPY (SELECT email FROM customer WHERE id = {at}) TO STDOUT",
    "SELECT string_agg(email || first_name, ',') FROM customer",
)


@pytest.fixture(scope="module")
def crowded() -> Iterator[Shop]:
    settings = {"max_connections": str(SESSIONS + 60), "shared_buffers": "64MB"}
    with Cluster(settings=settings) as cluster:
        cluster.psql("CREATE DATABASE drill_5 TEMPLATE template0")
        with shop(cluster, "drill_5", workers=2, max_connections=SESSIONS + 20) as made:
            yield made
            assert "internal error" not in made.gateway.stderr_text()


class Attacker:
    """One session: what it was given, and how its statements ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.values: list[bytes] = []
        self.errors: Counter[bytes] = Counter()

    @classmethod
    async def connect(cls, made: Shop) -> Attacker:
        session = cls(*await asyncio.open_connection(made.gateway.host, made.gateway.port))
        user, database = made.users("tight").encode(), made.database.encode()
        body = struct.pack("!I", 196608) + b"user\0%b\0database\0%b\0\0" % (user, database)
        session._writer.write(struct.pack("!I", len(body) + 4) + body)
        await session.read()
        assert not session.errors
        return session

    async def ask(self, text: str) -> None:
        body = text.encode() + b"\0"
        self._writer.write(b"Q" + struct.pack("!I", len(body) + 4) + body)
        await self.read()

    async def read(self) -> None:
        """Until the server is ready."""
        kind = b""
        while kind != b"Z":
            kind, length = struct.unpack("!cI", await self._reader.readexactly(5))
            content = await self._reader.readexactly(length - 4)
            if kind in (b"D", b"d"):
                self.values += VALUE.findall(content)
            elif kind == b"E":
                self.errors[re.findall(rb"C([0-9A-Z]{5})\0", content)[0]] += 1

    def close(self) -> None:
        self._writer.close()


async def drill(made: Shop) -> tuple[list[Attacker], float]:
    """All sessions are there before the first statement. Returns them, and how long they took."""
    gate = asyncio.Semaphore(32)

    async def connect() -> Attacker:
        async with gate:
            return await Attacker.connect(made)

    attackers = await asyncio.gather(*(connect() for _ in range(SESSIONS)))
    begun = time.monotonic()

    async def attack(number: int, attacker: Attacker) -> None:
        for step in range(3):
            way = WAYS[(number + step * 3) % len(WAYS)]
            await attacker.ask(way.format(at=1 + (number * 7 + step) % (PEOPLE - 5)))

    await asyncio.gather(*(attack(number, attacker) for number, attacker in enumerate(attackers)))
    for attacker in attackers:
        attacker.close()
    return attackers, time.monotonic() - begun


def audited(made: Shop) -> tuple[int, int]:
    """Values that were revealed to the attackers by the audit log, and statements that were refused."""
    with made.direct() as owner:
        row = owner.execute(
            "SELECT coalesce(sum((SELECT sum(v::int) FROM jsonb_each_text(counts) e(k, v)))"
            " FILTER (WHERE action = 'reveal'), 0)::int, count(*) FILTER (WHERE action = 'refuse')::int"
            " FROM vault.audit WHERE db_user = %s",
            (made.users("tight"),),
        ).fetchone()
    assert row is not None
    return int(str(row[0])), int(str(row[1]))


def named(made: Shop) -> set[bytes]:
    """The values whose tokens the records of reveals to the attackers name, once opened."""
    with made.direct() as owner:
        rows = owner.execute("SELECT id, email, first_name FROM customer").fetchall()
    values = {str(row[1]): EMAIL.format(row[0]) for row in rows} | {
        str(row[2]): NAME.format(row[0]) for row in rows
    }
    shown = made.deployed.pgnym(
        "audit", "show", "--actor", made.users("tight"), "--action", "reveal", "--format", "jsonl"
    ).stdout
    return {values[token].encode() for line in shown.splitlines() for token in json.loads(line)["tokens"]}


def test_a_thousand_sessions_get_no_more_than_the_budget(crowded: Shop) -> None:
    attackers, seconds = asyncio.run(drill(crowded))
    assert seconds < 60, "else the window moved on, and this proves nothing"
    given = sum(len(attacker.values) for attacker in attackers)
    assert MINUTE - 10 <= given <= MINUTE
    errors: Counter[bytes] = sum((attacker.errors for attacker in attackers), Counter())
    assert set(errors) == {b"42501"}
    deadline = time.monotonic() + 60
    while audited(crowded)[1] < errors[b"42501"]:  # refusals are recorded without being waited for
        assert time.monotonic() < deadline
    assert audited(crowded) == (given, errors[b"42501"])
    assert named(crowded) == {value for attacker in attackers for value in attacker.values}
    crowded.deployed.pgnym("audit", "verify")
