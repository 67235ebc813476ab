"""Requests that are carried out once, however often they are sent: the header ``Idempotency-Key``.

As draft-ietf-httpapi-idempotency-key-header says: the same key with the same request gets the answer that the first one got,
with another request 422, while the first is under way 409. Keys are of one API token, and are forgotten after a day.

An answer is kept in the vault only, under AES-256-GCM with a key that needs both the tenant's audit key and the API token
that was presented. The vault has no more of a token than its hash, so that an answer that holds a secret (a new API token,
say) opens for its first recipient alone.

    base    = HMAC-SHA-256(HKDF(audit key, "idempotency"), API token)
    request = HMAC-SHA-256(HMAC-SHA-256(base, "request"), method ‖ target ‖ body, each after its length)
    answer  = nonce (12) ‖ AES-256-GCM(HMAC-SHA-256(base, "answer"), …), AAD = tenant (4) ‖ token id (8) ‖ SHA-256 of the key

A request that was refused was not carried out: its key is free again. Of one that was cut off, by the end of the gateway or
an error of the vault, nobody knows; its key is answered 409 until it is forgotten, and the caller has to look.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.admin.problems import Problem
from pgnym.admin.routing import Reply, Request
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import CannotOpen, VaultError
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

KEPT = timedelta(hours=24)
_LONGEST = timedelta(minutes=5)  # more than a handler may take, whatever clocks say
_FORGET_AT_ONCE = 100  # by each call: more than one call adds, so the table does not grow
# A Structured Field string (RFC 9651 section 3.3.3), as the draft has it; or without quotes, as most clients send it.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
KEY_PATTERN = r"^[A-Za-z0-9_.:~/+=-]{1,255}$"
_BARE = re.compile(KEY_PATTERN)
REPLAYED = {"Idempotent-Replayed": "true"}


def read_key(request: Request) -> str | None:
    """The key of a request, None if it has none. Raises Problem 400."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    if (quoted := _QUOTED.fullmatch(given.strip())) is not None:
        return quoted[1]
    if _BARE.fullmatch(given.strip()) is None:
        raise Problem(
            400, 'Idempotency-Key: expected 1 to 255 ASCII characters in double quotes, such as "6f1c-…"'
        )
    return given.strip()


class _Kept(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Once:
    """One key of one API token. ``secret``: the token as it was presented."""

    vault: Vault
    tenant: TenantVault
    api_token: int
    secret: str
    key: str

    async def carry_out(
        self, request: Request, work: Callable[[], Awaitable[Reply]], encode: Callable[[Reply], bytes]
    ) -> tuple[Reply, bool]:
        """What ``work`` answers, or has answered before; and whether it was before.

        Raises Problem 409 and 422, what ``work`` raises, and VaultError.
        """
        asked = self._of(request)
        before = await self.vault.administer(lambda connection: self._claim(connection, asked))
        if before is not None:
            return self._again(before, asked), True
        try:
            reply = await work()
        except Problem as problem:
            await self._give_up(_FREE if problem.status < 500 else _UNKNOWN)
            raise
        except BaseException:
            await self._give_up(_UNKNOWN)
            raise
        sealed = self._seal(_Kept(reply.status, dict(reply.headers), msgspec.Raw(encode(reply) or b"null")))
        await self.vault.administer(lambda connection: self._run(connection, _KEEP, sealed))
        return reply, False

    async def _claim(self, connection: Connection, asked: bytes) -> asyncpg.Record | None:
        """None: the key is ours now. Else what is there under it."""
        async with connection.transaction():
            await set_tenant(connection, self.tenant.id)
            await connection.execute(_FORGET, self.tenant.id, KEPT, _FORGET_AT_ONCE)
            if await connection.fetchval(_CLAIM, *self._place, asked, KEPT):
                return None
            found = await connection.fetchrow(_FIND, *self._place)
        if found is None:  # it was given up meanwhile
            raise _under_way()
        return found

    async def _give_up(self, statement: str) -> None:
        # If this fails too, the key stays as if it were under way, which is answered 409 as well.
        with contextlib.suppress(VaultError):
            await self.vault.administer(lambda connection: self._run(connection, statement))

    async def _run(self, connection: Connection, statement: str, *arguments: object) -> None:
        async with connection.transaction():
            await set_tenant(connection, self.tenant.id)
            await connection.execute(statement, *self._place, *arguments)

    def _again(self, before: asyncpg.Record, asked: bytes) -> Reply:
        if not hmac.compare_digest(before["request"], asked):
            raise Problem(422, "the Idempotency-Key was used for another request")
        if before["answer"] is None:
            if before["under_way"] and before["age"] < _LONGEST:
                raise _under_way()
            raise Problem(
                409,
                "the first request with this Idempotency-Key was cut off: whether it was carried out is not known. Look"
                " for its result, then use another key",
            )
        kept = self._open(before["answer"])
        body = None if bytes(kept.body) == b"null" else kept.body
        return Reply(body, kept.status, kept.headers | REPLAYED)

    # -- keys and sealing ------------------------------------------------------------------------------

    @property
    def _place(self) -> tuple[int, int, bytes]:
        return self.tenant.id, self.api_token, hashlib.sha256(self.key.encode("ascii")).digest()

    def _derive(self, label: bytes) -> bytes:
        base = _mac(self.tenant.audit_key.derive(b"idempotency"), self.secret.encode("ascii"))
        return _mac(base, label)

    def _of(self, request: Request) -> bytes:
        parts = (request.method.encode(), request.target.encode(), request.body)
        # Each with its length: no two requests are the same bytes.
        return _mac(self._derive(b"request"), b"".join(len(p).to_bytes(8, "big") + p for p in parts))

    def _seal(self, kept: _Kept) -> bytes:
        nonce = os.urandom(12)
        return nonce + AESGCM(self._derive(b"answer")).encrypt(nonce, msgspec.json.encode(kept), self._data)

    def _open(self, sealed: bytes) -> _Kept:
        try:
            plain = AESGCM(self._derive(b"answer")).decrypt(sealed[:12], sealed[12:], self._data)
        except (InvalidTag, ValueError):
            raise CannotOpen(
                "the answer kept under this Idempotency-Key does not open",
                hint="The vault's tables were changed, or the tenant's audit key is another. Use another key.",
            ) from None
        return msgspec.json.decode(plain, type=_Kept)

    @property
    def _data(self) -> bytes:
        tenant, token, key = self._place
        return tenant.to_bytes(4, "big") + token.to_bytes(8, "big") + key


_FORGET = """
DELETE FROM vault.idempotency_key k USING (
  SELECT api_token, key FROM vault.idempotency_key WHERE tenant = $1 AND created < now() - $2::interval
  ORDER BY created LIMIT $3 FOR UPDATE SKIP LOCKED
) old WHERE k.tenant = $1 AND k.api_token = old.api_token AND k.key = old.key
"""
# One that has expired is taken over, whether it has been forgotten yet or not.
_CLAIM = """
INSERT INTO vault.idempotency_key AS k (tenant, api_token, key, request) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, api_token, key) DO UPDATE SET request = $4, created = now(), under_way = true, answer = NULL
WHERE k.created < now() - $5::interval RETURNING true
"""
_FIND = """
SELECT request, under_way, answer, now() - created AS age FROM vault.idempotency_key
WHERE tenant = $1 AND api_token = $2 AND key = $3
"""
_KEEP = """
UPDATE vault.idempotency_key SET under_way = false, answer = $4 WHERE tenant = $1 AND api_token = $2 AND key = $3
"""
_FREE = "DELETE FROM vault.idempotency_key WHERE tenant = $1 AND api_token = $2 AND key = $3"
_UNKNOWN = """
UPDATE vault.idempotency_key SET under_way = false WHERE tenant = $1 AND api_token = $2 AND key = $3
"""


def _under_way() -> Problem:
    return Problem(
        409, "the first request with this Idempotency-Key is under way", headers={"Retry-After": "1"}
    )


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
