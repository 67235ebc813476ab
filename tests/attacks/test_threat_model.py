"""The page on the threat model says what is attacked: each line of it is, by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
ROW = re.compile(r"^\| (\d[\d, ]*) \| (.*) \|$", re.M)


def numbers(part: str) -> set[str]:
    return {number for row in ROW.findall(part) for number in row[0].split(", ")}


def test_each_line_is_attacked() -> None:
    threats, attacks = PAGE.split("## Each line is attacked in the tests")
    assert numbers(threats) == {str(n) for n in range(1, 10)}
    assert numbers(attacks) == numbers(threats)
    for _, row in ROW.findall(attacks):
        assert re.search(r"`\w+/test_\w+\.py`", row), row


def test_the_tests_that_it_names_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)`", PAGE)
    assert len(named) > 10
    for name in named:
        text = (ROOT / "tests" / name).read_text()
        assert re.search(r"^(?:async )?def test_", text, re.M), name
