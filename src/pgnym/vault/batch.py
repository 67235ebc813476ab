"""Coalescing: what many sessions ask at the same time goes out in one round trip.

While one batch is under way, the next one collects; an idle batcher sends at once. There is no timer, so a lone caller waits
for nothing but the server, and under load batches grow to what one round trip can carry. (The same idea is group commit:
DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = TypeVar("Given", contravariant=True)


class _Waiter(Protocol[Given]):
    """What of a future a batch needs."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: Given, /) -> None:
        """The batch has been run."""

    def set_exception(self, error: BaseException, /) -> None:
        """It has failed."""

    def cancel(self) -> bool:
        """It will not be run."""


class _Called(Generic[Result]):
    """Stands where a future would: calls back at once, without another turn of the event loop."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[Result | None, BaseException | None], None]) -> None:
        self._done = done

    def done(self) -> bool:
        """Nobody cancels it."""
        return False

    def set_result(self, result: Result) -> None:
        """The batch has been run."""
        self._done(result, None)

    def set_exception(self, error: BaseException) -> None:
        """It has failed."""
        self._done(None, error)

    def cancel(self) -> bool:
        """It will not be run: the loop goes down."""
        self._done(None, asyncio.CancelledError())
        return True


class Batcher(Generic[Item, Result]):
    """Runs submitted items in batches, at most ``len(lanes)`` batches at a time.

    Each lane is ``async (items) -> results``, one result per item in order. What a lane raises is raised by every
    item of that batch; other batches go on. ``weight`` says how much an item is, and a batch has at most ``limit`` of
    it (but at least one item). A caller that is cancelled leaves; its item is still run if its batch has begun.
    """

    def __init__(
        self,
        lanes: Sequence[Callable[[list[Item]], Awaitable[Sequence[Result]]]],
        *,
        limit: int,
        weight: Callable[[Item], int] = lambda _: 1,
    ) -> None:
        self._idle = list(lanes)
        self._limit = limit
        self._weight = weight
        self._waiting: deque[tuple[Item, _Waiter[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed: Callable[[], Exception] | None = None

    async def submit(self, item: Item) -> Result:
        """The result of one item, once its batch has been run."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._enqueue(item, future)
        return await future

    def call(self, item: Item, done: Callable[[Result | None, BaseException | None], None]) -> None:
        """As ``submit``, but ``done(result, None)`` or ``done(None, error)`` is called; it must not raise."""
        self._enqueue(item, _Called(done))

    def _enqueue(self, item: Item, waiter: _Waiter[Result]) -> None:
        if self._closed is not None:
            raise self._closed()
        self._waiting.append((item, waiter))
        if self._idle:
            task = asyncio.create_task(self._work(self._idle.pop()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def waiting(self) -> int:
        """How many items no lane has taken yet."""
        return len(self._waiting)

    @property
    def oldest(self) -> Item | None:
        """The one that has waited longest."""
        return self._waiting[0][0] if self._waiting else None

    async def close(self, error: Callable[[], Exception]) -> None:
        """Lets what was submitted finish; from now on ``submit`` raises ``error()``."""
        self._closed = error
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self, lane: Callable[[list[Item]], Awaitable[Sequence[Result]]]) -> None:
        try:
            while self._waiting:
                batch = self._take()
                if batch:
                    await _run(lane, batch)
        except BaseException:
            # Only when the loop goes down: nobody would serve those who wait.
            for _, future in self._waiting:
                future.cancel()
            raise
        finally:
            self._idle.append(lane)

    def _take(self) -> list[tuple[Item, _Waiter[Result]]]:
        waiting, room = self._waiting, self._limit
        batch: list[tuple[Item, _Waiter[Result]]] = []
        while waiting:
            item, future = waiting[0]
            if future.done():  # cancelled while it waited
                waiting.popleft()
                continue
            room -= self._weight(item)
            if room < 0 and batch:
                break
            batch.append(waiting.popleft())
        return batch


async def _run(
    lane: Callable[[list[Item]], Awaitable[Sequence[Result]]],
    batch: list[tuple[Item, _Waiter[Result]]],
) -> None:
    try:
        results = await lane([item for item, _ in batch])
    except BaseException as error:
        for _, future in batch:
            if not future.done():
                if isinstance(error, Exception):
                    future.set_exception(error)
                else:
                    future.cancel()
        if not isinstance(error, Exception):
            raise  # the loop is going down, or our own task was cancelled
        return
    for (_, future), result in zip(batch, results, strict=True):
        if not future.done():
            future.set_result(result)
