"""Change of a tenant's token key, as far as the vault goes: new tokens for all of its values, and the end of the old ones.

1. ``begin`` adds the key, and notes that the change is under way: from then on nobody is given the tenant's keys.
2. ``carry_over`` stores each value under its new token too, and which token takes the place of which.
3. The rows of the application are changed from old tokens to new ones (``onboard/retokenizing.py``).
4. ``end`` deletes the values under old tokens, then the old key together with the note.

Each may be ended at any point: what is done is in the tables, and the next run goes on. Randomized tokens don't depend on a
key, and stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.vault.ciphers import open, seal_all
from pgnym.vault.connection import set_tenant
from pgnym.vault.keyring import Keyring, TenantKeys
from pgnym.vault.keys import Purpose
from pgnym.vault.tokens import Tokenizer, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BATCH = 2000

Identities = Callable[[bytes], Sequence[bytes]]
"""What the token of a canonical value may have been computed over: one for each type that the domain's values may have."""

_LEFT = (
    "SELECT v.token, v.generation, v.ciphertext FROM vault.value v"
    " WHERE v.tenant = $1 AND v.token > $2 AND v.token < $3"
    " AND NOT EXISTS (SELECT FROM vault.token_alias a WHERE a.tenant = v.tenant AND a.old = v.token)"
    " AND NOT EXISTS (SELECT FROM vault.token_alias a WHERE a.tenant = v.tenant AND a.new = v.token)"
    " ORDER BY v.token LIMIT $4"
)


@dataclass(slots=True)
class TokenChange:
    """A change under way. ``old``: makes the tokens of before. ``left``: values whose token is not one that the old key
    makes of them; they stay as they are."""

    keys: TenantKeys
    old: Tokenizer
    resumed: bool
    done: int = 0
    left: int = 0

    @property
    def tenant(self) -> int:
        """The tenant's id."""
        return self.keys.id


async def pending(connection: Connection) -> list[str]:
    """Names of tenants whose token key is being changed."""
    rows = await connection.fetch("SELECT name FROM vault.tenant WHERE new_token_key IS NOT NULL ORDER BY id")
    return [row[0] for row in rows]


async def begin(connection: Connection, keyring: Keyring, name: str) -> TokenChange:
    """Begin a change, or go on with one. ``keyring``: made for rotations. Errors: those of ``Keyring.load``."""
    keys = await keyring.load(connection, name, create=False)
    async with connection.transaction():
        await set_tenant(connection, keys.id)
        secrets = await keyring.generations(connection, keys, Purpose.TOKEN)
        before = await connection.fetchval("SELECT new_token_key FROM vault.tenant WHERE id = $1", keys.id)
        if before is None:
            await keyring.add(connection, keys, Purpose.TOKEN, max(secrets) + 1)
            await connection.execute(
                "UPDATE vault.tenant SET new_token_key = $2 WHERE id = $1",
                keys.id,
                max(secrets) + 1,
            )
    old = Tokenizer(secrets[max(g for g in secrets if g != before)].expose())
    for secret in secrets.values():
        secret.wipe()
    keys = await keyring.load(connection, name, create=False)
    return TokenChange(keys, old, resumed=before is not None)


async def carry_over(
    connection: Connection,
    keyring: Keyring,
    change: TokenChange,
    domains: Mapping[int, Identities],
    report: Callable[[int], None],
) -> None:
    """Store all values of these domains under their new tokens. ``report`` is told how many are done.

    Errors: CannotOpen for a value that was tampered with; what is done stays, and the change is still under way.
    """
    for domain, identities in sorted(domains.items()):
        name = prefix(domain)
        after = name.decode()
        while rows := await _left(connection, change.tenant, after, name.decode() + "~"):
            after = rows[-1]["token"]
            await _carry(connection, keyring, change, name, identities, rows)
            report(change.done)


async def _left(connection: Connection, tenant: int, after: str, until: str) -> list[asyncpg.Record]:
    async with _of_tenant(connection, tenant):
        return await connection.fetch(_LEFT, tenant, after, until, BATCH)


async def _carry(
    connection: Connection,
    keyring: Keyring,
    change: TokenChange,
    domain: bytes,
    identities: Identities,
    rows: list[asyncpg.Record],
) -> None:
    change.keys = keys = await keyring.reserve(connection, change.keys, len(rows))
    keys.uses_left -= len(rows)
    olds: list[bytes] = []
    values: dict[bytes, bytes] = {}
    for token, generation, ciphertext in rows:
        old = token.encode("ascii")
        value = open(keys.data[generation], keys.id, old, ciphertext)
        for identity in identities(value):
            if change.old.token(domain, identity) == old:
                olds.append(old)
                values[keys.tokenizer.token(domain, identity)] = value
                break
        else:
            change.left += 1
    news = list(values)
    sealed = seal_all(keys.data[keys.generation], keys.id, news, values)
    await connection.execute(
        "SELECT vault.carry_over($1, $2, $3, $4, $5)",
        keys.id, keys.generation, [o.decode() for o in olds], [n.decode() for n in news], sealed,
    )  # fmt: skip
    change.done += len(news)


async def aliases(connection: Connection, tenant: int, tokens: Sequence[bytes]) -> dict[bytes, bytes]:
    """Those of the tokens that have been replaced, with what takes their place."""
    async with _of_tenant(connection, tenant):
        rows = await connection.fetch(
            "SELECT old, new FROM vault.token_alias WHERE tenant = $1 AND old = ANY ($2::text[])",
            tenant,
            [token.decode("ascii") for token in tokens],
        )
    return {old.encode(): new.encode() for old, new in rows}


async def known(connection: Connection, tenant: int, tokens: Sequence[str]) -> set[str]:
    """Those of the tokens that stand for a value of the tenant."""
    async with _of_tenant(connection, tenant):
        rows = await connection.fetch(
            "SELECT token FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])",
            tenant,
            list(tokens),
        )
    return {row[0] for row in rows}


async def erases(connection: Connection, tenant: int) -> bool:
    """Whether an erasure of the tenant waits to be finished: it goes by tokens."""
    async with _of_tenant(connection, tenant):
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM vault.erasure WHERE tenant = $1 AND state = 'pending')", tenant
            )
        )


async def count(connection: Connection, tenant: int) -> int:
    """How many values the tenant has."""
    async with _of_tenant(connection, tenant):
        found: int = await connection.fetchval("SELECT count(*) FROM vault.value WHERE tenant = $1", tenant)
    return found


async def end(connection: Connection, change: TokenChange) -> int:
    """Delete the values under their old tokens, then the old keys; returns how many values that were."""
    tenant, deleted, after = change.tenant, 0, ""
    await connection.execute("SELECT vault.carry_erasures($1)", tenant)
    while True:
        async with _of_tenant(connection, tenant):
            olds = [
                row[0]
                for row in await connection.fetch(
                    "SELECT old FROM vault.token_alias WHERE tenant = $1 AND old > $2 ORDER BY old LIMIT $3",
                    tenant,
                    after,
                    BATCH,
                )
            ]
            if not olds:
                break
            after = olds[-1]
            done = await connection.execute(
                "DELETE FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])", tenant, olds
            )
            deleted += int(done.rpartition(" ")[2])
    async with _of_tenant(connection, tenant):
        await connection.execute(
            "DELETE FROM vault.key k USING vault.tenant t WHERE t.id = $1 AND k.tenant = t.id"
            " AND k.purpose = 'token' AND k.generation <> t.new_token_key",
            tenant,
        )
        await connection.execute("DELETE FROM vault.token_alias WHERE tenant = $1", tenant)
        await connection.execute("UPDATE vault.tenant SET new_token_key = NULL WHERE id = $1", tenant)
        await connection.execute("SELECT vault.invalidate($1, NULL)", tenant)
        await connection.execute("SELECT pg_catalog.pg_notify('pgnym_invalidate', 'keys')")
    return deleted


@asynccontextmanager
async def _of_tenant(connection: Connection, tenant: int) -> AsyncIterator[None]:
    async with connection.transaction():
        await set_tenant(connection, tenant)
        yield
