"""bool, int2/4/8, float4/8."""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.errors import CodecError

SPACE = b" \t\n\v\f\r"
_DECIMAL = re.compile(rb"[+-]?[0-9]+(?:_[0-9]+)*\Z")
# PostgreSQL 16 and later: 0x1F, 0o17, 0b11, and an underscore before any digit.
_BASED = re.compile(rb"([+-]?)0(?:([xX])((?:_?[0-9a-fA-F])+)|([oO])((?:_?[0-7])+)|([bB])((?:_?[01])+))\Z")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_C_FLOAT = re.compile(rb"[+-]?(?:0[xX]|nan\()", re.IGNORECASE)
"""What strtod reads beyond that: hexadecimal floats and NaN payloads."""
_SPECIAL = {
    b"nan": math.nan,
    b"inf": math.inf,
    b"+inf": math.inf,
    b"-inf": -math.inf,
    b"infinity": math.inf,
    b"+infinity": math.inf,
    b"-infinity": -math.inf,
}
MAX_DIGITS = 1000
"""No integer or float that a client means is longer; bounds the work of one conversion."""


class Bool(Codec):
    """``boolean``: canonical t or f."""

    name = "boolean"
    oid = 16
    array_oid = 1000
    size = 1

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Any unambiguous start of true, false, yes, no, on, off, and 1 or 0 (parse_bool_with_len)."""
        word = data.strip(SPACE).lower()
        if word and (word == b"1" or word == b"on" or b"true".startswith(word) or b"yes".startswith(word)):
            return b"t"
        if word and (word in (b"0", b"of", b"off") or b"false".startswith(word) or b"no".startswith(word)):
            return b"f"
        raise self.syntax_error()

    def receive(self, data: bytes) -> bytes:
        """One byte; any but 0 is true."""
        if len(data) != 1:
            raise self.binary_error()
        return b"t" if data[0] else b"f"

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """One byte."""
        return b"\1" if canonical == b"t" else b"\0"


class Integer(Codec):
    """``smallint``, ``integer``, ``bigint``."""

    def __init__(self, name: str, oid: int, array_oid: int, size: int) -> None:
        self.name, self.oid, self.array_oid, self.size = name, oid, array_oid, size
        self._limit = 1 << (8 * size - 1)

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Decimal, also with underscores; hexadecimal, octal and binary as PostgreSQL 16 reads them."""
        text = data.strip(SPACE)
        if len(text) > MAX_DIGITS:
            raise self.range_error() if _DECIMAL.match(text) else self.syntax_error()
        number = parse_integer(text)
        if number is None:
            raise self.syntax_error()
        if not -self._limit <= number < self._limit:
            raise self.range_error()
        return b"%d" % number

    def receive(self, data: bytes) -> bytes:
        """Big-endian two's complement."""
        if len(data) != self.size:
            raise self.binary_error()
        return b"%d" % int.from_bytes(data, "big", signed=True)

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """Big-endian two's complement."""
        return int(canonical).to_bytes(self.size, "big", signed=True)


class Float8(Codec):
    """``double precision``: canonical is the shortest decimal that reads back the same."""

    name = "double precision"
    oid = 701
    array_oid = 1022
    size = 8
    _pack = struct.Struct("!d")
    _scientific = 15

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Decimal or scientific, NaN, Infinity. Overflow, and underflow to zero, are 22003."""
        text = data.strip(SPACE)
        special = _SPECIAL.get(text.lower())
        if special is not None:
            return self._format(special)
        if _C_FLOAT.match(text):
            raise CodecError("0A000", f"this spelling of a value of type {self.name} is not supported")
        if len(text) > MAX_DIGITS or not _FLOAT.match(text):
            raise self.syntax_error()
        value = float(text)
        if math.isinf(value) or (value == 0.0 and text.lower().split(b"e")[0].strip(b"+-0._")):
            raise self.range_error()
        return self._format(self._narrow(value))

    def receive(self, data: bytes) -> bytes:
        """IEEE 754, big-endian."""
        if len(data) != self.size:
            raise self.binary_error()
        return self._format(self._pack.unpack(data)[0])

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """IEEE 754, big-endian."""
        return self._pack.pack(_SPECIAL[canonical.lower()] if canonical[-1:] in b"Ny" else float(canonical))

    def identity(self, canonical: bytes) -> bytes:
        """Zero has two signs that compare equal."""
        return b"0" if canonical == b"-0" else canonical

    def _narrow(self, value: float) -> float:
        return value

    def _shortest(self, value: float) -> str:
        text = repr(value)
        return text if abs(value) < 2.0**53 else _strictly(text, value, int(math.ulp(value)), 17)

    def _format(self, value: float) -> bytes:
        if math.isnan(value):
            return b"NaN"
        if math.isinf(value):
            return b"Infinity" if value > 0 else b"-Infinity"
        mantissa, _, power = self._shortest(value).partition("e")
        sign = "-" if mantissa[0] == "-" else ""
        whole, _, fraction = mantissa.lstrip("-").partition(".")
        if fraction == "0":
            fraction = ""
        digits = (whole + fraction).lstrip("0")
        # Decimal exponent of the first significant digit.
        exponent = int(power or 0) + len(whole) - 1 - (len(whole + fraction) - len(digits))
        digits = digits.rstrip("0")
        if not digits:
            return (sign + "0").encode()
        if -4 <= exponent < self._scientific:
            if exponent < 0:
                return f"{sign}0.{'0' * (-exponent - 1)}{digits}".encode()
            whole = digits[: exponent + 1].ljust(exponent + 1, "0")
            fraction = digits[exponent + 1 :]
            return f"{sign}{whole}.{fraction}".encode() if fraction else f"{sign}{whole}".encode()
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".encode()


class Float4(Float8):
    """``real``."""

    name = "real"
    oid = 700
    array_oid = 1021
    size = 4
    _pack = struct.Struct("!f")
    _scientific = 6

    def _narrow(self, value: float) -> float:
        try:
            narrow: float = self._pack.unpack(self._pack.pack(value))[0]
        except OverflowError:
            raise self.range_error() from None
        if math.isinf(narrow) or (narrow == 0.0 and value != 0.0):
            raise self.range_error()
        return narrow

    def _shortest(self, value: float) -> str:
        for digits in range(1, 9):
            text = f"{value:.{digits - 1}e}"
            try:
                if self._pack.unpack(self._pack.pack(float(text)))[0] == value:
                    break
            except OverflowError:
                continue
        else:
            text = f"{value:.8e}"
        if abs(value) < 2.0**24:
            return text
        return _strictly(text, value, 1 << (math.frexp(value)[1] - 24), 9)


def widened(canonical: bytes) -> bytes:
    """A real as double precision: the same number, in the digits that the other type needs to read it back."""
    return _FLOAT8.receive(_FLOAT8._pack.pack(Float4._pack.unpack(Float4().send(canonical))[0]))


def _strictly(text: str, value: float, ulp: int, most: int) -> str:
    """``text``, or more digits if it is just half-way to the next float.

    PostgreSQL's Ryu doesn't trust readers to round half to even. Only integers can lie half-way with so few
    digits.
    """
    exact = abs(int(value))
    # Below a power of two the next float is nearer by half.
    below = ulp // 2 if exact & (exact - 1) == 0 else ulp
    digits = len(text.lstrip("-").partition("e")[0].replace(".", "").strip("0"))
    while digits < most:
        distance = abs(int(Decimal(text))) - exact
        if 2 * distance < ulp and -2 * distance < below:
            break
        text = f"{value:.{digits}e}"
        digits += 1
    return text


def parse_integer(text: bytes) -> int | None:
    """A number as PostgreSQL's integer input reads it, or None if it isn't one.

    ``text`` is bounded and stripped.
    """
    if _DECIMAL.match(text):
        return int(text.replace(b"_", b""))
    found = _BASED.match(text)
    if not found:
        return None
    for marker, base in ((2, 16), (4, 8), (6, 2)):
        if found.group(marker):
            number = int(found.group(marker + 1).replace(b"_", b""), base)
            return -number if found.group(1) == b"-" else number
    return None


_FLOAT8 = Float8()
