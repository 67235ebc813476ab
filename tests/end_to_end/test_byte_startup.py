"""How a session starts: negotiation, options, authentication and its errors, byte for byte as the server's."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from support.cluster import PASSWORD, SUPERUSER, Auth, Cluster
from support.gateway import Endpoint, deployment, through
from support.rawwire import (
    GSSENC_REQUEST,
    PROTOCOL_3_2,
    SSL_REQUEST,
    Message,
    RawClient,
    cancel,
    message,
    normalise,
    query,
    startup,
)
from support.wire_script import show, without_last_words

pytestmark = pytest.mark.server


@dataclass(frozen=True, slots=True)
class Doors:
    """Two ways into the same database: the server's own and pgnym's."""

    plain: Endpoint
    tested: Endpoint

    def compare(self, talk: Callable[[RawClient, str], list[Message]], *, garbage: bool = False) -> None:
        """``talk(client, database)`` on a connection that said nothing yet, by both ways.

        ``garbage``: pgnym itself refuses it, in words of its own where the server may have none.
        """
        heard = []
        for door in (self.plain, self.tested):
            with RawClient(door.host, door.port) as client:
                messages = talk(client, door.database)
                heard.append(show(normalise(without_last_words(messages) if garbage else messages, {})))
        assert heard[1] == heard[0]


@pytest.fixture(scope="module", params=["trust", "scram-sha-256", "md5", "password"])
def doors(request: pytest.FixtureRequest) -> Iterator[Doors]:
    auth: Auth = request.param
    with Cluster(auth=auth) as cluster:
        cluster.psql(
            "CREATE DATABASE app; CREATE ROLE nobody_may_log_in; CREATE ROLE closed LOGIN CONNECTION LIMIT 0"
        )
        with through(deployment(cluster, "app")) as tested:
            yield Doors(Endpoint(cluster.host, cluster.port, "app"), tested)


def login(
    password: str | None = PASSWORD,
    user: str = SUPERUSER,
    database: str | None = None,
    version: int = 3 << 16,
    pieces_of: int | None = None,
    extra: Mapping[str, str] | None = None,
) -> Callable[[RawClient, str], list[Message]]:
    """Log in; on success a query shows settings and ends the session in order."""

    def talk(client: RawClient, app: str) -> list[Message]:
        pairs = {"user": user, "database": database or app, **(extra or {})}
        client.send(startup(pairs, version), pieces_of=pieces_of)
        messages = client.authenticate(user, password)
        if messages[-1].kind == b"Z":
            client.send(
                query("SELECT current_setting('application_name'), current_setting('work_mem'), session_user")
            )
            client.read_until_kind(b"Z")
        else:
            client.read_to_end()
        return client.heard

    return talk


def test_log_in(doors: Doors) -> None:
    doors.compare(login())


def test_a_split_startup_packet(doors: Doors) -> None:
    doors.compare(login(pieces_of=1))


def test_a_large_startup_packet(doors: Doors) -> None:
    doors.compare(login(extra={"application_name": "n" * 9000}))


def test_parameters_and_options(doors: Doors) -> None:
    doors.compare(login(extra={"application_name": "näme"}))
    doors.compare(login(extra={"options": r"-c work_mem=2MB -c application_name=a\ b\\c"}))
    doors.compare(login(extra={"options": "--work-mem=3MB"}))
    doors.compare(login(extra={"DateStyle": "German", "TimeZone": "Asia/Tokyo", "extra_float_digits": "0"}))


@pytest.mark.parametrize(
    "parameters",
    [
        {"options": "-c work_mem=much"},
        {"no_such_setting": "x"},
        {"options": "-Z"},
        {"client_encoding": "NOPE"},
    ],
    ids=str,
)
def test_bad_parameters(doors: Doors, parameters: dict[str, str]) -> None:
    doors.compare(login(extra=parameters))


def test_a_wrong_password(doors: Doors) -> None:
    doors.compare(login("wrong"))
    doors.compare(login(""))


@pytest.mark.parametrize("user", ["unheard_of", "nobody_may_log_in", "closed"])
def test_users_who_may_not(doors: Doors, user: str) -> None:
    doors.compare(login(user=user))


def test_an_unknown_database(doors: Doors) -> None:
    doors.compare(login(database="nowhere"))


@pytest.mark.parametrize("version", [PROTOCOL_3_2, 3 << 16 | 9999, 3 << 16 | 1])
def test_minor_versions_are_negotiated(doors: Doors, version: int) -> None:
    doors.compare(login(version=version))


def test_unknown_protocol_options_are_negotiated(doors: Doors) -> None:
    doors.compare(login(extra={"_pq_.something": "1", "_pq_.else": "x"}))
    doors.compare(login(version=3 << 16 | 9999, extra={"_pq_.something": "1"}))


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 1])
def test_other_major_versions_are_refused(doors: Doors, version: int) -> None:
    def talk(client: RawClient, database: str) -> list[Message]:
        client.send(startup({"user": SUPERUSER, "database": database}, version))
        return client.read_to_end()

    doors.compare(talk, garbage=True)


def test_a_cancel_key_of_3_2_works(doors: Doors) -> None:
    def talk(client: RawClient, database: str) -> list[Message]:
        client.login(SUPERUSER, database, PASSWORD, version=PROTOCOL_3_2)
        assert 8 <= len(client.backend_key) <= 260
        client.send(query("SELECT 1"))
        return client.read_until_kind(b"Z")

    doors.compare(talk)


@pytest.mark.parametrize(
    "packet",
    [
        struct.pack("!i", 4),
        struct.pack("!ii", 8, 3 << 16),
        struct.pack("!i", 3),
        struct.pack("!i", -1),
        struct.pack("!i", 10_001) + b"x" * 200,
        struct.pack("!i", 0x7FFFFFFF) + b"x" * 200,
        message(b"", struct.pack("!i", 3 << 16) + b"user\0x"),
        message(b"", struct.pack("!i", 3 << 16) + b"user\0postgres\0\0surplus"),
        message(b"", struct.pack("!i", 3 << 16) + b"database\0app\0\0"),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=range(10),
)
def test_malformed_startup_packets(doors: Doors, packet: bytes) -> None:
    def talk(client: RawClient, database: str) -> list[Message]:
        client.send(packet)
        client.close_sending()
        return client.read_to_end()

    doors.compare(talk, garbage=True)


@pytest.mark.parametrize("requests", [[SSL_REQUEST], [GSSENC_REQUEST], [SSL_REQUEST, GSSENC_REQUEST],
                                      [GSSENC_REQUEST, SSL_REQUEST], [SSL_REQUEST, SSL_REQUEST]])  # fmt: skip
def test_encryption_requests_are_answered_by_one_byte(doors: Doors, requests: list[int]) -> None:
    def talk(client: RawClient, database: str) -> list[Message]:
        answers = []
        for request in requests:
            client.send(message(b"", struct.pack("!i", request)))
            answers.append(Message(b"?", client.read_bytes(1)))
            if answers[-1].body == b"E":  # the one-byte answer is the head of an ErrorResponse
                rest = client.read_bytes(struct.unpack("!i", client.read_bytes(4))[0] - 4)
                return [*answers, Message(b"E", rest)]
        return [*answers, *login()(client, database)]

    doors.compare(talk, garbage=requests[0] == requests[-1] and len(requests) > 1)


def test_a_cancel_request_for_nobody_is_closed_silently(doors: Doors) -> None:
    for door in (doors.plain, doors.tested):
        cancel(door.host, door.port, struct.pack("!ii", 2_000_000_000, 12345))
        cancel(door.host, door.port, struct.pack("!i", 2_000_000_000) + b"k" * 32)


def test_connections_that_say_nothing(doors: Doors) -> None:
    for door in (doors.plain, doors.tested):
        with socket.create_connection((door.host, door.port)) as mute:
            mute.shutdown(socket.SHUT_WR)
            assert mute.recv(100) == b""
    doors.compare(login())


def test_a_reset_during_startup_leaves_the_door_open(doors: Doors) -> None:
    for door in (doors.plain, doors.tested):
        client = RawClient(door.host, door.port)
        client.send(startup({"user": SUPERUSER, "database": door.database})[:20])
        client.reset()
    doors.compare(login())
