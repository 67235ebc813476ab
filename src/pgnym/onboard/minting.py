"""From values to tokens, remembering within one run what has been met: names, cities and dates repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Containers, Each, Identity, Tokens
from pgnym.policy.normalizing import named, normalizer
from pgnym.semantics.documents import Path, map_leaves
from pgnym.semantics.errors import EvaluationError
from pgnym.vault.tokens import TOKEN_PATTERN

REMEMBERED = 500_000  # values in all; some 200 bytes each


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of the rows to be changed.

    ``read``: the SQL expression of its present value as text. ``keep``: NULL from ``read`` means leave it as it is, and
    tokens within stay. ``codec_oid``: the type of what becomes tokens. ``container``: how these are found within the value;
    None: they are the value. ``cast``: what makes the column's type of the new value's text; empty if it is text.
    ``leaves``: of a jsonb column what stands at each of the ``paths``.
    """

    name: str
    read: str
    prefix: bytes
    randomized: bool
    casefold: bool
    codec_oid: int
    keep: bool = False
    container: Container | None = None
    cast: str = ""
    text_like: bool = True
    paths: tuple[Path, ...] = ()
    leaves: tuple[Cell, ...] = ()
    normalize: str = ""

    @property
    def nested(self) -> bool:
        """Whether the values are within the column's."""
        return self.container is not None or bool(self.leaves)


Container = Callable[[bytes, Each], bytes]


def container(containers: Containers, array: bool) -> Container | None:
    """What finds the values within those of a column."""
    return containers.array if array else None


def within(cell: Cell, value: str, each: Callable[[Cell, bytes], bytes]) -> str:
    """A value with what is in it replaced; ``each`` is told which cell it is in. OnboardError for what is no string."""
    if cell.container is not None:
        return cell.container(value.encode(), lambda part: each(cell, part)).decode()
    try:
        return map_leaves(value.encode(), cell.paths, lambda i, part: each(cell.leaves[i], part)).decode()
    except EvaluationError as error:
        raise OnboardError(f"{cell.name}: {error.message}", error.hint) from None


class Mint:
    """Makes tokens of one tenant, and puts their values into the vault before it hands them out."""

    def __init__(self, tenant: Tokens, identity: Identity) -> None:
        self._tenant = tenant
        self._identity = identity
        # By what decides the token beside the value. What is in here has been put, so it need not be again.
        self._known: dict[tuple[bytes, int, bool, str], dict[str, str]] = {}
        self._room = REMEMBERED

    async def tokens(
        self, cells: Sequence[Cell], columns: Sequence[Sequence[str | None]]
    ) -> list[list[str | None]]:
        """The tokens of a batch, column by column; NULL and empty values stay. All are in the vault on return."""
        new: dict[bytes, bytes] = {}
        learned: list[tuple[dict[str, str], dict[str, str]]] = []
        made: list[list[str | None]] = []
        for cell, values in zip(cells, columns, strict=True):
            if cell.nested:
                made.append([self._within(cell, value, new) if value else value for value in values])
                continue
            if cell.randomized:
                made.append([self._random(cell, value, new) if value else value for value in values])
                continue
            known = self._known.setdefault((cell.prefix, cell.codec_oid, cell.casefold, cell.normalize), {})
            fresh: dict[str, str] = {}
            for value in set(values) - known.keys():
                if value:
                    fresh[value] = self._deterministic(cell, value, new)
            get, get_fresh = known.get, fresh.get
            made.append([(get(value) or get_fresh(value)) if value else value for value in values])
            learned.append((known, fresh))
        await self._tenant.put(new)
        for known, fresh in learned:
            if len(fresh) <= self._room:
                self._room -= len(fresh)
                known.update(fresh)
        return made

    def _within(self, cell: Cell, value: str, new: dict[bytes, bytes]) -> str:
        def each(of: Cell, part: bytes) -> bytes:
            if not part:
                return part
            if of.keep:
                if TOKEN_PATTERN.fullmatch(part) and part.startswith(of.prefix):
                    return part
                if not of.text_like:
                    raise OnboardError(
                        f"{of.name}: an array without its CHECK holds both tokens and values",
                        "replace the values by NULL, run it again, and write them through the gateway",
                    )
            make = self._random if of.randomized else self._deterministic
            return make(of, part.decode(), new).encode()

        return within(cell, value, each)

    def _random(self, cell: Cell, value: str, new: dict[bytes, bytes]) -> str:
        token = self._tenant.random_token(cell.prefix)
        new[token] = value.encode()
        return token.decode("ascii")

    def _deterministic(self, cell: Cell, value: str, new: dict[bytes, bytes]) -> str:
        canonical = value.encode()
        if cell.normalize:
            canonical = _normalized(cell, canonical)
        same = self._identity(cell.codec_oid, canonical, cell.casefold)
        token = self._tenant.token(cell.prefix, same)
        # With casefold the spelling of before is not kept: one token, one value.
        new[token] = same if cell.casefold else canonical
        return token.decode("ascii")


def _normalized(cell: Cell, canonical: bytes) -> bytes:
    found = normalizer(cell.normalize)(canonical)
    if found is None:
        raise OnboardError(
            f"{cell.name} holds a value that is not {named(cell.normalize)}",
            "`pgnym plan` says how many such values there are, and where; or leave `normalize` out",
        )
    return found
