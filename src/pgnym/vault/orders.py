"""The order index, as gateways fill and ask it: codes for new values, and the places of constants.

A gateway that holds a new value has to find its neighbours among millions, which only it can compare. It keeps a sorted
sample of the domain in memory, asks the server for codes between two neighbours of the sample, opens the values that come
back, and so narrows the gap down, thirty times a round, until nothing is between. Many values at once share the rounds. The
code is stored under the domain's lock if the gap is empty still; else it is narrowed down once more. So two gateways can't
give codes that contradict each other, and none needs to know of another.

Codes of values that are not in the vault any more (an erasure that was killed, a purge) are in the way: nobody can tell
where they belong. They are deleted, under the lock, and only if the value is not there then: whoever puts it again stores
the value before he asks for its code, under the same lock.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.vault import order_codes, order_tables
from pgnym.vault.connection import Connector, Lane, LanePool
from pgnym.vault.errors import VaultError
from pgnym.vault.indexes import Indexes, IndexesChanged
from pgnym.vault.lanes import Get as SealedGet
from pgnym.vault.lanes import Sealed
from pgnym.vault.order_codes import END, Runs
from pgnym.vault.tokens import PREFIX_LENGTH, domain_id
from pgnym.vault.watch import Watch

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SAMPLE = 20_000
"""Values of a domain in memory, at most."""
_AT_ONCE = 500  # values that are placed together
_SOME, _PROBES = 8, 24  # codes asked for from the beginning of a gap, and spread over it
_ROUNDS = 400  # far more than the longest code has digits to tell apart
_TRIES = 50  # to find a gap that is empty still
NULL_PLACE = b"?"

Get = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, bytes]]]
OpenRead = Callable[[Callable[[], Awaitable[Sequence[Sealed]]]], Awaitable[list[tuple[bytes, bytes]]]]
Key = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two codes; with their tokens, b"" where there is none. ``exact``: the code of an equal value."""

    low: str
    high: str
    low_token: bytes = b""
    high_token: bytes = b""
    exact: str | None = None
    exact_token: bytes = b""


class Sample:
    """Some values of a domain, by their keys, with token and code."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.entries: list[tuple[str, bytes]] = []  # code, token

    def add(self, key: Any, code: str, token: bytes) -> None:
        """Keep one more."""
        at = bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            return
        self.keys.insert(at, key)
        self.entries.insert(at, (code, token))
        if len(self.keys) > SAMPLE:
            self.keys = self.keys[::2]
            self.entries = self.entries[::2]

    def around(self, key: Any, prefix: str) -> Gap:
        """What is known to be next to a key."""
        at = bisect_left(self.keys, key)
        low, low_token = self.entries[at - 1] if at else (prefix, b"")
        if at == len(self.keys):
            return Gap(low, prefix + END, low_token)
        code, token = self.entries[at]
        if self.keys[at] == key:
            return Gap(low, prefix + END, low_token, b"", code, token)
        return Gap(low, code, low_token, token)

    def clear(self) -> None:
        """Forget all."""
        self.keys.clear()
        self.entries.clear()


class Around(Protocol):
    """What the orders need of the vault around them."""

    @property
    def same_cluster(self) -> bool:
        """A code need then not be on disk when it is committed: the values are in the same log before it, and what is known
        of them is forgotten with a crash."""

    @property
    def watch(self) -> Watch:
        """Knows whether invalidations arrive, so that values may be kept."""

    async def get_sealed(self, get: SealedGet) -> Sequence[Sealed]:
        """Sealed values of a tenant's tokens."""

    async def known_indexes(self) -> Indexes:
        """What is known of indexes."""

    async def read_indexes(self, known: Indexes) -> None:
        """Read it anew."""


@dataclass(frozen=True, slots=True)
class TenantValues:
    """A tenant's part of the vault. ``get``: values of tokens; ``open_read``: those of what is read, past all caches."""

    tenant: int
    get: Get
    open_read: OpenRead
    vault: Around

    async def stored(self, tokens: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values that are in the vault now."""
        return dict(await self.open_read(lambda: self.vault.get_sealed((self.tenant, tokens))))


class DomainOrder:
    """The codes of one tenant's values in one domain."""

    def __init__(self, pool: LanePool, prefix: bytes, scheme: OrderScheme, vault: TenantValues) -> None:
        self.scheme = scheme
        self._pool = pool
        self._domain = prefix
        self._name = order_tables.name_of(prefix)
        self._prefix = order_codes.tenant_prefix(vault.tenant)
        self._get = vault.get
        self._get_stored = vault.stored
        self._vault = vault.vault
        self._lock = asyncio.Lock()
        self._sample = Sample()
        self._version = 0
        self._runs = Runs()
        self._forgets = 0

    async def ensure(self, values: Mapping[bytes, bytes]) -> None:
        """See that values (by token; they are in the vault) have codes. Committed on return.

        Errors: VaultUnavailable, VaultError (also where this machine can't tell the order).
        """
        key = self._key()
        tokens = list(values)
        for start in range(0, len(tokens), _AT_ONCE):
            some = tokens[start : start + _AT_ONCE]
            missing = await self._pool.run(lambda connection, some=some: self._missing(connection, some))  # type: ignore[misc]
            if not missing:
                continue
            async with self._lock:  # of two that place values side by side, one would have to do it again
                keyed = sorted(((key(values[token]), token) for token in missing), key=lambda pair: pair[0])
                await self._add(key, keyed)

    async def place(self, value: bytes | None) -> bytes:
        """Where a canonical value is or would be, for ``pgnym.place_…``; ``NULL_PLACE`` for None. Errors: as ``ensure``."""
        if value is None:
            return NULL_PLACE
        if not value:
            return b"="
        key = self._key()
        (gap,) = await self._gaps(key, [key(value)])
        if gap.exact is not None:
            return b"=" + gap.exact_token
        return b"|".join((self._prefix.encode("ascii"), gap.low_token, gap.high_token))

    async def drop(self, tokens: Collection[bytes]) -> None:
        """Delete the codes of those tokens whose values are not in the vault any more."""
        listed = list(tokens)
        await self._pool.run(lambda connection: self._drop(connection, listed))

    def forget(self) -> None:
        """Let values in memory go."""
        self._forgets += 1
        self._sample.clear()

    def _key(self) -> Key:
        try:
            return self.scheme.key()
        except EvaluationError as error:
            raise VaultError(
                f"the order of domain {domain_id(self._domain)} can't be told here: {error.message}",
                hint=error.hint,
            ) from None

    # -- placing -------------------------------------------------------------------------------------------

    async def _add(self, key: Key, keyed: list[tuple[Any, bytes]]) -> None:
        for _ in range(_TRIES):
            gaps = await self._gaps(key, [k for k, _ in keyed])
            version = self._version
            entries: list[tuple[Any, bytes, str, Gap]] = []
            at = 0
            while at < len(keyed):
                gap, end = gaps[at], at + 1
                while end < len(keyed) and gap.exact is None and gaps[end] == gap:
                    end += 1
                entries += self._coded(keyed[at:end], gap)
                at = end
            forgets = self._forgets
            now, missing = await self._pool.run(lambda c, v=version, e=entries: self._insert(c, v, e))  # type: ignore[misc]
            left = set(missing)
            if now != version:
                self._sample.clear()
                self._version = now
                continue
            for k, token, code, _ in entries:
                if token not in left and forgets == self._forgets and self._vault.watch.listening:
                    self._sample.add(k, code, token)
            keyed = [pair for pair in keyed if pair[1] in left]
            if not keyed:
                return
        raise VaultError(
            f"values of domain {domain_id(self._domain)} got no place in its order", hint="Try again."
        )

    def _coded(self, keyed: Sequence[tuple[Any, bytes]], gap: Gap) -> list[tuple[Any, bytes, str, Gap]]:
        """Codes for values that belong into one gap; values that are equal share one."""
        if gap.exact is not None:
            return [(k, token, gap.exact, Gap("", "")) for k, token in keyed]
        distinct: list[Any] = []
        for k, _ in keyed:
            if not distinct or distinct[-1] != k:
                distinct.append(k)
        first = len(self._prefix)
        fractions = order_codes.between(
            gap.low[first:],
            gap.high[first:],
            len(distinct),
            rising=self._runs.rising(gap.low),
            falling=self._runs.falling(gap.high),
        )
        codes = [self._prefix + fraction for fraction in fractions]
        if max(map(len, codes)) > order_codes.LONGEST:
            raise VaultError(
                f"the order index of domain {domain_id(self._domain)} has grown too uneven for another value there",
                hint="Run `pgnym apply`: it gives all codes anew, evenly.",
            )
        self._runs.given(codes, gap.low, gap.high)
        of = iter(codes)
        entries: list[tuple[Any, bytes, str, Gap]] = []
        code = ""
        before: Any = None
        for k, token in keyed:
            if not code or k != before:
                code, before = next(of), k
            entries.append((k, token, code, gap))
        return entries

    async def _gaps(self, key: Key, keys: Sequence[Any]) -> list[Gap]:
        """The gap of each key, with nothing between as of now."""
        sample = self._sample if self._vault.watch.listening else Sample()
        found: dict[int, Gap] = {}
        open_ = list(range(len(keys)))
        for _ in range(_ROUNDS):
            around = {n: sample.around(keys[n], self._prefix) for n in open_}
            found.update((n, gap) for n, gap in around.items() if gap.exact is not None)
            asked = list(dict.fromkeys(gap for gap in around.values() if gap.exact is None))
            if not asked:
                return [found[n] for n in range(len(keys))]
            version, rows = await self._pool.run(lambda connection, a=asked: self._between(connection, a))  # type: ignore[misc]
            if version != self._version:
                sample.clear()
                self._version = version
                found.clear()
                open_ = list(range(len(keys)))
                continue
            filled = {asked[number - 1] for number, _, _ in rows}
            for n in open_:
                gap = around[n]
                if gap.exact is None and gap not in filled:
                    found[n] = gap
            open_ = [n for n in open_ if n not in found]
            await self._learn(key, sample, {token: code for _, token, code in rows})
        raise VaultError(
            f"the order index of domain {domain_id(self._domain)} can't be searched",
            hint="Run `pgnym apply`.",
        )

    async def _learn(self, key: Key, sample: Sample, codes: Mapping[bytes, str]) -> None:
        forgets = self._forgets
        values = await self._get(list(codes)) if codes else {}
        gone = [token for token in codes if token not in values]
        if gone:
            await self.drop(gone)
        if forgets != self._forgets:
            return  # some of them were erased meanwhile, perhaps; the next round shows the rest
        for token, value in values.items():
            sample.add(key(value), codes[token], token)

    # -- statements ----------------------------------------------------------------------------------------

    async def _missing(self, connection: Connection, tokens: Iterable[bytes]) -> list[bytes]:
        rows = await connection.fetch(
            f"SELECT pgnym.codes_missing_{self._name}($1)", [token.decode("ascii") for token in tokens]
        )
        return [row[0].encode("ascii") for row in rows]

    async def _between(
        self, connection: Connection, gaps: Sequence[Gap]
    ) -> tuple[int, list[tuple[int, bytes, str]]]:
        first = len(self._prefix)
        places: list[str] = []
        ends: list[str] = []
        numbers: list[int] = []
        for number, gap in enumerate(gaps, 1):
            found = order_codes.probes(gap.low[first:], gap.high[first:], _PROBES)
            places += [self._prefix + place for place in found]
            ends += [gap.high] * len(found)
            numbers += [number] * len(found)
        (_, _, version), *rows = await connection.fetch(
            f"SELECT * FROM pgnym.codes_between_{self._name}($1, $2, $3, $4, $5, $6)",  # noqa: S608 - of base32 digits
            [gap.low for gap in gaps],
            [gap.high for gap in gaps],
            places,
            ends,
            numbers,
            _SOME,
        )
        return int(version), [(n, token.encode("ascii"), code) for n, token, code in rows]

    async def _insert(
        self, connection: Connection, version: int, entries: Sequence[tuple[Any, bytes, str, Gap]]
    ) -> tuple[int, list[bytes]]:
        (version_now,), *rows = await connection.fetch(
            f"SELECT pgnym.codes_add_{self._name}($1, $2, $3, $4, $5, $6)",
            self._vault.same_cluster,
            version,
            [token.decode("ascii") for _, token, _, _ in entries],
            [code for _, _, code, _ in entries],
            [gap.low for _, _, _, gap in entries],
            [gap.high for _, _, _, gap in entries],
        )
        return int(version_now), [row[0].encode("ascii") for row in rows]

    async def _drop(self, connection: Connection, tokens: Sequence[bytes]) -> None:
        async with connection.transaction():
            await connection.execute(order_tables.lock(self._domain))
            there = await self._get_stored(tokens)
            gone = [token.decode("ascii") for token in tokens if token not in there]
            await connection.execute(f"SELECT pgnym.codes_drop_{self._name}($1)", gone)


class Codes:
    """Where the codes of all tenants lie. ``app``: leads to the application's database, as the gateway's login; None: values
    of domains that have an order index can't be stored here. ``later``: the caller sees himself that values get their codes.
    """

    def __init__(self, app: Connector | None = None, *, later: bool = False) -> None:
        self.pool = None if app is None else LanePool([Lane(app), Lane(app)])
        self.later = later

    def of(self, tenant: int, get: Get, open_read: OpenRead, vault: Around) -> TenantOrders:
        """The part of one tenant: see ``TenantValues``."""
        return TenantOrders(self, TenantValues(tenant, get, open_read, vault))

    async def close(self) -> None:
        """Waits for what is under way, then ends the connections."""
        if self.pool is not None:
            await self.pool.close()


class TenantOrders:
    """The orders of one tenant's domains."""

    def __init__(self, codes: Codes, values: TenantValues) -> None:
        self._codes = codes
        self._values = values
        self._domains: dict[bytes, DomainOrder] = {}

    async def ensure(
        self, orders: Mapping[bytes, OrderScheme], tokens: Iterable[bytes], values: Mapping[bytes, bytes]
    ) -> None:
        """See that those tokens that belong to ordered domains have codes. Errors: as ``DomainOrder.ensure``."""
        if self._codes.later:
            return
        for prefix, group in _by_domain(tokens).items():
            if prefix in orders:
                await self._of(prefix, orders[prefix]).ensure({token: values[token] for token in group})

    async def place(self, prefix: bytes, value: bytes | None) -> bytes:
        """Where a canonical value is or would be among those of a domain: what ``pgnym.place_…`` takes.

        Errors: IndexesChanged (the domain has no order index, or not yet of all values), and those of ``ensure``.
        """
        indexes = await self._values.vault.known_indexes()
        if prefix not in indexes.sorted:
            await self._values.vault.read_indexes(indexes)
            indexes = await self._values.vault.known_indexes()
            if prefix not in indexes.sorted:
                raise IndexesChanged
        return await self._of(prefix, indexes.orders[prefix]).place(value)

    async def drop(self, tokens: Iterable[bytes]) -> None:
        """Delete the codes of those tokens whose values have been deleted. Errors: VaultUnavailable."""
        indexes = await self._values.vault.known_indexes()
        for prefix, group in _by_domain(tokens).items():
            if prefix in indexes.orders:
                await self._of(prefix, indexes.orders[prefix]).drop(group)

    def forget(self, tokens: Collection[bytes] | None) -> None:
        """Let values of the domains of these tokens go (None: of all)."""
        prefixes = self._domains.keys() if tokens is None else {token[:PREFIX_LENGTH] for token in tokens}
        for prefix in prefixes:
            if (known := self._domains.get(prefix)) is not None:
                known.forget()

    def _of(self, prefix: bytes, scheme: OrderScheme) -> DomainOrder:
        """The order of a domain. VaultError if this process can't reach the codes."""
        known = self._domains.get(prefix)
        if known is None or known.scheme != scheme:
            if self._codes.pool is None:
                raise VaultError("this process can't store values of domains that have an order index")
            known = self._domains[prefix] = DomainOrder(self._codes.pool, prefix, scheme, self._values)
        return known


def _by_domain(tokens: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    groups: dict[bytes, list[bytes]] = {}
    for token in tokens:
        groups.setdefault(token[:PREFIX_LENGTH], []).append(token)
    return groups
