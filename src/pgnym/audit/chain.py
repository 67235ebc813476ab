"""The chain over the audit log: what is authenticated, and how.

All are HMAC-SHA-256 (RFC 2104) under one key per tenant, chain key = HKDF-SHA-256(tenant's audit key, "audit chain"). The
first word of each input separates them:

    seal of writer n   = HMAC("writer" ‖ n ‖ writer ‖ started ‖ seal of writer n-1, or nothing)
    mac before record 1 = HMAC("start" ‖ seal of the writer)
    mac of record s    = HMAC("record" ‖ mac of record s-1 ‖ content)
    head               = HMAC("head" ‖ writer ‖ s ‖ mac of record s)
    checkpoint         = HMAC("checkpoint" ‖ writer ‖ s ‖ mac of record s ‖ time ‖ dropped)

A hash chain over records and its checkpoints are those of Schneier and Kelsey, "Secure Audit Logs to Support Computer
Forensics" (1999), without their evolving keys: our keys aren't on the machine that is distrusted. Numbers are big endian
(8 bytes), times microseconds since 1970, a writer its 16 bytes; all but the content have a fixed length. The content is a
MessagePack array, so that no two records have the same bytes.

What a chain can't show is that all of it was replaced by an older copy of all of it. For that, checkpoints are also given
to whoever keeps them elsewhere (``Checkpoint.line``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from pgnym.vault.keys import Secret
from pgnym.vault.times import micros

_FORMAT = 1
_pack = msgspec.msgpack.Encoder().encode


COLUMNS = (
    "time", "action", "decision", "db_user", "role", "client_address", "application_name", "purpose", "fingerprint",
)  # fmt: skip
Content = tuple[datetime, str, str, str, str, str, str, str, str, Mapping[str, int], bytes]
"""What of a record its mac covers: the ``COLUMNS`` of the table, then counts and details (sealed)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last record of a writer at some time. ``dropped``: the records up to it are gone, by retention."""

    tenant: str
    writer: UUID
    sequence: int
    mac: bytes
    time: datetime
    dropped: bool = False

    def line(self) -> str:
        """For a log that is kept elsewhere. Says nothing of a person."""
        return json.dumps(
            {
                "pgnym": "audit checkpoint",
                "tenant": self.tenant,
                "writer": str(self.writer),
                "sequence": self.sequence,
                "mac": self.mac.hex(),
                "time": self.time.isoformat(),
            }
        )

    @classmethod
    def parse(cls, line: str) -> Checkpoint | None:
        """The checkpoint in a line of such a log (whatever stands before it), None if there is none."""
        start = line.find('{"pgnym": "audit checkpoint"')
        if start < 0:
            return None
        try:
            found, _ = json.JSONDecoder().raw_decode(line[start:])
            return cls(
                found["tenant"],
                UUID(found["writer"]),
                int(found["sequence"]),
                bytes.fromhex(found["mac"]),
                datetime.fromisoformat(found["time"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


class ChainKey:
    """Computes and compares the macs of one tenant."""

    __slots__ = ("_hmac", "_tenant")

    def __init__(self, audit_key: Secret, tenant: int) -> None:
        self._hmac = HMAC(audit_key.derive(b"audit chain"), SHA256())
        self._tenant = tenant

    def _mac(self, data: bytes) -> bytes:
        keyed = self._hmac.copy()  # spares the hashing of the key each time
        keyed.update(data)
        return keyed.finalize()

    def writer(self, number: int, writer: UUID, started: datetime, before: bytes) -> bytes:
        """The seal of the tenant's ``number``-th writer; ``before``: that of the one before it, b"" for the first."""
        return self._mac(b"writer" + _number(number) + writer.bytes + _time(started) + before)

    def start(self, seal: bytes) -> bytes:
        """What the mac of a writer's first record is chained to."""
        return self._mac(b"start" + seal)

    def record(self, before: bytes, writer: UUID, sequence: int, content: Content) -> bytes:
        """The mac of a record; ``before``: that of the one before it."""
        return self._mac(b"record" + before + self.encode(writer, sequence, content))

    def encode(self, writer: UUID, sequence: int, content: Content) -> bytes:
        """The bytes of a record: a MessagePack array of format, tenant, writer, sequence, time and the columns."""
        time, *texts, counts, details = content
        return _pack(
            (
                _FORMAT,
                self._tenant,
                writer.bytes,
                sequence,
                micros(time),
                *texts,
                sorted(counts.items()),
                details,
            )
        )

    def head(self, writer: UUID, sequence: int, mac: bytes) -> bytes:
        """What a writer's row says of its last record."""
        return self._mac(b"head" + writer.bytes + _number(sequence) + mac)

    def checkpoint(self, checkpoint: Checkpoint) -> bytes:
        """The seal of a checkpoint."""
        return self._mac(
            b"checkpoint"
            + checkpoint.writer.bytes
            + _number(checkpoint.sequence)
            + checkpoint.mac
            + _time(checkpoint.time)
            + bytes((checkpoint.dropped,))
        )


def same(one: bytes, other: bytes) -> bool:
    """Compared in constant time."""
    return bytes_eq(one, other)


def _number(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _time(time: datetime) -> bytes:
    return micros(time).to_bytes(8, "big", signed=True)
