"""What is found of networks whose making is known: ``python -m edgekit.benchmarks.finding [IMAGES …]``.

Every network of EDGEKIT_REALDATA (as for ``edgekit.benchmarks.realdata``) as it is, and made again in every way: its
first convolution folded so that it takes ImageNet's normalization, or BGR; symmetric padding; both epsilons; V1 with
ReLU. Those that differ in normalization and order are also exported to ONNX, where batch normalization is folded. Each
time the statistics of batch normalization are estimated anew, from images of calibration/, and the network
is looked at with images of validation/, 16, 32 and 64 of them. What is found must be right; what is not found must be
called assumed. The time is that of finding alone.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.benchmarks.realdata import CHECKPOINTS, VARIABLE
from edgekit.calibration import finding
from edgekit.calibration.images import open_images
from edgekit.config import CalibrationSettings, ModelSettings, Settings
from edgekit.conventions import NORMALIZATIONS
from edgekit.facts import Basis
from edgekit.models import checkpoint
from edgekit.models.network import build
from edgekit.pipeline.making.expectations import settle
from edgekit.pipeline.making.given import from_files
from edgekit.pipeline.making.trained import FROM_FILE
from edgekit.preprocessing import Preprocessing
from edgekit.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ESTIMATED_ON = 64  # images of calibration/
EPSILONS = {"V1 0.25": 1e-3, "V2 1.0": 1e-5, "V3-Small": 1e-3}


@dataclass(frozen=True, slots=True)
class Making:
    """How a network is made again.

    Attributes:
        network: which one.
        normalization: by name.
        order: of the channels.
        padding: of the convolutions.
        bn_eps: of batch normalization.
        activation: of the trunk; None leaves it.
    """

    network: str
    normalization: str
    order: str
    padding: str
    bn_eps: float
    activation: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What has to be found, by the names of facts."""
        mean, std = NORMALIZATIONS[self.normalization]
        if self.order == "BGR":
            mean, std = mean[::-1], std[::-1]
        return {
            "normalization": {"mean": list(mean), "std": list(std)},
            "order": self.order,
            "padding": self.padding,
            "bn_eps": self.bn_eps,
            **({} if self.activation is None else {"activation": self.activation}),
        }


def main() -> None:
    """Make, find, and print Markdown."""
    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        sys.exit(f"set {VARIABLE} to a folder with models/ and images/")
    numbers = [int(text) for text in sys.argv[1:]] or [16, 32, 64]
    seen = open_images(data / "images" / "calibration", Preprocessing((224, 224), 256)).sample(ESTIMATED_ON).pixels
    print("| network | normalization | order | padding | epsilon | activation | file | images | wrong | assumed | s |")
    print("|" + "---|" * 11)
    wrong = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for making in makings():
            module = made(making, data / "models" / CHECKPOINTS[making.network], seen)
            for path, number in itertools.product(written(making, module, Path(folder)), numbers):
                finding.IMAGES = number
                row = found(making, path, data / "images" / "validation")
                wrong.update(row[-3].split())
                print("| " + " | ".join(row) + " |", flush=True)
    print(f"\nfound and wrong: {dict(wrong) or 'nothing'}")


def makings() -> Iterator[Making]:
    """Every network in every way."""
    ways = itertools.product(("tf", "imagenet"), ("RGB", "BGR"), ("same", "symmetric"), (1e-3, 1e-5))
    for (normalization, order, padding, bn_eps), network in itertools.product(ways, CHECKPOINTS):
        yield Making(network, normalization, order, padding, bn_eps)
    for padding in ("same", "symmetric"):
        yield Making("V1 0.25", "imagenet", "RGB", padding, 1e-5, "relu")


def written(making: Making, module: torch.nn.Module, folder: Path) -> Iterator[Path]:
    """The files of a network: its weights, and for one padding and epsilon, which ONNX files say, also ONNX."""
    torch.save(module.state_dict(), folder / "net.pth")
    yield folder / "net.pth"
    if making.padding == "same" and making.bn_eps == EPSILONS[making.network] and making.activation is None:
        # The exporter in TorchScript folds batch normalization, as most files out there have it.
        torch.onnx.export(module, (torch.zeros(1, 3, 224, 224),), str(folder / "net.onnx"), dynamo=False)
        yield folder / "net.onnx"


def made(making: Making, source: Path, seen: NDArray[np.uint8]) -> torch.nn.Module:
    """A network that is made again, with statistics of ``seen``."""
    loaded = checkpoint.load(source, padding="same", bn_eps=EPSILONS[making.network])
    options: dict[str, Any] = {"padding": making.padding}
    if making.activation is not None:
        options["activation"] = making.activation
    module = build(loaded.architecture.with_options(**options)).eval()
    module.load_state_dict(loaded.module.state_dict())
    stem = next(part for part in module.modules() if isinstance(part, torch.nn.Conv2d))
    mean, std = (tuple(values) for values in making.values["normalization"].values())
    preprocessing = Preprocessing((224, 224), None, mean, std, making.order)
    with torch.no_grad():
        # The network takes (x - 0.5) / 0.5 of red, green and blue; its bias follows with the statistics.
        if making.order == "BGR":
            stem.weight.copy_(stem.weight.flip(1))
        stem.weight *= torch.tensor(std)[:, None, None] / 0.5
    _estimate(module, making, preprocessing, seen)
    return module


def _estimate(module: torch.nn.Module, making: Making, preprocessing: Preprocessing, seen: NDArray[np.uint8]) -> None:
    """Estimate batch normalization's statistics anew, layer after layer; what it computes stays, for its epsilon."""
    pixels = np.ascontiguousarray(seen if making.order == "RGB" else seen[..., ::-1])
    images = torch.from_numpy(preprocessing.normalization(pixels)).contiguous(memory_format=torch.channels_last)
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]

    def renew(norm: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        (x,) = inputs
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        variance, mean = torch.var_mean(x, (0, 2, 3))
        # The first layer's mean moves with the normalization, which its bias has to follow.
        shift = torch.zeros_like(mean) if norm is norms[0] else mean - norm.running_mean
        norm.bias.copy_(norm.bias + gain * shift)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.eps = making.bn_eps
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())

    hooks = [norm.register_forward_pre_hook(renew) for norm in norms]
    with torch.no_grad():
        module(images)
    for hook in hooks:
        hook.remove()


def found(making: Making, path: Path, images: Path) -> list[str]:
    """One row of the table."""
    trained = FROM_FILE.load(ModelSettings(checkpoint=path))
    settings = Settings(model=ModelSettings(checkpoint=path), calibration=CalibrationSettings(data=images))
    started = time.perf_counter()
    settled = settle(trained, settings, None, from_files(settings), silent)
    seconds = time.perf_counter() - started
    facts = {fact.name: fact for fact in settled.facts}
    wrong = [name for name, value in making.values.items() if name in facts and not _is(facts[name].value, value)]
    silently = [name for name in wrong if facts[name].basis is not Basis.ASSUMED]
    assumed = [name for name, fact in facts.items() if fact.is_assumed and name in making.values]
    return [
        making.network,
        making.normalization,
        making.order,
        making.padding,
        f"{making.bn_eps:g}",
        making.activation or "",
        path.suffix[1:],
        str(finding.IMAGES),
        " ".join(silently),
        " ".join(assumed),
        f"{seconds:.2f}",
    ]


def _is(value: Any, expected: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(expected, dict):
        return all(np.allclose(value[key], expected[key], atol=1e-3) for key in expected)
    return bool(value == expected)


if __name__ == "__main__":
    main()
