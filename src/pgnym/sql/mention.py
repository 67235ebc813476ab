"""The mention test: may this text concern a protected relation at all? Run on every statement, before any parsing.

A name is searched as a substring of the case-folded text (``bytes.find`` runs at memory speed), and only where it is
found are its borders looked at. That covers quoted, non-ASCII and odd names alike. PostgreSQL folds ASCII letters only
in multi-byte encodings, as ``bytes.lower`` does. ``U&"…"`` can spell any name, so it always counts.
"""

from __future__ import annotations

import re

from pgnym.sql.catalog import Catalog
from pgnym.sql.dependents import Dependents, find_dependents

# Beyond this many names, one pass over all words is cheaper than one search per name (measured on 60 B to 2 kB texts).
_FEW = 24
_WORD = re.compile(rb"[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*")
_PLAIN_NAME = re.compile(rb"[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*\Z")
_BORDER = rb"[a-z0-9_$\x80-\xff]"

_SESSION_WORDS = re.compile(
    rb"\b(?:set|reset|discard|set_config|prepare|deallocate|execute|fetch|move|close|declare|do|call)\b",
    re.IGNORECASE,
)
_CACHE_ENTRIES = 2048
_CACHED_LENGTH = 4096


class Mentions:
    """Answers, for one catalog, whether a text may concern the planner."""

    __slots__ = ("_cache", "_names", "_needles", "_pattern", "_words", "dependents")

    def __init__(self, catalog: Catalog, dependents: Dependents | None = None) -> None:
        self.dependents = dependents or find_dependents(catalog)
        names = self.dependents.relation_names | self.dependents.function_names
        folded = {n.replace('"', '""').encode().lower() for n in names}
        self._names = frozenset(folded)
        odd = sorted(n for n in folded if not _PLAIN_NAME.match(n))
        regular = sorted(folded - set(odd))
        if len(regular) <= _FEW:
            self._needles = (b'u&"', *odd, *regular)
            self._words: frozenset[bytes] = frozenset()
        else:
            self._needles = (b'u&"', *odd)
            self._words = frozenset(regular)
        alternatives = [rb"(?<!%s)%s(?!%s)" % (_BORDER, re.escape(n), _BORDER) for n in regular]
        self._pattern = re.compile(b"|".join([b'u&"', *map(re.escape, odd), *alternatives]))
        self._cache: dict[bytes, bool] = {}

    def concerns(self, text: bytes) -> bool:
        """Whether the text mentions a protected relation, a view over one, or a function that touches one."""
        if not self._names:
            return False
        known = self._cache.get(text)
        if known is not None:
            return known
        lowered = text.lower()
        answer = False
        for needle in self._needles:
            if needle in lowered:
                answer = self._pattern.search(lowered) is not None
                break
        if not answer and self._words:
            answer = not self._words.isdisjoint(_WORD.findall(lowered))
        if len(text) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[text] = answer
        return answer

    @staticmethod
    def session_words(text: bytes) -> bool:
        """Whether a statement may change search_path, role, prepared names or cursors (or runs opaque code)."""
        return _SESSION_WORDS.search(text) is not None
