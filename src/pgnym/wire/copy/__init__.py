"""COPY streams, both directions: cut into rows, some values replaced, the rest byte for byte.

Chunks (CopyData payloads) may be cut anywhere. Usage: ``feed`` each chunk, send on ``batch.head``, then the
rows, rebuilt by ``read(batch.rows, columns)`` and ``build``, then ``batch.tail``; at CopyDone the same with
``finish``.
"""

from __future__ import annotations

from pgnym.wire.copy.base import MAX_ROW, Batch, CopyCodec, CopyOptions, CopyRows, Marker, Value
from pgnym.wire.copy.binaries import BinaryCodec
from pgnym.wire.copy.csvs import CsvCodec
from pgnym.wire.copy.texts import TextCodec


def copy_codec(options: CopyOptions, max_row: int = MAX_ROW) -> CopyCodec:
    """The codec for ``options.format``. ``max_row``: bytes a row may have."""
    kinds: dict[str, type[CopyCodec]] = {"text": TextCodec, "csv": CsvCodec, "binary": BinaryCodec}
    return kinds[options.format](options, max_row)


__all__ = ["MAX_ROW", "Batch", "CopyCodec", "CopyOptions", "CopyRows", "Marker", "Value", "copy_codec"]
