"""The memory of a gateway process goes into no core file."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DIES = """
import os, sys
from pgnym.gateway.memory import forbid_core_files
if sys.argv[1] == "forbidden":
    forbid_core_files()
os.kill(os.getpid(), __import__("signal").SIGABRT)
"""
_PR_GET_DUMPABLE = 3


def test_the_limit_is_nothing_and_children_have_it_too() -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from pgnym.gateway.memory import forbid_core_files

            forbid_core_files()
            grandchild = os.fork()
            limited = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
            dumped = sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0
            code = 0 if limited and not dumped else 1
            if grandchild:
                code |= os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="core_pattern is of Linux")
@pytest.mark.parametrize("mode", ["forbidden", "allowed"])
def test_a_process_that_dies_leaves_no_core(tmp_path: Path, mode: str) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip("this machine puts core files elsewhere")

    def raise_limit() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("this machine writes no core files")
    done = subprocess.run(
        [sys.executable, "-c", DIES, mode], cwd=tmp_path, check=False, timeout=60, preexec_fn=raise_limit
    )
    assert done.returncode == -signal.SIGABRT
    assert any(tmp_path.iterdir()) == (mode == "allowed")
