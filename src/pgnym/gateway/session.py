"""The state of one session, shared by its two directions (``client_flow.py`` and ``server_flow.py``). Sans-I/O."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from pgnym.audit.records import Action, AuditRecord, Decision
from pgnym.audit.records import Actor as AuditActor
from pgnym.gateway.effects import Effects
from pgnym.gateway.engine import Engine
from pgnym.gateway.marks import Marks
from pgnym.gateway.slots import Portal, Prepared, Slot
from pgnym.metrics.counts import Counts
from pgnym.policy.budget import Allowance, Taken
from pgnym.policy.roles import RolePolicy
from pgnym.sql.plan import SessionAct, SessionScope, StatementPlan
from pgnym.sql.words import Mention
from pgnym.wire.codecs import Settings

if TYPE_CHECKING:
    from pgnym.gateway.exchange import Exchange

Made = TypeVar("Made")

IDLE = ord("I")
_MOST_DERIVED = 256
_MOST_STORED = 10_000


class TenantVault(Protocol):
    """What a session needs of its tenant's vault; all of it local and synchronous."""

    def token(self, prefix: bytes, identity: bytes) -> bytes:
        """The deterministic token of a value."""

    def random_token(self, prefix: bytes) -> bytes:
        """A fresh randomized token."""

    def cached(self, token: bytes) -> bytes | None:
        """The value of a token, if it is in memory."""


class Purse(Protocol):
    """What may be given to sessions."""

    def allowance(self, tenant: str, role: RolePolicy, user: str, purpose: str | None) -> Allowance:
        """What a session that acts as ``user`` may be given now."""

    def take(self, tenant: str, allowance: Allowance, count: int) -> Taken:
        """Count values that are to be given. LACKING: more must be lent first (``effects.Lend``)."""


class Engines(Protocol):
    """Where the current catalog snapshot and planner are found; replaced as a whole when the catalog changes."""

    @property
    def current(self) -> Engine:
        """The newest engine."""

    def within(self, snapshot: bytes) -> Engine:
        """The engine of the catalog as a transaction sees it: the one row of ``load.SNAPSHOT``. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who a session is, for policy and audit."""

    user: str
    database: str
    tenant: str
    address: str
    application: str


@dataclass(slots=True)
class Session:
    """One client connection after its start-up.

    ``expect`` is the queue of replies to come (see ``slots.py``); ``batch`` the types of messages forwarded since the last
    Sync that nothing has tracked yet; ``executed``: an Execute is in the batch that is tracked. ``prepared`` holds only
    statements that concern the gateway, by protocol and SQL name alike, since PostgreSQL has one namespace for both.
    ``derived`` remembers what follows from a plan for this session. ``role`` and ``purpose`` are those of the database user
    that the session acts as, and of its setting pgnym.purpose: as the server told them with ``path`` last. They stay while
    ``path`` is unknown, as rows of statements from before may still come.
    """

    effects: Effects = field(repr=False)
    engines: Engines
    vault: TenantVault
    role: RolePolicy
    roles: Callable[[str], RolePolicy]
    masker: Callable[[str, int], Callable[[bytes], bytes]]
    validation: Callable[[str], tuple[Callable[[bytes], bool], str] | None]
    purse: Purse
    actor: Actor
    counts: Counts = field(default_factory=Counts)
    unrestricted: Callable[[], bool] | None = None  # whether it is known that nobody is; None: nobody can be
    purpose: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    expect: deque[int | Slot | Exchange] = field(default_factory=deque)
    exchanges: bool = False  # there may be some in ``expect``
    batch: bytearray = field(default_factory=bytearray)
    tracked: bool = False
    cycle: int = 0  # counts the Syncs that tracked batches ended with
    executed: bool = False
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    cursors: dict[str, StatementPlan] = field(default_factory=dict)
    path: tuple[str, ...] | None = None
    user: str = ""
    path_touched: bool = False
    setters_named: bool = False  # a statement that changes settings may have been named by PREPARE
    catalog_touched: bool = False
    private: Engine | None = None  # of the catalog as this session's open transaction has made it
    stale: bool = (
        False  # the session has changed names that matter: nothing passes before the catalog is read again
    )
    stored: dict[bytes, None] = field(
        default_factory=dict, repr=False
    )  # tokens of values in columns that need consent
    naming: int = 0  # statements under way that will change the names of prepared statements or cursors
    status: int = IDLE
    derived: dict[object, tuple[object, object]] = field(default_factory=dict, repr=False)
    _settings: Settings | None = None
    _auditee: tuple[tuple[str, str], AuditActor] | None = None
    _marks: Marks | None = None
    copying_in: bool = False  # the server is in copy-in mode for a statement that does not concern us
    injected: int = 0  # own statements under way on the client's upstream session
    waiters: list[Callable[[], None]] = field(default_factory=list)
    draining: bool = False
    closed: bool = False

    @property
    def named(self) -> bool:
        """Whether prepared statements or cursors of this session concern the gateway."""
        return bool(self.prepared or self.cursors or self.portals)

    @property
    def engine(self) -> Engine:
        """The engine of the catalog that this session sees."""
        return self.private or self.engines.current

    @property
    def server_major(self) -> int:
        """The server's major version, from its ``server_version`` parameter; 0 if it has not said."""
        digits = re.match(r"\d+", self.parameters.get("server_version", ""))
        return int(digits[0]) if digits else 0

    def portal(self, name: bytes) -> Portal | None:
        """A portal that concerns the gateway: made by Bind, or by DECLARE, which makes portals too."""
        found = self.portals.get(name)
        if found is None and self.cursors:
            plan = self.cursors.get(name.decode("utf-8", "replace"))
            if plan is not None:
                return Portal(Prepared(plan, (), ""), ())
        return found

    @property
    def marks(self) -> Marks:
        """The marks of this session's deferred functions."""
        if self._marks is None:
            self._marks = Marks.fresh()
        return self._marks

    @property
    def settings(self) -> Settings:
        """The settings that text input and output of values depend on. Raises ``CodecError`` for unsupported ones."""
        if self._settings is None:
            known = self.parameters
            self._settings = Settings.of(known.get("DateStyle", "ISO, MDY"), known.get("TimeZone", "UTC"))
        return self._settings

    def set_parameter(self, name: str, value: str) -> None:
        """The server has reported a parameter (ParameterStatus)."""
        self.parameters[name] = value
        self._settings = None
        self.derived.clear()
        if name in ("search_path", "session_authorization", "is_superuser"):
            self.path = None

    def allowance(self) -> Allowance:
        """What may be given now: by the role, or by a grant."""
        actor = self.actor
        return self.purse.allowance(actor.tenant, self.role, self.user or actor.user, self.purpose)

    @property
    def holds_back(self) -> bool:
        """Whether values may be those of restricted subjects, which this session isn't shown."""
        known = self.unrestricted
        return known is not None and not known() and self.role.holds_back(self.purpose)

    def note_stored(self, tokens: Iterable[bytes]) -> None:
        """Values that the session gives itself; the last are remembered if some column needs consent to be shown."""
        if self.role.knows_consent:
            stored = self.stored
            stored.update(dict.fromkeys(tokens))
            while len(stored) > _MOST_STORED:
                del stored[next(iter(stored))]

    def scope_known(self, path: tuple[str, ...], user: str, purpose: str) -> None:
        """The server has told the effective search_path, whom the session acts as, and its purpose ("": none stated)."""
        self.path, self.user = path, user
        role, stated = self.roles(user), purpose or None
        if role is not self.role or stated != self.purpose:
            self.role, self.purpose = role, stated
            self.derived.clear()  # it was derived for what the role saw
            self._auditee = None

    def note(self, flags: int) -> None:
        """Note what a text with these flags (``Mention``), now on its way, may change."""
        if flags & Mention.NAMES:
            if flags & Mention.SETTINGS:
                self.setters_named = True
            elif self.setters_named:
                flags |= Mention.SETTINGS
        if flags & Mention.SETTINGS or (flags & Mention.ENDS and self.path_touched):
            self.path = None
            self.path_touched = True
        if flags & Mention.DDL:
            self.catalog_touched = True
        if flags & Mention.ENDS and self.private is not None:
            self.stale = True  # ROLLBACK TO may have taken back what it was read for

    def catalog_known(self, private: Engine | None) -> None:
        """The catalog has been read since this session last changed it: by everyone's connection, or within its transaction.

        Schemas that are new (that of temporary tables, too) may have come into the search_path.
        """
        if private is not None:
            self.path = private.catalog.path
        elif self.stale or self.catalog_touched:
            self.path = None
        self.private, self.stale, self.catalog_touched = private, False, False

    def derive(self, of: object, key: object, make: Callable[[], Made]) -> Made:
        """``make()``, remembered for the object ``of`` (a plan's outputs) and ``key`` until a session parameter changes.

        One ``key`` must stand for one ``make``: what was made for it is taken to be of its type.
        """
        full = (id(of), key)
        known = self.derived.get(full)
        if known is not None:
            return known[1]  # type: ignore[return-value]
        if len(self.derived) >= _MOST_DERIVED:
            self.derived.clear()
        made = make()
        self.derived[full] = (of, made)  # keeping ``of`` keeps its id
        return made

    def apply(self, act: SessionAct, name: str | None, inner: StatementPlan | None, fingerprint: str) -> None:
        """Note what a statement that has succeeded did to names (PREPARE, DEALLOCATE, DECLARE, CLOSE, DISCARD)."""
        if act is SessionAct.PREPARE and name is not None:
            if inner is None:
                self.prepared.pop(name.encode(), None)
            else:
                self.prepared[name.encode()] = Prepared(
                    inner, (), fingerprint, lookups=inner.lookups, fixed=True
                )
        elif act is SessionAct.DECLARE and name is not None:
            if inner is None:
                self.cursors.pop(name, None)
            else:
                self.cursors[name] = inner
        elif act is SessionAct.DEALLOCATE:
            if name is None:
                self.prepared.clear()
            else:
                self.prepared.pop(name.encode(), None)
        elif act is SessionAct.CLOSE:
            if name is None:
                self.cursors.clear()
            else:
                self.cursors.pop(name, None)
        elif act is SessionAct.DISCARD:
            self.prepared.clear()
            self.cursors.clear()

    def scope(self) -> SessionScope:
        """What name resolution needs; only valid while ``path`` is known."""
        prepared: Mapping[str, StatementPlan] = {
            name.decode("utf-8", "replace"): p.plan for name, p in self.prepared.items() if not p.foreign
        }
        return SessionScope(
            search_path=self.path or (),
            user=self.user,
            prepared=prepared,
            cursors={n.decode("utf-8", "replace"): p.prepared.plan for n, p in self.portals.items()}
            | self.cursors,
            standard_strings=self.parameters.get("standard_conforming_strings", "on") == "on",
        )

    def injected_done(self) -> None:
        """A statement of the gateway's own has been answered."""
        self.injected -= 1
        if not self.injected:
            waiters, self.waiters = self.waiters, []
            for waiter in waiters:
                waiter()

    def record(
        self,
        action: Action,
        fingerprint: str,
        counts: Mapping[str, int],
        *,
        tokens: Iterable[bytes] = (),
        denied: str = "",
        grant: int = 0,
    ) -> AuditRecord:
        """An audit record of this session. ``denied``: the SQLSTATE of a refusal, "" for what is allowed.

        ``grant``: the number of the grant under which values were given, 0 for none.
        """
        actor = self.actor
        who = (actor.user, self.parameters.get("application_name", actor.application))
        if self._auditee is None or self._auditee[0] != who:
            user, application = who
            self._auditee = who, AuditActor(user, self.role.name, actor.address, application)
        return AuditRecord(
            datetime.now(UTC),
            actor.tenant,
            self._auditee[1],
            action,
            Decision.DENIED if denied else Decision.ALLOWED,
            self.role.applies(self.purpose) or "",
            fingerprint,
            counts,
            tuple(tokens),
            denied or self.engines.current.text_of(fingerprint),
            grant,
        )
