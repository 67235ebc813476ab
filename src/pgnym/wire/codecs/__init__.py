"""Type codecs: what a client writes ↔ the canonical value ↔ what a client is shown, by type OID.

The *canonical* value is PostgreSQL's own text output under DateStyle ISO, TimeZone UTC, bytea_output hex and
extra_float_digits 1, in UTF-8. Spellings whose meaning only the server knows ('today', 'Feb 18, 1962') are
refused (0A000): guessing could store something else than the server would have.
"""

from __future__ import annotations

from typing import Final

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.codecs.datetimes import Date, Timestamp, Timestamptz
from pgnym.wire.codecs.jsons import Json, Jsonb
from pgnym.wire.codecs.numbers import Bool, Float4, Float8, Integer
from pgnym.wire.codecs.numeric import Numeric
from pgnym.wire.codecs.others import Bytea, Network, Uuid
from pgnym.wire.codecs.texts import Bpchar, Name, Text, Varchar
from pgnym.wire.errors import CodecError

CODECS: Final[dict[int, Codec]] = {
    codec.oid: codec
    for codec in (
        Text(),
        Varchar(),
        Bpchar(),
        Name(),
        Bool(),
        Integer("smallint", 21, 1005, 2),
        Integer("integer", 23, 1007, 4),
        Integer("bigint", 20, 1016, 8),
        Float4(),
        Float8(),
        Numeric(),
        Date(),
        Timestamp(),
        Timestamptz(),
        Uuid(),
        Bytea(),
        Network("inet", 869, 1041, network=False),
        Network("cidr", 650, 651, network=True),
        Json(),
        Jsonb(),
    )
}
"""Type OID → codec."""

ELEMENT_OF: Final[dict[int, int]] = {codec.array_oid: oid for oid, codec in CODECS.items()}
"""Array type OID → element type OID."""


def codec_for(oid: int) -> Codec:
    """The codec of a built-in type. Raises ``CodecError`` (0A000) for one that has none."""
    try:
        return CODECS[oid]
    except KeyError:
        raise CodecError("0A000", f"values of the type with OID {oid} are not supported") from None


def canonical_from_text(oid: int, typmod: int, data: bytes, settings: Settings = CANONICAL) -> bytes:
    """What the input function of the type makes of ``data``; ``typmod`` is applied as on assignment (-1: not
    at all).

    Raises ``CodecError``.
    """
    codec = codec_for(oid)
    canonical = codec.parse(data, settings)
    return canonical if typmod < 0 else codec.fit(canonical, typmod)


def canonical_from_binary(oid: int, typmod: int, data: bytes) -> bytes:
    """As ``canonical_from_text``, for the receive function."""
    codec = codec_for(oid)
    canonical = codec.receive(data)
    return canonical if typmod < 0 else codec.fit(canonical, typmod)


def text_from_canonical(oid: int, typmod: int, canonical: bytes, settings: Settings = CANONICAL) -> bytes:
    """The text output under ``settings``, in a column with ``typmod``."""
    return codec_for(oid).show(canonical, typmod, settings)


def binary_from_canonical(oid: int, typmod: int, canonical: bytes) -> bytes:
    """The binary output."""
    return codec_for(oid).send(canonical, typmod)


def length_check(oid: int, typmod: int, canonical: bytes) -> bytes:
    """The value as a column with ``typmod`` stores it.

    Raises ``CodecError`` 22001, 22003 or 22008 if it doesn't fit.
    """
    return codec_for(oid).fit(canonical, typmod)


def cast_truncate(oid: int, typmod: int, canonical: bytes) -> bytes:
    """The value after an explicit cast to the type with ``typmod``: character types are cut, not refused."""
    return codec_for(oid).cast(canonical, typmod)


def identity(oid: int, canonical: bytes, casefold: bool = False) -> bytes:
    """What the deterministic token is computed over: the same for two values exactly if PostgreSQL finds them
    equal.

    ``casefold``: lower-cased first (``fold``).
    """
    found = codec_for(oid).identity(canonical)
    return fold(found) if casefold else found


def fold(value: bytes) -> bytes:
    """``lower()`` as PostgreSQL's libc and builtin providers do it: one character to one character, no
    context.

    So Σ gives σ also at the end of a word, and İ gives i alone.
    """
    if value.isascii():
        return value.lower()
    return "".join([char.lower()[0] for char in value.decode()]).encode()


def array_oid(oid: int) -> int:
    """The array type of an element type; 0 if it isn't one of ours."""
    codec = CODECS.get(oid)
    return codec.array_oid if codec is not None else 0


def element_oid(oid: int) -> int:
    """The element type of an array type; 0 if it isn't one of ours."""
    return ELEMENT_OF.get(oid, 0)


def type_size(oid: int) -> int:
    """``pg_type.typlen`` for a RowDescription that shows the original type; -1 for arrays and unknown types."""
    codec = CODECS.get(oid)
    return codec.size if codec is not None else -1


__all__ = [
    "CANONICAL",
    "CODECS",
    "ELEMENT_OF",
    "Codec",
    "CodecError",
    "Settings",
    "array_oid",
    "binary_from_canonical",
    "canonical_from_binary",
    "canonical_from_text",
    "cast_truncate",
    "codec_for",
    "element_oid",
    "fold",
    "identity",
    "length_check",
    "text_from_canonical",
    "type_size",
]
