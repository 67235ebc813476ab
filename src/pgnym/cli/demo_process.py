"""The demo's children: pgnym commands run as anybody would run them, and the gateway until it says it is
ready.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

READY = "pgnym ready "
READY_SECONDS = 60
DRAIN_SECONDS = 30


class ChildError(Exception):
    """A pgnym command failed. ``str()`` says which and the last that it said."""


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


class Gateway:
    """``pgnym serve`` in a process of its own; what it writes goes to ``log``. Use as a context manager."""

    def __init__(self, config: Path, log: Path, environment: Mapping[str, str]) -> None:
        self._config = config
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._line = ""
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of ``pgnym serve``. Raises ``ChildError`` before ``start()``."""
        if self._process is None:
            raise ChildError("the gateway was not started")
        return self._process.pid

    def start(self) -> str:
        """Starts it, waits for its ready line and returns that. Raises ``ChildError`` when it ends or takes
        too long.
        """
        self._process = subprocess.Popen(  # noqa: S603 - ourselves, no shell
            [sys.executable, "-m", "pgnym.cli.main", "serve", "--config", str(self._config)],
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must reach us alone: we end it when its clients are done
        )
        self._reader = threading.Thread(target=self._read, name="gateway-log", daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_SECONDS) or not self._line:
            self.stop()
            last = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
            raise ChildError(f"pgnym serve did not become ready: {last or 'it said nothing'}")
        return self._line

    def stop(self) -> int | None:
        """SIGTERM, which drains; SIGKILL if it hasn't ended after half a minute. Returns its exit code."""
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
        """Waits until the gateway ends by itself and returns its exit code."""
        if self._process is None:
            raise ChildError("the gateway was not started")
        return self._process.wait()

    def _read(self) -> None:
        process = self._process
        if process is None or process.stderr is None:
            return
        with self._log.open("a") as log, process.stderr as lines:
            for line in lines:
                log.write(line)
                log.flush()
                if line.startswith(READY):
                    self._line = line.strip()
                    self._ready.set()
        self._ready.set()  # the end of its output: nobody need wait any longer
