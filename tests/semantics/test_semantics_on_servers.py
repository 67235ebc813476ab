"""Everything that is offered, on real servers: the same expressions over the same values, answers and errors compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import pytest
from random_values import Maker
from server_oracle import TYPE_NAMES, Case, Oracle, ours, sql

from pgnym.semantics import signatures
from pgnym.semantics.collations import sort_key
from pgnym.semantics.ctype import ctype
from pgnym.semantics.evaluate import EvaluationError
from pgnym.semantics.expression import Call, Collation, Constant, Value
from pgnym.semantics.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    NAME,
    NUMERIC,
    TEXT,
    TEXTS,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    UUID,
    shown_type,
)
from support.cluster import Cluster

pytestmark = pytest.mark.server

CASTS = [
    (source, target)
    for source in TYPE_NAMES
    for target in TYPE_NAMES
    if source not in (UNKNOWN, target)
    and signatures.resolve("cast", (source, target), iso_dates=True) is not None
]
_NOT_TOLD = "!0A000"


@pytest.fixture(scope="module", params=["postgres", "system_postgres"])
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    """The embedded server, and the installed one if there is one."""
    cluster: Cluster = request.getfixturevalue(request.param)
    made = Oracle(cluster)
    yield made
    made.close()


def compare(oracle: Oracle, batch: list[Case]) -> int:
    """Fails where an answer differs from the server's; gives how many were refused."""
    refused = 0
    for case, theirs in zip(batch, oracle.answers(batch), strict=True):
        found = ours(case)
        if found == _NOT_TOLD != theirs:
            refused += 1
        elif case.value is not None or theirs != "NULL":  # errors of constants come before any value does
            assert found == theirs, (sql(case.expression, case.constants), case)
    return refused


@pytest.mark.parametrize(
    ("seed", "per_signature"),
    [(1, 12), *[pytest.param(n, 500, marks=pytest.mark.long) for n in range(2, 12)]],
)
def test_every_signature(oracle: Oracle, seed: int, per_signature: int) -> None:
    """Thousands of calls. A refusal isn't wrong, but must be rare."""
    make = Maker(seed)
    collations = list(oracle.collations.values())
    batch = [make.case(s, collations) for s in signatures.offered() for _ in range(per_signature)]
    assert compare(oracle, batch) < len(batch) / 20


CLASSES = ("alnum", "alpha", "digit", "graph", "lower", "print", "punct", "space", "upper")


def test_ascii_under_collations_of_icu(oracle: Oracle) -> None:
    """What is told of them: the cases and classes of ASCII."""
    rows = oracle.rows(
        "SELECT collname, coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', collcollate)"
        " FROM pg_collation c WHERE collname IN ('de-x-icu', 'en-x-icu', 'und-x-icu')"
    )
    if not rows:
        pytest.skip("this server has no ICU")
    make = Maker(4)
    collations = [Collation(name, "i", locale, locale) for name, locale in rows]
    wanted = [
        s for s in signatures.offered() if s.function in ("lower", "upper", "~~*", "!~~*", "~", "~*", "!~*")
    ]
    batch = [make.case(s, collations) for s in wanted for _ in range(300)]
    refused = compare(oracle, batch)
    assert 0 < refused < len(batch) * 0.8


def test_casts(oracle: Oracle, request: pytest.FixtureRequest) -> None:
    """Also of texts that are no such value."""
    make = Maker(1)
    batch = []
    for source, target in CASTS:
        for _ in range(2000 if request.config.getoption("--long") else 40):
            text = source in TEXTS and target not in TEXTS
            value = make.spelling(target).encode() if text else make.value(source)
            collation = oracle.collations["C"] if source in TEXTS else None
            batch.append(Case(Call("cast", (Value(source, collation=collation),), target), (), value))
    refused = compare(oracle, batch)
    assert refused < len(batch) / 5  # dates and uuids in spellings that aren't read


def test_the_signature_that_the_server_chooses(oracle: Oracle) -> None:
    """Every call that is offered exists on the server, with that result; for one and two arguments of every type."""
    calls = []
    kinds = [t for t in TYPE_NAMES if t != UNKNOWN]
    for signature in {(s.function, len(s.argument_types)) for s in signatures.offered()}:
        function, count = signature
        for types in product([UNKNOWN, *kinds], repeat=count) if count < 3 else ():
            found = signatures.resolve(function, types)
            if found is not None:
                arguments = tuple(Constant(i, t) for i, t in enumerate(types))
                calls.append((Call(function, arguments, found.result_type), found, types))
    queries = [f"SELECT pg_typeof({sql(call, [None] * 3)})::oid" for call, _, _ in calls]
    answers = oracle.rows(
        "SELECT attempt(q, NULL) FROM unnest(%s::text[]) WITH ORDINALITY AS t (q, n) ORDER BY n", (queries,)
    )
    newer = {"regexp_like", "extract"} if oracle.version < 15 else set()
    wrong = [
        (query, found.argument_types, answer)
        for (call, found, _), query, (answer,) in zip(calls, queries, answers, strict=True)
        if answer != f"={shown_type(found.result_type)}" and call.function not in newer
    ]
    assert not wrong
    assert len(calls) > 300


@pytest.mark.parametrize("count", [1000, pytest.param(40_000, marks=pytest.mark.long)])
def test_order_of_texts(oracle: Oracle, count: int) -> None:
    make = Maker(2)
    for collation in oracle.collations.values():
        for type_oid in (TEXT, BPCHAR):
            check_order(oracle, [make.text() for _ in range(count)], type_oid, collation)


def test_order_of_other_types(oracle: Oracle) -> None:
    make = Maker(3)
    for type_oid in (
        INT2,
        INT4,
        INT8,
        NUMERIC,
        FLOAT8,
        DATE,
        TIME,
        TIMESTAMP,
        TIMESTAMPTZ,
        UUID,
        INET,
        BYTEA,
        BOOL,
        NAME,
    ):
        check_order(oracle, [make.value(type_oid).decode() for _ in range(400)], type_oid, None)


def check_order(oracle: Oracle, values: list[str], type_oid: int, collation: Collation | None) -> None:
    """The server's dense ranks are those of the keys: the same order, and the same equalities."""
    clause = f' COLLATE "{collation.name}"' if collation is not None else ""
    rows = oracle.rows(
        f"SELECT v, dense_rank() OVER (ORDER BY v::{TYPE_NAMES[type_oid]}{clause}) FROM unnest(%s::text[]) AS v",
        (values,),
    )
    key = sort_key(type_oid, collation)
    keyed = sorted(((key(value.encode()), rank) for value, rank in rows), key=lambda pair: pair[0])
    ranks = [rank for _, rank in keyed]
    assert ranks == sorted(ranks), (type_oid, collation)
    equal = [one[0] == other[0] for one, other in pairwise(keyed)]
    assert equal == [one == other for one, other in pairwise(ranks)], (type_oid, collation)


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["C", "C.utf8", "tr_TR.utf8", "pg_c_utf8", "pg_unicode_fast"])
def test_characters(oracle: Oracle, name: str, every: int) -> None:
    """Cases and classes of those that have a case and of many others: certain ones are right, and those of ASCII certain."""
    if name not in oracle.collations:
        pytest.skip(f"this server has no collation {name}")
    locale = ctype(oracle.collations[name])
    codes = [
        code
        for code in (*range(1, 0xD800), *range(0xE000, 0x110000))
        if code < 0x250 or code % every == 0 or chr(code).lower() != chr(code).upper()
    ]
    quoted = f'chr(c) COLLATE "{name}"'
    tests = ", ".join(f"{quoted} ~ '[[:{kind}:]]'" for kind in CLASSES)
    rows = oracle.rows(
        f"SELECT c, lower({quoted}), upper({quoted}), initcap({quoted}), ARRAY[{tests}] FROM unnest(%s::int[]) AS c",
        (codes,),
    )
    refused = 0
    for code, lower, upper, initcap, members in rows:
        character = chr(code).encode()
        for method, theirs in ((locale.lower, lower), (locale.upper, upper), (locale.initcap, initcap)):
            try:
                assert method(character).decode() == theirs, (hex(code), method)
            except EvaluationError:
                refused += 1
        for kind, theirs in zip(CLASSES, members, strict=True):
            try:
                assert locale.is_class(kind, code) is theirs, (hex(code), kind)
            except EvaluationError:
                assert code >= 128
    assert refused < len(codes) * (1.02 if name.startswith("pg_") else 0.01)
