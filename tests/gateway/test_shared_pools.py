"""One pool for all workers: processes that take from it at the same time never get more than was lent, and lose nothing."""

from __future__ import annotations

import os
import time

import pytest

from pgnym.gateway.reports import GatewayError
from pgnym.gateway.shared_pools import SharedPools

LENT, WORKERS = 1000, 4


def worker(shared: SharedPools, writer: int) -> None:
    """Takes values, one to three at a time, until there are no more, and tells how many it got."""
    pool = shared.pool("main", "role:app")
    got, count = 0, 0
    while True:
        count = count % 3 + 1
        if pool.take(count, time.monotonic_ns()) is not None:
            got += count
        elif count == 1:
            break
    os.write(writer, b"%d\n" % got)


def test_processes_share_what_was_lent() -> None:
    shared = SharedPools()
    until = time.monotonic_ns() + 60 * 10**9
    shared.pool("main", "role:app").add(100, LENT, until)
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
    assert sum(got) == LENT
    pool = shared.pool("main", "role:app")
    assert pool.available(time.monotonic_ns()) == 0
    assert shared.pool("second", "role:app").available(time.monotonic_ns()) == 0
    shared.pool("second", "role:app").add(100, 5, until)
    assert shared.pool("second", "role:app").expired(until) == [(100, 5)]
    assert pool.expired(until) == []


def test_a_worker_that_dies_holds_up_nobody() -> None:
    shared = SharedPools()
    child = os.fork()
    if child == 0:
        shared.pool("main", "role:app").add(100, 5, time.monotonic_ns() + 60 * 10**9)
        with shared.locked(1):
            os._exit(0)
    os.waitpid(child, 0)
    assert shared.pool("main", "role:app").available(time.monotonic_ns()) == 5


def test_what_can_not_be_counted_is_not_given() -> None:
    shared = SharedPools(slots=2)
    shared.pool("a", "role:app")
    shared.pool("b", "role:app")
    shared.pool("a", "role:app")
    with pytest.raises(GatewayError) as refused:
        shared.pool("c", "role:app")
    assert refused.value.report.sqlstate == "53400"
