"""The leak oracle: search files for values that must not be there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


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

    Needles of under 4 bytes are refused: they are found by chance. Values over 2 kB could lie compressed
    (TOAST); canaries are shorter than that.
    """
    wanted = [(needle, forms(needle)) for needle in needles]
    for needle, _ in wanted:
        if len(needle) < 4:
            raise ValueError(f"too short to search for: {needle!r}")
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder) / name
            for needle in _search(path, wanted):
                found.append(f"{path.relative_to(directory)}: {needle.decode(errors='replace')}")
    return sorted(found)


def _search(path: Path, wanted: list[tuple[bytes, set[bytes]]]) -> list[bytes]:
    try:
        haystack = path.read_bytes().lower()
    except OSError:
        if path.is_file():
            raise
        return []  # a socket, or a temporary file that is gone by now
    return [needle for needle, looks in wanted if any(look in haystack for look in looks)]
