"""What keeps the memory of a gateway process, keys and values in it, from files and from other processes of its user.

Python can't promise more: it copies bytes as it likes, and frees memory without overwriting it.
"""

from __future__ import annotations

import ctypes
import logging
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_LOG = logging.getLogger("pgnym.serve")


def forbid_core_files() -> None:
    """No core file is written, whatever the process dies of, and it can't be traced by its own user. For its children, too.

    On Linux the kernel is also told that the process isn't to be dumped (prctl(2)): then a pipe in core_pattern gets nothing
    either, which RLIMIT_CORE alone does not see to (core(5)), and /proc/PID/mem is root's.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            _LOG.warning(
                "the kernel does not keep this process from being dumped: errno %d", ctypes.get_errno()
            )
