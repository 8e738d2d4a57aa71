"""``python -m edgekit.benchmarks.peers --cache DIR [--only PATTERN …] [--again]``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import files
from edgekit.benchmarks.peers import contestants, results, table
from edgekit.benchmarks.peers.contestants import CONTESTANTS
from edgekit.benchmarks.peers.networks import NETWORKS, data_folder, prepare, prepare_images
from edgekit.benchmarks.peers.results import Result
from edgekit.benchmarks.peers.scores import score
from edgekit.errors import EdgekitError
from edgekit.tasks.classification import accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.peers.contestants import Contestant
    from edgekit.benchmarks.peers.networks import Given, Network


def main() -> None:
    """Run what is missing, and print one table a network."""
    parser = argparse.ArgumentParser(description="edgekit against every other quantizer, on the same images.")
    parser.add_argument("--cache", type=Path, required=True, help="folder for environments, files and results")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="NETWORK/TOOL, such as 'v2/nncf*'")
    parser.add_argument("--again", action="store_true", help="run what --only names even where there is a result")
    options = parser.parse_args()
    cache, data = options.cache.resolve(), data_folder()
    for network in NETWORKS:
        wanted = [c for c in CONTESTANTS if contestants.matches(network, c, options.only)]
        missing = [c for c in wanted if options.again or results.load(_folder(cache, network, c)) is None]
        if missing:
            given = prepare(network, prepare_images(network, data, cache), data, cache, progress=_tell)
            for contestant in missing:
                _tell(f"{network.key}/{contestant.key}", 0, 1)
                _compete(contestant, given, cache)
    for network in NETWORKS:
        reports = [(c, found) for c in CONTESTANTS if (found := results.load(_folder(cache, network, c))) is not None]
        if reports:
            print(_section(network, reports, prepare_images(network, data, cache).labels, cache))


def _compete(contestant: Contestant, given: Given, cache: Path) -> None:
    """Run one contestant on one network, and write its result, which may be that it failed."""
    folder = _folder(cache, given.network, contestant)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = contestants.attempt(contestant, given, cache, folder)
    except EdgekitError as error:
        _tell(f"{contestant.title}: {error}", 0, 1)
        Result(error=" ".join(str(error).split())).save(folder, None)
        return
    Result(
        versions=made.versions,
        runtime=made.run.runtime,
        size_bytes=files.size_bytes(made.path),
        operators=len(made.run.operators),
        float_operators=dict(Counter(made.run.float_operators)),
    ).save(folder, made.run.logits)


def _section(network: Network, reports: Sequence[tuple[Contestant, Result]], labels: Sequence[int], cache: Path) -> str:
    """The table of one network, and below it the versions of every tool."""
    floats = np.load(cache / "networks" / network.key / "float.npy")
    rows = []
    for contestant, result in reports:
        logits = None if result.error else results.load_logits(_folder(cache, network, contestant))
        rows.append(table.row(contestant.title, result, None if logits is None else score(logits, floats, labels)))
    top1 = accuracy.measure(floats, labels).top1
    versions = sorted({f"{name} {version}" for _, result in reports for name, version in result.versions.items()})
    heading = f"## {network.title}: float top-1 {top1:.2%} of {len(labels)} images"
    return f"{heading}\n\n{table.markdown(table.COLUMNS, rows)}\n\nVersions: {', '.join(versions)}.\n"


def _folder(cache: Path, network: Network, contestant: Contestant) -> Path:
    return cache / "results" / network.key / contestant.key


def _tell(stage: str, done: int, total: int) -> None:
    print(f"{stage} {done}/{total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
