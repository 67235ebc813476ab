"""What takes the place of a token, and in which form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pgnym.wire.codecs import CANONICAL, CODECS, Settings, codec_for
from pgnym.wire.codecs.datetimes import iso_8601
from pgnym.wire.codecs.jsons import escape

_BARE = frozenset((16, 20, 21, 23, 700, 701, 1700))
"""Types that JSON functions print as numbers and booleans."""
_JSON = frozenset((114, 3802))
_BOOL, _BPCHAR, _INET, _DATE, _TIMESTAMP, _TIMESTAMPTZ = 16, 1042, 869, 1082, 1114, 1184


class Wrap(Enum):
    """What stands around a token in a value, outermost first in a stack.

    The names are those of ``sql.plan.Container``.
    """

    TEXT = "text"
    JSON = "json"
    ARRAY = "array"
    RECORD = "record"


@dataclass(frozen=True, slots=True, repr=False)
class Revealed:
    """The value behind a token: canonical, with the type and modifier it is to be shown in."""

    canonical: bytes
    oid: int = 25
    typmod: int = -1


class IsNull(Exception):
    """What stands in place of a whole value is NULL. Raised by ``Context.whole``, caught by what holds the value.

    ``oid``: the type that it is a NULL of.
    """

    def __init__(self, oid: int) -> None:
        super().__init__("NULL")
        self.oid = oid


Reveal = Callable[[bytes], Revealed | None]
"""Token → its value, or None to leave the token. Usually the ``get`` of a dict."""


Inside = Callable[[bytes, int, tuple[Wrap, ...], "Context", int], bytes]
"""(value, format, stack, context, OID of the type or 0) → the value with its tokens replaced."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every step of a substitution needs: the token pattern, the replacements, the session's settings.

    ``inside`` does one level for the next container of a stack.
    """

    pattern: re.Pattern[bytes]
    reveal: Reveal
    inside: Inside
    settings: Settings = CANONICAL

    def whole(self, value: bytes) -> Revealed | None:
        """The replacement, if all of ``value`` is one token that has one."""
        return self.reveal(value) if self.pattern.fullmatch(value) else None

    def text(self, revealed: Revealed) -> bytes:
        """Text output."""
        return codec_for(revealed.oid).show(revealed.canonical, revealed.typmod, self.settings)

    def spliced(self, revealed: Revealed) -> bytes:
        """As part of a text: what a cast to text gives, where that isn't the text output."""
        if revealed.oid == _BOOL:
            return b"true" if revealed.canonical == b"t" else b"false"
        if revealed.oid == _BPCHAR:
            return revealed.canonical.rstrip(b" ")
        if revealed.oid == _INET and b"/" not in revealed.canonical:
            return revealed.canonical + (b"/128" if b":" in revealed.canonical else b"/32")
        return self.text(revealed)

    def form(self, revealed: Revealed, format_: int) -> bytes:
        """Text (0) or binary (1) output."""
        if format_:
            return codec_for(revealed.oid).send(revealed.canonical, revealed.typmod)
        return self.text(revealed)

    def splice(self, value: bytes) -> bytes:
        """``value`` with its tokens replaced by text."""

        def one(found: re.Match[bytes]) -> bytes:
            token = found.group()
            revealed = self.reveal(token)
            if revealed is None:
                return token
            return self.spliced(revealed)

        return self.pattern.sub(one, value)

    def json(self, revealed: Revealed) -> bytes:
        """As JSON functions print a value of its type (datum_to_json): number, boolean, JSON, or a string."""
        oid, canonical = revealed.oid, revealed.canonical
        if oid in _BARE:
            if oid == _BOOL:
                return self.spliced(revealed)
            shown = CODECS[oid].show(canonical, revealed.typmod)
            # "NaN" and "Infinity" are not JSON numbers.
            return b'"' + shown + b'"' if shown[-1:] in b"Ny" else shown
        if oid in _JSON:
            return canonical
        if oid == _DATE:
            return b'"' + canonical + b'"'
        if oid == _TIMESTAMP:
            return b'"' + iso_8601(canonical) + b'"'
        if oid == _TIMESTAMPTZ:
            local = CODECS[oid].show(canonical, -1, Settings(timezone=self.settings.timezone))
            return b'"' + iso_8601(local) + b'"'
        return escape(self.text(revealed).decode()).encode()
