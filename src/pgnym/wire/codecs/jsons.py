"""json and jsonb. jsonb is normalized as PostgreSQL prints it; json keeps the client's own text once it is
valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.codecs.numeric import Numeric
from pgnym.wire.codecs.texts import Text
from pgnym.wire.errors import CodecError

_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
MAX_GROWTH = 1 << 20
"""Bytes that writing out numbers like 1e131000 may add to a JSON value: a few of them would fill the memory.
"""
VERSION = b"\1"
"""The byte before a jsonb in binary format."""


class _Number(str):
    """A number as written: JSON numbers are decimals, floats would round them."""

    __slots__ = ()


class Json(Text):
    """``json``: binary and text form are the same."""

    name = "json"
    oid = 114
    array_oid = 199

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """The text itself, if it is JSON."""
        data = super().parse(data)
        load(data, self)
        return data


class Jsonb(Text):
    """``jsonb``: a version byte leads the binary form."""

    name = "jsonb"
    oid = 3802
    array_oid = 3807
    is_text = False

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Normalized: keys by length then bytes, of duplicates the last, numbers as numeric."""
        return self._print(load(super().parse(data), self), _NUMERIC.parse)

    def receive(self, data: bytes) -> bytes:
        """Version byte and text."""
        if data[:1] != VERSION:
            raise self.binary_error()
        return self.parse(data[1:])

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """Version byte and text."""
        return VERSION + canonical

    def identity(self, canonical: bytes) -> bytes:
        """With numbers as numeric compares them: 1.0 and 1.00 are equal."""
        if b"." not in canonical:
            return canonical
        return self._print(load(canonical, self), _NUMERIC.identity)

    def _print(self, value: Any, number: Callable[[bytes], bytes]) -> bytes:
        out: list[str] = []
        try:
            _Writer(out, number).write(value)
        except RecursionError:
            raise _depth_error() from None
        return "".join(out).encode()


def load(data: bytes, codec: Codec) -> Any:
    """Parse strictly as PostgreSQL does; numbers stay as they are written. Raises ``CodecError``."""
    text = data.decode()

    def refuse(_: str) -> NoReturn:
        raise _syntax_error()

    try:
        value = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=refuse)
    except RecursionError:
        raise _depth_error() from None
    except ValueError:
        raise _syntax_error() from None
    if codec.name == "jsonb" and "\\u" in text:
        _check_escapes(text, codec)
    return value


def escape(text: str) -> str:
    """A JSON string of ``text``, quotes included, as PostgreSQL's escape_json writes it."""
    if _SPECIAL.search(text) is None:
        return f'"{text}"'
    return f'"{_SPECIAL.sub(_escape_one, text)}"'


def escape_bytes(value: bytes) -> bytes:
    """``escape`` of UTF-8, without the quotes."""
    return escape(value.decode()).encode()[1:-1]


def _escape_one(found: re.Match[str]) -> str:
    char = found.group()
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _syntax_error() -> CodecError:
    """Both types are read by one parser, which names json."""
    return CodecError("22P02", "invalid input syntax for type json")


_UNICODE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def _check_escapes(text: str, codec: Codec) -> None:
    """Surrogates must come in pairs, and there is no place for NUL (json_lex_string; json, which keeps the
    text, does not look).
    """
    high = -1
    for found in _UNICODE.finditer(text):
        code = int(found.group(1), 16) if found.group(1) else -1
        is_high, is_low = 0xD800 <= code <= 0xDBFF, 0xDC00 <= code <= 0xDFFF
        paired = high == found.start()
        if (high >= 0 and not (paired and is_low)) or (is_low and not paired):
            raise _syntax_error()
        high = found.end() if is_high else -1
        if code == 0:
            raise CodecError("22P05", "\\u0000 cannot be converted to text")
    if high >= 0:
        raise _syntax_error()


class _Writer:
    """Prints as jsonb_out does."""

    __slots__ = ("_add", "_grown", "_number")

    def __init__(self, out: list[str], number: Callable[[bytes], bytes]) -> None:
        self._add = out.append
        self._number = number
        self._grown = 0

    def write(self, value: Any) -> None:
        """Append the text of ``value``."""
        add = self._add
        kind = type(value)
        if kind is str:
            add(escape(value))
        elif kind is _Number:
            shown = self._number(value.encode()).decode()
            self._grown += max(len(shown) - len(value), 0)
            if self._grown > MAX_GROWTH:
                raise CodecError("54000", "numbers with large exponents make the JSON value too long")
            add(shown)
        elif kind is dict:
            add("{")
            separator = ""
            for _, key in sorted((_key_order(key), key) for key in value):
                add(separator + escape(key) + ": ")
                self.write(value[key])
                separator = ", "
            add("}")
        elif kind is list:
            add("[")
            separator = ""
            for item in value:
                add(separator)
                self.write(item)
                separator = ", "
            add("]")
        else:
            add("null" if value is None else "true" if value else "false")


def _key_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded


def _depth_error() -> CodecError:
    return CodecError("54001", "stack depth limit exceeded", "The JSON value is nested too deeply.")


_NUMERIC = Numeric()
