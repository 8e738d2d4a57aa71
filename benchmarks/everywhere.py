"""Networks that are drawn by lot, in every runtime: what ``identity.py`` and ``random_networks.py`` share."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.integer_model import IntegerModel
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.divergence import locate
from edgekit.verification.integer_parity import IntegerParity
from edgekit.verification.well_formed import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.pipeline.making.export import ExportResult
    from edgekit.verification.compare import Parity

COUNT = 200
NETWORKS_A_PROCESS = 25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one network.

    Attributes:
        seed: it was drawn with.
        network: it, in words; its kind comes first, up to a comma.
        seconds: that it took.
        parities: of each output in each runtime.
        differences: for each runtime that differs, the layer where it begins, and how.
        refused: why it could not be exported; None where it could.
    """

    seed: int
    network: str
    seconds: float
    parities: tuple[Parity, ...] = ()
    differences: tuple[str, ...] = ()
    refused: str | None = None


def outcomes(description: str | None, prove: Callable[[int], Outcome]) -> tuple[list[Outcome], float]:
    """Prove as many networks as the command line asks for; with the seconds that it took.

    Args:
        description: of the script.
        prove: draws, exports and compares the network of a seed.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=COUNT, help="how many networks")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    given = parser.parse_args()
    started = time.perf_counter()
    seeds = range(given.seed, given.seed + given.count)
    found: list[Outcome] = []
    # Not forked, which torch's threads would not survive; and not for long, as torch.export forgets nothing.
    context, share = multiprocessing.get_context("spawn"), NETWORKS_A_PROCESS * given.jobs
    for first in range(0, len(seeds), share):
        with ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
            found += pool.map(prove, seeds[first : first + share])
        print(f"{len(found)} of {given.count}", file=sys.stderr, flush=True)
    return found, time.perf_counter() - started


def compared(
    exported: ExportResult, pixels: NDArray[np.uint8], *, threads: int
) -> tuple[tuple[Parity, ...], tuple[str, ...]]:
    """Every file in every runtime of this machine against the reference, and where those begin to differ that must not.

    Args:
        exported: int8 files, and the integer model.
        pixels: [N, H, W, C].
        threads: of a runtime.
    """
    assert exported.integer_model is not None
    model = IntegerModel.load(exported.integer_model)
    expected = compare.reference_outputs(model, pixels)
    parities: list[Parity] = []
    differences: list[str] = []
    for file in exported.files:
        assert file.summary.metadata is not None
        differences += [f"{file.path.name}: {problem}" for problem in well_formed(file.path, model)]
        for make_runner in all_runners(file.path, threads=threads):
            with make_runner() as runner:
                found = compare.integers(runner, file.summary.metadata, model, pixels, expected)
                claimed = runner.differs_because is None
            parities += found
            if claimed and (wrong := [parity for parity in found if not parity.passed]):
                where = locate(file.path, model, pixels, make_runner=make_runner)
                begins = where.sentence if where else "not where its tensors are shown"
                differences += [f"{parity.ran()}: {_told(parity)}; {begins}" for parity in wrong]
    return tuple(parities), tuple(differences)


def _told(parity: Parity) -> str:
    if isinstance(parity, IntegerParity):
        return f"{dict(parity.differences)}{f', near: {parity.near}' if parity.near else ''}"
    return parity.said()


def report(found: Sequence[Outcome], seconds: float) -> None:
    """Print Markdown."""
    run = [outcome for outcome in found if outcome.refused is None]
    kinds = Counter(outcome.network.split(",")[0] for outcome in run)
    print(f"## {len(run)} random networks, {seconds / 60:.1f} minutes\n")
    print(f"{', '.join(f'{count} × {kind}' for kind, count in sorted(kinds.items()))}.\n")
    print("| runtime | networks | values | identical | networks that differ | near values | identical | largest |")
    print("|---|---|---|---|---|---|---|---|")
    integers = [(o, parity) for o in run for parity in o.parities if isinstance(parity, IntegerParity)]
    for runner in sorted({parity.runner for _, parity in integers}):
        here = [(outcome.seed, parity) for outcome, parity in integers if parity.runner == runner]
        exact = [(seed, parity) for seed, parity in here if parity.exact]
        near = [parity for _, parity in here if not parity.exact]
        values, same = _counted([parity for _, parity in exact])
        differ = len({seed for seed, parity in exact if not parity.passed})
        of_near, same_near = _counted(near)
        largest = max((parity.max_lsb for parity in near), default=0)
        cells = [
            runner,
            len({seed for seed, _ in here}),
            f"{values:,}",
            "all" if same == values else f"{same:,}",
            differ,
        ]
        cells += [f"{of_near:,}", f"{same_near:,}", largest]
        print(f"| {' | '.join(map(str, cells))} |")
    for outcome in found:
        for difference in outcome.differences:
            print(f"\n- seed {outcome.seed} ({outcome.network}): {difference}")
        if outcome.refused is not None:
            print(f"\n- seed {outcome.seed} ({outcome.network}) was refused: {outcome.refused}")


def _counted(parities: Sequence[IntegerParity]) -> tuple[int, int]:
    """How many values, and how many of them are the reference's."""
    return sum(p.values for p in parities), sum(p.differences.get(0, 0) for p in parities)
