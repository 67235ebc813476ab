"""Which domains have an index in the vault, and what a tenant's part of it stores and finds by them.

Every gateway knows which, under the count (epoch) of changes that it read; a put that was made under another one is
refused by the vault (PN001) and made again after reading anew, and so is a question to an index that is not complete.

The epoch counts changes of data keys too, see ``rotation``: whoever puts under an epoch has read its keys after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from pgnym.semantics.order_scheme import OrderScheme
from pgnym.vault.errors import VaultError
from pgnym.vault.grams import GramHasher
from pgnym.vault.keys import Secret
from pgnym.vault.tokens import PREFIX_LENGTH, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SUBSTRING = "substring"
ORDER = "order"
CHANGED = "PN001"  # SQLSTATE of the schema's functions

Fold = Callable[[bytes], str]
"""Folds a canonical text so that a part of a text folds to a part of its fold. The same in every process, for ever."""


class IndexesChanged(VaultError):
    """The vault's indexes or keys are not those that were known. Read them, then try again."""

    def __init__(self) -> None:
        super().__init__("the vault's indexes or keys have changed", hint="Try again.")


@dataclass(frozen=True, slots=True)
class Indexes:
    """What the registry says, as of one epoch. ``stored``: domains (prefixes) whose values are stored with grams;
    ``built``: those of them where all values are; ``keys``: how often data keys had been changed. ``orders``: domains whose
    values are given codes, and in what order; ``sorted``: those of them where all have one."""

    epoch: int = 0
    stored: frozenset[bytes] = frozenset()
    built: frozenset[bytes] = frozenset()
    keys: int = 0
    orders: Mapping[bytes, OrderScheme] = field(default_factory=dict)
    sorted: frozenset[bytes] = frozenset()


async def load(connection: Connection) -> Indexes:
    """Reads the registry."""
    rows = await connection.fetch(
        "SELECT e.epoch, e.keys, d.id, d.search, d.built, d.order_by FROM vault.search_epoch e"
        " LEFT JOIN vault.domain d ON d.search <> '{}'"
    )
    stored = frozenset(prefix(row["id"]) for row in rows if SUBSTRING in (row["search"] or ()))
    built = frozenset(prefix(row["id"]) for row in rows if SUBSTRING in (row["built"] or ()))
    ordered = [row for row in rows if ORDER in (row["search"] or ())]
    orders = {prefix(row["id"]): OrderScheme.read(row["order_by"]) for row in ordered}
    complete = frozenset(prefix(row["id"]) for row in ordered if ORDER in row["built"])
    return Indexes(rows[0]["epoch"], stored, built, rows[0]["keys"], orders, complete)


class TenantGrams:
    """The hashers of one tenant's domains."""

    def __init__(self, search_key: Callable[[], Secret], fold: Fold | None) -> None:
        self._key = search_key
        self._fold = fold
        self._hashers: dict[bytes, GramHasher] = {}

    def of_values(
        self, indexes: Indexes, tokens: Sequence[bytes], values: Mapping[bytes, bytes]
    ) -> list[str | None] | None:
        """The grams of values by token, in the tokens' order; None where a domain has no index, or if none has one."""
        stored = indexes.stored
        if not stored or stored.isdisjoint({token[:PREFIX_LENGTH] for token in tokens}):
            return None
        if self._fold is None:
            raise VaultError("this process can't store values of domains that have a substring index")
        fold, hashers = self._fold, {p: self.hasher(p) for p in stored}
        grams: list[str | None] = []
        for token in tokens:
            hasher = hashers.get(token[:PREFIX_LENGTH])
            grams.append(None if hasher is None else hasher.of_value(fold(values[token])))
        return grams

    def of_texts(self, prefix: bytes, folded: Iterable[str]) -> list[int]:
        """What the values of a domain that contain all these texts have."""
        return self.hasher(prefix).of_texts(folded)

    def hasher(self, prefix: bytes) -> GramHasher:
        """The hasher of a domain."""
        found = self._hashers.get(prefix)
        if found is None:
            found = self._hashers[prefix] = GramHasher(self._key(), prefix)
        return found

    def wipe(self) -> None:
        """Lets keys and grams go."""
        for hasher in self._hashers.values():
            hasher.wipe()
        self._hashers.clear()
