"""Compare statements at random on plain PostgreSQL and through pgnym: ``make twin SEED=1 COUNT=10000``.

Each ``--world`` statements a new schema is made, with the next seed. ``--only NUMBER`` repeats one statement of a seed.
Exits with 1 if an answer differs. Ctrl-C ends it with a report of what was found until then.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from judging import FORMS, Report, judge, pair  # noqa: E402

from support.cluster import Cluster  # noqa: E402


def main() -> int:
    """Run it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    options.add_argument("--seed", type=int, default=1, help="of the first schema")
    options.add_argument("--count", type=int, default=100_000, help="statements in all")
    options.add_argument("--world", type=int, default=2_000, help="statements per schema")
    options.add_argument("--only", type=int, help="one statement of the first schema, by its number")
    options.add_argument("--reasons", action="store_true", help="show all reasons of refusals, with examples")
    options.add_argument("--stop", type=int, default=20, help="stop after so many differences")
    asked = options.parse_args()
    report, started, left, seed = Report(), time.monotonic(), asked.count, asked.seed
    stopped = False
    try:
        with Cluster() as cluster:
            while left > 0 and len(report.differences) < asked.stop:
                with pair(cluster, seed) as found:
                    numbers = range(min(asked.world, left)) if asked.only is None else [asked.only]
                    for number in numbers:
                        known = len(report.differences)
                        judge(found, number, report)
                        for difference in report.differences[known:]:
                            print(difference, flush=True)
                        if len(report.differences) >= asked.stop:
                            break
                left = left - asked.world if asked.only is None else 0
                seed += 1
    except KeyboardInterrupt:
        stopped = True  # what was found until then is still worth a report
    if asked.reasons:
        print(report.reasons())
    print(report.table())
    done = sum(t.counts.total() for t in report.tallies.values())
    print(
        f"{done} statements of {len(FORMS)} forms, seeds {asked.seed} to {seed - 1}, {time.monotonic() - started:.0f} s"
    )
    print(f"differences: {len(report.differences)}" + (" (stopped before the end)" if stopped else ""))
    return 1 if report.differences or stopped else 0


if __name__ == "__main__":
    sys.exit(main())
