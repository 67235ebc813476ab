"""Does a value stand anywhere in the files of a folder? The last check of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 22
SHORTEST = 8
"""Bytes that a canary must have: four given bytes, whatever their case, turn up in 100 MB of noise by
chance.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A canary in a file. ``canary`` is its place in the list searched for, so that a report need not show
    it.
    """

    canary: int
    file: Path


@dataclass(frozen=True, slots=True)
class Search:
    """What was looked at (``files``, ``size`` in bytes), and what was found."""

    files: int
    size: int
    found: tuple[Found, ...]


def search(folder: Path, canaries: Sequence[str]) -> Search:
    """Reads every regular file below ``folder`` and looks for each canary: as UTF-8 with ASCII letters of
    either case, and as its hex digits (as a log shows a bytea).

    The server should be stopped, so that all it knows is on disk. Raises ``ValueError`` for no or too short
    canaries, ``OSError`` for a file that can't be read: what was not searched proves nothing.
    """
    if not canaries or any(len(canary.encode()) < SHORTEST for canary in canaries):
        raise ValueError(f"canaries of at least {SHORTEST} bytes are needed")
    forms = [(canary.encode().lower(), canary.encode().hex().encode()) for canary in canaries]
    # A match across two chunks is found because the end of one is looked at again with the next.
    overlap = max(len(form) for pair in forms for form in pair) - 1
    found: dict[Found, None] = {}
    files = size = 0
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        files += 1
        with file.open("rb") as stream:
            tail = b""
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                text = (tail + chunk).lower()
                for number, (plain, digits) in enumerate(forms):
                    if plain in text or digits in text:
                        found[Found(number, file)] = None
                tail = chunk[-overlap:]
    return Search(files, size, tuple(found))
