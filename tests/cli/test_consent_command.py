"""``pgnym consent``: what it records holds as values are shown, and it shows what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from support.cluster import SUPERUSER, Cluster
from support.gateway import Gateway, deployment

pytestmark = pytest.mark.server

BY_CONSENT = {"legal_basis": "consent", "tokens": "randomized"}
TABLES: dict[str, Any] = {
    "public.person": {
        "subject": "id",
        "consent_by": ["mail"],
        "columns": {
            "mail": {},
            "born": {**BY_CONSENT, "purposes": ["letters"]},
            "phone": {**BY_CONSENT, "purposes": ["calls"]},
        },
    }
}
ROLES = {"app": {"users": [SUPERUSER], "reveal": ["*"], "purposes": ["letters", "calls"]}}
SCHEMA = """
CREATE TABLE person (id int PRIMARY KEY, mail text UNIQUE, born date, phone text);
INSERT INTO person SELECT n, n || '@example.org', '2000-01-01', '+1 ' || n FROM generate_series(1, 3) n;
"""


def test_consent_by_the_command(postgres: Cluster, make_database: Callable[[], str]) -> None:
    database = make_database()
    postgres.psql(SCHEMA, database)
    made = deployment(postgres, database, tables=TABLES, roles=ROLES)
    made.apply()

    def consent(*arguments: str, check: bool = True) -> Any:
        return made.pgnym("consent", *arguments, check=check)

    def told(*whose: str) -> dict[str, bool]:
        found = json.loads(consent("show", *whose).stdout)["consents"]
        assert all(event["sound"] for each in found for event in each["history"])
        return {each["purpose"]: each["agrees"] for each in found}

    with Gateway(made) as gateway:

        def shown(person: int) -> tuple[bool, bool]:
            values = []
            for purpose, column in (("letters", "born"), ("calls", "phone")):
                url = f"{gateway.url(database)}?options=-c%20pgnym.purpose%3D{purpose}"
                with closing(psycopg.connect(url)) as session:
                    query = f"SELECT {column} FROM person WHERE id = {person}"
                    ((value,),) = session.execute(query.encode()).fetchall()
                    values.append(value is not None)
            return values[0], values[1]

        assert told("1") == {}
        consent("accept", "1", "--purpose", "letters", "--purpose", "calls", "--channel", "phone call")
        assert (told("1"), shown(1)) == ({"letters": True, "calls": True}, (True, True))
        consent("withdraw", "1", "--purpose", "calls")
        assert (told("1"), shown(1)) == ({"letters": True, "calls": False}, (True, False))
        consent("withdraw", "1")
        assert (told("1"), shown(1)) == ({"letters": False, "calls": False}, (False, False))

        consent("accept", "--value", "mail=2@example.org", "--purpose", "letters", "--expires", "2999-01-01")
        assert told("--value", "mail=2@example.org") == {"letters": True}
        assert (told("2"), shown(2)) == ({"letters": True}, (True, False))
        consent("withdraw", "2")
        assert shown(2) == (False, False)
        consent("accept", "2", "--purpose", "calls")
        consent("withdraw", "--value", "mail=2@example.org")
        assert (shown(2), shown(3)) == ((False, False), (False, False))

    for arguments, message in {
        ("accept", "1", "--purpose", "nonsense"): "no role has the purpose nonsense",
        ("accept", "1", "--purpose", "calls", "--expires", "2001-01-01"): "is past",
        ("accept", "1", "--purpose", "calls", "--text-version", "3"): "no version 3",
        ("show",): "give either",
        ("show", "1", "--value", "mail=x"): "give either",
        ("show", "--value", "phone=x"): "consent_by",
        ("show", "1", "--tenant", "other"): "no tenant 'other'",
    }.items():
        failed = consent(*arguments, check=False)
        assert (failed.returncode, message in failed.stderr) == (1, True), failed.stderr
    acts = made.pgnym("audit", "show", "--action", "admin", "--format", "jsonl").stdout
    texts = [json.loads(line)["text"] for line in acts.splitlines()]
    assert texts.count("consent accept of public.person 1") == 2
    assert "example.org" not in acts
