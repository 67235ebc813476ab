"""COPY streams: rows whatever the chunks, values as the server reads them, untouched fields byte for byte."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.copy import Batch, CopyCodec, CopyOptions, Marker, Value, copy_codec
from pgnym.wire.copy.binaries import SIGNATURE, TRAILER
from pgnym.wire.errors import CodecError

HEAD = SIGNATURE + b"\0\0\0\0\0\0\0\0"


def run(codec: CopyCodec, stream: bytes, cuts: list[int] | None = None) -> Batch:
    """The whole stream, cut in pieces."""
    head, rows, tail = b"", [], b""
    pos = 0
    pieces = []
    for cut in cuts or []:
        pieces.append(stream[pos : pos + cut])
        pos += cut
    pieces.append(stream[pos:])
    for batch in [*map(codec.feed, pieces), codec.finish()]:
        head += batch.head
        rows += batch.rows
        tail += batch.tail
    return Batch(head, rows, tail)


def values(options: CopyOptions, stream: bytes) -> list[list[Value]]:
    codec = copy_codec(options)
    read = codec.read(run(codec, stream).rows, range(options.columns))
    return [list(row) for row in zip(*read.values, strict=True)]


CSV = CopyOptions(2, "csv", b",", b"")
TEXT = CopyOptions(2)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"a\tb\n", [[b"a", b"b"]]),
        (b"a\t\\N\n\t\n", [[b"a", None], [b"", b""]]),
        (rb"\b\f\n\r\t\v" + b"\t" + rb"\\\q\x4\x41g\101\1018" + b"\n", [[b"\b\f\n\r\t\v", b"\\q\x04AgAA8"]]),
        (b"a\\\tb\tc\\\nd\n", [[b"a\tb", b"c\nd"]]),
        (b"a\\\\\tb\\\\\n", [[b"a\\", b"b\\"]]),
        (b"a\tb\r\nc\td\r\n", [[b"a", b"b"], [b"c", b"d"]]),
        (b"a\tb\rc\td\r", [[b"a", b"b"], [b"c", b"d"]]),
        (b"a\tb\nc\td", [[b"a", b"b"], [b"c", b"d"]]),
        (b"a\tb\n\\.\nwhat\tever\nx", [[b"a", b"b"]]),
        (b"a\tb\r\n\\.\r\n", [[b"a", b"b"]]),
        (b"\\\\N\t\\\\.\n", [[b"\\N", b"\\."]]),
        (b"a\t\\777\n", [[b"a", b"\xff"]]),
    ],
)
def test_text(stream: bytes, expected: list[list[Value]]) -> None:
    assert values(TEXT, stream) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"a,b\n", [[b"a", b"b"]]),
        (b'"a,b","c""d"\n', [[b"a,b", b'c"d']]),
        (b'a,""\n,b\n', [[b"a", b""], [None, b"b"]]),
        (b'"x\ny",z\n', [[b"x\ny", b"z"]]),
        (b'pre"in,side"post,"a""\r\n"\r\n', [[b"prein,sidepost", b'a"\r\n']]),
        (b"a,b\r\nc,d\r\n", [[b"a", b"b"], [b"c", b"d"]]),
        (b'a,"\\"\n', [[b"a", b"\\"]]),
        (b" a , b\n\\.\nx,y\n", [[b" a ", b" b"]]),
        (b"a,\\.\n", [[b"a", b"\\."]]),
    ],
)
def test_csv(stream: bytes, expected: list[list[Value]]) -> None:
    assert values(CSV, stream) == expected


def test_csv_with_another_escape() -> None:
    options = CopyOptions(2, "csv", b";", b"-", b"'", b"\\")
    assert values(options, rb"'a\'b';'c\\'" + b"\n" + rb"'\x;';-" + b"\n") == [
        [b"a'b", b"c\\"],
        [b"\\x;", None],
    ]
    assert copy_codec(options).encode(b"it's \\ ;", b"x") == rb"'it\'s \\ ;'"


def test_end_marker_in_csv_is_data_for_new_servers() -> None:
    options = CopyOptions(1, "csv", b",", b"", end_marker=False)
    assert values(options, b"a\n\\.\nb\n") == [[b"a"], [b"\\."], [b"b"]]


def test_force_null_and_force_not_null() -> None:
    options = CopyOptions(3, "csv", b",", b"NUL", force_null=frozenset([0]), force_not_null=frozenset([1]))
    assert values(options, b'"NUL",NUL,NUL\n') == [[None, b"NUL", None]]
    assert values(options, b'NUL,"NUL","NUL"\n') == [[None, b"NUL", b"NUL"]]


def test_default_marker() -> None:
    options = CopyOptions(2, "csv", b",", b"", default=b"\\D")
    assert values(options, b'\\D,"\\D"\n') == [[Marker.DEFAULT, b"\\D"]]
    assert values(CopyOptions(2, default=b"\\D"), b"\\D\tx\n") == [[Marker.DEFAULT, b"x"]]
    assert copy_codec(options).encode(b"\\D", b"x") == b'"\\D"'


def test_header_is_no_row() -> None:
    for cuts in ([], [1], [3, 1]):
        batch = run(copy_codec(CopyOptions(2, "csv", b",", b"", header=True)), b'"a\n",b\n1,2\n', cuts)
        assert batch == Batch(b'"a\n",b\n', [b"1,2\n"], b"")


def test_end_marker_goes_on_and_what_follows_does_not() -> None:
    codec = copy_codec(TEXT)
    assert codec.feed(b"a\tb\n\\.\nsecret\tx\n") == Batch(b"", [b"a\tb\n"], b"\\.\n")
    assert codec.feed(b"more\tsecrets\n") == Batch(b"", [], b"")
    assert codec.finish() == Batch(b"", [], b"")


@pytest.mark.parametrize(
    ("options", "stream", "message"),
    [
        (TEXT, b"a\n", "missing data for a column"),
        (TEXT, b"a\tb\tc\n", "extra data after last expected column"),
        (TEXT, b"a\tb\\.\n", "end-of-copy marker is not alone on its line"),
        (CSV, b"a\n", "missing data for a column"),
        (CSV, b'a,"b\n', "unterminated CSV quoted field"),
        (CopyOptions(1, "binary"), b"PGCOPX", "COPY file signature not recognized"),
        (
            CopyOptions(1, "binary"),
            SIGNATURE + b"\0\1\0\0\0\0\0\0",
            "unrecognized critical flags in COPY file header",
        ),
        (
            CopyOptions(1, "binary"),
            SIGNATURE + b"\0\0\0\0\xff\xff\xff\xff",
            "invalid COPY file header (wrong length)",
        ),
        (CopyOptions(1, "binary"), HEAD + b"\0\2", "row field count is 2, expected 1"),
        (CopyOptions(1, "binary"), HEAD + b"\0\1\xff\xff\xff\xfe", "invalid field size"),
        (CopyOptions(1, "binary"), HEAD + b"\0\1\0\0\0\2x", "unexpected EOF in COPY data"),
        (CopyOptions(1, "binary"), HEAD + TRAILER + b"x", "received copy data after EOF marker"),
    ],
)
def test_bad_streams_are_refused_without_showing_them(
    options: CopyOptions, stream: bytes, message: str
) -> None:
    with pytest.raises(CodecError) as refused:
        values(options, stream)
    assert (refused.value.sqlstate, refused.value.message) == ("22P04", message)


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_rows_are_bounded(form: str) -> None:
    options = CopyOptions(1, form)  # type: ignore[arg-type]
    codec = copy_codec(options, max_row=1000)
    if form == "binary":
        codec.feed(HEAD + b"\0\1\0\0\1\0" + bytes(256))
        with pytest.raises(CodecError) as refused:
            codec.feed(b"\0\1\0\1\0\0")
    else:
        codec.feed(b"x" * 900)
        with pytest.raises(CodecError) as refused:
            codec.feed(b"x" * 900)
    assert refused.value.sqlstate == "54000"


def test_a_long_row_in_small_chunks_stays_linear() -> None:
    # 4 MB in chunks of 100 bytes: looking at each byte anew for every chunk would take minutes.
    codec = copy_codec(CopyOptions(1, "csv", b",", b""))
    codec.feed(b'"')
    for _ in range(40_000):
        assert not codec.feed(b"\n,x" * 33 + b"y").rows
    (row,) = codec.feed(b'"\n').rows
    assert len(row) == 4_000_003


cells = st.none() | st.text(st.sampled_from("ab\\\"',;\t\n\r.Nx1\b\v "), max_size=6).map(str.encode)


@st.composite
def streams(draw: st.DrawFn) -> tuple[CopyOptions, list[list[bytes | None]], str]:
    form = draw(st.sampled_from(["text", "csv", "binary"]))
    width = draw(st.integers(1, 3))
    table = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=4))
    eol = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    if form == "csv":
        quote, escape = draw(st.sampled_from([(b'"', b'"'), (b"'", b"\\"), (b'"', b"'")]))
        return CopyOptions(width, "csv", draw(st.sampled_from([b",", b";"])), b"", quote, escape), table, eol
    delimiter = draw(st.sampled_from([b"\t", b";"]))
    return CopyOptions(width, form, delimiter, b"\\N"), table, eol  # type: ignore[arg-type]


def encoded(codec: CopyCodec, table: list[list[bytes | None]], eol: str) -> bytes:
    options = codec.options
    if options.format == "binary":
        rows = [len(row).to_bytes(2, "big") + b"".join(codec.encode(v, b"") for v in row) for row in table]
        return HEAD + b"".join(rows) + TRAILER
    return b"".join(options.delimiter.join(codec.encode(v, b"") for v in row) + eol.encode() for row in table)


@given(stream=streams(), cuts=st.lists(st.integers(1, 7), max_size=20))
def test_round_trip_cut_anywhere(
    stream: tuple[CopyOptions, list[list[bytes | None]], str], cuts: list[int]
) -> None:
    options, table, eol = stream
    raw = encoded(copy_codec(options), table, eol)
    codec = copy_codec(options)
    batch = run(codec, raw, cuts)
    read = codec.read(batch.rows, range(options.columns))
    assert [list(row) for row in zip(*read.values, strict=True)] == table
    assert batch.head + b"".join(batch.rows) + batch.tail == raw
    assert batch.head + b"".join(read.build(read.values)) + batch.tail == raw


@given(stream=streams(), column=st.integers(0, 2))
def test_only_replaced_fields_change(
    stream: tuple[CopyOptions, list[list[bytes | None]], str], column: int
) -> None:
    options, table, eol = stream
    column %= options.columns
    codec = copy_codec(options)
    batch = run(codec, encoded(codec, table, eol))
    read = codec.read(batch.rows, [column])
    new: list[Value] = [None if value is None else b"pn1;," for value in read.values[0]]
    changed = batch.head + b"".join(read.build([new])) + batch.tail
    for row, value in zip(table, new, strict=True):
        assert not isinstance(value, Marker)
        row[column] = value
    assert changed == encoded(codec, table, eol)


@given(
    form=st.sampled_from(["text", "csv", "binary"]),
    data=st.lists(
        st.binary(max_size=12) | st.sampled_from([HEAD, TRAILER, b"\0\1", b'"', b"\n", b"\\.", b"\\"]),
        max_size=8,
    ),
    width=st.integers(1, 2),
)
def test_any_bytes_are_a_stream_or_refused(form: str, data: list[bytes], width: int) -> None:
    codec = copy_codec(CopyOptions(width, form))  # type: ignore[arg-type]
    with contextlib.suppress(CodecError):
        for batch in [*map(codec.feed, data), codec.finish()]:
            codec.read(batch.rows, range(width))
