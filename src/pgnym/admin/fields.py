"""What several operations take: types of fields, and what stands in paths and queries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from pgnym.admin.paging import Cursor, Limit

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]


class Number(msgspec.Struct, frozen=True):
    """In the path: what the vault numbers."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Identifier(msgspec.Struct, frozen=True):
    """In the path: what has a random identifier."""

    id: UUID


class OfTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In the query. ``tenant``: by default the caller's, else the gateway's default, or all, as the operation says."""

    tenant: Name | None = None


class PageOfTenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In the query of a list that goes by pages."""

    tenant: Name | None = None
    limit: Limit = 100
    cursor: Cursor | None = None
