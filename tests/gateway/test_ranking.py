"""The ranks of a domain's values, as they are sent along with a statement."""

from __future__ import annotations

import json

from pgnym.gateway.ranking import NULL, rank
from pgnym.sql.ordering import NULL_KEY

ONE, TWO, THREE = (b"pn1aaa" + c * 24 for c in (b"z", b"a", b"m"))


def test_ranks_follow_the_order_given() -> None:
    found = rank([(b"a", ONE), (b"b", TWO), (b"c", THREE)])
    assert json.loads(found.ranks) == {NULL_KEY: "", ONE.decode(): 1, TWO.decode(): 2, THREE.decode(): 3}
    assert json.loads(found.ordered) == [None, ONE.decode(), TWO.decode(), THREE.decode()]
    assert found.keys == [b"a", b"b", b"c"]


def test_values_that_are_equal_share_a_rank() -> None:
    """Of a randomized column, or of a type in which 1.5 and 1.50 are one value."""
    found = rank([(1.5, ONE), (1.5, TWO), (2, THREE)])
    assert json.loads(found.ranks) == {NULL_KEY: "", ONE.decode(): 1, TWO.decode(): 1, THREE.decode(): 2}
    assert json.loads(found.ordered) == [None, ONE.decode(), THREE.decode()]


def test_the_empty_string_has_a_rank_of_its_own() -> None:
    found = rank([(b"", b""), (b"a", ONE)])
    assert json.loads(found.ranks) == {"": 1, NULL_KEY: "", ONE.decode(): 2}
    assert json.loads(found.ordered) == [None, "", ONE.decode()]


def test_null_may_have_a_rank() -> None:
    """Of an expression such as coalesce(c, 'x')."""
    found = rank([(b"a", ONE), (b"x", NULL), (b"x", TWO), (b"z", THREE)])
    assert json.loads(found.ranks) == {NULL_KEY: 2, ONE.decode(): 1, TWO.decode(): 2, THREE.decode(): 3}
    assert json.loads(found.ordered)[2] == TWO.decode()


def test_a_value_may_have_none() -> None:
    """Of an expression such as nullif(c, 'x')."""
    found = rank([(b"a", ONE)], unknown=[TWO])
    assert json.loads(found.ranks) == {NULL_KEY: "", TWO.decode(): "", ONE.decode(): 1}


def test_the_place_of_a_constant() -> None:
    found = rank([(b"b", ONE), (b"d", TWO)])
    assert [found.place(key) for key in (b"a", b"b", b"c", b"d", b"e")] == [
        b"0.5",
        b"1",
        b"1.5",
        b"2",
        b"2.5",
    ]
    assert rank([]).place(b"a") == b"0.5"


def test_an_empty_domain() -> None:
    found = rank([])
    assert (json.loads(found.ranks), json.loads(found.ordered), found.keys) == ({NULL_KEY: ""}, [None], [])


def test_members_stand_in_the_order_of_jsonb() -> None:
    """By length, then by bytes: what is sorted already is read in half the time."""
    members = list(json.loads(rank([(b"", b""), (b"a", ONE), (b"b", TWO), (b"c", THREE)]).ranks))
    assert members == sorted(members, key=lambda m: (len(m), m))
