"""From the values a client sends to tokens.

Everything here is local and synchronous: what must be put into the vault is returned, and the caller sees to it that it is
durable before the statement goes upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pgnym.gateway.converting import TEXTS, convert
from pgnym.gateway.reports import GatewayError
from pgnym.gateway.session import Session
from pgnym.gateway.slots import Prepared
from pgnym.policy.normalizing import named, normalized, normalizer
from pgnym.policy.sight import Sight
from pgnym.semantics.documents import map_leaves
from pgnym.semantics.errors import EvaluationError
from pgnym.sql.errors import Refused
from pgnym.sql.plan import Use, ValueUse
from pgnym.vault.tokens import TOKEN_PATTERN
from pgnym.wire import codecs
from pgnym.wire.arrays import array_text_from_binary, map_array_binary, map_array_text
from pgnym.wire.codecs.jsons import VERSION
from pgnym.wire.messages import Bind

TEXT, JSONB = 25, 3802
_NAME = {Use.COMPARE: "compare with", Use.CARRY: "compare with", Use.WRITE: "write to"}


@dataclass(slots=True)
class Tokens:
    """What tokenizing a message has brought.

    ``values``: what must be in the vault before the message goes on (token → canonical); ``counts``: tokens per domain.
    ``keyed``: some depend on the token key.
    """

    values: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    counts: dict[str, int] = field(default_factory=dict)
    keyed: bool = False


class Tokenizer:
    """Tokenizes the values that one ValueUse names, for one session; checks rights once.

    ``position``: of the constant in the client's text (bytes), for errors.
    """

    __slots__ = (
        "_codec", "_leaves", "_passes_tokens", "_paths", "_position", "_session", "_use", "_validations",
    )  # fmt: skip

    def __init__(self, use: ValueUse, session: Session, position: int | None = None) -> None:
        check_right(use, session)
        self._use = use
        self._session = session
        self._position = position
        self._codec = codecs.codec_for(use.protection.codec_oid)
        # Who sees tokens may give them back; for everyone else a value that looks like a token is a value.
        sight = session.role.combined(use.columns or use.protection.columns, session.purpose)
        self._passes_tokens = sight is Sight.TOKENS
        self._validations = [
            (column, *found)
            for column in (use.columns if use.use is Use.WRITE else ())
            if (found := session.validation(column)) is not None
        ]
        self._paths = tuple(leaf.path for leaf in use.leaves)
        self._leaves = tuple(
            Tokenizer(
                ValueUse(use.use, leaf.protection, frozenset((leaf.protection.column,))), session, position
            )
            for leaf in use.leaves
        )

    def token(self, value: bytes, declared: int, binary: bool, tokens: Tokens) -> bytes:
        """The token of one value, as the client sent it. ``declared``: the type OID it was sent as, 0 for unknown."""
        use, session = self._use, self._session
        protection = use.protection
        if self._passes_tokens and TOKEN_PATTERN.fullmatch(value) and value.startswith(protection.prefix):
            return value
        try:
            canonical = self._canonical(value, declared, binary)
        except codecs.CodecError as error:
            if self._position is None:
                raise
            raise Refused(
                error.message, sqlstate=error.sqlstate, hint=error.hint, position=self._position
            ) from None
        if canonical and protection.normalize:
            canonical = self._normalized(canonical)
        if use.use is Use.WRITE:
            canonical = self._codec.fit(canonical, protection.typmod)
        if not canonical:
            return b""
        for column, valid, wanted in self._validations:
            if not valid(canonical):
                raise Refused(
                    f"new value for protected column {column} is not {wanted}",
                    sqlstate="23514",
                    detail="The value is not repeated here.",
                    hint=f"See `validate` of {column} in the configuration.",
                    position=self._position,
                )
        identity = codecs.identity(protection.codec_oid, canonical, protection.casefold)
        if protection.casefold:
            canonical = identity
        if protection.randomized:
            token = session.vault.random_token(protection.prefix)
        else:
            token = session.vault.token(protection.prefix, identity)
            tokens.keyed = True
        tokens.counts[protection.domain] = tokens.counts.get(protection.domain, 0) + 1
        if use.use is not Use.COMPARE:
            tokens.values[token] = canonical
        return token

    def _normalized(self, canonical: bytes) -> bytes:
        """The one spelling of a value. A value that has none may be asked for, or shown in place of NULL, but not stored."""
        rule = self._use.protection.normalize
        if self._use.use is not Use.WRITE:
            return normalized(rule, canonical)
        found = normalizer(rule)(canonical)
        if found is None:
            column = self._use.protection.column
            raise Refused(
                f"new value for protected column {column} is not {named(rule)}",
                sqlstate="23514",
                detail="The value is not repeated here.",
                hint=f"See `normalize` of {column} in the configuration.",
                position=self._position,
            )
        return found

    def _canonical(self, value: bytes, declared: int, binary: bool) -> bytes:
        """The canonical value in the column's type, cast as the statement says and as PostgreSQL would."""
        cast, target = self._use.cast_oid, self._use.protection.codec_oid
        if declared == self._use.protection.type_oid:
            declared = target  # citext, sent as what it is, has the formats of text
        if self._use.array:
            cast = codecs.element_oid(cast)
        own = 0 if declared in TEXTS else declared
        if binary:
            source = own or TEXT
            canonical = codecs.canonical_from_binary(source, -1, value)
        else:
            source = own or (cast if cast in codecs.CODECS and cast not in TEXTS else target)
            canonical = codecs.canonical_from_text(source, -1, value, self._session.settings)
        if cast in codecs.CODECS:
            canonical, source = convert(canonical, source, cast, self._use.use), cast
            if self._use.cast_typmod >= 0:
                canonical = codecs.cast_truncate(cast, self._use.cast_typmod, canonical)
        return convert(canonical, source, target, self._use.use)

    def document(self, value: bytes, declared: int, binary: bool, tokens: Tokens) -> bytes:
        """JSON with the strings at the use's paths tokenized, in the format it came in.

        ``declared``: the type it is sent as, 0 where the server takes it for jsonb.
        """
        jsonb = binary and (declared or self._use.cast_oid or JSONB) == JSONB
        if jsonb and value[:1] != VERSION:
            raise codecs.CodecError("22P03", "unsupported jsonb version number")
        leaves = self._leaves

        def leaf(index: int, part: bytes) -> bytes:
            return leaves[index].leaf(part, tokens)

        try:
            mapped = map_leaves(value[1:] if jsonb else value, self._paths, leaf)
        except EvaluationError as error:
            if self._position is None:
                raise GatewayError(error.sqlstate, error.message, hint=error.hint) from None
            raise Refused(
                error.message, sqlstate=error.sqlstate, hint=error.hint, position=self._position
            ) from None
        return VERSION + mapped if jsonb else mapped

    def leaf(self, value: bytes, tokens: Tokens) -> bytes:
        """The token of a string within a document."""
        if self._use.use is not Use.WRITE and self._use.protection.randomized:
            column = self._use.protection.column
            raise GatewayError(
                "0A000",
                f"a comparison with randomized {column} is not supported",
                detail=f"Equal values of {column} have different tokens.",
                hint="Set `tokens: deterministic` for the path, and run `pgnym apply`.",
            )
        return self.token(value, 0, False, tokens)

    def array(self, value: bytes, element_oid: int, binary: bool, tokens: Tokens) -> bytes:
        """An array with its elements tokenized, in text format. ``element_oid``: as it was sent, 0 for unknown."""
        if binary:
            return array_text_from_binary(value, lambda v: self.token(v, element_oid or TEXT, True, tokens))
        return map_array_text(value, lambda v: self.token(v, element_oid, False, tokens))

    def array_binary(self, value: bytes, element_oid: int, tokens: Tokens) -> bytes:
        """An array in binary format with its elements tokenized, as it goes into a column of the stored type."""
        stored = self._use.protection.stored_oid
        return map_array_binary(value, lambda v: self.token(v, element_oid, True, tokens), stored)


def supports_encoding(session: Session) -> bool:
    """Whether values can be told from their bytes in the session's client_encoding."""
    return session.parameters.get("client_encoding", "UTF8") in ("UTF8", "SQL_ASCII")


def check_encoding(session: Session) -> None:
    """Raise 0A000 for a client_encoding in which values can't be told from their bytes."""
    if not supports_encoding(session):
        encoding = session.parameters["client_encoding"]
        raise GatewayError(
            "0A000",
            f"client_encoding {encoding} is not supported on statements that touch protected columns",
            hint="SET client_encoding TO 'UTF8'.",
        )


def check_right(use: ValueUse, session: Session) -> None:
    """Raise 42501 unless the role may compare with, or write, plaintext in every column the value meets."""
    role, purpose = session.role, session.purpose
    allowed = role.may_write if use.use is Use.WRITE else role.may_compare
    for column in use.columns or use.protection.columns:
        if not allowed(column, purpose):
            raise refuse_right(column, f"{_NAME[use.use]} plaintext in", session)


def refuse_right(column: str, what: str, session: Session) -> GatewayError:
    """The refusal (42501) of what the role has no right to do with a column."""
    if session.role.needs_consent((column,)):
        return GatewayError(
            "42501",
            f"permission denied to {what} column {column}",
            detail="Its values are shown by consent of each data subject. Whether one matches would tell it without.",
            hint="Find the rows by another column, such as the subject's key.",
        )
    return GatewayError(
        "42501",
        f"permission denied to {what} column {column}",
        detail=f"Role {session.role.name} sees or is given only tokens or masks there.",
        hint="Grant the role 'compare', 'write' or 'reveal' on the column in the configuration, "
        "or use the token in place of the value.",
    )


def bind_values(prepared: Prepared, bind: Bind, session: Session) -> tuple[Bind, Tokens]:
    """The Bind to send upstream. Raises what ``Tokenizer`` raises."""
    plan = prepared.plan
    tokens = Tokens()
    if plan.parameters is None:
        return bind, tokens
    values: list[bytes | None] = []
    formats: list[int] = []
    shown = plan.shown_parameter_types or {}
    required = max(len(prepared.declared), *(p.source for p in plan.parameters), 0)
    if len(bind.values) != required:
        # As the server words it in exec_bind_message().
        raise GatewayError(
            "08P01",
            f"bind message supplies {len(bind.values)} parameters, but prepared statement "
            f'"{bind.statement.decode("utf-8", "replace")}" requires {required}',
        )
    for parameter in plan.parameters:
        index = parameter.source - 1
        value = bind.values[index]
        code = bind.format_of(index)
        use = parameter.use
        if parameter.withheld:
            values.append(None if value is None else b"")
            formats.append(0)
            continue
        if use is None or value is None:
            if use is not None:
                check_right(use, session)
            values.append(value)
            formats.append(code)
            continue
        declared = prepared.declared[index] if index < len(prepared.declared) else 0
        declared = declared or shown.get(parameter.source, 0)
        tokenizer = Tokenizer(use, session)
        if use.leaves:
            values.append(tokenizer.document(value, declared, code == 1, tokens))
            formats.append(code)
        elif use.array:
            values.append(tokenizer.array(value, codecs.element_oid(declared), code == 1, tokens))
            formats.append(0)
        else:
            values.append(tokenizer.token(value, declared, code == 1, tokens))
            formats.append(0)
    return Bind(bind.portal, bind.statement, tuple(formats), values, bind.result_formats), tokens


def with_answers(bind: Bind, answers: Sequence[bytes]) -> Bind:
    """The Bind with the vault's answers as its last parameters, in text format. ``bind`` has a format per value."""
    if not answers:
        return bind
    formats = (*bind.formats, *(0 for _ in answers))
    return Bind(bind.portal, bind.statement, formats, [*bind.values, *answers], bind.result_formats)
