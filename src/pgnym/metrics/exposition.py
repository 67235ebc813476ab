"""Measures as Prometheus reads them: its text format, or OpenMetrics where that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pgnym.metrics.counts import BOUNDS
from pgnym.metrics.snapshots import Histogram, Measures


def exposed(measures: Measures, accept: str) -> tuple[bytes, str]:
    """The text, and its media type. ``accept``: the header of the request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(measures))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


class _Collector(Collector):
    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        totals, states = self._measures.totals, self._measures.states
        yield _gauge("build_info", "The version.", {(self._measures.version,): 1}, "version")
        yield _gauge("workers", "Worker processes that are alive.", {(): len(states)})
        yield _gauge(
            "sealed", "1 while a worker has no master key.", {(): int(any(state.sealed for state in states))}
        )
        yield _gauge("sessions", "Client connections.", {(): sum(state.sessions for state in states)})
        yield _counter(
            "statements",
            "Statements forwarded. Protected: those that touch protected columns, and were planned.",
            {("protected",): totals.protected, ("unprotected",): totals.unprotected},
            "kind",
        )
        yield _counter("reveals", "Values shown to clients.", totals.reveals, "role", "domain")
        yield _counter(
            "tokenized", "Values that came from clients, stored or compared with.", totals.tokenized, "role", "domain"
        )  # fmt: skip
        yield _counter(
            "refusals", "Statements refused, by the SQLSTATE that says why.", _single(totals.refusals), "sqlstate"
        )  # fmt: skip
        yield _counter(
            "budget_refusals",
            "Statements refused since the reveal budget of the role is spent (among the refusals too).",
            _single(totals.over_budget),
            "role",
        )
        yield _counter(
            "login_refusals",
            "Logins refused by the gateway, or that it could not pass on.",
            _single(totals.refused_logins),
            "sqlstate",
        )
        yield _counter(
            "value_cache",
            "Values that were to be shown: in memory already, or not.",
            {("hit",): totals.hits, ("miss",): totals.misses},
            "result",
        )
        yield _gauge(
            "value_cache_values", "Values in memory.", {(): sum(state.cached_values for state in states)}
        )
        yield _histogram(
            "vault_round_trip_seconds",
            "Round trips to the vault's server, each for a batch of all sessions.",
            {"get": totals.get, "put": totals.put, "audit": totals.audit},
        )
        yield _gauge(
            "audit_waiting_records", "Audit records not written yet.", {(): sum(state.waiting for state in states)}
        )  # fmt: skip
        yield _gauge(
            "audit_lag_seconds",
            "For how long the oldest of them has waited.",
            {(): max((state.lag for state in states), default=0)},
        )
        yield _counter(
            "audit_unwritten_records",
            "Audit records of searches or refusals that could not be written.",
            {(): totals.unwritten},
        )
        yield _counter(
            "retention_runs",
            "Runs of retention on the schedule, by their result.",
            {
                ("failed",): totals.retention_failures,
                ("done",): totals.retention_runs,
            },
            "result",
        )
        yield _counter(
            "retained_rows", "Rows erased since their time was over.", _single(totals.retained), "table"
        )
        yield _counter(
            "purged_values",
            "Values deleted that no row held, by these runs.",
            _single(totals.purged),
            "domain",
        )
        ends = [state.retention_done for state in states if state.retention_done is not None]
        if ends:
            yield _gauge(
                "retention_last_success_timestamp_seconds",
                "When a run of retention, by any gateway, last did all of its work.",
                {(): max(ends)},
            )
        lags = [state.export_lag for state in states if state.export_lag is not None]
        if lags:
            yield _gauge(
                "audit_export_lag_seconds",
                "Seconds since all audit records had been sent on (audit.export).",
                {(): min(lags)},
            )


def _single(numbers: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): number for name, number in numbers.items()}


def _counter(name: str, help_: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    family = CounterMetricFamily(f"pgnym_{name}", help_, labels=labels)
    _fill(family, values.items())
    return family


def _gauge(name: str, help_: str, values: Mapping[tuple[str, ...], float], *labels: str) -> Metric:
    family = GaugeMetricFamily(f"pgnym_{name}", help_, labels=labels)
    _fill(family, values.items())
    return family


def _fill(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[tuple[str, ...], float]]
) -> None:
    for labels, value in sorted(values):
        family.add_metric(labels, value)


def _histogram(name: str, help_: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"pgnym_{name}", help_, labels=["operation"])
    for operation, histogram in histograms.items():
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, number in zip([*map(str, BOUNDS), "+Inf"], histogram.buckets, strict=True):
            total += number
            buckets.append((bound, total))
        family.add_metric([operation], buckets, histogram.seconds)
    return family
