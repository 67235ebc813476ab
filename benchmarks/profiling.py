"""Where the gateway's time goes: by py-spy (samples, hardly slows it) where it is installed, else by
cProfile.

cProfile counts every call and makes small functions look dearer than they are; read its order, not its
numbers.
"""

from __future__ import annotations

import importlib.util
import pstats
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

RATE = 500  # samples a second


@dataclass(slots=True)
class Profiler:
    """``wrapper``: what the gateway is run under (nothing: as it is). ``output``: the file the profile goes
    to.
    """

    name: str
    output: Path
    wrapper: tuple[str, ...] = ()
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def begin(self, pid: int | None) -> None:
        """Attaches py-spy to ``pid``. cProfile has been running since the gateway started."""
        if self.name == "py-spy":
            program = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
            command = [program, "record", "-f", "raw", "-r", str(RATE), "-o", str(self.output), "-d", "3600"]
            self._child = subprocess.Popen(
                [*command, "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def end(self) -> None:
        """Lets py-spy write what it saw."""
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)
            self._child.wait(30)


@contextmanager
def profiled(which: str, folder: Path) -> Iterator[Profiler]:
    """``which``: ``auto``, ``cprofile`` or ``py-spy``."""
    installed = shutil.which("py-spy") is not None or importlib.util.find_spec("py_spy") is not None
    installed = installed or Path(sys.executable).with_name("py-spy").exists()
    if which == "py-spy" or (which == "auto" and installed):
        yield Profiler("py-spy", folder / "profile.txt")
    else:
        output = folder / "profile.cprofile"
        yield Profiler("cProfile", output, (sys.executable, "-m", "cProfile", "-o", str(output)))


def print_top(profiler: Profiler, top: int, console: Console) -> None:
    """Prints the functions with the most time of their own, then those with the most including callees."""
    if profiler.name == "cProfile":
        stats = pstats.Stats(str(profiler.output))
        stats.strip_dirs().sort_stats("tottime").print_stats(top)
        stats.sort_stats("cumtime").print_stats(top)
        return
    own: Counter[str] = Counter()
    under: Counter[str] = Counter()
    total = 0
    for line in profiler.output.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if "_worker (concurrent/futures/thread.py" in stack.rpartition(";")[2]:
            continue  # a thread of the resolver's pool that waits for work; py-spy can't tell that it is idle
        frames = [_function(frame) for frame in stack.split(";")]
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            under[frame] += int(count)
    for title, counter in (("own time", own), ("with callees", under)):
        console.print(f"\n{title}, % of {total} samples")
        for name, samples in counter.most_common(top):
            console.print(
                f"{samples * 100 / total:6.1f}  {name}", highlight=False, markup=False, soft_wrap=True
            )


def _function(frame: str) -> str:
    """``name (file:line)`` without the line, so that a function is one row."""
    name, _, place = frame.strip().rpartition(" (")
    return f"{name} ({place.rpartition(':')[0]})" if name else frame.strip()
