"""Who may see, compare and write what: one ``RolePolicy`` per configured role, with memoised answers.

The answers are asked for each column of each statement, so each is a dictionary look-up after the first time.
A configuration that is reloaded makes a new ``Policy``; nothing here changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pgnym.config.errors import ConfigError
from pgnym.config.model import Config, Role
from pgnym.config.patterns import best
from pgnym.policy.budget import Allowance
from pgnym.policy.masks import Masker, masker
from pgnym.policy.normalizing import normalizer
from pgnym.policy.sight import Sight
from pgnym.policy.validation import Validator, described, validator

DEFAULT_ROLE = "default"
# A stated purpose that the role doesn't have. Clients choose what they state: without this the memory would
# grow by it.
NO_PURPOSE = ""
MOST_COMBINED = 4096


class RolePolicy:
    """What one role may do. Columns are ``schema.table.column``.

    ``name`` of the role; ``purposes`` it may state; ``allowance`` is its reveal budget.
    """

    __slots__ = (
        "_columns",
        "_combined",
        "_compares",
        "_consent",
        "_despite_restriction",
        "_role",
        "_sights",
        "_writes",
        "allowance",
        "name",
        "purposes",
    )

    def __init__(
        self,
        name: str,
        role: Role,
        columns: Mapping[str, frozenset[str]],
        consent: frozenset[str] = frozenset(),
        despite_restriction: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.purposes = frozenset(role.purposes)
        self.allowance = Allowance(f"role:{name}", role.reveal_limit.statement, role.reveal_limit.minute)
        self._role = role
        self._columns = columns
        self._consent = consent
        self._despite_restriction = self.purposes.intersection(despite_restriction)
        self._sights: dict[tuple[str, str | None], Sight] = {}
        self._combined: dict[tuple[frozenset[str], str | None], Sight] = {}
        self._compares: dict[tuple[str, str | None], bool] = {}
        self._writes: dict[tuple[str, str | None], bool] = {}

    def __repr__(self) -> str:
        return f"RolePolicy({self.name!r})"

    def sight(self, column: str, purpose: str | None = None) -> Sight:
        """What the role sees of ``column`` when the session has stated ``purpose`` (None: none).

        A column that is unknown to the configuration, or bound to purposes of which none applies, shows
        tokens.
        """
        if purpose is not None and purpose not in self.purposes:
            purpose = NO_PURPOSE
        key = (column, purpose)
        known = self._sights.get(key)
        if known is None:
            known = self._sights[key] = self._decide(column, purpose)
        return known

    def combined(self, columns: frozenset[str], purpose: str | None = None) -> Sight:
        """What may be shown of a value that may come from any of ``columns``: the least of their sights."""
        if purpose is not None and purpose not in self.purposes:
            purpose = NO_PURPOSE
        key = (columns, purpose)
        known = self._combined.get(key)
        if known is None:
            if len(self._combined) >= MOST_COMBINED:
                self._combined.clear()
            sights = [self.sight(column, purpose) for column in columns]
            known = self._combined[key] = max(sights, default=Sight.TOKENS)
        return known

    def may_compare(self, column: str, purpose: str | None = None) -> bool:
        """Whether plaintext may be searched for in ``column``; who may not would otherwise have an oracle."""
        if purpose is not None and purpose not in self.purposes:
            purpose = NO_PURPOSE
        key = (column, purpose)
        known = self._compares.get(key)
        if known is None:
            # One that matches tells a value, whether its subject agrees or not.
            known = self._compares[key] = column not in self._consent and self._granted(
                self._role.compare, column, purpose
            )
        return known

    def may_write(self, column: str, purpose: str | None = None) -> bool:
        """Whether plaintext may be stored in ``column``."""
        if purpose is not None and purpose not in self.purposes:
            purpose = NO_PURPOSE
        key = (column, purpose)
        known = self._writes.get(key)
        if known is None:
            known = self._writes[key] = self._granted(self._role.write, column, purpose)
        return known

    @property
    def knows_consent(self) -> bool:
        """Whether any column needs consent."""
        return bool(self._consent)

    def needs_consent(self, columns: Iterable[str]) -> bool:
        """Whether values of any of these columns are shown only by consent of their subjects."""
        return bool(self._consent) and not self._consent.isdisjoint(columns)

    def holds_back(self, purpose: str | None) -> bool:
        """Whether values of subjects whose processing is restricted are not shown, ``purpose`` being stated."""
        return purpose is None or purpose not in self._despite_restriction

    def applies(self, purpose: str | None) -> str | None:
        """The purpose that applies: the stated one, or the role's only one if none is stated."""
        if purpose is None and len(self.purposes) == 1:
            return next(iter(self.purposes))
        return purpose

    def _granted(self, patterns: Iterable[str], column: str, purpose: str | None) -> bool:
        if column not in self._columns:
            return False
        return self.sight(column, purpose) is Sight.REVEAL or best(patterns, column) > 0

    def _decide(self, column: str, purpose: str | None) -> Sight:
        bound = self._columns.get(column)
        # Consent is given for a purpose, so that the session has to state it.
        stated = purpose if column in self._consent else self.applies(purpose)
        if bound is None or (bound and stated not in bound):
            return Sight.TOKENS
        # A tie can't be (the configuration refuses one pattern under two verbs); were there one, the least
        # would win.
        verbs = (
            (Sight.TOKENS, self._role.tokens),
            (Sight.MASK, self._role.mask),
            (Sight.REVEAL, self._role.reveal),
        )
        sight, closest = Sight.TOKENS, 0
        for candidate, patterns in verbs:
            near = best(patterns, column)
            if near > closest:
                sight, closest = candidate, near
        return sight


class Policy:
    """The roles of a configuration, by database user."""

    __slots__ = ("_default", "_maskers", "_masks", "_users", "_validations")

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for a ``validate`` or ``normalize`` that can't be understood."""
        columns = {column.name: frozenset(column.options.purposes) for column in config.columns()}
        consent = frozenset(
            column.name for column in config.columns() if column.options.legal_basis == "consent"
        )
        restriction = config.privacy.restriction
        despite = () if restriction is None else restriction.purposes
        self._masks = {column.name: column.options.mask for column in config.columns()}
        self._maskers: dict[tuple[str, int], Masker] = {}
        self._validations: dict[str, tuple[Validator, str]] = {}
        for column in config.columns():
            rule, option = column.options.validate, "validate"
            try:
                if rule is not None:
                    self._validations[column.name] = validator(rule), described(rule)
                option = "normalize"
                if column.options.rule:
                    normalizer(column.options.rule)
            except ValueError as error:
                raise ConfigError(f"{column.place}.{option}", str(error)) from None
        self._users: dict[str, RolePolicy] = {}
        self._default = RolePolicy(
            DEFAULT_ROLE, config.roles.get(DEFAULT_ROLE, Role()), columns, consent, despite
        )
        for name, role in config.roles.items():
            if name != DEFAULT_ROLE:
                policy = RolePolicy(name, role, columns, consent, despite)
                self._users.update(dict.fromkeys(role.users, policy))

    def for_user(self, user: str) -> RolePolicy:
        """The policy of database user ``user``; whoever is not named has the default role, which sees
        tokens."""
        return self._users.get(user, self._default)

    def comparing(self, column: str) -> tuple[frozenset[str], bool]:
        """Which named users may compare with ``column``, stating some purpose or none; and whether all others may."""

        def may(role: RolePolicy) -> bool:
            return any(role.may_compare(column, purpose) for purpose in (None, *role.purposes))

        return frozenset(user for user, role in self._users.items() if may(role)), may(self._default)

    def masker(self, column: str, codec_oid: int) -> Masker:
        """The configured mask of ``column`` for canonical values of type ``codec_oid``; of all if none is known.

        Raises ValueError for a type that no mask is known for: then the value must not be shown.
        """
        key = (column, codec_oid)
        known = self._maskers.get(key)
        if known is None:
            known = self._maskers[key] = masker(self._masks.get(column, "all"), codec_oid)
        return known

    def validation(self, column: str) -> tuple[Validator, str] | None:
        """What a value to be stored in ``column`` must satisfy, and that in words; None for any value."""
        return self._validations.get(column)
