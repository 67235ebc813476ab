"""SCRAM by the vector of RFC 7677, both sides against each other, and what an attacker sends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.scram import PLAIN, PLUS, ScramClient, ScramError, ScramServer, Verifier, WrongProof

BINDING = bytes(range(32))


def keys(password: bytes, salt: bytes, count: int) -> tuple[bytes, Verifier]:
    """ClientKey and verifier, by the standard library (RFC 5802 section 3)."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, count)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    text = "SCRAM-SHA-256${}:{}${}:{}".format(
        count,
        *(base64.b64encode(p).decode() for p in (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))),
    )
    verifier = Verifier.parse(text)
    assert verifier is not None
    return client, verifier


KEY, VERIFIER = keys(b"pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)


def test_the_vector_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard's exchange, whose nonces are given: user, pencil."""
    server = ScramServer(VERIFIER, None)
    part = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    monkeypatch.setattr(
        "pgnym.wire.scram.base64.b64encode",
        lambda data, b64=base64.b64encode: part if len(data) == 18 else b64(data),
    )
    first = server.first(PLAIN, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert first == b"r=rOprNGfwEbeRWgbNEkqO" + part + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = b"c=biws,r=rOprNGfwEbeRWgbNEkqO" + part + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert server.final(final) == KEY
    assert server.last() == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("binding", [None, BINDING])
def test_both_sides_agree(binding: bytes | None) -> None:
    client, server = ScramClient(VERIFIER, KEY, binding), ScramServer(VERIFIER, BINDING if binding else None)
    mechanism, message = client.first()
    assert mechanism == (PLUS if binding else PLAIN)
    final = client.final(server.first(mechanism, message))
    assert server.final(final) == KEY
    client.check(server.last())


def exchange(client: ScramClient, server: ScramServer) -> None:
    mechanism, message = client.first()
    server.final(client.final(server.first(mechanism, message)))
    client.check(server.last())


def test_a_wrong_password_and_a_mock_are_told_the_same() -> None:
    for verifier in (VERIFIER, Verifier.mock(b"secret", b"nobody")):
        client = ScramClient(verifier, os.urandom(32), None)
        with pytest.raises(WrongProof):
            exchange(client, ScramServer(verifier, None))
    one, other = (Verifier.mock(b"secret", b"nobody") for _ in range(2))
    assert (one.salt, one.iterations) == (other.salt, other.iterations)
    assert one.salt != Verifier.mock(b"secret", b"somebody").salt


def test_a_man_in_the_middle() -> None:
    """Another certificate on the way; the offer of PLUS taken out; a server that doesn't know the password."""
    with pytest.raises(ScramError, match="binding check failed"):
        exchange(ScramClient(VERIFIER, KEY, bytes(32)), ScramServer(VERIFIER, BINDING))
    with pytest.raises(ScramError, match="negotiation"):
        ScramServer(VERIFIER, BINDING).first(PLAIN, b"y,,n=,r=abc")
    assert ScramServer(VERIFIER, None).first(PLAIN, b"y,,n=,r=abc")
    client = ScramClient(VERIFIER, KEY, None)
    server = ScramServer(VERIFIER, None)
    mechanism, message = client.first()
    server.final(client.final(server.first(mechanism, message)))
    with pytest.raises(ScramError, match="does not know"):
        client.check(b"v=" + base64.b64encode(os.urandom(32)))


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (PLAIN, b""),
        (PLAIN, b"n,,"),
        (PLAIN, b"n,,n=,r="),
        (PLAIN, b"n,a=root,n=,r=abc"),
        (PLAIN, b"p=tls-server-end-point,,n=,r=abc"),
        (PLUS, b"n,,n=,r=abc"),
        (PLUS, b"p=tls-unique,,n=,r=abc"),
        (PLAIN, b"n,,n=,r=abc,m=ext"),
        (PLAIN, b"n,,n=,r=" + b"x" * 2000),
        (PLAIN, b"n,,m=ext,n=,r=abc"),
    ],
)
def test_first_messages_that_are_refused(mechanism: bytes, message: bytes) -> None:
    with pytest.raises(ScramError):
        ScramServer(VERIFIER, BINDING).first(mechanism, message)


@given(st.binary(max_size=200))
def test_nothing_but_the_errors_of_the_protocol(noise: bytes) -> None:
    server = ScramServer(VERIFIER, None)
    with pytest.raises(ScramError):
        server.first(PLAIN, b"x" + noise)
    first = server.first(PLAIN, b"n,,n=,r=abc")
    nonce = first.split(b",")[0][2:]
    for message in (
        noise,
        b"c=biws,r=" + nonce + b",p=" + base64.b64encode(noise),
        b"c=biws,r=abc,p=" + noise,
    ):
        with pytest.raises(ScramError):
            server.final(message)
    client = ScramClient(VERIFIER, KEY, None)
    with pytest.raises(ScramError):
        client.final(noise)
    with pytest.raises(ScramError):
        client.check(noise)


def test_a_proof_for_another_exchange_does_not_fit() -> None:
    client, server = ScramClient(VERIFIER, KEY, None), ScramServer(VERIFIER, None)
    final = client.final(server.first(*client.first()))
    other = ScramServer(VERIFIER, None)
    other.first(PLAIN, client.first()[1])
    with pytest.raises(ScramError):
        other.final(final)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "md5" + "0" * 32,
        "SCRAM-SHA-256$0:AAAA$" + "A" * 44 + ":" + "A" * 44,
        "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
    ],
)
def test_what_is_no_verifier(text: str) -> None:
    assert Verifier.parse(text) is None


def test_no_secret_is_in_a_repr() -> None:
    assert "stored" not in repr(VERIFIER)
