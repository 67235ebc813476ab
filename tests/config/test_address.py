"""Listen addresses."""

from __future__ import annotations

import pytest

from pgnym.config.address import MAX_UNIX_PATH, Address, parse_address


@pytest.mark.parametrize(
    ("text", "address", "local"),
    [
        ("127.0.0.1:6432", Address("127.0.0.1", 6432), True),
        ("127.9.9.9:0", Address("127.9.9.9", 0), True),
        ("localhost:1", Address("localhost", 1), True),
        ("[::1]:65535", Address("::1", 65535), True),
        ("[::]:1", Address("::", 1), False),
        ("0.0.0.0:1", Address("0.0.0.0", 1), False),
        ("db.example.org:1", Address("db.example.org", 1), False),
        ("unix:/run/a b", Address(path="/run/a b"), True),
    ],
)
def test_accepted_forms_come_back_as_they_were(text: str, address: Address, local: bool) -> None:
    assert parse_address(text) == address
    assert str(address) == text
    assert address.local is local


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "a",
        "a:",
        "a:b",
        "a:-1",
        "a:+1",
        "a:65536",
        "a:٣",
        "[::1]",
        "[x]:1",
        "[127.0.0.1]:1",
        "::1:1",
        "unix:",
        "unix:a",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(text)


def test_a_unix_path_has_to_fit_into_its_socket_address() -> None:
    assert parse_address("unix:/" + "x" * (MAX_UNIX_PATH - 1)).path
    with pytest.raises(ValueError, match="at most 107 bytes"):
        parse_address("unix:/" + "x" * MAX_UNIX_PATH)
