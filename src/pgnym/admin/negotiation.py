"""Which of two forms of an answer a client wants (RFC 9110 section 12.5.1)."""

from __future__ import annotations


def prefers_html(accept: str) -> bool:
    """Whether ``Accept`` names text/html, and names it no lower than application/json."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    html = weights.get("text/html", 0.0)
    return html > 0 and html >= weights.get("application/json", 0.0)
