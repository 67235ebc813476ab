"""ErrorResponse and NoticeResponse of statements that concern the gateway.

A caret is moved back to its place in the client's own text, an error that was provoked on the client's behalf gets the
text that belongs to it (so does that of a value without a rank, see ``sql/ordering.py``), and tokens are revealed in message
and detail, but only those of the table that the error names (fields ``s`` and ``t``): any other token may have been planted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from pgnym.gateway.consenting import Values
from pgnym.gateway.reports import ErrorReport
from pgnym.gateway.session import Session
from pgnym.gateway.slots import Slot
from pgnym.policy.sight import Sight
from pgnym.sql.catalog import Protection
from pgnym.sql.ordering import UNRANKED
from pgnym.vault.tokens import TOKEN_PATTERN
from pgnym.wire import codecs
from pgnym.wire.frames import Backend
from pgnym.wire.reports import DETAIL, MESSAGE, POSITION, SCHEMA, SQLSTATE, TABLE, build_report, parse_report

ABORTED = b"25P02"
_BAD_CAST = b"22P02"  # invalid_text_representation
_UNRANKED = UNRANKED.encode()
_CHANGED_MEANWHILE = ErrorReport(
    "40001",
    "could not sort or compare protected values: another session has added one meanwhile",
    detail="The order of the values was asked for before the statement read its rows, and one of them has no place in it.",
    hint="Retry the statement, or the transaction that it is part of.",
)
_REVEALED = (MESSAGE, DETAIL)


@dataclass(slots=True)
class Failure:
    """A report from the server. ``shown``: what the client gets, if that is already decided."""

    fields: dict[str, bytes]
    notice: bool
    shown: bytes | None = None

    @classmethod
    def read(cls, message: bytes, slot: Slot, session: Session) -> Failure:
        """Parse it and put the caret where the client expects it. Raises ``ProtocolViolation``."""
        fields = parse_report(message)
        notice = message[0] == Backend.NOTICE_RESPONSE
        failure = cls(fields, notice)
        report: ErrorReport | None = slot.report
        if report is not None and not notice and fields.get(SQLSTATE) != ABORTED:
            failure.shown = report.encode()
        elif not notice and fields.get(SQLSTATE) == _BAD_CAST and _UNRANKED in fields.get(MESSAGE, b""):
            failure.shown = _CHANGED_MEANWHILE.encode()
        elif POSITION in fields and slot.text:
            position = client_position(int(fields[POSITION]), slot)
            if position is None:
                del fields[POSITION]
            else:
                fields[POSITION] = str(position).encode()
        return failure

    def encode(self) -> bytes:
        """The message as it stands."""
        return build_report(self.fields, notice=self.notice)


def client_position(position: int, slot: Slot) -> int | None:
    """A 1-based character position in the sent text as one in the client's text, or None if it can't be told.

    ``slot.positions`` holds pairs of offsets (sent, client), in bytes, at each splice. Texts differ only at splices, so the
    distance from the last splice before it is the same in both.
    """
    if slot.sent_text is None:
        return position
    offset = len(slot.sent_text.decode("utf-8", "replace")[: position - 1].encode())
    index = bisect_right(slot.positions, (offset, 1 << 62)) - 1
    if index >= 0:
        sent, own = slot.positions[index]
        offset = own + (offset - sent)
    if not 0 <= offset <= len(slot.text):
        return None
    return len(slot.text[:offset].decode("utf-8", "replace")) + 1


class FailureReveal:
    """Reveals the tokens of one table's domains in the texts of a report. One of the ``Reveal`` kinds."""

    def __init__(self, failure: Failure, protections: Mapping[bytes, Protection], session: Session) -> None:
        self._failure = failure
        self._protections = protections
        self._settings = session.settings

    @classmethod
    def of(cls, failure: Failure, session: Session) -> FailureReveal | None:
        """None when the report names no table with protected columns, or the role sees tokens there."""
        schema, table = failure.fields.get(SCHEMA), failure.fields.get(TABLE)
        if schema is None or table is None:
            return None
        catalog = session.engine.catalog
        relation = catalog.relations.get(
            (schema.decode("utf-8", "replace"), table.decode("utf-8", "replace"))
        )
        if relation is None:
            return None
        role, purpose = session.role, session.purpose
        seen: dict[bytes, Protection] = {}
        hidden: set[bytes] = set()
        for protection in (p for column in relation.columns for p in column.protections):
            seen[protection.prefix] = protection
            if role.combined(protection.columns, purpose) is not Sight.REVEAL or role.needs_consent(
                protection.columns
            ):
                hidden.add(
                    protection.prefix
                )  # another column of the domain may be revealed; which this is, is unknown
        for prefix in hidden:
            del seen[prefix]
        return cls(failure, seen, session) if seen else None

    def find(self, chunk: bytes) -> tuple[list[bytes], dict[str, int]]:
        """The tokens to look up, and how many per domain."""
        found: dict[bytes, None] = {}
        counts: dict[str, int] = {}
        for code in _REVEALED:
            for token in TOKEN_PATTERN.findall(self._failure.fields.get(code, b"")):
                protection = self._protections.get(token[:6])
                if protection is not None and token not in found:
                    found[token] = None
                    counts[protection.domain] = counts.get(protection.domain, 0) + 1
        return list(found), counts

    def guarded(self) -> None:
        """Nothing of a column that needs consent is shown in a report."""
        return

    def domains(self) -> Mapping[bytes, str]:
        """The domains of the table, by prefix."""
        return {prefix: protection.domain for prefix, protection in self._protections.items()}

    def unchanged(self, chunk: bytes) -> bytes:
        """What to send when there is nothing to reveal."""
        return self._failure.encode()

    def rebuild(self, chunk: bytes, values: Mapping[bytes, bytes]) -> bytes:
        """The report with values in place of tokens; a token without a value stays."""
        fields = dict(self._failure.fields)
        held = values.restricted if isinstance(values, Values) else ()
        values = {token: value for token, value in values.items() if token not in held}
        for code in _REVEALED:
            if code in fields:
                fields[code] = TOKEN_PATTERN.sub(lambda match: self._show(match[0], values), fields[code])
        return build_report(fields, notice=self._failure.notice)

    def _show(self, token: bytes, values: Mapping[bytes, bytes]) -> bytes:
        protection = self._protections.get(token[:6])
        value = values.get(token)
        if protection is None or value is None:
            return token
        return codecs.text_from_canonical(protection.codec_oid, protection.typmod, value, self._settings)
