"""Export and prove the relatives, and print Markdown: see the package."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.random_weights import pictures
from edgekit.benchmarks.relatives.ways import WAYS, compared, export
from edgekit.benchmarks.relatives.zoo import RELATIVES, draw
from edgekit.errors import EdgekitError
from edgekit.exporters.metadata import Precision
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from edgekit.api.results import Exported
    from edgekit.benchmarks.relatives.ways import Compared

_IMAGES = 6
COLUMNS = ("network", "comes in as", "files proven", "int8: values a runtime", "identical in", "near", "seconds")


def main() -> None:
    """Every network, each way; fail where one is refused, or differs where it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of networks; all by default")
    parser.add_argument("--small", action="store_true", help="few channels and pixels, as in tests")
    given = parser.parse_args()
    failed = False
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in given.names or RELATIVES:
        network = draw(name, full=not given.small)
        for way in WAYS:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    exported = export(network, way, Path(folder))
                    size = network.images.shape[1], network.images.shape[2]
                    found = list(compared(exported, pictures(np.random.default_rng(1), _IMAGES, size)))
                except EdgekitError as error:
                    failed = True
                    print(f"| {name} | {way} | refused: {error} |", flush=True)
                    continue
                failed |= not all(each.passed for each in found)
                seconds = f"{time.perf_counter() - started:.0f}"
                print(f"| {name} | {way} | {' | '.join((*_cells(exported, found), seconds))} |", flush=True)
    sys.exit(failed)


def _cells(exported: Exported, found: list[Compared]) -> tuple[str, str, str, str]:
    proven = [file for file in exported.files if file.parities]
    kinds = {precision: sum(file.precision is precision for file in proven) for precision in Precision}
    parities = [parity for each in found for parity in each.parities if isinstance(parity, IntegerParity)]
    exact = [parity for parity in parities if parity.exact]
    runners = {parity.runner for parity in parities}
    same = {r for r in runners if all(p.max_lsb == 0 for p in exact if p.runner == r)}
    values = max((sum(p.values for p in exact if p.runner == runner) for runner in runners), default=0)
    near = [parity for parity in parities if not parity.exact]
    told = f"{near[0].output or 'logits'}, at most {max(p.max_lsb for p in near)}: {near[0].near}" if near else "–"
    return (
        ", ".join(f"{count} {precision}" for precision, count in kinds.items() if count),
        f"{values:,}",
        f"{len(same)} of {len(runners)} runtimes",
        told,
    )


if __name__ == "__main__":
    main()
