"""The configured connectors, and what is asked of them for one person."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pgnym.config.errors import ConfigError
from pgnym.config.model import Config
from pgnym.privacy.connectors.interface import Connector, ConnectorError, Make, Setup
from pgnym.vault.errors import VaultError

GROUP = "pgnym.connectors"
_OWN = tuple(
    EntryPoint(name, f"pgnym.privacy.connectors.{name}:make", GROUP)
    for name in ("postgresql", "mysql", "rest")
)
_LOG = logging.getLogger("pgnym.connectors")


@dataclass(frozen=True, slots=True)
class Known:
    """A connector with what the configuration says of it: for subjects of ``table``, of ``tenant`` (None: of all), by the
    value of a column, or (None) by their ID. ``timeout`` in seconds."""

    name: str
    kind: str
    connector: Connector
    table: str
    by: str | None
    tenant: str | None
    timeout: float

    async def report(self, identifier: str) -> list[Any]:
        """What is held. Raises ConnectorError, also for what the connector should have raised otherwise."""
        found: list[Any] = await self._bounded(self.connector.report(identifier))
        return found

    async def erase(self, identifier: str) -> int:
        """Erase; how much that was. Raises ConnectorError, also for what the connector should have raised otherwise."""
        erased: int = await self._bounded(self.connector.erase(identifier))
        return erased

    async def _bounded(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(self.timeout):
                return await work
        except ConnectorError:
            raise
        except TimeoutError:
            raise ConnectorError(f"no answer within {self.timeout:g} seconds") from None
        except Exception as error:
            # Its text may hold anything.
            _LOG.error("connector %s failed: %s", self.name, type(error).__name__)
            raise ConnectorError(f"it failed ({type(error).__name__})") from None


def known(config: Config) -> tuple[Known, ...]:
    """All that are configured. Raises ConfigError."""
    if not config.connectors:
        return ()
    makers = {point.name: point for point in (*entry_points(group=GROUP), *_OWN)}
    found = []
    for name, options in config.connectors.items():
        point = makers.get(options.kind)
        if point is None:
            raise ConfigError(
                f"connectors.{name}.kind",
                f"no connector {options.kind} is installed",
                f"there are: {', '.join(sorted(makers)) or 'none'}",
            )
        try:
            make: Make = point.load()
        except ImportError as error:
            raise ConfigError(
                f"connectors.{name}.kind",
                f"{options.kind} needs the library {error.name}",
                f"pip install 'pgnym[{options.kind}]'",
            ) from None
        connector = make(Setup(name, options.options, options.timeout))
        table = options.table or config.subject_tables()[0]
        found.append(Known(name, options.kind, connector, table, options.by, options.tenant, options.timeout))
    return tuple(found)


def concerned(some: Iterable[Known], table: str, tenant: str) -> list[Known]:
    """Those for subjects of a table and a tenant."""
    return [each for each in some if each.table == table and each.tenant in (None, tenant)]


async def reported(known: Known, whom: Iterable[str] | VaultError) -> dict[str, Any]:
    """A connector's part of a report: what it holds, or why that isn't known. ``whom``: or why that can't be told."""
    part: dict[str, Any] = {"connector": known.name, "kind": known.kind, "found": [], "error": None}
    if isinstance(whom, VaultError):
        return part | {"error": whom.message}
    try:
        for identifier in whom:
            part["found"] += await known.report(identifier)
    except ConnectorError as error:
        part["error"] = error.message
    return part
