"""What the server stores of users' passwords, asked for when the gateway has to check one itself (see ``wire/scram.py``).

By ``pgnym.scram_verifier``, a function that ``pgnym apply`` makes where its owner may read ``pg_authid``, and that only the
gateway's login may call. Nothing is kept: a changed password counts at once.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import asyncpg

from pgnym.gateway.catalogs import FAILURES, Connect
from pgnym.gateway.reports import GatewayError
from pgnym.wire.scram import Verifier

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_QUERY = "SELECT pgnym.scram_verifier($1)"
_ABSENT = (asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError)


class Verifiers:
    """One connection, shared by all logins of the process."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Connection[Record] | None = None
        self._lock = asyncio.Lock()
        self._secret = os.urandom(32)

    async def of(self, user: str) -> Verifier | None:
        """The verifier of a user; a mock for one that has none; None where verifiers can't be read, or it is an md5 one.

        Raises ``GatewayError`` 08006.
        """
        async with self._lock:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                text: str | None = await self._connection.fetchval(_QUERY, user)
            except _ABSENT:
                return None
            except FAILURES as error:
                if self._connection is not None:
                    self._connection.terminate()
                raise GatewayError(
                    "08006",
                    f"the server could not be asked how to check a password ({type(error).__name__})",
                    hint="Check upstream and vault.user in the configuration.",
                ) from error
        if text is None:
            return Verifier.mock(self._secret, user.encode())
        return Verifier.parse(text)

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.terminate()
