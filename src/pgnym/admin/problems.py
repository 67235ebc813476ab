"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import msgspec


class ProblemBody(msgspec.Struct, frozen=True):
    """A problem document."""

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """What a request is refused with. ``detail`` never repeats what was sent in a body or in ``Authorization``."""

    def __init__(
        self, status: int, detail: str, *, title: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.body = ProblemBody("about:blank", title or HTTPStatus(status).phrase, status, detail)
