"""Children of the demo and the benchmarks: pgnym commands run as anybody would run them, and servers until
they say that they are ready.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

READY_SECONDS = 60
DRAIN_SECONDS = 30


class ChildError(Exception):
    """A child failed. ``str()`` says which and the last that it said."""


def pgnym(*arguments: str, environment: Mapping[str, str], accept: tuple[int, ...] = (0,)) -> str:
    """Runs ``pgnym ARGUMENTS`` to its end and returns its output. Secrets go by ``environment``, never by
    argument.

    Raises ``ChildError`` when its exit code is not one of ``accept``.
    """
    done = subprocess.run(  # noqa: S603 - ourselves, no shell
        [sys.executable, "-m", "pgnym.cli.main", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode not in accept:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ChildError(f"pgnym {arguments[0]} exited with {done.returncode}: {said}")
    return done.stdout


class Child:
    """A server in a process of its own. Use as a context manager.

    Parameters: ``command``; ``ready``, what the line on its standard error contains that says it is ready;
    ``log``, the file that all it writes goes to; ``environment`` beside our own; ``user`` to run it as.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self._command = list(command)
        self._mark = ready
        self._log = log
        self._environment = environment or {}
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._line = ""
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Child:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id. Raises ``ChildError`` before ``start()``."""
        return self._started().pid

    def start(self) -> str:
        """Starts it, waits for its ready line and returns that.

        Raises ``ChildError`` when it ends before, or takes longer than ``READY_SECONDS``.
        """
        self._process = subprocess.Popen(  # noqa: S603 - no shell
            self._command,
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            user=self._user,
            start_new_session=True,  # Ctrl-C must reach us alone: we end it when its clients are done
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="child-log")
        self._reader.start()
        if not self._ready.wait(READY_SECONDS) or not self._line:
            self.stop()
            last = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
            raise ChildError(
                f"{Path(self._command[0]).name} did not become ready: {last or 'it said nothing'}"
            )
        return self._line

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL if it hasn't ended after ``DRAIN_SECONDS``. Returns its exit code."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._reader is not None:
            self._reader.join()
        return code

    def wait(self) -> int:
        """Waits until it ends by itself and returns its exit code."""
        return self._started().wait()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ChildError(f"{self._command[0]} was not started")
        return self._process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with self._log.open("a") as log, process.stderr as lines:
            for line in lines:
                log.write(line)
                log.flush()
                if not self._line and self._mark in line:
                    self._line = line.strip()
                    self._ready.set()
        self._ready.set()  # the end of its output: nobody need wait any longer


def gateway(config: Path, log: Path, environment: Mapping[str, str]) -> Child:
    """``pgnym serve`` with this configuration, not yet started."""
    return Child(
        [sys.executable, "-m", "pgnym.cli.main", "serve", "--config", str(config)],
        ready="pgnym ready ",
        log=log,
        environment=environment,
    )
