"""Functions of the database's own beside built-in ones of the same name: those of citext don't stand in the way of texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from case_files import SCOPE
from sample_catalog import CITEXT, sample_catalog

from pgnym.sql.catalog import Function
from pgnym.sql.errors import Refused
from pgnym.sql.planner import Planner

TEXT = 25
NAMES = {"min": 1, "replace": 3, "split_part": 3}


def planner(argument: int) -> Planner:
    """With functions of these names that take a type."""
    catalog = sample_catalog()
    own = {
        name: (
            Function(
                9000 + i,
                "public",
                name,
                (argument, TEXT, TEXT)[: 1 if name == "min" else 3],
                argument,
                "c",
                False,
            ),
        )
        for i, (name, count) in enumerate(NAMES.items())
    }
    return Planner(replace(catalog, functions={**catalog.functions, **own}))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT min(email) FROM customer",
        "SELECT replace(email, 'a', 'b') FROM customer",
        "SELECT 1 FROM customer WHERE split_part(email, '@', 2) = 'x'",
        "SELECT 1 FROM customer ORDER BY replace(email, 'a', 'b')",
    ],
)
def test_those_of_citext_are_not_meant_by_texts(statement: str) -> None:
    plain = Planner(sample_catalog()).plan(statement.encode(), (), SCOPE)
    assert planner(CITEXT).plan(statement.encode(), (), SCOPE) == plain
    with pytest.raises(Refused):
        planner(TEXT).plan(statement.encode(), (), SCOPE)


@pytest.mark.parametrize(
    "statement",
    ["SELECT min(login) FROM account", "SELECT replace(email::citext, 'a', 'b') FROM customer"],
)
def test_those_of_citext_are_meant_by_citext(statement: str) -> None:
    with pytest.raises(Refused):
        planner(CITEXT).plan(statement.encode(), (), SCOPE)
