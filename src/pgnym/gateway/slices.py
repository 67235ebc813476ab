"""Work on the event loop in slices: after some milliseconds the loop has a turn before it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from time import perf_counter
from typing import TypeVar

SLICE = 0.004
"""Seconds of work between two turns of the event loop."""

Item = TypeVar("Item")


async def in_slices(items: Iterable[Item], size: int = 32) -> AsyncIterator[list[Item]]:
    """The items in batches, with a turn for the event loop whenever ``SLICE`` is over."""
    source = iter(items)
    deadline = perf_counter() + SLICE
    while batch := list(islice(source, size)):
        yield batch
        if perf_counter() > deadline:
            await asyncio.sleep(0)  # asyncio's way to give up the turn
            deadline = perf_counter() + SLICE
