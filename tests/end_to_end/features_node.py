"""Runs ``features_node.js``: node-postgres, where node and its packages are there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from features import Refused, Steps

SCRIPT = Path(__file__).with_suffix(".js")
ROOT = Path(__file__).resolve().parents[2]
# By PGNYM_NODE_MODULES, as ``make system`` fetches them, or from Debian's node-pg.
PLACES = (
    os.environ.get("PGNYM_NODE_MODULES", ""),
    str(ROOT / ".venv/node/node_modules"),
    "/usr/share/nodejs",
)
STEPS = Steps()


def run(dsn: str) -> dict[str, object]:
    """Every step's result, error or refusal; skips where node or its packages are missing."""
    node = shutil.which("node") or shutil.which("nodejs")
    place = next(
        (p for p in PLACES if p and (Path(p) / "pg").is_dir() and (Path(p) / "pg-cursor").is_dir()), None
    )
    if node is None or place is None:
        pytest.skip("needs node and its packages pg and pg-cursor: make system")
    done = subprocess.run(
        [node, str(SCRIPT)],
        env={"PATH": os.environ["PATH"], "NODE_PATH": place, "FEATURES_URL": dsn, "TZ": "UTC"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    got: dict[str, object] = {}
    for name, found in json.loads(done.stdout).items():
        got[name] = Refused(found["refused"]) if isinstance(found, dict) and "refused" in found else found
        STEPS.found.setdefault(name, run)
    return got
