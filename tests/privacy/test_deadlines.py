"""Deadlines by the calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pgnym.privacy.deadlines import months_after


@pytest.mark.parametrize(
    ("received", "months", "due"),
    [
        ("2026-01-15", 1, "2026-02-15"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-12-31", 1, "2027-01-31"),
        ("2026-10-31", 1, "2026-11-30"),
    ],
)
def test_a_period_ends_with_the_day_of_the_same_number_or_the_months_last(
    received: str, months: int, due: str
) -> None:
    begin = datetime.fromisoformat(f"{received}T10:30:00").replace(tzinfo=UTC)
    assert months_after(begin, months) == datetime.fromisoformat(f"{due}T10:30:00").replace(tzinfo=UTC)
