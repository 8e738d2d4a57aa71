"""What every contestant is given: float networks in their natural forms, and arrays of normalized images."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from edgekit import files
from edgekit.benchmarks.peers import cifar
from edgekit.benchmarks.peers.train import SEED, distance_from_grid, train, train_from_scratch
from edgekit.benchmarks.realdata import save_random
from edgekit.benchmarks.relatives.networks import resnet
from edgekit.calibration.images import open_images
from edgekit.config import CalibrationSettings, ExportSettings, ModelSettings, PreprocessingSettings, Settings
from edgekit.models import checkpoint
from edgekit.models.families.efficientnet_lite import efficientnet_lite
from edgekit.models.families.mnasnet import mnasnet
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v4 import mobilenet_v4_conv_small
from edgekit.models.network import build
from edgekit.pipeline.making.export import export
from edgekit.preprocessing import Preprocessing
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.config import PrecisionName, Target
    from edgekit.models.architecture import Architecture

VARIABLE = "EDGEKIT_REALDATA"
MEAN = STD = (0.5, 0.5, 0.5)  # pixels to -1..1: as all networks here were trained
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Network:
    """A float network that takes part.

    Attributes:
        key: names its files.
        title: for people.
        file: the checkpoint in the data's models/; None for one that is made here.
        shape: of a network with random weights, which is there to be timed; None for one that is trained.
        make: the module of one that reaches edgekit as an .onnx file, as torch writes it; None for a checkpoint.
        trained: on five classes of CIFAR-10, where it is made; else its weights stay random.
    """

    key: str
    title: str
    file: str | None = None
    shape: Architecture | None = None
    make: Callable[[], nn.Module] | None = None
    trained: bool = False

    @property
    def side(self) -> int:
        """Of its images, pixels."""
        return cifar.SIDE if self.trained else 224


_resnet18 = partial(resnet, (2, 2, 2, 2), bottleneck=False, width=64)
V3_SMALL = Network("v3_small", "V3-Small 1.0", "mobilenet_v3_small_1.0_224_imagenet.pth")
V2 = Network("v2", "V2 1.0", "mobilenet_v2_1.0_224_imagenet.pth")
NETWORKS = (
    Network("v1", "V1 0.25", "mobilenet_v1_0.25_224_imagenet.pth"),
    V2,
    V3_SMALL,
    Network("v3_small_trained", "V3-Small 1.0, trained by edgekit"),
    *(
        Network(key, f"{title}, five classes of CIFAR-10", make=make, trained=True)
        for key, title, make in (
            ("v4_conv_small", "V4-conv-small", lambda: build(mobilenet_v4_conv_small(num_classes=len(cifar.CLASSES)))),
            (
                "efficientnet_lite0",
                "EfficientNet-Lite0",
                lambda: build(efficientnet_lite(0, num_classes=len(cifar.CLASSES))),
            ),
            ("resnet18", "ResNet-18", lambda: _resnet18(classes=len(cifar.CLASSES))),
        )
    ),
)
# The kernels' time does not depend on weights. The real V3-Small has a squeeze-and-excite layer that gives zeros alone;
# its scale in the files of other tools is so small that XNNPACK refuses them, and there is nothing to compare with.
TIMED = (
    V2,
    Network("v3_small_random", "V3-Small 1.0, random weights", shape=mobilenet_v3_small(padding="same")),
    Network("v3_large_random", "V3-Large 1.0, random weights", shape=mobilenet_v3_large(padding="same")),
    Network("v4_conv_small_random", "V4-conv-small, random weights", shape=mobilenet_v4_conv_small()),
    Network("efficientnet_lite0_random", "EfficientNet-Lite0, random weights", shape=efficientnet_lite(0)),
    Network("mnasnet_random", "MnasNet 1.0, random weights", shape=mnasnet()),
    Network("resnet18_random", "ResNet-18, random weights", make=lambda: _resnet18(classes=1000)),
)


@dataclass(frozen=True, slots=True)
class Images:
    """The images, read once by edgekit.

    Attributes:
        folder: of the calibration images, which edgekit reads itself.
        calibration: .npy, float32 [N, 3, H, W], normalized.
        validation: likewise.
        labels: of the validation images.
    """

    folder: Path
    calibration: Path
    validation: Path
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A float network in every form that a tool takes.

    Attributes:
        network: which one.
        checkpoint: as edgekit takes it.
        onnx: the float32 file that edgekit exports.
        program: a torch.export program of the module, batch normalization not folded, batch of one.
        logits: .npy, float32 [N, classes]: the module's own on the validation images.
        images: the images.
    """

    network: Network
    checkpoint: Path
    onnx: Path
    program: Path
    logits: Path
    images: Images


def data_folder() -> Path:
    """The folder of real checkpoints and images, which is not part of the project."""
    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        sys.exit(f"set {VARIABLE} to a folder with models/ and images/")
    return data


def prepare_images(network: Network, data: Path, cache: Path) -> Images:
    """Read all images that the network is calibrated and measured on, unless the cache has them."""
    folder, kept = data / "images", cache / "images"
    if network.trained:
        folder = kept = cache / "images" / "cifar"
        if not (folder / "validation").exists():
            cifar.write_folders(data, folder)
    preprocessing = Preprocessing((network.side, network.side), None)
    arrays = {}
    for name in ("calibration", "validation"):
        arrays[name] = kept / f"{name}.npy"
        if not arrays[name].exists():
            source = open_images(folder / name, preprocessing, strict=True)
            batches = [preprocessing.normalization(batch.pixels) for batch in source.batches(BATCH_SIZE)]
            _save(arrays[name], np.concatenate(batches))
    labels = open_images(folder / "validation", preprocessing).labels
    assert labels is not None, "validation has a labels.csv"
    return Images(folder / "calibration", arrays["calibration"], arrays["validation"], labels)


def prepare(network: Network, images: Images, data: Path, cache: Path, *, progress: Progress = silent) -> Given:
    """Make what the tools are given, unless the cache has it.

    Raises:
        BadInput: a checkpoint cannot be used, or the cache cannot be written.
    """
    folder = cache / "networks" / network.key
    path = folder / ("trained.safetensors" if network.make is None else "trained.onnx")
    path = data / "models" / network.file if network.file else path
    given = Given(network, path, folder / "float.onnx", folder / "float.pt2", folder / "float.npy", images)
    if given.logits.exists():
        return given
    folder.mkdir(parents=True, exist_ok=True)
    module = _module(given, data, progress)
    progress(f"{network.key}: weights lie {distance_from_grid(module):.3f} steps from an int8 grid", 0, 1)
    program = torch.export.export(module, (torch.zeros(1, 3, network.side, network.side),))
    with files.replacing(given.program) as temporary:
        torch.export.save(program, temporary)
    exported = export(settings(given, folder / "exported", "onnx", "float32")).files[0].path
    exported.replace(given.onnx)
    _save(given.logits, _logits(module, np.load(images.validation, mmap_mode="r")))
    return given


def _module(given: Given, data: Path, progress: Progress) -> nn.Module:
    """The trained module; its checkpoint is made where there is none."""
    network, path, images = given.network, given.checkpoint, given.images
    if network.make is not None:
        return _exported_by_torch(given, network.make, data, progress)
    if network.shape is not None and not path.exists():
        save_random(network.shape, images.folder, path)
    elif not path.exists():
        teachers = [data / "models" / str(teacher.file) for teacher in (V2, V3_SMALL)]
        train(teachers[1], teachers, images.folder, path, progress=progress)
    padding = _padding(network)
    return (checkpoint.load(path, padding=padding) if padding else checkpoint.load(path)).module


def _exported_by_torch(given: Given, make: Callable[[], nn.Module], data: Path, progress: Progress) -> nn.Module:
    """The module, trained where it has to be, and its .onnx file."""
    weights, side = given.checkpoint.with_suffix(".pt"), given.network.side
    torch.manual_seed(SEED)
    module = make()
    if given.network.trained and not weights.exists():
        pixels, labels = cifar.pictures(data, "train")
        seen = slice(-cifar.CALIBRATION)  # the others are for calibration
        train_from_scratch(module, pixels[seen], labels[seen], side, progress=progress)
        with files.replacing(weights) as temporary:
            torch.save(module.state_dict(), temporary)
    if weights.exists():
        module.load_state_dict(torch.load(weights, weights_only=True))
    with files.replacing(given.checkpoint) as temporary:
        torch.onnx.export(module.eval(), (torch.zeros(1, 3, side, side),), str(temporary), dynamo=False)
    return module


def _padding(network: Network) -> Literal["same"] | None:
    """How its checkpoint was trained; an .onnx file says it, and so does a checkpoint that edgekit saved."""
    return None if network.make or network.shape else "same"


def settings(given: Given, out: Path, target: Target, precision: PrecisionName) -> Settings:
    """How edgekit exports the network: the defaults, and all calibration images."""
    return Settings(
        model=ModelSettings(checkpoint=given.checkpoint, padding=_padding(given.network)),
        preprocessing=PreprocessingSettings(resize="none", mean=MEAN, std=STD, order="RGB"),
        calibration=CalibrationSettings(data=given.images.folder),
        export=ExportSettings(targets=(target,), precisions=(precision,), out=out),
    )


def _logits(module: torch.nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        starts = range(0, len(images), BATCH_SIZE)
        batches = [module(torch.from_numpy(np.array(images[i : i + BATCH_SIZE]))).numpy() for i in starts]
    return np.concatenate(batches)


def _save(path: Path, array: NDArray[np.generic]) -> None:
    with files.replacing(path) as temporary:
        np.save(temporary, array)
