"""What the planner hands to the gateway: data only.

A client text (one Query or Parse message) becomes a ``Rewrite``: the text as ``pieces`` to be joined, some of them values
to be tokenized first, and one ``StatementPlan`` per statement in it. A text that touches nothing protected has no Rewrite
at all (``planner.plan`` returns None and the client's own bytes go on).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pgnym.semantics.expression import Expression
from pgnym.sql.catalog import Leaf, Protection


class Use(Enum):
    """Why a value is turned into a token. Decides which right it needs and whether the value must be put first."""

    COMPARE = "compare"  # searched for: needs `compare`; no put
    WRITE = "write"  # stored in a column: needs `write`; length check; put before the statement
    CARRY = "carry"  # meets a token in an output (COALESCE, UNION, VALUES): needs `compare`; put before the statement


@dataclass(frozen=True, slots=True)
class ValueUse:
    """A literal or parameter that takes the kind "token of a domain".

    ``protection`` gives domain, original type and length; ``array``: the value is an array whose elements are tokenized.
    ``cast_typmod``: an explicit cast around it (``'x'::varchar(3)``) truncates or rounds first, as the cast would; -1: none.
    ``cast_oid``: the type of that cast, 0: none. ``columns``: all columns (``schema.table.column``) the value meets.
    ``leaves``: the value is a JSON document, whose strings at these paths are tokenized.
    """

    use: Use
    protection: Protection
    columns: frozenset[str]
    array: bool = False
    cast_oid: int = 0
    cast_typmod: int = -1
    leaves: tuple[Leaf, ...] = ()


@dataclass(frozen=True, slots=True)
class LiteralPiece:
    """A constant in the text, to be replaced by a quoted token.

    ``value`` is its decoded value (never shown: no repr); ``position`` its byte offset in the client's text.
    """

    value: str
    use: ValueUse
    position: int = 0

    def __repr__(self) -> str:
        return f"LiteralPiece(use={self.use!r})"


class Answer(Enum):
    """What a look-up in a domain brings, and so what stands in its place in the text sent upstream.

    ``MATCHES``, ``text[]``: the tokens whose values satisfy the test; and '' where the empty string does. ``RANKS``, a
    ``jsonb`` object: each token of the domain (and '') → its rank from 1, in the column's order; ``"0"`` → what NULL has.
    ``ORDERED``, a ``jsonb`` array: the element with the index of a rank is a token that has it. ``PLACE``, text: the rank
    that a constant has or, between two, would have (``3.5``); '' for NULL. ``CODE``, text: the same where the database has
    an order index, for its function ``pgnym.place_…``; ``?`` for NULL.

    With a test, what is ranked is not the value itself but what the test computes from it.
    """

    MATCHES = "matches"
    RANKS = "ranks"
    ORDERED = "ordered"
    PLACE = "place"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question to the vault that must be answered before the statement can go upstream.

    ``columns``: base columns that it inspects; needs ``compare`` on each. ``test``: what is asked of a value, an expression.
    ``constants``: what the expression's constants are: a decoded literal, or the number of a client parameter; never shown.
    ``position``: byte offset in the client's text, for errors. ``nulls``: the test need not be NULL where the value is; if
    it is true there, ``searching.NULL`` stands among the matches. ``loose``: where it stands, NULL is no other than false.
    """

    answer: Answer
    protection: Protection
    columns: frozenset[str]
    test: Expression | None = None
    constants: tuple[str | int | None, ...] = ()
    position: int = field(default=0, compare=False)
    nulls: bool = False
    loose: bool = False

    def __repr__(self) -> str:
        return f"Lookup({self.answer.value}, {sorted(self.columns)!r})"


@dataclass(frozen=True, slots=True)
class LookupPiece:
    """The place of a look-up's answer: a quoted literal in a Query, one more parameter in the extended protocol.

    The text around it casts it to its type (``::text[]``, ``::jsonb``). ``closing``: the index in ``Rewrite.positions`` of
    the pair behind it.
    """

    lookup: Lookup
    closing: int = 0


@dataclass(frozen=True, slots=True)
class FollowPiece:
    """Statements of the gateway's own behind one of the client's, each begun by a semicolon: for a Query only.

    In the extended protocol they are messages of their own (``StatementPlan.follow``).
    """

    text: bytes


NONCE_LENGTH = 12
"""Characters by which a session knows its own marks; see ``gateway/marks.py``."""


class MarkPart(Enum):
    """What stands around the operands of a deferred function: a mark before, between and behind them."""

    OPEN = "open"
    NEXT = "next"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class MarkPiece:
    """The place of a mark, sent as a quoted literal. ``index``: that of the deferral in its statement."""

    part: MarkPart
    index: int


Piece = bytes | LiteralPiece | LookupPiece | MarkPiece | FollowPiece


@dataclass(frozen=True, slots=True)
class Given:
    """A constant of a deferred function: its text as the client wrote it, a client parameter, or an enclosed operand.

    ``type_oid``: the type it is written in. All of ``text``, ``parameter`` and ``enclosed`` None: NULL. ``value``: that
    of a parameter, in canonical form, once it is known. Shown nowhere.
    """

    type_oid: int
    text: str | None = None
    parameter: int | None = None
    enclosed: int | None = None
    value: bytes | None = None

    def __repr__(self) -> str:
        return f"Given(type_oid={self.type_oid}, parameter={self.parameter}, enclosed={self.enclosed})"


@dataclass(frozen=True, slots=True)
class Deferral:
    """A function of protected values that is computed when they are revealed.

    ``expression``: its Value is the operand that is enclosed first; ``constants``: what its constants are. ``columns``:
    base columns it looks into; who sees tokens in one of them gets no result. ``what`` names it in errors.
    """

    expression: Expression
    constants: tuple[Given, ...]
    columns: frozenset[str]
    type_oid: int
    what: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """A domain that may come out in an output column, with all base columns that it may come from."""

    protection: Protection
    columns: frozenset[str]


class Container(Enum):
    """What stands around a token in a value; outermost first in ``OutputColumn.containers``."""

    TEXT = "text"  # concatenated with other text: spliced as is
    JSON = "json"  # inside a JSON string
    ARRAY = "array"
    RECORD = "record"


STORED_TYPMOD = 34
"""The modifier of ``varchar(30)``, as which a shorter ``varchar`` is stored."""


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One result column that may carry tokens.

    ``containers`` empty: the value is a token, or NULL, or empty, or a plain value of the same type. ``type_oid`` and
    ``typmod`` are what RowDescription must show (None: as the server says). For an array of tokens of a typed domain,
    ``type_oid`` is the array type of the original type. ``planned``: the modifier once PostgreSQL's planner has left out
    what is known to be NULL (of ``coalesce(c, NULL)`` it leaves ``c``), where it is another. ``resized``: what is shown in
    place of ``STORED_TYPMOD`` where the server gives the type and modifier itself.
    ``deferrals``: by index, the functions whose marks may stand where
    tokens may stand (None: not in this column); () when there are none.
    """

    lineages: tuple[Lineage, ...]
    containers: tuple[Container, ...] = ()
    type_oid: int | None = None
    typmod: int | None = None
    planned: int | None = None
    resized: int | None = None
    deferrals: tuple[Deferral | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the text sent upstream: taken from client parameter ``source`` (1-based).

    ``withheld``: only look-ups and deferred functions use its value; upstream it is NULL where the client's is, and
    otherwise an empty string.
    """

    source: int
    use: ValueUse | None = None
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """COPY of a relation with protected columns, or of a query.

    ``incoming``: FROM STDIN. ``columns``: per copied column its WRITE ValueUse (incoming) or None. Outgoing: see
    ``StatementPlan.outputs``. Options are those of the statement; ``header``: False, True, or "match".
    """

    incoming: bool
    format: str  # text | csv | binary
    columns: tuple[ValueUse | None, ...] = ()
    delimiter: str = "\t"
    null: str = "\\N"
    quote: str = '"'
    escape: str = '"'
    header: bool | str = False
    force_null: frozenset[int] = frozenset()
    force_not_null: frozenset[int] = frozenset()
    default: str | None = None


class SessionAct(Enum):
    """What a statement does to the names and settings of its session."""

    PREPARE = "prepare"  # SQL PREPARE name; `inner` is its plan
    EXECUTE = "execute"  # SQL EXECUTE name: outputs are those of the prepared plan
    DEALLOCATE = "deallocate"  # name, or None for ALL
    DECLARE = "declare"  # cursor name; outputs kept for FETCH
    CLOSE = "close"  # name, or None for ALL
    DISCARD = "discard"  # ALL or PLANS: names go


@dataclass(frozen=True, slots=True)
class SessionEffect:
    """``name`` is the statement or cursor; ``inner`` the plan of the prepared statement or of the cursor's query."""

    act: SessionAct
    name: str | None = None
    inner: StatementPlan | None = None


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """One statement.

    ``outputs``: per result column its OutputColumn or None; () when nothing protected comes out. ``parameters``: those of
    the text sent upstream, in order; None when they are the client's own, unchanged. ``shown_parameter_types``: client
    parameter number → type OID that ParameterDescription must show (and that Parse of the client may have named).
    ``sent_parameter_types``: upstream parameter number → OID that Parse must send (25 for tokens) where it differs.
    ``follow``: statements that must run right after this one, in its transaction, unseen by the client (they guard the table
    that it has made). ``hidden``: this is such a statement.
    ``reads`` / ``compares`` / ``writes``: base columns by right needed, for policy and audit. ``relations``: protected
    relations named (errors reveal only their domains). ``catalog_change``: DDL after which the snapshot must be refreshed.
    ``lookups``: of a statement that SQL PREPARE has named: their answers are its parameters behind ``parameters``.
    ``deferred``: some output has deferrals.
    """

    command: str
    outputs: tuple[OutputColumn | None, ...] = ()
    parameters: tuple[Parameter, ...] | None = None
    shown_parameter_types: Mapping[int, int] | None = None
    sent_parameter_types: Mapping[int, int] | None = None
    reads: frozenset[str] = frozenset()
    compares: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    relations: frozenset[int] = frozenset()
    copy: CopyPlan | None = None
    effect: SessionEffect | None = None
    catalog_change: bool = False
    lookups: tuple[Lookup, ...] = ()
    deferred: bool = False
    follow: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def replies(self) -> tuple[StatementPlan, ...]:
        """The plans of what is sent for this statement in a Query: itself, and what follows it."""
        return (self, *(StatementPlan("ALTER TABLE", hidden=True) for _ in self.follow))


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The plan of one client text. ``pieces`` joined (values as quoted tokens) is the text to send.

    ``positions``: (offset in the sent text with every token counted at its length of 30 and look-ups not at all, offset in
    the client's text) pairs at each splice, ascending, to map an error caret back. ``fingerprint`` of the statement and
    ``normalized``, its text without constants, are for audit.
    """

    pieces: tuple[Piece, ...] = field(repr=False)  # constants of unprotected columns are in it
    statements: tuple[StatementPlan, ...]
    positions: tuple[tuple[int, int], ...] = ()
    fingerprint: str = ""
    normalized: str = ""


@dataclass(frozen=True, slots=True)
class SessionScope:
    """What name resolution needs of a session.

    ``search_path``: the effective schemas in order, as ``current_schemas(true)`` gives them. ``prepared``: statement
    plans by name; ``cursors``: plans of open cursors by name. ``standard_strings``: standard_conforming_strings.
    """

    search_path: tuple[str, ...]
    user: str
    prepared: Mapping[str, StatementPlan]
    cursors: Mapping[str, StatementPlan]
    standard_strings: bool = True
