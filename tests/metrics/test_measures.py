"""The numbers of several processes: summed, kept when one dies, and told in a form that a strict parser reads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pgnym.metrics.counts import BOUNDS, MOST_PAIRS, Counts, Timing
from pgnym.metrics.exposition import exposed
from pgnym.metrics.shared import SharedSnapshots
from pgnym.metrics.snapshots import Measures, Snapshot, State, Totals

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def counted() -> Counts:
    counts = Counts(unprotected=5, protected=3, hits=7, misses=2)
    counts.revealed("app", {"email": 4, "name": 1})
    counts.revealed("app", {"email": 2})
    counts.took_in("app", {"email": 1})
    counts.refused("42501")
    counts.refused("0A000")
    counts.refused("42501")
    counts.refused_login("57P03")
    counts.spent("app")
    counts.retained.rows["public.visit"] = 4
    counts.retained.values["mail"] = 2
    counts.retained.runs, counts.retained.failures = 3, 1
    counts.timings.get.took(0.0007)
    counts.timings.get.took(60)
    return counts


def snapshot(at: float, *, sealed: bool = False, export_lag: float | None = None) -> Snapshot:
    return Snapshot(at, Totals.of(counted(), 1), State(sealed, 3, 10, 2, 0.5, export_lag))


def samples(text: bytes, accept: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_what_is_told(accept: str) -> None:
    measures = Measures.of(
        "1.2", [snapshot(10), snapshot(11, sealed=True, export_lag=4), snapshot(1)], since=5
    )
    text, kind = exposed(measures, accept)
    assert kind.startswith(accept.split(";")[0])
    found = samples(text, accept)
    assert found["pgnym_build_info", (("version", "1.2"),)] == 1
    assert found["pgnym_workers", ()] == 2, "the third has been silent for too long"
    assert found["pgnym_sealed", ()] == 1
    assert found["pgnym_sessions", ()] == 6
    assert found["pgnym_statements_total", (("kind", "protected"),)] == 9, (
        "what the silent one did stays counted"
    )
    assert found["pgnym_statements_total", (("kind", "unprotected"),)] == 15
    assert found["pgnym_reveals_total", (("domain", "email"), ("role", "app"))] == 18
    assert found["pgnym_tokenized_total", (("domain", "email"), ("role", "app"))] == 3
    assert found["pgnym_refusals_total", (("sqlstate", "42501"),)] == 6
    assert found["pgnym_login_refusals_total", (("sqlstate", "57P03"),)] == 3
    assert found["pgnym_budget_refusals_total", (("role", "app"),)] == 3
    assert found["pgnym_value_cache_total", (("result", "hit"),)] == 21
    assert found["pgnym_audit_waiting_records", ()] == 4
    assert found["pgnym_audit_lag_seconds", ()] == 0.5
    assert found["pgnym_audit_export_lag_seconds", ()] == 4
    assert found["pgnym_retained_rows_total", (("table", "public.visit"),)] == 12
    assert found["pgnym_purged_values_total", (("domain", "mail"),)] == 6
    assert found["pgnym_retention_runs_total", (("result", "done"),)] == 9
    assert found["pgnym_retention_runs_total", (("result", "failed"),)] == 3
    assert found["pgnym_audit_unwritten_records_total", ()] == 3
    get = (("operation", "get"),)
    assert found["pgnym_vault_round_trip_seconds_count", get] == 6
    assert found["pgnym_vault_round_trip_seconds_sum", get] == pytest.approx(180.0021)
    assert found["pgnym_vault_round_trip_seconds_bucket", (("le", "0.0005"), *get)] == 0
    assert found["pgnym_vault_round_trip_seconds_bucket", (("le", "0.001"), *get)] == 3
    assert found["pgnym_vault_round_trip_seconds_bucket", (("le", "10.0"), *get)] == 3
    assert found["pgnym_vault_round_trip_seconds_bucket", (("le", "+Inf"), *get)] == 6


def test_names_are_escaped_and_their_number_is_bounded() -> None:
    counts = Counts()
    counts.revealed('a"\n\\', {"d": 1})
    for number in range(MOST_PAIRS + 10):
        counts.revealed("app", {f"domain {number}": 2})
    for number in range(1000):
        counts.refused(f"{number:05}")
    text, _ = exposed(Measures.of("1", [Snapshot(0, Totals.of(counts, 0), State(False, 0, 0, 0, 0))], 0), "")
    found = samples(text, "")
    assert found["pgnym_reveals_total", (("domain", "d"), ("role", 'a"\n\\'))] == 1
    assert found["pgnym_reveals_total", (("domain", "other"), ("role", "other"))] == 22
    assert sum(value for (name, _), value in found.items() if name == "pgnym_refusals_total") == 1000
    assert len(found) < MOST_PAIRS + 300


def test_a_timing_falls_in_the_bucket_that_ends_at_it() -> None:
    timing = Timing()
    for bound in BOUNDS:
        timing.took(bound)
    assert timing.buckets == [1] * len(BOUNDS) + [0]


def in_child(told: int, work: Callable[[], str], then: Callable[[], object]) -> int:
    """Forks; the child writes what ``work`` gives."""
    child = os.fork()
    if child:
        return child
    try:
        os.write(told, work().encode())
        then()
    finally:
        os._exit(0)


def test_workers_find_each_others_numbers_and_those_of_the_dead() -> None:
    shared = SharedSnapshots(2)
    reader, told = os.pipe()

    def claim_and_write() -> str:
        place = shared.claim()
        if place is not None:
            shared.write(place, snapshot(1))
        return str(place)

    workers = {}
    for _ in range(2):
        child = in_child(told, claim_and_write, signal.pause)
        workers[os.read(reader, 10)] = child
    assert set(workers) == {b"0", b"1"}
    assert [found.totals.protected for found in shared.all()] == [3, 3]
    late = in_child(told, claim_and_write, lambda: None)
    assert (os.read(reader, 10), os.waitpid(late, 0)[1]) == (b"None", 0), "both places are taken"
    os.kill(workers[b"1"], signal.SIGKILL)
    os.waitpid(workers[b"1"], 0)
    left = shared.read(1)
    assert left is not None
    assert left == snapshot(1), "what a worker did is there after its end"
    late = in_child(told, claim_and_write, lambda: None)
    assert (os.read(reader, 10), os.waitpid(late, 0)[1]) == (b"1", 0), "the kernel has given its place back"
    os.kill(workers[b"0"], signal.SIGKILL)
    os.waitpid(workers[b"0"], 0)


def test_as_much_as_is_ever_counted_fits() -> None:
    counts = Counts()
    for number in range(MOST_PAIRS):
        counts.revealed("r" * 63, {f"{number:0200}": 2**40})
        counts.took_in("r" * 63, {f"{number:0200}": 2**40})
    most = Snapshot(1, Totals.of(counts, 0), snapshot(1).state)
    shared = SharedSnapshots(1)
    shared.write(0, most)
    assert shared.read(0) == most
