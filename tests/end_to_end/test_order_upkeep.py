"""Upkeep of an order index while sessions write and sort: codes are given anew, or go, by commands that get killed."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from pgnym.vault import order_codes
from support.cluster import Cluster
from support.gateway import Deployment, Gateway, command, deployment

pytestmark = pytest.mark.server

TABLES: dict[str, Any] = {
    "public.item": {"columns": {"name": {"domain": "name", "search": ["equality", "order"]}, "note": {}}}
}
SCHEMA = """
CREATE TABLE item (id int PRIMARY KEY, name text, note text);
INSERT INTO item SELECT n, 'n' || lpad((n * 7919 % 3001)::text, 5, '0'), 'note ' || n FROM generate_series(1, 3000) n;
"""
SORTED = "SELECT name FROM item ORDER BY name"


@pytest.fixture
def made(postgres: Cluster, database: str) -> Deployment:
    postgres.psql(SCHEMA, database)
    found = deployment(postgres, database, tables=TABLES)
    found.apply()
    return found


def start(made: Deployment, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command, begun."""
    file = folder / "pgnym.yaml"
    file.write_text(yaml.safe_dump(made.config))
    return subprocess.Popen(
        [*command(), *arguments, "-c", str(file)],
        env=made.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(made: Deployment, text: str) -> list[tuple[Any, ...]]:
    """What the server itself says."""
    with psycopg.connect(made.owner_url) as direct:
        return direct.execute(text).fetchall()


def table_of_codes(made: Deployment) -> str:
    """The one there is."""
    ((name,),) = ask(
        made, "SELECT relname FROM pg_class WHERE relname ~ '^codes_[a-z2-7]{3}$' AND relkind = 'r'"
    )
    return f"pgnym.{name}"


def longest(made: Deployment) -> int:
    """Characters of the longest code."""
    found = ask(made, f"SELECT max(length(code)) FROM {table_of_codes(made)}")[0][0]
    assert isinstance(found, int)
    return found


def unevenly(url: str, start: int) -> int:
    """Put values each between the two before it until their codes are long; returns how many. No other order makes that."""
    low, high = 0, 2**1400
    with psycopg.connect(url, autocommit=True) as session:
        for turn in range(1300):
            middle = (low + high) // 2
            session.execute("INSERT INTO item VALUES (%s, %s)", (start + turn, f"n0{middle:0430d}"))
            low, high = (middle, high) if turn % 2 else (low, middle)
    return 1300


class Writers:
    """Sessions that put new values, two in a transaction, and sort; what they may be told is to try again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stop = threading.Event()
        self.written = [0, 0]
        self.problems: list[BaseException] = []

    def run(self, number: int) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as session:
                while not self.stop.is_set():
                    n = self.written[number]
                    at = 100_000 * (number + 1) + 2 * n
                    name = f"n{(at * 31) % 100_003:06d}"
                    try:
                        with session.transaction():
                            session.execute("INSERT INTO item VALUES (%s, %s)", (at, f"{name} a"))
                            session.execute("SELECT id FROM item ORDER BY name LIMIT 3").fetchall()
                            session.execute("INSERT INTO item VALUES (%s, %s)", (at + 1, f"{name} b"))
                        self.written[number] += 1
                        rows = session.execute(
                            "SELECT name FROM item WHERE name >= %s ORDER BY name LIMIT 9", (name,)
                        )
                        found = [row[0] for row in rows.fetchall()]
                    except psycopg.errors.SerializationFailure:
                        continue  # a transaction from before the codes were given anew
                    if found != sorted(found) or f"{name} a" not in found:
                        raise AssertionError(f"{name}: {found}")
        except BaseException as error:  # the test must see it, whatever it is
            self.problems.append(error)


@contextmanager
def writers(url: str) -> Iterator[Writers]:
    found = Writers(url)
    threads = [threading.Thread(target=found.run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        yield found
        target = [n + 5 for n in found.written]
        deadline = time.monotonic() + 60
        while not found.problems and any(n < t for n, t in zip(found.written, target, strict=True)):
            assert time.monotonic() < deadline, found.written
            time.sleep(0.01)
    finally:
        found.stop.set()
        for thread in threads:
            thread.join()
    assert not found.problems, found.problems[0]


def sorted_right(url: str) -> int:
    """How many names there are; they come in their order."""
    with psycopg.connect(url, autocommit=True) as session:
        names = [row[0] for row in session.execute(SORTED).fetchall()]
    assert names == sorted(names)
    return len(names)


def test_codes_are_given_anew_under_load_and_killed(made: Deployment, tmp_path: Path) -> None:
    with Gateway(made) as gateway:
        before = 3000 + unevenly(gateway.url(), 10_000)
        assert longest(made) > order_codes.UNEVEN
        listed = made.pgnym("plan", check=False)
        assert listed.returncode == 2
        assert "give the order index of domain name its codes anew" in listed.stdout
        with writers(gateway.url()) as load:
            kills = 0
            for seconds in (0.6, 0.9, 1.2, 1.5):
                process = start(made, tmp_path, "apply", "--yes")
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    kills += 1
                process.kill()
                process.communicate()
                # In between it may go by rank, but never wrongly.
                sorted_right(gateway.url())
            assert kills
            made.apply()
        assert longest(made) < 40
        assert made.pgnym("plan").returncode == 0
        assert sorted_right(gateway.url()) == before + 2 * sum(load.written)
    # An index that had entries by old codes would not agree with a sort.
    with psycopg.connect(made.owner_url) as direct:
        name = table_of_codes(made).rpartition("_")[2]
        code = f'pgnym.order_{name}(name::text) COLLATE "C"'
        found = []
        for setting in ("enable_sort", "enable_indexscan"):
            direct.execute(f"SET {setting} = off")
            found.append(direct.execute(f"SELECT {code} AS c, id FROM item ORDER BY {code} , id").fetchall())
            direct.execute(f"RESET {setting}")
        assert found[0] == found[1]


def test_undo_that_is_killed(made: Deployment, tmp_path: Path) -> None:
    """The table has plaintext again, or tokens and an order to rely on; never one without the other."""
    with Gateway(made) as gateway:
        expected = sorted_right(gateway.url())
    indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'item' AND indexdef ~ 'pgnym.order_'"
    for seconds in (0.5, 0.7, 0.9, 1.1):
        process = start(made, tmp_path, "undo", "--table", "public.item", "--yes")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        ((plain, total),) = ask(made, "SELECT count(*) FILTER (WHERE name !~ '^pn1'), count(*) FROM item")
        assert (plain, total) in ((0, expected), (expected, expected))
        if plain:
            assert ask(made, indexes) == [(0,)]
        else:
            code = f"pgnym.order_{table_of_codes(made).rpartition('_')[2]}"
            assert ask(made, f"SELECT count({code}(name)) FROM item") == [(expected,)]
    made.pgnym("undo", "--table", "public.item", "--yes", check=False)
    assert ask(made, "SELECT count(*) FROM item WHERE name ~ '^n[0-9]{5}$'") == [(expected,)]
    assert ask(made, indexes) == [(0,)]
    # And back again: the same order, from the codes that are there.
    made.apply()
    assert made.pgnym("plan").returncode == 0
    assert ask(made, indexes) == [(1,)]
    with Gateway(made) as gateway:
        assert sorted_right(gateway.url()) == expected
