"""Everything that is offered, on real servers: the same expressions over the same values, answers and errors compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from random_values import Maker
from server_oracle import Case, Oracle, ours, sql

from pgnym.semantics import signatures
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
        else:
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
