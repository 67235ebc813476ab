"""One spelling of e-mail addresses and phone numbers: what is the same, what isn't, and what is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.config.errors import ConfigError
from pgnym.config.model import Column, Config, PhoneOf, Table
from pgnym.policy.normalizing import email, named, normalized, normalizer, phone
from pgnym.policy.roles import Policy
from pgnym.policy.validation import is_e164, is_email


@pytest.mark.parametrize(
    ("spelling", "found"),
    [
        ("ann@x.org", "ann@x.org"),
        ("Ann@X.ORG", "ann@x.org"),
        ("ann+shop@x.org", "ann+shop@x.org"),  # what the parts of a local part mean is for its host to say
        ("a.n.n@gmail.com", "a.n.n@gmail.com"),
        ("ann@localhost", "ann@localhost"),
        ("ann@Müller.de", "ann@xn--mller-kva.de"),
        ("ann@mu\u0308ller.de", "ann@xn--mller-kva.de"),
        ("Ann@XN--MLLER-KVA.de", "ann@xn--mller-kva.de"),
        ("ann@faß.de", "ann@xn--fa-hia.de"),  # not fass.de: IDNA2008 has them as two domains
        ("ann@x。org", "ann@x.org"),
        ("ann@\u200bx.org", "ann@x.org"),  # what can't be seen says nothing
        ("ann@х.org", "ann@xn--u1a.org"),  # a Cyrillic letter, which only looks the same
        ("JOSE\u0301@x.org", "josé@x.org"),
        ("ΑΣ@x.gr", "ασ@x.gr"),
    ],
)
def test_one_spelling_of_an_address(spelling: str, found: str) -> None:
    assert email(spelling.encode()) == found.encode()


@pytest.mark.parametrize(
    "value",
    [
        "nonsense", "@x.org", "ann@", "ann@x@y.org", "ann x@y.org", '"ann"@x.org', "Ann <ann@x.org>", " ann@x.org",
        "ann@x.org\n",        "ann@-x.org", "ann@x..org", "ann@[127.0.0.1]", "ann@xn--zz.de",
        "a" * 65 + "@x.org", "ann@" + "ü" * 60 + ".de",
        "ann@" + "x" * 250,
    ],
)  # fmt: skip
def test_what_is_no_address(value: str) -> None:
    assert email(value.encode()) is None


@pytest.mark.parametrize(
    ("spelling", "region", "found"),
    [
        ("+49 (0)30 123456", None, "+4930123456"),
        ("+49-30-123456", None, "+4930123456"),
        ("+4930123456", None, "+4930123456"),
        ("030 / 12 34 56", "DE", "+4930123456"),
        ("0049 30 123456", "DE", "+4930123456"),
        ("+44 20 7946 0958", "DE", "+442079460958"),
        ("(650) 253-0000", "US", "+16502530000"),
        ("+39 06 1234567", None, "+39061234567"),  # Italy's numbers keep their zero
        ("+800 1234 5678", None, "+80012345678"),
    ],
)
def test_one_spelling_of_a_number(spelling: str, region: str | None, found: str) -> None:
    assert phone(spelling.encode(), region) == found.encode()


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("030 123456", None),  # of which country?
        ("0049 30 123456", None),
        ("12", "DE"),
        ("+49 30 123456789012345678", None),
        ("+999 123456", None),
        ("+49 30 123456 ext. 7", None),
        ("+1 (800) FLOWERS", None),
        ("call +49 30 123456", "DE"),
        ("+49 30 123456 or 7", None),
        ("\u0660\u0661\u0662\u0663\u0664\u0665\u0666", "DE"),
        ("", None),
    ],
)
def test_what_is_no_number(value: str, region: str | None) -> None:
    assert phone(value.encode(), region) is None


@given(
    st.from_regex(r"[A-Za-zÀ-ɏİıſς.+]{1,12}@[A-Za-zÀ-ɏßς-]{1,8}(\.[A-Za-zäöüß]{2,6}){0,2}", fullmatch=True)
)
def test_an_address_stays_once_it_is_normalized(value: str) -> None:
    found = email(value.encode())
    if found is not None:
        assert is_email(found)
        assert email(found) == found


@given(
    st.from_regex(r"[+]?[0-9(][0-9 ()/.-]{3,18}", fullmatch=True),
    st.sampled_from([None, "DE", "US", "IT", "AR", "BR", "MX"]),
)
def test_a_number_stays_once_it_is_normalized(value: str, region: str | None) -> None:
    found = phone(value.encode(), region)
    if found is not None:
        assert is_e164(found)
        assert phone(found, region) == phone(found, None) == found


def test_what_is_compared_with_may_be_anything() -> None:
    assert normalized("email", b"Ann@X.org") == b"ann@x.org"
    assert normalized("email", b"Nonsense") == b"Nonsense"
    assert normalized("phone:DE", b"030 123456") == b"+4930123456"
    assert normalized("", b"Ann@X.org") == b"Ann@X.org"
    assert (named("email"), named("phone:DE")) == ("an e-mail address", "a phone number")


def test_a_country_must_be_one() -> None:
    assert normalizer("phone:DE")(b"030 123456") == b"+4930123456"
    config = Config(tables={"public.t": Table(columns={"phone": Column(normalize=PhoneOf("XX"))})})
    with pytest.raises(ConfigError) as caught:
        Policy(config)
    assert "tables.public.t.columns.phone.normalize" in str(caught.value)
