"""Rewriting by splices: untouched bytes stay, and places in the sent text lead back to the client's."""

from __future__ import annotations

import pytest
from case_files import SCOPE, all_cases
from sample_catalog import sample_catalog

from pgnym.gateway.marks import Marks
from pgnym.semantics.documents import map_leaves
from pgnym.sql.errors import Refused
from pgnym.sql.plan import FollowPiece, LiteralPiece, LookupPiece, MarkPiece, Rewrite
from pgnym.sql.planner import Planner
from pgnym.sql.rewrite import document_literal
from pgnym.wire.arrays import map_array_text

MARKS = Marks.fresh()
PLANNER = Planner(sample_catalog())


def plan(text: str) -> Rewrite:
    rewrite = PLANNER.plan(text.encode(), (), SCOPE)
    assert rewrite is not None
    return rewrite


def sent_text(rewrite: Rewrite) -> bytes:
    """As the gateway renders it."""

    def token(value: bytes) -> bytes:
        return b"t" * 30 if value else b""

    def literal(piece: LiteralPiece | LookupPiece | MarkPiece) -> bytes:
        if isinstance(piece, MarkPiece):
            return MARKS.literal(piece)
        if isinstance(piece, LookupPiece):
            return b""  # not counted until its answer is there
        value = piece.value.encode()
        if piece.use.leaves:
            paths = tuple(leaf.path for leaf in piece.use.leaves)
            return document_literal(map_leaves(value, paths, lambda _, v: token(v)).decode()).encode()
        return b"'" + (map_array_text(value, token) if piece.use.array else token(value)) + b"'"

    parts = []
    for piece in rewrite.pieces:
        if isinstance(piece, FollowPiece):
            parts.append(piece.text)
        else:
            parts.append(piece if isinstance(piece, bytes) else literal(piece))
    return b"".join(parts)


def client_offset(rewrite: Rewrite, offset: int) -> int:
    """As the gateway maps an error's caret."""
    sent, client = 0, 0
    for one, other in rewrite.positions:
        if one > offset:
            break
        sent, client = one, other
    return client + offset - sent


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("SELECT email, nosuch() FROM customer WHERE email = 'a' AND company = wrong", "wrong"),
        (
            "SELECT 'ü' FROM customer WHERE email IN ('a', 'b', 'c') AND birth_date = '1962-02-18'::date AND wrong",
            "wrong",
        ),
        (
            "SELECT 1 FROM customer WHERE birth_date = date '1962-02-18' OR email = lower('A') OR wrong",
            "wrong",
        ),
        ("SELECT wrong FROM customer WHERE email = 'a'", "wrong"),
        ("SELECT left(lower( first_name ), 3), wrong FROM customer", "wrong"),
        (
            'SELECT 1 FROM customer WHERE email = ANY(\'{a, b,NULL ,"c,\\"d","", null, \\a\\ }\') AND wrong',
            "wrong",
        ),
        ('SELECT 1 FROM customer WHERE email = ANY(\' [0:1]={"NULL","ü"} \') AND wrong', "wrong"),
        ("SELECT 1 FROM customer WHERE email = ANY('{}'::text[]) OR email = '' AND wrong", "wrong"),
        ("SELECT 1 FROM customer WHERE birth_date = ANY('{{1962-02-18},{1970-01-01}}') AND wrong", "wrong"),
    ],
)
def test_an_error_caret_is_mapped_back(text: str, word: str) -> None:
    # the planner would refuse an unknown column: let the word be one that only the server rejects
    text = text.replace("wrong", "pg_sleep(wrong_argument => 1) IS NULL").replace("wrong_argument", word)
    rewrite = plan(text)
    upstream = sent_text(rewrite).index(word.encode())
    assert client_offset(rewrite, upstream) == text.encode().index(word.encode())


def test_every_literal_piece_hides_its_value() -> None:
    rewrite = plan("SELECT 1 FROM customer WHERE email = 'secret'")
    assert "secret" not in repr(rewrite)


@pytest.mark.parametrize("case", all_cases(), ids=lambda c: f"{c.file}: {c.title}")
def test_only_edited_spans_differ(case: object) -> None:
    """Between two splices the sent text is the client's own, byte for byte."""
    statement, types = case.statement, case.types  # type: ignore[attr-defined]
    text = statement.encode()
    try:
        rewrite = PLANNER.plan(text, types, SCOPE)
    except Refused:
        return
    if rewrite is None:
        return
    sent = sent_text(rewrite)
    places = [(0, 0), *rewrite.positions, (len(sent), len(text))]
    for (sent_start, start), (sent_end, end) in zip(places[::2], places[1::2], strict=True):
        assert sent[sent_start:sent_end] == text[start:end]
    assert not any(isinstance(p, LiteralPiece) and not p.use.columns for p in rewrite.pieces)


def test_a_token_in_the_text_is_a_constant_like_any_other() -> None:
    rewrite = plan("SELECT 1 FROM customer WHERE email = 'pn1aaa" + "b" * 24 + "'")
    (piece,) = [p for p in rewrite.pieces if isinstance(p, LiteralPiece)]
    assert piece.value == "pn1aaa" + "b" * 24
