"""Features of a tool or mapper, one by one: each a named step that is run on a twin and through the gateway.

A step that the gateway refuses must be on the list of its module, with the reason; one that works must give what the twin
gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

# What the shop lacks for some features: a date, documents, an array.
PROFILE = """
CREATE TABLE profile (id int PRIMARY KEY, customer_id int REFERENCES customer, born date, nick text, doc jsonb,
  extra jsonb, score int);
INSERT INTO profile
SELECT customer_id, customer_id, date '1960-03-01' + customer_id * 97, nullif(left(lower(first_name), 4), 'mark'),
  jsonb_build_object('mail', email, 'visits', customer_id),
  jsonb_build_object('tags', jsonb_build_array('a', customer_id % 3), 'level', customer_id % 5), customer_id % 7
FROM customer;
"""
PROFILE_COLUMNS: dict[str, Any] = {"born": {}, "nick": {}, "doc": {}}
REFUSED = "0A000"

Step = TypeVar("Step", bound=Callable[..., object])


@dataclass
class Steps:
    """The steps of a module, by name. ``refused``: those that the gateway may refuse, and why."""

    refused: dict[str, str] = field(default_factory=dict)
    found: dict[str, Callable[..., object]] = field(default_factory=dict)

    def step(self, name: str) -> Callable[[Step], Step]:
        """Register a step."""

        def register(function: Step) -> Step:
            assert name not in self.found, f"two steps are named {name}"
            self.found[name] = function
            return function

        return register

    def check(self) -> None:
        """Every listed name is that of a step."""
        assert set(self.refused) <= set(self.found)


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway's refusal of a step."""

    message: str


def failed(result: object) -> bool:
    """Whether a step has ended in an error: on the twin none may."""
    if isinstance(result, dict):
        return set(result) == {"error"}
    return isinstance(result, Refused) or (
        isinstance(result, tuple)
        and len(result) == 2
        and isinstance(result[1], str)
        and result[1].endswith("Error")
    )


def verdicts(steps: Steps, expected: dict[str, object], got: dict[str, object]) -> list[str]:
    """What is not as it should be, one line a step."""
    wrong = []
    for name in steps.found:
        mine, theirs = got[name], expected[name]
        if isinstance(mine, Refused):
            if name not in steps.refused:
                wrong.append(f"{name}: refused: {mine.message.splitlines()[0]}")
        elif mine != theirs:
            wrong.append(f"{name}:\n   got {str(mine)[:600]}\n  twin {str(theirs)[:600]}")
    return wrong


def still_listed(steps: Steps, got: dict[str, object]) -> list[str]:
    """Steps on the list that work."""
    return [name for name in steps.refused if not isinstance(got[name], Refused)]


def in_order(rows: Iterable[object]) -> list[object]:
    """Rows that no one asked to be in an order."""
    return sorted(rows, key=repr)
