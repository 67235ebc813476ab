"""What a plan is made of: data only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import asyncpg

from pgnym.sql.guard import quoted as quoted
from pgnym.sql.types import ELEMENTS

if TYPE_CHECKING:
    from pgnym.onboard.linking import LinkWork

    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection  # not subscriptable when it runs
Row = asyncpg.Record

# ``identity(codec_oid, canonical, casefold)``: what the deterministic token is computed over.
Identity = Callable[[int, bytes, bool], bytes]

# What takes the place of one value within a container.
Each = Callable[[bytes], bytes]


class Containers(Protocol):
    """How the values within a value are replaced one by one (the wire room knows the formats)."""

    def array(self, value: bytes, each: Each) -> bytes:
        """An array's text with each element that isn't NULL replaced."""


class Tokens(Protocol):
    """What this room needs of a tenant's part of the vault."""

    @property
    def token(self) -> Callable[[bytes, bytes], bytes]:
        """``token(prefix, identity)``: the deterministic token."""

    def random_token(self, prefix: bytes) -> bytes:
        """A new randomized token."""

    async def put(self, values: Mapping[bytes, bytes]) -> None:
        """Store canonical values by token; committed on return."""

    async def get(self, tokens: list[bytes]) -> dict[bytes, bytes]:
        """Canonical values by token; absent if they aren't in the vault."""

    async def fill_index(self, prefix: bytes, tick: Callable[[int], None]) -> None:
        """Give values of a domain the index entries that they lack; ``tick`` is told how many each time."""


OpenTenant = Callable[[str], Awaitable[Tokens]]


class StepKind(Enum):
    """What a step does."""

    VAULT = "vault"
    LOGIN = "login"
    RIGHTS = "rights"
    DOMAIN = "domain"
    REGISTER = "register"
    TYPE = "type"
    VIEW = "view"
    FOREIGN_KEY = "foreign key"
    DEFAULT = "default"
    TOKENIZE = "tokenize"
    CHECK = "check"
    CLEAN = "clean"
    INDEX = "index"
    LINK = "link"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that ``apply`` will do; ``table`` is ``schema.table`` or empty."""

    kind: StepKind
    table: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know (a warning) or something in the way (a blocker)."""

    where: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database has it. ``type_name`` is ``format_type`` with the schema where needed."""

    name: str
    attnum: int
    type_oid: int
    typmod: int
    type_name: str
    type_kind: str
    base_name: str
    collation: str | None
    default: str | None
    identity: bool
    generated: bool
    inherited: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database has it. ``leaves`` are the relations that hold its rows, itself included."""

    oid: int
    schema: str
    name: str
    kind: str
    owned: bool
    forced_rls: bool
    rows: int
    columns: Mapping[str, Column]
    leaves: tuple[str, ...]
    partition_columns: frozenset[int]

    @property
    def label(self) -> str:
        """``schema.table``, as the configuration names it."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The quoted name."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


class Mode(Enum):
    """How a column becomes protected."""

    PROTECT = "protect"  # holds plaintext in its original type
    REPAIR = "repair"  # is registered, has its stored type, but lost its CHECK


@dataclass(frozen=True, slots=True)
class ColumnWork:
    """One column to be protected, or what lies at ``path`` in a jsonb column: what the registry will say of it."""

    column: Column
    domain: str
    randomized: bool
    casefold: bool
    type_oid: int
    typmod: int
    type_name: str
    codec_oid: int
    stored_type: str
    text_like: bool
    mode: Mode = Mode.PROTECT
    path: str = ""
    normalize: str = ""

    @property
    def name(self) -> str:
        """The column's name, and the path within it if there is one."""
        return f"{self.column.name}.{self.path}" if self.path else self.column.name

    @property
    def retyped(self) -> bool:
        """Whether the column's type has to change."""
        return self.column.type_name != self.stored_type

    @property
    def array(self) -> bool:
        """Whether the elements become tokens, rather than the value."""
        return self.codec_oid in ELEMENTS


@dataclass(frozen=True, slots=True)
class TableWork:
    """One table to be protected."""

    table: Table
    columns: tuple[ColumnWork, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Tables whose protected columns refer to one another: they change together, in one transaction."""

    tables: tuple[TableWork, ...]


@dataclass(frozen=True, slots=True)
class IndexWork:
    """A domain whose indexes in the vault are not as configured. ``search``: those it shall have; ``build``: those of them
    that are not complete; ``drop``: those it shall have no longer."""

    domain: str
    search: frozenset[str]
    build: frozenset[str]
    drop: frozenset[str]


@dataclass(frozen=True, slots=True)
class OrderedColumn:
    """A column that is to be indexed by its order. ``table``: quoted; ``label``: as the configuration names it."""

    table: str
    column: str
    label: str


@dataclass(frozen=True, slots=True)
class OrderWork:
    """A domain whose order index is not as configured. ``scheme``: of the order, as the registry keeps it. ``build``: values
    need codes, ``uneven``: because theirs have become long. ``columns``: those that lack an index. ``grant``, ``revoke``:
    database users who shall be able to sort, or no longer."""

    domain: str
    scheme: str
    build: bool
    uneven: bool
    columns: tuple[OrderedColumn, ...]
    grant: tuple[str, ...]
    revoke: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.build or self.columns or self.grant or self.revoke)


@dataclass(frozen=True, slots=True)
class OnboardPlan:
    """What ``apply`` would do, in order, and what to know before.

    ``unfinished``: tables that are protected but whose old files, statistics and indexes are still to be
    cleaned. ``renames``: (registry id, schema, table, column) of columns that were renamed since.
    """

    steps: tuple[Step, ...]
    warnings: tuple[Finding, ...]
    blockers: tuple[Finding, ...]
    groups: tuple[Group, ...]
    unfinished: tuple[Table, ...]
    renames: tuple[tuple[int, str, str, str], ...]
    indexes: tuple[IndexWork, ...]
    orders: tuple[OrderWork, ...]
    links: tuple[LinkWork, ...]
    vault_outdated: bool

    @property
    def empty(self) -> bool:
        """Whether the database matches the configuration."""
        return not self.steps and not self.blockers


class Stage(Enum):
    """What a progress event counts."""

    VAULT = "values into the vault"
    ROWS = "rows tokenized"
    REVEAL = "rows given back"
    CLEAN = "tables cleaned"
    CHECK = "rows checked"
    INDEX = "values indexed"
    RESEAL = "values under the new key"
    WRAP = "tenants under the new key"
    CARRY = "values under new tokens"
    RETOKEN = "rows with new tokens"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of about ``total`` of a stage of one table."""

    stage: Stage
    table: str
    done: int
    total: int


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """The report of nobody."""
