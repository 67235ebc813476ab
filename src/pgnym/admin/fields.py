"""Types of fields that several operations take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]
