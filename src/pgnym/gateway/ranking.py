"""From the values of a domain to what a statement is sent along: ranks by token, tokens by rank.

Both are JSON, for the database finds a member of a jsonb object by binary search and an element of a jsonb array at once,
where an element of an array of text is sought from the beginning.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from pgnym.gateway.effects import Question
from pgnym.gateway.slices import in_slices
from pgnym.semantics.collations import sort_key
from pgnym.semantics.evaluate import compile_expression
from pgnym.semantics.expression import Call
from pgnym.sql.ordering import NULL_KEY
from pgnym.wire.codecs import identity

TEXTS = frozenset((25, 1042, 1043))
"""Types in which the empty string is a value, which stands for itself."""
NULL = NULL_KEY.encode()
_RUN = 1000  # values that are sorted in one go
_KEY_COST = 120  # bytes that a key takes, about


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of a domain's values, or of what is computed from them.

    ``ranks``: an object of each token (and of the empty string) with its rank, from 1; values that are equal under the
    order share one, and have '' where what is computed is NULL. ``ordered``: an array with a token of each rank, which its
    index is. ``count``: of tokens. ``keys``: what was sorted by, one of each rank.
    """

    ranks: bytes = field(repr=False)
    ordered: bytes = field(repr=False)
    count: int
    keys: Sequence[Any] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.ranks) + len(self.ordered) + _KEY_COST * len(self.keys)

    def place(self, key: Any) -> bytes:
        """The rank of a value with that key or, between two, where it would be: ``3.5``."""
        index = bisect_left(self.keys, key)
        if index < len(self.keys) and self.keys[index] == key:
            return b"%d" % (index + 1)
        return b"%d.5" % index


def rank(keyed: Iterable[tuple[Any, bytes]], unknown: Collection[bytes] = ()) -> Ranking:
    """The ranking of tokens, given in order with the key that they are sorted by.

    ``unknown``: tokens that are sorted as NULL is. ``NULL`` may be among the tokens: then NULL is sorted as a value is.
    """
    members: dict[bytes, bytes] = dict.fromkeys([NULL, *unknown], b'""')
    ordered: list[bytes] = [b"null"]  # there is no rank 0
    keys: list[Any] = []
    for key, alike in groupby(keyed, key=itemgetter(0)):
        keys.append(key)
        tokens = [token for _, token in alike]
        members.update(dict.fromkeys(tokens, b"%d" % len(keys)))
        ordered.append(next((b'"%s"' % token for token in tokens if token != NULL), b"null"))
    # In the order in which jsonb keeps them, by length and bytes: so it takes half as long to read.
    names = sorted(members, key=lambda name: (len(name), name))
    ranks = b"{" + b",".join(b'"%s":%s' % (name, members[name]) for name in names) + b"}"
    return Ranking(ranks, b"[" + b",".join(ordered) + b"]", len(members), keys)


async def order(question: Question, values: Mapping[bytes, bytes]) -> Ranking:
    """The ranking that a question asks for.

    Raises ``UnsupportedCollation`` where the server's order can't be had, and ``EvaluationError`` as PostgreSQL would for
    what is computed.
    """
    lookup = question.lookup
    protection = lookup.protection
    pairs = list(values.items())
    if protection.codec_oid in TEXTS:
        pairs.append((b"", b""))
    unknown: list[bytes] = []
    keyed: list[tuple[Any, bytes]] = []
    if not isinstance(lookup.test, Call):
        key = sort_key(protection.codec_oid, protection.collation)
        async for batch in in_slices(pairs):
            keyed.extend([(key(value), token) for token, value in batch])
    else:
        compute = compile_expression(lookup.test, question.constants)
        key = sort_key(lookup.test.type_oid, protection.collation)
        computed: list[tuple[bytes, bytes | None]] = [(NULL, None), *pairs] if lookup.nulls else [*pairs]
        async for some in in_slices(computed):
            for token, value in some:
                result = compute(value)
                if result is None:
                    unknown.append(token)
                else:
                    keyed.append((key(result), token))
    return rank(await _sorted(keyed), unknown)


async def _sorted(keyed: list[tuple[Any, bytes]]) -> list[tuple[Any, bytes]]:
    """Sorted runs are cheap to merge, so that no step takes long."""
    runs: list[tuple[Any, bytes]] = []
    async for start in in_slices(range(0, len(keyed), _RUN), size=1):
        runs.extend(sorted(keyed[start[0] : start[0] + _RUN], key=itemgetter(0)))
    runs.sort(key=itemgetter(0))
    return runs


def place(ranking: Ranking, question: Question) -> bytes:
    """The place of a question's constant in a ranking, as text; '' for NULL."""
    value = constant(question)
    if value is None:
        return b""
    protection = question.lookup.protection
    return ranking.place(sort_key(protection.codec_oid, protection.collation)(value))


def constant(question: Question) -> bytes | None:
    """The one constant of a question, as values of its domain are stored."""
    (given,) = question.constants
    protection = question.lookup.protection
    if given is None or not protection.casefold:
        return given
    return identity(protection.codec_oid, given, casefold=True)
