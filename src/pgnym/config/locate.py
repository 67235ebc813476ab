"""From a value and a type to the exact place where they disagree.

msgspec names fields in its error paths but writes ``[...]`` for the keys of mappings, and
``tables[...].columns[...]`` helps nobody. So after a failed conversion the same types are walked once more,
entry by entry.
"""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar

import msgspec

from pgnym.config.errors import ConfigError

T = TypeVar("T")

NAMES = {
    "str": "a text",
    "int": "a whole number",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def convert(value: object, into: type[T]) -> T:
    """Convert plain data to ``into``. Raises ConfigError for the innermost value that doesn't fit."""
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        blame(value, into, "", error)
        raise AssertionError("unreachable") from error


def blame(value: Any, into: Any, path: str, error: msgspec.ValidationError) -> typing.NoReturn:
    """Raise ConfigError for the innermost entry of ``value`` that doesn't convert, or ``error``."""
    for key, entry, inner in entries(value, into, path):
        below = f"{path}.{key}" if path else str(key)
        try:
            msgspec.convert(entry, inner)
        except msgspec.ValidationError as deeper:
            blame(entry, inner, below, deeper)
    raise ConfigError(path, *explain(value, into, error)) from None


def entries(value: Any, into: Any, path: str) -> Iterable[tuple[Any, Any, Any]]:
    """The (key, value, type) below ``value`` if ``into`` is structured; refuses unknown and missing keys."""
    into = structured(value, into)
    if isinstance(into, type) and issubclass(into, msgspec.Struct) and isinstance(value, dict):
        fields = {f.encode_name: f for f in msgspec.structs.fields(into)}
        for key in value:
            if key not in fields:
                place = f"{path}.{key}" if path else str(key)
                raise ConfigError(place, "unknown option", near(str(key), fields))
        for name, field in fields.items():
            if field.required and name not in value:
                raise ConfigError(f"{path}.{name}" if path else name, "missing")
        return [(key, entry, fields[key].type) for key, entry in value.items()]
    if typing.get_origin(into) is dict and isinstance(value, dict):
        key_type, value_type = typing.get_args(into)
        for key in value:
            try:
                msgspec.convert(key, key_type)
            except msgspec.ValidationError as error:
                place = f"{path}.{key}" if path else str(key)
                raise ConfigError(place, *explain(key, key_type, error)) from None
        return [(key, entry, value_type) for key, entry in value.items()]
    if typing.get_origin(into) is tuple and isinstance(value, list):
        return [(i, entry, typing.get_args(into)[0]) for i, entry in enumerate(value)]
    return ()


def structured(value: Any, into: Any) -> Any:
    """Of a union, the member with the shape of ``value``; anything else without its annotation."""
    if typing.get_origin(into) is typing.Annotated:
        return structured(value, typing.get_args(into)[0])
    if typing.get_origin(into) in (typing.Union, UnionType):
        for member in typing.get_args(into):
            origin = typing.get_origin(member) or member
            is_struct = isinstance(origin, type) and issubclass(origin, msgspec.Struct)
            if isinstance(value, dict) and (is_struct or origin is dict):
                return member
            if isinstance(value, list) and origin is tuple:
                return member
    return into


def explain(value: Any, into: Any, error: msgspec.ValidationError) -> tuple[str, str]:
    """Reason and hint for a leaf that doesn't fit."""
    choices = literals(into)
    if choices and isinstance(value, str):
        return f"{value!r} is not a choice; expected one of {', '.join(choices)}", near(value, choices)
    text = str(error).split(" - at `")[0]
    text = text[:1].lower() + text[1:]
    text = re.sub("`([^`]*)`", friendly, text)
    hint = "write {} for a mapping without options" if value is None and "a mapping" in text else ""
    if choices:
        text += f"; choices are {', '.join(choices)}"
    return text, hint


def friendly(match: re.Match[str]) -> str:
    """The types in backquotes that msgspec names, in plain words."""
    return " or ".join(NAMES.get(name, name) for name in match[1].split(" | "))


def literals(into: Any) -> list[str]:
    """The texts of a Literal, also within unions and annotations."""
    if typing.get_origin(into) is typing.Literal:
        return [c for c in typing.get_args(into) if isinstance(c, str)]
    if typing.get_origin(into) in (typing.Union, UnionType):
        return [c for member in typing.get_args(into) for c in literals(member)]
    if typing.get_origin(into) is typing.Annotated:
        return literals(typing.get_args(into)[0])
    return []


def near(word: str, choices: Iterable[str]) -> str:
    """A hint naming the nearest of ``choices``, or all of them."""
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices)}"
