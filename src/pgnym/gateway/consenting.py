"""Values that are shown by consent of their subjects: asked anew for each chunk of an answer, so that a withdrawal counts.

Whatever the cache of values holds, whose value it is and whether they agree is read from the databases after the rows have
come, and before any value is given out. Who doesn't agree now, or isn't known, is as if they had no value: NULL is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from pgnym.audit.records import AuditRecord, Decision
from pgnym.gateway.reports import GatewayError
from pgnym.vault.by_value import ByValue
from pgnym.vault.consents import Spoken, Subject, agreeing
from pgnym.vault.links import Links
from pgnym.vault.restrictions import Restrictions
from pgnym.vault.store import TenantVault, Vault
from pgnym.vault.tokens import PREFIX_LENGTH

WITHHELD = "withheld: no consent"
RESTRICTED = "withheld: processing is restricted"
"""The texts of audit records that say which values were not shown."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """Tokens of a chunk that were found in columns that need consent. ``only``: those that stand in no other column.

    ``domains``: by prefix, for the audit log.
    """

    tokens: frozenset[bytes]
    only: frozenset[bytes]
    domains: Mapping[bytes, str]


@dataclass(frozen=True, slots=True)
class Held:
    """All tokens of a chunk, where restricted subjects' values are held back. ``domains``: by prefix, for the audit log."""

    tokens: frozenset[bytes]
    domains: Mapping[bytes, str]


@dataclass(frozen=True, slots=True)
class Guard:
    """What must hold before values are given. ``own``: tokens of values that the session itself has stored.

    These are shown although nobody's link is there yet, as that is in the session's own open transaction.
    ``guarded``: what needs consent, ``held``: what may be a restricted subject's (None: nothing).
    """

    guarded: Guarded | None
    purpose: str
    own: frozenset[bytes] = frozenset()
    held: Held | None = None


class Values(dict[bytes, bytes]):
    """Values by token. ``withheld``: tokens that aren't shown in columns that need consent; ``restricted``: nowhere."""

    withheld: frozenset[bytes] = frozenset()
    restricted: frozenset[bytes] = frozenset()


class Stated(Protocol):
    """What is asked of a session."""

    purpose: str | None
    stored: dict[bytes, None]


def guard(session: Stated, guarded: Guarded | None, held: Held | None) -> Guard | None:
    """The guard of some tokens for a session; None if there is nothing to guard.

    Where consent is needed, the session's purpose is stated: else its role sees tokens there.
    """
    if guarded is None:
        return None if held is None else Guard(None, session.purpose or "", held=held)
    own = guarded.tokens.intersection(session.stored) if session.stored else frozenset[bytes]()
    return Guard(guarded, session.purpose or "", own, held)


@dataclass(slots=True)
class Consents:
    """Whose tokens are whose, and who agrees. One per process. ``by_value``: where that can be told of a value, too."""

    links: Links | None = field(default=None)
    by_value: ByValue | None = field(default=None)
    restrictions: Restrictions | None = field(default=None)

    async def restricted(self, vault: Vault, tenant: TenantVault, guard: Guard) -> frozenset[bytes]:
        """The tokens that are held back, since a subject of theirs is restricted. Raises ``VaultError``, ``GatewayError``.

        Of those that others have too, all are, unless it was said that these are to be shown.
        """
        if guard.held is None:
            return frozenset()
        if self.restrictions is None or self.links is None:
            raise GatewayError("XX000", "restriction of processing was configured after the gateway's start")
        events = await self.restrictions.of(vault, tenant)
        if not events:
            return frozenset()
        found = set[bytes]()
        for token, subjects in (await self.links.of(guard.held.tokens)).items():
            met = [events[subject] for subject in subjects if subject in events]
            if met and (len(met) == len(subjects) or not all(event.show_shared for event in met)):
                found.add(token)
        return frozenset(found)

    async def withheld(self, vault: Vault, tenant: TenantVault, guard: Guard) -> frozenset[bytes]:
        """Those of the guarded tokens that may not be shown. Raises ``VaultError``, ``GatewayError``.

        A token is shown if all of its subjects agree: who puts another's token in a row of their own gains nothing by it.
        """
        if guard.guarded is None:
            return frozenset()
        if self.links is None:
            raise GatewayError("XX000", "columns that need consent were configured after the gateway's start")
        tokens = guard.guarded.tokens
        links = await self.links.of(tokens)
        subjects: set[Subject] = set().union(*links.values()) if links else set()
        subjects = {subject for subject in subjects if subject.id}
        agree: set[Subject] = set()
        if subjects:
            spoken = await self.spoken(vault, tenant, subjects)
            agree = await vault.administer(
                lambda connection: agreeing(connection, tenant, subjects, guard.purpose, spoken)
            )
        return frozenset(
            token for token in tokens if not (links[token] <= agree if token in links else token in guard.own)
        )

    async def spoken(
        self, vault: Vault, tenant: TenantVault, subjects: Collection[Subject]
    ) -> dict[Subject, list[Spoken]]:
        """What stands for values of the subjects by which consent can be told. Errors: VaultError."""
        if self.by_value is None or self.links is None:
            return {}
        return await self.by_value.of(vault, tenant, self.links, subjects)

    async def close(self) -> None:
        """End the connections."""
        if self.links is not None:
            await self.links.close()


def records(
    record: AuditRecord,
    hidden: frozenset[bytes],
    withheld: frozenset[bytes],
    domains: Mapping[bytes, str],
    why: str,
) -> tuple[AuditRecord | None, AuditRecord | None]:
    """The record of what is shown and of what isn't; None where there is nothing to say.

    ``withheld``: what isn't shown where it was guarded; ``hidden``: those of them that aren't shown anywhere.
    """
    if not withheld:
        return record, None
    counts = dict(record.counts)
    missed: dict[str, int] = {}
    for token in withheld:
        domain = domains[token[:PREFIX_LENGTH]]
        missed[domain] = missed.get(domain, 0) + 1
        if token in hidden:
            counts[domain] -= 1
    denied = structs.replace(
        record, decision=Decision.DENIED, counts=missed, tokens=tuple(withheld), text=why
    )
    shown = tuple(token for token in record.tokens if token not in hidden)
    if not shown:
        return None, denied
    allowed = structs.replace(record, counts={d: n for d, n in counts.items() if n}, tokens=shown)
    return allowed, denied
