"""Does a file's interval hold the next time, too? ``python -m edgekit.benchmarks.repeatability FILE --log RUNS.jsonl``.

The same file is measured again and again, as ``edgekit bench`` does it, and each run's interval is held against the
medians of all the others. The machine is as it is. Every run is written to the log at once: the command can be stopped,
and goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.config import BenchSettings
from edgekit.device.plan import LAPS
from edgekit.device.results import Results
from edgekit.pipeline.measuring.bench import bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.device.statistics import Interval

RUNS = 20


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description="How often an interval holds the medians of other runs.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--log", type=Path, required=True, help="file for results, a line a run")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--laps", type=int, default=LAPS)
    options = parser.parse_args()
    done = _read(options.log)
    while len(done) < options.runs:
        done.append(bench([options.file], BenchSettings(laps=options.laps), against=options.file).results)
        with options.log.open("a", encoding="utf-8") as stream:
            stream.write(done[-1].to_json() + "\n")
    done = done[: options.runs]
    found = [results.rows[0].p50_ms for results in done]
    covered = [others_covered(run, found) for run in range(len(found))]
    print("| run | p50 ms | interval | medians of others in it | seconds | cores that others used |")
    print("|---|---|---|---|---|---|")
    for number, (results, p50, count) in enumerate(zip(done, found, covered, strict=True), 1):
        fared = results.conditions
        used = "unknown" if fared.others_cores is None else f"{fared.others_cores:.2f}"
        cells = (
            *(f"{number}", f"{p50.value:.3f}", f"{p50.low:.3f} to {p50.high:.3f}", f"{count} of {len(found) - 1}"),
            *(f"{fared.seconds:.0f}", used),
        )
        print(f"| {' | '.join(cells)} |")
    others = len(found) - 1
    pairs = len(found) * others
    print(f"\n{sum(count == others for count in covered)} of {len(found)} intervals hold the medians of all others.")
    print(f"\n{sum(count >= others - 1 for count in covered)} of {len(found)} hold all but one at most.")
    print(f"\n{sum(covered)} of {pairs} pairs, {sum(covered) / max(pairs, 1):.1%}: {found[0].coverage:.1%} is claimed.")


def others_covered(run: int, found: Sequence[Interval]) -> int:
    """How many other runs have their median in the interval of one."""
    interval = found[run]
    return sum(interval.low <= other.value <= interval.high for other in [*found[:run], *found[run + 1 :]])


def _read(log: Path) -> list[Results]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [Results.from_json(line) for line in lines]


if __name__ == "__main__":
    main()
