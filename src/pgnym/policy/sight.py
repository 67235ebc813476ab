"""What a role sees of a column."""

from __future__ import annotations

from enum import IntEnum


class Sight(IntEnum):
    """Ordered from most to least seen, so that ``max`` of several columns is what may be shown of all of
    them."""

    REVEAL = 0
    MASK = 1
    TOKENS = 2
