"""The portal: files of the package, served as they are. They hold nothing of anybody; what they show comes by the API."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from pgnym.admin.application import ANYONE, Call
from pgnym.admin.routing import Content, Reply, Route

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-cache",  # ask each time whether it has changed: a gateway may have been updated
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def _handler(data: bytes, kind: str) -> Callable[[Call], Awaitable[Reply]]:
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = _HEADERS | {"ETag": tag}

    async def serve(call: Call) -> Reply:
        known = call.request.headers.get("if-none-match", "")
        if tag in [part.strip().removeprefix("W/") for part in known.split(",")]:
            return Reply(None, 304, headers)
        return Reply(Content(data, kind), headers=headers)

    return serve


def _routes() -> tuple[Route, ...]:
    found = []
    for file in sorted(files("pgnym.admin").joinpath("portal").iterdir(), key=lambda file: file.name):
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is None:
            continue
        path = "/" if file.name == "index.html" else f"/portal/{file.name}"
        found.append(
            Route(
                "GET", path, f"portal {file.name}", "The portal", _handler(file.read_bytes(), kind), None, ANYONE,
                sealed=True, audited=False, media_type=kind, described=False,
            )
        )  # fmt: skip
    return tuple(found)


ROUTES = _routes()
