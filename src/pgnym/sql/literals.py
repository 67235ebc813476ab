"""String and number constants: from their spelling in a statement to their value.

PostgreSQL documentation, section 4.1.2 "Constants": quoted, ``E``, and dollar-quoted strings, each of which may be
continued after white space with a line break (the lexer hands over the whole run as one token).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from pgnym.sql.errors import Refused

_SIMPLE_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPE = re.compile(
    rb"''|\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_CONTINUATION = re.compile(rb"(?:[ \t\f\v]|--[^\r\n]*)*[\r\n](?:[ \t\r\n\f\v]|--[^\r\n]*[\r\n])*'")
# numeric itself goes to 131072 digits before the point; an exponent must not blow up the gateway
_MAX_DIGITS = 2000
_DOLLAR = re.compile(rb"\$[^$]*\$")


def decode(raw: bytes, standard_strings: bool = True) -> str:
    """The value of one string or number token as it stands in the text.

    Parameters: ``raw``, the token's bytes (UTF-8); ``standard_strings``, the session's standard_conforming_strings.
    Raises Refused when the value can't be told for certain.
    """
    first = raw[:1]
    if first == b"'":
        if raw.find(b"'", 1) == len(raw) - 1 and standard_strings:
            return raw[1:-1].decode()
        return _quoted(raw, 0, escapes=False, standard_strings=standard_strings)
    if first in (b"e", b"E") and raw[1:2] == b"'":
        return _quoted(raw, 1, escapes=True, standard_strings=standard_strings)
    if first == b"$":
        match = _DOLLAR.match(raw)
        if match is None or not raw.endswith(match.group()):
            raise Refused("unsupported form of dollar-quoted string")
        return raw[match.end() : -len(match.group())].decode()
    return _number(raw)


def _quoted(raw: bytes, start: int, *, escapes: bool, standard_strings: bool) -> str:
    """Decode a quoted string whose opening quote is at ``start``, with its continuations."""
    parts: list[bytes] = []
    at = start + 1
    while True:
        end = _closing_quote(raw, at, escapes)
        parts.append(raw[at:end])
        after = end + 1
        if after >= len(raw):
            break
        match = _CONTINUATION.match(raw, after)
        if match is None:
            raise Refused("unsupported form of string constant")
        at = match.end()
    body = b"".join(parts)
    if not escapes:
        if not standard_strings and b"\\" in body:
            raise Refused(
                "backslash in a string constant while standard_conforming_strings is off",
                detail="The meaning of the constant depends on a setting of the session.",
                hint="Write E'…' or set standard_conforming_strings = on.",
            )
        return body.replace(b"''", b"'").decode()
    return _unescape(body)


def _closing_quote(raw: bytes, at: int, escapes: bool) -> int:
    """The offset of the quote that ends the piece starting at ``at``."""
    while at < len(raw):
        byte = raw[at : at + 1]
        if byte == b"'":
            if raw[at + 1 : at + 2] != b"'":
                return at
            at += 2
        elif byte == b"\\" and escapes:
            at += 2
        else:
            at += 1
    raise Refused("unterminated string constant", sqlstate="42601")


def _unescape(body: bytes) -> str:
    high: list[int] = []  # a high surrogate waiting for its low half

    def replace(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, other = match.groups()
        if octal is not None:
            return bytes([int(octal, 8) & 0xFF])
        if hexadecimal is not None:
            return bytes([int(hexadecimal, 16)])
        code = short or long
        if code is not None:
            point = int(code, 16)
            if 0xD800 <= point < 0xDC00:
                high.append(point)
                return b""
            if 0xDC00 <= point < 0xE000:
                if not high:
                    raise Refused("invalid Unicode surrogate pair", sqlstate="42601")
                point = 0x10000 + ((high.pop() & 0x3FF) << 10) + (point & 0x3FF)
            return chr(point).encode()
        if other is not None:
            return _SIMPLE_ESCAPES.get(other, other)
        return b"'"

    decoded = _ESCAPE.sub(replace, body)
    if b"\0" in decoded:
        raise Refused("invalid byte sequence for encoding UTF8 in a string constant", sqlstate="22021")
    if high:
        raise Refused("invalid Unicode surrogate pair", sqlstate="42601")
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        # the decoder's own message would show the bytes
        raise Refused(
            "invalid byte sequence for encoding UTF8 in a string constant", sqlstate="22021"
        ) from None


def _number(raw: bytes) -> str:
    """The text that PostgreSQL gives a number token: integers and numerics without exponent.

    PostgreSQL 16 adds 0x, 0o, 0b and underscores.
    """
    digits = raw.decode().replace("_", "").lower()
    if digits[:2] in ("0x", "0o", "0b"):
        return str(int(digits, 0))
    if digits.isdigit():
        return digits.lstrip("0") or "0"
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise Refused("unsupported form of number", sqlstate="42601") from None
    if abs(number.adjusted()) > _MAX_DIGITS:
        raise Refused("number is too large or too small to be written out", sqlstate="22003")
    return format(number, "f")
