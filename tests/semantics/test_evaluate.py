"""What evaluation promises beside the answers of servers: NULLs, constants, errors, and what is refused."""

from __future__ import annotations

import pytest

from pgnym.semantics import signatures
from pgnym.semantics.evaluate import EvaluationError, UnsupportedCollation, compile_expression
from pgnym.semantics.expression import Call, Collation, Constant, Expression, Value
from pgnym.semantics.types import BOOL, BPCHAR, DATE, INT4, NUMERIC, TEXT, TIMESTAMPTZ, UNKNOWN, VARCHAR

C = Collation("C", "c", "C", "C")
VALUE = Value(TEXT, collation=C)
A, B = Constant(0, TEXT), Constant(1, TEXT)
LIKE_A = Call("~~", (VALUE, A), BOOL)


def run(expression: Expression, value: bytes | None, *constants: bytes | None) -> bytes | None:
    return compile_expression(expression, constants)(value)


@pytest.mark.parametrize(
    ("value", "pattern", "result"),
    [
        (b"anna@example.org", b"anna@%", b"t"),
        (b"anna@example.org", b"%@EXAMPLE%", b"f"),
        (b"a%b", b"a\\%b", b"t"),
        ("Zoë".encode(), b"Zo_", b"t"),
        (b"", b"%", b"t"),
        (b"", b"", b"t"),
        (b"aba", b"%a_b%", b"f"),
        (b"aaxb", b"%a_b%", b"t"),
        (None, b"%", None),
        (b"x", None, None),
    ],
)
def test_like(value: bytes | None, pattern: bytes | None, result: bytes | None) -> None:
    assert run(LIKE_A, value, pattern) == result


def test_a_dangling_escape_is_an_error_only_where_it_is_reached() -> None:
    assert run(LIKE_A, b"b", b"a\\") == b"f"
    assert run(LIKE_A, b"a", b"a\\") == b"f"
    with pytest.raises(EvaluationError, match="must not end") as caught:
        run(LIKE_A, b"ab", b"a\\")
    assert caught.value.sqlstate == "22025"


def test_logic_of_three_values() -> None:
    null = Call("=", (VALUE, B), BOOL)
    for function, decided in (("and", b"f"), ("or", b"t")):
        for pair in ((LIKE_A, null), (null, LIKE_A)):
            both = compile_expression(Call(function, pair, BOOL), (b"a%", None))
            assert {both(b"abc"), both(b"x")} == {decided, None}
    assert run(Call("not", (null,), BOOL), b"x", None, None) is None
    assert run(Call("is null", (VALUE,), BOOL), None) == b"t"
    assert run(Call("is not null", (VALUE,), BOOL), b"") == b"t"


def test_what_does_not_depend_on_the_value_is_computed_once_and_fails_at_once() -> None:
    split = Call("split_part", (A, B, Constant(2, INT4)), TEXT)
    test = Call("=", (VALUE, split), BOOL)
    assert run(test, b"y", b"x-y", b"-", b"2") == b"t"
    with pytest.raises(EvaluationError) as caught:
        compile_expression(test, (b"x-y", b"-", b"0"))
    assert caught.value.sqlstate == "22023"


def test_blanks_at_the_end_of_char_n() -> None:
    padded = Value(BPCHAR, 4 + 4, C)
    constant = Constant(0, BPCHAR)
    assert run(Call("=", (padded, constant), BOOL), b"ab", b"ab      ") == b"t"
    assert run(Call("~~", (padded, A), BOOL), b"ab", b"ab__") == b"t"
    assert run(Call("length", (padded,), INT4), b"ab") == b"2"
    assert run(Call("octet_length", (padded,), INT4), b"ab") == b"4"
    assert run(Call("||", (padded, A), TEXT), b"ab", b"c") == b"abc"


def test_errors_hold_no_value() -> None:
    with pytest.raises(EvaluationError) as caught:
        run(Call("<", (Value(DATE), Constant(0, DATE)), BOOL), b"secret", b"2020-01-01")
    assert "secret" not in f"{caught.value!r} {caught.value.hint}"


def test_collations_that_cannot_be_had_are_refused_with_a_reason() -> None:
    lower = Call("lower", (VALUE,), TEXT)
    for collation, reason in (
        (Collation("tr", "i", "tr", "tr", "153.121"), "ICU"),
        (Collation("xx", "c", "xx_XX.utf8", "xx_XX.utf8", "0.1"), "glibc 0.1"),
        (Collation("default", "", "LATIN1", "LATIN1"), "encoding LATIN1"),
        (Collation("xx", "c", "xx_XX.utf8", "xx_XX.utf8"), "isn't known"),
        (Collation("ci", "i", "und", "und", None, False), "nondeterministic"),
    ):
        with pytest.raises(UnsupportedCollation, match=reason) as caught:
            compile_expression(Call("lower", (VALUE,), TEXT, collation), ())
        assert caught.value.sqlstate == "0A000"
        assert caught.value.hint
    with pytest.raises(UnsupportedCollation):
        compile_expression(Call("lower", (Value(TEXT),), TEXT), ())
    assert run(lower, b"ABC") == b"abc"


@pytest.mark.parametrize(
    ("function", "types", "wanted"),
    [
        ("~~", (VARCHAR, UNKNOWN), (TEXT, TEXT)),
        ("~~", (BPCHAR, 0), (BPCHAR, TEXT)),
        ("=", (BPCHAR, UNKNOWN), (BPCHAR, BPCHAR)),
        ("=", (BPCHAR, TEXT), (TEXT, TEXT)),
        ("<", (DATE, UNKNOWN), (DATE, DATE)),
        ("<", (INT4, NUMERIC), (NUMERIC, NUMERIC)),
        ("lower", (VARCHAR,), (TEXT,)),
        ("length", (BPCHAR,), (BPCHAR,)),
        ("coalesce", (UNKNOWN, VARCHAR), (VARCHAR, VARCHAR)),
        ("substring", (TEXT, UNKNOWN), None),
        ("<", (DATE, TIMESTAMPTZ), None),
        ("lower", (DATE,), None),
        ("no_such_function", (TEXT,), None),
    ],
)
def test_resolution(function: str, types: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    found = signatures.resolve(function, types)
    assert (None if found is None else found.argument_types) == wanted


def test_without_the_locale_the_letters_of_ascii_have_their_cases() -> None:
    for collation in (
        Collation("de", "i", "de-AT", "de-AT", "1"),
        Collation("de", "c", "de_XX.utf8", "de_XX.utf8", "0.1"),
    ):
        ilike = compile_expression(Call("~~*", (VALUE, A), BOOL, collation), (b"an%",))
        assert ilike(b"ANNA") == b"t"
        with pytest.raises(UnsupportedCollation, match="de"):
            ilike("ÄNNE".encode())
        with pytest.raises(UnsupportedCollation):
            compile_expression(Call("<", (VALUE, A), BOOL, collation), (b"an%",))
        with pytest.raises(UnsupportedCollation):
            run(Call("~*", (VALUE, A), BOOL, collation), b"x", "ä".encode())
        assert run(Call("~*", (VALUE, A), BOOL, collation), b"Ab1", rb"^\w+\d$") == b"t"


def test_conditions_that_pass_over_null() -> None:
    first = Call("coalesce", (Call("nullif", (VALUE, A), TEXT), B), TEXT)
    assert [run(first, v, b"x", b"y") for v in (b"x", b"z", None)] == [b"y", b"z", b"y"]
    most = Call("greatest", (VALUE, A, B), TEXT)
    assert [run(most, v, b"m", None) for v in (b"a", b"z", None)] == [b"m", b"z", b"m"]
    joined = Call("concat", (VALUE, A, Constant(1, INT4)), TEXT)
    assert run(joined, None, b"-", b"1") == b"-1"


def test_numbers_of_a_column_have_its_scale() -> None:
    price = Value(NUMERIC, (5 << 16 | 2) + 4)
    assert run(Call("cast", (price,), TEXT), b"1.5") == b"1.50"
