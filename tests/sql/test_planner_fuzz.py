"""Whatever the text, the planner answers or refuses: no other exception, and no constant in a refusal."""

from __future__ import annotations

import random

from case_files import SCOPE, all_cases
from hypothesis import given
from hypothesis import strategies as st
from pglast.parser import ParseError, scan
from sample_catalog import sample_catalog

from pgnym.sql.errors import Refused
from pgnym.sql.plan import LiteralPiece
from pgnym.sql.planner import Planner

PLANNER = Planner(sample_catalog())
STATEMENTS = [c.statement for c in all_cases()]
CANARY = "zebra-canary"


def answer(text: bytes, types: tuple[int, ...] = ()) -> None:
    refusal: Refused | None = None
    rewrite = None
    try:
        rewrite = PLANNER.plan(text, types, SCOPE)
    except Refused as caught:
        refusal = caught
    if refusal is not None:
        assert len(refusal.sqlstate) == 5
        assert refusal.sqlstate != "XX000", refusal.detail
        assert refusal.message
        assert refusal.position is None or 0 <= refusal.position <= len(text)
        assert CANARY not in " ".join((refusal.message, refusal.detail, refusal.hint))
    if rewrite is not None:
        kept = sum(len(p) for p in rewrite.pieces if isinstance(p, bytes))
        assert kept <= len(text) + 2000


@given(st.binary(max_size=60))
def test_any_bytes(text: bytes) -> None:
    answer(text)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    answer(("SELECT email FROM customer WHERE " + text).encode(errors="surrogatepass"))


def words(statement: str) -> list[str]:
    """The tokens of a statement; none when it can't be scanned."""
    try:
        return [statement[t.start : t.end + 1] for t in scan(statement)]
    except ParseError:
        return []


WORDS = sorted({w for s in STATEMENTS for w in words(s)})


@given(st.sampled_from(STATEMENTS), st.integers(0, 2**32), st.integers(1, 4))
def test_mutated_statements(statement: str, seed: int, changes: int) -> None:
    """Words of the contract cases dropped, doubled, exchanged or replaced by others."""
    chosen = random.Random(seed)
    parts = words(statement)
    if not parts:
        return
    for _ in range(changes):
        at = chosen.randrange(len(parts))
        match chosen.randrange(4):
            case 0 if len(parts) > 1:
                del parts[at]
            case 1:
                parts.insert(at, parts[at])
            case 2:
                other = chosen.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case _:
                parts[at] = chosen.choice(WORDS)
    answer(" ".join(parts).replace("'a'", f"'{CANARY}'").encode())


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=15))
def test_words_at_random(parts: list[str]) -> None:
    answer(("SELECT * FROM customer WHERE " + " ".join(parts)).encode())


@given(
    st.sampled_from(STATEMENTS),
    st.lists(st.sampled_from([0, 16, 23, 25, 1043, 1082, 1009, 99999]), max_size=4),
)
def test_any_declared_types(statement: str, types: list[int]) -> None:
    answer(statement.encode(), tuple(types))


def test_deep_nesting_is_refused() -> None:
    for depth in (200, 2000, 20_000):
        answer(b"SELECT email FROM customer WHERE " + b"(" * depth + b"email = 'a'" + b")" * depth)
        answer(b"SELECT email FROM customer WHERE " + b"NOT " * depth + b"email = 'a'")
        answer(b"SELECT 1 FROM customer WHERE email = " + b"coalesce(" * depth + b"'a'" + b")" * depth)
        answer(b"SELECT " + b"(SELECT " * depth + b"email FROM customer" + b")" * depth)


def test_many_rows_are_planned_in_one_go() -> None:
    values = ", ".join(f"({n}, 'user{n}@example.org')" for n in range(5000))
    rewrite = PLANNER.plan(f"INSERT INTO customer (customer_id, email) VALUES {values}".encode(), (), SCOPE)
    assert rewrite is not None
    assert sum(isinstance(p, LiteralPiece) for p in rewrite.pieces) == 5000


def test_plaintext_of_a_planned_statement_is_in_no_piece_that_is_sent() -> None:
    """Every constant that meets a protected column goes into a LiteralPiece, in every form of the contract."""
    for statement in STATEMENTS:
        if any(word in statement.lower() for word in ("company", "secret", "json")):
            continue  # their constants stand for themselves
        text = statement.replace("'a'", f"'{CANARY}'")
        try:
            rewrite = PLANNER.plan(text.encode(), (), SCOPE)
        except Refused:
            continue
        if rewrite is None or "DEALLOCATE p; EXECUTE" in statement:
            continue
        assert CANARY.encode() not in b"".join(p for p in rewrite.pieces if isinstance(p, bytes)), statement
