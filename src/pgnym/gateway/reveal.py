"""What a chunk of rows becomes for one session: which tokens are looked up, and what is put in their place.

A reveal needs two keys. *Shape*: a token is found wherever it stands. *Lineage*: it is replaced only in an output column
that the plan says may carry its domain, and only as the role's sight of all columns it may come from allows. A token
planted in a free-text column stays a token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pgnym.gateway.consenting import Guarded, Values
from pgnym.gateway.copy_in import copy_options
from pgnym.gateway.deferred import Deferrals, DeferredContext
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.session import Session
from pgnym.gateway.slots import Slot
from pgnym.policy.sight import Sight
from pgnym.sql.plan import OutputColumn
from pgnym.vault.tokens import PREFIX_LENGTH, TOKEN_LENGTH, TOKEN_PATTERN
from pgnym.wire.codecs import codec_for, element_oid
from pgnym.wire.codecs.base import Codec, Settings
from pgnym.wire.containers import IsNull, Revealed, Wrap, inside, substitute
from pgnym.wire.copy import Batch, CopyOptions, CopyRows, Value, copy_codec
from pgnym.wire.datarow import Collected, Replacement, TokenColumn, TokenShape, collect, rebuild, too_large
from pgnym.wire.frames import HEADER
from pgnym.wire.messages import build_data_row, copy_data, parse_data_row
from pgnym.wire.one_row import Spot, find_tokens, is_one_row, replace_tokens

Masker = Callable[[bytes], bytes]
_MOST_COMPUTED = 64 << 20
"""What a chunk of rows may become through functions, which can make much of little (``repeat``)."""
_SHAPE = TokenShape(TOKEN_PATTERN, TOKEN_LENGTH)


class Reveal(Protocol):
    """One kind of thing in which tokens are replaced: rows, COPY data, reports."""

    def find(self, chunk: bytes) -> tuple[Collection[bytes], dict[str, int]]:
        """The tokens to look up, and how many per domain. Must be called before ``unchanged`` and ``rebuild``."""

    def guarded(self) -> Guarded | None:
        """What of that was found in columns that need consent; None for nothing. After ``find``."""

    def domains(self) -> Mapping[bytes, str]:
        """The domains that may be opened, by prefix."""

    def unchanged(self, chunk: bytes) -> bytes:
        """What to send if there was nothing to look up."""

    def rebuild(self, chunk: bytes, values: Mapping[bytes, bytes]) -> bytes:
        """What to send, given the values of the tokens."""


@dataclass(frozen=True, slots=True)
class Opened:
    """How values of one domain are shown in one output column: ``mask`` None for the value itself."""

    domain: str
    column: str
    codec: Codec
    typmod: int
    mask: Masker | None

    def value(self, canonical: bytes) -> bytes:
        """The canonical value to show."""
        return canonical if self.mask is None else self.mask(canonical)


@dataclass(frozen=True, slots=True)
class ColumnReveal:
    """One output column: what opens by token prefix, what stands around it, and the form it is sent in."""

    index: int
    opened: Mapping[bytes, Opened]
    wraps: tuple[Wrap, ...]
    format: int
    shown_oid: int
    settings: Settings
    deferrals: Deferrals | None = None
    guarded: frozenset[bytes] = frozenset()

    @classmethod
    def of(
        cls, index: int, output: OutputColumn, format_: int, oid: int, session: Session
    ) -> ColumnReveal | None:
        """None if the session's role sees tokens there. Raises ``GatewayError`` 42501 where it can't be shown those."""
        role, purpose = session.role, session.purpose
        opened: dict[bytes, Opened] = {}
        guarded: set[bytes] = set()
        for lineage in output.lineages:
            protection = lineage.protection
            sight = role.combined(lineage.columns, purpose)
            if sight is Sight.TOKENS:
                continue
            if role.needs_consent(lineage.columns):
                guarded.add(protection.prefix)
            mask = session.masker(protection.column, protection.codec_oid) if sight is Sight.MASK else None
            opened[protection.prefix] = Opened(
                protection.domain, protection.column, codec_for(protection.codec_oid), protection.typmod, mask
            )
        wraps = tuple(Wrap(container.value) for container in output.containers)
        shown_oid = output.type_oid or oid
        plain_oid = (
            element_oid(shown_oid) if wraps[:1] == (Wrap.ARRAY,) else 0 if wraps else output.type_oid or 0
        )
        deferrals = Deferrals.of(output, plain_oid, session)
        if not opened:
            return None
        return cls(index, opened, wraps, format_, shown_oid, session.settings, deferrals, frozenset(guarded))

    def wanted(self, tokens: set[bytes]) -> list[bytes]:
        """Those of the tokens found in the column that may be opened there."""
        opened = self.opened
        return [token for token in tokens if token[:PREFIX_LENGTH] in opened]

    def forms(self, tokens: set[bytes], values: Mapping[bytes, bytes]) -> Replacement:
        """What replaces each token (whole columns), or each value."""
        if self.deferrals is not None:
            return self._computing(self.deferrals, values)
        if self.wraps or (self.guarded and withheld_of(values)) or restricted_of(values):
            return lambda value: self.substitute(value, values)
        forms = ((token, self.form(token, values)) for token in tokens)
        return {token: form for token, form in forms if form is not None}

    def form(self, token: bytes, values: Mapping[bytes, bytes]) -> bytes | None:
        """What replaces a token that is a whole value; None if it stays."""
        opened = self.opened.get(token[:PREFIX_LENGTH])
        if opened is None:
            return None
        canonical = values.get(token)
        if canonical is None:
            if opened.codec.is_text:
                return None  # a token nobody has put is only a string
            raise missing_value(opened)
        shown = canonical if opened.mask is None else opened.mask(canonical)
        if self.format:
            return opened.codec.send(shown, opened.typmod)
        return opened.codec.show(shown, opened.typmod, self.settings)

    def substitute(self, value: bytes, values: Mapping[bytes, bytes]) -> bytes | None:
        """One value with the tokens in it replaced; None for NULL: of a deferred function, or where consent is missing."""
        if self.deferrals is not None:
            return self._computed(value, self._context(self.deferrals, values))
        reveal = self._revealing(values)
        try:
            return substitute(
                value, self.format, self.wraps, TOKEN_PATTERN, reveal, self.settings, self.shown_oid
            )
        except IsNull:
            return None

    def substituted(self, old: Sequence[Value], values: Mapping[bytes, bytes]) -> list[Value]:
        """Values of COPY data with the tokens in them replaced."""
        if self.deferrals is None:
            return [self.substitute(v, values) if isinstance(v, bytes) else v for v in old]
        compute = self._computing(self.deferrals, values)
        return [compute(v) if isinstance(v, bytes) else v for v in old]

    def _computing(
        self, deferrals: Deferrals, values: Mapping[bytes, bytes]
    ) -> Callable[[bytes], bytes | None]:
        """What computes the values of a chunk; it raises 54000 once they have become too large together."""
        context = self._context(deferrals, values)
        left = _MOST_COMPUTED

        def compute(value: bytes) -> bytes | None:
            nonlocal left
            result = self._computed(value, context)
            if result is not None:
                left -= len(result)
                if left < 0:
                    raise too_large(_MOST_COMPUTED)
            return result

        return compute

    def _revealing(self, values: Mapping[bytes, bytes]) -> Callable[[bytes], Revealed | None]:
        withheld = withheld_of(values) if self.guarded else frozenset[bytes]()
        restricted = restricted_of(values)

        def reveal(token: bytes) -> Revealed | None:
            opened = self.opened.get(token[:PREFIX_LENGTH])
            canonical = values.get(token)
            if opened is not None and (
                token in restricted or (token in withheld and token[:PREFIX_LENGTH] in self.guarded)
            ):
                raise IsNull(opened.codec.oid)
            if opened is None or canonical is None:
                return None
            return Revealed(opened.value(canonical), opened.codec.oid, opened.typmod)

        return reveal

    def _context(self, deferrals: Deferrals, values: Mapping[bytes, bytes]) -> DeferredContext:
        pattern = deferrals.marks.shape.pattern
        return DeferredContext(pattern, self._revealing(values), inside, self.settings, deferrals)

    def _computed(self, value: bytes, context: DeferredContext) -> bytes | None:
        try:
            return inside(value, self.format, self.wraps, context, self.shown_oid)
        except IsNull:
            return None

    @property
    def retyped(self) -> bool:
        """A binary array whose header must name the original element type, tokens or not; plain values sent as text."""
        if self.format and self.deferrals is not None and self.deferrals.plain_oid:
            return True
        return bool(
            self.format and self.wraps and self.wraps[0] is Wrap.ARRAY and element_oid(self.shown_oid)
        )


def missing_value(opened: Opened) -> GatewayError:
    """A typed column holds a token that the vault does not know: there is nothing of its type to show."""
    return GatewayError(
        "XX001",
        f"a token in column {opened.column} has no value in the vault",
        hint="Was the row written around the gateway, or the vault restored from an old copy?",
    )


def reveals_of(outputs: tuple[OutputColumn | None, ...], slot: Slot, session: Session) -> list[ColumnReveal]:
    """The columns of a slot's statement that reveal something to the session."""
    columns = []
    for index, output in enumerate(outputs):
        if output is None:
            continue
        format_, oid = 0, 0
        if slot.fields is not None:
            format_, oid = slot.fields[index].format, slot.fields[index].type_oid
        if slot.formats:
            format_ = slot.formats[0] if len(slot.formats) == 1 else slot.formats[index]
        column = ColumnReveal.of(index, output, format_, oid, session)
        if column is not None:
            columns.append(column)
    return columns


class RowReveal:
    """DataRow messages."""

    def __init__(self, columns: list[ColumnReveal]) -> None:
        self._columns = columns
        self._sought = [
            TokenColumn(column.index, whole=not column.wraps and column.deferrals is None)
            for column in columns
        ]
        deferrals = next((column.deferrals for column in columns if column.deferrals is not None), None)
        self._deferred = deferrals is not None
        self._shape = _SHAPE if deferrals is None else deferrals.marks.shape
        self._retyped = any(column.retyped for column in columns)
        self._places = [column.index for column in columns]
        self._whole = not any(
            column.wraps or column.guarded or column.deferrals is not None for column in columns
        )
        self._spots: list[Spot] | None = None  # of the chunk at hand, if it is one row
        self._found: Collected

    @classmethod
    def of(cls, slot: Slot, session: Session) -> RowReveal | None:
        """None when no column of the statement reveals anything to the session."""
        fields = tuple((f.format, f.type_oid) for f in slot.fields or ())

        def make() -> RowReveal | None:
            columns = reveals_of(slot.outputs, slot, session)
            return cls(columns) if columns else None

        # One is enough for all executions: a session reveals one chunk at a time.
        return session.derive(slot.outputs, (slot.formats, fields), make)

    def find(self, chunk: bytes) -> tuple[Collection[bytes], dict[str, int]]:
        """As ``Reveal``."""
        self._spots = find_tokens(chunk, self._places, _SHAPE) if self._whole and is_one_row(chunk) else None
        if self._spots is not None:
            return self._wanted_in_row(self._spots)
        found = self._found = collect(chunk, self._sought, self._shape)
        if found.empty:
            return (), {}
        return wanted_tokens(self._columns, found.tokens)

    def guarded(self) -> Guarded | None:
        """As ``Reveal``."""
        return None if self._spots is not None else guarded_tokens(self._columns, self._found.tokens)

    def domains(self) -> Mapping[bytes, str]:
        """As ``Reveal``."""
        return domains_of(self._columns)

    def unchanged(self, chunk: bytes) -> bytes:
        """As ``Reveal``."""
        return self.rebuild(chunk, {}) if self._retyped or self._deferred else chunk

    def rebuild(self, chunk: bytes, values: Mapping[bytes, bytes]) -> bytes:
        """As ``Reveal``."""
        spots = self._spots
        if spots is not None and restricted_of(values):
            self._found = collect(chunk, self._sought, self._shape)
        elif spots is not None:
            forms = [self._columns[which].form(token, values) for which, _, token in spots]
            return replace_tokens(chunk, spots, forms)
        if self._retyped:
            return self._rewrite(chunk, values)
        replacements = [c.forms(t, values) for c, t in zip(self._columns, self._found.tokens, strict=True)]
        return rebuild(self._found, replacements, _MOST_COMPUTED if self._deferred else None)

    def _wanted_in_row(self, spots: list[Spot]) -> tuple[Collection[bytes], dict[str, int]]:
        wanted: list[bytes] = []
        counts: dict[str, int] = {}
        for which, _, token in spots:
            opened = self._columns[which].opened.get(token[:PREFIX_LENGTH])
            if opened is not None and token not in wanted:
                wanted.append(token)
                counts[opened.domain] = counts.get(opened.domain, 0) + 1
        return wanted, counts

    def _rewrite(self, chunk: bytes, values: Mapping[bytes, bytes]) -> bytes:
        """Row by row: slower, but it reaches values without tokens too."""
        out: list[bytes] = []
        pos = size = 0
        while pos < len(chunk):
            end = pos + 1 + int.from_bytes(chunk[pos + 1 : pos + HEADER], "big")
            row = parse_data_row(chunk[pos:end])
            for column in self._columns:
                value = row[column.index]
                if value is not None:
                    row[column.index] = column.substitute(value, values)
            out.append(build_data_row(row))
            size += len(out[-1])
            if self._deferred and size > _MOST_COMPUTED:
                raise too_large(_MOST_COMPUTED)
            pos = end
        return b"".join(out)


def wanted_tokens(
    columns: list[ColumnReveal], found: list[set[bytes]]
) -> tuple[Collection[bytes], dict[str, int]]:
    """The distinct tokens that may be opened in the columns they were found in, and how many per domain."""
    wanted: set[bytes] = set()
    counts: dict[str, int] = {}
    for column, tokens in zip(columns, found, strict=True):
        if not tokens:
            continue
        opened = column.opened
        if len(opened) == 1:
            prefix, how = next(iter(opened.items()))
            own = {token for token in tokens if token.startswith(prefix)} - wanted
            if own:
                counts[how.domain] = counts.get(how.domain, 0) + len(own)
                wanted |= own
            continue
        for token in column.wanted(tokens):
            if token not in wanted:
                wanted.add(token)
                domain = opened[token[:PREFIX_LENGTH]].domain
                counts[domain] = counts.get(domain, 0) + 1
    return wanted, counts


def withheld_of(values: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """The tokens that aren't shown in columns that need consent."""
    return values.withheld if isinstance(values, Values) else frozenset()


def restricted_of(values: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """The tokens that are shown nowhere, since their subjects' processing is restricted."""
    return values.restricted if isinstance(values, Values) else frozenset()


def domains_of(columns: list[ColumnReveal]) -> dict[bytes, str]:
    """The domains that columns open, by prefix."""
    return {prefix: opened.domain for column in columns for prefix, opened in column.opened.items()}


def guarded_tokens(columns: list[ColumnReveal], found: list[set[bytes]]) -> Guarded | None:
    """The tokens found in columns that need consent; None if there are none."""
    if not any(column.guarded for column in columns):
        return None
    tokens: set[bytes] = set()
    free: set[bytes] = set()
    domains: dict[bytes, str] = {}
    for column, each in zip(columns, found, strict=True):
        if not column.guarded:
            free |= each
            continue
        for token in column.wanted(each):
            prefix = token[:PREFIX_LENGTH]
            if prefix in column.guarded:
                tokens.add(token)
                domains[prefix] = column.opened[prefix].domain
            else:
                free.add(token)
    return Guarded(frozenset(tokens), frozenset(tokens - free), domains) if tokens else None


class CopyReveal:
    """CopyData messages of a COPY TO STDOUT.

    The server sends a row a message; nothing promises it, but clients rely on it, so message for message is kept.
    """

    def __init__(self, columns: list[ColumnReveal], options: CopyOptions) -> None:
        self._columns = columns
        self._codec = copy_codec(options)
        self._batches: list[Batch] = []
        self._tokens: list[set[bytes]] = []
        self._read: CopyRows | None = None

    @classmethod
    def of(cls, slot: Slot, session: Session) -> CopyReveal | None:
        """None when no column of the statement reveals anything to the session."""
        plan = slot.plan
        if plan is None or plan.copy is None:
            return None
        binary = plan.copy.format == "binary"
        columns = []
        for index, output in enumerate(plan.outputs):
            column = None if output is None else ColumnReveal.of(index, output, int(binary), 0, session)
            if column is not None:
                columns.append(column)
        return cls(columns, copy_options(plan.copy, len(plan.outputs), session)) if columns else None

    def find(self, chunk: bytes) -> tuple[Collection[bytes], dict[str, int]]:
        """As ``Reveal``."""
        self._batches = [self._codec.feed(payload) for payload in _payloads(chunk)]
        rows = [row for batch in self._batches for row in batch.rows]
        if not rows:
            self._read = None
            return (), {}
        self._read = self._codec.read(rows, [column.index for column in self._columns])
        found = [
            {token for value in values if isinstance(value, bytes) for token in TOKEN_PATTERN.findall(value)}
            for values in self._read.values
        ]
        self._tokens = found
        return wanted_tokens(self._columns, found)

    def guarded(self) -> Guarded | None:
        """As ``Reveal``."""
        return guarded_tokens(self._columns, self._tokens)

    def domains(self) -> Mapping[bytes, str]:
        """As ``Reveal``."""
        return domains_of(self._columns)

    def unchanged(self, chunk: bytes) -> bytes:
        """As ``Reveal``."""
        return self.rebuild(chunk, {})

    def rebuild(self, chunk: bytes, values: Mapping[bytes, bytes]) -> bytes:
        """As ``Reveal``."""
        rows: list[bytes] = []
        if self._read is not None:
            new: list[list[Value]] = []
            for column, old in zip(self._columns, self._read.values, strict=True):
                new.append(column.substituted(old, values))
            rows = self._read.build(new)
        out: list[bytes] = []
        done = 0
        for batch in self._batches:
            own = rows[done : done + len(batch.rows)]
            done += len(own)
            data = b"".join((batch.head, *own, batch.tail))
            if data:
                out.append(copy_data(data))
        return b"".join(out)


def _payloads(chunk: bytes) -> Iterator[bytes]:
    pos = 0
    while pos < len(chunk):
        end = pos + 1 + int.from_bytes(chunk[pos + 1 : pos + HEADER], "big")
        yield chunk[pos + HEADER : end]
        pos = end
