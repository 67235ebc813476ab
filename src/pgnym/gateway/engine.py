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
    """What the mention test asks of a session."""

    naming: int

    @property
    def named(self) -> bool:
        """Whether the session holds prepared statements or cursors that concern the gateway."""

    def note(self, flags: int) -> None:
        """Note what a text with these flags may change."""


class Engine:
    """The planner of one catalog epoch. Verdicts on texts seen before are remembered, within bounds."""

    __slots__ = ("_texts", "_verdicts", "catalog", "concerns", "planner")

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.planner = Planner(catalog)
        self.concerns = Mentions(catalog).concerns
        self._verdicts: dict[bytes, int] = {}
        self._texts: dict[str, str] = {}

    def remember(self, fingerprint: str, normalized: str) -> None:
        """What a fingerprint stands for, for audit."""
        if fingerprint not in self._texts:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            self._texts[fingerprint] = normalized

    def text_of(self, fingerprint: str) -> str:
        """The normalized text of a statement planned lately, else ""."""
        return self._texts.get(fingerprint, "")

    def classify(self, text: bytes, session: Touched) -> bool:
        """Whether the text must be planned. If not, notes on the session what it may change. Run on every Parse.

        A statement that changes settings is to be looked at too: it does so whenever it is executed.
        """
        flags = self._verdicts.get(text)
        if flags is None:
            flags = self._judge(text)
        return flags != 0 and (flags & Mention.SETTINGS != 0 or self._concerns(flags, session))

    def classify_once(self, text: bytes, session: Touched) -> bool:
        """As ``classify``, for the text of a Query: constants make most of them new, so that none is remembered."""
        if self.concerns(text):
            return True
        flags = session_flags(text)
        if flags & Mention.SETTINGS and b"pgnym" in text.lower():
            return True  # the name of the setting is looked at
        return flags != 0 and self._concerns(flags, session)

    @staticmethod
    def _concerns(flags: int, session: Touched) -> bool:
        if flags & Mention.CONCERNS or (flags & Mention.NAMES and (session.named or session.naming)):
            return True
        session.note(flags)
        return False

    def flags(self, text: bytes, session: Touched) -> int:
        """All the flags of ``Mention``, with ``CONCERNS`` where names of the session make it so. Notes nothing."""
        flags = self._verdicts.get(text)
        if flags is None:
            flags = self._judge(text)
        if flags & Mention.NAMES and (session.named or session.naming):
            flags |= Mention.CONCERNS
        return flags

    def _judge(self, text: bytes) -> int:
        flags = session_flags(text)
        if self.concerns(text):
            flags |= Mention.CONCERNS
        if len(text) <= _REMEMBERED_LENGTH:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[text] = int(flags)
        return int(flags)
