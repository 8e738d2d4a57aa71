"""Measure every operator: see the package."""

from __future__ import annotations

import argparse
import sys

from edgekit.benchmarks.claims import emulated
from edgekit.benchmarks.claims import found as findings
from edgekit.benchmarks.claims.cases import CASES
from edgekit.benchmarks.claims.measuring import Trial, measure
from edgekit.benchmarks.claims.table import PAGE, page


def main() -> None:
    """Measure, print the page or write it, and fail where something differs that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operators", nargs="*", help="only these; the others are taken from what was kept")
    parser.add_argument("--draws", type=int, default=1, help="of scales, zero points, weights and noise")
    parser.add_argument("--emulate", action="store_true", help="run on an emulated aarch64, too: the first draw only")
    parser.add_argument("--write", action="store_true", help="keep what is found, and write docs/operators.md")
    given = parser.parse_args()
    kept = findings.load() if given.operators else []
    chosen = [case for case in CASES if not given.operators or case.name in given.operators]
    found: dict[str, list[findings.Found]] = {}
    trials = []
    for case in chosen:
        draws = [Trial.of(case, draw) for draw in range(given.draws)]
        found[case.name] = findings.merged([measure(trial) for trial in draws])
        trials.append(draws[0])
        print(case.name, file=sys.stderr, flush=True)
    if given.emulate:
        for case, elsewhere in zip(chosen, emulated.measure(trials), strict=True):
            found[case.name] = findings.merged([found[case.name], elsewhere])
    everything = [
        one for case in CASES for one in found.get(case.name, [old for old in kept if old.operator == case.name])
    ]
    wrong = [one for one in everything if not one.holds]
    for one in wrong:
        print(f"claimed, and not so: {one}")
    if wrong:
        sys.exit(1)
    if given.write:
        findings.save(everything)
        PAGE.write_text(page(everything), encoding="utf-8")
    else:
        print(page(everything))


if __name__ == "__main__":
    main()
