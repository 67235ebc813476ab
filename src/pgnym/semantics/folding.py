"""One case-folding for every locale: the fold of a text doesn't change when any server lowers or raises its letters.

The index over parts of values is built from folded values, so that one index serves LIKE, ILIKE and ``lower(c) = …`` under
any collation. So that it stays right, a folded text must mean the same for every version of Python and of the server.
"""

from __future__ import annotations

_DOTTED = {0x130: 0x69, 0x131: 0x69}
"""The Turkic letters: their case partners are I and i in some locales, and so all four are one."""
_DOT_ABOVE = 0x307
"""The full lower case of U+0130 is an i and this mark; it is dropped."""
UNSETTLED = frozenset(
    (0x019B, 0x0264, 0x1C89, 0x1C8A, *range(0xA7CB, 0xA7D6), *range(0xA7DA, 0xA7DD), *range(0x10D50, 0x10D66),
     *range(0x10D70, 0x10D86), *range(0x16EA0, 0x16ED4))
)  # fmt: skip
"""Characters that a version of Unicode after 14 (that of Python 3.11), up to 17, gave a case partner."""
_ANY_UNSETTLED = 0xFFFD


class _Folds(dict[int, int | None]):
    """For ``str.translate``; filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        found = self[code] = _fold(code)
        return found


def _fold(code: int) -> int | None:
    if code == _DOT_ABOVE:
        return None
    if code in UNSETTLED:
        return _ANY_UNSETTLED
    if code in _DOTTED:
        return _DOTTED[code]
    character = chr(code)
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return ord(folded)
    return code


_FOLDS = _Folds()


def fold(text: bytes) -> str:
    """The folded characters of a UTF-8 text. Letter for letter: a part of a text folds to a part of its fold."""
    if text.isascii():
        return text.lower().decode("ascii")
    return text.decode().translate(_FOLDS)
