"""Reading the contract cases: statements with what the planner makes of them.

A case is::

    -- a title
    SELECT email FROM customer WHERE email = 'x'
    --> the text sent: <email:'x'> stands for a token, + before the domain: stored, ~: carried
    --| the output columns: - unprotected, domain/container:type(modifier)
    --$ upstream parameters, then types shown for the client's
    --= what else the plan says: the session's names, rights to write, a change of the catalog
    --! or the refusal: SQLSTATE, message @ the text at its position

``-->`` is left out where the text is sent as it is, ``--none`` stands where nothing protected is touched.
``--:`` before the statement gives the types that the client's Parse declares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rendering import render_outputs, render_parameters, render_text

from pgnym.sql.errors import Refused
from pgnym.sql.plan import Rewrite, SessionScope
from pgnym.sql.planner import Planner

CASES = Path(__file__).parent / "cases"
SCOPE = SessionScope(("pg_catalog", "public"), "app", {}, {})
_MARKS = ("-->", "--|", "--$", "--=", "--!", "--none")


@dataclass(slots=True)
class Case:
    """One case of a file."""

    file: str
    title: str
    types: tuple[int, ...] = ()
    statement: str = ""
    expected: list[str] = field(default_factory=list)


def read_cases(path: Path) -> list[Case]:
    """The cases of one file."""
    cases: list[Case] = []
    statement: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("-- "):
            if not statement and cases and not cases[-1].statement:
                raise ValueError(f"{path.name}: case without statement before {line}")
            cases.append(Case(path.name, line[3:]))
            statement = []
        elif line.startswith("--:"):
            cases[-1].types = tuple(int(t) for t in line[3:].split())
        elif line.startswith(_MARKS):
            cases[-1].expected.append(line)
        elif line.strip():
            statement.append(line)
            cases[-1].statement = "\n".join(statement)
    return cases


def all_cases() -> list[Case]:
    """The cases of all files."""
    return [c for path in sorted(CASES.glob("*.sql")) for c in read_cases(path)]


def outcome(planner: Planner, case: Case) -> list[str]:
    """What the planner makes of a case, in the notation of the files."""
    text = case.statement.encode()
    try:
        rewrite = planner.plan(text, case.types, SCOPE)
    except Refused as refusal:
        place = ""
        if refusal.position is not None:
            place = f" @ {text[refusal.position : refusal.position + 20].decode(errors='replace').splitlines()[0:1]}"
        return [f"--! {refusal.sqlstate} {refusal.message}{place}"]
    if rewrite is None:
        return ["--none"]
    return _lines(rewrite, case.statement)


def _lines(rewrite: Rewrite, statement: str) -> list[str]:
    lines: list[str] = []
    sent = render_text(rewrite)
    if sent != statement:
        lines.extend(f"--> {line}" for line in sent.splitlines())
    for plan in rewrite.statements:
        inner = plan.effect.inner if plan.effect is not None else None
        for shown in [plan, *([inner] if inner is not None and inner.outputs and not plan.outputs else [])]:
            if shown.outputs:
                lines.append(f"--| {render_outputs(shown)}")
        if plan.parameters:
            lines.append(f"--$ {render_parameters(plan)}")
        notes = []
        if plan.effect is not None:
            notes.append(f"{plan.effect.act.value} {plan.effect.name or 'all'}")
        if plan.writes:
            notes.append("writes " + " ".join(sorted(plan.writes)))
        if plan.catalog_change:
            notes.append("changes the catalog")
        if notes:
            lines.append(f"--= {', '.join(notes)}")
    return lines
