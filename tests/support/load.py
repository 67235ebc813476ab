"""Sessions that read and write through gateways without pause, and what became of their statements."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, mail text, born date, UNIQUE (mail));
CREATE TABLE visit (id int PRIMARY KEY, person_mail text, tags text[], doc jsonb);
CREATE INDEX visit_mail ON visit (person_mail);
"""
TABLES = {
    "public.person": {
        "columns": {
            "mail": {"domain": "mail", "search": ["equality", "order"]},
            "born": {"domain": "born", "tokens": "randomized"},
        }
    },
    "public.visit": {
        "columns": {
            "person_mail": {"domain": "mail"},
            "tags": {"domain": "tag"},
            "doc": {"paths": {"$.mail": {"domain": "mail"}}},
        }
    },
}


def mail(n: int) -> str:
    """The address of person ``n``."""
    return f"person{n}@example.org"


def rows(count: int) -> str:
    """Statements that insert ``count`` persons with a visit each, in plaintext."""
    return (
        "INSERT INTO person SELECT n, 'person' || n || '@example.org', date '1950-01-01' + n"
        f" FROM generate_series(1, {count}) n;"
        "INSERT INTO visit SELECT n, 'person' || n || '@example.org', ARRAY['tag' || n % 50, 'all'],"
        f" jsonb_build_object('mail', 'person' || n || '@example.org', 'n', n) FROM generate_series(1, {count}) n;"
    )


@dataclass
class Load:
    """What the sessions did. ``longest``: the longest that a statement took, in seconds."""

    statements: int = 0
    written: int = 0
    longest: float = 0.0
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def after(self, more: int) -> None:
        """Wait until so many more statements are done; raises what went wrong."""
        target = self.statements + more
        deadline = time.monotonic() + 60
        while self.statements < target and not self.problems:
            assert time.monotonic() < deadline, f"{self.statements} statements, {target} are waited for"
            time.sleep(0.01)
        assert not self.problems, self.problems[:3]


class _Session:
    """One session: finds, joins and writes, and knows what must come back."""

    def __init__(self, load: Load, url: str, number: int, known: int) -> None:
        self._load = load
        self._url = url
        self._number = number
        self._known = known

    def run(self) -> None:
        """Until the load is to stop."""
        try:
            with psycopg.connect(self._url, autocommit=True) as session:
                turn = 0
                while not self._load.stop.is_set():
                    turn += 1
                    self._turn(session, turn)
        except Exception as error:  # the test must see it, whatever it is
            self._load.problems.append(f"{type(error).__name__}: {error}")

    def _turn(self, session: psycopg.Connection, turn: int) -> None:
        n = (self._number * 7919 + turn * 31) % self._known + 1
        address = mail(n)
        self._one(session, "SELECT id FROM person WHERE mail = %s", (address,), [(n,)])
        self._one(session, f"SELECT id FROM person WHERE mail = '{address}'", None, [(n,)])
        self._one(
            session,
            "SELECT p.id, p.mail, v.tags FROM person p JOIN visit v ON v.person_mail = p.mail WHERE v.id = %s",
            (n,),
            [(n, address, [f"tag{n % 50}", "all"])],
        )
        self._one(session, "SELECT doc ->> 'mail' FROM visit WHERE id = %s", (n,), [(address,)])
        fresh = self._number * 1_000_000 + turn
        new = mail(fresh)
        with session.transaction():
            self._one(session, "INSERT INTO person VALUES (%s, %s, '2001-02-03')", (fresh, new), None)
            self._one(
                session,
                "INSERT INTO visit VALUES (%s, %s, %s, %s)",
                (fresh, new, ["all"], json.dumps({"mail": new}) if turn % 2 else None),
                None,
            )
        self._one(
            session,
            "SELECT p.born::text, v.id FROM person p, visit v WHERE v.person_mail = p.mail AND p.mail = %s",
            (new,),
            [("2001-02-03", fresh)],
        )
        low, high = sorted((address, new))
        self._one(
            session,
            "SELECT mail FROM person WHERE mail BETWEEN %s AND %s AND id IN (%s, %s) ORDER BY mail",
            (low, high, n, fresh),
            [(low,), (high,)],
        )
        with self._load.lock:
            self._load.written += 1

    def _one(
        self,
        session: psycopg.Connection,
        text: str,
        values: Sequence[object] | None,
        wanted: list[tuple[object, ...]] | None,
    ) -> None:
        begun = time.monotonic()
        cursor = session.execute(text, values)
        found = cursor.fetchall() if wanted is not None else None
        took = time.monotonic() - begun
        with self._load.lock:
            self._load.statements += 1
            self._load.longest = max(self._load.longest, took)
        if found != wanted:
            raise AssertionError(f"{text} with {values}: {found} instead of {wanted}")


@contextmanager
def load_on(urls: Sequence[str], known: int, sessions: int = 4) -> Iterator[Load]:
    """Sessions on these URLs for the time of the block; none of their statements may have failed at its end.

    ``known``: how many persons (see ``rows``) there are.
    """
    load = Load()
    threads = [
        threading.Thread(target=_Session(load, urls[i % len(urls)], i + 1, known).run)
        for i in range(sessions)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(120)
    assert not load.problems, load.problems[:3]
    assert not any(thread.is_alive() for thread in threads)
