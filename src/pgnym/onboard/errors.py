"""The error of this room."""

from __future__ import annotations


class OnboardError(Exception):
    """A plan can't be made or carried out; the table concerned is as it was.

    ``message`` says what and where, never a value; ``hint`` what would help.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
