"""What is measured: the statements, as pgbench scripts, and the tables that they run on."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_NUMBER = 1_000_000_000
"""``member_no`` of person 1, less one: digits alone, so that pgbench, which has no strings, can make them."""

WIDE_ROWS = 10_000
HOT = 2_000

SCHEMA = f"""
CREATE TABLE person (id int PRIMARY KEY, member_no text NOT NULL, full_name text NOT NULL, city text NOT NULL);
INSERT INTO person
SELECT n, ({FIRST_NUMBER} + n)::text, 'Member ' || md5(n::text), 'City ' || n % 100
FROM generate_series(1, PERSONS) n;
CREATE UNIQUE INDEX ON person (member_no);
CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, member_no text NOT NULL, full_name text NOT NULL);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bench;
VACUUM (FREEZE, ANALYZE);
"""

PROTECTED_TABLES = """\
tables:
  public.person:
    columns:
      member_no: {domain: member}
      full_name: {}
  public.entry:
    columns:
      member_no: {domain: member}
      full_name: {}
roles:
  bench: {users: [bench], reveal: ["*"], reveal_limit: {statement: 1000000000, minute: 1000000000}}
  default: {tokens: ["*"]}
"""

PICK = "\\set id random(1, PERSONS)\n"
NUMBER = f"\\set no random(1, PERSONS) + {FIRST_NUMBER}\n"


@dataclass(frozen=True, slots=True)
class Scenario:
    """``script`` None: pgbench's own ``-S``. ``mode``: pgbench's ``-M``. ``rows`` per transaction.
    ``quick``: also part of the quick run. ``clients``: the numbers of clients it is measured at, if not all.
    ``connect``: a new connection for each transaction.
    """

    name: str
    title: str
    mode: str
    script: str | None
    quick: bool = True
    rows: int = 1
    clients: tuple[int, ...] | None = None
    connect: bool = False


_BY_ID = PICK + "SELECT member_no, full_name FROM person WHERE id = :id;\n"
_HOT = f"\\set id random(1, {HOT})\n" + _BY_ID.removeprefix(PICK)
_SCENARIOS = (
    Scenario("select-simple", "unprotected point select, simple query", "simple", None),
    Scenario("select-prepared", "unprotected point select, prepared", "prepared", None),
    Scenario("reveal-simple", "2 protected columns by id, simple query", "simple", _BY_ID, quick=False),
    Scenario("reveal-prepared", "2 protected columns by id, prepared", "prepared", _BY_ID),
    Scenario("hot-simple", f"the same, of {HOT:,} rows read over and over, simple query", "simple", _HOT),
    Scenario("hot-prepared", f"the same, of {HOT:,} rows read over and over, prepared", "prepared", _HOT),
    Scenario(
        "equality-simple",
        "search by a protected column, simple query",
        "simple",
        NUMBER + "SELECT id, full_name FROM person WHERE member_no = ':no';\n",
        quick=False,
    ),
    Scenario(
        "equality-prepared",
        "search by a protected column, prepared",
        "prepared",
        NUMBER + "SELECT id, full_name FROM person WHERE member_no = :no;\n",
    ),
    Scenario(
        "insert-simple",
        "insert of 2 protected columns, simple query",
        "simple",
        "\\set a random(1, 2000000000)\n"
        "INSERT INTO entry (member_no, full_name) VALUES (':a', 'Member :a');\n",
        quick=False,
    ),
    Scenario(
        "insert-prepared",
        "insert of 2 protected columns, prepared",
        "prepared",
        "\\set a random(1, 2000000000)\n\\set b random(1, 2000000000)\n"
        "INSERT INTO entry (member_no, full_name) VALUES (:a, :b);\n",
    ),
    Scenario(
        "wide",
        f"{WIDE_ROWS:,} rows of 2 protected columns",
        "extended",
        f"SELECT id, member_no, full_name FROM person WHERE id <= {WIDE_ROWS};\n",
        rows=WIDE_ROWS,
        clients=(1, 8),
    ),
    Scenario(
        "connect",
        "a new connection and SELECT 1",
        "simple",
        "SELECT 1;\n",
        quick=False,
        clients=(1, 8),
        connect=True,
    ),
)
SCENARIOS = {scenario.name: scenario for scenario in _SCENARIOS}
