"""Another PostgreSQL database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import asyncpg
import msgspec

from pgnym.config.errors import ConfigError
from pgnym.privacy.connectors.interface import LOOPBACK, Connector, ConnectorError, Setup
from pgnym.privacy.connectors.statements import MOST_ROWS, SqlOptions, read

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True, repr=False)
class PostgreSQL:
    """A database. ``where``: arguments of ``asyncpg.connect``."""

    options: SqlOptions
    where: dict[str, Any]

    async def report(self, identifier: str) -> list[Any]:
        """The rows of each query, as PostgreSQL shows them in JSON."""
        connection = await self._connect()
        try:
            found = []
            async with connection.transaction(readonly=True):
                for name, text in self.options.report.items():
                    # In the form of PostgreSQL's own JSON: no type is lost on the way.
                    rows = await connection.fetch(
                        f"SELECT pg_catalog.to_json(q)::text FROM ({text}) q LIMIT {MOST_ROWS + 1}",  # noqa: S608 - configured
                        identifier,
                    )
                    if len(rows) > MOST_ROWS:
                        raise ConnectorError(f"{name} gives more than {MOST_ROWS} rows")
                    found.append({"query": name, "rows": [msgspec.Raw(row[0].encode()) for row in rows]})
            return [each for each in found if each["rows"]]
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise _told(error) from None
        finally:
            connection.terminate()

    async def erase(self, identifier: str) -> int:
        """All statements in one transaction; how many rows they changed."""
        connection = await self._connect()
        try:
            total = 0
            async with connection.transaction():
                for text in self.options.erase:
                    ended = await connection.execute(text, identifier)
                    count = ended.rpartition(" ")[2]
                    total += int(count) if count.isdecimal() else 0
            return total
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise _told(error) from None
        finally:
            connection.terminate()

    async def _connect(self) -> Connection:
        try:
            made: Connection = await asyncpg.connect(
                **self.where, server_settings={"application_name": "pgnym connector"}
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ConnectorError("it can't be reached, or refused the login") from None
        return made


def make(setup: Setup) -> Connector:
    """A connector of kind ``postgresql``. Raises ConfigError."""
    options, parts, password = read(setup, ("postgresql", "postgres"), "$1")
    modes = dict(parse_qsl(parts.query))
    local = parts.hostname in LOOPBACK
    mode = modes.pop("sslmode", "prefer" if local else "verify-full")
    if modes or mode not in ("disable", "prefer", "require", "verify-full"):
        raise ConfigError(
            setup.place("url"), "takes no parameter but sslmode: disable, prefer, require or verify-full"
        )
    if mode in ("disable", "prefer") and not local:
        raise ConfigError(setup.place("url"), "must use TLS beyond this machine", "sslmode=verify-full")
    secure: Any = {"disable": False, "prefer": "prefer", "require": "require"}.get(mode)
    if mode == "verify-full":
        secure = setup.authorities(options.authority_file)
    where = {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username or ""),
        "password": password,
        "database": unquote(parts.path.strip("/")),
        "ssl": secure,
        "timeout": setup.timeout,
    }
    return PostgreSQL(options, where)


def _told(error: Exception) -> ConnectorError:
    """Without the server's words, which may quote a row."""
    state = getattr(error, "sqlstate", None)
    return ConnectorError(
        f"the database refused a statement ({state})" if state else "a statement can't be sent"
    )
