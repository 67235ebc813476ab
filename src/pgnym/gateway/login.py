"""From the StartupMessage to the first ReadyForQuery.

Authentication is between client and server: it is relayed. Except SCRAM with TLS on both legs, where it can't be: there the
gateway plays the server to the client and the client to the server (``wire/scram.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgnym.gateway.reports import ErrorReport, GatewayError
from pgnym.gateway.session import Actor, Session
from pgnym.wire.auth import SASLInitialResponse, SASLResponse, sasl
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import BACKEND, FRONTEND, Backend, Frontend, walk
from pgnym.wire.messages import Authentication, AuthKind, ParameterStatus
from pgnym.wire.scram import PLAIN, PLUS, ScramClient, ScramError, ScramServer, Verifier, WrongProof
from pgnym.wire.startup import BackendKeyData, StartupMessage, parse_options

if TYPE_CHECKING:
    from pgnym.gateway.connection import ClientConnection

MAX_LOGIN_BYTES = 1 << 20
"""Bound on what may wait unparsed while logging in."""

_OWN = b"pgnym."


class LoginRefused(GatewayError):
    """The gateway itself refuses a connection."""


class Login:
    """One log-in: looks at what passes, changes only what TLS that ends here makes untrue."""

    def __init__(self, request: StartupMessage, connection: ClientConnection) -> None:
        if request.major != 3:
            raise LoginRefused("0A000", f"unsupported frontend protocol {request.major}.{request.minor}")
        self.request = request
        self._connection = connection
        self._params = {
            k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in request.params.items()
        }
        if "user" not in self._params:
            raise LoginRefused("28000", "no PostgreSQL user name specified in startup packet")
        self.user = self._params["user"]
        self.database = self._params.get("database") or self.user
        if connection.runtime.config.gateway.tls.client_ca is not None:
            self._check_certificate()
        if self._params.get("replication", "false").lower() not in ("false", "off", "no", "0"):
            raise LoginRefused("0A000", "replication connections do not pass through the gateway")
        self._options = self._read_options(request)
        self._parameters: dict[str, str] = {}
        self._from_server = bytearray()
        self._from_client = bytearray()
        self._session: Session | None = None
        self._authenticated = False
        self._sasl = False
        self._verifier: Verifier | None = None
        self._server_side: ScramServer | None = None
        self._client_side: ScramClient | None = None
        self._offered: tuple[bytes, ...] = ()

    def _check_certificate(self) -> None:
        """The client's certificate must be the user's: its common name, as of PostgreSQL's ``clientcert=verify-full``."""
        names = self._connection.certified_names()
        if names is not None and names != [self.user]:
            self._connection.runtime.log.warning(
                "a client at %s whose certificate is not of user %r was refused",
                self._connection.address,
                self.user,
            )
            raise LoginRefused(
                "28000",
                f'certificate authentication failed for user "{self.user}"',
                hint="The common name of the client's certificate must be the name of the database user.",
            )

    def _read_options(self, request: StartupMessage) -> dict[str, str]:
        """The ``pgnym.*`` settings among the start-up parameters and ``options``. Only two exist for clients."""
        found = [(k, v) for k, v in request.params.items() if k.lower().startswith(_OWN)]
        found += [
            (k, v)
            for k, v in parse_options(request.params.get(b"options", b""))
            if k.lower().startswith(_OWN)
        ]
        options: dict[str, str] = {}
        for key, value in found:
            name = key.decode("utf-8", "replace").lower()
            if name not in ("pgnym.tenant", "pgnym.purpose"):
                raise LoginRefused("42501", f"parameter {name} cannot be set by clients")
            options[name] = value.decode("utf-8", "replace")
        return options

    async def prepare(self) -> None:
        """What must be there before the server is asked: keys, and the tenant's part of the vault."""
        runtime = self._connection.runtime
        config = runtime.config
        tenant = config.tenants.users.get(self.user, config.tenants.default)
        wanted = self._options.get("pgnym.tenant")
        if wanted is not None and wanted != tenant:
            if self.user not in config.tenants.startup_option:
                raise LoginRefused(
                    "42501",
                    f"user {self.user} may not choose a tenant",
                    hint="Name the user in tenants.startup_option, or leave pgnym.tenant out.",
                )
            tenant = wanted
        actor = Actor(
            user=self.user,
            database=self.database,
            tenant=tenant,
            address=self._connection.address,
            application=self._params.get("application_name", ""),
        )
        self._session = await runtime.session(actor, self._connection, self._settings())
        if self._connection.tls and runtime.verifiers is not None and runtime.connector.context is not None:
            self._verifier = await runtime.verifiers.of(self.user)

    def _settings(self) -> dict[str, str]:
        """The settings that the session begins with, as far as the client names them. ``options`` come first."""
        pairs = [*parse_options(self.request.params.get(b"options", b"")), *self.request.params.items()]
        return {k.decode("utf-8", "replace").lower(): v.decode("utf-8", "replace") for k, v in pairs}

    # -- relaying --------------------------------------------------------------------------------------

    def from_client(self, data: bytes) -> None:
        """Only answers to authentication requests may come now."""
        buffer = self._from_client
        buffer += data
        if len(buffer) > MAX_LOGIN_BYTES:
            raise ProtocolViolation("too much data before the login is complete")
        messages, rest = walk(buffer, FRONTEND)
        for kind, start, end in messages:
            if kind == Frontend.TERMINATE:
                self._connection.close("the client left")
                return
            if kind != Frontend.PASSWORD:
                raise ProtocolViolation("expected a password or SASL response")
            message = bytes(buffer[start:end])
            if self._server_side is not None:
                self._proof_from_client(self._server_side, message)
                continue
            self._check_binding(message)
            self._connection.to_server(message)
        del buffer[:rest]

    def from_server(self, data: bytes) -> None:
        """Relay, noting parameters and the cancel key, until the server is ready for queries."""
        buffer = self._from_server
        buffer += data
        if len(buffer) > MAX_LOGIN_BYTES:
            raise ProtocolViolation("too much data from the server before the login is complete")
        messages, rest = walk(buffer, BACKEND)
        out = bytearray()
        for kind, start, end in messages:
            message = bytes(buffer[start:end])
            if kind == Backend.READY_FOR_QUERY:
                self._ready(bytes(out), bytes(buffer[start:]))
                return
            out += self._relayed(kind, message)
        del buffer[:rest]
        if out:
            self._connection.to_client(bytes(out))

    def _check_binding(self, message: bytes) -> None:
        """Refuse a SCRAM exchange that the server would refuse, and say what to do about it.

        A client that could bind to a TLS channel says so (gs2 flag ``y``, RFC 5802 section 6). Over TLS the server then
        takes it for a downgrade, as it does offer binding, which can't be relayed to a client on another TLS connection.
        """
        if self._sasl and self._connection.server.tls and b"\0" in message and b"y,," in message:
            raise LoginRefused(
                "28000",
                "SCRAM authentication can't be relayed with TLS on both sides and channel binding asked for",
                hint="Connect with channel_binding=disable, or set upstream.sslmode: disable where the network is trusted.",
            )

    def _relayed(self, kind: int, message: bytes) -> bytes:
        if kind == Backend.AUTHENTICATION:
            authentication = Authentication.parse(message)
            if authentication.kind == AuthKind.OK:
                self._authenticated = True
            elif self._client_side is not None:
                return self._proof_to_server(self._client_side, authentication)
            elif (
                authentication.kind == AuthKind.SASL
                and self._verifier is not None
                and self._connection.server.tls
            ):
                return self._offer(authentication, self._verifier)
            elif authentication.kind == AuthKind.SASL:
                # Channel binding would bind to the server's certificate, which the client never sees (RFC 5929).
                self._sasl = True
                return authentication.without_channel_binding().build()
        elif kind == Backend.PARAMETER_STATUS:
            status = ParameterStatus.parse(message)
            self._parameters[status.name.decode()] = status.value.decode("utf-8", "replace")
        elif kind == Backend.BACKEND_KEY_DATA:
            key = BackendKeyData.parse(message)
            self._connection.key = key
            self._connection.runtime.remember_key(key, self._connection)
        return message

    # -- SCRAM that ends here ----------------------------------------------------------------------------

    def _offer(self, authentication: Authentication, verifier: Verifier) -> bytes:
        """What the client is offered in place of the server's mechanisms: binding to the gateway's own certificate."""
        self._offered = authentication.mechanisms
        binding = self._connection.runtime.end_point
        self._server_side = ScramServer(verifier, binding)
        return sasl((PLAIN,) if binding is None else (PLUS, PLAIN)).build()

    def _proof_from_client(self, scram: ScramServer, message: bytes) -> None:
        connection, verifier = self._connection, self._verifier
        assert verifier is not None
        try:
            if not self._sasl:
                self._sasl = True
                initial = SASLInitialResponse.parse(message)
                if initial.mechanism not in (PLAIN, PLUS) or initial.data is None:
                    raise ScramError("client selected an invalid SASL authentication mechanism")
                answer = scram.first(initial.mechanism, initial.data)
                connection.to_client(Authentication(AuthKind.SASL_CONTINUE, answer).build())
                return
            if self._client_side is not None:
                raise ScramError("expected nothing more of the client")
            client_key = scram.final(SASLResponse.parse(message).data)
        except WrongProof:
            raise LoginRefused("28P01", f'password authentication failed for user "{self.user}"') from None
        except ScramError as error:
            raise LoginRefused("08P01", str(error)) from None
        binding = connection.server.end_point() if PLUS in self._offered else None
        self._client_side = ScramClient(verifier, client_key, binding)
        connection.to_server(SASLInitialResponse(*self._client_side.first()).build())

    def _proof_to_server(self, scram: ScramClient, authentication: Authentication) -> bytes:
        """The server's side of the exchange with the gateway; what of it the client gets."""
        try:
            if authentication.kind == AuthKind.SASL_CONTINUE:
                self._connection.to_server(SASLResponse(scram.final(authentication.data)).build())
                return b""
            if authentication.kind == AuthKind.SASL_FINAL:
                scram.check(authentication.data)
                assert self._server_side is not None
                return Authentication(AuthKind.SASL_FINAL, self._server_side.last()).build()
        except WrongProof:
            raise LoginRefused("28P01", f'password authentication failed for user "{self.user}"') from None
        except ScramError as error:
            raise LoginRefused("08P01", f"the server's part of the login failed: {error}") from None
        raise ProtocolViolation("the server asks for something else than it began with")

    def _ready(self, before: bytes, rest: bytes) -> None:
        if not self._authenticated or self._session is None:
            raise ProtocolViolation("the server is ready before the client is authenticated")
        session = self._session
        session.parameters.update(self._parameters)
        connection = self._connection
        if before:
            connection.to_client(before)
        connection.established(session)
        connection.server.received(rest)
        if self._from_client:
            connection.received(bytes(self._from_client))

    def server_gone(self) -> None:
        """The server closed the connection before the login was complete, without (or after) an error of its own."""
        self._connection.runtime.log.info(
            "the server ended a login of user %r from %s", self.user, self._connection.address
        )


__all__ = ["ErrorReport", "Login", "LoginRefused"]
