"""The chain's constructions, against vectors and an independent computation (hashlib, and MessagePack written here)."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from pgnym.audit.chain import ChainKey, Checkpoint, Content
from pgnym.vault.keys import Secret

AUDIT_KEY = Secret(bytes(range(100, 132)), "the audit key")
WRITER = UUID("00112233-4455-6677-8899-aabbccddeeff")
TIME = datetime(2026, 11, 24, 9, 30, 0, 123456, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parent / "chain_vectors.json").read_text())
CONTENT: Content = (
    TIME, "reveal", "allowed", "app", "support", "192.0.2.1", "shop", "service", "0123456789abcdef",
    {"email": 2, "birth_date": 300}, bytes(range(40)),
)  # fmt: skip


def hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869 with an empty salt, one block."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def chain_key() -> bytes:
    return hkdf(AUDIT_KEY.expose(), b"pgnym/v1/audit chain\x00")


def mac(*parts: bytes) -> bytes:
    return hmac.new(chain_key(), b"".join(parts), hashlib.sha256).digest()


def packed(value: object) -> bytes:
    """MessagePack, as its specification has it; shortest forms."""
    if isinstance(value, int):
        assert value >= 0
        for limit, mark, form in (
            (0x80, None, "B"),
            (0x100, 0xCC, "B"),
            (1 << 16, 0xCD, ">H"),
            (1 << 32, 0xCE, ">I"),
        ):
            if value < limit:
                return (b"" if mark is None else bytes((mark,))) + struct.pack(form, value)
        return b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        data = value.encode()
        if len(data) < 32:
            return bytes((0xA0 | len(data),)) + data
        return (
            b"\xd9" + struct.pack("B", len(data))
            if len(data) < 256
            else b"\xda" + struct.pack(">H", len(data))
        ) + data
    if isinstance(value, bytes):
        return (
            b"\xc4" + struct.pack("B", len(value))
            if len(value) < 256
            else b"\xc5" + struct.pack(">H", len(value))
        ) + value
    assert isinstance(value, (list, tuple))
    head = bytes((0x90 | len(value),)) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
    return head + b"".join(map(packed, value))


def encoded(tenant: int, sequence: int, content: Content) -> bytes:
    time, *texts, counts, details = content
    micros = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return packed([1, tenant, WRITER.bytes, sequence, micros, *texts, sorted(counts.items()), details])


def test_known_answers() -> None:
    key = ChainKey(AUDIT_KEY, 7)
    seal = key.writer(3, WRITER, TIME, b"\x11" * 32)
    start = key.start(seal)
    record = key.record(start, WRITER, 1, CONTENT)
    checkpoint = Checkpoint("main", WRITER, 1, record, TIME)
    found = {
        "writer": seal.hex(),
        "start": start.hex(),
        "content": key.encode(WRITER, 1, CONTENT).hex(),
        "record": record.hex(),
        "head": key.head(WRITER, 1, record).hex(),
        "checkpoint": key.checkpoint(checkpoint).hex(),
    }
    assert found == VECTORS


def test_an_independent_computation_agrees() -> None:
    key = ChainKey(AUDIT_KEY, 7)
    micros = struct.pack(">q", (TIME - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    number = struct.pack(">Q", 3)
    seal = mac(b"writer", number, WRITER.bytes, micros, b"\x11" * 32)
    assert key.writer(3, WRITER, TIME, b"\x11" * 32) == seal
    start = mac(b"start", seal)
    record = mac(b"record", start, encoded(7, 1, CONTENT))
    assert key.record(key.start(seal), WRITER, 1, CONTENT) == record
    one = struct.pack(">Q", 1)
    assert key.head(WRITER, 1, record) == mac(b"head", WRITER.bytes, one, record)
    for dropped in (False, True):
        checkpoint = Checkpoint("main", WRITER, 1, record, TIME, dropped)
        expected = mac(b"checkpoint", WRITER.bytes, one, record, micros, bytes((dropped,)))
        assert key.checkpoint(checkpoint) == expected


texts = st.text(max_size=300)
contents = st.tuples(
    st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    *[texts] * 8,
    st.dictionaries(texts, st.integers(0, 1 << 40), max_size=3),
    st.binary(max_size=300),
)


@given(one=contents, other=contents, sequence=st.integers(1, 1 << 40))
def test_different_records_have_different_bytes(one: Content, other: Content, sequence: int) -> None:
    key = ChainKey(AUDIT_KEY, 7)
    assert key.encode(WRITER, sequence, one) == encoded(7, sequence, one)
    assert (key.encode(WRITER, sequence, one) == key.encode(WRITER, sequence, other)) == (one == other)


def test_each_part_matters() -> None:
    key = ChainKey(AUDIT_KEY, 7)
    right = key.record(b"\x00" * 32, WRITER, 5, CONTENT)
    others = [
        ChainKey(AUDIT_KEY, 8).record(b"\x00" * 32, WRITER, 5, CONTENT),
        ChainKey(Secret(bytes(32), "another"), 7).record(b"\x00" * 32, WRITER, 5, CONTENT),
        key.record(b"\x01" * 32, WRITER, 5, CONTENT),
        key.record(b"\x00" * 32, UUID(int=1), 5, CONTENT),
        key.record(b"\x00" * 32, WRITER, 6, CONTENT),
    ]
    for place, value in enumerate(CONTENT):
        changed = list(CONTENT)
        if isinstance(value, datetime):
            changed[place] = value + timedelta(microseconds=1)
        elif isinstance(value, dict):
            changed[place] = {**value, "email": 3}
        elif isinstance(value, bytes):
            changed[place] = value[:-1]
        else:
            changed[place] = f"{value}x"
        others.append(key.record(b"\x00" * 32, WRITER, 5, tuple(changed)))  # type: ignore[arg-type]
    assert right not in others
    assert len(set(others)) == len(others)


def test_a_checkpoint_is_found_in_a_log_line() -> None:
    checkpoint = Checkpoint("main", WRITER, 17, bytes(32), TIME)
    line = f"2026-11-24 09:30:00 INFO pgnym.gateway {checkpoint.line()} trailing"
    assert Checkpoint.parse(line) == checkpoint
    assert Checkpoint.parse("nothing of the kind") is None
    assert Checkpoint.parse(line.replace('"sequence": 17', '"sequence": "x"')) is None
    assert Checkpoint.parse(line[:80]) is None
