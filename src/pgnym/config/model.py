"""``pgnym.yaml`` as typed, frozen structs. What the fields mean for a user is in docs/configuration.md.

A struct here is only shape; what must hold between fields is in ``checks.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pgnym.config.address import Address, parse_address
from pgnym.config.durations import EXACT_PATTERN as EXACT_DURATION
from pgnym.config.durations import PATTERN as DURATION
from pgnym.config.durations import at_most

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1, max_length=63)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of every section: frozen, and an unknown key is an error."""


class Tls(Part, frozen=True):
    """A server certificate chain and its key, as PEM files; both or neither."""

    cert: str | None = None
    key: str | None = None


class GatewayTls(Tls, frozen=True):
    """``client_ca``: a PEM file of authorities; each client must show a certificate that one of them has signed."""

    client_ca: str | None = None


class Gateway(Part, frozen=True):
    """The SQL side. Times in seconds, sizes in bytes; 0 turns a timeout off."""

    listen: str | tuple[str, ...] = "127.0.0.1:6432"
    tls: GatewayTls = GatewayTls()
    workers: Positive = 1
    mode: Literal["enforce", "observe"] = "enforce"
    max_connections: Positive = 1000
    login_timeout: Seconds = 60
    drain_seconds: Seconds = 30
    value_cache_bytes: NotNegative = 64 * 1024 * 1024

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The listeners, parsed. Raises ValueError on a bad one (``load`` has refused it before)."""
        return tuple(parse_address(a) for a in listeners(self.listen))


class Admin(Part, frozen=True):
    """The HTTP side. ``metrics``: who may read ``/metrics``: whoever has a token for it, or anybody."""

    listen: str | tuple[str, ...] = "127.0.0.1:8432"
    tls: Tls = Tls()
    metrics: Literal["token", "public"] = "token"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The listeners, parsed. Raises ValueError on a bad one (``load`` has refused it before)."""
        return tuple(parse_address(a) for a in listeners(self.listen))


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Upstream(Part, frozen=True):
    """The protected database. ``host`` starting with ``/`` is the directory of a Unix socket, as in libpq."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 5432
    database: Name = "app"
    sslmode: SslMode = "prefer"
    sslrootcert: str | None = None
    connect_timeout: Seconds = 10


class Vault(Part, frozen=True):
    """Where the encrypted values lie, the gateway's own login there, and what may be opened to answer a question."""

    url: str | None = None
    user: Name = "pgnym_gateway"
    password_file: str | None = None
    timeout: Seconds = 10
    scan_limit: Positive = 20_000
    scan_bytes: NotNegative = 64 * 1024 * 1024
    candidate_limit: Positive = 10_000

    @property
    def privacy_role(self) -> str:
        """The role, in the protected database, that the gateway takes on to report on a data subject and to erase one."""
        return f"{self.user}_privacy"


class Keys(Part, frozen=True):
    """Where the master key comes from; neither a file nor the environment: start sealed."""

    master_key_file: str | None = None


class AuditExport(Part, frozen=True):
    """Where records are sent as they come: ``file:/path``, ``tcp://host:port`` or ``tls://host:port`` (syslog)."""

    to: Annotated[str, Meta(pattern="^(file:/.+|(tcp|tls)://[^/@]+:[0-9]{1,5}/?)$")]
    format: Literal["cef", "jsonl"] = "cef"


class Audit(Part, frozen=True):
    """``commit``: a reveal leaves only after its record is committed. ``relaxed``: the record may follow.

    ``checkpoint``: seconds between checkpoints of the chain, which are also written to the log. ``export``: where
    records are sent besides.
    """

    durability: Literal["commit", "relaxed"] = "commit"
    checkpoint: Annotated[float, Meta(ge=1)] = 60.0
    export: AuditExport | None = None


class Observe(Part, frozen=True):
    """With ``gateway.mode: observe``: where the readiness report goes (JSON; the same in words beside it, as ``.txt``).

    ``every``: seconds between two reports.
    """

    report_file: Annotated[str, Meta(min_length=1)] = "pgnym-readiness.json"
    every: Annotated[float, Meta(ge=1)] = 60


class Restriction(Part, frozen=True):
    """Restriction of processing. ``purposes``: sessions that state one of them see values of restricted subjects, too."""

    purposes: tuple[Name, ...] = ()


class Privacy(Part, frozen=True):
    """Reports and erasures. ``over_http``: the gateway itself may carry them out, for the admin endpoint.

    ``settle``: seconds that gateways get to finish what they do with a value before it is deleted. ``restriction``: the
    processing of subjects can be restricted (None: it can't).
    """

    over_http: bool = True
    settle: Seconds = 15
    restriction: Restriction | None = None


class Retention(Part, frozen=True):
    """When gateways look for what has been kept long enough. ``every``: seconds, or such as ``12h``; None: never by
    themselves.

    ``dry_run``: it is only counted. ``purge_after``: how long ago a value that no row holds must have been stored last.
    """

    every: Annotated[float, Meta(ge=1)] | Annotated[str, Meta(pattern=EXACT_DURATION)] | None = None
    dry_run: bool = False
    purge_after: Annotated[str, Meta(pattern=EXACT_DURATION)] = "30d"

    @property
    def interval(self) -> timedelta | None:
        """``every``, as a length of time."""
        if self.every is None or isinstance(self.every, str):
            return None if self.every is None else at_most(self.every)
        return timedelta(seconds=self.every)

    @property
    def age(self) -> timedelta:
        """``purge_after``, as a length of time."""
        return at_most(self.purge_after)


class Connector(Part, frozen=True):
    """Another system that holds data of subjects of ``table`` (None: of the only one that has any).

    ``kind``: which connector. ``by``: the column whose value says whom it is asked about; None: the subject's ID.
    ``tenant``: whose subjects; None: everybody's. ``options``: the kind's own.
    """

    kind: Name
    table: str | None = None
    by: Name | None = None
    tenant: Name | None = None
    timeout: Annotated[float, Meta(gt=0, le=60)] = 20
    options: dict[str, object] = {}


class Tenants(Part, frozen=True):
    """The tenant of a session: ``users`` by database user, else ``default``.

    ``startup_option`` names the database users that may choose with ``-c pgnym.tenant=NAME`` instead.
    """

    default: Name = "main"
    users: dict[Name, Name] = {}
    startup_option: tuple[Name, ...] = ()


MaskName = Literal["email", "phone", "last4", "initial", "all"]


class KeepMask(Part, frozen=True):
    """Keep so many characters at either end, mask the rest."""

    keep_first: NotNegative = 0
    keep_last: NotNegative = 0


LegalBasis = Literal[
    "contract", "consent", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"
]


class PhoneOf(Part, frozen=True):
    """Phone numbers are brought into E.164 form; those without a country code are of this country (ISO 3166-1 alpha-2)."""

    phone: Annotated[str, Meta(pattern="^[A-Z]{2}$")]


class Column(Part, frozen=True):
    """How one column is protected, or, of a jsonb column with ``paths``, what lies at one path."""

    domain: Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\s]+$")] | None = None
    tokens: Literal["deterministic", "randomized"] = "deterministic"
    search: tuple[Literal["equality", "substring", "order"], ...] | None = None
    normalize: Literal["none", "casefold", "email", "phone"] | PhoneOf = "none"
    validate: Literal["email", "e164", "iban", "luhn"] | dict[str, object] | None = None
    mask: MaskName | KeepMask = "all"
    purposes: tuple[Name, ...] = ()
    legal_basis: LegalBasis | None = None
    paths: dict[str, Column] = {}

    @property
    def spelling(self) -> str:
        """``normalize`` as one word: ``phone:DE`` with a country."""
        return f"phone:{self.normalize.phone}" if isinstance(self.normalize, PhoneOf) else self.normalize

    @property
    def rule(self) -> str:
        """What ``policy.normalizing`` is to do with values: ``email``, ``phone`` (``phone:DE``), "" for nothing."""
        return "" if self.normalize in ("none", "casefold") else self.spelling


class Retain(Part, frozen=True):
    """Rows are kept until ``for_`` (such as ``365d``) after the time in column ``after``.

    ``then``: what is done with them; None: what ``on_erase`` of the table says.
    """

    after: Name
    for_: Annotated[str, Meta(pattern=DURATION)] = msgspec.field(name="for")
    then: Literal["scrub", "delete"] | None = None


class Table(Part, frozen=True):
    """A table with protected columns, and whose data its rows are.

    ``consent_by``: columns by whose values its subjects can agree to something.
    """

    columns: dict[Name, Column] = {}
    subject: Name | None = None
    subject_table: str | None = None
    consent_by: tuple[Name, ...] = ()
    on_erase: Literal["scrub", "delete"] = "scrub"
    retain: Retain | None = None

    @property
    def deleted_in_time(self) -> bool:
        """Whether rows that have been kept long enough are deleted; else their protected columns are emptied."""
        then = None if self.retain is None else self.retain.then
        return (then or self.on_erase) == "delete"


class RevealLimit(Part, frozen=True):
    """The reveal budget: values per statement, and per minute over all sessions of the role in the tenant."""

    statement: NotNegative = 5000
    minute: NotNegative = 100_000


class Role(Part, frozen=True):
    """What a group of database users sees, and with which columns it may compare and write plaintext."""

    users: tuple[Name, ...] = ()
    reveal: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    purposes: tuple[Name, ...] = ()
    reveal_limit: RevealLimit = RevealLimit()


Reference = Annotated[str, Meta(min_length=1)]


class Function(Part, frozen=True):
    """What a function with an opaque body takes and gives: domains, or columns by ``schema.table.column``.

    ``arguments``: as they stand in a call, None for what isn't protected. ``results``: by name of the result column; a
    function that returns one value has just its domain.
    """

    arguments: tuple[Reference | None, ...] = ()
    results: Reference | dict[Name, Reference] = {}

    def named_results(self) -> dict[str, str]:
        """``results`` by name, "" for the one value."""
        return {"": self.results} if isinstance(self.results, str) else dict(self.results)


class Config(Part, frozen=True):
    """The whole file. Relative names of other files have been resolved against the directory it lies in."""

    gateway: Gateway = Gateway()
    admin: Admin = Admin()
    upstream: Upstream = Upstream()
    vault: Vault = Vault()
    keys: Keys = Keys()
    audit: Audit = Audit()
    observe: Observe = Observe()
    privacy: Privacy = Privacy()
    retention: Retention = Retention()
    connectors: dict[Name, Connector] = {}
    tenants: Tenants = Tenants()
    tables: dict[str, Table] = {}
    roles: dict[Name, Role] = {}
    functions: dict[str, Function] = {}

    def subject_tables(self) -> list[str]:
        """The tables that have subjects of their own."""
        return [n for n, t in self.tables.items() if t.subject is not None and t.subject_table is None]

    def consent_by(self) -> dict[str, tuple[str, ...]]:
        """By the subject's table, the columns by whose values consent can be told."""
        return {name: table.consent_by for name, table in self.tables.items() if table.consent_by}

    def columns(self) -> Iterator[ProtectedColumn]:
        """Every configured column, in the order of the file; of one with paths, each path."""
        for table_name, table in self.tables.items():
            schema, name = table_name.split(".")
            for column_name, options in table.columns.items():
                if not options.paths:
                    yield ProtectedColumn(schema, name, column_name, options)
                for path, of_path in options.paths.items():
                    yield ProtectedColumn(schema, name, column_name, of_path, path)

    def purposes(self) -> set[str]:
        """All purposes that some role may state."""
        return {name for role in self.roles.values() for name in role.purposes}


class ProtectedColumn(msgspec.Struct, frozen=True):
    """A configured column, or a path within one, with its place."""

    schema: str
    table: str
    column: str
    options: Column
    path: str = ""

    @property
    def name(self) -> str:
        """``schema.table.column``, as policies and messages name it; a path follows behind another dot."""
        return f"{self.schema}.{self.table}.{self.column}" + (f".{self.path}" if self.path else "")

    @property
    def place(self) -> str:
        """Where in the file its options stand."""
        column = f"tables.{self.schema}.{self.table}.columns.{self.column}"
        return f"{column}.paths.{self.path}" if self.path else column

    @property
    def domain(self) -> str:
        """The configured domain, by default the column's own name."""
        return self.options.domain or self.name

    @property
    def randomized(self) -> bool:
        """Whether equal values get different tokens."""
        return self.options.tokens == "randomized"


def listeners(listen: str | tuple[str, ...]) -> tuple[str, ...]:
    """One listener or several, as a tuple."""
    return (listen,) if isinstance(listen, str) else listen
