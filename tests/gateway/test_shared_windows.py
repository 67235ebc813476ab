"""One limit for all workers: processes that count at the same time never give out more than it, and lose nothing."""

from __future__ import annotations

import os
import time

import pytest

from pgnym.gateway.reports import GatewayError
from pgnym.gateway.shared_windows import SharedWindows
from pgnym.policy.budget import Budget, Over

LIMIT, WORKERS = 1000, 4


def worker(shared: SharedWindows, writer: int) -> None:
    """Takes values, one to three at a time, until there are no more, and tells how many it got."""
    budget = Budget(shared.window)
    got, count = 0, 0
    while True:
        count = count % 3 + 1
        if budget.statement("main", "app", 10, LIMIT).take(count, time.monotonic()) is None:
            got += count
        elif count == 1:
            break
    os.write(writer, b"%d\n" % got)


def test_processes_share_a_limit() -> None:
    shared = SharedWindows()
    reader, writer = os.pipe()
    children = []
    for _ in range(WORKERS):
        child = os.fork()
        if child == 0:
            worker(shared, writer)
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    os.close(writer)
    with os.fdopen(reader) as told:
        got = [int(line) for line in told]
    assert len(got) == WORKERS
    assert sum(got) == LIMIT
    budget = Budget(shared.window)
    assert budget.spent("main", "app", time.monotonic()) == LIMIT
    assert budget.statement("main", "app", 10, LIMIT).take(1, time.monotonic()) is Over.MINUTE
    assert budget.statement("second", "app", 10, LIMIT).take(10, time.monotonic()) is None
    assert budget.statement("main", "app", 10, LIMIT).take(10, time.monotonic() + 62) is None


def test_a_worker_that_dies_holds_up_nobody() -> None:
    shared = SharedWindows()
    child = os.fork()
    if child == 0:
        shared.window("main", "app").take(5, 100, time.monotonic())
        with shared.locked(1):
            os._exit(0)
    os.waitpid(child, 0)
    assert shared.window("main", "app").total(time.monotonic()) == 5


def test_what_can_not_be_counted_is_not_given() -> None:
    shared = SharedWindows(slots=2)
    shared.window("a", "app")
    shared.window("b", "app")
    shared.window("a", "app")
    with pytest.raises(GatewayError) as refused:
        shared.window("c", "app")
    assert refused.value.report.sqlstate == "53400"
