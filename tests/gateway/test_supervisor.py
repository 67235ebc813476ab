"""What workers and their parent say to each other. (That they do is seen in end_to_end/test_sealing.py.)"""

from __future__ import annotations

import struct

import pytest

from pgnym.gateway.sealing import Word
from pgnym.gateway.supervisor import FAILED, READY, SEALED, frame, frames


def test_frames_are_cut_wherever_they_are_split() -> None:
    data = frame(b"K", b"x" * 32) + frame(b"L") + frame(b"S", b"words")
    for cut in range(len(data) + 1):
        buffer = bytearray()
        found = []
        for piece in (data[:cut], data[cut:]):
            buffer += piece
            found += frames(buffer)
        assert found == [(b"K", b"x" * 32), (b"L", b""), (b"S", b"words")]
        assert not buffer


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        frames(bytearray(struct.pack("!cI", b"K", 1 << 20)))


def test_words_and_reports_are_not_mistaken() -> None:
    kinds = [word.value for word in Word] + [READY, SEALED, FAILED]
    assert len(set(kinds)) == len(kinds)
