"""Tokens in JSON: only strings can hold them. A string that is all token becomes a value of its type."""

from __future__ import annotations

import json
import re

from pgnym.wire.codecs.jsons import VERSION, Jsonb, escape, escape_bytes
from pgnym.wire.containers.reveal import Context, IsNull, Wrap
from pgnym.wire.errors import CodecError

STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_KEY = re.compile(rb"[ \t\n\r]*:")
_JSONB = Jsonb()


def replace(value: bytes, rest: tuple[Wrap, ...], context: Context, *, jsonb: bool) -> bytes:
    """``value`` (JSON text) with the tokens in its strings replaced.

    ``rest`` is what lies inside the strings: nothing (a string is a token or it isn't), TEXT, or containers
    printed as text. ``jsonb``: objects are put in jsonb's key order again when a key was replaced. A token without quotes
    is no JSON, but a string of it that ``->>`` has taken out. Raises ``CodecError``.
    """
    pattern = context.pattern
    if not rest and pattern.fullmatch(value):
        bare = context.whole(value)
        return value if bare is None else context.text(bare)
    parts: list[bytes] = []
    done = 0
    rekeyed = False
    at = pattern.search(value)
    for found in STRING.finditer(value):
        if at is None:
            break
        start, stop = found.span()
        if at.start() >= stop:
            continue
        key = _KEY.match(value, stop) is not None
        new = _string(value[start + 1 : stop - 1], rest, context, key=key)
        if new is not None:
            parts.append(value[done:start])
            parts.append(new)
            done = stop
            rekeyed = rekeyed or key
        at = pattern.search(value, stop)
    if not parts:
        return value
    parts.append(value[done:])
    out = b"".join(parts)
    return _JSONB.parse(out) if jsonb and rekeyed else out


def replace_binary(value: bytes, rest: tuple[Wrap, ...], context: Context, *, jsonb: bool) -> bytes:
    """As ``replace``; a jsonb has its version byte before it."""
    if not jsonb:
        return replace(value, rest, context, jsonb=False)
    if value[:1] != VERSION:
        raise CodecError("22P03", "invalid binary format for type jsonb")
    return VERSION + replace(value[1:], rest, context, jsonb=True)


def splice(value: bytes, context: Context) -> bytes:
    """JSON as part of a longer text: where it starts isn't known, so a token with quotes right around it is a
    string.
    """
    parts: list[bytes] = []
    done = 0
    for found in context.pattern.finditer(value):
        revealed = context.reveal(found.group())
        if revealed is None:
            continue
        start, stop = found.span()
        quoted = value[start - 1 : start] == b'"' == value[stop : stop + 1]
        if quoted and not _KEY.match(value, stop + 1):
            parts.append(value[done : start - 1])
            parts.append(context.json(revealed))
            done = stop + 1
        else:
            parts.append(value[done:start])
            parts.append(escape_bytes(context.spliced(revealed)))
            done = stop
    parts.append(value[done:])
    return b"".join(parts)


def _string(content: bytes, rest: tuple[Wrap, ...], context: Context, *, key: bool) -> bytes | None:
    """The JSON that replaces a string with this ``content`` (still escaped), None to leave it."""
    if not rest:
        try:
            revealed = context.whole(_unescaped(content))
        except IsNull:
            return b"null"
        if revealed is None:
            return None
        shown = context.json(revealed)
        return shown if not key or shown[:1] == b'"' else _quoted(shown)
    plain = _unescaped(content)
    new = context.inside(plain, 0, rest, context, 0)
    return None if new == plain else _quoted(new)


def _unescaped(content: bytes) -> bytes:
    """What a JSON string means."""
    if b"\\" not in content:
        return content
    try:
        return str(json.loads(b'"' + content + b'"', strict=False)).encode()
    except ValueError:
        raise CodecError("22P02", "invalid input syntax for type json") from None


def _quoted(text: bytes) -> bytes:
    return escape(text.decode()).encode()
