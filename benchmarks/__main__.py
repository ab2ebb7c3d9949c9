"""The command ``python -m benchmarks NAME [--case SUBSTRING] [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

# One setting for ours and for every baseline, before any library starts its threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Case, Row, machine
from skyloom.cli.output import console as results
from skyloom.files import complete

NAMES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in {"__init__", "__main__", "harness", "networks"}
)


def main() -> int:
    """Run a benchmark; 1 when a promised ratio is missed, 2 when there is nothing to run.

    Quick runs are too short to judge by: they show that the benchmark works.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--case", default="", metavar="SUBSTRING", help="run only the cases whose name holds this"
    )
    parser.add_argument("--quick", action="store_true", help="smaller inputs and fewer repeats; not judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here as JSON")
    arguments = parser.parse_args()

    cases: dict[str, Case] = importlib.import_module(f"benchmarks.{arguments.name}").CASES
    chosen = {name: run for name, run in cases.items() if arguments.case in name}
    if not chosen:
        parser.error(f"no case of {arguments.name} holds {arguments.case!r}; there is {', '.join(cases)}")

    console = Console(stderr=True)
    rows = []
    for name, run in chosen.items():
        with console.status(name):
            rows.append(run(arguments.quick))
    results().print(_table(arguments.name, rows))
    if arguments.json:
        result = {"benchmark": arguments.name, "machine": machine(), "rows": [row.record() for row in rows]}
        with complete(arguments.json, overwrite=True) as part:
            part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if arguments.quick or all(row.reached for row in rows) else 1


def _table(name: str, rows: list[Row]) -> Table:
    table = Table(title=f"benchmarks {name}")
    for heading in ("case", "baseline"):
        table.add_column(heading, overflow="fold")
    for heading in ("ours", "baseline", "unit", "ratio", "goal", "error"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.case,
            row.baseline,
            f"{row.ours_s:.4g}",
            f"{row.baseline_s:.4g}",
            row.unit,
            f"[{'green' if row.reached else 'red'}]{row.ratio:.2f}[/]",
            "" if row.goal is None else f"{row.goal:.3g}",
            "" if row.error is None else f"{row.error:.2g}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
