"""The ranks of a domain's values, as they are sent along with a statement."""

from __future__ import annotations

import json

from pgnym.gateway.ranking import rank
from pgnym.sql.ordering import NULL_KEY

ONE, TWO, THREE = (b"pn1aaa" + c * 24 for c in (b"z", b"a", b"m"))


def test_ranks_follow_the_order_given() -> None:
    found = rank([(b"a", ONE), (b"b", TWO), (b"c", THREE)])
    assert json.loads(found.ranks) == {NULL_KEY: "", ONE.decode(): 1, TWO.decode(): 2, THREE.decode(): 3}
    assert json.loads(found.ordered) == [None, ONE.decode(), TWO.decode(), THREE.decode()]
    assert found.count == 3


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
    assert json.loads(rank([(b"a", ONE)], null=1).ranks)[NULL_KEY] == 1


def test_an_empty_domain() -> None:
    found = rank([])
    assert (json.loads(found.ranks), json.loads(found.ordered), found.count) == ({NULL_KEY: ""}, [None], 0)


def test_members_stand_in_the_order_of_jsonb() -> None:
    """By length, then by bytes: what is sorted already is read in half the time."""
    members = list(json.loads(rank([(b"", b""), (b"a", ONE), (b"b", TWO), (b"c", THREE)]).ranks))
    assert members == sorted(members, key=lambda m: (len(m), m))
