"""The one spelling of what may be written in several: ``normalize: email`` and ``normalize: phone`` of the configuration.

Pure functions on canonical values, which give None for what is no e-mail address or phone number. What has been normalized
stays as it is when it is normalized again. The rules of alphabets and countries are left to libraries: domain names to
``idna`` (RFC 5891, UTS #46), phone numbers to ``phonenumbers`` (ITU-T E.164 and each country's own plan).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

import idna
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from pgnym.policy.validation import is_e164, is_email

Normalizer = Callable[[bytes], bytes | None]

_NAMES = {"email": "an e-mail address", "phone": "a phone number"}
# The library looks for a number within any text, and takes letters for keys of a dial; a value must be nothing but a number.
_PHONE = re.compile(r"\+?[0-9(][0-9 ()./\u00a0\u2010\u2011\u2013-]{1,40}")
_ENCODED = b"xn--"  # begins a label that stands for another (RFC 5890, 2.3.2.1)


def email(value: bytes) -> bytes | None:
    """An e-mail address with its domain in ASCII lower case, and its local part in lower case, too.

    A local part belongs to its host, which may tell ``Ann`` from ``ann``, but should have no mailboxes that differ in
    nothing else (RFC 5321, 2.4 and 4.1.2). In other alphabets it is of Unicode's form C (RFC 6532, 3.1).
    """
    if not is_email(value):
        return None
    domain = value.lower().rpartition(b"@")[2]
    if value.isascii() and not domain.startswith(_ENCODED) and b"." + _ENCODED not in domain:
        return value.lower()
    try:
        return _email_in_unicode(value.decode())
    except (UnicodeError, idna.IDNAError):
        return None


def _email_in_unicode(value: str) -> bytes | None:
    local, _, domain = value.rpartition("@")
    name = idna.encode(domain, uts46=True, std3_rules=True)
    # Letter by letter, so that no letter depends on those beside it.
    lowered = "".join([character.lower()[0] for character in unicodedata.normalize("NFC", local)])
    found = unicodedata.normalize("NFC", lowered).encode() + b"@" + name
    if not is_email(found) or "".join([c.lower()[0] for c in found.decode()]).encode() != found:
        return None
    return found


def phone(value: bytes, region: str | None) -> bytes | None:
    """A phone number in E.164 form: ``+``, country code, digits. ``region``: of numbers without a country code.

    None also for a number of impossible length, and for one with an extension, which E.164 has no place for.
    """
    try:
        text = value.decode()
        if _PHONE.fullmatch(text) is None:
            return None
        found = _e164(text, region)
        return found.encode() if _e164(found, None) == found else None
    except (NumberParseException, UnicodeError, ValueError):
        return None


def _e164(text: str, region: str | None) -> str:
    number = phonenumbers.parse(text, region)
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError("of impossible length")
    found = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not is_e164(found.encode()):
        raise ValueError("beyond E.164")
    return found


@cache
def normalizer(rule: str) -> Normalizer:
    """The normalizer of a rule: ``email``, ``phone``, or ``phone:DE`` with the country of numbers that name none.

    Raises ValueError for a country that there is no numbering plan of.
    """
    kind, _, region = rule.partition(":")
    if kind == "email":
        return email
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{region} is no country with phone numbers (ISO 3166-1 alpha-2)")
    return lambda value: phone(value, region or None)


def normalized(rule: str, value: bytes) -> bytes:
    """The value that is meant by a value to compare with; itself if it isn't what the column is of, and so equals none."""
    if not rule or not value:
        return value
    found = normalizer(rule)(value)
    return value if found is None else found


def named(rule: str) -> str:
    """What a value must be, for errors."""
    return _NAMES[rule.partition(":")[0]]
