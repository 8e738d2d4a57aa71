"""How well a latency model predicts: ``python -m edgekit.benchmarks.latency_prediction MODEL``.

The networks are the published MobileNets, V1 to V4, at four widths and three resolutions; a model is fitted to random
networks only. Each is timed as the random ones were, and the Markdown that docs/latency-prediction.md holds is printed.
What was timed is kept beside the model, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.capture.torch_export import capture
from edgekit.exporters.metadata import IoDtype
from edgekit.models.families import FAMILIES
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.pipeline.measuring.device import connect
from edgekit.pipeline.measuring.fit import time_networks
from edgekit.timing.prediction.model import DeviceLatency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.ir import Graph
    from edgekit.timing.prediction.model import LatencyModel

NETWORKS: Final = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v4_conv_small",
)
WIDTHS: Final = (0.25, 0.5, 0.75, 1.0)
RESOLUTIONS: Final = (128, 160, 224)
WITHIN: Final = 0.1
ROUND: Final = 3  # networks that take turns


def main() -> None:
    """Time what is not timed yet, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="what edgekit bench --fit wrote")
    parser.add_argument("--device", help="where it was fitted: ssh://[user@]host; this machine by default")
    arguments = parser.parse_args()
    latency = DeviceLatency.load(arguments.model)
    kept = arguments.model.with_suffix(".held-out.json")
    timed: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    graphs = {
        name: made(*parts) for parts in itertools.product(NETWORKS, WIDTHS, RESOLUTIONS) for name in [named(*parts)]
    }
    left = [name for name in graphs if name not in timed]
    device = None if arguments.device is None else connect(arguments.device)
    first, formats = latency.models[0], [model.format for model in latency.models]
    for start in range(0, len(left), ROUND):
        names = left[start : start + ROUND]
        found = time_networks(
            [graphs[name] for name in names],
            formats,
            threads=first.threads,
            io_dtype=IoDtype(first.io_dtype),
            device=device,
        )
        for file, (name, form) in zip(found, itertools.product(names, formats), strict=True):
            timed.setdefault(name, {})[form] = file.ms
        kept.write_text(json.dumps(timed, indent=1))
        print(f"{start + len(names)} of {len(left)} networks are timed", flush=True)
    for model in latency.models:
        report(model, graphs, {name: of[model.format] for name, of in timed.items() if name in graphs})


def named(family: str, width: float, resolution: int) -> str:
    """As people write it."""
    return f"{family} {width:g} {resolution}"


def made(family: str, width: float, resolution: int) -> Graph:
    """A network of random weights."""
    architecture = FAMILIES[family].make(width, resolution=resolution)
    return integer_form(capture(build(architecture).eval(), family, (3, resolution, resolution)))


def report(model: LatencyModel, graphs: Mapping[str, Graph], timed: Mapping[str, float]) -> None:
    """A table of one runtime: a line a family, and one for all."""
    predicted = {name: model.latency_ms(graphs[name]) for name in timed}
    errors = {name: predicted[name] / timed[name] - 1 for name in timed}
    print(f"\n{model.runner}, {model.threads} thread(s), {model.io_dtype} at the boundary\n")
    print("| networks | measured, ms | within 10 % | median error | largest error | pairs ranked right |")
    print("|---|---|---|---|---|---|")
    for family in (*NETWORKS, ""):
        names = [name for name in timed if name.startswith(f"{family} " if family else "")]
        size = np.abs([errors[name] for name in names])
        pairs = [(timed[a] < timed[b]) == (predicted[a] < predicted[b]) for a, b in itertools.combinations(names, 2)]
        low, high = min(timed[name] for name in names), max(timed[name] for name in names)
        print(
            f"| {family or 'all'} ({len(names)}) | {low:.2f} to {high:.2f} | {np.mean(size <= WITHIN):.1%} | "
            f"{np.median(size):.1%} | {size.max():.1%} | {np.mean(pairs):.1%} |"
        )


if __name__ == "__main__":
    main()
