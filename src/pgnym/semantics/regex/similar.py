"""SIMILAR TO: the SQL standard's patterns as regular expressions (similar_escape_internal)."""

from __future__ import annotations

from pgnym.semantics.errors import EvaluationError, unsupported

_QUOTED = frozenset("\\.^$")
_OPENINGS = {"%": ".*", "_": ".", "(": "(?:"}
_SEPARATORS = ("){1,1}?(", "){1,1}(?:")
"""What the first and the second escape-double-quote become."""


def similar_to_escape(pattern: bytes, escape: bytes = b"\\") -> bytes:
    """``similar_to_escape(pattern, escape)``. Raises ``EvaluationError`` 22025, 2200C, or 0A000.

    Versions of PostgreSQL disagree on where a bracket expression ends that has brackets in it; where that makes a
    difference the pattern is refused.
    """
    mark = escape.decode()
    if len(mark) > 1:
        raise EvaluationError(
            "invalid escape string", "22025", "Escape string must be empty or one character."
        )
    text = pattern.decode()
    nested = _converted(text, mark, nested=True)
    if nested != _converted(text, mark, nested=False):
        raise unsupported("versions of PostgreSQL disagree about the brackets of this SIMILAR TO pattern")
    return nested.encode()


def _converted(text: str, mark: str, *, nested: bool) -> str:
    """``nested``: an opening bracket within brackets needs a closing one of its own, and the first may be literal."""
    made = ["^(?:"]
    quotes = depth = 0
    at_start = escaped = False  # at the start of a bracket expression a closing bracket is literal
    for character in text:
        if escaped:
            escaped = at_start = False
            if character == '"' and not depth:
                if quotes == len(_SEPARATORS):
                    reason = (
                        "SQL regular expression may not contain more than two escape-double-quote separators"
                    )
                    raise EvaluationError(reason, "2200C")
                made.append(_SEPARATORS[quotes])
                quotes += 1
            else:
                made.append("\\" + character)
        elif mark and character == mark:
            escaped = True
        elif depth:
            made.append("\\\\" if character == "\\" else character)
            if character == "]" and not (nested and at_start):
                depth -= 1
            elif character == "[" and nested:
                depth += 1
            at_start = at_start and character == "^" and made[-2] == "["
        elif character == "[":
            made.append(character)
            depth, at_start = 1, True
        else:
            made.append(_OPENINGS.get(character) or ("\\" + character if character in _QUOTED else character))
    made.append(")$")
    return "".join(made)
