"""Replacing tokens inside values, whatever stands around them: text, JSON, arrays, records, and any of these
nested.

A token consists of lower-case letters and digits, which no container escapes: so it is found by searching the
outermost bytes, and a value without one is given back as it is. What is put in its place must be escaped,
innermost container first.
"""

from __future__ import annotations

import re

from pgnym.wire.codecs import CANONICAL, Settings, element_oid
from pgnym.wire.containers import arrays, jsontext, records
from pgnym.wire.containers.reveal import Context, IsNull, Reveal, Revealed, Wrap
from pgnym.wire.errors import CodecError

JSONB = 3802


def substitute(
    value: bytes,
    format_: int,
    wraps: tuple[Wrap, ...],
    pattern: re.Pattern[bytes],
    reveal: Reveal,
    settings: Settings = CANONICAL,
    oid: int = 0,
) -> bytes:
    """``value`` with the tokens in it replaced and escaped for what stands around them.

    ``format_``: 0 text, 1 binary. ``wraps``: outermost first; empty: the value is a token, or it stays.
    ``pattern``: one whole token. ``reveal``: token → ``Revealed``, or None to leave that token. ``oid``: the
    type that the client is shown for the value (an array type tells the element type of a binary array; jsonb
    has its key order), 0 if unknown.

    Tokens without replacement, and everything else, stay byte for byte. Raises ``CodecError`` if the value
    isn't what ``wraps`` says, or has no form that could show it.
    """
    return inside(value, format_, wraps, Context(pattern, reveal, inside, settings), oid)


def inside(value: bytes, format_: int, wraps: tuple[Wrap, ...], context: Context, oid: int = 0) -> bytes:
    """One level of ``substitute``. Containers call it for what they hold."""
    if not wraps:
        revealed = context.whole(value)
        return value if revealed is None else context.form(revealed, format_)
    first, rest = wraps[0], wraps[1:]
    if first is Wrap.ARRAY and format_:
        # Not before the search: also an array without a token must name the element type that the client was
        # told.
        return arrays.replace_binary(value, rest, context, oid)
    if not context.pattern.search(value):
        return value
    if first is Wrap.TEXT:
        return _text(value, rest, context)
    if first is Wrap.JSON:
        step = jsontext.replace_binary if format_ else jsontext.replace
        return step(value, rest, context, jsonb=oid == JSONB)
    if first is Wrap.ARRAY:
        return arrays.replace(value, rest, context, element_oid(oid))
    return records.replace_binary(value, rest, context) if format_ else records.replace(value, rest, context)


def _text(value: bytes, rest: tuple[Wrap, ...], context: Context) -> bytes:
    """Text that was put together from other text: its binary form is the same."""
    if not rest or set(rest) == {Wrap.TEXT}:
        return context.splice(value)
    if rest[0] is Wrap.JSON and set(rest[1:]) <= {Wrap.TEXT}:
        return jsontext.splice(value, context)
    try:
        return inside(value, 0, rest, context)
    except CodecError:
        raise CodecError(
            "0A000",
            "protected values in the text of an array or record that is part of a longer text can't be revealed",
            "Select the array or record as a column of its own.",
        ) from None


__all__ = ["Context", "IsNull", "Reveal", "Revealed", "Wrap", "inside", "substitute"]
