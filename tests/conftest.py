"""Fixtures for tests against real servers. What they are is told in tests/README.md."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.binaries import Unavailable
from support.cluster import Cluster

if TYPE_CHECKING:
    from playbook import Play

ROOT = Path(__file__).resolve().parent.parent
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of tests too (make soak)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long; run by make soak"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for the whole run (the embedded one; ``log_statement=all``)."""
    try:
        cluster = Cluster(settings={"log_statement": "all"})
    except Unavailable as error:
        pytest.skip(str(error))
    with cluster:
        yield cluster


@pytest.fixture(scope="session")
def system_postgres() -> Iterator[Cluster]:
    """The installed PostgreSQL with TLS and SCRAM passwords; skips where none is installed."""
    try:
        cluster = Cluster(version="system", auth="scram-sha-256", tls=True)
    except Unavailable as error:
        pytest.skip(str(error))
    with cluster:
        yield cluster


@pytest.fixture
def make_database(postgres: Cluster) -> Iterator[Callable[..., str]]:
    """``make_database(template="template0")``: a new database's name; dropped after the test, sessions and
    all.
    """
    made: list[str] = []

    def make(template: str = "template0") -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        postgres.psql(f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(name)
        return name

    yield make
    for name in made:
        postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def database(make_database: Callable[..., str]) -> str:
    """A fresh database of ``postgres``."""
    return make_database()


@pytest.fixture
def twin(make_database: Callable[..., str]) -> str:
    """Another fresh database, to stay unprotected: what it answers is what ``database`` must answer through
    pgnym.
    """
    return make_database()


@pytest.fixture(scope="session")
def chinook_sql() -> Path:
    """The Chinook script: ``PGNYM_CHINOOK``, else ``../shared/data/chinook/chinook.sql`` beside the
    repository.
    """
    path = Path(os.environ.get("PGNYM_CHINOOK", ROOT.parent / "shared" / "data" / "chinook" / "chinook.sql"))
    if not path.is_file():
        pytest.skip(f"no Chinook script at {path}; name one in PGNYM_CHINOOK")
    return path


@pytest.fixture(scope="session")
def chinook_template(postgres: Cluster, chinook_sql: Path) -> Iterator[str]:
    """A database with Chinook loaded, for ``make_database(template=...)``: a copy takes a tenth of a load."""
    name = f"chinook_{os.getpid()}"
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    postgres.psql(chinook_sql.read_text(), name)
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def play() -> Iterator[Play]:
    """The gateway's session core on a stage: user ``app``, who sees everything, with a known search_path."""
    from playbook import Play  # lies beside the tests that use it

    made = Play()
    yield made
    made.nothing_more()


@pytest.fixture
def stocked(play: Play) -> Play:
    """``play`` with a vault that holds the values of Ann, Bob and May."""
    from playbook import ANN, BOB, MAY

    play.stores((ANN, b"ann@x.org"), (BOB, b"bob@x.org"), (MAY, b"2001-05-04"))
    return play
