"""Who calls, what is protected, and what has been done of late: numbers of the audit log over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import EVERY_ROLE, READERS, WATCHERS, Call
from pgnym.admin.fields import Moment, Name
from pgnym.admin.problems import Problem
from pgnym.admin.routing import Reply, Route
from pgnym.config.model import ProtectedColumn
from pgnym.vault.connection import set_tenant

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_PARTS = 48
_LONGEST = timedelta(days=366)


class Caller(msgspec.Struct, frozen=True):
    """Whose token it is. ``tenant`` null: all tenants. ``expires`` null: never."""

    id: int
    name: str
    role: Role
    tenant: str | None
    expires: datetime | None


async def show_caller(call: Call) -> Reply:
    """The token that was presented."""
    token = call.token
    assert token is not None
    return Reply(Caller(token.id, token.name, token.role, token.tenant, token.expires))


class ProtectedColumnBody(msgspec.Struct, frozen=True):
    """A protected column, or a path within one. ``state``: ``protected``; ``migrating`` and ``undoing``: ``apply`` or
    ``undo`` has not come to its end; ``configured``: not applied yet. The rest is null where the configuration of this
    gateway doesn't name the column."""

    table: str
    column: str
    path: str
    domain: str
    tokens: str
    type: str | None
    state: str
    purposes: list[str] | None
    legal_basis: str | None
    subject: str | None
    subject_table: str | None


class Protection(msgspec.Struct, frozen=True):
    """What is protected, and for which purposes there are roles."""

    items: list[ProtectedColumnBody]
    purposes: list[str]


_REGISTERED = """
SELECT p.schema_name, p.table_name, p.column_name, p.path, p.type_name, p.state, d.name AS domain, d.randomized
FROM vault.protected_column p JOIN vault.domain d ON d.id = p.domain_id
"""


async def show_protection(call: Call) -> Reply:
    """What the vault's registry knows, and what the configuration says of it."""
    config = call.app.status.config
    rows = await call.vault.administer(lambda connection: connection.fetch(_REGISTERED))
    configured = {(each.schema, each.table, each.column, each.path): each for each in config.columns()}
    items = []
    for row in rows:
        place = row["schema_name"], row["table_name"], row["column_name"], row["path"]
        known = configured.pop(place, None)
        items.append(
            ProtectedColumnBody(
                f"{place[0]}.{place[1]}", place[2], place[3], row["domain"],
                "randomized" if row["randomized"] else "deterministic", row["type_name"], row["state"],
                *_configured(call, known),
            )
        )  # fmt: skip
    for each in configured.values():
        items.append(
            ProtectedColumnBody(
                f"{each.schema}.{each.table}", each.column, each.path, each.domain, each.options.tokens, None,
                "configured", *_configured(call, each),
            )
        )  # fmt: skip
    items.sort(key=lambda item: (item.table, item.column, item.path))
    return Reply(Protection(items, sorted(config.purposes())))


def _configured(
    call: Call, column: ProtectedColumn | None
) -> tuple[list[str] | None, str | None, str | None, str | None]:
    if column is None:
        return None, None, None, None
    table = call.app.status.config.tables[f"{column.schema}.{column.table}"]
    return list(column.options.purposes), column.options.legal_basis, table.subject, table.subject_table


class OverviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``since`` is included, ``until`` isn't; by default, the last 24 hours. At most a year."""

    tenant: Name | None = None
    since: Moment | None = None
    until: Moment | None = None


class Part(msgspec.Struct, frozen=True):
    """What was done from ``start`` on. ``statements`` that revealed something, and the ``values`` they revealed; refused
    ones; calls of the admin endpoint."""

    start: datetime
    statements: int
    values: int
    refusals: int
    calls: int


class Shown(msgspec.Struct, frozen=True):
    """How many values of a domain have been shown to a role."""

    role: str
    domain: str
    values: int


class GatewayState(msgspec.Struct, frozen=True):
    """This gateway now. ``audit_lag``, in seconds: for how long the oldest of ``audit_waiting`` records has waited to be
    written; ``export_lag``: since when not all have been sent on (null: this gateway sends none)."""

    version: str
    workers: int
    sessions: int
    audit_waiting: int
    audit_lag: float
    export_lag: float | None


class Overview(msgspec.Struct, frozen=True):
    """Numbers of the tenant's audit log, in parts of ``step`` seconds; those shown most come first, at most 50."""

    tenant: str
    since: datetime
    until: datetime
    step: int
    parts: list[Part]
    shown: list[Shown]
    gateway: GatewayState


# "values" is what the records' counts sum up to: they are in the clear.
_PARTS_OF = """
SELECT width_bucket(extract(epoch FROM time), extract(epoch FROM $2::timestamptz),
                    extract(epoch FROM $2::timestamptz) + $4::bigint * $5::integer, $5) - 1 AS part,
  count(*) FILTER (WHERE action = 'reveal') AS statements,
  coalesce(sum((SELECT sum(value::bigint) FROM jsonb_each_text(counts))) FILTER (WHERE action = 'reveal'), 0)::bigint
    AS values,
  count(*) FILTER (WHERE action = 'refuse') AS refusals,
  count(*) FILTER (WHERE action = 'admin' AND fingerprint NOT LIKE '% begun') AS calls
FROM vault.audit WHERE tenant = $1 AND time >= $2 AND time < $3 GROUP BY 1
"""
_SHOWN = """
SELECT role, domain, sum(number::bigint)::bigint AS values
FROM vault.audit, jsonb_each_text(counts) AS each (domain, number)
WHERE tenant = $1 AND time >= $2 AND time < $3 AND action = 'reveal'
GROUP BY role, domain ORDER BY 3 DESC, 1, 2 LIMIT 50
"""


async def show_overview(call: Call) -> Reply:
    """Reads all records of the time asked for, but opens none."""
    wanted: OverviewQuery = call.query
    tenant = await call.tenant(wanted.tenant)
    until = wanted.until or datetime.now(UTC)
    since = wanted.since or until - timedelta(days=1)
    if not timedelta() < until - since <= _LONGEST:
        raise Problem(400, "until must come after since, by no more than a year")
    seconds = (until - since).total_seconds()
    step = ceil(seconds / _PARTS)
    count = ceil(seconds / step)  # the last part may reach beyond the end, none begins there

    async def ask(connection: Connection) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await set_tenant(connection, tenant.id)
            parts = await connection.fetch(_PARTS_OF, tenant.id, since, until, step, count)
            return parts, await connection.fetch(_SHOWN, tenant.id, since, until)

    found, shown = await call.vault.administer(ask)
    numbers = {row["part"]: row for row in found}
    parts = [
        Part(
            since + number * timedelta(seconds=step),
            *((row["statements"], row["values"], row["refusals"], row["calls"]) if row else (0, 0, 0, 0)),
        )
        for number in range(count)
        for row in [numbers.get(number)]
    ]
    told = [Shown(row["role"], row["domain"], row["values"]) for row in shown]
    return Reply(Overview(tenant.name, since, until, step, parts, told, _state(call)))


def _state(call: Call) -> GatewayState:
    measures = call.app.status.measures()
    states = measures.states
    lags = [state.export_lag for state in states if state.export_lag is not None]
    return GatewayState(
        measures.version,
        len(states),
        sum(state.sessions for state in states),
        sum(state.waiting for state in states),
        max((state.lag for state in states), default=0.0),
        min(lags, default=None),
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/me", "showCaller", "Whose token this is", show_caller, Caller, EVERY_ROLE),
    Route(
        "GET", "/v1/protection", "showProtection", "What is protected", show_protection, Protection,
        WATCHERS,
    ),
    Route(
        "GET", "/v1/overview", "showOverview", "Reveals and refusals over time", show_overview, Overview, READERS,
        query=OverviewQuery,
    ),
)  # fmt: skip
