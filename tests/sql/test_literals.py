"""Constants: their value from their spelling, and the quick cutter against PostgreSQL's own scanner."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pglast.parser import parse_sql_json

from pgnym.sql.errors import Refused
from pgnym.sql.lexer import lex
from pgnym.sql.literals import decode
from pgnym.sql.shape import cut
from pgnym.sql.syntax import parse


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("'a'", "a"),
        ("''", ""),
        ("'o''brien'", "o'brien"),
        ("''''", "'"),
        ("'a\\b'", "a\\b"),
        ("'a'\n'b'", "ab"),
        ("'a' -- x\n  'b''c'", "ab'c"),
        (r"E'a\'b\\\n\t'", "a'b\\\n\t"),
        (r"e'\x41\101\u00e9\U0001F600'", "AAé😀"),
        (r"E'\ud83d\ude00'", "😀"),
        (r"E'\xc3\xa9'", "é"),
        (r"E'\q'", "q"),
        ("$$a'b$$", "a'b"),
        ("$x$a$$b$x$", "a$$b"),
        ("12", "12"),
        ("007", "7"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("1.50", "1.50"),
        ("1E5", "100000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.5e-3", "0.0015"),
        ("'Ü'", "Ü"),
    ],
)
def test_the_value_of_a_constant(raw: str, value: str) -> None:
    assert decode(raw.encode()) == value


@pytest.mark.parametrize("raw", [r"E'\ud83d'", r"E'\xff'", r"E'\ude00'"])
def test_what_is_not_a_value_is_refused_without_showing_it(raw: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(raw.encode())
    assert raw not in str(caught.value)


def test_a_backslash_is_refused_where_its_meaning_depends_on_the_session() -> None:
    assert decode(rb"'a\b'", True) == r"a\b"
    with pytest.raises(Refused):
        decode(rb"'a\b'", False)
    assert decode(rb"E'a\\b'", False) == r"a\b"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
@example("'")
@example("\\")
@example("''\\'")
def test_decoding_agrees_with_postgresql(value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    escaped = "E'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    for literal in (quoted, escaped):
        text = f"SELECT {literal}".encode()
        (statement,) = parse(text)
        constant = statement.node["SelectStmt"]["targetList"][0]["ResTarget"]["val"]["A_Const"]
        assert decode(literal.encode()) == constant["sval"].get("sval", "") == value


FRAGMENTS = st.sampled_from(
    [
        "select", " ", "\n", "a", "e", "E", "é", "_1", "1", "12.5", "1e5", ".5", "5.", "99999999999", "0x1f", "1_0", "'x'",
        "''", "'a''b'", "E'\\''", "e'x'", "B'01'", "U&'x'", "N'x'", '"a"', '"a""b"', "\"a'b\"", "$1", "$$", "$$x$$",
        "$q$'$q$", "--c\n", "--'", "/*c*/", "/* ' */", "/*/**/*/", "/*", "*/", "-", "+", "(", ")", ",", ";", "::", "[", "\\",
    ]
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.lists(FRAGMENTS, max_size=4).map("".join))
def test_a_shape_that_agrees_with_the_scanner_agrees_for_all_its_texts(text: str, other: str) -> None:
    """The plan cache relies on it: cuts checked for one text of a shape hold for every text of that shape."""
    try:
        lexed = lex(text.encode())
    except Refused:
        return
    cuts = cut(text.encode())
    if cuts != lexed.cuts or lexed.inert:
        return
    varied = bytearray()
    last = 0
    for ordinal, (start, end) in enumerate(zip(cuts.starts, cuts.ends, strict=True)):
        varied += text.encode()[last:start]
        raw = cuts.raw(ordinal)
        if raw.startswith(b"'"):
            varied += b"'" + other.replace("'", "''").encode() + b"'"
        elif raw[:2] in (b"E'", b"e'"):
            varied += b"E'" + other.replace("\\", "\\\\").replace("'", "\\'").encode() + b"'"
        elif raw.isdigit() and len(raw) <= 9:
            varied += b"%d" % (len(other) * 7919)
        else:
            varied += raw
        last = end
    varied += text.encode()[last:]
    assert cut(bytes(varied)).key == cuts.key
    assert lex(bytes(varied)).cuts == cut(bytes(varied))


def test_offsets_are_bytes_in_text_that_is_not_ascii() -> None:
    text = "SELECT 'é', \"ü\" /* ä */ , 'x'".encode()
    lexed = lex(text)
    assert [lexed.cuts.raw(i).decode() for i in range(3)] == ["'é'", "/* ä */", "'x'"]
    assert text[lexed.starts[1] : lexed.ends[1]] == "'é'".encode()


@pytest.mark.parametrize("text", [b"SELECT '\xff'", b"SELECT 'a\0b'"])
def test_bytes_that_are_no_text_are_refused(text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        lex(text)
    assert caught.value.sqlstate == "22021"


def test_the_parser_gives_locations_of_constants() -> None:
    """The planner depends on it; pglast's own node classes don't show them."""
    assert '"location":7' in parse_sql_json("SELECT 'x'")
