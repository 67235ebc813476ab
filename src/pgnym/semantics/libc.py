"""The C library's locales, by ctypes: what a server with the libc provider calls for case, classes and order.

A result is the server's only if the library is the same, so a collation's recorded version must equal this library's.
Found missing or different, a locale is refused; the reasons say what would help.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

from pgnym.semantics.errors import UnsupportedCollation

_LC_CTYPE_MASK, _LC_COLLATE_MASK = 1 << 0, 1 << 3
"""glibc's locale.h."""
_CLASSES = (
    "alnum",
    "alpha",
    "cntrl",
    "digit",
    "graph",
    "lower",
    "print",
    "punct",
    "space",
    "upper",
    "xdigit",
)

CharacterMap = Callable[[int], int]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """glibc, or None: no other library's locales and versions are those that PostgreSQL records."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    library.gnu_get_libc_version.restype = ctypes.c_char_p
    library.newlocale.restype = ctypes.c_void_p
    library.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    library.strcoll_l.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    for name in ("towlower_l", "towupper_l"):
        getattr(library, name).restype = ctypes.c_uint
    for name in ("towlower_l", "towupper_l", *(f"isw{c}_l" for c in _CLASSES)):
        getattr(library, name).argtypes = [ctypes.c_uint, ctypes.c_void_p]
    return library


def version() -> str | None:
    """glibc's version, such as 2.36, which is what PostgreSQL records as a collation's; None without glibc."""
    library = _library()
    return None if library is None else str(library.gnu_get_libc_version().decode())


class Locale:
    """One locale of the C library. Raises ``UnsupportedCollation`` where it isn't the server's."""

    def __init__(self, name: str, recorded: str | None) -> None:
        library = _library()
        if library is None:
            raise UnsupportedCollation(
                f'collation locale "{name}" belongs to the C library (glibc), which this machine doesn\'t have'
            )
        if not name.upper().startswith("C."):  # C.UTF-8 has no version: PostgreSQL records none for it
            _require_version(name, recorded, version() or "")
        handle = library.newlocale(_LC_CTYPE_MASK | _LC_COLLATE_MASK, name.encode(), None)
        if not handle:
            raise UnsupportedCollation(
                f'the gateway\'s machine has no locale "{name}", under which the database works',
                "Install the locale on the gateway's machine (Debian: package locales, then locale-gen), "
                'or use COLLATE "C".',
            )
        self._library = library
        self._handle: int = handle  # never freed: there are as many as the database has locales

    def tolower(self, code: int) -> int:
        """towlower_l"""
        return int(self._library.towlower_l(code, self._handle))

    def toupper(self, code: int) -> int:
        """towupper_l"""
        return int(self._library.towupper_l(code, self._handle))

    def is_member(self, name: str, code: int) -> bool:
        """isw<name>_l"""
        return bool(getattr(self._library, f"isw{name}_l")(code, self._handle))

    def comparison(self) -> Callable[[bytes, bytes], int]:
        """strcoll_l, and of texts that it takes for equal the order of their bytes (varstr_cmp).

        Not strxfrm_l: its keys are faster, but with characters that the locale doesn't know they have another order.
        """
        collate, handle = self._library.strcoll_l, self._handle

        def compare(one: bytes, other: bytes) -> int:
            return int(collate(one, other, handle)) or (one > other) - (one < other)

        return compare


def _require_version(name: str, recorded: str | None, own: str) -> None:
    if recorded is None:
        raise UnsupportedCollation(
            f'it isn\'t known under which version of the C library the database sorts by locale "{name}"',
            "PostgreSQL 15 and later tell it, on Linux with glibc.",
        )
    if recorded != own:
        raise UnsupportedCollation(
            f'the database sorts by locale "{name}" of glibc {recorded}, the gateway\'s machine has glibc {own}',
            'Run the gateway on the same release of the operating system as the server, or use COLLATE "C".',
        )


@lru_cache(maxsize=64)
def locale(name: str, recorded: str | None) -> Locale:
    """A locale, made once. Raises ``UnsupportedCollation``."""
    return Locale(name, recorded)
