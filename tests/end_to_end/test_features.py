"""The features of mappers and drivers on protected columns, one by one: what the twin gives, or a listed refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import features
import features_django
import features_node
import features_sqlalchemy
import pytest

from support import chinook
from support.cluster import Cluster
from support.gateway import deployment, through

pytestmark = pytest.mark.server

TABLES = chinook.TABLES | {"public.profile": {"columns": features.PROFILE_COLUMNS}}
MODULES: dict[str, tuple[features.Steps, Callable[[str], dict[str, object]]]] = {
    "Django": (features_django.STEPS, features_django.run),
    "node-postgres": (features_node.STEPS, features_node.run),
    "SQLAlchemy with psycopg": (features_sqlalchemy.STEPS, features_sqlalchemy.run_sync),
    "SQLAlchemy with asyncpg": (features_sqlalchemy.STEPS, features_sqlalchemy.run_async),
}


@pytest.fixture(scope="module")
def urls(postgres: Cluster, chinook_template: str) -> Iterator[tuple[str, str]]:
    """The twin's, and the gateway's."""
    names = ("features_twin", "features_tested")
    try:
        for name in names:
            postgres.psql(f"CREATE DATABASE {name} TEMPLATE {chinook_template}")
            postgres.psql(features.PROFILE, name)
        with through(deployment(postgres, names[1], tables=TABLES)) as tested:
            yield postgres.url(names[0]), tested.url()
    finally:
        for name in names:
            postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.parametrize("name", MODULES)
def test_each_feature_gives_what_the_twin_gives(urls: tuple[str, str], name: str) -> None:
    steps, run = MODULES[name]
    expected, got = run(urls[0]), run(urls[1])
    assert [name for name, result in expected.items() if features.failed(result)] == []
    wrong = features.verdicts(steps, expected, got)
    assert not wrong, f"{len(wrong)} of {len(steps.found)} features with {name}:\n" + "\n".join(wrong)
