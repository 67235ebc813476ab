"""Runs statements at random on both sides, compares the answers, and keeps count."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import psycopg
from changes import CHANGES
from nested import nested
from pglast.parser import scan
from queries import QUERIES, script
from sending import Client, Reply, Way, unquoted, unsized
from values import CANARY, quoted
from world import World, make_world
from writing import Script, Step, Writer

from support.cluster import SUPERUSER, Cluster
from support.gateway import deployment, through

REFUSED = "0A000"
_TEMPLATE = "twin_template"
_TOKEN = re.compile("pn1[a-z2-7]{27}")
_LENGTHS = re.compile("INTERSECT|EXCEPT")
_QUOTES = re.compile("COPY.*json.*FORMAT csv", re.DOTALL)
# Where a constant has no type, or becomes text, which PostgreSQL can't compare with a date, and pgnym does, or says so.
TYPING = frozenset({"42883", "42804", "42P08", "42P18"})
FORMS: dict[str, Callable[[Writer], Script]] = (
    {name: script(name) for name in QUERIES} | CHANGES | {"nested at random": nested}
)


@dataclass(slots=True)
class Tally:
    """Of one form: how its statements ended, and why they were refused."""

    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Difference:
    """Two answers that should have been one."""

    seed: int
    number: int
    form: str
    way: Way
    text: str
    plain: list[Reply]
    tested: list[Reply]

    def __str__(self) -> str:
        lines = [
            f"SEED={self.seed} NUMBER={self.number} form={self.form!r} way={self.way.value!r}",
            f"  {self.text}",
        ]
        for one, other in zip(self.plain, self.tested, strict=False):
            if (one.state, one.answer) != (other.state, other.answer):
                lines += [f"  plain: {_short(one)}", f"  pgnym: {_short(other)}"]
                break
        return "\n".join(lines)


def _short(reply: Reply) -> str:
    return f"{reply.state} {reply.message}"[:600] if reply.state else repr(reply.answer)[:1500]


@dataclass(slots=True)
class Report:
    """What a run has found."""

    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    differences: list[Difference] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def total(self, outcome: str) -> int:
        """Statements that ended so."""
        return sum(t.counts[outcome] for t in self.tallies.values())

    def table(self) -> str:
        """Forms, statements, answered, refused, with the most frequent reason."""
        lines = [
            f"{'form':38} {'all':>7} {'equal':>7} {'errors':>7} {'refused':>7}      most frequent reason"
        ]
        for name, tally in sorted(self.tallies.items(), key=lambda i: -_rate(i[1])):
            why = tally.reasons.most_common(1)
            lines.append(
                f"{name:38} {tally.counts.total():7} {tally.counts['equal']:7} {tally.counts['errors']:7}"
                f" {tally.counts['refused']:7} {_rate(tally):4.0%} {why[0][0] if why else ''}"
            )
        totals = {o: self.total(o) for o in ("equal", "errors", "refused", "lenient", "different")}
        return "\n".join([*lines, ", ".join(f"{o}: {n}" for o, n in totals.items())])

    def reasons(self, most: int = 6) -> str:
        """The reasons of each form, with an example."""
        lines = []
        for name, tally in self.tallies.items():
            lines.append(name)
            lines += [
                f"  {n:5} {why}\n        {tally.examples[why]}" for why, n in tally.reasons.most_common(most)
            ]
        return "\n".join(lines)


def _rate(tally: Tally) -> float:
    return tally.counts["refused"] / max(tally.counts.total(), 1)


def reason(message: str) -> str:
    """A refusal without the names in it."""
    message = re.sub(r"protected columns? [\w.\" -]+?(?=( is| and|$|,))", "protected column C", message)
    return re.sub(r"public\.\w+\.(\"[^\"]+\"|[\w-]+( Case)?)", "C", message)[:110]


@dataclass(slots=True)
class Pair:
    """A world, plain and behind pgnym."""

    world: World
    plain: Client
    tested: Client
    canaries: set[bytes] = field(default_factory=set)

    def run(self, made: Script, way: Way) -> tuple[list[Reply], list[Reply]]:
        """The answers of both. Where PostgreSQL's planner decides on them, without modifiers (docs/limits.md)."""
        plain, tested = self.plain.run(made, way, self.plain), self.tested.run(made, way, self.plain)
        # The planner leaves out a branch of a UNION with a condition that is never true (a comparison with NULL).
        empty = any(c.content is None for c in made.constants) and any("UNION" in s.text for s in made.steps)
        changes: list[Callable[[object], object]] = []
        if made.form == "nested at random" or empty or any(_LENGTHS.search(s.text) for s in made.steps):
            changes.append(unsized)
        if any(_QUOTES.search(s.text) for s in made.steps):
            changes.append(unquoted)  # JSON is quoted in CSV as its token is (docs/limits.md)
        for side in (plain, tested):
            for change in changes:
                side[:] = [replace(r, answer=cast("tuple[object, ...]", change(r.answer))) for r in side]
        return plain, tested


@contextmanager
def pair(cluster: Cluster, seed: int) -> Iterator[Pair]:
    """The world of a seed in two databases, which are dropped afterwards."""
    world = make_world(seed)
    names = (f"twin_plain_{seed}", f"twin_tested_{seed}")
    try:
        if not cluster.psql(f"SELECT 1 FROM pg_database WHERE datname = '{_TEMPLATE}'").strip():
            cluster.psql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            cluster.psql(
                "CREATE EXTENSION citext", _TEMPLATE
            )  # so that its types have the same numbers in both
        for name in names:
            cluster.psql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
            cluster.psql(f"ALTER DATABASE {name} SET timezone = 'UTC'")
        cluster.psql(world.schema(), names[0])
        cluster.psql(world.schema(), names[1])
        with (
            through(deployment(cluster, names[1], tables=world.protection())) as endpoint,
            psycopg.connect(cluster.url(names[0]), autocommit=True) as plain,
            psycopg.connect(
                host=endpoint.host, port=endpoint.port, dbname=names[1], user=SUPERUSER, autocommit=True
            ) as tested,
        ):
            made = Pair(world, Client(plain), Client(tested))
            for client in (made.plain, made.tested):
                client.change = changing(world)
            yield made
    finally:
        for name in names:
            cluster.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def changing(world: World) -> str:
    """The change between two executions of a prepared statement."""
    table, column = next((t, c) for t in world.tables for c in t.columns if c.domain and not c.unique)
    found = next(v for v in column.pool if v)
    return f"UPDATE {table.name} SET {column.name} = {quoted(found)} WHERE id = 2"


def make(world: World, number: int) -> tuple[Script, Way, Writer]:
    """The statement of a number, and how it is sent."""
    writer = Writer(world, number)
    name = writer.pick(*FORMS)
    return FORMS[name](writer), writer.random.choice(list(Way)), writer


def outcome(plain: list[Reply], tested: list[Reply]) -> str:
    """How a statement ended."""
    if _TOKEN.search(repr([t.answer for t in tested])):
        return "different"
    if [(r.state, r.answer) for r in plain] == [(r.state, r.answer) for r in tested]:
        return "errors" if plain[-1].state else "equal"
    expected, found = plain[-1].state, tested[-1].state
    alike = all((p.state, p.answer) == (t.state, t.answer) for p, t in zip(plain, tested[:-1], strict=False))
    if found == REFUSED and alike:
        return "errors" if expected else "refused"
    if expected in TYPING and found in TYPING:
        return "errors"
    if expected in TYPING and not found:
        return "lenient"
    return "different"


def judge(found: Pair, number: int, report: Report, *, shrinks: bool = True) -> None:
    """Make the statement of a number, run it on both sides, and note what came of it."""
    made, way, writer = make(found.world, number)
    found.canaries |= writer.new_canaries
    plain, tested = found.run(made, way)
    ended = outcome(plain, tested)
    tally = report.tallies[made.form]
    tally.counts[ended] += 1
    text = " ;; ".join(made.literal(s) for s in made.steps)
    if ended == "refused":
        why = reason(tested[-1].message)
        tally.reasons[why] += 1
        tally.examples.setdefault(why, text)
    elif ended == "different":
        if shrinks and len(made.steps) == 1 and way is Way.SIMPLE:
            made = shrink(found, made, way)
            plain, tested = found.run(made, way)
            text = made.literal(made.steps[0])
        report.differences.append(Difference(found.world.seed, number, made.form, way, text, plain, tested))


def shrink(found: Pair, made: Script, way: Way) -> Script:
    """Leave out tokens as long as the answers differ in the same way: errors stay errors, answers answers."""
    step = made.steps[0]
    text = made.literal(step)
    shape = [r.state for side in found.run(made, way) for r in side[:1]]
    size = max(len(text) // 8, 1)
    while size >= 1:
        tokens = [(t.start, t.end + 1) for t in scan(text)]
        at = 0
        while at < len(tokens):
            stop = min(at + size, len(tokens))
            shorter = text.encode()[: tokens[at][0]] + text.encode()[tokens[stop - 1][1] :]
            attempt = Script(
                made.form,
                [Step(shorter.decode(errors="replace"), step.ordered, True, step.copied)],
                made.looks,
            )
            plain, tested = found.run(attempt, way)
            if outcome(plain, tested) == "different" and [plain[0].state, tested[0].state] == shape:
                made, text = attempt, attempt.steps[0].text
                tokens = [(t.start, t.end + 1) for t in scan(text)]
            else:
                at = stop
        size //= 2
    return made


def leaked(cluster: Cluster, values: set[bytes]) -> list[str]:
    """Where the canaries in values lie on disk."""
    marks = {m for v in values for m in re.findall(CANARY.encode() + rb"[a-y0-9]{7}", v.lower())}
    assert marks
    return cluster.scan(sorted(marks))
