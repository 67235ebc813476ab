"""Answers to questions about the values of a domain: which tokens match, and in what order they come.

The work is done on the event loop, in slices: after some milliseconds the loop has a turn before it goes on. In a thread
beside it the interpreter's lock would make either wait for the other in turns of much the same length, and what a
statement asks would run on when its session is gone. Answers are kept as long as the domain's values are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from pgnym.audit.records import AuditRecord
from pgnym.gateway.effects import Question
from pgnym.gateway.ranking import TEXTS, Ranking, constant, order, place
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.slices import in_slices
from pgnym.semantics.evaluate import compile_expression
from pgnym.semantics.expression import Call, describe
from pgnym.semantics.substrings import alternatives
from pgnym.sql.cache import BoundedCache
from pgnym.sql.plan import Answer
from pgnym.sql.searching import NULL
from pgnym.vault.errors import TooManyValues

MOST_TOKENS = 20_000
"""Tokens in one answer: beyond that the statement that carries them would cost the server more than it is worth."""

NOTHING = b"!"
"""An element that no value equals, for an answer without tokens: compared with an empty array, NULL would be false."""

CACHE_ENTRIES, CACHE_BYTES = 2048, 64 * 1024 * 1024
Values = Mapping[bytes, bytes]
Texts = Collection[Collection[str]]


class DomainValues(Protocol):
    """All values of a domain, token → canonical value; ``version`` changes whenever they do."""

    @property
    def values(self) -> Values:
        """The values."""

    @property
    def version(self) -> int:
        """Their version."""


class Orders(Protocol):
    """Order indexes."""

    async def place(self, prefix: bytes, value: bytes | None) -> bytes:
        """Where a value is or would be among those of a domain, for the database. Raises ``VaultError``."""


class SearchedVault(Protocol):
    """What is asked of a tenant's vault."""

    @property
    def orders(self) -> Orders:
        """The order indexes of its domains."""

    async def domain_values(self, prefix: bytes) -> DomainValues:
        """All values of a domain. Raises ``TooManyValues``."""

    async def candidates(self, prefix: bytes, alternatives: Texts) -> Values | None:
        """Those that may contain all folded texts of one of the alternatives, by an index; None if none can tell.

        Raises ``TooManyValues``.
        """


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as text of its type, with the numbers of values ``inspected`` and of tokens in it (``found``)."""

    text: bytes = field(repr=False)
    inspected: int
    found: int


class _AsOfOnce:
    """A vault in which the values of a domain don't change: those of the first question about it."""

    def __init__(self, vault: SearchedVault) -> None:
        self._vault = vault
        self._domains: dict[bytes, DomainValues] = {}

    @property
    def orders(self) -> Orders:
        """The order indexes of its domains."""
        return self._vault.orders

    async def domain_values(self, prefix: bytes) -> DomainValues:
        """All values of a domain."""
        if prefix not in self._domains:
            self._domains[prefix] = await self._vault.domain_values(prefix)
        return self._domains[prefix]

    async def candidates(self, prefix: bytes, alternatives: Texts) -> Values | None:
        """Those that may contain all texts of an alternative; None if all values are in hand."""
        return None if prefix in self._domains else await self._vault.candidates(prefix, alternatives)


class Resolver:
    """Answers questions, and remembers answers within bounds. One per process."""

    def __init__(self) -> None:
        self._answers: BoundedCache[Answered] = BoundedCache(CACHE_ENTRIES, CACHE_BYTES)
        self._rankings: BoundedCache[Ranking] = BoundedCache(CACHE_ENTRIES, CACHE_BYTES)

    async def answers(
        self, tenant: str, vault: SearchedVault, questions: Collection[Question]
    ) -> list[Answered]:
        """The answers to the questions of one statement, from the same values: ranks belong to what is found by rank.

        Raises as ``answer`` does.
        """
        once = _AsOfOnce(vault)
        for question in questions:
            if question.lookup.answer not in (
                Answer.MATCHES,
                Answer.CODE,
            ):  # needs all values, so that the others have them as well
                await _all_values(once, question)
        return [await self.answer(tenant, once, question) for question in questions]

    async def answer(self, tenant: str, vault: SearchedVault, question: Question) -> Answered:
        """The answer to one question.

        Raises ``GatewayError`` 54000 when too many values would have to be inspected, or too many match; ``EvaluationError``
        as PostgreSQL would have raised it; ``VaultError``.
        """
        match question.lookup.answer:
            case Answer.MATCHES:
                return await self._matches(tenant, vault, question)
            case Answer.CODE:
                prefix, value = question.lookup.protection.prefix, constant(question)
                return Answered(await vault.orders.place(prefix, value), 1, 1)
        domain = await _all_values(vault, question)
        ranking = await self._ranking(tenant, domain, question)
        match question.lookup.answer:
            case Answer.RANKS:
                text = ranking.ranks
            case Answer.ORDERED:
                text = ranking.ordered
            case _:
                text = place(ranking, question)
        return Answered(text, len(domain.values), ranking.count)

    async def _ranking(self, tenant: str, domain: DomainValues, question: Question) -> Ranking:
        lookup, protection = question.lookup, question.lookup.protection
        computed = (lookup.test, question.constants, lookup.nulls) if isinstance(lookup.test, Call) else None
        own = protection.prefix, protection.codec_oid, protection.collation
        key = tenant, domain.version, own, computed
        known = self._rankings.get(key)
        if known is None:
            known = await order(question, domain.values)
            self._rankings.put(key, known, known.size + 500)
        return known

    async def _matches(self, tenant: str, vault: SearchedVault, question: Question) -> Answered:
        test, constants = question.lookup.test, question.constants
        assert test is not None
        protection = question.lookup.protection
        prefix = protection.prefix
        if parts := alternatives(test, constants):
            try:
                likely = await vault.candidates(prefix, parts)
            except TooManyValues as error:
                raise _over_bound(question, error) from None
            if likely is not None:
                return await _match(question, likely, others=True)
        domain = await _all_values(vault, question)
        lookup = question.lookup
        key = (
            tenant,
            domain.version,
            prefix,
            protection.codec_oid,
            test,
            constants,
            lookup.nulls,
            lookup.loose,
        )
        known = self._answers.get(key)
        if known is None:
            known = await _match(question, domain.values)
            kept = len(known.text) + sum(len(c) for c in constants if c is not None)
            self._answers.put(key, known, kept + 500)
        return known


async def _all_values(vault: SearchedVault, question: Question) -> DomainValues:
    try:
        return await vault.domain_values(question.lookup.protection.prefix)
    except TooManyValues as error:
        raise _over_bound(question, error) from None


async def _match(question: Question, values: Values, *, others: bool = False) -> Answered:
    """The tokens whose values satisfy the test, and '' where the empty string does, as ``text[]``.

    ``others``: there may be more values, for which the test is false.

    ``C = ANY(answer)`` has the test's value also where that is NULL: with a NULL among the elements it is never false. Where
    the test is false for some values and NULL for others no array can say so, which matters unless the place is ``loose``.
    """
    lookup = question.lookup
    assert lookup.test is not None
    test = compile_expression(lookup.test, question.constants)
    found: list[bytes] = []
    denied, unknown = others, False
    at_null = test(None)
    if lookup.nulls:
        found += [NULL.encode()] if at_null == b"t" else []
        denied, unknown = denied or at_null == b"f", at_null is None
    elif at_null is not None and (at_null == b"t" or not lookup.loose):
        raise _unsayable(question, "is not NULL for NULL, as its array is empty", "Leave the condition out.")
    pairs: Iterable[tuple[bytes, bytes]] = values.items()
    if lookup.protection.codec_oid in TEXTS:
        pairs = [(b'""', b""), *pairs]
    async for batch in in_slices(pairs):
        for token, value in batch:
            outcome = test(value)
            if outcome == b"t":
                found.append(token)
            elif outcome is None:
                unknown = True
            else:
                denied = True
    if unknown and not lookup.loose:
        if denied:
            what = "is false for some values and NULL for others"
            raise _unsayable(question, what, "Write IS TRUE behind it, or coalesce() within it.")
        found.append(b"NULL")
    if len(found) > MOST_TOKENS:
        raise _too_many_found(question, len(found))
    return Answered(b"{" + b",".join(found or (NOTHING,)) + b"}", len(values), len(found))


def _unsayable(question: Question, what: str, hint: str) -> GatewayError:
    columns = ", ".join(sorted(question.lookup.columns))
    return GatewayError(
        "0A000",
        f"a condition on protected column {columns} {what}",
        detail="The answer of the vault, one array of tokens, can't say that.",
        hint=hint,
    )


def _over_bound(question: Question, error: TooManyValues) -> GatewayError:
    lookup = question.lookup
    columns, domain = ", ".join(sorted(lookup.columns)), lookup.protection.domain
    if lookup.answer is not Answer.MATCHES:
        what, hint = "sort", "Sort by another column, or raise vault.scan_limit in the configuration."
    else:
        what = "search"
        hint = (
            "Add `substring` to the column's `search` in the configuration, run `pgnym apply`, "
            "and ask for text of three characters or more."
        )
    holds = f"Its domain {domain} has"
    if error.by_index:
        holds = f"The index of its domain {domain} finds"
        hint = "Ask for a longer or rarer text."
    return GatewayError(
        "54000",
        f"too many values to {what} protected column {columns}",
        detail=f"{holds} more than {error.bound} values, and each would have to be inspected.",
        hint=hint,
    )


def _too_many_found(question: Question, found: int) -> GatewayError:
    columns = ", ".join(sorted(question.lookup.columns))
    return GatewayError(
        "54000",
        f"too many values of protected column {columns} match",
        detail=f"{found} values match; {MOST_TOKENS} may.",
        hint="Ask for less, or for the opposite.",
    )


def with_findings(
    record: AuditRecord, questions: Collection[Question], answers: Collection[Answered]
) -> AuditRecord:
    """The record with the values inspected per domain; sealed with it the tests, without constants, and what matched."""
    counts: dict[str, int] = {}
    lines: list[str] = []
    for question, answer in zip(questions, answers, strict=True):
        lookup = question.lookup
        domain = lookup.protection.domain
        counts[domain] = counts.get(domain, 0) + answer.inspected
        asked = lookup.answer.value if lookup.test is None else describe(lookup.test)
        lines.append(f"{domain}: {asked}: {answer.found} of {answer.inspected}")
    return structs.replace(record, counts=counts, text="\n".join(lines))
