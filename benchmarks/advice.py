"""How good advice is: ``python -m edgekit.benchmarks.advice MODEL``.

Advice knows what was published of networks, and what the latency model of this machine predicts of them (``edgekit
bench --fit --out MODEL``). The truth is a table that it has not seen: the same networks as int8 .tflite files, timed
on this machine, with the sizes of these files. For each of 12 goals, the best network of that table is held against
the one that was advised: it has to keep the limit, and be as good, within 3 %. What was timed is kept beside the
model, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.capture.torch_export import capture
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.models.families import family_of
from edgekit.models.network import build
from edgekit.models.published import published
from edgekit.passes import integer_form
from edgekit.pipeline.choosing.advise import advise
from edgekit.pipeline.choosing.goals import KEPT, Goal, goal
from edgekit.pipeline.measuring.fit import time_networks
from edgekit.timing import synthetic
from edgekit.timing.prediction import saved

GOALS: Final = (
    "fps=60", "fps=120", "fps=240", "fps=480", "latency=1", "latency=1.5", "latency=3", "latency=5",
    "size=1MB", "size=2MB", "size=4MB", "battery",
)  # fmt: skip
WITHIN: Final = 0.03
_ROUND: Final = 3  # networks that take turns


@dataclass(frozen=True, slots=True)
class Measured:
    """The truth about a network.

    Attributes:
        accuracy: as it was published, percent.
        ms: of one image in int8.
        size_bytes: of the file.
    """

    accuracy: float
    ms: float
    size_bytes: int

    def keeps(self, wanted: Goal, best: float, slack: float = 0.0) -> bool:
        """Whether it is good enough for a goal, or misses that by no more than a share."""
        match wanted.kind:
            case "size":
                return self.size_bytes <= wanted.most * (1 + slack)
            case "battery":
                return self.accuracy >= KEPT * best
            case _:
                return self.ms <= wanted.most * (1 + slack)


def main() -> None:
    """Time what is not timed yet, and ask for advice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="what edgekit bench --fit wrote on this machine, a name or a file")
    model = parser.parse_args().model
    truth = _truth(model)
    good = 0
    print(
        "| goal | advised | measured ms | top-1 | the best | measured ms | top-1 | |\n|---|---|---|---|---|---|---|---|"
    )
    for text in GOALS:
        good += _judged(text, model, truth)
    print(f"\n{good} of {len(GOALS)} are the best, or within {WITHIN:.0%} of it")
    if good < len(GOALS):
        raise SystemExit(1)


def _judged(text: str, model: str, truth: dict[str, Measured]) -> bool:
    """Whether advice is good enough; prints a row of the table."""
    wanted = goal(text)
    top = max(one.accuracy for one in truth.values())
    kept = {name: one for name, one in truth.items() if one.keeps(wanted, top)}
    is_battery = wanted.kind == "battery"
    best = min(kept, key=lambda name: kept[name].ms if is_battery else -kept[name].accuracy)
    found = advise(text, device=model).best
    if found is None:
        print(f"| {text} | nothing | | | {best} | {kept[best].ms:.2f} | {kept[best].accuracy:.1f} | ✘ |")
        return False
    name = found.candidate.network
    advised, right = truth[name], truth[best]
    near = advised.ms <= right.ms * (1 + WITHIN) if is_battery else advised.accuracy >= right.accuracy * (1 - WITHIN)
    is_good = near and advised.keeps(wanted, top, WITHIN)
    sign = "✔" if is_good else "✘"
    said = [f"{which} | {one.ms:.2f} | {one.accuracy:.1f}" for which, one in ((name, advised), (best, right))]
    print(f"| {text} | {' | '.join(said)} | {sign} |")
    return is_good


def _truth(model: str) -> dict[str, Measured]:
    """What is true of each published network, by its name."""
    fitted = saved.load(model).of("tflite")
    kept = saved.path_of(model).with_suffix(".truth.json")
    timed: dict[str, tuple[float, int]] = json.loads(kept.read_text()) if kept.exists() else {}
    made = {family_of(p.family).make(p.width, 1000, resolution=p.resolution): p for p in published()}
    left = [one for one in made if one.name not in timed]
    for start in range(0, len(left), _ROUND):
        some = left[start : start + _ROUND]
        graphs = [integer_form(capture(build(one).eval(), one.name, (3, *one.size))) for one in some]
        dtype = IoDtype(fitted.io_dtype)
        found = time_networks(graphs, ["tflite"], threads=fitted.threads, io_dtype=dtype)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "x.tflite")
            for one, graph, file in zip(some, graphs, found, strict=True):
                FORMATS["tflite"].write_integer_model(synthetic.integer_model(graph), path, io_dtype=dtype)
                timed[one.name] = (file.ms, path.stat().st_size)
        kept.write_text(json.dumps(timed, indent=1))
        print(f"{len(timed)} of {len(made)} networks are timed", flush=True)
    return {one.name: Measured(p.top1, *timed[one.name]) for one, p in made.items()}


if __name__ == "__main__":
    main()
