"""Shares of the master key: enough of one set give it back; anything else changes nothing."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from pgnym.vault.keys import MasterKey
from pgnym.vault.shares import Progress, ShareCollector, ShareRefused, split

SECRET = bytes(range(32))
VECTORS = json.loads((Path(__file__).parent / "share_vectors.json").read_text())


def collected(*shares: str) -> ShareCollector:
    collector = ShareCollector()
    for share in shares:
        collector.add(share)
    return collector


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (2, 3), (3, 5), (16, 16)])
def test_any_so_many_give_it_back(threshold: int, count: int) -> None:
    shares = split(MasterKey(SECRET), threshold, count)
    assert len(set(shares)) == count
    for chosen in itertools.islice(itertools.combinations(shares, threshold), 20):
        collector = ShareCollector()
        for number, share in enumerate(reversed(chosen), 1):
            assert collector.add(share) == Progress(number, threshold)
        assert collector.combine().expose() == SECRET
        assert collector.progress == Progress(0, 0), "they are forgotten"


def test_two_splits_have_nothing_in_common() -> None:
    one, other = (set(split(MasterKey(SECRET), 2, 3)) for _ in range(2))
    assert not one & other


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (1, 3), (2, 17)])
def test_odd_numbers(threshold: int, count: int) -> None:
    with pytest.raises(ValueError, match="not possible"):
        split(MasterKey(SECRET), threshold, count)


def test_too_few_do_not_do() -> None:
    collector = collected(split(MasterKey(SECRET), 3, 5)[0])
    with pytest.raises(ShareRefused, match="1 of 3"):
        collector.combine()
    assert collector.progress == Progress(1, 3)


def test_a_share_given_twice_counts_once() -> None:
    shares = split(MasterKey(SECRET), 2, 3)
    collector = collected(shares[0], f"  {shares[0].upper()}  ")
    assert collector.progress == Progress(1, 2)


def test_a_mistyped_share_is_noticed_and_not_repeated() -> None:
    shares = split(MasterKey(SECRET), 2, 3)
    collector = collected(shares[0])
    words = shares[1].split()
    for wrong in (
        " ".join([*words[:5], "academic" if words[5] != "academic" else "acid", *words[6:]]),
        " ".join(words[:-1]),
        " ".join([words[1], words[0], *words[2:]]),
        "what is this",
        "",
    ):
        with pytest.raises(ShareRefused) as caught:
            collector.add(wrong)
        told = f"{caught.value.message} {caught.value.hint}"
        assert not any(f"{one} {other}" in told for one, other in itertools.pairwise(wrong.split()[3:]))
        assert collector.progress == Progress(1, 2)
    collector.add(shares[1])
    assert collector.combine().expose() == SECRET


def test_sets_do_not_mix() -> None:
    one, other = split(MasterKey(SECRET), 2, 3), split(MasterKey(SECRET), 2, 3)
    collector = collected(one[0])
    with pytest.raises(ShareRefused, match="another set"):
        collector.add(other[1])
    collector.add(one[2])
    assert collector.combine().expose() == SECRET


@pytest.mark.parametrize("vector", VECTORS, ids=[v["what"] for v in VECTORS])
def test_vectors_of_the_standard(vector: dict[str, Any]) -> None:
    """SLIP-0039's own test vectors of 256 bits in one group; they were made with the passphrase TREZOR."""
    from shamir_mnemonic import combine_mnemonics

    secret = combine_mnemonics(vector["shares"], b"TREZOR")
    assert secret.hex() == vector["secret"]
    collector = ShareCollector()
    for share in vector["shares"]:
        progress = collector.add(share)
    assert progress.given == progress.needed
    assert len(collector.combine().expose()) == 32


def test_no_share_is_in_a_repr() -> None:
    share = split(MasterKey(SECRET), 2, 3)[0]
    assert not set(share.split()) & set(repr(collected(share)).split())
