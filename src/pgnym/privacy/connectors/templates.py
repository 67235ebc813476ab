"""Requests with places for the identifier: ``{value}``, and ``{item}`` for what was found.

``{value:FORM}`` gives it another form: ``lower``; ``md5``, the MD5 of it in lower case (how Mailchimp names a subscriber);
``soql``, escaped for a string in Salesforce's query language. In a URL all of it is percent-encoded afterwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

_PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")
_SOQL = str.maketrans({"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})

FORMS: Mapping[str, Callable[[str], str]] = {
    "": str,
    "lower": str.lower,
    "md5": lambda text: hashlib.md5(text.lower().encode(), usedforsecurity=False).hexdigest(),
    "soql": lambda text: text.translate(_SOQL),
}


def check(template: Any, names: frozenset[str]) -> str | None:
    """What is wrong with a template (in whatever it is nested in), or None."""
    for text in _texts(template):
        for name, form in _PLACE.findall(text):
            if name not in names:
                return f"{{{name}}} is not known here: {', '.join(f'{{{known}}}' for known in sorted(names))}"
            if form not in FORMS:
                return f"there is no form {form}: {', '.join(filter(None, FORMS))}"
    return None


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """The template with the values in their places, within mappings and lists too."""
    if isinstance(template, str):
        return _PLACE.sub(lambda found: FORMS[found[2] or ""](values[found[1]]), template)
    if isinstance(template, Mapping):
        return {name: filled(each, values) for name, each in template.items()}
    if isinstance(template, list):
        return [filled(each, values) for each in template]
    return template


def path(template: str, values: Mapping[str, str]) -> str:
    """A path with the values in their places, each percent-encoded: a value can't become a segment of its own."""
    return _PLACE.sub(lambda found: quote(FORMS[found[2] or ""](values[found[1]]), safe=""), template)


def _texts(template: Any) -> list[str]:
    if isinstance(template, str):
        return [template]
    inner = (
        template.values() if isinstance(template, Mapping) else template if isinstance(template, list) else ()
    )
    return [text for each in inner for text in _texts(each)]
