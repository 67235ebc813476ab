"""Asking and filling the substring index: the statements, over connections of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import asyncpg

from pgnym.vault.connection import LanePool
from pgnym.vault.errors import TooManyValues, VaultError
from pgnym.vault.indexes import CHANGED, IndexesChanged
from pgnym.vault.lanes import Sealed
from pgnym.vault.tokens import domain_id

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

CANDIDATE_LIMIT = 10_000
_FILL = 2000  # values at once when an index is filled: some ten milliseconds


class SubstringIndex:
    """The index of all domains and tenants. ``limit``: how many values it may find for one question."""

    def __init__(self, pool: LanePool, *, limit: int) -> None:
        self._pool = pool
        self.limit = limit

    async def find(
        self, tenant: int, prefix: bytes, alternatives: Sequence[Sequence[int]]
    ) -> list[Sealed] | None:
        """Sealed values of a domain that have all grams of one of the alternatives; None if they are more than ``limit``.

        IndexesChanged if the domain has no such index, or not yet of all values.
        """
        found: dict[bytes, Sealed] = {}
        for grams in alternatives:
            rows = await self._pool.run(
                lambda connection, grams=grams: self._ask(connection, tenant, prefix, grams)  # type: ignore[misc]
            )
            if rows and rows[0][0] is None:
                return None
            found.update((row[0], row) for row in _sealed(rows))
            if len(found) > self.limit:
                return None
        return list(found.values())

    async def _ask(
        self, connection: Connection, tenant: int, prefix: bytes, grams: Sequence[int]
    ) -> list[asyncpg.Record]:
        try:
            return await connection.fetch(
                "SELECT * FROM vault.candidates($1, $2, $3, $4, $5)",
                tenant,
                domain_id(prefix),
                prefix.decode("ascii"),
                grams,
                self.limit,
            )
        except asyncpg.PostgresError as error:
            if error.sqlstate == CHANGED:
                raise IndexesChanged from None
            raise

    async def missing(self, tenant: int, prefix: bytes, after: bytes) -> list[Sealed]:
        """Some sealed values of a domain that have no grams, in the order of their tokens, from the one after ``after``."""
        return _sealed(
            await self._pool.run(
                lambda connection: connection.fetch(
                    "SELECT * FROM vault.without_grams($1, $2, $3, $4)",
                    tenant,
                    prefix.decode("ascii"),
                    after.decode("ascii"),
                    _FILL,
                )
            )
        )

    async def add(self, tenant: int, tokens: Sequence[bytes], grams: Sequence[str | None]) -> None:
        """Stores grams of values that are there already."""
        names = [token.decode("ascii") for token in tokens]
        await self._pool.run(
            lambda connection: connection.execute("SELECT vault.add_grams($1, $2, $3)", tenant, names, grams)
        )

    async def fill(
        self,
        tenant: int,
        prefix: bytes,
        open_read: Callable[
            [Callable[[], Awaitable[Sequence[Sealed]]]], Awaitable[list[tuple[bytes, bytes]]]
        ],
        grams_of: Callable[[Mapping[bytes, bytes]], Awaitable[list[str | None] | None]],
        tick: Callable[[int], None],
    ) -> None:
        """Store the grams of those values of a domain that have none; ``tick`` is told how many each time."""
        after = prefix
        while opened := await open_read(lambda after=after: self.missing(tenant, prefix, after)):  # type: ignore[misc]
            values = dict(opened)
            tokens = list(values)
            after = tokens[-1]
            grams = await grams_of(values)
            if grams is None:
                raise VaultError("a domain without a substring index is to be filled")
            await self.add(tenant, tokens, grams)
            tick(len(tokens))

    async def close(self) -> None:
        """Waits for what is under way, then ends the connections."""
        await self._pool.close()

    def too_many(self, prefix: bytes) -> TooManyValues:
        """The error for a question that the index narrows down too little."""
        return TooManyValues(
            f"the index of domain {domain_id(prefix)} finds more than {self.limit} values",
            bound=self.limit,
            by_index=True,
            hint="Search for a longer or rarer text, or raise vault.candidate_limit.",
        )


def _sealed(rows: Sequence[asyncpg.Record]) -> list[Sealed]:
    return [(token.encode("ascii"), generation, ciphertext) for token, generation, ciphertext in rows]
