"""The order index, as gateways fill and ask it: codes for new values, and the places of constants.

A gateway that holds a new value has to find its neighbours among millions, which only it can compare. It keeps a sorted
sample of the domain in memory, asks the server for codes between two neighbours of the sample, opens the values that come
back, and so narrows the gap down, some forty times a round, until nothing is between. Many values at once share the rounds,
also those of several sessions. The code is stored under the domain's lock if the gap is empty still; else it is narrowed
down once more. So two gateways can't give codes that contradict each other, and none needs to know of another. Where one
value comes behind the other, nothing is asked before: the lock tells.

Codes of values that are not in the vault any more (an erasure that was killed, a purge) are in the way: nobody can tell
where they belong. They are deleted, under the lock, and only if the value is not there then: whoever puts it again stores
the value before he asks for its code, under the same lock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.order_scheme import OrderScheme
from pgnym.vault import order_codes, order_tables
from pgnym.vault.batch import Batcher
from pgnym.vault.connection import Connector, Lane, LanePool
from pgnym.vault.errors import VaultError, VaultUnavailable
from pgnym.vault.indexes import Indexes, IndexesChanged
from pgnym.vault.lanes import Get as SealedGet
from pgnym.vault.lanes import Sealed
from pgnym.vault.order_codes import END, Runs
from pgnym.vault.order_sample import Gap, Sample
from pgnym.vault.tokens import PREFIX_LENGTH, domain_id
from pgnym.vault.watch import Watch

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_AT_ONCE = 1000  # values that are placed together
_SOME = 16  # codes asked for from the beginning of a gap: if there are fewer, these are all
_PROBES, _FEW_PROBES, _ALL_PROBES = 24, 4, 2000  # codes that are spread over a gap: for few, for many, in all
_MANY = 20  # gaps that are asked about at once
_SWEPT = 5000  # codes that are looked at in one round trip
_CACHED = 1000  # values that may push others out of the cache
_ROUNDS = 400  # far more than the longest code has digits to tell apart
_TRIES = 50  # to find a gap that is empty still
NULL_PLACE = b"?"

Get = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, bytes]]]
OpenRead = Callable[[Callable[[], Awaitable[Sequence[Sealed]]]], Awaitable[list[tuple[bytes, bytes]]]]
Key = Callable[[bytes], Any]


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

    async def gone(self, tokens: Sequence[bytes]) -> list[bytes]:
        """Those of the tokens that have no value in the vault now."""
        there = {token for token, _, _ in await self.vault.get_sealed((self.tenant, tokens))}
        return [token for token in tokens if token not in there]


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
        self._gone = vault.gone
        self._vault = vault.vault
        self._all = Gap(self._prefix, self._prefix + END)
        self._sample = Sample()
        self._narrow = False  # whether gaps that many values belong into were read as a whole
        self._version = 0
        self._runs = Runs()
        self._forgets = 0
        # One at a time: of two that place neighbours side by side, one would have to do it again.
        self._placing: Batcher[Mapping[bytes, bytes], VaultError | None] = Batcher(
            [self._place], limit=_AT_ONCE, weight=len
        )

    async def ensure(self, values: Mapping[bytes, bytes], *, new: bool = False) -> None:
        """See that values (by token; they are in the vault) have codes. Committed on return.

        ``new``: they weren't in the vault before, so that most have none. Errors: VaultUnavailable, VaultError (also where
        this machine can't tell the order).
        """
        tokens = list(values)
        for start in range(0, len(tokens), _AT_ONCE):
            some = tokens[start : start + _AT_ONCE]
            if not new:
                some = await self._pool.run(lambda connection, some=some: self._missing(connection, some))  # type: ignore[misc]
            if some:
                error = await self._placing.submit({token: values[token] for token in some})
                if error is not None:
                    raise error

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

    async def sweep(self) -> None:
        """Delete the codes of all tokens whose values are not in the vault: of deletions that were killed in between."""
        low = self._prefix

        async def following(connection: Connection) -> tuple[int, list[tuple[int, bytes, str]]]:
            return await self._between(connection, [Gap(low, self._all.high)], 0, _SWEPT)

        while True:
            _, rows = await self._pool.run(following)
            if not rows:
                return
            if gone := await self._gone([token for _, token, _ in rows]):
                await self.drop(gone)
            codes = sorted({code for _, _, code in rows})
            # More may have the last code. (If all have the same, they stay until somebody looks for neighbours.)
            low = codes[-2] if len(rows) == _SWEPT and len(codes) > 1 else codes[-1]

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

    async def _place(self, items: list[Mapping[bytes, bytes]]) -> list[VaultError | None]:
        """Places the values of several callers at once; what can't be for one of them is his error alone."""
        key = self._key()
        try:
            await self._add(key, {token: value for item in items for token, value in item.items()})
        except VaultUnavailable:
            raise
        except VaultError as error:
            if len(items) == 1:
                return [error]
            return [(await self._place([item]))[0] for item in items]
        return [None] * len(items)

    async def _add(self, key: Key, values: Mapping[bytes, bytes]) -> None:
        keyed = sorted(((key(value), token) for token, value in values.items()), key=lambda pair: pair[0])
        for attempt in range(_TRIES):
            gaps = await self._gaps(key, [k for k, _ in keyed], guess=not attempt)
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
            now, codes = await self._pool.run(lambda c, v=version, e=entries: self._insert(c, v, e))  # type: ignore[misc]
            if now != version:
                self._sample.clear()
                self._version = now
            elif forgets == self._forgets and self._vault.watch.listening:
                for k, token, _, _ in entries:
                    if token in codes:
                        self._sample.add(k, codes[token], token)
            keyed = [pair for pair in keyed if pair[1] not in codes]
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

    async def _gaps(self, key: Key, keys: Sequence[Any], *, guess: bool = False) -> list[Gap]:
        """The gap of each key, with nothing between as of now. ``guess``: where values come one behind the other, it isn't
        looked whether there is."""
        sample = self._sample if self._vault.watch.listening else Sample()
        found: dict[int, Gap] = {}
        for turn in range(_ROUNDS):
            around = {n: sample.around(keys[n], self._all) for n in range(len(keys)) if n not in found}
            found.update((n, gap) for n, gap in around.items() if gap.exact is not None)
            if guess and not turn:
                found.update((n, gap) for n, gap in around.items() if self._runs.running(gap.low, gap.high))
            asked = list(dict.fromkeys(gap for n, gap in around.items() if n not in found))
            if not asked:
                return [found[n] for n in range(len(keys))]
            probes = self._probes(len(asked), turn)
            version, rows = await self._pool.run(lambda c, a=asked, p=probes: self._between(c, a, p))  # type: ignore[misc]
            if version != self._version:
                sample.clear()
                self._version = version
                found.clear()
                continue
            read: dict[Gap, list[bytes]] = {gap: [] for gap in asked}
            for number, token, _ in rows:
                if number > 0:
                    read[asked[number - 1]].append(token)
            values = await self._learn(key, {token: code for _, token, code in rows})
            if values is None:
                continue  # some were erased meanwhile, perhaps; the next round shows the rest
            whole = {gap: _inner(tokens, values) for gap, tokens in read.items() if len(tokens) < _SOME}
            found.update(
                (n, whole[gap].around(keys[n], gap))
                for n, gap in around.items()
                if n not in found and gap in whole
            )
            many = len(asked) > _MANY
            if many and not turn:
                self._narrow = len(whole) > len(asked) * 3 // 4
            # Of many values not all that was read on the way is worth keeping, but what is next to them.
            ends = {t for n in around if n in found for t in (found[n].low_token, found[n].high_token)}
            for number, token, code in rows:
                if not many or asked[abs(number) - 1] not in whole or token in ends:
                    sample.add(values[token][0], code, token)
        raise VaultError(
            f"the order index of domain {domain_id(self._domain)} can't be searched",
            hint="Run `pgnym apply`.",
        )

    def _probes(self, gaps: int, turn: int) -> int:
        """How many codes to ask for that are spread over each of so many gaps."""
        if gaps <= _MANY:
            return _PROBES
        return 0 if self._narrow and not turn else max(_FEW_PROBES, min(_PROBES, _ALL_PROBES // gaps))

    async def _learn(self, key: Key, codes: Mapping[bytes, str]) -> dict[bytes, tuple[Any, str]] | None:
        """The keys and codes of tokens; None if values were forgotten or gone meanwhile."""
        forgets = self._forgets
        get = self._get if len(codes) <= _CACHED else self._get_stored
        values = await get(list(codes)) if codes else {}
        gone = [token for token in codes if token not in values]
        if gone:
            await self.drop(gone)
        if gone or forgets != self._forgets:
            return None
        return {token: (key(value), codes[token]) for token, value in values.items()}

    # -- statements ----------------------------------------------------------------------------------------

    async def _missing(self, connection: Connection, tokens: Iterable[bytes]) -> list[bytes]:
        rows = await connection.fetch(
            f"SELECT pgnym.codes_missing_{self._name}($1)", [token.decode("ascii") for token in tokens]
        )
        return [row[0].encode("ascii") for row in rows]

    async def _between(
        self, connection: Connection, gaps: Sequence[Gap], probes: int, some: int = _SOME
    ) -> tuple[int, list[tuple[int, bytes, str]]]:
        """The version of all codes, and some codes with their tokens: the first of a gap with its number, from 1; the others
        with the number made negative."""
        first = len(self._prefix)
        places: list[str] = []
        ends: list[str] = []
        numbers: list[int] = []
        for number, gap in enumerate(gaps, 1):
            found = order_codes.probes(gap.low[first:], gap.high[first:], probes) if probes else []
            places += [self._prefix + place for place in found]
            ends += [gap.high] * len(found)
            numbers += [-number] * len(found)
        (_, _, version), *rows = await connection.fetch(
            f"SELECT * FROM pgnym.codes_between_{self._name}($1, $2, $3, $4, $5, $6)",  # noqa: S608 - of base32 digits
            [gap.low for gap in gaps],
            [gap.high for gap in gaps],
            places,
            ends,
            numbers,
            some,
        )
        return int(version), [(n, token.encode("ascii"), code) for n, token, code in rows]

    async def _insert(
        self, connection: Connection, version: int, entries: Sequence[tuple[Any, bytes, str, Gap]]
    ) -> tuple[int, dict[bytes, str]]:
        """The version of all codes, and those that the tokens have now."""
        (_, version_now), *rows = await connection.fetch(
            f"SELECT * FROM pgnym.codes_add_{self._name}($1, $2, $3, $4, $5, $6)",  # noqa: S608 - of base32 digits
            self._vault.same_cluster,
            version,
            [token.decode("ascii") for _, token, _, _ in entries],
            [code for _, _, code, _ in entries],
            [gap.low for _, _, _, gap in entries],
            [gap.high for _, _, _, gap in entries],
        )
        return int(version_now), {token.encode("ascii"): code for token, code in rows}

    async def _drop(self, connection: Connection, tokens: Sequence[bytes]) -> None:
        async with connection.transaction():
            await connection.execute(order_tables.lock(self._domain))
            gone = [token.decode("ascii") for token in await self._gone(tokens)]
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
        self,
        orders: Mapping[bytes, OrderScheme],
        tokens: Iterable[bytes],
        values: Mapping[bytes, bytes],
        *,
        new: bool = False,
    ) -> None:
        """See that those tokens that belong to ordered domains have codes. As ``DomainOrder.ensure`` in all else."""
        if self._codes.later:
            return
        for prefix, group in _by_domain(tokens).items():
            if prefix in orders:
                await self._of(prefix, orders[prefix]).ensure(
                    {token: values[token] for token in group}, new=new
                )

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

    async def sweep(self) -> None:
        """Delete the codes of all tokens whose values have been deleted. Errors: VaultUnavailable."""
        indexes = await self._values.vault.known_indexes()
        for prefix, scheme in indexes.orders.items():
            await self._of(prefix, scheme).sweep()

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


def _inner(tokens: Iterable[bytes], values: Mapping[bytes, tuple[Any, str]]) -> Sample:
    """Those tokens, with keys and codes, in order."""
    inner = Sample()
    for k, code, token in sorted(((*values[token], token) for token in tokens), key=lambda entry: entry[1]):
        inner.keys.append(k)
        inner.entries.append((code, token))
    return inner


def _by_domain(tokens: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    groups: dict[bytes, list[bytes]] = {}
    for token in tokens:
        groups.setdefault(token[:PREFIX_LENGTH], []).append(token)
    return groups
