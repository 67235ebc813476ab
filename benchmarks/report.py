"""The results as a table, as JSON and as a plot. Everything is a ratio: absolute numbers are those of one
machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from measure import Cell
from rich.console import Console
from rich.table import Table
from scenarios import SCENARIOS

Cells = Mapping[tuple[str, int, str], Cell]


def index(cells: Sequence[Cell]) -> Cells:
    """By scenario, clients, target."""
    return {(cell.scenario, cell.clients, cell.target): cell for cell in cells}


def table(cells: Sequence[Cell], console: Console) -> None:
    """Prints transactions per second as ratios, and the latencies of a single client."""
    by = index(cells)
    names = list(dict.fromkeys(cell.target for cell in cells))
    speed = Table(
        title="transactions per second (median of the rounds; ratio to direct)", title_justify="left"
    )
    speed.add_column("scenario")
    speed.add_column("clients", justify="right")
    for name in names:
        speed.add_column(name, justify="right")
    ours = [name for name in names if name.startswith("pgnym")]
    bases = [name for name in ("pgbouncer", "forwarder") if name in names]
    for name, base in product(ours, bases):
        speed.add_column(f"{name} : {base}", justify="right")
    speed.add_column("spread of pgnym", justify="right")
    for scenario, clients in dict.fromkeys((cell.scenario, cell.clients) for cell in cells):
        row = [SCENARIOS[scenario].title, str(clients)]
        direct = by.get((scenario, clients, "direct"))
        for name in names:
            cell = by[scenario, clients, name]
            ratio = f" {cell.tps / direct.tps:.2f}" if direct is not None and name != "direct" else ""
            row.append(f"{cell.tps:,.0f}{ratio}")
        for name, base in product(ours, bases):
            row.append(f"{by[scenario, clients, name].tps / by[scenario, clients, base].tps:.2f}")
        own = by.get((scenario, clients, "pgnym"))
        row.append(f"{own.spread[0]:,.0f}–{own.spread[1]:,.0f}" if own is not None else "–")
        speed.add_row(*row, end_section=clients == max(c.clients for c in cells if c.scenario == scenario))
    console.print(speed)

    proxies = [name for name in names if any(c.cpu is not None for c in cells if c.target == name)]
    work = Table(title="processor time of the proxy per transaction, µs (median)", title_justify="left")
    work.add_column("scenario")
    work.add_column("clients", justify="right")
    for name in proxies:
        work.add_column(name, justify="right")
    for scenario, clients in dict.fromkeys((cell.scenario, cell.clients) for cell in cells):
        times = [by[scenario, clients, name].cpu for name in proxies]
        row = [SCENARIOS[scenario].title, str(clients)]
        work.add_row(*row, *("–" if time is None else f"{time:,.0f}" for time in times))
    if proxies:
        console.print(work)

    latency = Table(title="latency of a single client, µs: p50 / p99 (added to direct)", title_justify="left")
    latency.add_column("scenario")
    for name in names:
        latency.add_column(name, justify="right")
    for scenario in dict.fromkeys(cell.scenario for cell in cells if cell.p50 is not None):
        row = [SCENARIOS[scenario].title]
        direct = by.get((scenario, 1, "direct"))
        for name in names:
            cell = by[scenario, 1, name]
            text = f"{cell.p50:,.0f} / {cell.p99:,.0f}"
            if direct is not None and name != "direct":
                text += f" ({(cell.p50 or 0) - (direct.p50 or 0):+,.0f} / {(cell.p99 or 0) - (direct.p99 or 0):+,.0f})"
            row.append(text)
        latency.add_row(*row)
    if latency.row_count:
        console.print(latency)


def save(cells: Sequence[Cell], folder: Path, about: Mapping[str, Any], **more: Any) -> Path:
    """Writes ``results.json`` (every run, not only medians; ``more`` beside them) and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    by = index(cells)
    rows: list[dict[str, Any]] = []
    for cell in cells:
        row = asdict(cell) | {"tps": cell.tps, "cpu_us": cell.cpu, "p50_us": cell.p50, "p99_us": cell.p99}
        for other in ("direct", "pgbouncer", "forwarder"):
            base = by.get((cell.scenario, cell.clients, other))
            row[f"ratio_to_{other}"] = cell.tps / base.tps if base is not None else None
        rows.append(row)
    path = folder / "results.json"
    path.write_text(json.dumps({"about": dict(about), "results": rows, **more}, indent=1) + "\n")
    return path


def plot(cells: Sequence[Cell], folder: Path) -> Path | None:
    """Writes ``results.png``: each target's ratio to direct. Returns None where matplotlib is not
    installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by = index(cells)
    keys = [k for k in dict.fromkeys((c.scenario, c.clients) for c in cells) if (*k, "direct") in by]
    names = [name for name in dict.fromkeys(cell.target for cell in cells) if name != "direct"]
    if not keys or not names:
        return None
    height = 0.8 / len(names)
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.42 * len(keys)))
    for number, name in enumerate(names):
        ratios = [by[*key, name].tps / by[*key, "direct"].tps for key in keys]
        places = [row + number * height for row in range(len(keys))]
        bars = axes.barh(places, ratios, height, label=name)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(keys))])
    axes.set_yticklabels([f"{SCENARIOS[s].title}, {c} cl." for s, c in keys], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("transactions per second, direct = 1")
    axes.legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def about(server_version: str, **more: object) -> dict[str, object]:
    """What the figures depend on: time, processor count, versions, revision, and ``more``."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "server": server_version,
        "revision": git.stdout.strip() or None,
        **more,
    }
