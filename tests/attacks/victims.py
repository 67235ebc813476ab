"""The shop that is attacked: two tenants, five roles, and canaries that may come out only where they should."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from support.cluster import Cluster
from support.gateway import Deployment, Gateway, deployment

PEOPLE = 60
EMAIL, NAME, BORN = "canary{0}.zxq@example.org", "Zanarius{0}Q", "19{0:02d}-03-04"
TABLES = """
CREATE TABLE customer (id int PRIMARY KEY, email text UNIQUE, first_name varchar(40), born date, note text,
  extra jsonb, tags text[]);
CREATE TABLE letter (id int PRIMARY KEY, sender text);
"""
COLUMNS = {
    "email": {"domain": "email", "mask": "email"},
    "first_name": {},
    "born": {"purposes": ["service"]},
}
PROTECTED = {
    "public.customer": {"columns": COLUMNS},
    "public.letter": {"columns": {"sender": {"domain": "email"}}},
}
MINUTE = 200


@dataclass(frozen=True, slots=True)
class Users:
    """Database users of one run: roles are of the whole cluster, so that their names carry its number."""

    suffix: str

    def __call__(self, name: str) -> str:
        """The database user that plays ``name``."""
        return f"{name}_{self.suffix}"


@dataclass(frozen=True, slots=True)
class Shop:
    """The running gateway and the server behind it."""

    cluster: Cluster
    database: str
    users: Users
    deployed: Deployment
    gateway: Gateway

    def connect(self, name: str, options: str = "") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of ``name`` through the gateway."""
        where = self.gateway.url(user=self.users(name))
        return psycopg.connect(where, autocommit=True, options=options)

    def direct(self) -> psycopg.Connection[tuple[object, ...]]:
        """The superuser's, around the gateway."""
        return psycopg.connect(self.cluster.url(self.database), autocommit=True)


def people(start: int = 1) -> list[tuple[int, str, str, str]]:
    """Rows with canaries."""
    return [(n, EMAIL.format(n), NAME.format(n), BORN.format(n % 100)) for n in range(start, start + PEOPLE)]


NAMES = ("app", "tight", "helpdesk", "analyst", "finder", "stranger", "other", "chooser")


@contextmanager
def shop(
    cluster: Cluster,
    database: str,
    workers: int = 1,
    log_level: str = "info",
    max_connections: int = 1000,
    **environment: str,
) -> Iterator[Shop]:
    """The shop with its people stored through the gateway by ``app``."""
    users = Users(f"{os.getpid()}_{database.rpartition('_')[2]}")
    cluster.psql(TABLES, database)
    for name in NAMES:
        cluster.psql(
            f"CREATE ROLE {users(name)} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {users(name)};"
            f" GRANT CREATE ON SCHEMA public TO {users(name)}",
            database,
        )
    cluster.psql(
        f"GRANT {users('analyst')} TO {users('app')}; GRANT {users('app')} TO {users('stranger')}", database
    )
    seen = {"reveal": ["*"], "purposes": ["service", "billing"]}
    roles = {
        "app": {
            "users": [users("app"), users("other"), users("chooser")],
            **seen,
            "reveal_limit": {"statement": 100_000, "minute": 1_000_000},
        },
        "tight": {"users": [users("tight")], **seen, "reveal_limit": {"statement": 50, "minute": MINUTE}},
        "helpdesk": {"users": [users("helpdesk")], "mask": ["*"]},
        "analyst": {"users": [users("analyst")], "tokens": ["*"]},
        "finder": {"users": [users("finder")], "tokens": ["*"], "compare": ["public.customer.email"]},
    }
    made = deployment(
        cluster,
        database,
        tables=PROTECTED,
        roles=roles,
        gateway={"max_connections": max_connections},
        tenants={"users": {users("other"): "second"}, "startup_option": [users("chooser")]},
    )
    made.apply()
    try:
        with Gateway(
            made, arguments=["--workers", str(workers), "--log-level", log_level], environment=environment
        ) as gateway:
            found = Shop(cluster, database, users, made, gateway)
            with found.connect("app", "-c pgnym.purpose=service") as app, app.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO customer (id, email, first_name, born) VALUES (%s, %s, %s, %s)", people()
                )
            yield found
    finally:
        for name in NAMES:
            cluster.psql(f"DROP OWNED BY {users(name)}; DROP ROLE {users(name)}", database)


def canaries(rows: object) -> set[str]:
    """The canaries that stand in what somebody was given, whole or as a date."""
    text = repr(rows).lower()
    words = [value for _, email, name, _ in (*people(), *people(500)) for value in (email, name)]
    return {word for word in words if word.lower() in text}
