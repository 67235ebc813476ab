"""COPY FROM STDIN into protected columns: the stream is taken apart, values become tokens, and it is put together again.

Memory is bounded by a row and a CopyData message; each message is answered before the next is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pgnym.gateway.session import Session
from pgnym.gateway.slots import Slot
from pgnym.gateway.tokenize import Tokenizer, Tokens
from pgnym.sql.plan import CopyPlan, ValueUse
from pgnym.wire.copy import Batch, CopyCodec, CopyOptions, Value, copy_codec


def copy_options(plan: CopyPlan, columns: int, session: Session) -> CopyOptions:
    """The stream's options as the codec takes them, on the session's server."""
    return CopyOptions(
        columns=columns,
        format=plan.format,  # type: ignore[arg-type]  # the planner gives text, csv or binary
        delimiter=plan.delimiter.encode(),
        null=plan.null.encode(),
        quote=plan.quote.encode(),
        escape=plan.escape.encode(),
        header=plan.header,
        force_null=plan.force_null,
        force_not_null=plan.force_not_null,
        # From PostgreSQL 18 on a line \\. is data in csv; before, it ended the stream.
        end_marker=plan.format == "text" or session.server_major < 18,
        default=None if plan.default is None else plan.default.encode(),
    )


class CopyIn:
    """One COPY FROM STDIN under way. ``slot`` is the statement's."""

    def __init__(self, plan: CopyPlan, session: Session, slot: Slot) -> None:
        self.slot = slot
        self._codec: CopyCodec = copy_codec(copy_options(plan, len(plan.columns), session))
        self._binary = plan.format == "binary"
        self._columns = [index for index, use in enumerate(plan.columns) if use is not None]
        self._convert = [self._converter(use, session) for use in plan.columns if use is not None]

    def feed(self, data: bytes) -> tuple[bytes, Tokens]:
        """The next bytes of the stream: what to send, and what to put first. Raises ``CodecError`` and what it tokenizes."""
        return self._transform(self._codec.feed(data))

    def finish(self) -> tuple[bytes, Tokens]:
        """The client is done."""
        return self._transform(self._codec.finish())

    def _transform(self, batch: Batch) -> tuple[bytes, Tokens]:
        tokens = Tokens()
        if not batch.rows:
            return batch.head + batch.tail, tokens
        rows = self._codec.read(batch.rows, self._columns)
        new: list[Sequence[Value]] = []
        for convert, values in zip(self._convert, rows.values, strict=True):
            new.append([convert(v, tokens) if isinstance(v, bytes) else v for v in values])
        return b"".join((batch.head, *rows.build(new), batch.tail)), tokens

    def _converter(self, use: ValueUse, session: Session) -> Callable[[bytes, Tokens], bytes]:
        """From a value of a column to what is sent. In binary format it has the form of the column's own type."""
        tokenizer, binary = Tokenizer(use, session), self._binary
        declared = use.protection.codec_oid if binary else 0
        if use.leaves:
            return lambda value, tokens: tokenizer.document(value, 0, binary, tokens)
        if use.array and binary:
            return lambda value, tokens: tokenizer.array_binary(value, declared, tokens)
        if use.array:
            return lambda value, tokens: tokenizer.array(value, 0, False, tokens)
        return lambda value, tokens: tokenizer.token(value, declared, binary, tokens)
