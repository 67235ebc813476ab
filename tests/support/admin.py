"""A client of the admin endpoint: one request at a time, each on a connection of its own."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from support.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Answer:
    """What came. ``body`` is parsed where it is JSON, else text, or None. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class AdminClient:
    """Asks the admin endpoint of a gateway. ``token``: of calls that name no other; ``source``: the address to come from.

    A body is sent as JSON, unless it is bytes.
    """

    gateway: Gateway
    token: str | None = None
    source: str = "127.0.0.1"

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(
            self.gateway.admin_host, self.gateway.admin_port, timeout=60, source_address=(self.source, 0)
        )
        try:
            sent = dict(headers or {})
            if token or self.token:
                sent["Authorization"] = f"Bearer {token or self.token}"
            data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            if "json" in found.get("content-type", ""):
                return Answer(answer.status, found, json.loads(content))
            return Answer(answer.status, found, content.decode() or None)
        finally:
            connection.close()

    def wait_for_erasure(
        self,
        place: str,
        seconds: float = 60,
        until: Collection[str] = ("finished", "undone"),
        tried: bool = False,
    ) -> Any:
        """The erasure at a Location, once it has one of these states; ``tried``: and each connector was asked."""
        deadline = time.monotonic() + seconds
        while True:
            found = self("GET", place)
            assert found.status == 200, found.body
            asked = all(part["attempts"] for part in found.body["elsewhere"])
            if found.body["state"] in until and (asked or not tried):
                return found.body
            assert time.monotonic() < deadline, found.body
            time.sleep(0.1)


def first_token(gateway: Gateway, role: str = "root", tenant: str | None = None) -> str:
    """A token made by the command."""
    options = () if tenant is None else ("--tenant", tenant)
    return gateway.deployment.pgnym("token", "create", "--role", role, "--ttl", "1h", *options).stdout.strip()
