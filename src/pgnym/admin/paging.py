"""Pages of lists: a cursor says behind which item the next one begins, so that nothing is skipped or given twice when items
come and go in between.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pgnym.admin.problems import Problem

Cursor = Annotated[str, Meta(max_length=200)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


def cursor_of(*key: object) -> str:
    """The cursor of the item with this key (what the list is sorted by)."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(cursor: str, kind: Any) -> Any:
    """The key of a cursor; ``kind``: a tuple type. Raises Problem 400."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(packed, type=kind)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise Problem(400, "the cursor is not one that the same query gave") from None


def page(items: list[Any], limit: int, key: str = "id") -> tuple[list[Any], str | None]:
    """The first ``limit`` of items, of which one more was asked for, and the cursor for those that follow.

    ``key``: the attribute that they are sorted by, unique.
    """
    if len(items) <= limit:
        return items, None
    return items[:limit], cursor_of(getattr(items[limit - 1], key))
