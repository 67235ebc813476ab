"""``GET /metrics``: what is counted, for Prometheus."""

from __future__ import annotations

from dataclasses import replace

from pgnym.admin.api_tokens import Role
from pgnym.admin.application import ANYONE, Call
from pgnym.admin.routing import Content, Reply, Route
from pgnym.config.model import Config
from pgnym.metrics.exposition import exposed


async def show_metrics(call: Call) -> Reply:
    """The sum of all workers, whichever answers."""
    data, kind = exposed(call.app.status.measures(), call.request.headers.get("accept", ""))
    return Reply(Content(data, kind))


# Not in the audit log, which a scrape every few seconds would fill: it tells nothing of anybody. Refusals are there.
METRICS = Route(
    "GET", "/metrics", "showMetrics", "Counters and gauges", show_metrics, None,
    frozenset({Role.ROOT, Role.OPERATOR, Role.AUDITOR}), audited=False, media_type="text/plain",
)  # fmt: skip


def as_configured(routes: tuple[Route, ...], config: Config) -> tuple[Route, ...]:
    """The routes, with ``/metrics`` open to anybody, also while the gateway is sealed, where ``admin.metrics`` says so."""
    if config.admin.metrics != "public":
        return routes
    return tuple(replace(route, roles=ANYONE, sealed=True) if route is METRICS else route for route in routes)
