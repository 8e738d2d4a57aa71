"""What a bundle does that somebody runs by hand: ``python3 NAME.pyz`` checks, times, prints, and writes NAME.json.

It ends with 0, or with the exit codes of ``edgekit.errors``; with 1 where a file does not answer what it has to.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit.device import wheels
from edgekit.device.plan import Plan
from edgekit.errors import BadInput, EdgekitError


def main() -> None:
    """Run what an archive brought, which lies in the working directory."""
    try:
        sys.exit(_run(Path(), Path(sys.argv[0]).with_suffix(".json")))
    except EdgekitError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _run(folder: Path, out: Path) -> int:
    plan = Plan.load(folder)
    wheels.require({file.engine for file in plan.files})
    from edgekit.device.bench import bench  # noqa: PLC0415 - needs numpy
    from edgekit.device.check import check  # noqa: PLC0415 - likewise
    from edgekit.device.table import check_lines, results_table  # noqa: PLC0415 - of no use without them

    checked = check(plan, folder, _progress)
    sys.stdout.write(f"{check_lines(checked)}\n")
    sys.stdout.flush()  # timing takes a while
    if not all(file.passed for file in checked):
        sys.stderr.write("a file answers something else here than where it was made, so nothing was timed\n")
        return 1
    results = bench(plan, folder, _progress)
    sys.stdout.write(f"{results_table(results)}\n")
    try:
        out.write_text(results.to_json(), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}. What was measured stands above") from error
    sys.stdout.write(f"written: {out}\n")
    return 0


def _progress(stage: str, done: int, total: int) -> None:
    """A line that is written over, where there is somebody to see it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{stage} {done}/{total} \x1b[K" if done < total else "\r\x1b[K")
        sys.stderr.flush()
