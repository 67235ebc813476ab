"""Case of characters under a collation: what ``lower``, ``upper``, ``initcap`` and ILIKE do (formatting.c, pg_locale*.c).

libc maps characters one by one; the builtin provider has the simple mappings of Unicode (C.UTF-8) or the full ones
(PG_UNICODE_FAST); C and POSIX know ASCII only. ICU's mappings belong to its own version and are refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache

from pgnym.semantics import libc, unicode
from pgnym.semantics.errors import UnsupportedCollation, foreign_provider, unsupported
from pgnym.semantics.expression import Collation
from pgnym.semantics.folding import UNSETTLED

_ASCII = range(128)
_USUAL_ASCII = frozenset(
    ("bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "is", "it", "ja", "ko",
     "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "root", "ru", "sk", "sl", "sr", "sv", "uk", "und", "zh")
)  # fmt: skip
"""Languages in which I and i are each other's case, as in English: not Turkish, Azerbaijani, Lithuanian and others."""


class _Table(dict[int, int]):
    """Fills itself: for ``str.translate``, one call of ``find`` for each character ever seen."""

    def __init__(self, find: Callable[[int], int]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, code: int) -> int:
        found = self[code] = self._find(code)
        return found


class Ctype(ABC):
    """Case mapping of UTF-8 texts and of single characters under one locale."""

    def __init__(self) -> None:
        self._lower = _Table(self.tolower)
        self._upper = _Table(self.toupper)
        self._lower_is_ascii = all(self.tolower(c) == ord(chr(c).lower()) for c in _ASCII)
        self._upper_is_ascii = all(self.toupper(c) == ord(chr(c).upper()) for c in _ASCII)

    @abstractmethod
    def tolower(self, code: int) -> int:
        """The lower case of one character (code point)."""

    @abstractmethod
    def toupper(self, code: int) -> int:
        """The upper case of one character (code point)."""

    @abstractmethod
    def is_class(self, name: str, code: int) -> bool:
        """Whether a character is in a class: alnum, alpha, digit, graph, lower, print, punct, space or upper.

        Raises ``EvaluationError`` 0A000 where that isn't certain.
        """

    def lower(self, text: bytes) -> bytes:
        """``lower(text)``"""
        if self._lower_is_ascii and text.isascii():
            return text.lower()
        return text.decode().translate(self._lower).encode()

    def upper(self, text: bytes) -> bytes:
        """``upper(text)``"""
        if self._upper_is_ascii and text.isascii():
            return text.upper()
        return text.decode().translate(self._upper).encode()

    def initcap(self, text: bytes) -> bytes:
        """``initcap(text)``: what follows a letter or digit is lowered, the rest raised."""
        made = []
        inside = False
        for character in text.decode():
            code = self._lower[ord(character)] if inside else self._upper[ord(character)]
            inside = self.is_class("alnum", code)
            made.append(code)
        return "".join(map(chr, made)).encode()


class Ascii(Ctype):
    """C and POSIX."""

    def tolower(self, code: int) -> int:
        return code + 32 if 0x41 <= code <= 0x5A else code

    def toupper(self, code: int) -> int:
        return code - 32 if 0x61 <= code <= 0x7A else code

    def is_class(self, name: str, code: int) -> bool:
        return code < 128 and unicode.is_ascii_class(name, code)

    def lower(self, text: bytes) -> bytes:
        return text.lower()

    def upper(self, text: bytes) -> bytes:
        return text.upper()


class Libc(Ctype):
    """A locale of the C library, character by character."""

    def __init__(self, locale: libc.Locale) -> None:
        self.locale = locale
        super().__init__()

    def tolower(self, code: int) -> int:
        return self.locale.tolower(code)

    def toupper(self, code: int) -> int:
        return self.locale.toupper(code)

    def is_class(self, name: str, code: int) -> bool:
        return self.locale.is_member(name, code)


class Simple(Ctype):
    """The builtin provider's C.UTF-8: Unicode's simple case mappings."""

    _posix = True

    def tolower(self, code: int) -> int:
        _require_settled(code)
        lowered = chr(code).lower()
        return ord(lowered[0])  # only U+0130 has more than one, and its simple mapping is the first of them

    def toupper(self, code: int) -> int:
        _require_settled(code)
        raised = chr(code).upper()
        if len(raised) > 1:  # the simple mapping of such a letter is its title case, if that is one letter
            raised = chr(code).title()
        return ord(raised) if len(raised) == 1 else code

    def is_class(self, name: str, code: int) -> bool:
        return unicode.is_class(name, code, posix=self._posix)

    def initcap(self, text: bytes) -> bytes:
        """Here what isn't alphanumeric forms words, too."""
        made = []
        before: bool | None = None
        for character in text.decode():
            inside = self.is_class("alnum", ord(character))
            made.append((self._lower if inside == before else self._upper)[ord(character)])
            before = inside
        return "".join(map(chr, made)).encode()


class Full(Simple):
    """The builtin provider's PG_UNICODE_FAST: the full mappings, final sigma included, as ``str`` has them."""

    _posix = False

    def lower(self, text: bytes) -> bytes:
        return text.lower() if text.isascii() else _settled(text.decode()).lower().encode()

    def upper(self, text: bytes) -> bytes:
        return text.upper() if text.isascii() else _settled(text.decode()).upper().encode()

    def initcap(self, text: bytes) -> bytes:
        if text.isascii():
            return super().initcap(text)
        raise unsupported(
            "initcap of this text under PG_UNICODE_FAST is not supported", "Texts of ASCII characters are."
        )


def _require_settled(code: int) -> None:
    if code in UNSETTLED:
        raise unsupported(
            f"upper and lower case of U+{code:04X} differ between versions of Unicode",
            "The gateway can't tell which version the server has.",
        )


def _settled(text: str) -> str:
    for character in text:
        _require_settled(ord(character))
    return text


class AsciiOnly(Ctype):
    """A locale that isn't at hand, of a language in which the letters of ASCII have their usual cases: nothing else is told.

    ``error``: raised for texts with other letters.
    """

    def __init__(self, error: UnsupportedCollation) -> None:
        self._error = error
        super().__init__()

    def tolower(self, code: int) -> int:
        self._require(code < 128)
        return ord(chr(code).lower())

    def toupper(self, code: int) -> int:
        self._require(code < 128)
        return ord(chr(code).upper())

    def is_class(self, name: str, code: int) -> bool:
        self._require(code < 128)
        return unicode.is_ascii_class(name, code)

    def lower(self, text: bytes) -> bytes:
        self._require(text.isascii())
        return text.lower()

    def upper(self, text: bytes) -> bytes:
        self._require(text.isascii())
        return text.upper()

    def initcap(self, text: bytes) -> bytes:
        raise self._copy()  # ICU finds the words by rules of its own

    def _require(self, certain: bool) -> None:
        if not certain:
            raise self._copy()

    def _copy(self) -> UnsupportedCollation:
        return UnsupportedCollation(self._error.message, self._error.hint)


def ctype(collation: Collation | None) -> Ctype:
    """Case mapping under a collation. Raises ``UnsupportedCollation`` if it can't be done as the server does it."""
    if collation is None:
        raise UnsupportedCollation(
            "it isn't known which collation decides about case here", "Add a COLLATE clause."
        )
    if not collation.deterministic:
        raise UnsupportedCollation(f'collation "{collation.name}" is nondeterministic')
    return _ctype(collation.provider, collation.ctype, collation.version)


@lru_cache(maxsize=64)
def _ctype(provider: str, name: str, version: str | None) -> Ctype:
    if provider == "c":
        if name in ("C", "POSIX"):
            return Ascii()
        try:
            return Libc(libc.locale(name, version))
        except UnsupportedCollation as error:
            return _ascii_only(name, error)
    if provider == "b":
        kinds: dict[str, Callable[[], Ctype]] = {
            "C": Ascii,
            "C.UTF-8": Simple,
            "C.UTF8": Simple,
            "PG_UNICODE_FAST": Full,
        }
        if name in kinds:
            return kinds[name]()
    return _ascii_only(
        name if provider == "i" else "", foreign_provider(provider, name, "upper and lower case")
    )


def _ascii_only(name: str, error: UnsupportedCollation) -> Ctype:
    """For the languages without a dotless i or a like rule. Raises ``error`` for others."""
    language = name.replace("-", "_").partition("_")[0].lower()
    if language not in _USUAL_ASCII:
        raise error
    return AsciiOnly(error)
