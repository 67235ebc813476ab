"""text, varchar, bpchar, name: types whose text, binary and canonical forms are the same bytes."""

from __future__ import annotations

from pgnym.wire.codecs.base import CANONICAL, Codec, Settings
from pgnym.wire.errors import CodecError

VARHDRSZ = 4
"""A length typmod counts the varlena header."""
NAMEDATALEN = 64


class Text(Codec):
    """``text``, and anything with its format (citext)."""

    name = "text"
    oid = 25
    array_oid = 1009
    is_text = True

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """The data itself. Raises ``CodecError`` 22021 if it isn't UTF-8 or has a NUL."""
        if data.isascii():
            if b"\0" in data:
                raise _encoding_error()
        else:
            try:
                if "\0" in data.decode():
                    raise _encoding_error()
            except UnicodeDecodeError:
                raise _encoding_error() from None
        return data

    def receive(self, data: bytes) -> bytes:
        """As ``parse``."""
        return self.parse(data)

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """As it is shown."""
        return self.show(canonical, typmod)


class Varchar(Text):
    """``character varying(n)``."""

    name = "character varying"
    oid = 1043
    array_oid = 1015

    def fit(self, canonical: bytes, typmod: int) -> bytes:
        """Blanks beyond n are cut (SQL standard); other excess is 22001."""
        if typmod < VARHDRSZ or len(canonical) <= typmod - VARHDRSZ:
            return canonical
        return _fit(self, canonical, typmod - VARHDRSZ)

    def cast(self, canonical: bytes, typmod: int) -> bytes:
        """Cut to n characters."""
        if typmod < VARHDRSZ or len(canonical) <= typmod - VARHDRSZ:
            return canonical
        return _cut(canonical, typmod - VARHDRSZ)


class Bpchar(Text):
    """``character(n)``: padded with blanks to n, which do not count in comparisons."""

    name = "character"
    oid = 1042
    array_oid = 1014

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """Padded to the n of this column: columns of one domain may differ in n."""
        if typmod < VARHDRSZ:
            return canonical
        return _pad(canonical.rstrip(b" "), typmod - VARHDRSZ)

    def fit(self, canonical: bytes, typmod: int) -> bytes:
        """Padded to n; blanks beyond n are cut; other excess is 22001."""
        if typmod < VARHDRSZ:
            return canonical
        return _pad(_fit(self, canonical, typmod - VARHDRSZ), typmod - VARHDRSZ)

    def cast(self, canonical: bytes, typmod: int) -> bytes:
        """Cut or padded to n characters."""
        if typmod < VARHDRSZ:
            return canonical
        return _pad(_cut(canonical, typmod - VARHDRSZ), typmod - VARHDRSZ)

    def identity(self, canonical: bytes) -> bytes:
        """Without trailing blanks."""
        return canonical.rstrip(b" ")


class Name(Text):
    """``name``: cut to 63 bytes on input, at a character."""

    name = "name"
    oid = 19
    array_oid = 1003
    size = NAMEDATALEN

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Cut as ``namein`` does."""
        data = super().parse(data)
        if len(data) < NAMEDATALEN:
            return data
        return data[: NAMEDATALEN - 1].decode(errors="ignore").encode()

    def receive(self, data: bytes) -> bytes:
        """Binary input isn't cut: ``namerecv`` refuses."""
        if len(data) >= NAMEDATALEN:
            raise CodecError("42622", "identifier too long")
        return super().parse(data)


def _encoding_error() -> CodecError:
    return CodecError("22021", 'invalid byte sequence for encoding "UTF8"')


def _pad(value: bytes, length: int) -> bytes:
    missing = length - (len(value) if value.isascii() else len(value.decode()))
    return value + b" " * missing if missing > 0 else value


def _cut(value: bytes, length: int) -> bytes:
    if len(value) <= length:
        return value
    return value[:length] if value.isascii() else value.decode()[:length].encode()


def _fit(codec: Codec, value: bytes, length: int) -> bytes:
    kept = _cut(value, length)
    if len(kept) != len(value) and value[len(kept) :].strip(b" "):
        raise CodecError("22001", f"value too long for type {codec.name}({length})")
    return kept
