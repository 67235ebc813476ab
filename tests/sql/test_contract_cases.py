"""The contract of statements: every case of ``cases/*.sql``."""

from __future__ import annotations

import pytest
from case_files import Case, all_cases, outcome
from sample_catalog import sample_catalog

from pgnym.sql.planner import Planner

CASES = all_cases()
PLANNER = Planner(sample_catalog())


@pytest.mark.parametrize("case", CASES, ids=[f"{c.file}: {c.title}" for c in CASES])
def test_case(case: Case) -> None:
    assert outcome(PLANNER, case) == case.expected


@pytest.mark.parametrize("case", CASES, ids=[f"{c.file}: {c.title}" for c in CASES])
def test_case_gives_the_same_from_the_cache(case: Case) -> None:
    fresh = Planner(sample_catalog())
    assert outcome(fresh, case) == outcome(fresh, case) == case.expected


def test_titles_are_unique_within_a_file() -> None:
    titles = [(c.file, c.title) for c in CASES]
    assert len(titles) == len(set(titles))
