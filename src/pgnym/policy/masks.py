"""Typed masks: a value of the column's own type, no longer than the original, from which little can be
learned.

``masker`` compiles a configured mask for a type; what it returns is a pure function on canonical values
(PostgreSQL's text output under fixed settings, as bytes). Text keeps its number of characters, so that length
checks and fixed layouts hold; numbers, dates and the like stay valid values of their type. Where a mask would
leave a value whole (``last4`` of "1234"), everything is masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from pgnym.config.model import KeepMask

Masker = Callable[[bytes], bytes]
Mask = str | KeepMask

STAR = "*"
BPCHAR = 1042
TEXTS = frozenset({19, 25, BPCHAR, 1043})
INTEGERS = frozenset({20, 21, 23})
NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ = 1700, 1082, 1114, 1184
UUID, INET, BYTEA, JSON, JSONB = 2950, 869, 17, 114, 3802
TIME_OF_DAY = {DATE: b"", TIMESTAMP: b" 00:00:00", TIMESTAMPTZ: b" 00:00:00+00"}
ISO_DATE = re.compile(rb"(\d{4,})-(\d\d)-\d\d")
FLOAT4, FLOAT8 = 700, 701
FIXED: dict[int, bytes] = {JSON: b"null", JSONB: b"null", FLOAT4: b"0", FLOAT8: b"0"}


def masker(mask: Mask, codec_oid: int) -> Masker:
    """The function that masks canonical values of the built-in type ``codec_oid``.

    Raises ValueError for a type or a mask that isn't known: what can't be masked must not be shown.
    """
    if codec_oid in TEXTS:
        return text_masker(mask, padded=codec_oid == BPCHAR)
    first, last = kept(mask)
    if codec_oid in INTEGERS:
        return lambda value: mask_integer(value, first, last)
    if codec_oid == NUMERIC:
        return mask_numeric
    if codec_oid in TIME_OF_DAY:
        time_of_day = TIME_OF_DAY[codec_oid]
        return lambda value: mask_date(value, first, time_of_day)
    if codec_oid == UUID:
        return lambda value: mask_digits(value, first, last)
    if codec_oid == BYTEA:
        return lambda value: rb"\x" + b"0" * (len(value) - 2)
    if codec_oid == INET:
        return lambda value: b"::" if b":" in value else b"0.0.0.0"
    if codec_oid in FIXED:
        constant = FIXED[codec_oid]
        return lambda value: constant
    raise ValueError(f"no mask for type {codec_oid}")


def kept(mask: Mask) -> tuple[int, int]:
    """How many characters at the start and at the end a mask keeps, for types that aren't text."""
    if isinstance(mask, KeepMask):
        return mask.keep_first, mask.keep_last
    if mask not in TEXT_MASKS:
        raise ValueError(f"no mask named {mask}")
    return 0, 4 if mask == "last4" else 0


def text_masker(mask: Mask, padded: bool) -> Masker:
    """A mask over characters; ``padded``: trailing blanks of char(n) stay blanks."""
    rule: Callable[[str], str]
    if isinstance(mask, KeepMask):
        rule = partial(keep, first=mask.keep_first, last=mask.keep_last)
    elif mask in TEXT_MASKS:
        rule = TEXT_MASKS[mask]
    else:
        raise ValueError(f"no mask named {mask}")

    def masked(value: bytes) -> bytes:
        text = value.decode()
        if not padded:
            return rule(text).encode()
        bare = text.rstrip(" ")
        return (rule(bare) + " " * (len(text) - len(bare))).encode()

    return masked


def keep(text: str, first: int, last: int) -> str:
    """``text`` with all but the ``first`` and ``last`` characters masked; all of them if that would show it
    whole."""
    if first + last >= len(text):
        return STAR * len(text)
    return text[:first] + STAR * (len(text) - first - last) + text[len(text) - last :]


def mask_email(text: str) -> str:
    """The first letter, the ``@`` and the top-level domain stay: ``a****@*******.com``."""
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        return STAR * len(text)
    name, dot, top = domain.rpartition(".")
    shown = STAR * len(name) + dot + (top if dot else STAR * len(top))
    return keep(local, 1, 0) + at + shown


def mask_phone(text: str) -> str:
    """Digits are masked but the last two (of six or more); what stands between them stays."""
    digits = sum(c.isdigit() for c in text)
    shown = 2 if digits >= 6 else 0
    out: list[str] = []
    left = digits
    for c in text:
        if c.isdigit():
            out.append(c if left <= shown else STAR)
            left -= 1
        else:
            out.append(c if c in " +-./()" else STAR)
    return "".join(out)


TEXT_MASKS: dict[str, Callable[[str], str]] = {
    "email": mask_email,
    "phone": mask_phone,
    "last4": lambda text: keep(text, 0, 4),
    "initial": lambda text: keep(text, 1, 0),
    "all": lambda text: STAR * len(text),
}


def mask_integer(value: bytes, first: int, last: int) -> bytes:
    """Masked digits become zeros; without sign, so that the result is in range."""
    digits = value.lstrip(b"-")
    if first + last == 0 or first + last >= len(digits):
        return b"0"
    zeros = b"0" * (len(digits) - first - last)
    return (digits[:first] + zeros + digits[len(digits) - last :]).lstrip(b"0") or b"0"


def mask_numeric(value: bytes) -> bytes:
    """Zero, with as many decimals; NaN and infinities too."""
    _, dot, decimals = value.partition(b".")
    return b"0" + dot + b"0" * len(decimals)


def mask_date(value: bytes, first: int, time_of_day: bytes) -> bytes:
    """``keep_first: 7`` leaves year and month, ``keep_first: 4`` the year, anything else nothing
    (1970-01-01)."""
    match = ISO_DATE.match(value)
    if match is None or first < 4 or value.endswith(b"BC"):
        return b"1970-01-01" + time_of_day
    month = match[2] if first >= 7 else b"01"
    return match[1] + b"-" + month + b"-01" + time_of_day


def mask_digits(value: bytes, first: int, last: int) -> bytes:
    """Hexadecimal digits become zeros, but the ``first`` and ``last``."""
    total = len(value) - value.count(b"-")
    if first + last >= total:
        first = last = 0
    out = bytearray()
    seen = 0
    for c in value:
        if c == 0x2D:
            out.append(c)
            continue
        out.append(c if seen < first or seen >= total - last else 0x30)
        seen += 1
    return bytes(out)
