"""Whose value a token stands for: the table ``pgnym.link`` of the application's database.

Triggers of protected tables write it (``onboard/linking.py``), in the transaction that writes the row, and nothing takes a
link away but the erasure of the value: a token that is moved to another row stays the first one's as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import asyncpg

from pgnym.vault.connection import Connector, Lane, LanePool
from pgnym.vault.consents import Subject

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


class Links:
    """Connections to the application's database by the gateway's login. ``where``: as of ``Vault.open``."""

    def __init__(self, where: Mapping[str, Any]) -> None:
        connector = Connector(where)
        self._lanes = LanePool([Lane(connector), Lane(connector)])

    async def of(self, tokens: Collection[bytes]) -> dict[bytes, set[Subject]]:
        """The subjects of each token that has any. The id '' stands for nobody. Errors: VaultError."""

        async def find(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(
                "SELECT token, subject_table, subject FROM pgnym.link WHERE token = ANY ($1::text[])",
                [token.decode("ascii") for token in tokens],
            )

        found: dict[bytes, set[Subject]] = {}
        for token, table, subject in await self.run(find):
            found.setdefault(token.encode("ascii"), set()).add(Subject(table, subject))
        return found

    async def run(
        self, work: Callable[[Connection], Awaitable[list[asyncpg.Record]]]
    ) -> list[asyncpg.Record]:
        """``work`` on one of the connections. Errors: VaultError."""
        return await self._lanes.run(work)

    async def close(self) -> None:
        """End the connections."""
        await self._lanes.close()
