"""What batches of puts and gets do in one round trip, for any tenants at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

import asyncpg

from pgnym.metrics.counts import Timing
from pgnym.vault.connection import Lane
from pgnym.vault.indexes import CHANGED, IndexesChanged

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Get = tuple[int, Sequence[bytes]]  # tenant, tokens
Sealed = tuple[bytes, int, bytes]  # token, key generation, ciphertext


@dataclass(frozen=True, slots=True)
class Put:
    """Sealed values of a tenant under one key. ``tokens`` are sorted and distinct. ``grams``: as text of an array for each
    token that has some, None if no token has. ``epoch``: of the indexes that it knows."""

    tenant: int
    generation: int
    epoch: int
    tokens: Sequence[bytes]
    ciphertexts: Sequence[bytes]
    grams: Sequence[str | None] | None = None


class PutLane:
    """Stores a batch of puts in one transaction. ``relaxed``: it need not be on disk when it is committed."""

    def __init__(self, lane: Lane, relaxed: bool, timing: Timing) -> None:
        self._lane = lane
        self._relaxed = relaxed
        self._timing = timing

    async def run(self, puts: list[Put]) -> list[bool]:
        """Of each put, whether all its values were new. IndexesChanged if any is of another epoch than the vault."""
        if any(put.epoch != puts[0].epoch for put in puts):
            raise IndexesChanged
        added = 0
        started = monotonic()
        for parts in [puts] if len(puts) == 1 else transactions(puts):
            added += await self._lane.run(lambda connection, parts=parts: self._put(connection, parts))  # type: ignore[misc]
        self._timing.took(monotonic() - started)
        # Of two puts of one new token in a batch one was dropped, so "all new" must hold for all that were asked for.
        return [added == sum(len(put.tokens) for put in puts)] * len(puts)

    async def _put(self, connection: Connection, parts: Sequence[Put]) -> int:
        stops: list[int] = []
        tokens: list[str] = []
        ciphertexts: list[bytes] = []
        grams: list[str | None] | None = [] if any(part.grams is not None for part in parts) else None
        for part in parts:
            tokens += [token.decode("ascii") for token in part.tokens]
            ciphertexts += part.ciphertexts
            if grams is not None:
                grams += part.grams or [None] * len(part.tokens)
            stops.append(len(tokens))
        try:
            added: int = await connection.fetchval(
                "SELECT vault.put($1, $2, $3, $4, $5, $6, $7, $8)",
                self._relaxed,
                parts[0].epoch,
                [part.tenant for part in parts],
                [part.generation for part in parts],
                stops,
                tokens,
                ciphertexts,
                grams,
            )
        except asyncpg.PostgresError as error:
            if error.sqlstate == CHANGED:
                raise IndexesChanged from None
            raise
        return added


def transactions(puts: Sequence[Put]) -> list[list[Put]]:
    """The puts, joined to one per tenant: the vault takes entries in the order of tenant and token, which all gateways
    follow so that batches don't deadlock. More than one transaction only where a tenant's puts are under several keys."""
    by_key: dict[tuple[int, int], list[Put]] = {}
    for put in puts:
        by_key.setdefault((put.tenant, put.generation), []).append(put)
    found: list[list[Put]] = []
    turn: dict[int, int] = {}
    for (tenant, _), same in sorted(by_key.items()):
        place = turn.get(tenant, 0)
        turn[tenant] = place + 1
        if place == len(found):
            found.append([])
        found[place].append(same[0] if len(same) == 1 else joined(same))
    return found


def joined(puts: Sequence[Put]) -> Put:
    """Puts of one tenant under one key as one."""
    entries: dict[bytes, tuple[bytes, str | None]] = {}
    for put in puts:
        grams = put.grams or [None] * len(put.tokens)
        entries.update(zip(put.tokens, zip(put.ciphertexts, grams, strict=True), strict=True))
    tokens = sorted(entries)
    some = any(put.grams is not None for put in puts)
    return replace(
        puts[0],
        tokens=tokens,
        ciphertexts=[entries[token][0] for token in tokens],
        grams=[entries[token][1] for token in tokens] if some else None,
    )


class GetLane:
    """Gets what a batch asks for."""

    def __init__(self, lane: Lane, timing: Timing) -> None:
        self._lane = lane
        self._timing = timing

    async def run(self, gets: list[Get]) -> list[list[Sealed]]:
        """Of each get, what is there."""
        results: list[list[Sealed]] = [[] for _ in gets]
        tenants: list[int] = []
        stops: list[int] = []
        tokens: list[bytes] = []
        owners: list[list[Sealed]] = []
        for n in sorted(range(len(gets)), key=lambda n: gets[n][0]):
            tenant, wanted = gets[n]
            tokens += wanted
            owners += [results[n]] * len(wanted)
            if tenants and tenants[-1] == tenant:
                stops[-1] = len(tokens)
            else:
                tenants.append(tenant)
                stops.append(len(tokens))
        texts = [token.decode("ascii") for token in tokens]
        started = monotonic()
        rows = await self._lane.run(
            lambda connection: connection.fetch("SELECT * FROM vault.get($1, $2, $3)", tenants, stops, texts)
        )
        self._timing.took(monotonic() - started)
        for place, generation, ciphertext in rows:
            owners[place - 1].append((tokens[place - 1], generation, ciphertext))
        return results
