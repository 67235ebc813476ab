"""docs/refusals.md is true: each of its examples is refused, with what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from case_files import SCOPE
from sample_catalog import sample_catalog

from pgnym.sql.errors import Refused
from pgnym.sql.planner import Planner

PAGE = Path(__file__).resolve().parents[2] / "docs" / "refusals.md"
PLANNER = Planner(sample_catalog())
ROWS = re.findall(r"^\| `((?:SELECT|UPDATE|INSERT|DELETE)[^`]*)` \| ([^|]+) \|", PAGE.read_text(), re.M)


def test_the_page_has_examples() -> None:
    assert len(ROWS) > 15


@pytest.mark.parametrize(("statement", "says"), ROWS, ids=[r[0] for r in ROWS])
def test_example_is_refused(statement: str, says: str) -> None:
    with pytest.raises(Refused) as raised:
        PLANNER.plan(statement.replace("\\|", "|").encode(), (), SCOPE)
    assert raised.value.sqlstate == "0A000"
    assert raised.value.message.startswith(says.strip())
    assert raised.value.hint
