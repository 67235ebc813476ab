"""Parts that a value must have: right for LIKE and its kin, and never more than is sure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_values import Maker

from pgnym.semantics.ctype import ctype
from pgnym.semantics.evaluate import EvaluationError, compile_expression
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.folding import UNSETTLED, fold
from pgnym.semantics.substrings import MOST_ALTERNATIVES, alternatives, required
from pgnym.semantics.types import BOOL, BPCHAR, INT4, TEXT

C = Collation("C", "c", "C", "C")
UNICODE = Collation("pg_c_utf8", "b", "C.UTF-8", "C.UTF-8", "1")
FULL = Collation("pg_unicode_fast", "b", "PG_UNICODE_FAST", "PG_UNICODE_FAST", "1")
VALUE = Value(TEXT, collation=C)


def like(index: int, sign: str = "~~") -> Call:
    return Call(sign, (VALUE, Constant(index, TEXT)), BOOL)


def parts(expression: Expression, *constants: str) -> set[str]:
    return set(required(expression, [c.encode() for c in constants]))


def test_like() -> None:
    assert parts(like(0), "%Anna%@Ex_mple%") == {"anna", "@ex", "mple"}
    assert parts(like(0, "~~*"), "%ANNA%") == {"anna"}
    assert parts(like(0), "a\\%b%") == {"a%b"}
    assert parts(like(0), "%anna%ann%") == {"anna"}
    assert parts(like(0), "%_%") == set()
    assert parts(like(0, "!~~"), "%anna%") == set()


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("^Anna.*@(x|y)?ample", {"anna", "@", "ample"}),
        ("(ab|xaby)+c", {"ab", "c"}),
        ("a*b", {"b"}),
        ("(?i)AN(n)a$", {"anna"}),
        ("a|b", set()),
        ("a{2}b", {"a", "b"}),
        ("***=a.b", {"a.b"}),
        ("(", set()),
        ("[a]b\\d", {"b"}),
    ],
)
def test_regular_expressions(pattern: str, wanted: set[str]) -> None:
    assert parts(like(0, "~"), pattern) == wanted


def test_similar_to() -> None:
    similar = Call("similar_to_escape", (Constant(0, TEXT),), TEXT)
    assert parts(Call("~", (VALUE, similar), BOOL), "anna%@_") == {"anna", "@"}


def test_equality_and_functions() -> None:
    lower = Call("lower", (VALUE,), TEXT)
    assert parts(Call("=", (lower, Constant(0, TEXT)), BOOL), "anna") == {"anna"}
    left = Call("left", (VALUE, Constant(0, INT4)), TEXT)
    assert parts(Call("=", (Constant(1, TEXT), left), BOOL), "3", "Ann") == {"ann"}
    reverse = Call("reverse", (VALUE,), TEXT)
    assert parts(Call("=", (reverse, Constant(0, TEXT)), BOOL), "anna") == set()
    assert parts(Call("starts_with", (VALUE, Constant(0, TEXT)), BOOL), "An") == {"an"}


def test_connected() -> None:
    assert parts(Call("and", (like(0), like(1)), BOOL), "%ab%", "%cd%") == {"ab", "cd"}
    assert parts(Call("or", (like(0), like(1)), BOOL), "%abc%", "%bcd%") == set()
    assert parts(Call("or", (like(0), like(1)), BOOL), "%abc%", "%xabcd%") == {"abc"}
    assert parts(Call("not", (like(0),), BOOL), "%ab%") == set()


def test_padding_is_not_required() -> None:
    value = Value(BPCHAR, 4 + 9, C)
    assert parts(Call("~~", (value, Constant(0, TEXT)), BOOL), "%ab %") == {"ab"}


CASELESS = (range(0x3000, 0xA640), range(0xAC00, 0xE000))
"""Han, Hangul and surrogates."""


@pytest.mark.parametrize("stop", [0x20000, pytest.param(0x110000, marks=pytest.mark.long)])
def test_the_fold_is_the_same_before_and_after_a_change_of_case(stop: int) -> None:
    """For each character and each kind of case mapping there is."""
    codes = {c for c in range(1, stop) if not any(c in r for r in CASELESS)} - UNSETTLED
    folds = {code: fold(chr(code).encode()) for code in codes}
    for collation in (C, UNICODE, Collation("C.utf8", "c", "C.utf8", "C.utf8")):
        locale = ctype(collation)
        for code in codes:
            assert folds[locale.tolower(code)] == folds[locale.toupper(code)] == folds[code], hex(code)
    lower = ctype(FULL).lower
    assert not [c for c in codes if fold(lower(chr(c).encode())) != folds[c]]


def test_alternatives() -> None:
    subject = Value(TEXT, collation=C)
    one, two, three = (Call("~~", (subject, Constant(n, TEXT)), BOOL) for n in range(3))
    texts = [b"%abc%", b"de%fg", b"%"]

    def found(sign: str, *tests: Expression) -> set[frozenset[str]]:
        return set(alternatives(Call(sign, tests, BOOL), texts))

    abc, defg = frozenset({"abc"}), frozenset({"de", "fg"})
    assert alternatives(one, texts) == {abc}
    assert found("or", one, two) == {abc, defg}
    assert found("and", one, two) == {abc | defg}
    assert found("or", one, three) == set()  # the third says nothing
    assert found("and", one, three) == {abc}
    assert found("and", three, Call("or", (one, two), BOOL)) == {abc, defg}
    assert found("and", two, Call("or", (one, two), BOOL)) == {defg}
    assert found("not", one) == set()
    many = [Call("=", (subject, Constant(n, TEXT)), BOOL) for n in range(MOST_ALTERNATIVES + 1)]
    words = [b"word %d." % n for n in range(MOST_ALTERNATIVES + 1)]
    assert len(alternatives(Call("or", tuple(many[1:]), BOOL), words)) == MOST_ALTERNATIVES
    assert alternatives(Call("or", tuple(many), BOOL), words) == set()


_TEXTS = st.text("aAbBiIİıßſsSΣςσKk%_\\ é\u0307", max_size=8)


@given(
    _TEXTS,
    _TEXTS,
    _TEXTS,
    st.sampled_from(["~~", "~~*", "=", "^@", "~", "~*"]),
    st.sampled_from([C, UNICODE, FULL]),
)
def test_what_matches_has_the_parts(
    value: str, one: str, other: str, sign: str, collation: Collation
) -> None:
    value += one.replace("%", "") if sign != "=" else ""
    subject = Value(TEXT, collation=collation)
    first = Call(sign, (Call("lower", (subject,), TEXT), Constant(0, TEXT)), BOOL)
    second = Call(sign, (subject, Constant(1, TEXT)), BOOL)
    constants = [one.replace("\\", "").encode(), other.replace("\\", "").encode()]
    for test in (first, second, Call("or", (first, second), BOOL), Call("and", (first, second), BOOL)):
        if compile_expression(test, constants)(value.encode()) == b"t":
            folded = fold(value.encode())
            assert all(part in folded for part in required(test, constants)), (test, constants)
            sets = alternatives(test, constants)
            assert not sets or any(all(part in folded for part in parts) for parts in sets), (test, constants)


@pytest.mark.parametrize("seed", [1, *[pytest.param(n, marks=pytest.mark.long) for n in range(2, 12)]])
def test_no_match_is_lost(seed: int) -> None:
    """Random conditions of every kind, over values of the same few letters: whatever matches has the parts."""
    make = Maker(seed)
    found = 0
    for _ in range(4000):
        collation = make.random.choice((C, UNICODE, FULL))
        subject: Expression = Value(make.random.choice((TEXT, BPCHAR)), 4 + 6, collation)
        sign = make.random.choice(("~~", "~~*", "~", "~*", "=", "^@"))
        if make.random.random() < 0.3:
            subject = Call(make.random.choice(("lower", "upper", "btrim")), (subject,), TEXT)
        test = Call(sign, (subject, Constant(0, TEXT)), BOOL)
        constants = [make.regex().encode() if "~" in sign and len(sign) < 3 else make.text().encode()]
        try:
            matches = compile_expression(test, constants)
            wanted = required(test, constants)
            for value in [make.text().encode() for _ in range(6)] + [constants[0], constants[0].lower()]:
                if matches(value) == b"t":
                    found += 1
                    assert all(part in fold(value) for part in wanted), (test, constants, value)
        except EvaluationError:
            continue
    assert found > 2000
