"""Functions of text: varlena.c, oracle_compat.c, formatting.c. Positions and lengths count characters, not bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pgnym.semantics import like
from pgnym.semantics.binding import FALSE, TRUE, Binder, Constants, Entry, Run, entry, fill, plain, truth
from pgnym.semantics.ctype import Ctype, ctype
from pgnym.semantics.errors import EvaluationError, unsupported
from pgnym.semantics.expression import Collation
from pgnym.semantics.regex.matching import compile_regex
from pgnym.semantics.regex.similar import similar_to_escape
from pgnym.semantics.types import BOOL, BPCHAR, BYTEA, INT4, TEXT

MAX_MADE = 1 << 20
"""Bytes of a text that a function may make of a short one: the gateway evaluates for many values at once."""


_INT4_MIN = -(1 << 31)


def _number(count: int) -> bytes:
    return b"%d" % count


def _length(text: bytes) -> int:
    return len(text) if text.isascii() else len(text.decode())


def _with_characters(body: Callable[..., str]) -> Run:
    """A body over characters, for a first argument in bytes, further texts in bytes and whole numbers."""
    return lambda text, *rest: body(text.decode(), *rest).encode()


def _substring(text: bytes, start: bytes, length: bytes | None = None) -> bytes:
    first = int(start)
    if length is None:
        end = None
    else:
        if int(length) < 0:
            raise EvaluationError("negative substring length not allowed", "22011")
        end = max(first + int(length) - 1, 0)
    begin = max(first, 1) - 1
    return text[begin:end] if text.isascii() else text.decode()[begin:end].encode()


def _left(text: bytes, count: bytes) -> bytes:
    return text[: int(count)] if text.isascii() else text.decode()[: int(count)].encode()


def _right(text: bytes, count: bytes) -> bytes:
    wanted = int(count)
    if wanted == 0:
        return b""
    if wanted == _INT4_MIN:  # whose negative is itself there
        return text
    return text[-wanted:] if text.isascii() else text.decode()[-wanted:].encode()


def _split_part(text: bytes, separator: bytes, field: bytes) -> bytes:
    number = int(field)
    if number == 0:
        raise EvaluationError("field position must not be zero", "22023")
    if not text:
        return b""
    parts = text.split(separator) if separator else [text]
    if not -len(parts) <= number <= len(parts):
        return b""
    return parts[number - 1 if number > 0 else number]


def _replace(text: bytes, old: bytes, new: bytes) -> bytes:
    if not old:
        return text
    return _bounded(len(text) + text.count(old) * (len(new) - len(old))) and text.replace(old, new)


def _bounded(length: int) -> bytes:
    """Something true, for a length that may be made."""
    if length > MAX_MADE:
        raise unsupported(f"a text of more than {MAX_MADE} bytes is not made from a protected value")
    return TRUE


def _translate(text: str, old: bytes, new: bytes) -> str:
    table: dict[int, str | None] = {}
    target = new.decode()
    for at, character in enumerate(old.decode()):
        table.setdefault(ord(character), target[at] if at < len(target) else None)
    return text.translate(table)


def _reverse(text: bytes) -> bytes:
    return text[::-1] if text.isascii() else text.decode()[::-1].encode()


def _repeat(text: bytes, count: bytes) -> bytes:
    times = max(int(count), 0)
    _bounded(len(text) * times)
    return text * times


def _pad(text: bytes, length: bytes, fill: bytes = b" ") -> tuple[str, str]:
    """The text, cut to the length, and what is missing to it."""
    characters, wanted, filling = text.decode(), max(int(length), 0), fill.decode()
    _bounded(wanted)
    kept = characters[:wanted]
    missing = wanted - len(kept) if filling else 0
    return kept, (filling * (missing // len(filling) + 1))[:missing] if missing else ""


def _lpad(text: bytes, length: bytes, fill: bytes = b" ") -> bytes:
    kept, padding = _pad(text, length, fill)
    return (padding + kept).encode()


def _rpad(text: bytes, length: bytes, fill: bytes = b" ") -> bytes:
    kept, padding = _pad(text, length, fill)
    return (kept + padding).encode()


def _trim(in_bytes: Callable[[bytes, bytes], bytes], in_text: Callable[[str, str], str]) -> Run:
    def run(text: bytes, characters: bytes = b" ") -> bytes:
        if characters.isascii():
            return in_bytes(text, characters)
        return in_text(text.decode(), characters.decode()).encode()

    return run


def _position(text: bytes, part: bytes) -> bytes:
    at = text.find(part)
    return b"0" if at < 0 else _number(_length(text[:at]) + 1)


def _ascii(text: bytes) -> bytes:
    return _number(ord(text[:4].decode(errors="ignore")[0])) if text else b"0"


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def bytea(canonical: bytes) -> bytes:
    """The octets of a bytea's canonical value, which is in hex."""
    return bytes.fromhex(canonical[2:].decode())


def _cased(method: Callable[[Ctype], Callable[[bytes], bytes]]) -> Binder:
    def bind(collation: Collation | None, constants: Constants) -> Run:
        return method(ctype(collation))

    return bind


def _matching(*, fold: bool, negate: bool) -> Binder:
    """LIKE and its kin: the pattern is compiled once where it is constant."""
    matched, missed = (FALSE, TRUE) if negate else (TRUE, FALSE)

    def bind(collation: Collation | None, constants: Constants) -> Run:
        if collation is not None and not collation.deterministic:
            raise unsupported("nondeterministic collations are not supported for LIKE")
        lower = ctype(collation).lower if fold else bytes
        text, pattern = constants
        if pattern is None:
            return lambda *values: _match_once(
                lower, matched, missed, *(values if text is None else (text, *values))
            )
        test = like.compile_like(lower(pattern))
        if fold:
            return lambda value: matched if test(lower(value)) else missed
        return lambda value: matched if test(value) else missed

    return bind


def _match_once(
    lower: Callable[[bytes], bytes], matched: bytes, missed: bytes, text: bytes, pattern: bytes
) -> bytes:
    return matched if like.compile_like(lower(pattern))(lower(text)) else missed


def _regular(*, fold: bool, negate: bool) -> Binder:
    """``~`` and its kin."""
    matched, missed = (FALSE, TRUE) if negate else (TRUE, FALSE)

    def bind(collation: Collation | None, constants: Constants) -> Run:
        locale = ctype(collation)
        text, pattern = constants
        if pattern is not None:
            test = compile_regex(pattern, locale, fold=fold)
            return lambda value: matched if test(value) else missed

        def run(*values: bytes) -> bytes:
            subject, expression = values if text is None else (text, *values)
            return matched if compile_regex(expression, locale, fold=fold)(subject) else missed

        return run

    return bind


def _regexp_like(collation: Collation | None, constants: Constants) -> Run:
    """``regexp_like(text, pattern, flags)`` of PostgreSQL 15 and later."""
    locale = ctype(collation)

    def test(text: bytes, pattern: bytes, flags: bytes = b"") -> bytes:
        return TRUE if compile_regex(pattern, locale, flags=_flags(flags))(text) else FALSE

    text, pattern, *rest = constants
    if text is None and pattern is not None and None not in rest:
        prepared = compile_regex(pattern, locale, flags=_flags(rest[0] or b"" if rest else b""))
        return lambda value: TRUE if prepared(value) else FALSE
    return fill(test, constants)


def _flags(flags: bytes) -> str:
    """Those of the third argument (parse_re_flags)."""
    letters = flags.decode()
    for letter in letters:
        if letter not in "bceimnpqstwx":
            raise EvaluationError("invalid regular expression option", "22023")
    return letters


def _same_for(
    function: str, argument_rows: tuple[tuple[int, ...], ...], result: int, bind: Binder
) -> list[Entry]:
    return [entry(function, row, result, bind) for row in argument_rows]


_T, _TT, _TI = (TEXT,), (TEXT, TEXT), (TEXT, INT4)
_PATTERNS = (_TT, (BPCHAR, TEXT))
_STARTS = plain(truth(bytes.startswith))
_SUBSTRING, _POSITION = plain(_substring), plain(_position)
_LENGTH = plain(lambda text: _number(_length(text)))
_BPCHAR_LENGTH = plain(lambda text: _number(_length(text.rstrip(b" "))))
_OCTETS = plain(lambda text: _number(len(text)))

ENTRIES: tuple[Entry, ...] = (
    *_same_for("~~", _PATTERNS, BOOL, _matching(fold=False, negate=False)),
    *_same_for("!~~", _PATTERNS, BOOL, _matching(fold=False, negate=True)),
    *_same_for("~~*", _PATTERNS, BOOL, _matching(fold=True, negate=False)),
    *_same_for("!~~*", _PATTERNS, BOOL, _matching(fold=True, negate=True)),
    *_same_for("~", _PATTERNS, BOOL, _regular(fold=False, negate=False)),
    *_same_for("!~", _PATTERNS, BOOL, _regular(fold=False, negate=True)),
    *_same_for("~*", _PATTERNS, BOOL, _regular(fold=True, negate=False)),
    *_same_for("!~*", _PATTERNS, BOOL, _regular(fold=True, negate=True)),
    entry("regexp_like", _TT, BOOL, _regexp_like),
    entry("regexp_like", (TEXT, TEXT, TEXT), BOOL, _regexp_like),
    *_same_for("similar_to_escape", (_T, _TT), TEXT, plain(similar_to_escape)),
    entry("like_escape", _TT, TEXT, plain(like.escape_pattern)),
    entry("^@", _TT, BOOL, _STARTS),
    entry("starts_with", _TT, BOOL, _STARTS),
    entry("lower", _T, TEXT, _cased(lambda c: c.lower)),
    entry("upper", _T, TEXT, _cased(lambda c: c.upper)),
    entry("initcap", _T, TEXT, _cased(lambda c: c.initcap)),
    *[
        entry(name, arguments, TEXT, plain(_trim(in_bytes, in_text)))
        for name, in_bytes, in_text in (
            ("btrim", bytes.strip, str.strip),
            ("ltrim", bytes.lstrip, str.lstrip),
            ("rtrim", bytes.rstrip, str.rstrip),
        )
        for arguments in (_T, _TT)
    ],
    *[
        entry(name, arguments, TEXT, _SUBSTRING)
        for name in ("substr", "substring")
        for arguments in (_TI, (TEXT, INT4, INT4))
    ],
    entry("substring", _TT, TEXT, None),
    entry("left", _TI, TEXT, plain(_left)),
    entry("right", _TI, TEXT, plain(_right)),
    entry("split_part", (TEXT, TEXT, INT4), TEXT, plain(_split_part)),
    entry("replace", (TEXT, TEXT, TEXT), TEXT, plain(_replace)),
    entry("translate", (TEXT, TEXT, TEXT), TEXT, plain(_with_characters(_translate))),
    entry("reverse", _T, TEXT, plain(_reverse)),
    entry("repeat", _TI, TEXT, plain(_repeat)),
    *[
        entry(name, arguments, TEXT, plain(body))
        for name, body in (("lpad", _lpad), ("rpad", _rpad))
        for arguments in (_TI, (TEXT, INT4, TEXT))
    ],
    *[
        entry(name, (kind,), INT4, bind)
        for name in ("length", "char_length", "character_length")
        for kind, bind in ((TEXT, _LENGTH), (BPCHAR, _BPCHAR_LENGTH))
    ],
    entry("length", (BYTEA,), INT4, plain(lambda value: _number(len(value) // 2 - 1))),
    entry("octet_length", _T, INT4, _OCTETS),
    entry("octet_length", (BPCHAR,), INT4, _OCTETS),
    entry("octet_length", (BYTEA,), INT4, plain(lambda value: _number(len(value) // 2 - 1))),
    entry("bit_length", _T, INT4, plain(lambda text: _number(8 * len(text)))),
    entry("bit_length", (BYTEA,), INT4, plain(lambda value: _number(8 * (len(value) // 2 - 1)))),
    entry("strpos", _TT, INT4, _POSITION),
    entry("position", _TT, INT4, _POSITION),
    entry("||", _TT, TEXT, plain(lambda left, right: left + right)),
    entry("ascii", _T, INT4, plain(_ascii)),
    entry("md5", _T, TEXT, plain(_md5)),
    entry("md5", (BYTEA,), TEXT, plain(lambda value: _md5(bytea(value)))),
    entry(
        "sha256",
        (BYTEA,),
        BYTEA,
        plain(lambda value: b"\\x" + hashlib.sha256(bytea(value)).hexdigest().encode()),
    ),
)
