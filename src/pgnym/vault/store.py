"""The vault: where values are put and got, by token, over pgnym's own connections.

One ``Vault`` per process. It shares its connections, batches and memory bound among all sessions; each tenant's part
of it is a ``TenantVault``, which is what sessions hold.

Put before write. With the vault in the application's own cluster a put commits asynchronously: the log is replayed in
order, so the application's later commit makes it durable, and a crash that loses the put loses the application's row too.
With a server of its own, a put commits synchronously.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from pgnym.metrics.counts import Timings
from pgnym.vault.batch import Batcher
from pgnym.vault.cache import CacheBudget, ValueCache
from pgnym.vault.ciphers import cannot_open_without_key, open, seal_all
from pgnym.vault.connection import COMMAND_TIMEOUT, CONNECT_TIMEOUT, Connector, Lane, LanePool
from pgnym.vault.domain_values import SCAN_BYTES, SCAN_LIMIT, DomainReader, DomainValues, ScanMemory
from pgnym.vault.errors import KeyGone, TooManyValues, VaultError, vault_closed
from pgnym.vault.following import MasterFollower, TokenFollower, wiped
from pgnym.vault.grants import LiveGrants
from pgnym.vault.indexes import Fold, Indexes, IndexesChanged, TenantGrams
from pgnym.vault.indexes import load as load_indexes
from pgnym.vault.keyring import Keyring, TenantKeys
from pgnym.vault.keys import MasterKey, Secret
from pgnym.vault.known import KnownTokens
from pgnym.vault.lanes import Get, GetLane, Put, PutLane, Sealed
from pgnym.vault.loans import Loan
from pgnym.vault.migrations import current_version, latest_version, outdated
from pgnym.vault.orders import Codes
from pgnym.vault.pausing import Pauser, refuse_to_start
from pgnym.vault.revocations import Revocations
from pgnym.vault.substrings import CANDIDATE_LIMIT, SubstringIndex
from pgnym.vault.tokens import TOKEN_PATTERN, randomized
from pgnym.vault.watch import Watch

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Value = TypeVar("Value")

PURGE_GRACE = 24 * 3600.0
"""Seconds since its last put before an unreferenced value may be purged. A token may be used, without a new put, up to
KNOWN_TTL after its put, in a transaction that ends later still; and last_put may lag by the hour that vault.put allows. So
no transaction may stay open longer than 24 h - 1 h - KNOWN_TTL."""

KNOWN_TTL = 300.0
KNOWN_LIMIT = 200_000
CACHE_TTL = 300.0
CACHE_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 10  # to do what others' changes of the indexes may be in the way of
_READS = 3  # of a row whose key is gone: a rotation that has ended since leaves it under another
_BATCH = 5000  # tokens in one round trip: some ten milliseconds of the server's time


class Vault:
    """Connections, batches and bounds that all tenants share. Made by ``Vault.open``."""

    def __init__(
        self,
        connector: Connector,
        keyring: Keyring,
        *,
        same_cluster: bool,
        cache_bytes: int,
        scan_limit: int,
        scan_bytes: int,
        candidate_limit: int,
        fold: Fold | None,
        timings: Timings,
        codes: Codes,
    ) -> None:
        self.connector = connector
        self.same_cluster = same_cluster
        self.cache_budget = CacheBudget(cache_bytes, CACHE_TTL)
        self.keyring = keyring
        self.substrings = SubstringIndex(LanePool([Lane(connector), Lane(connector)]), limit=candidate_limit)
        self.fold = fold
        self.codes = codes
        self.indexes = Indexes()
        self._closed = False
        self._tenants: dict[str, TenantVault] = {}
        self._by_id: dict[int, TenantVault] = {}
        self._control = Lane(connector)  # keys and tenants
        self._control_lock = asyncio.Lock()
        self._administration = LanePool([Lane(connector) for _ in range(3)])
        self._loans = LanePool([Lane(connector)])
        self.revocations = Revocations()
        self.grants = LiveGrants(self._administration.run, self.revocations)
        self._reloading: asyncio.Task[None] | None = None
        self._keys_stale = False
        # One lane for puts: a second would wait for the first wherever both hold the same token. Two for gets, so that a
        # small one need not wait for a large one.
        self._put_lanes = [Lane(connector)]
        self._get_lanes = [Lane(connector), Lane(connector)]
        self._puts: Batcher[Put, bool] = Batcher(
            [PutLane(lane, same_cluster, timings.put).run for lane in self._put_lanes],
            limit=_BATCH,
            weight=lambda p: len(p.tokens),
        )
        self._gets: Batcher[Get, list[Sealed]] = Batcher(
            [GetLane(lane, timings.get).run for lane in self._get_lanes],
            limit=_BATCH,
            weight=lambda g: len(g[1]),
        )
        self.scans = ScanMemory([Lane(connector), Lane(connector)], limit=scan_limit, limit_bytes=scan_bytes)
        self.watch = Watch(
            connector,
            forget=self.forget,
            forget_all=self._lost,
            indexes_changed=self._forget_indexes,
            keys_changed=self._keys_changed,
            grants_changed=self.grants.changed,
            pause=lambda: self.pauser.pause(),
            take_pending=self._take_pending,
            master=lambda: self.keyring.master_id,
        )
        self.pauser = Pauser(connector, TokenFollower(self._tenants.values, self.reload_keys))
        self.master = MasterFollower(self.keyring, self._with_keys, self.watch.pending)

    def __repr__(self) -> str:
        return f"<Vault of {len(self._tenants)} tenants, {'same cluster' if self.same_cluster else 'own server'}>"

    @classmethod
    async def open(
        cls,
        where: str | Mapping[str, Any],
        master: MasterKey,
        *,
        same_cluster: bool,
        cache_bytes: int = CACHE_BYTES,
        scan_limit: int = SCAN_LIMIT,
        scan_bytes: int = SCAN_BYTES,
        candidate_limit: int = CANDIDATE_LIMIT,
        fold: Fold | None = None,
        codes: Codes | None = None,
        timings: Timings | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> Vault:
        """Connects, checks schema and master key, and starts to listen for invalidations.

        ``where``: a PostgreSQL URL, or keyword arguments of ``asyncpg.connect``, of the gateway's role. ``master``: owned by
        the vault from now on (``close`` wipes it). ``same_cluster``: the application's tables are in the same cluster.
        ``cache_bytes``: bound of opened values in memory. ``scan_limit``: how many values of one domain may be opened to
        answer a question about all of them, ``scan_bytes``: what of them is kept. ``candidate_limit``: how many an index may
        find for one question. ``fold``, ``codes``: needed as soon as a domain has a substring index, an order index; see
        ``indexes.Fold``, ``orders.Codes``. ``timings``: where round trips are noted. Times in seconds. Errors:
        VaultUnavailable, VaultOutdated, WrongMasterKey.
        """
        connector = Connector(where, connect_timeout=connect_timeout, command_timeout=command_timeout)
        vault = cls(
            connector,
            Keyring(master),
            same_cluster=same_cluster,
            cache_bytes=cache_bytes,
            scan_limit=scan_limit,
            scan_bytes=scan_bytes,
            candidate_limit=candidate_limit,
            fold=fold,
            timings=timings or Timings(),
            codes=codes or Codes(),
        )
        try:
            await vault._control.run(vault._check)
            await vault.watch.start()
            await vault._control.run(vault.keyring.check)  # no change of the master key ends from here on
            await vault._control.run(refuse_to_start)  # and none of a token key begins
            await vault.grants.start()
        except BaseException:
            await vault.watch.stop()
            await vault._control.close()
            raise
        return vault

    async def close(self) -> None:
        """Finishes what is under way, ends the connections, and wipes keys and values from memory."""
        await self.grants.stop()
        await asyncio.gather(
            self._puts.close(vault_closed),
            self._gets.close(vault_closed),
            self.scans.close(),
            self.substrings.close(),
            self._administration.close(),
            self._loans.close(),
            self.codes.close(),
        )
        await self.watch.stop()
        await self.pauser.close()
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait([self._reloading])
        async with self._control_lock:
            self._closed = True
            for lane in (self._control, *self._put_lanes, *self._get_lanes):
                await lane.close()
        for tenant in self._tenants.values():
            tenant.wipe()
        self.cache_budget.clear()
        self.keyring.wipe()

    async def tenant(self, name: str) -> TenantVault:
        """The tenant's part, created with its keys if it is new. Errors: VaultUnavailable, KeyProblem, VaultError."""
        found = self._tenants.get(name)
        if found is None:
            async with self._control_lock:
                found = self._tenants.get(name)
                if found is None:
                    keys = await self._controlled(lambda connection: self.keyring.load(connection, name))
                    found = self._tenants[name] = self._by_id[keys.id] = TenantVault(self, keys)
        return found

    async def administer(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        """``work`` on a connection that is kept for administration, apart from what sessions wait for.

        Errors: VaultUnavailable, VaultOutdated, VaultError.
        """
        return await self._administration.run(work)

    async def lend(self, loan: Loan) -> tuple[int, int]:
        """How many values are lent, and in which second of the vault's clock. Errors: VaultUnavailable, VaultOutdated."""
        return await self._loans.run(loan.make)

    def opened(self, name: str) -> TenantVault | None:
        """The tenant's part if ``tenant`` gave it before."""
        return self._tenants.get(name)

    def clear(self) -> None:
        """Forgets all opened values and known tokens."""
        self.cache_budget.clear()
        for tenant in self._tenants.values():
            tenant.forget(None)

    def forget(self, tenant_id: int, tokens: list[bytes] | None) -> None:
        """Forgets values and tokens of one tenant (None: all of them) in this process only."""
        if (tenant := self._by_id.get(tenant_id)) is not None:
            tenant.forget(tokens)

    # For TenantVault.

    async def put_sealed(self, put: Put) -> bool:
        """Stores sealed values; True if all were new. Committed on return."""
        return await self._puts.submit(put)

    async def get_sealed(self, get: Get) -> list[Sealed]:
        """Sealed values: (token, key generation, ciphertext) for each that is there."""
        return await self._gets.submit(get)

    async def reserve(self, tenant: TenantVault, uses: int) -> None:
        """Sees that the tenant's data key may seal ``uses`` more values."""
        async with self._control_lock:
            keys = tenant.keys
            tenant.keys = await self._controlled(
                lambda connection: self.keyring.reserve(connection, keys, uses)
            )

    async def known_indexes(self) -> Indexes:
        """Which indexes there are; read if it isn't known."""
        while not self.indexes.epoch:
            await self.read_indexes(self.indexes)
        return self.indexes

    async def read_indexes(self, known: Indexes) -> None:
        """Reads anew which indexes there are, unless that has been done since they were ``known``."""
        async with self._control_lock:
            if self.indexes is known:
                self.indexes = await self._controlled(load_indexes)

    def _forget_indexes(self) -> None:
        self.indexes = Indexes()

    def _keys_changed(self) -> None:
        self._forget_indexes()
        self._keys_stale = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload_all())

    async def _reload_all(self) -> None:
        """Lets destroyed keys go from memory, and learns new ones before somebody waits for them."""
        while self._keys_stale:
            self._keys_stale = False
            for tenant in list(self._tenants.values()):
                try:
                    await self.reload_keys(tenant, tenant.keys)
                except VaultError:
                    # Whoever needs the keys asks for them again and gets the error; and if the server can't be
                    # reached, the watch will say again that keys may have changed.
                    continue
            await self.master.look()

    def _lost(self) -> None:
        self._forget_indexes()
        self.clear()

    async def reload(self, tenant: TenantVault, generation: int) -> None:
        """Reads a tenant's keys anew, unless key ``generation`` is there by now."""
        async with self._control_lock:
            if generation not in tenant.keys.data:
                tenant.keys = await self._controlled(
                    lambda connection: self.keyring.load(connection, tenant.name, create=False)
                )

    async def reload_keys(self, tenant: TenantVault, known: TenantKeys) -> None:
        """Reads a tenant's keys anew, unless that has been done since they were ``known``."""
        async with self._control_lock:
            if tenant.keys is known:
                tenant.keys = await self._controlled(
                    lambda connection: self.keyring.load(connection, tenant.name, create=False)
                )

    async def _with_keys(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        async with self._control_lock:
            return await self._controlled(work)

    async def _controlled(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        """``work`` on the control connection, whose lock is held."""
        if self._closed:
            raise vault_closed()
        return await self._control.run(work)

    async def notify(self, tenant_id: int, tokens: list[str] | None) -> None:
        """Tells all gateways, this one too, to forget."""
        async with self._control_lock:
            await self._controlled(
                lambda connection: connection.execute("SELECT vault.invalidate($1, $2)", tenant_id, tokens)
            )

    def _take_pending(self) -> list[Callable[[], None]]:
        taken = [tenant.take_pending() for tenant in self._tenants.values()]
        return [confirm for confirm in taken if confirm is not None]

    async def _check(self, connection: Connection) -> None:
        version = await current_version(connection)
        if version != latest_version():
            raise outdated(version)
        await self.keyring.check(connection)
        self.indexes = await load_indexes(connection)


class TenantVault:
    """One tenant's values. Made by ``Vault.tenant``."""

    def __init__(self, vault: Vault, keys: TenantKeys) -> None:
        self._vault = vault
        self.keys = keys
        self.name = keys.name
        self.id = keys.id
        self._known = KnownTokens(KNOWN_TTL, KNOWN_LIMIT)
        self._cache: ValueCache = vault.cache_budget.section()
        self._domains = DomainReader(vault.scans, keys.id, self.open_sealed, lambda: vault.watch.listening)
        self.orders = vault.codes.of(keys.id, self.get, self.open_read, vault)
        self._grams = TenantGrams(lambda: self.keys.search, vault.fold)
        self._forgets = 0  # counts invalidations: what was on its way meanwhile is not kept
        self.token: Callable[[bytes, bytes], bytes] = keys.tokenizer.token
        """``token(prefix, identity)``: the deterministic token of a value. Local; does not put."""
        self._sample = self.token(b"", b"")  # tells one token key from another
        self.cached: Callable[[bytes], bytes | None] = self._cache.get
        """``cached(token)``: the value if it is in memory, else None."""
        self.is_known: Callable[[bytes], bool] = self._known.__contains__
        """``is_known(token)``: whether this process put it lately, so that it need not be put again."""

    def __repr__(self) -> str:
        return f"<TenantVault {self.name}>"

    @property
    def audit_key(self) -> Secret:
        """The key that keys of the audit log are derived from."""
        return self.keys.audit

    @property
    def search_key(self) -> Secret:
        """The key that keys of blind indexes are derived from."""
        return self.keys.search

    def random_token(self, prefix: bytes) -> bytes:
        """A new randomized token. Does not put."""
        return randomized(prefix)

    async def put(self, values: Mapping[bytes, bytes]) -> None:
        """Stores canonical values by token; committed on return (see the module's docstring for what that means).

        Putting a token again changes nothing but its last-put time. Known tokens are left out.
        Errors: VaultUnavailable (may or may not be stored), KeyProblem, VaultError; ValueError for what is no token.
        """
        known = self._known
        fresh = [token for token in values if token not in known]
        if not fresh:
            return
        fresh.sort()
        for start in range(0, len(fresh), _BATCH):
            await self._put(fresh[start : start + _BATCH], values)

    async def _put(self, tokens: list[bytes], values: Mapping[bytes, bytes]) -> None:
        is_token, tenant = TOKEN_PATTERN.fullmatch, self.id
        for token in tokens:
            if not is_token(token):
                raise ValueError("a key of the mapping is no token")
        generation, ciphertexts = 0, list[bytes]()
        forgets = self._forgets
        for attempt in itertools.count():
            indexes = await self._vault.known_indexes()
            if indexes.keys != self.keys.known:
                indexes = await self._settled()
            if generation != self.keys.generation:
                generation, ciphertexts = await self._seal(tokens, values)
            grams = self._grams.of_values(indexes, tokens, values)
            try:
                all_new = await self._vault.put_sealed(
                    Put(tenant, generation, indexes.epoch, tokens, ciphertexts, grams)
                )
                break
            except IndexesChanged:
                # Of puts that share a batch, some may know already: those needn't read again, only try again.
                if attempt == _ATTEMPTS:
                    raise
                await self._vault.read_indexes(indexes)
        if indexes.orders:
            await self.orders.ensure(indexes.orders, tokens, values, new=all_new)
        if forgets != self._forgets or not self._vault.watch.listening:
            return
        if self._vault.same_cluster:
            self._known.add_pending(tokens)
            self._vault.watch.pending()
        else:
            self._known.add(tokens)
        if all_new:
            # Else the row may hold another spelling of the value (1.0 for 1.00) than we were given: let it be read.
            self._cache.put((token, values[token]) for token in tokens)

    async def _settled(self) -> Indexes:
        """What is known of indexes, with keys that were read after it."""
        for _ in range(_ATTEMPTS):
            indexes = await self._vault.known_indexes()
            if indexes.keys == self.keys.known:
                return indexes
            await self._vault.reload_keys(self, self.keys)
            if indexes.keys != self.keys.known:
                await self._vault.read_indexes(indexes)
        raise IndexesChanged

    async def _seal(self, tokens: Sequence[bytes], values: Mapping[bytes, bytes]) -> tuple[int, list[bytes]]:
        """The generation of the key, and the ciphertexts."""
        while self.keys.uses_left < len(tokens):
            await self._vault.reserve(self, len(tokens))
        keys = self.keys
        keys.uses_left -= len(tokens)
        return keys.generation, seal_all(keys.data[keys.generation], self.id, tokens, values)

    async def get(self, tokens: Iterable[bytes]) -> dict[bytes, bytes]:
        """Canonical values by token; those that are not in the vault (or are no tokens) are absent.

        Errors: VaultUnavailable, CannotOpen (a row was tampered with, or its key is gone), KeyProblem.
        """
        found: dict[bytes, bytes] = {}
        missing: list[bytes] = []
        cached, is_token = self.cached, TOKEN_PATTERN.fullmatch
        for token in dict.fromkeys(tokens):
            value = cached(token)
            if value is not None:
                found[token] = value
            elif is_token(token):
                missing.append(token)
        for start in range(0, len(missing), _BATCH):
            await self._get(missing[start : start + _BATCH], found)
        return found

    async def _get(self, tokens: list[bytes], found: dict[bytes, bytes]) -> None:
        forgets = self._forgets
        opened = await self.open_read(lambda: self._vault.get_sealed((self.id, tokens)))
        found.update(opened)
        if forgets == self._forgets and self._vault.watch.listening:
            self._cache.put(opened)

    async def open_read(self, read: Callable[[], Awaitable[Sequence[Sealed]]]) -> list[tuple[bytes, bytes]]:
        """The values of what ``read`` gives. It is read again where a rotation has destroyed a key since."""
        for _ in range(_READS - 1):
            try:
                return await self.open_sealed(await read())
            except KeyGone:
                continue
        return await self.open_sealed(await read())

    async def open_sealed(self, rows: Sequence[Sealed]) -> list[tuple[bytes, bytes]]:
        """The values of (token, key generation, ciphertext). Errors: CannotOpen, KeyProblem, VaultUnavailable."""
        tenant, data = self.id, self.keys.data
        opened: list[tuple[bytes, bytes]] = []
        for token, generation, ciphertext in rows:
            dek = data.get(generation)
            if dek is None:
                # Another gateway may have begun a generation since we read the keys.
                await self._vault.reload(self, generation)
                data = self.keys.data
                dek = data.get(generation)
                if dek is None:
                    raise cannot_open_without_key(token, generation)
            opened.append((token, open(dek, tenant, token, ciphertext)))
        return opened

    async def domain_values(self, prefix: bytes) -> DomainValues:
        """All values of a domain. ``prefix``: the six bytes that its tokens start with.

        Everything that was committed before the call is in it, and nothing whose deletion was. One round trip if little
        or nothing has changed since the last call. Errors: TooManyValues (more than ``scan_limit``), VaultUnavailable,
        CannotOpen, KeyProblem.
        """
        return await self._domains.values(prefix)

    async def candidates(
        self, prefix: bytes, alternatives: Collection[Collection[str]]
    ) -> Mapping[bytes, bytes] | None:
        """The values of a domain that may contain all texts of one of the ``alternatives``; all others don't.

        The texts have been folded. None if no index can tell: the domain has none, or an alternative has no text of three
        characters. If the index finds too many, all values of the domain. Fresh like ``domain_values``. Errors:
        TooManyValues (more than ``candidate_limit``, and the domain more than ``scan_limit``), and those of
        ``domain_values``.
        """
        for attempt in itertools.count():
            indexes = await self._vault.known_indexes()
            if prefix not in indexes.built:
                return None
            grams = [self._grams.of_texts(prefix, texts) for texts in alternatives]
            if not grams or not all(grams):
                return None
            try:
                sealed = await self._vault.substrings.find(self.id, prefix, grams)
                if sealed is None:
                    break
                return dict(await self.open_sealed(sealed))
            except KeyGone:
                if attempt == _READS:
                    raise
            except IndexesChanged:
                if attempt == _ATTEMPTS:
                    raise
                await self._vault.read_indexes(indexes)
        try:
            return (await self._domains.values(prefix)).values
        except TooManyValues:
            raise self._vault.substrings.too_many(prefix) from None

    async def fill_index(self, prefix: bytes, tick: Callable[[int], None]) -> None:
        """Stores the grams of those values of a domain that have none; ``tick`` is told how many each time.

        Begins where an earlier run was ended. Errors: VaultUnavailable, CannotOpen, KeyProblem.
        """
        await self._vault.read_indexes(self._vault.indexes)

        async def grams(values: Mapping[bytes, bytes]) -> list[str | None] | None:
            return self._grams.of_values(await self._vault.known_indexes(), list(values), values)

        await self._vault.substrings.fill(self.id, prefix, self.open_read, grams, tick)

    async def invalidate(self, tokens: Iterable[bytes] | None) -> None:
        """Tells all gateways to forget these tokens and their values (None: all of the tenant's).

        Whoever deletes values does it in the deleting transaction instead: ``SELECT vault.invalidate(tenant, tokens)``.
        """
        listed = None if tokens is None else [token for token in tokens if TOKEN_PATTERN.fullmatch(token)]
        self.forget(listed)
        await self._vault.notify(
            self.id, None if listed is None else [token.decode("ascii") for token in listed]
        )

    def forget(self, tokens: list[bytes] | None) -> None:
        """Forgets in this process only."""
        self._forgets += 1
        self._domains.forget(tokens)
        self.orders.forget(tokens)
        if tokens is None:
            self._known.clear()
            self._cache.clear()
        else:
            self._known.drop(tokens)
            self._cache.drop(tokens)

    def take_pending(self) -> Callable[[], None] | None:
        """What becomes known once everything committed so far is flushed."""
        return self._known.take_pending()

    def use_tokens(self) -> bool:
        """Makes tokens by the keys that were read last; whether they are others than before."""
        before, self.token = self._sample, self.keys.tokenizer.token
        self._sample = self.token(b"", b"")
        return self._sample != before

    def wipe(self) -> None:
        """Forgets values and keys. The object is of no use afterwards."""
        self._domains.wipe()
        self._grams.wipe()
        self.forget(None)
        self.token = wiped
        self.keys.wipe()
