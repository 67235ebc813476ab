"""Observing, without a socket: what is read along, what is counted, what is kept."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from shop_catalog import POLICY, shop

from pgnym.gateway.engine import Engine
from pgnym.gateway.judging import LONGEST_SHOWN, Judge, Outcome, Verdict
from pgnym.gateway.observed import LONGEST_TEXT, Watcher
from pgnym.gateway.search_paths import effective_path, identifiers
from pgnym.gateway.shapes import MOST_VARIANTS, Shapes
from pgnym.metrics import counts as metrics_counts
from pgnym.policy.roles import Policy
from pgnym.sql.catalog import Catalog
from pgnym.sql.plan import SessionScope
from pgnym.wire import messages

CATALOG = shop()
PATH = ("pg_catalog", "public")
SCOPE = SessionScope(PATH, "app", {}, {})


@dataclass
class Counts:
    shapes: Shapes
    engine: Engine = field(default_factory=lambda: Engine(CATALOG))
    metrics: metrics_counts.Counts = field(default_factory=metrics_counts.Counts)
    seen: int = 0
    unconcerned: int = 0
    not_followed: int = 0


@pytest.fixture
def counts() -> Iterator[Counts]:
    shapes = Shapes(Policy(POLICY))
    shapes.catalog_changed(CATALOG)
    yield Counts(shapes)
    shapes.close()


def wait_until(holds: Callable[[], bool]) -> None:
    """The thread that judges has no other way to tell how far it is."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def judged(shapes: Shapes) -> dict[str, tuple[Outcome, int]]:
    """Text → outcome and count, once all is judged."""
    shapes.start()
    shapes.close()
    found = {}
    for seen in shapes.all_seen():
        assert seen.verdict is not None
        found[seen.verdict.text] = (seen.verdict.outcome, seen.count)
    return found


def verdict(text: str, user: str = "app") -> Verdict:
    judge = Judge(CATALOG, Policy(POLICY))
    return judge(text.encode(), (), SessionScope(PATH, user, {}, {}), None)[0]


STREAM = [
    messages.Query(b"SELECT * FROM customer WHERE email = 'a'").build(),
    messages.Parse(b"s", b"SELECT * FROM customer WHERE email = $1", (25,)).build(),
    messages.Bind(b"", b"s", (), [b"x" * 1000], ()).build(),
    messages.Execute(b"").build(),
    messages.SYNC,
    messages.copy_data(b"Q\0\0\0\x05looks like a message" * 50),
    messages.Query(b"SELECT 1").build(),
    messages.Query(b"SELECT * FROM customer WHERE email = 'b'").build(),
]


@pytest.mark.parametrize("seed", range(12))
def test_statements_are_read_however_the_stream_is_cut(counts: Counts, seed: int) -> None:
    rng = random.Random(seed)
    watcher = Watcher(counts, "app", None, PATH, PATH)
    stream = b"".join(STREAM)
    at = 0
    while at < len(stream):
        size = 1 if seed == 0 else rng.choice((1, 3, 4, 5, 6, 40, 2000))
        watcher.feed(stream[at : at + size])
        at += size
    assert (counts.seen, counts.unconcerned) == (4, 1)
    assert judged(counts.shapes) == {
        "SELECT * FROM customer WHERE email = ?": (Outcome.WORKS, 2),
        "SELECT * FROM customer WHERE email = $1": (Outcome.WORKS, 1),
    }


def test_what_is_too_long_or_no_message_is_counted(counts: Counts) -> None:
    watcher = Watcher(counts, "app", None, PATH, PATH)
    long = messages.Query(b"SELECT '" + b"x" * LONGEST_TEXT + b"' FROM customer").build()
    for at in range(0, len(long), 50_000):
        watcher.feed(long[at : at + 50_000])
    watcher.feed(STREAM[0])
    assert (counts.seen, counts.shapes.dropped.too_long) == (1, 1)
    watcher.feed(b"Q\0\0\0\1")
    watcher.feed(STREAM[0])
    assert (counts.seen, counts.shapes.dropped.unreadable) == (1, 1)


def test_no_more_is_kept_than_the_bounds_say() -> None:
    shapes = Shapes(Policy(POLICY), most=50, waiting=20)
    shapes.catalog_changed(CATALOG)
    for number in range(100):
        shapes.note(f"SELECT email AS a{number} FROM customer".encode(), (), SCOPE, None)
    assert shapes.waiting() == 20
    assert shapes.dropped.queue_full == 80
    shapes.start()
    wait_until(lambda: not shapes.waiting())
    for number in range(20, 100):
        wait_until(lambda: shapes.waiting() < 10)
        shapes.note(f"SELECT email AS a{number} FROM customer".encode(), (), SCOPE, None)
    shapes.close()
    assert len(shapes.all_seen()) == 50
    assert shapes.dropped.too_many_shapes == 50


def test_a_flood_of_texts_stays_within_memory() -> None:
    shapes = Shapes(Policy(POLICY), most=200, waiting=200)
    shapes.catalog_changed(CATALOG)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):
            shapes.note(
                f"SELECT email AS a{number} FROM customer WHERE email = 'x'".encode(), (), SCOPE, None
            )
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000
    assert shapes.dropped.too_many_shapes + shapes.dropped.queue_full == 19_800


def test_constants_that_decide_make_variants_of_one_shape_within_bounds(counts: Counts) -> None:
    shapes = counts.shapes
    shapes.note(b"SELECT email FROM customer ORDER BY 1 LIMIT 0", (), SCOPE, None)
    shapes.start()
    wait_until(lambda: all(seen.verdict is not None for seen in shapes.all_seen()))
    for number in range(1, 100):
        shapes.note(b"SELECT email FROM customer ORDER BY %d LIMIT 0" % number, (), SCOPE, None)
    assert len(shapes.all_seen()) <= MOST_VARIANTS + 1


def test_a_shape_is_judged_anew_when_the_catalog_has_changed(counts: Counts) -> None:
    shapes = Shapes(Policy(POLICY))
    shapes.catalog_changed(Catalog(epoch=1))
    shapes.start()
    text = b"SELECT email FROM customer"
    shapes.note(text, (), SCOPE, None)
    shapes.catalog_changed(CATALOG)
    shapes.note(text, (), SCOPE, None)
    shapes.close()
    (seen,) = shapes.all_seen()
    assert seen.count == 2
    assert seen.verdict is not None
    assert seen.verdict.outcome is Outcome.WORKS


def test_a_refusal_points_into_the_text_that_is_shown() -> None:
    found = verdict("/* ä */ SELECT 'é', 12\n FROM customer WHERE born = 'x' AND email = born")
    assert found.outcome is Outcome.REFUSED
    assert found.text == "SELECT ?, ? FROM customer WHERE born = ? AND email = born"
    assert found.at is not None
    assert found.text[found.at] == "="
    assert found.position is not None
    assert found.position > found.at


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT email AS \"Mail of\" FROM customer", 'SELECT email AS "Mail of" FROM customer'),
        ("SELECT email FROM customer c WHERE c.\"email\" = U&'\\0061' OR email = $$a$$ OR email = E'\\n'",
         'SELECT email FROM customer c WHERE c."email" = ? OR email = ? OR email = ?'),
        ('SELECT email FROM customer WHERE email = "ann@x.org"', 'SELECT email FROM customer WHERE email = "?"'),
        ("SELECT email FROM customer WHERE email = lovelace", 'SELECT email FROM customer WHERE email = "?"'),
        ("SELECT sum(email) FROM customer WHERE city = lovelace", 'SELECT sum(email) FROM customer WHERE city = "?"'),
        ("SELECT x.a FROM (SELECT email AS a FROM customer) x WHERE x.a < '1'",
         "SELECT x.a FROM (SELECT email AS a FROM customer) x WHERE x.a < ?"),
        ("SELECT email FRO customer WHERE email = lovelace", 'SELECT email "?" customer WHERE email = "?"'),
        ("SELECT 'a' email, -1.5, B'1', X'1F' FROM customer", "SELECT ? email, -?, ?, ? FROM customer"),
        ("SELECT email FROM customer WHERE email = 'abc", "(can't be scanned)"),
    ],
)  # fmt: skip
def test_no_constant_is_shown(text: str, shown: str) -> None:
    assert verdict(text).text == shown


def test_a_long_text_is_cut() -> None:
    found = verdict(
        "SELECT email FROM customer WHERE email IN (" + ", ".join(f"'{n}'" for n in range(5000)) + ")"
    )
    assert len(found.text) == LONGEST_SHOWN + 1
    assert found.outcome is Outcome.WORKS


def test_rights_count() -> None:
    assert verdict("SELECT email FROM customer WHERE email = 'a'", "nobody").outcome is Outcome.DENIED
    assert verdict("SELECT email FROM customer", "nobody").outcome is Outcome.WORKS


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ('"$user", public', ("pg_catalog", "app", "public")),
        ("public, PG_CATALOG", ("public", "pg_catalog")),
        ('"Odd ""Name""", nowhere', ("pg_catalog", 'Odd "Name"')),
        ("", ("pg_catalog",)),
    ],
)
def test_the_path_of_a_setting(setting: str, path: tuple[str, ...]) -> None:
    assert effective_path(setting, "app", {"app", "public", 'Odd "Name"'}) == path
    assert identifiers('A, "b,c"') == ("a", "b,c")
