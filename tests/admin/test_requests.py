"""The endpoint without a gateway: slow and stubborn clients, what is sealed, limits."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pgnym.admin import server
from pgnym.admin.application import Application, Status
from pgnym.admin.resources import ROUTES
from pgnym.admin.routing import Request
from pgnym.config import parse


def status() -> Status:
    """A gateway that is sealed."""
    return cast(
        Status,
        SimpleNamespace(
            config=parse(""), draining=False, vault=None, audit=None, sealed=True, sealing=SimpleNamespace()
        ),
    )


def test_sealed_nothing_but_the_seal_answers() -> None:
    async def work() -> None:
        app = Application(status(), ROUTES)
        for route in ROUTES:
            path = route.path.replace("{id}", "1")
            if not route.sealed:
                answer: Any = await app.answer(Request(route.method, path))
                assert (answer.status, answer.body.title) == (503, "Sealed")
        assert (await app.answer(Request("GET", "/healthz"))).status == 200

    asyncio.run(work())


def test_an_address_is_limited() -> None:
    now = 0.0
    app = Application(status(), ROUTES, lambda: now)

    async def work() -> list[int]:
        return [
            (await app.answer(Request("GET", "/v1/tenants", address="192.0.2.1"))).status for _ in range(201)
        ]

    found = asyncio.run(work())
    assert found == [503] * 200 + [429]
    now = 1.0
    assert asyncio.run(work())[49:51] == [503, 429]


def test_targets() -> None:
    app = Application(status(), ROUTES)
    for target, expected in (
        ("http://gateway:8432/healthz", 200),
        ("*", 400),
        ("ftp://x/healthz", 400),
        ("/healthz?", 200),
        ("/healthz?x=1", 400),
        ("//healthz", 404),
        ("/v1/api-tokens/%ff", 400),
    ):
        assert (target, asyncio.run(app.answer(Request("GET", target))).status) == (target, expected)


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"POST /v1/unseal HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"]
)
def test_a_slow_client_is_let_go(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever trickles in, the time of a request is not extended."""
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)

    async def work() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        admin = server.AdminServer(status(), [listener], None)
        await admin.start()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(sent)
        trickle = asyncio.create_task(drip(writer)) if sent else None
        async with asyncio.timeout(5):
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                assert sent
        if trickle is not None:
            trickle.cancel()
        assert not admin.connections
        writer.close()
        await admin.close()

    async def drip(writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(0.1)
            writer.write(b" ")

    asyncio.run(work())
