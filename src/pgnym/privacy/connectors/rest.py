"""Systems with a REST API in JSON, as the configuration describes it (docs/connectors.md: HubSpot, Mailchimp, Salesforce).

``find`` gives what is held on a person: a report's part. To erase, ``find`` is asked first where items have an ID, and
``erase`` is sent for each; else ``erase`` is sent once.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Meta

from pgnym.config.errors import ConfigError
from pgnym.privacy.connectors import templates
from pgnym.privacy.connectors.http import Response, fetch
from pgnym.privacy.connectors.interface import LOOPBACK, Connector, ConnectorError, Setup

_ROUNDS = 20  # of finding and erasing where a page is full
_REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all options: frozen, and an unknown key is an error."""


class Ask(Part, frozen=True):
    """A request: ``METHOD /path``, query parameters, a JSON body. ``ok``: the statuses of success. ``missing``: those that
    say that there is nothing."""

    request: str
    query: dict[str, str] = {}
    json: Any = None
    ok: tuple[int, ...] = (200, 201, 202, 204)
    missing: tuple[int, ...] = (404,)


class Find(Ask, frozen=True):
    """``items``: where in the answer they are (keys with dots between; "": the answer is one item). ``id``: where in an item
    its ID is. ``most``: how many one answer has at most; as many may not be all."""

    items: str = ""
    id: str | None = None
    most: Annotated[int, Meta(ge=1)] | None = None


class OAuth(Part, frozen=True):
    """A token by client credentials (RFC 6749 section 4.4)."""

    token_path: str
    client_id: str
    secret_file: str


class Basic(Part, frozen=True):
    """HTTP Basic authentication."""

    user: str
    password_file: str


class Options(Part, frozen=True):
    """All of it. One of ``bearer_file``, ``basic`` and ``oauth``, or none."""

    url: str
    find: Find
    erase: Ask
    headers: dict[str, str] = {}
    bearer_file: str | None = None
    basic: Basic | None = None
    oauth: OAuth | None = None
    authority_file: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Rest:
    """A REST API. ``fixed``: headers of every request; ``secret``: of the OAuth client."""

    options: Options
    fixed: dict[str, str]
    secret: str
    tls: ssl.SSLContext

    async def report(self, identifier: str) -> list[Any]:
        """What ``find`` gives."""
        items = await self._found(identifier, await self._headers())
        most = self.options.find.most
        if most is not None and len(items) >= most:
            raise ConnectorError(f"it answered {len(items)} items: there may be more than one answer holds")
        return items

    async def erase(self, identifier: str) -> int:
        """``erase`` for each item that is found, or once."""
        headers = await self._headers()
        find = self.options.find
        if find.id is None:
            answer = await self._ask(self.options.erase, {"value": identifier}, headers)
            return 0 if answer is None else 1
        erased = 0
        for _ in range(_ROUNDS):
            items = await self._found(identifier, headers)
            for item in items:
                which = _at(item, find.id)
                if not isinstance(which, str | int):
                    raise ConnectorError(f"an item has no ID at {find.id}")
                values = {"value": identifier, "item": str(which)}
                erased += await self._ask(self.options.erase, values, headers) is not None
            if find.most is None or len(items) < find.most:
                return erased
        raise ConnectorError(f"after {erased} items there are still more")

    async def _found(self, identifier: str, headers: dict[str, str]) -> list[Any]:
        answer = await self._ask(self.options.find, {"value": identifier}, headers)
        if answer is None:
            return []
        try:
            content = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            raise ConnectorError("what it answered is not JSON") from None
        where = self.options.find.items
        items = _at(content, where) if where else [content]
        if not isinstance(items, list):
            raise ConnectorError(f"its answer has no list at {where}")
        return items

    async def _ask(self, ask: Ask, values: dict[str, str], headers: dict[str, str]) -> Response | None:
        """The answer; None if it says that there is nothing."""
        method, _, path = ask.request.partition(" ")
        url = self.options.url.rstrip("/") + templates.path(path, values)
        if ask.query:
            url += "?" + urlencode(templates.filled(ask.query, values))
        body = None if ask.json is None else msgspec.json.encode(templates.filled(ask.json, values))
        kind = {} if body is None else {"Content-Type": "application/json"}
        answer = await fetch(method, url, headers | kind, body, self.tls)
        if answer.status in ask.missing:
            return None
        if answer.status not in ask.ok:
            raise ConnectorError(f"{method} was answered {answer.status}")
        return answer

    async def _headers(self) -> dict[str, str]:
        """Those of every request, with a token where one has to be fetched."""
        oauth = self.options.oauth
        if oauth is None:
            return self.fixed
        form = {
            "grant_type": "client_credentials",
            "client_id": oauth.client_id,
            "client_secret": self.secret,
        }
        url = self.options.url.rstrip("/") + oauth.token_path
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await fetch("POST", url, self.fixed | kind, urlencode(form).encode(), self.tls)
        try:
            token = msgspec.json.decode(answer.body)["access_token"]
        except (msgspec.DecodeError, KeyError, TypeError):
            raise ConnectorError(f"no token was given ({answer.status})") from None
        return self.fixed | {"Authorization": f"Bearer {token}"}


def make(setup: Setup) -> Connector:
    """A connector of kind ``rest``. Raises ConfigError."""
    options = setup.read(Options)
    _check(setup, options)
    headers = dict(options.headers)
    if options.bearer_file is not None:
        headers["Authorization"] = f"Bearer {setup.secret('bearer_file', options.bearer_file)}"
    if options.basic is not None:
        password = setup.secret("basic.password_file", options.basic.password_file)
        pair = base64.b64encode(f"{options.basic.user}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    secret = "" if options.oauth is None else setup.secret("oauth.secret_file", options.oauth.secret_file)
    return Rest(options, headers, secret, setup.authorities(options.authority_file))


def _check(setup: Setup, options: Options) -> None:
    try:
        parts = urlsplit(options.url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise ConfigError(setup.place("url"), "expected https://HOST[:PORT][/PATH]")
    if parts.username is not None:
        raise ConfigError(setup.place("url"), "holds a user or a password", "use basic or bearer_file")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigError(setup.place("url"), "must be https beyond this machine")
    if sum(each is not None for each in (options.bearer_file, options.basic, options.oauth)) > 1:
        raise ConfigError(setup.place(""), "has several ways to authenticate", "give one")
    for name in options.headers:
        if name.lower() in ("authorization", "cookie"):
            raise ConfigError(
                setup.place("headers"), f"{name} is a secret", "use bearer_file, basic or oauth"
            )
    known = frozenset(("value", "item")) if options.find.id is not None else frozenset(("value",))
    for name, ask, names in (("find", options.find, frozenset(("value",))), ("erase", options.erase, known)):
        if not _REQUEST.fullmatch(ask.request):
            raise ConfigError(setup.place(f"{name}.request"), "expected METHOD /PATH")
        for part in (ask.request, ask.query, ask.json):
            wrong = templates.check(part, names)
            if wrong is not None:
                raise ConfigError(setup.place(name), wrong)
        if not any("{" in text for text in (ask.request, *ask.query.values(), repr(ask.json))):
            raise ConfigError(
                setup.place(name), "says nowhere whom it is about", "use {value}, or {item} in erase"
            )


def _at(content: Any, where: str) -> Any:
    for key in where.split("."):
        if not isinstance(content, dict):
            return None
        content = content.get(key)
    return content
