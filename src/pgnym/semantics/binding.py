"""How a function's body in Python is tied to its signature and to the constants of one expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pgnym.semantics.expression import Collation

Run = Callable[..., bytes | None]
"""Canonical values of the arguments that vary, none of them None, to the result."""
Constants = tuple[bytes | None, ...]
"""Per argument its value if it is constant; None for those that vary."""
Binder = Callable[[Collation | None, Constants], Run]
TRUE, FALSE = b"t", b"f"


@dataclass(frozen=True, slots=True)
class Signature:
    """A function or operator as PostgreSQL resolves it: the types that it takes and the one that it gives."""

    function: str
    argument_types: tuple[int, ...]
    result_type: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table. ``bind`` None: it exists in PostgreSQL, but isn't offered, and nothing else may stand in.

    Strict: where an argument is NULL so is the result, and ``bind`` isn't asked.
    """

    signature: Signature
    bind: Binder | None


def plain(body: Run) -> Binder:
    """For a body that takes all arguments and needs neither collation nor preparation."""

    def bind(_collation: Collation | None, constants: Constants) -> Run:
        return fill(body, constants)

    return bind


def fill(body: Run, constants: Constants) -> Run:
    """The body with its constant arguments in place."""
    varying = [at for at, constant in enumerate(constants) if constant is None]
    if len(varying) == len(constants):
        return body
    if varying == [0]:
        rest = constants[1:]
        if len(rest) == 1:
            second = rest[0]
            return lambda value: body(value, second)
        return lambda value: body(value, *rest)

    def run(*values: bytes) -> bytes | None:
        arguments: list[bytes | None] = list(constants)
        for at, value in zip(varying, values, strict=True):
            arguments[at] = value
        return body(*arguments)

    return run


def truth(test: Callable[..., bool]) -> Run:
    """A test as a function to boolean."""
    return lambda *values: TRUE if test(*values) else FALSE


def entry(function: str, arguments: tuple[int, ...], result: int, bind: Binder | None) -> Entry:
    """A row of the table, in one line."""
    return Entry(Signature(function, arguments, result), bind)
