"""Statements at random on plain PostgreSQL and through pgnym: the same answer, or a refusal. The long form is ``make twin``.

Compared are rows, in order where there is one, names, types and modifiers of columns, the types of parameters, command tags,
what tables hold after a change, COPY data, and the SQLSTATE of errors; and nothing of what was protected is on disk.
"""

from __future__ import annotations

import psycopg
import pytest
from judging import FORMS, Report, judge, leaked, make, outcome, pair
from sending import Client, Reply, Way
from world import make_world

from support.cluster import Cluster
from support.gateway import deployment, through

pytestmark = pytest.mark.server

VERBOSE = {"log_statement": "all", "log_parameter_max_length": "-1", "log_min_duration_statement": "0"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_statements_at_random_answer_alike(postgres: Cluster, seed: int) -> None:
    report = Report()
    with pair(postgres, seed) as found:
        for number in range(300):
            judge(found, number, report)
            assert not report.differences, str(report.differences[0])
    assert report.total("equal") > 240, report.table()
    assert report.total("refused") < 50, report.table()


def test_statements_at_random_leave_nothing_on_disk() -> None:
    """The tables begin empty here, so that nothing is from before they were protected; the server logs all it is told."""
    world = make_world(4)
    with Cluster(settings=VERBOSE) as cluster:
        cluster.psql("CREATE DATABASE app")
        emptied = "".join(part + ";" for part in world.schema().split(";\n") if not part.startswith("INSERT"))
        cluster.psql(emptied, "app")
        filled = [part for part in world.schema().split(";\n") if part.startswith("INSERT")]
        with (
            through(deployment(cluster, "app", tables=world.protection())) as endpoint,
            psycopg.connect(endpoint.url(), autocommit=True) as connection,
        ):
            client = Client(connection)
            for part in filled:
                assert not client.simple(part).state
            canaries = world.secrets()
            for number in range(300):
                made, way, writer = make(world, number)
                canaries |= writer.new_canaries
                client.run(made, Way.SIMPLE if way is Way.BINARY else way, client)
            assert leaked(cluster, canaries) == []


def test_every_form_is_made_and_seeds_repeat_it() -> None:
    world = make_world(5)
    made = [make(world, number)[0] for number in range(900)]
    assert {m.form for m in made} == set(FORMS)
    again = [make(make_world(5), number)[0] for number in range(5)]
    assert [m.steps for m in again] == [m.steps for m in made[:5]]


def test_a_difference_is_told_from_a_refusal() -> None:
    rows, other = Reply("", ("rows",)), Reply("", ("other",))
    refused, error, token = Reply("0A000"), Reply("22012"), Reply("", ("pn1aabcdefghijklmnopqrstuvwxyz",))
    assert outcome([rows], [rows]) == "equal"
    assert outcome([rows], [other]) == "different"
    assert outcome([rows], [refused]) == "refused"
    assert outcome([rows, rows], [other, refused]) == "different"
    assert outcome([error], [refused]) == "errors"
    assert outcome([rows], [error]) == "different"
    assert outcome([error], [rows]) == "different"
    assert outcome([token], [token]) == "different"
