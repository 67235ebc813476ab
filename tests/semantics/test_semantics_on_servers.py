"""Everything that is offered, on real servers: the same expressions over the same values, answers and errors compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from random_values import Maker
from server_oracle import Case, Oracle, ours, sql

from pgnym.semantics import signatures
from pgnym.semantics.ctype import ctype
from pgnym.semantics.evaluate import EvaluationError
from support.cluster import Cluster

pytestmark = pytest.mark.server

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
