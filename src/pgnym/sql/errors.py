"""The refusal: what the planner raises when a statement can't be carried out faithfully."""

from __future__ import annotations


class Refused(Exception):
    """A statement is refused.

    Parameters: ``sqlstate`` (five characters), ``message`` (primary), ``detail`` (which column, which operator), ``hint``
    (what would make it work), ``position`` (byte offset into the client's own text, 0-based, or None). Texts never
    contain a literal of the statement.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str = "0A000",
        detail: str = "",
        hint: str = "",
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
