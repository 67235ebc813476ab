"""What a type codec is, and the session settings that text output depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pgnym.wire.errors import CodecError

DateFormat = Literal["ISO", "SQL", "POSTGRES", "GERMAN"]
DateOrder = Literal["MDY", "DMY", "YMD"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The session settings that input and output of values depend on.

    ``date_format`` and ``date_order``: the two halves of DateStyle. ``timezone``: a name of the time zone
    database. ``bytea_output``: "hex" or "escape".
    """

    date_format: DateFormat = "ISO"
    date_order: DateOrder = "MDY"
    timezone: str = "UTC"
    bytea_output: str = "hex"

    @classmethod
    def of(cls, datestyle: str = "ISO, MDY", timezone: str = "UTC", bytea_output: str = "hex") -> Settings:
        """From the values as ParameterStatus or SHOW give them.

        Raises ``CodecError`` (0A000) for what isn't known.
        """
        format_, _, order = datestyle.upper().partition(",")
        format_, order = format_.strip(), order.strip() or "MDY"
        if format_ not in ("ISO", "SQL", "POSTGRES", "GERMAN") or order not in ("MDY", "DMY", "YMD"):
            raise CodecError("0A000", "this DateStyle is not supported", "Set DateStyle to ISO.")
        if bytea_output not in ("hex", "escape"):
            raise CodecError("0A000", "this bytea_output is not supported", "Set bytea_output to hex.")
        return cls(format_, order, timezone, bytea_output)  # type: ignore[arg-type]


CANONICAL = Settings()
"""The settings of canonical values: ISO, UTC, hex."""


class Codec:
    """Turns values of one type from and into their canonical form: PostgreSQL's text output under
    ``CANONICAL``.

    This base is right for a type whose input is its output. ``name`` is what ``format_type`` shows. A
    ``typmod`` is that of ``pg_attribute``, -1 for none. All methods raise ``CodecError``, with messages that
    never show the value.
    """

    name: str
    oid: int
    array_oid: int
    size: int = -1
    """``pg_type.typlen``."""
    is_text: bool = False
    """The text form is the canonical form and the binary form too."""

    def parse(self, data: bytes, settings: Settings = CANONICAL) -> bytes:
        """Canonical form of a text input. Length limits are not applied (see ``fit``)."""
        raise NotImplementedError

    def receive(self, data: bytes) -> bytes:
        """Canonical form of a binary input."""
        raise NotImplementedError

    def show(self, canonical: bytes, typmod: int = -1, settings: Settings = CANONICAL) -> bytes:
        """Text output."""
        return canonical

    def send(self, canonical: bytes, typmod: int = -1) -> bytes:
        """Binary output."""
        raise NotImplementedError

    def fit(self, canonical: bytes, typmod: int) -> bytes:
        """The value as a column with ``typmod`` stores it (assignment cast)."""
        return canonical

    def cast(self, canonical: bytes, typmod: int) -> bytes:
        """The value after an explicit cast to the type with ``typmod``."""
        return self.fit(canonical, typmod)

    def identity(self, canonical: bytes) -> bytes:
        """What two values have in common exactly if PostgreSQL finds them equal."""
        return canonical

    def syntax_error(self) -> CodecError:
        """The error for text that can't be read as this type."""
        return CodecError("22P02", f"invalid input syntax for type {self.name}")

    def range_error(self) -> CodecError:
        """The error for a value outside what the type holds."""
        return CodecError("22003", f"value out of range for type {self.name}")

    def binary_error(self) -> CodecError:
        """The error for a binary value that is malformed."""
        return CodecError("22P03", f"invalid binary format for type {self.name}")
