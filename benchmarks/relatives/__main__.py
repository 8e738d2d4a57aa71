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
from edgekit.benchmarks.relatives.ways import FLOATS, MODULE, WAYS, compared, export
from edgekit.benchmarks.relatives.zoo import FAMILIES, RELATIVES, draw
from edgekit.errors import EdgekitError
from edgekit.exporters.metadata import Precision
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.api.results import Exported
    from edgekit.benchmarks.relatives.ways import Compared
    from edgekit.benchmarks.relatives.zoo import Drawn

_IMAGES = 6
COLUMNS = (
    *("network", "comes in as", "files proven", "float16: off by at most, of the largest"),
    *("int8: values a runtime", "identical in", "near", "seconds"),
)


def main() -> None:
    """Every network, each way it can come in; fail where one is refused, or differs where it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of networks; all by default")
    parser.add_argument("--small", action="store_true", help="few channels and pixels, as in tests")
    parser.add_argument("--families", action="store_true", help="edgekit's own instead, as modules, in float16 alone")
    given = parser.parse_args()
    failed = False
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in given.names or (FAMILIES if given.families else RELATIVES):
        network = draw(name, full=not given.small)
        for way in (MODULE,) if name in FAMILIES else WAYS:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    is_own = name in FAMILIES
                    floats = ("float16",) if is_own else FLOATS
                    exported = export(network, way, Path(folder), floats=floats, int8=not is_own)
                    found = [] if exported.integer_model is None else list(compared(exported, _seen(network)))
                except EdgekitError as error:
                    failed = True
                    print(f"| {name} | {way} | refused: {error} |", flush=True)
                    continue
                failed |= not all(each.passed for each in found)
                seconds = f"{time.perf_counter() - started:.0f}"
                print(f"| {name} | {way} | {' | '.join((*_cells(exported, found), seconds))} |", flush=True)
    sys.exit(failed)


def _seen(network: Drawn) -> NDArray[np.uint8]:
    """Images that it was not calibrated on."""
    return pictures(np.random.default_rng(1), _IMAGES, (network.images.shape[1], network.images.shape[2]))


def _cells(exported: Exported, found: list[Compared]) -> tuple[str, ...]:
    half = [file for file in exported.files if file.precision is Precision.FLOAT16]
    off = [parity.max_rel_error for file in half for parity in file.parities if isinstance(parity, FloatParity)]
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
        f"{max(off):.2%}" if off else "–",
        f"{values:,}",
        f"{len(same)} of {len(runners)} runtimes",
        told,
    )


if __name__ == "__main__":
    main()
