"""Strings at chosen paths of a JSON text: found and replaced, all else byte for byte.

A path is a tuple of keys and ``EACH`` (the elements of an array). It is followed as jsonpath's lax mode does (SQL/JSON,
ISO/IEC 19075-6, 6.5; PostgreSQL's "Strict and Lax Modes"): a key asked of an array is asked of its elements, and ``EACH``
of what is no array is that itself. So it reaches what ``jsonb_path_exists`` reaches under the same path.

The text is never printed anew, so that numbers keep their digits and keys their order and duplicates. Only what lies on
a path is walked in Python; all other values are skipped by the C scanner of the standard library, which checks them too.
"""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NoReturn

from pgnym.semantics.errors import EvaluationError

EACH: Final = None
Path = tuple[str | None, ...]
Leaf = Callable[[int, bytes], bytes]
"""(index of the path, value) → what takes its place. NULL and the empty string are not asked for."""

_STEP = re.compile(r'(?:\A|\.)(?:([^.\[\]"*\s]+)|("(?:[^"\\]|\\.)+"))|\[\*\]')
_SPACE = re.compile(r"[ \t\n\r]*")
_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_scanstring: Callable[[str, int, bool], tuple[str, int]] = getattr(json.decoder, "scanstring")  # noqa: B009 - has no stub


def parse_path(text: str) -> Path:
    """``a.b``, ``contacts[*].email``, ``"odd.key".b``: the steps of a path. Raises ValueError for anything else."""
    steps: list[str | None] = []
    end = 0
    for found in _STEP.finditer(text):
        if found.start() != end:
            break
        end = found.end()
        if found.group(1) is not None:
            steps.append(found.group(1))
        elif found.group(2) is not None:
            steps.append(json.loads(found.group(2)))
        else:
            steps.append(EACH)
    if end != len(text) or not steps:
        raise ValueError("not a path")
    return tuple(steps)


def jsonpath(path: Path) -> str:
    """The path in jsonpath's syntax, from the root."""
    return "$" + "".join("[*]" if step is EACH else f".{json.dumps(step)}" for step in path)


class _Node:
    """The paths from one place on, by their next step. ``leaf``: the index of the path that ends here, or -1."""

    __slots__ = ("each", "keys", "leaf")

    def __init__(self, paths: Sequence[tuple[int, Path]]) -> None:
        self.leaf = next((index for index, rest in paths if not rest), -1)
        each = [(index, rest[1:]) for index, rest in paths if rest and rest[0] is EACH]
        self.each = _Node(each) if each else None
        self.keys: Mapping[str, _Node] = {
            step: _Node([(i, r[1:]) for i, r in paths if r and r[0] == step])
            for step in {rest[0] for _, rest in paths if rest}
            if step is not EACH
        }


@lru_cache(maxsize=1024)
def _tree(paths: tuple[Path, ...]) -> _Node:
    return _Node(list(enumerate(paths)))


def map_leaves(data: bytes, paths: tuple[Path, ...], leaf: Leaf) -> bytes:
    """JSON text with the strings at ``paths`` replaced.

    Raises ``EvaluationError``: 22P02 for what is no JSON, 22023 for a number, boolean, array or object at a path.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise EvaluationError('invalid byte sequence for encoding "UTF8"', "22021") from None
    walk = _Walk(text, leaf)
    try:
        end = walk.value(_SPACE.match(text, 0).end(), (_tree(paths),))  # type: ignore[union-attr]
        if _SPACE.match(text, end).end() != len(text):  # type: ignore[union-attr]
            raise _syntax()
    except (
        StopIteration,
        IndexError,
        ValueError,
    ):  # of the scanner: their messages and documents would show the text
        raise _syntax() from None
    except RecursionError:
        raise EvaluationError(
            "stack depth limit exceeded", "54001", "The JSON value is nested too deeply."
        ) from None
    if not walk.parts:
        return data
    walk.parts.append(text[walk.done :])
    return "".join(walk.parts).encode()


class _Walk:
    """One pass over a text. ``parts``: what has been put together so far, up to ``done``."""

    __slots__ = ("_leaf", "_skip", "done", "parts", "text")

    def __init__(self, text: str, leaf: Leaf) -> None:
        self.text = text
        self.parts: list[str] = []
        self.done = 0
        self._leaf = leaf
        self._skip = _scanner()

    def value(self, at: int, nodes: tuple[_Node, ...]) -> int:
        """The value at an offset, to which ``nodes`` apply; returns where it ends."""
        text = self.text
        first = text[at]
        if first == "{":
            return self._object(at + 1, nodes)
        if first == "[":
            return self._array(at + 1, nodes)
        index = _ends(nodes)
        if index < 0:
            return self._skip(text, at)[1]
        if first == '"':
            return self._string(at, index)
        _, end = self._skip(text, at)
        if text[at:end] != "null":
            raise _no_string()
        return end

    def _string(self, at: int, index: int) -> int:
        content, end = _scanstring(self.text, at + 1, True)
        if content:
            try:
                value = content.encode()
            except UnicodeEncodeError:  # half of a surrogate pair
                raise _syntax() from None
            if b"\0" in value:
                raise EvaluationError("unsupported Unicode escape sequence", "22P05")
            self.parts.append(self.text[self.done : at])
            self.parts.append(quote(self._leaf(index, value).decode()))
            self.done = end
        return end

    def _object(self, at: int, nodes: tuple[_Node, ...]) -> int:
        if _ends(nodes) >= 0:
            raise _no_string()
        text = self.text
        below = _unwrapped(nodes)
        at = _space(text, at)
        if text[at] == "}":
            return at + 1
        while True:
            if text[at] != '"':
                raise _syntax()
            key, at = _scanstring(text, at + 1, True)
            at = _space(text, at)
            if text[at] != ":":
                raise _syntax()
            at = _space(text, at + 1)
            inner = tuple(node.keys[key] for node in below if key in node.keys)
            at = self.value(at, inner) if inner else self._skip(text, at)[1]
            at = _space(text, at)
            if text[at] == "}":
                return at + 1
            if text[at] != ",":
                raise _syntax()
            at = _space(text, at + 1)

    def _array(self, at: int, nodes: tuple[_Node, ...]) -> int:
        if any(node.leaf >= 0 for node in nodes):
            raise _no_string()
        text = self.text
        # The elements: those of [*], and those that a key is asked of.
        below = tuple(node.each for node in nodes if node.each is not None)
        below += tuple(node for node in _unwrapped(nodes) if node.keys and node not in below)
        at = _space(text, at)
        if text[at] == "]":
            return at + 1
        while True:
            at = self.value(at, below) if below else self._skip(text, at)[1]
            at = _space(text, at)
            if text[at] == "]":
                return at + 1
            if text[at] != ",":
                raise _syntax()
            at = _space(text, at + 1)


def _unwrapped(nodes: tuple[_Node, ...]) -> tuple[_Node, ...]:
    """The nodes that apply to what is no array: ``[*]`` of it is itself."""
    found = list(nodes)
    for node in found:
        if node.each is not None:
            found.append(node.each)
    return tuple(found)


def _ends(nodes: tuple[_Node, ...]) -> int:
    """The index of the path that ends at what is no array, or -1."""
    return next((node.leaf for node in _unwrapped(nodes) if node.leaf >= 0), -1)


def _space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end() if text[at] in " \t\n\r" else at  # type: ignore[union-attr]


def quote(text: str) -> str:
    """A JSON string, as PostgreSQL's escape_json writes it."""
    if _SPECIAL.search(text) is None:
        return f'"{text}"'
    return '"' + _SPECIAL.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text) + '"'


def _constant(_: str) -> NoReturn:
    raise _syntax()  # NaN and Infinity are no JSON


# Numbers of skipped values are read as float: int() refuses long ones, and their value doesn't matter.
_DECODER = json.JSONDecoder(parse_int=float, parse_float=float, parse_constant=_constant)


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """What reads any value at an offset, and says where it ends."""
    make: Any = json.scanner.make_scanner
    scan: Callable[[str, int], tuple[Any, int]] = make(_DECODER)
    return scan


def _syntax() -> EvaluationError:
    return EvaluationError("invalid input syntax for type json", "22P02")


def _no_string() -> EvaluationError:
    return EvaluationError(
        "a value at a protected path of a jsonb column is neither a string nor null",
        "22023",
        "Send it as a string. For the elements of an array, end the path in [*].",
    )
