"""What gateways are lent of a minute's budget. One row of the vault says, for each name, how much was lent in which second.

So the sum over all gateways is bounded, though each counts for itself what it gives out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class Loan:
    """A wish: what is ``lacking``, and as much as ``extra`` besides while there is plenty; or all there is, if that is at
    least ``smallest``. Within ``span`` seconds no more than ``limit`` is lent. ``back``: (second, count) of what was lent
    before and not used."""

    tenant: int
    name: str
    limit: int
    lacking: int
    smallest: int
    extra: int
    span: int
    back: Sequence[tuple[int, int]] = ()

    async def make(self, connection: Connection) -> tuple[int, int]:
        """How much was lent, and in which second. Errors: asyncpg.PostgresError."""
        row = await connection.fetchrow(
            "SELECT lent, second FROM vault.lend($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.tenant, self.name, self.limit, self.lacking, self.smallest, self.extra, self.span,
            [second for second, _ in self.back], [count for _, count in self.back],
        )  # fmt: skip
        assert row is not None
        return row["lent"], row["second"]
