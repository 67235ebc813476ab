"""Chromium without a window, for tests of the portal. It is Debian's; playwright only drives it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from support.binaries import Unavailable

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_BAD = {"serious", "critical"}


def chromium() -> str:
    """Its path: ``PGNYM_CHROMIUM``, else what is installed. Raises ``Unavailable``."""
    named = os.environ.get("PGNYM_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise Unavailable("Chromium isn't installed (apt-get install chromium), nor named in PGNYM_CHROMIUM")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser. Raises ``Unavailable``."""
    path = chromium()
    # As root Chromium won't run in its sandbox; containers' /dev/shm is too small for it.
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=options)
        try:
            yield running
        finally:
            running.close()


def faults(page: Page, axe: str) -> list[str]:
    """What axe-core finds serious or critical in a page, in both colour schemes. ``axe``: its source."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(axe)
        result: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert len(result["passes"]) > 5, "axe looked at something"
        for violation in result["violations"]:
            if violation["impact"] in _BAD:
                places = [
                    node["html"][:120] + " " + node["failureSummary"][:200] for node in violation["nodes"][:3]
                ]
                found.append(f"{scheme}: {violation['id']}: {places}")
    page.emulate_media(color_scheme="light")
    return found


def axe_source() -> str:
    """axe-core, as it comes with axe-playwright-python: no network is needed."""
    import axe_playwright_python

    return Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
