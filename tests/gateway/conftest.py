"""A play that must end with nothing unsaid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playbook import Play


@pytest.fixture
def play() -> Iterator[Play]:
    """A session of user ``app``, who sees everything, with a known search_path."""
    made = Play()
    yield made
    made.nothing_more()
