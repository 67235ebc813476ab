"""numeric: exact decimals with a display scale."""

from __future__ import annotations

import re
import struct

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.codecs.numbers import MAX_DIGITS, SPACE, parse_integer
from pgnym.wire.errors import CodecError

MAX_WHOLE = 131072
"""Digits before the decimal point: numeric's weight is an int16 of base-10000 digits."""
MAX_SCALE = 16383
"""NUMERIC_MAX_DISPLAY_SCALE as stored (14 bits)."""
_NUMBER = re.compile(
    rb"([+-]?)(?:([0-9]+(?:_[0-9]+)*)(?:\.((?:[0-9]+(?:_[0-9]+)*)?))?|\.([0-9]+(?:_[0-9]+)*))"
    rb"(?:[eE]([+-]?[0-9]+(?:_[0-9]+)*))?\Z"
)
_SPECIAL = {
    b"nan": b"NaN",
    b"inf": b"Infinity",
    b"+inf": b"Infinity",
    b"infinity": b"Infinity",
    b"+infinity": b"Infinity",
    b"-inf": b"-Infinity",
    b"-infinity": b"-Infinity",
}
_SIGNS = {0xC000: b"NaN", 0xD000: b"Infinity", 0xF000: b"-Infinity"}
_head = struct.Struct("!HhHH")


class Numeric(Codec):
    """``numeric(p,s)``.

    Values are handled as sign, digits before and digits after the point: bytes, never floats.
    """

    name = "numeric"
    oid = 1700
    array_oid = 1231

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Decimal or scientific, NaN, Infinity; underscores and 0x/0o/0b as PostgreSQL 16 reads them."""
        text = data.strip(SPACE)
        found = _NUMBER.match(text)
        if found:
            sign, whole, fraction, bare, power = found.groups()
            digits = (whole or b"").replace(b"_", b"")
            after = (fraction or bare or b"").replace(b"_", b"")
            return self._assemble(sign == b"-", digits, after, self._exponent(power))
        special = _SPECIAL.get(text.lower())
        if special is not None:
            return special
        number = parse_integer(text) if len(text) <= MAX_DIGITS else None
        if number is None:
            raise self.syntax_error()
        return b"%d" % number

    def receive(self, data: bytes) -> bytes:
        """int16 digit count, weight, sign, display scale; then base-10000 digits."""
        if len(data) < 8:
            raise self.binary_error()
        count, weight, sign, scale = _head.unpack_from(data)
        if len(data) != 8 + 2 * count or scale > MAX_SCALE:
            raise self.binary_error()
        if sign in _SIGNS:
            return _SIGNS[sign]
        if sign not in (0, 0x4000):
            raise self.binary_error()
        groups = struct.unpack_from(f"!{count}H", data, 8)
        if any(group > 9999 for group in groups):
            raise self.binary_error()
        digits = "".join(f"{group:04d}" for group in groups).encode()
        point = 4 * (weight + 1)
        if point <= 0:
            # All digits lie after the point; those beyond the display scale are cut, so no more zeros are
            # needed.
            whole, after = b"", b"0" * min(-point, scale) + digits
        else:
            digits = digits.ljust(point, b"0") if count else digits
            whole, after = digits[:point], digits[point:]
        return self._assemble(sign == 0x4000, whole, after[:scale].ljust(scale, b"0"), 0)

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """With the scale of the column: 1.5 in a numeric(5,2) is 1.50."""
        if typmod < 4:
            return canonical
        scale = max(_scale(typmod), 0)
        _, _, fraction = canonical.partition(b".")
        if len(fraction) == scale or canonical[-1:] in b"Ny":
            return canonical
        return self.fit(canonical, typmod)

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """See ``receive``."""
        shown = self.show(canonical, typmod)
        for sign, word in _SIGNS.items():
            if shown == word:
                # The header bits that say "infinity" lie in the field of the display scale, and so are sent
                # as it.
                return _head.pack(0, 0, sign, 0 if word == b"NaN" else 0x20)
        negative = shown[:1] == b"-"
        whole, _, fraction = shown.lstrip(b"-").partition(b".")
        scale = len(fraction)
        whole = whole.lstrip(b"0")
        whole = b"0" * (-len(whole) % 4) + whole
        digits = whole + fraction + b"0" * (-len(fraction) % 4)
        groups = [int(digits[i : i + 4]) for i in range(0, len(digits), 4)]
        weight = len(whole) // 4 - 1
        while groups and groups[-1] == 0:
            groups.pop()
        lead = 0
        while lead < len(groups) and groups[lead] == 0:
            lead += 1
        groups = groups[lead:]
        weight = weight - lead if groups else 0
        sign = 0x4000 if negative and groups else 0
        return _head.pack(len(groups), weight, sign, scale) + struct.pack(f"!{len(groups)}H", *groups)

    def fit(self, canonical: bytes, typmod: int) -> bytes:
        """Rounded half away from zero to the scale; more than p - s whole digits is 22003 (apply_typmod)."""
        if typmod < 4 or canonical == b"NaN":
            return canonical
        precision, scale = (typmod - 4) >> 16 & 0xFFFF, _scale(typmod)
        overflow = CodecError(
            "22003",
            "numeric field overflow",
            f"The type numeric({precision},{scale}) holds fewer digits before the decimal point than the value has.",
        )
        if canonical[-1:] == b"y":
            raise overflow
        negative = canonical[:1] == b"-"
        whole, _, fraction = canonical.lstrip(b"-").partition(b".")
        rounded = _round(whole, fraction, scale)
        if len(rounded) > precision:
            raise overflow
        shown = max(scale, 0)
        if scale < 0 and rounded != b"0":
            rounded += b"0" * -scale
        rounded = rounded.rjust(shown + 1, b"0")
        cut = len(rounded) - shown
        return self._assemble(negative, rounded[:cut], rounded[cut:], 0)

    def identity(self, canonical: bytes) -> bytes:
        """Without trailing zeros after the point."""
        return canonical.rstrip(b"0").rstrip(b".") if b"." in canonical else canonical

    def _exponent(self, power: bytes | None) -> int:
        if not power:
            return 0
        power = power.replace(b"_", b"")
        if len(power.lstrip(b"+-").lstrip(b"0")) > 9:
            raise self.range_error()
        return int(power)

    def _assemble(self, negative: bool, whole: bytes, fraction: bytes, exponent: int) -> bytes:
        """The output of numeric_out for the digits, moved by ``exponent``.

        Bounds are checked before zeros are made.
        """
        scale = max(len(fraction) - exponent, 0)
        # The weight of the first digit that isn't zero decides about overflow, not how many zeros were
        # written.
        digits = whole + fraction
        significant = digits.lstrip(b"0")
        before = len(whole) - (len(digits) - len(significant)) + exponent
        if (significant and before > MAX_WHOLE) or scale > MAX_SCALE:
            raise self.range_error()
        if not significant:
            whole, fraction = b"", b"0" * scale
        elif exponent > 0:
            moved = fraction[:exponent].ljust(exponent, b"0")
            whole, fraction = whole + moved, fraction[exponent:]
        elif exponent < 0:
            padded = whole.rjust(-exponent, b"0")
            cut = len(padded) + exponent
            whole, fraction = padded[:cut], padded[cut:] + fraction
        whole = whole.lstrip(b"0") or b"0"
        sign = b"-" if negative and significant else b""
        return sign + whole + b"." + fraction if fraction else sign + whole


def _scale(typmod: int) -> int:
    """numeric_typmod_scale(): 11 bits, signed."""
    return (((typmod - 4) & 0x7FF) ^ 1024) - 1024


def _round(whole: bytes, fraction: bytes, scale: int) -> bytes:
    """The absolute value in units of 10**-scale, rounded half away from zero, as digits."""
    digits = whole + fraction
    keep = len(whole) + scale
    if keep >= len(digits):
        return digits.ljust(keep, b"0").lstrip(b"0") or b"0"
    if keep < 0:
        return b"0"
    kept = digits[:keep].lstrip(b"0")
    return (_increment(kept) if digits[keep] >= 0x35 else kept) or b"0"


def _increment(digits: bytes) -> bytes:
    """One more. In bytes: CPython refuses to turn more than 4300 digits into an int."""
    head = digits.rstrip(b"9")
    zeros = b"0" * (len(digits) - len(head))
    if not head:
        return b"1" + zeros
    return head[:-1] + bytes((head[-1] + 1,)) + zeros
