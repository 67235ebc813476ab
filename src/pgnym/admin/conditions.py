"""Entity tags and If-Match (RFC 9110 sections 8.8.3 and 13.1.1): no change of what somebody else has changed meanwhile.

What can change has a version that counts its changes, and says it as its ETag. The handler reads the version and changes in
one transaction (or by ``UPDATE … WHERE version = …``), and asks the condition in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgnym.admin.problems import Problem
from pgnym.admin.routing import IfMatch

if TYPE_CHECKING:
    from pgnym.admin.application import Call

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def tag_of(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """What If-Match says. ``tags`` None: any version will do."""

    tags: frozenset[str] | None

    @classmethod
    def of(cls, call: Call) -> Condition:
        """That of a request. Raises Problem 428 where it must have one and has none, 400 for one that can't be read."""
        given = call.request.headers.get("if-match", "").strip()
        if given in ("", "*"):
            # "*" says no more than that something is there: not enough where a version must be named.
            if call.route.if_match is IfMatch.MUST:
                raise Problem(428, "If-Match is needed: the ETag of what is to be changed, as it was read")
            return cls(None)
        parts = [part.strip() for part in given.split(",")]
        if not all(_TAG.fullmatch(part) for part in parts):
            raise Problem(400, "If-Match: expected entity tags in double quotes")
        # The strong comparison: a weak tag matches nothing.
        return cls(frozenset(part for part in parts if not part.startswith("W/")))

    def holds(self, tag: str) -> bool:
        """Whether a change of what has this tag is wanted."""
        return self.tags is None or tag in self.tags

    def require(self, tag: str) -> None:
        """Raises Problem 412 unless it holds."""
        if not self.holds(tag):
            raise failed()


def failed() -> Problem:
    """The problem of a condition that doesn't hold."""
    return Problem(412, "it has been changed meanwhile: its ETag is not the one of If-Match")
