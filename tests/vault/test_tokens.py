"""Tokens against vectors that were computed without pgnym, and against two other implementations of HMAC."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.vault import tokens

VECTORS = json.loads(Path(__file__).with_name("token_vectors.json").read_text())["vectors"]
KEY = bytes(range(32))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["token"])
def test_known_answers(vector: dict[str, str]) -> None:
    key, identity = bytes.fromhex(vector["key"]), bytes.fromhex(vector["identity"])
    prefix = tokens.prefix(int(vector["domain"]))
    assert prefix == vector["prefix"].encode()
    assert tokens.deterministic(key, prefix, identity) == vector["token"].encode()
    assert tokens.Tokenizer(key).token(prefix, identity) == vector["token"].encode()


@given(st.binary(min_size=32, max_size=32), st.integers(0, 32767), st.binary(max_size=200))
def test_agrees_with_the_standard_library(key: bytes, domain: int, identity: bytes) -> None:
    prefix = tokens.prefix(domain)
    mac = hmac.new(key, prefix + len(identity).to_bytes(4, "big") + identity, hashlib.sha256).digest()
    expected = prefix + base64.b32encode(mac[:15]).lower()
    assert tokens.deterministic(key, prefix, identity) == expected


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_agrees_with_openssl() -> None:
    for vector in VECTORS[:12]:
        identity = bytes.fromhex(vector["identity"])
        message = vector["prefix"].encode() + len(identity).to_bytes(4, "big") + identity
        run = subprocess.run(
            ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{vector['key']}", "-binary"],
            input=message,
            capture_output=True,
            check=True,
        )
        assert (
            vector["token"].encode() == vector["prefix"].encode() + base64.b32encode(run.stdout[:15]).lower()
        )


@given(st.integers(0, tokens.MAX_DOMAIN_ID))
def test_domain_and_prefix_are_inverse(domain: int) -> None:
    prefix = tokens.prefix(domain)
    assert len(prefix) == tokens.PREFIX_LENGTH
    assert tokens.domain_id(prefix) == domain
    assert tokens.domain_id(tokens.randomized(prefix)) == domain


@pytest.mark.parametrize("domain", [-1, 32768])
def test_a_domain_out_of_range_is_refused(domain: int) -> None:
    with pytest.raises(ValueError, match="domain id"):
        tokens.prefix(domain)


@pytest.mark.parametrize("data", [b"", b"pn1", b"pn1aa", b"pn2aaa", b"pn1aa1", b"pn1AAA"])
def test_what_starts_like_no_token_has_no_domain(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a token"):
        tokens.domain_id(data)


@given(st.binary(max_size=64))
def test_every_token_has_the_shape(identity: bytes) -> None:
    prefix = tokens.prefix(77)
    for token in (tokens.deterministic(KEY, prefix, identity), tokens.randomized(prefix)):
        assert len(token) == tokens.TOKEN_LENGTH
        assert re.fullmatch(rb"pn1[a-z2-7]{27}", token)
        assert tokens.is_token(token)


def test_the_pattern_finds_tokens_that_touch_other_text() -> None:
    first, second = tokens.randomized(tokens.prefix(1)), tokens.randomized(tokens.prefix(2))
    assert tokens.TOKEN_PATTERN.findall(b"x" + first + second + b"abc\n") == [first, second]
    assert not tokens.is_token(first + b"a")
    assert not tokens.is_token(first + b"\n")
    assert not tokens.is_token(first[:-1])


def test_the_domain_separates_equal_values() -> None:
    tokenizer = tokens.Tokenizer(KEY)
    bodies = {tokenizer.token(tokens.prefix(d), b"same")[6:] for d in range(100)}
    assert len(bodies) == 100


def test_randomized_tokens_do_not_repeat() -> None:
    prefix = tokens.prefix(3)
    assert len({tokens.randomized(prefix) for _ in range(10_000)}) == 10_000
