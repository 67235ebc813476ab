"""The description of the admin endpoint (OpenAPI 3.1), made from its routing table."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from pgnym import __version__
from pgnym.admin.idempotency import KEY_PATTERN
from pgnym.admin.problems import ProblemBody
from pgnym.admin.routing import IfMatch, Route

_REFS = "#/components/schemas/{name}"


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The document."""
    routes = [route for route in routes if route.described]
    types = [ProblemBody, *(t for route in routes for t in (route.body, route.answer) if t is not None)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFS)
    of_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    problem = {
        "content": {"application/problem+json": {"schema": of_type[id(ProblemBody)]}},
    }
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_type, problem)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pgnym admin",
            "version": __version__,
            "description": "Errors are problem details (RFC 9457).",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, of_type: dict[int, Any], problem: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        answer["content"] = {route.media_type: {"schema": of_type[id(route.answer)]}}
    elif route.media_type != "application/json":
        answer["content"] = {route.media_type: {"schema": {"type": "string"}}}
    if route.html:
        answer["content"]["text/html"] = {"schema": {"type": "string"}}
    told: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "responses": {str(route.status): answer},
    }
    for status in sorted(_refusals(route)):
        told["responses"][str(status)] = {"description": HTTPStatus(status).phrase, **problem}
    parameters = [
        *_parameters(route.parameters, "path"),
        *_parameters(route.query, "query"),
        *_headers(route),
    ]
    if parameters:
        told["parameters"] = parameters
    if route.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": of_type[id(route.body)]}},
        }
    if route.roles is not None:
        told["security"] = [{"token": []}]
        told["x-roles"] = sorted(role.value for role in route.roles)
        told["description"] = "Roles: " + ", ".join(sorted(role.value for role in route.roles)) + "."
    return told


def _refusals(route: Route) -> set[int]:
    found = {400, 429, 503, *route.refusals}
    if route.roles is not None:
        found |= {401, 403}
    if route.parameters is not None:
        found.add(404)
    if route.query is not None:
        found.add(404)  # a tenant that isn't there
    if route.body is not None:
        found |= {403, 404, 409, 413, 415, 422}
    if route.method == "DELETE":
        found.add(409)
    if route.if_match is not IfMatch.NOT:
        found |= {409, 412}
    if route.if_match is IfMatch.MUST:
        found.add(428)
    if route.method == "POST":
        found.add(409)
    if route.once:
        found.add(422)
    return found


def _headers(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if route.if_match is not IfMatch.NOT:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": route.if_match is IfMatch.MUST,
                "description": "Only if it still has this ETag.",
                "schema": {"type": "string"},
            }
        )
    if route.once:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Of a request that is sent again, with the same key, the first answer is given again.",
                "schema": {"type": "string", "pattern": KEY_PATTERN, "maxLength": 255},
            }
        )
    return found


def _parameters(kind: type[msgspec.Struct] | None, place: str) -> list[dict[str, Any]]:
    if kind is None:
        return []
    (_,), components = msgspec.json.schema_components([kind], ref_template=_REFS)
    schema = components[kind.__name__]
    return [
        {
            "name": name,
            "in": place,
            "required": place == "path" or name in schema.get("required", ()),
            "schema": _inline(part, components),
        }
        for name, part in schema["properties"].items()
    ]


def _inline(part: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Without references: a parameter's types are not among the components. No null: a query can't give one."""
    if "$ref" in part:
        return dict(components[part["$ref"].rpartition("/")[2]])
    if "anyOf" in part:
        kinds = [_inline(each, components) for each in part["anyOf"] if each != {"type": "null"}]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {name: value for name, value in part.items() if name != "default" or value is not None}
