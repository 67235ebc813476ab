"""On what grounds a subject's data is held, what they agree to and have asked for: parts of a report (Art. 15(1) GDPR)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pgnym.config.patterns import best
from pgnym.privacy.register import Activity, Basis, Register
from pgnym.privacy.requests import Requests
from pgnym.privacy.subjects import Place
from pgnym.vault.by_value import is_value
from pgnym.vault.connection import set_tenant
from pgnym.vault.consents import Spoken, deciding, events_of
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_MOST = 10_000
_REQUESTS = """
SELECT id FROM vault.subject_request WHERE tenant = $1 AND subject_table = $2 AND subject_id = $3 ORDER BY received, id
"""


async def grounds(
    vault: Connection, tenant: TenantVault, places: Sequence[Place]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The processing activities that name protected columns of these tables, and the legal bases that they rest on."""
    register = Register(vault, tenant)
    columns = [holder.name for place in places for holder in place.holders]
    found = [
        kept
        for kept in await register.listed(Activity, _MOST)
        if isinstance(kept.what, Activity) and any(best(kept.what.columns, column) for column in columns)
    ]
    wanted = {basis for kept in found if isinstance(kept.what, Activity) for basis in kept.what.legal_bases}
    bases = [kept for kept in await register.listed(Basis, _MOST) if kept.id in wanted]
    return (
        [{"id": kept.id, **msgspec.to_builtins(kept.what)} for kept in found],
        [{"id": kept.id, **msgspec.to_builtins(kept.what)} for kept in bases],
    )


async def agreed(
    vault: Connection, tenant: TenantVault, names: Sequence[Spoken], now: datetime
) -> list[dict[str, Any]]:
    """What the subject has said to each purpose, under any of its names, and whether they agree now: the proof of
    Art. 7(1) GDPR."""
    told = []
    events = [
        (event, name.counts) for name in names for event in await events_of(vault, tenant, name.subject)
    ]
    events.sort(key=lambda pair: (pair[0].purpose, pair[0].recorded))
    for purpose, said in groupby(events, lambda pair: pair[0].purpose):
        trail = list(said)
        decides = deciding({event.subject: (event, counts) for event, counts in trail}.values())
        told.append(
            {
                "purpose": purpose,
                "agrees": decides is not None and decides.holds(now),
                "history": [
                    {
                        "time": event.recorded.isoformat(),
                        "action": event.said.action.value,
                        "by": event.recorded_by,
                        "channel": event.said.channel,
                        "reference": event.said.reference,
                        "text_version": event.said.text_version,
                        "expires": None if event.said.expires is None else event.said.expires.isoformat(),
                        "by_value": is_value(event.subject),
                        "sound": event.sound,
                    }
                    for event, _ in trail
                ],
            }
        )
    return told


async def requested(vault: Connection, tenant: TenantVault, table: str, subject: str) -> list[dict[str, Any]]:
    """The subject's requests, as far as it is known that they are theirs, with what was done with each."""
    async with vault.transaction(readonly=True):
        await set_tenant(vault, tenant.id)
        identifiers = [row[0] for row in await vault.fetch(_REQUESTS, tenant.id, table, subject)]
    requests = Requests(vault, tenant)
    told = []
    for identifier in identifiers:
        found = await requests.find(identifier)
        if found is None:
            continue
        one, events = found
        told.append(
            {
                "id": str(one.id),
                "kind": one.kind.value,
                "state": one.state.value,
                "received": one.received.isoformat(),
                "due": one.due.isoformat(),
                "contact": one.contact,
                "history": [
                    {"time": e.at.isoformat(), "by": e.by, "action": e.action, "note": e.note} for e in events
                ],
            }
        )
    return told
