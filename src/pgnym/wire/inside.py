"""Values within values that a client or a table holds: what ``onboard``, which may not know formats, is given."""

from __future__ import annotations

from dataclasses import dataclass

from pgnym.wire.arrays import Element, map_array_text


@dataclass(frozen=True, slots=True)
class Containers:
    """Replaces what is within a value one by one; all else stays byte for byte."""

    def array(self, value: bytes, each: Element) -> bytes:
        """The elements of an array's text that aren't NULL."""
        return map_array_text(value, each)


CONTAINERS = Containers()
