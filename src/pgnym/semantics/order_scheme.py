"""In what order the codes of a domain are: that of a type and a collation, as the registry keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pgnym.semantics.collations import sort_key
from pgnym.semantics.expression import Collation

_TEXT, _VARCHAR = 25, 1043


@dataclass(frozen=True, slots=True)
class OrderScheme:
    """``codec_oid``: the type by whose order; text for varchar. ``collation``: None where the type has none."""

    codec_oid: int
    collation: Collation | None
    casefold: bool = False

    @classmethod
    def of(cls, codec_oid: int, collation: Collation | None, casefold: bool) -> OrderScheme:
        """The order of a column."""
        return cls(_TEXT if codec_oid == _VARCHAR else codec_oid, collation, casefold)

    @classmethod
    def read(cls, text: str) -> OrderScheme:
        """From the registry's text."""
        fields = json.loads(text)
        collation = fields["collation"]
        return cls(
            fields["codec_oid"], None if collation is None else Collation(**collation), fields["casefold"]
        )

    def write(self) -> str:
        """For the registry."""
        return json.dumps(asdict(self))

    def key(self) -> Callable[[bytes], Any]:
        """The sort key of canonical values. Raises ``UnsupportedCollation`` where this machine can't tell the order."""
        return sort_key(self.codec_oid, self.collation)
