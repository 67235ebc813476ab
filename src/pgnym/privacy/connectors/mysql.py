"""A MySQL or MariaDB database, by aiomysql."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import aiomysql
import pymysql

from pgnym.config.errors import ConfigError
from pgnym.privacy.connectors.interface import LOOPBACK, Connector, ConnectorError, Setup
from pgnym.privacy.connectors.statements import MOST_ROWS, SqlOptions, read


@dataclass(frozen=True, slots=True, repr=False)
class MySQL:
    """A database. ``where``: arguments of ``aiomysql.connect``."""

    options: SqlOptions
    where: dict[str, Any]

    async def report(self, identifier: str) -> list[Any]:
        """The rows of each query. Decimals and times are texts, bytes are in hexadecimal digits."""
        found = []
        async with self._cursor() as cursor:
            await cursor.execute("START TRANSACTION READ ONLY")
            for name, text in self.options.report.items():
                await cursor.execute(text, (identifier,))
                rows = await cursor.fetchmany(MOST_ROWS + 1)
                if len(rows) > MOST_ROWS:
                    raise ConnectorError(f"{name} gives more than {MOST_ROWS} rows")
                shown = [{column: _shown(value) for column, value in row.items()} for row in rows]
                found.append({"query": name, "rows": shown})
        return [each for each in found if each["rows"]]

    async def erase(self, identifier: str) -> int:
        """All statements in one transaction; how many rows they changed."""
        total = 0
        async with self._cursor() as cursor:
            await cursor.execute("START TRANSACTION")
            for text in self.options.erase:
                total += max(0, await cursor.execute(text, (identifier,)))
            await cursor.execute("COMMIT")
        return total

    @asynccontextmanager
    async def _cursor(self) -> AsyncIterator[Any]:
        """Its connection ends with the block, and with it a transaction that was not committed."""
        try:
            connection = await aiomysql.connect(**self.where)
            try:
                async with connection.cursor(aiomysql.SSDictCursor) as cursor:
                    yield cursor
            finally:
                connection.close()
        except pymysql.err.MySQLError as error:
            number = error.args[0] if error.args and isinstance(error.args[0], int) else "unknown"
            raise ConnectorError(f"the database refused (error {number})") from None
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise ConnectorError("it can't be reached") from None


def make(setup: Setup) -> Connector:
    """A connector of kind ``mysql``. Raises ConfigError."""
    options, parts, password = read(setup, ("mysql", "mariadb"), "%s")
    if parts.query:
        raise ConfigError(setup.place("url"), "takes no parameters")
    tls = None
    if parts.hostname not in LOOPBACK or options.authority_file is not None:
        tls = setup.authorities(options.authority_file)
    where = {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": password,
        "db": unquote(parts.path.strip("/")),
        "ssl": tls,
        "connect_timeout": setup.timeout,
        "charset": "utf8mb4",
        "autocommit": False,
        "program_name": "pgnym connector",
    }
    return MySQL(options, where)


def _shown(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, Decimal | timedelta | time):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value
