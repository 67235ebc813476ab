"""Intervals as constants: the same span as PostgreSQL reads, or a refusal."""

from __future__ import annotations

import pytest

from pgnym.wire.codecs import intervals
from pgnym.wire.errors import CodecError
from support.cluster import Cluster

SPELLINGS = (
    "1 day", "-1 day", "2 weeks", "1 year 2 months", "1 mon 3 days 04:05:06", "04:05", "-04:05:06.5", "90 minutes",
    "36 hours",    "1 month -1 day", "1y 2mon 3d", "5 Secs", "0 days", "  7 days  ", "100:00:00", "1 day +02:00",
)  # fmt: skip


@pytest.mark.server
def test_spans_are_those_of_the_server(postgres: Cluster) -> None:
    for spelling in SPELLINGS:
        ours = intervals.from_text(spelling.encode()).decode()
        parts = postgres.psql(
            f"SELECT encode(interval_send('{spelling}'), 'hex') = encode(interval_send('{ours}'), 'hex'),"
            f" encode(interval_send('{spelling}'), 'hex')"
        ).strip()
        alike, sent = parts.split("|")
        assert alike == "t", spelling
        assert intervals.from_binary(bytes.fromhex(sent)).decode() == ours


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "1",
        "1.5 days",
        "1 day ago",
        "P1D",
        "1 fortnight",
        "1 day 1 day",
        "x",
        "1 2 days",
        "99999999999 days",
    ],
)
def test_other_spellings_are_refused(spelling: str) -> None:
    with pytest.raises(CodecError) as raised:
        intervals.from_text(spelling.encode())
    assert raised.value.sqlstate == "0A000"


def test_binary_data_of_another_length_is_an_error() -> None:
    with pytest.raises(CodecError) as raised:
        intervals.from_binary(b"\0" * 15)
    assert raised.value.sqlstate == "22P03"
