"""The routing table: which handler answers a method and path, who may call it, and what it takes and gives.

The same table is what ``openapi.py`` describes, so the description can't say anything else than what is checked.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from pgnym.admin.api_tokens import Role
from pgnym.admin.problems import Problem

MOST_FIELDS = 50
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]").match


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """A body that isn't JSON, as it is sent."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: a struct to be encoded as JSON, ``Content``, or None for no content."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class IfMatch(Enum):
    """What becomes of the header If-Match (RFC 9110 section 13.1.1) of an operation."""

    NOT = "not"  # it is of no use here
    MAY = "may"
    MUST = "must"  # 428 without it (RFC 6585 section 3)


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``roles`` None: without a token. ``sealed``: possible while the gateway is sealed.

    ``secret_body``: what is wrong with the body is told without naming anything of it. ``first``: its audit record is
    written before it is done, since afterwards it can't be. ``if_match``: whether it may, or must, say which version of
    what is there it is for (see ``conditions``). ``media_type``: of the answer, where it is ``Content``.

    ``refusals``: statuses beyond those that any such operation may answer. ``html``: whether it answers with a page as well,
    where that is asked for. ``described``: whether it is part of the interface.
    """

    method: str
    path: str
    operation: str
    summary: str
    handler: Callable[[Any], Awaitable[Reply]]
    answer: Any
    roles: frozenset[Role] | None
    status: int = 200
    parameters: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    sealed: bool = False
    secret_body: bool = False
    first: bool = False
    audited: bool = True
    if_match: IfMatch = IfMatch.NOT
    media_type: str = "application/json"
    refusals: frozenset[int] = frozenset()
    html: bool = False
    described: bool = True

    @property
    def once(self) -> bool:
        """Whether it takes an Idempotency-Key: every POST that is made with a token, but for one that ends all."""
        return self.method == "POST" and self.roles is not None and not self.first

    @property
    def changes(self) -> bool:
        """Whether it may change something. That it begins is recorded, too: whoever kills the gateway leaves a trace."""
        return self.method != "GET" and self.roles is not None and not self.first


class Router:
    """Finds routes. ``{name}`` in a path stands for one segment."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._paths: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        known: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            methods = known.get(route.path)
            if methods is None:
                methods = known[route.path] = {}
                pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
                self._paths.append((re.compile(pattern), methods))
            methods[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path parameters, decoded. Raises Problem 404, 405 or 400."""
        for pattern, methods in self._paths:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                allowed = sorted(methods) + (["HEAD"] if "GET" in methods else [])
                raise Problem(
                    405,
                    f"not possible here; there is: {', '.join(allowed)}",
                    headers={"Allow": ", ".join(allowed)},
                )
            try:
                return route, {
                    name: unquote(part, errors="strict") for name, part in found.groupdict().items()
                }
            except UnicodeDecodeError:
                raise Problem(400, "the path is not UTF-8") from None
        raise Problem(404, "there is nothing of this name; see /openapi.json")


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, in origin or absolute form (RFC 9112 section 3.2). Raises Problem 400."""
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query
    try:
        parts = urlsplit(target)
    except ValueError:
        raise Problem(400, "the request target can't be read") from None
    if parts.scheme not in ("http", "https"):
        raise Problem(400, "the request target is neither a path nor a URL")
    return parts.path or "/", parts.query


def read_query(route: Route, query: str) -> msgspec.Struct | None:
    """The query's parameters. Raises Problem 400."""
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:  # UnicodeDecodeError too
        raise Problem(
            400, "the query can't be read: expected name=value pairs in UTF-8, percent-encoded"
        ) from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Problem(400, "a parameter is given twice")
    if route.query is None:
        if given:
            raise Problem(400, "no parameters are taken here")
        return None
    return _converted(given, route.query, "the query")


def read_parameters(route: Route, given: dict[str, str]) -> msgspec.Struct | None:
    """The path's parameters. Raises Problem 404: a path that can't be is one that isn't there."""
    if route.parameters is None:
        return None
    try:
        return msgspec.convert(given, route.parameters, strict=False)
    except msgspec.ValidationError:
        raise Problem(404, "there is nothing of this name") from None


def read_body(route: Route, request: Request) -> msgspec.Struct | None:
    """The body. Raises Problem 400, 415 or 422."""
    if route.body is None:
        if request.body and request.method not in ("GET", "HEAD"):
            raise Problem(400, "no body is taken here")
        return None
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "a body must not be compressed", headers={"Accept-Encoding": "identity"})
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "expected application/json", headers={"Accept": "application/json"})
    try:
        parsed = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "the body is not JSON") from None
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None
    try:
        return msgspec.convert(parsed, route.body)
    except msgspec.ValidationError as error:
        if route.secret_body:
            raise Problem(400, "the body is not what is expected; see /openapi.json") from None
        raise Problem(422, f"the body: {error}") from None


def _converted(given: dict[str, str], kind: type[msgspec.Struct], what: str) -> msgspec.Struct:
    try:
        found = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(400, f"{what}: {error}") from None
    for name, text in given.items():
        value = getattr(found, name)
        if value is None:  # msgspec takes the word "null" for it
            raise Problem(400, f"{what}: {name} can't be null; leave it out")
        if isinstance(value, datetime) and _DATE(text) is None:  # and numbers for seconds since 1970
            raise Problem(400, f"{what}: {name}: expected a time as in RFC 3339")
    return found
