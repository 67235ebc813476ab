"""Whether a value that is to be stored is what its column is for: ``validate`` of the configuration.

Pure functions on canonical values. The standards are left to libraries: IBAN (ISO 13616) and Luhn (ISO/IEC 7812-1) to
``python-stdnum``, JSON Schema to ``fastjsonschema``, regular expressions to RE2, whose time is linear in the value.
NULL and the empty string are stored as they are, and not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import re2
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError

Validator = Callable[[bytes], bool]
Rule = str | Mapping[str, Any]

# What browsers accept in <input type=email> (HTML Living Standard, 4.10.5.1.5); lengths by RFC 5321 4.5.3.1.
_EMAIL = re.compile(
    rb"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\x80-\xff-]{1,64}"
    rb"@[a-zA-Z0-9\x80-\xff](?:[a-zA-Z0-9\x80-\xff-]{0,61}[a-zA-Z0-9\x80-\xff])?"
    rb"(?:\.[a-zA-Z0-9\x80-\xff](?:[a-zA-Z0-9\x80-\xff-]{0,61}[a-zA-Z0-9\x80-\xff])?)*"
)
_EMAIL_LENGTH = 254
_E164 = re.compile(rb"\+[1-9][0-9]{1,14}")  # ITU-T E.164: a country code and at most 15 digits in all
_RULES = frozenset(("regex", "json_schema"))


def is_email(value: bytes) -> bool:
    """An e-mail address without comments, quotes or display name. Non-ASCII is let through (RFC 6531)."""
    return len(value) <= _EMAIL_LENGTH and _EMAIL.fullmatch(value) is not None


def is_e164(value: bytes) -> bool:
    """A telephone number in international form, digits alone behind the plus sign."""
    return _E164.fullmatch(value) is not None


def is_iban(value: bytes) -> bool:
    """An IBAN of a known country, with its length, structure and check digits right; spaces between are accepted."""
    return _standard(iban.validate, value)


def is_luhn(value: bytes) -> bool:
    """Digits (payment cards, IMEIs) with the right check digit; spaces and hyphens between are accepted."""
    return _standard(luhn.validate, value.replace(b" ", b"").replace(b"-", b""))


_NAMED: dict[str, Validator] = {"email": is_email, "e164": is_e164, "iban": is_iban, "luhn": is_luhn}


def validator(rule: Rule) -> Validator:
    """The check for a rule. Raises ValueError, with what is wrong, for a rule that can't be understood."""
    if isinstance(rule, str):
        known = _NAMED.get(rule)
        if known is None:
            raise ValueError(f"expected one of {', '.join(_NAMED)}")
        return known
    if len(rule) != 1 or not _RULES.issuperset(rule):
        raise ValueError("expected {regex: …} or {json_schema: …}")
    ((kind, given),) = rule.items()
    return _regex(given) if kind == "regex" else _json_schema(given)


def described(rule: Rule) -> str:
    """What a value must be, for errors."""
    if isinstance(rule, str):
        return {"email": "an e-mail address", "e164": "a phone number in E.164 form", "iban": "an IBAN"}.get(
            rule, "a number with a Luhn check digit"
        )
    return "what its regular expression asks for" if "regex" in rule else "what its JSON schema asks for"


def _standard(validate: Callable[[str], str], value: bytes) -> bool:
    try:
        validate(value.decode("ascii"))
    except (ValidationError, UnicodeDecodeError):
        return False
    return True


def _regex(pattern: object) -> Validator:
    if not isinstance(pattern, str):
        raise ValueError("regex: expected a text")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error:
        raise ValueError("regex: not a regular expression that RE2 understands") from None

    def check(value: bytes) -> bool:
        return compiled.fullmatch(value.decode("utf-8", "surrogateescape")) is not None

    return check


def _json_schema(schema: object) -> Validator:
    if not isinstance(schema, Mapping):
        raise ValueError("json_schema: expected a mapping")
    try:
        check_document = fastjsonschema.compile(dict(schema), use_default=False)
    except (fastjsonschema.JsonSchemaException, TypeError, AttributeError, re.error) as error:
        raise ValueError(f"json_schema: not a JSON schema ({type(error).__name__})") from None

    def check(value: bytes) -> bool:
        try:
            check_document(json.loads(value))
        except (fastjsonschema.JsonSchemaException, ValueError):
            return False
        return True

    return check
