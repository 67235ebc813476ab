"""Values as JSON, as PostgreSQL's ``to_json`` would show them, without giving them to PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from pgnym.privacy.holders import Holder

_NUMBERS = frozenset((20, 21, 23, 26, 700, 701, 1700))
_BOOLEAN, _JSON, _JSONB, _TIMESTAMP, _TIMESTAMPTZ = 16, 114, 3802, 1114, 1184
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_ZONE = re.compile(r"([+-][0-9]{2})(?=$| BC)")


def value(codec_oid: int, canonical: bytes) -> bytes:
    """A canonical value of a type as JSON. Numbers keep all their digits; NaN and infinities are strings."""
    if codec_oid in _NUMBERS and _NUMBER.fullmatch(canonical):
        return canonical
    if codec_oid == _BOOLEAN:
        return b"true" if canonical == b"t" else b"false"
    if codec_oid in (_JSON, _JSONB):
        return canonical
    text = canonical.decode()
    if codec_oid in (_TIMESTAMP, _TIMESTAMPTZ):
        text = text.replace(" ", "T", 1)
        if codec_oid == _TIMESTAMPTZ:
            text = _ZONE.sub(r"\1:00", text)
    return msgspec.json.encode(text)


def column(
    shown: str, own: tuple[Holder, ...], values: Mapping[bytes, bytes], element: Callable[[int], int]
) -> bytes:
    """A protected column, given what ``to_json`` shows of it, with each token of its own domains as its value.

    A token that stands within a longer string, or as a key, isn't one that pgnym put there. Tokens without a value stay.
    """
    for holder in own:
        oid = element(holder.codec_oid)

        def opened(match: re.Match[str], oid: int = oid) -> str:
            found = values.get(match[1].encode("ascii"))
            return match[0] if found is None else value(oid, found).decode()

        shown = re.sub(rf'"({holder.pattern})"(?!\s*:)', opened, shown)
    return shown.encode()
