"""The mention test: may this text concern a protected relation at all? Run on every statement, before any parsing.

All words of the case-folded text against the set of names: ``translate`` and ``split`` run at memory speed. Names that
aren't plain words are searched as substrings. That covers quoted and non-ASCII names alike. PostgreSQL folds ASCII letters
only in multi-byte encodings. A dollar sign ends a word here, so that ``$$SELECT … FROM t$$`` names ``t``. ``U&"…"`` can
spell any name, so it always counts. PostgreSQL cuts a longer identifier to 63 bytes (``truncate_identifier``), so a name
that may be what is left of one is searched as the beginning of a longer word, too.
"""

from __future__ import annotations

import re

from pgnym.sql.catalog import Catalog
from pgnym.sql.dependents import LONGEST_NAME, Dependents, find_dependents

_PLAIN_NAME = re.compile(rb"[a-z_\x80-\xff][a-z0-9_\x80-\xff]*\Z")
_FOLD = bytes(
    ord(chr(code).lower())
    if code < 0x80 and (chr(code).isalnum() or code == 0x5F)
    else code
    if code >= 0x80
    else 0x20
    for code in range(256)
)

# A cut falls between characters, of which one has up to four bytes: what is left has 60 bytes at least.
_MAY_BE_CUT = LONGEST_NAME - 3


class Mentions:
    """Answers, for one catalog, whether a text may concern the planner."""

    __slots__ = ("_odd", "_words", "dependents")

    def __init__(self, catalog: Catalog, dependents: Dependents | None = None) -> None:
        self.dependents = dependents or find_dependents(catalog)
        names = self.dependents.relation_names | self.dependents.function_names
        folded = {n.replace('"', '""').encode().lower() for n in names}
        self._words = frozenset(n for n in folded if len(n) < _MAY_BE_CUT and _PLAIN_NAME.match(n))
        self._odd = (b'u&"', *sorted(folded - self._words))

    def concerns(self, text: bytes) -> bool:
        """Whether the text mentions a protected relation, a view over one, or a function that touches one."""
        if not self._words and len(self._odd) == 1:
            return False
        if not self._words.isdisjoint(text.translate(_FOLD).split()):
            return True
        lowered = text.lower()
        return any(odd in lowered for odd in self._odd)
