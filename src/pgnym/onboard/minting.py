"""From values to tokens, remembering within one run what has been met: names, cities and dates repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgnym.onboard.model import Identity, Tokens

REMEMBERED = 500_000  # values in all; some 200 bytes each


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of the rows to be changed.

    ``read``: the SQL expression of its present value as text. ``keep``: NULL from ``read`` means leave it as it is.
    """

    name: str
    read: str
    prefix: bytes
    randomized: bool
    casefold: bool
    codec_oid: int
    keep: bool = False


class Mint:
    """Makes tokens of one tenant, and puts their values into the vault before it hands them out."""

    def __init__(self, tenant: Tokens, identity: Identity) -> None:
        self._tenant = tenant
        self._identity = identity
        # By what decides the token beside the value. What is in here has been put, so it need not be again.
        self._known: dict[tuple[bytes, int, bool], dict[str, str]] = {}
        self._room = REMEMBERED

    async def tokens(
        self, cells: Sequence[Cell], columns: Sequence[Sequence[str | None]]
    ) -> list[list[str | None]]:
        """The tokens of a batch, column by column; NULL and empty values stay. All are in the vault on return."""
        new: dict[bytes, bytes] = {}
        learned: list[tuple[dict[str, str], dict[str, str]]] = []
        made: list[list[str | None]] = []
        for cell, values in zip(cells, columns, strict=True):
            if cell.randomized:
                made.append([self._random(cell, value, new) if value else value for value in values])
                continue
            known = self._known.setdefault((cell.prefix, cell.codec_oid, cell.casefold), {})
            fresh: dict[str, str] = {}
            for value in set(values) - known.keys():
                if value:
                    fresh[value] = self._deterministic(cell, value, new)
            get, get_fresh = known.get, fresh.get
            made.append([(get(value) or get_fresh(value)) if value else value for value in values])
            learned.append((known, fresh))
        await self._tenant.put(new)
        for known, fresh in learned:
            if len(fresh) <= self._room:
                self._room -= len(fresh)
                known.update(fresh)
        return made

    def _random(self, cell: Cell, value: str, new: dict[bytes, bytes]) -> str:
        token = self._tenant.random_token(cell.prefix)
        new[token] = value.encode()
        return token.decode("ascii")

    def _deterministic(self, cell: Cell, value: str, new: dict[bytes, bytes]) -> str:
        canonical = value.encode()
        same = self._identity(cell.codec_oid, canonical, cell.casefold)
        token = self._tenant.token(cell.prefix, same)
        # With casefold the spelling of before is not kept: one token, one value.
        new[token] = same if cell.casefold else canonical
        return token.decode("ascii")
