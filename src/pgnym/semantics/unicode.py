"""Classes of characters as the builtin provider has them (unicode_category.c), where Python's data leave no doubt."""

from __future__ import annotations

import unicodedata

from pgnym.semantics.errors import unsupported

_SPACES = frozenset((0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
"""White_Space beyond ASCII."""
_LETTERS = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Nl"))
_MAYBE_LETTERS = frozenset(("Mn", "Mc", "Me", "So", "Cn"))
"""Some of these are Alphabetic by a property that Python's data don't have; unassigned ones may be by now."""
_MAYBE_UPPER = frozenset(("Nl", "So", "Cn"))
_MAYBE_LOWER = frozenset(("Lm", "Nl", "So", "Mn", "Cn"))
_LOWER_ORDINALS = (0xAA, 0xBA)


def is_ascii_class(name: str, code: int) -> bool:
    """In ASCII, classes are those of the C locale."""
    character = chr(code)
    match name:
        case "alpha":
            return character.isalpha()
        case "digit":
            return character.isdigit()
        case "alnum":
            return character.isalnum()
        case "upper":
            return character.isupper()
        case "lower":
            return character.islower()
        case "space":
            return character in " \t\n\v\f\r"
        case "print":
            return 0x20 <= code <= 0x7E
        case "graph":
            return 0x21 <= code <= 0x7E
        case _:
            return 0x21 <= code <= 0x7E and not character.isalnum()  # punct


def is_class(name: str, code: int, *, posix: bool) -> bool:
    """Whether a character is in a class; ``posix``: digits are those of ASCII, and symbols punctuation.

    Raises ``EvaluationError`` 0A000 where Python can't tell.
    """
    if code < 128 and (posix or name != "punct"):
        return is_ascii_class(name, code)
    category = unicodedata.category(chr(code))
    match name:
        case "alpha":
            return _is_letter(category, code)
        case "alnum":
            return _is_letter(category, code) or (not posix and category == "Nd")
        case "digit":
            return not posix and _certain(category, ("Cn",), code) == "Nd"
        case "upper":
            return _certain(category, _MAYBE_UPPER, code) == "Lu"
        case "lower":
            return code in _LOWER_ORDINALS or _certain(category, _MAYBE_LOWER, code) == "Ll"
        case "space":
            return code in _SPACES
        case "graph":
            return _is_graph(category, code)
        case "print":
            return category == "Zs" or _is_graph(category, code)
        case _:  # punct
            if posix and category == "So":
                return not _is_letter(category, code)
            return _certain(category, ("Cn",), code)[0] in ("PS" if posix else "P")


def _is_letter(category: str, code: int) -> bool:
    return _certain(category, _MAYBE_LETTERS, code) in _LETTERS


def _is_graph(category: str, code: int) -> bool:
    return _certain(category, ("Cn",), code) not in ("Cc", "Cs") and code not in _SPACES


def _certain(category: str, doubtful: frozenset[str] | tuple[str, ...], code: int) -> str:
    if category in doubtful:
        raise unsupported(
            f"the class of U+{code:04X} under a collation of the builtin provider isn't certain",
            "A collation of the libc provider tells it.",
        )
    return category
