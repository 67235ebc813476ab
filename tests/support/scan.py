"""The leak oracle: search files for values that must not be there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SHORTEST = 4


def forms(needle: bytes) -> set[bytes]:
    """What a value may look like on disk, in lower case: as it is, and as hex of itself (bytea, COPY binary
    dumps).
    """
    return {
        needle.lower(),
        needle.hex().encode(),
        needle.lower().hex().encode(),
        needle.upper().hex().encode(),
    }


def scan_files(directory: Path, needles: Iterable[bytes]) -> list[str]:
    """Every file below ``directory`` that holds a needle, as ``path: needle``; case of ASCII letters is
    ignored.

    Needles of under ``SHORTEST`` bytes are refused: they are found by chance. Values over 2 kB could lie compressed
    (TOAST); canaries are shorter than that.
    """
    looks: dict[bytes, bytes] = {}
    for needle in needles:
        if len(needle) < SHORTEST:
            raise ValueError(f"too short to search for: {needle!r}")
        looks |= dict.fromkeys(forms(needle), needle)
    # One search per head that needles share: thousands of canaries cost what one does.
    heads: dict[bytes, list[bytes]] = {}
    for look in looks:
        heads.setdefault(look[:SHORTEST], []).append(look)
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder) / name
            for needle in {looks[look] for look in _search(path, heads)}:
                found.append(f"{path.relative_to(directory)}: {needle.decode(errors='replace')}")
    return sorted(found)


def _search(path: Path, heads: dict[bytes, list[bytes]]) -> set[bytes]:
    try:
        haystack = path.read_bytes().lower()
    except OSError:
        if path.is_file():
            raise
        return set()  # a socket, or a temporary file that is gone by now
    found: set[bytes] = set()
    for head, looks in heads.items():
        at = haystack.find(head)
        while at >= 0:
            found.update(look for look in looks if haystack.startswith(look, at))
            at = haystack.find(head, at + 1)
    return found
