"""Statements at random on plain PostgreSQL and through pgnym: the same answer, or a refusal.

Rows (in any order), names and types of columns, command tags, what the tables hold afterwards, and the SQLSTATE of
errors are compared. pgnym may refuse what PostgreSQL answers, and may answer where PostgreSQL finds that a constant has
become text (it is then compared or stored in the column's own type).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus
from random_statements import COLUMNS, PROTECTED, TABLES, Maker

from support.cluster import SUPERUSER
from support.gateway import deployment, through

if TYPE_CHECKING:
    from support.cluster import Cluster

pytestmark = pytest.mark.server

REFUSED = "0A000"
# "text" where pgnym takes a constant for the column's type: undefined function or operator, datatype mismatch.
TYPING = frozenset({"42883", "42804"})
CHANGES = ("INSERT", "UPDATE", "DELETE")
Answer = tuple[object, ...]


@pytest.fixture(scope="module")
def twins(postgres: Cluster) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """The same tables plain, and behind pgnym."""
    names = ("random_template", "random_plain", "random_tested")
    try:
        postgres.psql(f"CREATE DATABASE {names[0]} TEMPLATE template0")
        postgres.psql(TABLES, names[0])
        for copy in names[1:]:
            postgres.psql(f"CREATE DATABASE {copy} TEMPLATE {names[0]}")
        with (
            through(deployment(postgres, names[2], tables=PROTECTED)) as endpoint,
            psycopg.connect(postgres.url(names[1]), autocommit=True) as plain,
            psycopg.connect(
                host=endpoint.host, port=endpoint.port, dbname=names[2], user=SUPERUSER, autocommit=True
            ) as tested,
        ):
            yield plain, tested
    finally:
        for name in names:
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def fetch(connection: psycopg.Connection, text: str, *, in_order: bool = False) -> tuple[str, Answer]:
    """(SQLSTATE or "", the answer) of a statement sent as a simple query; with rows as they came, or in any order."""
    result = connection.pgconn.exec_(text.encode())
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return (result.error_field(DiagnosticField.SQLSTATE) or b"").decode(), ()
    columns = [(result.fname(i), result.ftype(i)) for i in range(result.nfields)]
    rows = [tuple(result.get_value(i, j) for j in range(result.nfields)) for i in range(result.ntuples)]
    return "", (result.command_status, columns, rows if in_order else sorted(rows, key=repr))


def answer(connection: psycopg.Connection, text: str) -> tuple[str, Answer]:
    """As ``fetch``, with the contents of the tables after a change, which is rolled back."""
    fetch(connection, "BEGIN")
    state, found = fetch(connection, text)
    if not state and text.startswith(CHANGES):
        found = (*found, *(fetch(connection, f"SELECT * FROM {t}")[1] for t in COLUMNS))
    fetch(connection, "ROLLBACK")
    return state, found


def test_random_statements_answer_alike(
    twins: tuple[psycopg.Connection, psycopg.Connection], request: pytest.FixtureRequest
) -> None:
    plain, tested = twins
    outcomes: Counter[str] = Counter()
    for seed in range(20_000 if request.config.getoption("--long") else 600):
        text = Maker(seed).statement()
        expected_state, expected = answer(plain, text)
        state, found = answer(tested, text)
        assert "pn1" not in repr(found), (seed, text)
        if state == REFUSED or (expected_state in TYPING and state != expected_state):
            outcomes["refused" if not expected_state else "other errors"] += 1
            continue
        if state and expected_state:
            outcomes["errors"] += 1
            continue
        assert (state, found) == (expected_state, expected), (seed, text)
        outcomes["answered"] += 1
    assert outcomes["answered"] > outcomes["refused"] * 1.5, outcomes


def sorted_forms(seed: int) -> list[str]:
    """A query at random in orders that leave no choice, and what is picked from it by order."""
    maker = Maker(seed)
    text, columns = maker.query(2)
    if not columns:
        return []
    names = list(columns)
    ways = ("", " DESC", " NULLS FIRST", " DESC NULLS LAST")
    keys = [
        f"{number}{maker.pick(*ways)}" for number in maker.random.sample(range(1, len(names) + 1), len(names))
    ]
    one = maker.pick(*names)
    return [
        f"{text} ORDER BY {', '.join(keys)}",
        f"SELECT q.* FROM ({text}) q ORDER BY {', '.join(f'q.{n}{maker.pick(*ways)}' for n in names)} LIMIT 7 OFFSET 1",
        f"SELECT DISTINCT q.{one} FROM ({text}) q ORDER BY q.{one}{maker.pick(*ways)}",
        f"SELECT min(q.{one}), max(q.{one}), count(*) FROM ({text}) q",
        f"SELECT rank() OVER (ORDER BY q.{one}{maker.pick(*ways)}) AS r, q.{one} FROM ({text}) q ORDER BY 1, 2",
        f"SELECT array_agg(DISTINCT q.{one} ORDER BY q.{one}) FROM ({text}) q",
        f"SELECT count(*) FROM ({text}) q, ({text}) p WHERE q.{one} < p.{one} OR q.{one} BETWEEN p.{one} AND p.{one}",
    ]


def test_random_statements_are_sorted_alike(
    twins: tuple[psycopg.Connection, psycopg.Connection], request: pytest.FixtureRequest
) -> None:
    plain, tested = twins
    outcomes: Counter[str] = Counter()
    for seed in range(4_000 if request.config.getoption("--long") else 100):
        for text in sorted_forms(seed):
            expected_state, expected = fetch(plain, text, in_order=True)
            state, found = fetch(tested, text, in_order=True)
            assert "pn1" not in repr(found), (seed, text)
            if state == REFUSED or (expected_state in TYPING and state != expected_state):
                outcomes["refused" if not expected_state else "other errors"] += 1
            elif state and expected_state:
                outcomes["errors"] += 1
            else:
                assert (state, found) == (expected_state, expected), (seed, text)
                outcomes["answered"] += 1
    assert outcomes["answered"] > outcomes["refused"] * 1.5, outcomes
