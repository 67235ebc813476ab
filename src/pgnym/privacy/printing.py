"""A report as one HTML page, to be read and printed (or saved as PDF by the browser's print).

Self-contained: no script, no image, nothing is loaded. All that comes from the database is text: escaped, shown in isolation
(so that right-to-left marks in a value don't reach what stands beside it), with control characters made visible.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import msgspec

_STYLE = """
@page { size: A4; margin: 18mm 15mm; @bottom-right { content: counter(page) " / " counter(pages); font-size: 9pt } }
:root { color-scheme: light dark }
body { font: 10.5pt/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; break-after: avoid }
h3 { font-size: 1rem; break-after: avoid }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.2rem }
tr { break-inside: avoid } thead { display: table-header-group }
th, td { border: 1px solid #8888; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }
table.row th { width: 14rem; font-weight: 600 }
.none { opacity: .7; font-style: italic }
@media print { body { margin: 0; max-width: none; padding: 0 } :root { color-scheme: light } }
"""
STYLE_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""The Content-Security-Policy that lets the page have its style, and nothing else."""

_PARTS = (
    (
        "processing_activities",
        "What it is processed for",
        "The register names no activity with these columns.",
    ),
    ("legal_bases", "On what legal bases", "The register names none."),
    ("restriction", "Restriction of processing", "There was none."),
    ("consents", "What the person agrees to", "Nothing is recorded."),
    ("requests", "What the person has asked for", "Nothing."),
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SEEN = ("time", "user", "role", "client_address", "application_name", "purpose", "values", "statement")


async def page(report: Mapping[str, Any]) -> bytes:
    """The page. ``report``: as ``Reporter.report`` gives it. Built in a thread of its own: it may be long."""
    encoded = msgspec.json.encode(report)
    return await asyncio.to_thread(render, encoded)


def render(encoded: bytes) -> bytes:
    """The page of a report in JSON. Numbers keep all their digits."""
    told = json.loads(encoded, parse_float=str, parse_int=str)
    subject = told["subject"]
    title = f"Personal data of {subject['table']} {subject['id']}"
    parts = [
        _head(title),
        f"<p>Made <time>{_text(told['made'])}</time> for tenant {_text(told['tenant'])}.",
        f" {_text(told['values'])} protected values are shown",
        f"; {_text(told['tokens_without_value'])} don't open and are shown as tokens"
        if told["tokens_without_value"] != "0"
        else "",
        ".</p>",
    ]
    for name, rows in told["tables"].items():
        parts.append(f"<section><h2>Table {_text(name)}</h2>")
        parts += [_row(number, row) for number, row in enumerate(rows, 1)]
        parts.append("</section>" if rows else '<p class="none">No row.</p></section>')
    for name, title, nothing in _PARTS:
        parts.append(f"<section><h2>{title}</h2>")
        parts += [_row(number, each) for number, each in enumerate(told[name], 1)]
        parts.append("</section>" if told[name] else f'<p class="none">{nothing}</p></section>')
    for part in told["elsewhere"]:
        parts.append(f"<section><h2>Held by {_text(part['connector'])} ({_text(part['kind'])})</h2>")
        if part["error"] is not None:
            parts.append(f'<p role="note"><strong>Not known in full:</strong> {_text(part["error"])}.</p>')
        parts.append("".join(f"<div>{_cell(found)}</div>" for found in part["found"]))
        if not part["found"] and part["error"] is None:
            parts.append('<p class="none">Nothing.</p>')
        parts.append("</section>")
    parts.append(f"<section><h2>Who has seen these values since {_text(told['seen_since'])}</h2>")
    parts.append(_listed(told["seen"], _SEEN))
    parts.append("</section></main></body></html>\n")
    return "".join(parts).encode()


def document(title: str, intro: str, sections: Iterable[tuple[str, Mapping[str, Any]]]) -> bytes:
    """A page of sections, each a heading and what is said under it. Empty entries are left out."""
    parts = [_head(title), f"<p>{_text(intro)}</p>"]
    for heading, told in sections:
        cells = "".join(
            f'<tr><th scope="row">{_text(name.replace("_", " "))}</th><td>{_cell(value)}</td></tr>'
            for name, value in told.items()
            if value not in ("", [], (), None)
        )
        parts.append(
            f'<section><h2>{_text(heading)}</h2><table class="row"><tbody>{cells}</tbody></table></section>'
        )
    parts.append("</main></body></html>\n")
    return "".join(parts).encode()


def _head(title: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{_text(title)}</h1>"
    )


def _row(number: int, row: Mapping[str, Any]) -> str:
    """One thing, a line for each of its fields."""
    cells = "".join(f'<tr><th scope="row">{_text(name)}</th><td>{_cell(row[name])}</td></tr>' for name in row)
    return f'<h3>{number}.</h3><table class="row"><tbody>{cells}</tbody></table>'


def _listed(items: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> str:
    rows = ["<tr>" + "".join(f"<td>{_cell(item[name])}</td>" for name in columns) + "</tr>" for item in items]
    if not rows:
        return '<p class="none">Nobody, as far as the audit log tells.</p>'
    head = "".join(f'<th scope="col">{_text(name.replace("_", " "))}</th>' for name in columns)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return '<span class="none">none</span>'
    if isinstance(value, Mapping):
        return "<br>".join(f"{_text(name)}: {_cell(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "<br>".join(map(_cell, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _text(value)


def _text(value: object) -> str:
    visible = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", str(value))
    return f"<bdi>{escape(visible)}</bdi>"
