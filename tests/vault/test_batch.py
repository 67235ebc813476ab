"""Coalescing: what waits while a batch is under way goes out together, and each gets its own result or the batch's error."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pgnym.vault.batch import Batcher


class Lane:
    """Notes its batches, and holds each until it is released."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: BaseException | None = None

    async def run(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [item * 10 for item in items]


async def settle() -> None:
    """Lets everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_waits_goes_out_together() -> None:
    async def scenario() -> None:
        lane = Lane()
        batcher: Batcher[int, int] = Batcher([lane.run], limit=100)
        first = asyncio.create_task(batcher.submit(1))
        await settle()
        others = [asyncio.create_task(batcher.submit(n)) for n in range(2, 30)]
        await settle()
        assert lane.batches == [[1]]
        lane.gate.set()
        assert await asyncio.gather(first, *others) == [n * 10 for n in range(1, 30)]
        assert lane.batches == [[1], list(range(2, 30))]

    asyncio.run(scenario())


def test_batches_keep_to_the_limit_but_take_at_least_one() -> None:
    async def scenario() -> None:
        lane = Lane()
        lane.gate.set()
        batcher: Batcher[int, int] = Batcher([lane.run], limit=10, weight=lambda n: n)
        await asyncio.gather(*(batcher.submit(n) for n in (4, 4, 4, 50, 6, 4)))
        assert lane.batches == [[4, 4], [4], [50], [6, 4]]

    asyncio.run(scenario())


def test_lanes_run_side_by_side() -> None:
    async def scenario() -> None:
        one, two = Lane(), Lane()
        batcher: Batcher[int, int] = Batcher([one.run, two.run], limit=10)
        tasks = []
        for n in (1, 2, 3):
            tasks.append(asyncio.create_task(batcher.submit(n)))
            await settle()
        assert sorted(one.batches + two.batches) == [[1], [2]]
        (two if two.batches == [[1]] else one).gate.set()
        assert await tasks[0] == 10
        one.gate.set()
        two.gate.set()
        assert await asyncio.gather(*tasks) == [10, 20, 30]

    asyncio.run(scenario())


def test_an_error_reaches_every_waiter_of_its_batch_and_no_other() -> None:
    async def scenario() -> None:
        lane = Lane()
        batcher: Batcher[int, int] = Batcher([lane.run], limit=3)
        tasks = [asyncio.create_task(batcher.submit(n)) for n in range(3)]
        await settle()
        later = asyncio.create_task(batcher.submit(7))
        lane.error = OSError("gone")
        lane.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [OSError] * 3
        lane.error = None
        with pytest.raises(OSError, match="gone"):
            await later  # its batch began before the error was taken away
        assert await batcher.submit(8) == 80

    asyncio.run(scenario())


def test_a_cancelled_waiter_is_left_out_and_harms_no_other() -> None:
    async def scenario() -> None:
        lane = Lane()
        batcher: Batcher[int, int] = Batcher([lane.run], limit=10)
        running = asyncio.create_task(batcher.submit(1))
        await settle()
        waiting = asyncio.create_task(batcher.submit(2))
        kept = asyncio.create_task(batcher.submit(3))
        await settle()
        running.cancel()
        waiting.cancel()
        await settle()
        lane.gate.set()
        assert await kept == 30
        assert lane.batches == [[1], [3]]
        assert running.cancelled()
        assert waiting.cancelled()

    asyncio.run(scenario())


def test_close_finishes_what_was_submitted_and_refuses_more() -> None:
    async def scenario() -> None:
        lane = Lane()
        batcher: Batcher[int, int] = Batcher([lane.run], limit=1)
        tasks = [asyncio.create_task(batcher.submit(n)) for n in range(3)]
        await settle()
        closing = asyncio.create_task(batcher.close(lambda: RuntimeError("closed")))
        await settle()
        with pytest.raises(RuntimeError, match="closed"):
            await batcher.submit(9)
        lane.gate.set()
        assert await asyncio.gather(*tasks) == [0, 10, 20]
        await closing

    asyncio.run(scenario())
