"""Array *input* that a client sends: each element is mapped, the rest of the array keeps its shape.

(What a server sends is in ``containers/arrays.py``, which may rely on array_out's own quoting; array_in
accepts more.)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from math import prod

from pgnym.wire.containers.arrays import MAX_DIMENSIONS, quote
from pgnym.wire.errors import CodecError

_BOUNDS = re.compile(rb"\s*(?:\[\s*[+-]?[0-9]+\s*(?::\s*[+-]?[0-9]+\s*)?\]\s*)+=")
_TOKEN = re.compile(rb'\s*(?:([{},])|"((?:[^"\\]|\\.)*)"|((?:[^{},"\\]|\\.)+))', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_SPACES = b" \t\n\r\v\f"
_head = struct.Struct("!iiI")
_dimension = struct.Struct("!ii")

Element = Callable[[bytes], bytes]


def map_array_text(value: bytes, element: Element) -> bytes:
    """``value`` with each element that is not NULL replaced by ``element(it)``.

    Raises ``CodecError`` 22P02 as array_in does for malformed text. Dimensions are left for the server to
    check.
    """
    bounds = _BOUNDS.match(value)
    pos = bounds.end() if bounds else 0
    out = [value[:pos]]
    depth = 0
    # Elements and inner arrays are parted by commas. Two elements in a row would otherwise become one that is
    # two tokens.
    complete = False
    body = value.rstrip(_SPACES)
    while pos < len(body):
        found = _TOKEN.match(body, pos)
        if found is None:
            raise _malformed()
        pos = found.end()
        mark, quoted, bare = found.groups()
        if mark is not None:
            if mark == b"{" and complete:
                raise _malformed()
            complete = mark == b"}"
            depth += {b"{": 1, b"}": -1, b",": 0}[mark]
            if depth < 0 or depth > MAX_DIMENSIONS or (depth == 0 and (mark == b"," or pos < len(body))):
                raise _malformed()
            out.append(mark)
            continue
        if depth == 0:
            raise _malformed()
        if quoted is None:
            bare = bare.rstrip(_SPACES)
            if not bare:
                continue
        if complete:
            raise _malformed()
        complete = True
        if quoted is not None:
            out.append(quote(element(_ESCAPED.sub(rb"\1", quoted))))
            continue
        if bare.upper() == b"NULL":
            out.append(b"NULL")
        else:
            out.append(quote(element(_ESCAPED.sub(rb"\1", bare))))
    if depth or not body:
        raise _malformed()
    return b"".join(out)


def map_array_binary(value: bytes, element: Element, element_oid: int) -> bytes:
    """As ``map_array_text``, for array_recv's format; the array is sent on as one of ``element_oid``.

    Raises ``CodecError`` 22P03 for malformed data.
    """
    dimensions, has_null, body = _opened(value)
    out = [_head.pack(dimensions, has_null, element_oid), value[12:body]]
    for item in _items(value, body):
        if item is None:
            out.append(b"\xff\xff\xff\xff")
        else:
            new = element(item)
            out.append(len(new).to_bytes(4, "big") + new)
    return b"".join(out)


def array_text_from_binary(value: bytes, element: Element) -> bytes:
    """As ``map_array_binary``, but as array_out prints it: text names no element type, which the server must agree with.

    ``element`` gives the text of an element. Raises ``CodecError`` 22P03 also where elements and dimensions don't agree.
    """
    dimensions, _, body = _opened(value)
    bounds = [_dimension.unpack_from(value, 12 + 8 * i) for i in range(dimensions)]
    size = prod(length for length, _ in bounds) if bounds else 0
    if any(length < 0 for length, _ in bounds):
        raise _malformed_binary()
    shown = [b"NULL" if item is None else quote(element(item)) for item in _items(value, body)]
    if len(shown) != size:
        raise _malformed_binary()
    if not shown:
        return b"{}"
    for length, _ in reversed(bounds):
        shown = [b"{" + b",".join(shown[i : i + length]) + b"}" for i in range(0, len(shown), length)]
    usual = all(lower == 1 for _, lower in bounds)
    prefix = b"" if usual else b"".join(b"[%d:%d]" % (lo, lo + n - 1) for n, lo in bounds) + b"="
    return prefix + shown[0]


def _opened(value: bytes) -> tuple[int, int, int]:
    """(dimensions, whether there are NULLs, where the elements begin)."""
    if len(value) < 12:
        raise _malformed_binary()
    dimensions, has_null, _ = _head.unpack_from(value)
    body = 12 + 8 * dimensions
    if not 0 <= dimensions <= MAX_DIMENSIONS or len(value) < body:
        raise _malformed_binary()
    return dimensions, has_null, body


def _items(value: bytes, pos: int) -> Iterator[bytes | None]:
    end = len(value)
    while pos < end:
        if pos + 4 > end:
            raise _malformed_binary()
        length = int.from_bytes(value[pos : pos + 4], "big", signed=True)
        pos += 4
        if length == -1:
            yield None
            continue
        if length < 0 or pos + length > end:
            raise _malformed_binary()
        yield value[pos : pos + length]
        pos += length


def _malformed() -> CodecError:
    return CodecError("22P02", "malformed array literal")


def _malformed_binary() -> CodecError:
    return CodecError("22P03", "malformed binary array")
