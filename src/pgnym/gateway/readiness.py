"""The readiness report of ``mode: observe``: what would change if the configuration were applied. JSON, and text to read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pgnym import __version__
from pgnym.gateway.judging import Outcome
from pgnym.gateway.shapes import Dropped, Seen

_ORDER = (Outcome.REFUSED, Outcome.DENIED, Outcome.INVALID, Outcome.WORKS)
_TITLES = {
    Outcome.REFUSED: "Refused: these need a change, of the statement or of the configuration",
    Outcome.DENIED: "Denied: the user's role lacks a right",
    Outcome.INVALID: "Not understood: PostgreSQL refuses them as well, or they name what a session has made for itself",
    Outcome.WORKS: "Work",
}
_WIDTH = 110


class ShapeReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One shape. ``statement`` has ``?`` for each constant; ``position`` counts in the first such statement of a client,
    ``at`` in ``statement`` (characters, from 1 both).
    """

    outcome: str
    count: int
    users: tuple[str, ...]
    statement: str
    first_seen: datetime
    last_seen: datetime
    sqlstate: str = ""
    message: str = ""
    detail: str = ""
    hint: str = ""
    position: int | None = None
    at: int | None = None


class Unjudged(msgspec.Struct, frozen=True):
    """Statements that were passed on without being judged, and why."""

    queue_full: int
    too_many_shapes: int
    too_long: int
    unreadable: int
    waiting: int


class Statements(msgspec.Struct, frozen=True):
    """How many statements were seen. ``path_not_followed``: judged by a search_path that may no longer have been true."""

    seen: int
    unconcerned: int
    path_not_followed: int
    not_judged: Unjudged


class Report(msgspec.Struct, frozen=True):
    """The whole. ``columns``: what the configuration protects; ``problems``: what of it can't be protected, and why."""

    pgnym: str
    database: str
    since: datetime
    written: datetime
    columns: tuple[str, ...]
    problems: tuple[str, ...]
    statements: Statements
    shapes: dict[str, int]
    counts: dict[str, int]
    found: tuple[ShapeReport, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing that was seen would be refused, and nothing has gone unseen."""
        judged = self.statements.not_judged
        return not (
            self.shapes["refused"]
            or self.shapes["denied"]
            or self.problems
            or judged.queue_full
            or judged.too_many_shapes
            or judged.too_long
            or judged.waiting
        )


def compiled(
    *,
    database: str,
    since: datetime,
    columns: Sequence[str],
    problems: Sequence[str],
    seen: int,
    unconcerned: int,
    not_followed: int,
    dropped: Dropped,
    found: Sequence[Seen],
) -> Report:
    """The report of what was seen. Shapes that differ only by user are one."""
    merged: dict[tuple[object, ...], list[Seen]] = {}
    for each in found:
        verdict = each.verdict
        if verdict is not None:
            key = (verdict.outcome, verdict.text, verdict.sqlstate, verdict.message, verdict.detail)
            merged.setdefault(key, []).append(each)
    reports = [_merged(group) for group in merged.values()]
    rank = {outcome.value: number for number, outcome in enumerate(_ORDER)}
    reports.sort(key=lambda r: (rank[r.outcome], -r.count, r.statement))
    waiting = sum(each.verdict is None for each in found)
    unjudged = Unjudged(
        dropped.queue_full, dropped.too_many_shapes, dropped.too_long, dropped.unreadable, waiting
    )
    return Report(
        pgnym=__version__,
        database=database,
        since=since,
        written=datetime.now(UTC),
        columns=tuple(columns),
        problems=tuple(problems),
        statements=Statements(seen, unconcerned, not_followed, unjudged),
        shapes={o.value: sum(r.outcome == o.value for r in reports) for o in _ORDER},
        counts={o.value: sum(r.count for r in reports if r.outcome == o.value) for o in _ORDER},
        found=tuple(reports),
    )


def _merged(group: list[Seen]) -> ShapeReport:
    first = min(group, key=lambda each: each.first)
    verdict = first.verdict
    assert verdict is not None
    return ShapeReport(
        verdict.outcome.value,
        sum(each.count for each in group),
        tuple(sorted({each.user for each in group})),
        verdict.text,
        first.first,
        max(each.last for each in group),
        verdict.sqlstate,
        verdict.message,
        verdict.detail,
        verdict.hint,
        verdict.position,
        None if verdict.at is None else verdict.at + 1,
    )


def write(report: Report, file: Path) -> None:
    """Write ``file`` (JSON) and the same in words beside it (``.txt``), each in one step. Raises OSError."""
    _replace(file, msgspec.json.format(msgspec.json.encode(report), indent=2))
    _replace(file.with_suffix(".txt"), "".join(f"{line}\n" for line in lines(report)).encode())


def _replace(file: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(name, 0o640)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def lines(report: Report) -> Iterator[str]:
    """The report in words."""
    total = report.statements
    yield f"pgnym {report.pgnym}: readiness of database {report.database}"
    yield f"observed from {_time(report.since)} to {_time(report.written)}; {len(report.columns)} columns to protect"
    yield ""
    yield "READY: nothing that was seen would be refused." if report.ready else "NOT READY: see below."
    yield ""
    yield f"{total.seen:>10} statements seen"
    yield f"{total.unconcerned:>10} touch nothing protected"
    for outcome in _ORDER:
        shapes, count = report.shapes[outcome.value], report.counts[outcome.value]
        yield f"{count:>10} {outcome.value}, in {shapes} shape{'s' * (shapes != 1)}"
    for name, count in msgspec.structs.asdict(total.not_judged).items():
        if count:
            yield f"{count:>10} not judged: {name.replace('_', ' ')}"
    if total.path_not_followed:
        yield f"{total.path_not_followed:>10} judged by a search_path that may no longer have been true"
    for problem in report.problems:
        yield f"PROBLEM: {problem}"
    for outcome in _ORDER:
        found = [r for r in report.found if r.outcome == outcome.value]
        if found:
            yield ""
            yield f"{_TITLES[outcome]} ({len(found)})"
            for each in found:
                yield from _shape_lines(each)


def _shape_lines(each: ShapeReport) -> Iterator[str]:
    yield ""
    head = f"{each.count} × {', '.join(each.users)}: "
    start = 0 if each.at is None else max(0, min(each.at - _WIDTH // 2, len(each.statement) - _WIDTH))
    cut = each.statement[start : start + _WIDTH] if each.at is not None else each.statement
    dots = "…" if start else ""
    yield f"  {head}{dots}{cut}" + ("…" if start + len(cut) < len(each.statement) else "")
    if each.at is not None:
        yield "  " + " " * (len(head) + len(dots) + each.at - 1 - start) + "^"
    if each.message:
        yield f"    {each.sqlstate} {each.message}"
    elif each.sqlstate:
        yield f"    {each.sqlstate}"
    for name in ("detail", "hint"):
        if getattr(each, name):
            yield f"    {name}: {getattr(each, name)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
