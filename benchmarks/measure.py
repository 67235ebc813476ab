"""One number at a time: a short pgbench run, the targets in turn, round after round.

The machine is shared and noisy. So no target runs for long alone: rounds go A B C D, B C D A, … and the
medians of many short runs are compared, with their spread.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from scenarios import Scenario
from targets import Bench, Target, pgbench

TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: transactions per second, and with a single client its latencies' p50 and p99 in microseconds.

    ``cpu``: microseconds of processor time of the proxy per transaction, which a busy machine disturbs less than any
    speed. None without a proxy, or without a ``/proc``.
    """

    tps: float
    cpu: float | None = None
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """All runs of one scenario at one number of clients against one target."""

    scenario: str
    clients: int
    target: str
    samples: tuple[Sample, ...]

    @property
    def tps(self) -> float:
        """The median over the rounds."""
        return median(sample.tps for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest round."""
        speeds = [sample.tps for sample in self.samples]
        return min(speeds), max(speeds)

    @property
    def cpu(self) -> float | None:
        """Median over the rounds of the proxy's processor time per transaction, in microseconds."""
        return _median(sample.cpu for sample in self.samples)

    @property
    def p50(self) -> float | None:
        """Median over the rounds of the median latency, in microseconds."""
        return _median(sample.p50 for sample in self.samples)

    @property
    def p99(self) -> float | None:
        """Median over the rounds of the 99th percentile, in microseconds."""
        return _median(sample.p99 for sample in self.samples)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def measure(
    bench: Bench,
    scenarios: Sequence[Scenario],
    clients: Sequence[int],
    *,
    rounds: int,
    seconds: int,
    persons: int,
    progress: Callable[[str], None],
) -> list[Cell]:
    """Runs everything and returns the cells in the order of ``scenarios`` and ``clients``.

    ``seconds`` is the length of one run. Raises ``ChildError`` when a run fails: a target that can't carry
    out a scenario is no target to compare with.
    """
    plan = [(s, c) for s in scenarios for c in clients if s.clients is None or c in s.clients]
    samples: dict[tuple[str, int, str], list[Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="pgnym-bench-") as name:
        folder = Path(name)
        for turn in range(rounds):
            shift = turn % len(bench.targets)
            order = bench.targets[shift:] + bench.targets[:shift]
            for scenario, count in plan:
                progress(f"round {turn + 1}/{rounds}: {scenario.name}, {count} clients")
                for target in order:
                    sample = once(bench, target, scenario, count, seconds, persons, folder)
                    samples.setdefault((scenario.name, count, target.name), []).append(sample)
    return [
        Cell(scenario.name, count, target.name, tuple(samples[scenario.name, count, target.name]))
        for scenario, count in plan
        for target in bench.targets
    ]


def once(
    bench: Bench, target: Target, scenario: Scenario, clients: int, seconds: int, persons: int, folder: Path
) -> Sample:
    """One pgbench run of ``seconds`` with ``clients`` connections. ``folder``: for its script and log."""
    arguments = ["-n", "-M", scenario.mode, "-T", str(seconds), "-c", str(clients), "-j", "1"]
    if scenario.script is None:
        arguments.append("-S")
    else:
        script = folder / f"{scenario.name}.sql"
        script.write_text(scenario.script.replace("PERSONS", str(persons)))
        arguments += ["-f", str(script)]
    if scenario.connect:
        arguments.append("-C")
    if clients == 1:
        arguments += ["-l", f"--log-prefix={folder / 'log'}"]
    before = processor_time(target.pid)
    printed = pgbench(bench, target, *arguments)
    after = processor_time(target.pid)
    found, done = TPS.search(printed), DONE.search(printed)
    if found is None or done is None:
        raise ValueError(f"pgbench printed no tps: {printed[-300:]}")
    cpu = None if before is None or after is None else (after - before) * 1e6 / max(1, int(done[1]))
    if clients != 1:
        return Sample(float(found[1]), cpu)
    times: list[int] = []
    for log in folder.glob("log.*"):
        # client, transaction, time in µs, … (PostgreSQL documentation, pgbench, "Per-Transaction Logging")
        times += [int(line.split(" ", 3)[2]) for line in log.read_text().splitlines()]
        log.unlink()
    if len(times) < 2:
        raise ValueError(f"{scenario.name} through {target.name}: fewer than two transactions in {seconds} s")
    return Sample(float(found[1]), cpu, median(times), quantiles(times, n=100)[98])


def processor_time(pid: int | None) -> float | None:
    """Seconds of processor time, user and system, that a process and its children have used.

    proc(5): ``stat``, fields 14 and 15; ``task/<pid>/children``.
    """
    path = Path(f"/proc/{pid}/stat")
    if pid is None or not path.exists():
        return None
    fields = path.read_text().rpartition(")")[2].split()  # the name before it may hold blanks
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processor_time(int(child)) or 0.0 for child in children)
