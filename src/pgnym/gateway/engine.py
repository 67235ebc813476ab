"""One catalog snapshot with what is derived from it: the mention test and the planner. Replaced as a whole."""

from __future__ import annotations

from typing import Protocol

from pgnym.sql.catalog import Catalog
from pgnym.sql.mention import Mentions
from pgnym.sql.planner import Planner
from pgnym.sql.words import Mention, session_flags

_REMEMBERED = 1024
_REMEMBERED_LENGTH = 4096


class Touched(Protocol):
    """What the mention test notes on a session."""

    path: tuple[str, ...] | None
    path_touched: bool
    catalog_touched: bool
    naming: int

    @property
    def named(self) -> bool:
        """Whether the session holds prepared statements or cursors that concern the gateway."""


class Engine:
    """The planner of one catalog epoch. Verdicts on texts seen before are remembered, within bounds."""

    __slots__ = ("_verdicts", "catalog", "concerns", "planner")

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.planner = Planner(catalog)
        self.concerns = Mentions(catalog).concerns
        self._verdicts: dict[bytes, int] = {}

    def classify(self, text: bytes, session: Touched) -> bool:
        """Whether the text must be planned. Notes on the session what it may change. The hot path of every statement."""
        flags = self._verdicts.get(text)
        if flags is None:
            flags = self._judge(text)
        return flags != 0 and self.note(flags, session) & Mention.CONCERNS != 0

    def flags(self, text: bytes, session: Touched) -> int:
        """As ``classify``, with all the flags of ``Mention``."""
        return self.note(self._judge(text), session)

    def _judge(self, text: bytes) -> int:
        flags = session_flags(text)
        if self.concerns(text):
            flags |= Mention.CONCERNS
        if len(text) <= _REMEMBERED_LENGTH:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[text] = int(flags)
        return int(flags)

    @staticmethod
    def note(flags: int, session: Touched) -> int:
        """Note on the session what a text with these flags may change; the flags, with CONCERNS where names make it so."""
        if flags & Mention.SETTINGS or (flags & Mention.ENDS and session.path_touched):
            session.path = None
            session.path_touched = True
        if flags & Mention.DDL:
            session.catalog_touched = True
        if flags & Mention.NAMES and (session.named or session.naming):
            flags |= Mention.CONCERNS
        return flags
