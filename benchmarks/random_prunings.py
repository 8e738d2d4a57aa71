"""Random prunings of random networks: ``python -m edgekit.benchmarks.random_prunings [--count N] [--seed S]``.

Each is some blocks of a family at some width, as a classifier, a detector, a segmenter, with exits, or with several
heads. A random number of channels of each layer goes. What is left gives what the whole network gives whose channels
nobody reads, is trained a step, saved, exported as int8, and run in every runtime of this machine: every value of which
identity is claimed has to be the reference's. What differs is printed with its seed, which makes the same again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

import edgekit
from edgekit.benchmarks.everywhere import Outcome, compared, outcomes, report
from edgekit.benchmarks.random_weights import drawn, pictures
from edgekit.errors import EdgekitError
from edgekit.models.head_specs import LrasppSpec
from edgekit.models.recorded import Recorded
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture
    from edgekit.models.head_specs import HeadSpec
    from edgekit.models.task_architecture import TaskArchitecture

    Structure = Architecture | TaskArchitecture

SIDE: Final = 32  # pixels
CALIBRATED_ON, COMPARED_ON, LEARNED_FROM = 8, 4, 4  # images
CLOSE: Final = 1e-3  # of an output's deviation, between the cut network and the whole one
_MULTIPLES: Final = (1, 2, 4, 8)
_SEVEN_BIT: Final = {"calibration.weight_bits": 7}  # with which no kernel of an x86 without VNNI clamps
_HALF: Final = (0.5,) * 3


def main() -> None:
    """Draw networks, cut and run them, and print Markdown."""
    found, seconds = outcomes(__doc__, prove)
    report(found, seconds)
    sys.exit(any(outcome.differences or outcome.refused for outcome in found))


def prove(seed: int) -> Outcome:
    """Draw a network, cut it, train a step, export it, and compare every runtime with the reference."""
    import torch  # noqa: PLC0415 - heavy, and every process imports it for itself

    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    started, random = time.perf_counter(), np.random.default_rng([seed, 16])
    images = pictures(random, CALIBRATED_ON, (SIDE, SIDE))
    structure, kind = draw(random)
    with tempfile.TemporaryDirectory() as folder:
        try:
            small, cut_structure, words, problems = _cut(structure, random, images)
            network = f"{kind}, {words}"
            shown = Preprocessing((SIDE, SIDE), "whole", _HALF, _HALF, "RGB")
            task = "classification" if kind == "classifier" else cut_structure.task  # type: ignore[union-attr]
            path = Path(folder) / "net.safetensors"
            checkpoint.save(path, small, cut_structure, Recorded(shown, task))
            exported = edgekit.export(
                path, images, targets=["tflite", "onnx"], int8=True, out=Path(folder) / "exported", verify=False,
                settings=_SEVEN_BIT,
            )  # fmt: skip
            pixels = pictures(random, COMPARED_ON, (SIDE, SIDE))
            parities, differences = compared(exported, pixels, threads=1)
        except EdgekitError as error:
            return Outcome(seed, kind, time.perf_counter() - started, refused=str(error))
    return Outcome(seed, network, time.perf_counter() - started, parities, (*problems, *differences))


def draw(random: np.random.Generator) -> tuple[Structure, str]:
    """A structure, and of what kind it is."""
    from edgekit.models.families import FAMILIES  # noqa: PLC0415 - needs torch
    from edgekit.models.heads import making  # noqa: PLC0415 - likewise
    from edgekit.models.task_architecture import TaskArchitecture  # noqa: PLC0415 - likewise

    whole = list(FAMILIES.values())[random.integers(len(FAMILIES))].make(
        float(random.choice([0.1, 0.2, 0.35])), int(random.integers(2, 8)), resolution=SIDE
    )
    first = int(random.integers(len(whole.blocks) - 3))
    some = whole.blocks[first : first + int(random.integers(3, 7))]
    stem = whole.stem_channels if some[0].expands or some[0].kind in {"fused", "single"} else some[0].expanded
    body = replace(whole, blocks=some, stem_channels=stem)
    heads: list[HeadSpec]
    kind = str(random.choice(["classifier", "classifier", "ssd", "ssdlite", "lraspp", "deeplab", "exits", "several"]))
    if kind == "classifier":
        return body, kind
    from edgekit.models.backbone import feature_maps  # noqa: PLC0415 - needs torch

    maps = feature_maps(body)[: 1 + len(some)]
    fine, last = maps[1].module, maps[-1].module
    if kind in {"ssd", "ssdlite"}:
        heads = [making.ssd(body, 3, separable=kind == "ssdlite")]
    elif kind == "lraspp":
        heads = [_lraspp(body, fine, last)]
    elif kind == "deeplab":
        body = replace(body, head_channels=0)
        heads = [replace(making.deeplab(body, 3, rates=(1, 2), separable=bool(random.integers(2))), channels=32)]
    elif kind == "exits":
        return making.exits(replace(body, num_classes=4), 4, [fine]), kind
    else:
        heads = [
            making.ssd(body, 3, separable=bool(random.integers(2))),
            _lraspp(body, fine, last),
            making.vector(body, "classification", 4, hidden=(16,)),
        ]
    return TaskArchitecture(body, tuple(heads)), kind


def _lraspp(body: Architecture, fine: str, last: str) -> HeadSpec:
    return LrasppSpec("segmentation", "segmentation", 3, (fine, last), 32, stretches=False, bn_eps=body.bn_eps)


def _cut(
    structure: Structure, random: np.random.Generator, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> tuple[nn.Module, Structure, str, tuple[str, ...]]:
    """A network without a random part of each layer's channels, trained a step; it in words, and what is wrong."""
    import torch  # noqa: PLC0415 - heavy

    from edgekit.capture.torch_export import capture  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.budget import (  # noqa: PLC0415 - likewise
        alike,
        cheapest,
        costs_of,
        kept,
        shares_of,
        widths_of,
    )
    from edgekit.compression.pruning.cutting import cut  # noqa: PLC0415 - likewise
    from edgekit.compression.pruning.gates import gated  # noqa: PLC0415 - likewise
    from edgekit.compression.pruning.groups import groups_of  # noqa: PLC0415 - likewise
    from edgekit.models.building import built  # noqa: PLC0415 - likewise
    from edgekit.training.from_images import named  # noqa: PLC0415 - likewise

    module = drawn(built(structure), random, images / 255 * 2 - 1)
    graph = capture(module, structure.name, (3, SIDE, SIDE))
    groups = groups_of(graph)
    widths = widths_of(structure, groups)
    multiple = int(random.choice(_MULTIPLES))
    worth = tuple(random.random(group.channels) for group in groups)
    counts = np.array([float(group.channels) for group in groups])
    costs = costs_of(graph, groups, "macs")
    uniform = alike(widths, counts, multiple)
    ladder = uniform if random.integers(2) else cheapest(widths, counts, shares_of(worth), costs.slopes, multiple)
    chosen = ladder[int(random.integers(len(ladder)))]
    stays = kept(worth, chosen)
    small = cut(module, structure, groups, stays)
    batch = torch.from_numpy(np.ascontiguousarray((images / 255 * 2 - 1).transpose(0, 3, 1, 2)).astype(np.float32))
    with torch.inference_mode():
        with gated(module, groups, torch.from_numpy(np.concatenate(stays)).float()[None]):
            wanted = named(module(batch))
        found = named(small.module(batch))
    problems = tuple(
        f"{name} moved by {error:.1e} of its deviation"
        for name, value in wanted.items()
        if not (error := float((found[name] - value).abs().max() / value.std().clamp(min=1e-6))) < CLOSE
    )
    _learn(small.module, batch[:LEARNED_FROM])
    share = costs.of(chosen) / costs.of(counts)
    words = f"{structure.name} in multiples of {multiple} to {share:.0%} of its MACs"
    return small.module, small.structure, words, problems


def _learn(module: nn.Module, images: Tensor) -> None:
    """One step, of outputs towards 0."""
    import torch  # noqa: PLC0415 - heavy

    from edgekit.training.from_images import named  # noqa: PLC0415 - needs torch

    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    torch.stack([value.square().mean() for value in named(module(images)).values()]).sum().backward()  # type: ignore[no-untyped-call] # torch declares no types here
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    module.eval()


if __name__ == "__main__":
    main()
