"""Audit records as others read them: JSON Lines, and CEF (ArcSight Common Event Format, version 0) for a SIEM."""

from __future__ import annotations

import json

from pgnym import __version__
from pgnym.audit.reading import OpenedRecord

_NAMES = {
    "reveal": "Values revealed",
    "tokenize": "Values tokenized",
    "search": "Contents searched",
    "refuse": "Statement refused",
    "admin": "Administrative call",
    "erase": "Subject erased",
    "retain": "Rows erased after their time",
    "purge": "Unreferenced values purged",
}


def json_line(record: OpenedRecord) -> str:
    """One line of JSON."""
    return json.dumps(record.shown(), ensure_ascii=False)


def cef(record: OpenedRecord) -> str:
    """One line of CEF. Tokens are left out: a SIEM has no use for them."""
    denied = record.decision == "denied"
    header = "|".join(
        _header(part)
        for part in (
            "CEF:0", "pgnym", "pgnym", __version__, record.action, _NAMES.get(record.action, record.action),
            "7" if denied else "3",
        )
    )  # fmt: skip
    pairs = {
        "rt": str(int(record.time.timestamp() * 1000)),
        "externalId": f"{record.writer}:{record.sequence}",
        "outcome": "failure" if denied else "success",
        "suser": record.db_user,
        "spriv": record.role,
        "src": record.client_address,
        "requestClientApplication": record.application_name,
        "reason": record.text if denied else "",
        "cnt": str(sum(record.counts.values())),
        "cs1Label": "tenant",
        "cs1": record.tenant,
        "cs2Label": "purpose",
        "cs2": record.purpose,
        "cs3Label": "fingerprint",
        "cs3": record.fingerprint,
        "cn1Label": "grant" if record.grant is not None else "",
        "cn1": "" if record.grant is None else str(record.grant),
        "cs4Label": "domains",
        "cs4": ",".join(f"{domain}:{count}" for domain, count in sorted(record.counts.items())),
    }
    return f"{header}|" + " ".join(f"{key}={_extension(value)}" for key, value in pairs.items() if value)


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _extension(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
