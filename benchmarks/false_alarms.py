"""Does verify object to anything that export writes? ``python -m edgekit.benchmarks.false_alarms [NAME …]``.

Networks of every family, with random weights, in many sizes, and with every setting that changes what is written, are
exported and verified, with and without their checkpoint. Whatever a gate says is a false alarm.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from edgekit import config
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.network import build
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.verify import verify
from edgekit.profiles.profile import names

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = 6
FAMILIES = {
    "v1": mobilenet_v1,
    "v2": mobilenet_v2,
    "v3-small": mobilenet_v3_small,
    "v3-large": mobilenet_v3_large,
    "v3-digits": mobilenet_v3_digits,
}
FORMATS = ["onnx", "tflite", "coreml", "torch"]
PRECISIONS = ["float32", "float16", "int8"]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_INTEGERS = ["onnx", "tflite", "torch"]  # formats whose files take and give integers
# What differs from the usual settings, by name: for which family, and in which sections of edgekit.toml.
SETTINGS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "uint8": ("v2", {"export": {"io_dtype": "uint8", "targets": _INTEGERS}}),
    "int8": ("v3-small", {"export": {"io_dtype": "int8", "targets": _INTEGERS}}),
    "soft-max": ("v2", {"export": {"probabilities": "softmax"}}),
    "sigmoid": ("v3-small", {"export": {"probabilities": "sigmoid"}}),
    "partly in float": ("v3-small", {"calibration": {"keep_float": ("features.0", "classifier.3")}}),
    "per tensor": ("v2", {"calibration": {"per_tensor_weights": True}}),
    "7 bits": ("v2", {"calibration": {"weight_bits": 7}}),
    "min-max": ("v3-small", {"calibration": {"method": "minmax"}}),
    "entropy": ("v1", {"calibration": {"method": "entropy"}}),
    "data-free": ("v2", {"calibration": {"data_free": True, "data": None}}),
    "ImageNet's normalization": (
        "v2",
        {"preprocessing": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}},
    ),
    "BGR": ("v2", {"preprocessing": {"order": "BGR"}}),
    "raw pixels": ("v1", {"preprocessing": {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}}),
    "symmetric padding": ("v2", {"model": {"padding": "symmetric"}}),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One export.

    Attributes:
        family: a key of ``FAMILIES``.
        width: its multiplier.
        classes: how many.
        size: of its image, height and width.
        channels: of its image.
        settings: sections of edgekit.toml that differ from the usual ones.
    """

    family: str
    width: float = 0.35
    classes: int = 10
    size: tuple[int, int] = (64, 64)
    channels: int = 3
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def kinds() -> Iterator[tuple[str, Kind]]:
    """Every kind by its name."""
    yield from _networks()
    for name, (family, settings) in SETTINGS.items():
        yield name, Kind(family, settings=settings)
    for device in names():
        yield f"for {device}", Kind("v3-small", settings={"export": {"device": device}})


def _networks() -> Iterator[tuple[str, Kind]]:
    every = {"export": {"targets": FORMATS, "precisions": PRECISIONS}}
    for family, width in (("v1", 0.25), ("v2", 0.35), ("v3-small", 0.35), ("v3-large", 0.35), ("v3-digits", 1.0)):
        yield family, Kind(family, width, settings=every)
    for side in (32, 33, 97, 224, 512):
        yield f"{side} px", Kind("v2" if side < 512 else "v3-digits", size=(side, side))
    for family in ("v1", "v2", "v3-small"):
        yield f"48 x 80 px {family}", Kind(family, size=(48, 80), settings=every)
        for channels in (1, 4):
            yield f"{channels} channels {family}", Kind(family, channels=channels, settings=every)
    for classes in (1, 2, 1001):
        yield f"{classes} classes", Kind("v2", classes=classes)


def main() -> None:
    """Export, verify, and print one line a kind."""
    chosen = [(name, kind) for name, kind in kinds() if not sys.argv[1:] or name in sys.argv[1:]]
    alarms = 0
    for name, kind in chosen:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            files, problems = checked(kind, Path(folder))
        alarms += bool(problems)
        told = "; ".join(problems) or f"{files} files"
        print(f"{'ALARM' if problems else 'quiet'}  {name}: {told} ({time.perf_counter() - started:.0f} s)", flush=True)
    print(f"{alarms} false alarms on {len(chosen)} good exports")


def checked(kind: Kind, folder: Path) -> tuple[int, list[str]]:
    """How many files an export has, and what verify says against them."""
    images, checkpoint, out = folder / "images", folder / "net.pth", folder / "out"
    _draw(kind, images)
    _train(kind, checkpoint)
    sections: dict[str, dict[str, Any]] = {
        # Random weights have seen noise, so that nothing shows what such a network expects.
        "model": {"checkpoint": checkpoint, "resolution": kind.size, "insist": True},
        "calibration": {"data": images, "images": IMAGES},
        "export": {"out": out, "targets": FORMATS, "precisions": ["int8"]},
    }
    if "device" in kind.settings.get("export", {}):  # which says the rest
        sections["export"] = {"out": out}
    for section, values in kind.settings.items():
        sections[section] = sections.get(section, {}) | values
    export(config.load(None, sections))
    alone = verify([out], config.load(None, {}))
    beside = verify([out], config.load(None, {"model": sections["model"]}))
    problems = [
        f"{file.path.name}{' with the checkpoint' if result is beside else ''}: {gate.name}: {gate.problem}"
        for result in (alone, beside)
        for file in result.files
        for gate in file.gates
        if not gate.passed
    ]
    return len(alone.files), problems


def _draw(kind: Kind, folder: Path) -> None:
    """Images of coloured blobs."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(IMAGES):
        blobs = random.integers(0, 256, (6, 6, kind.channels), np.uint8)
        picture = Image.fromarray(blobs[..., 0] if kind.channels == 1 else blobs, MODES[kind.channels])
        picture.resize(kind.size[::-1], Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def _train(kind: Kind, path: Path) -> None:
    """Random weights, with statistics that fit them."""
    torch.manual_seed(0)
    module = build(FAMILIES[kind.family](kind.width, kind.classes, in_channels=kind.channels, resolution=kind.size))
    with torch.no_grad():
        module.train()(torch.randn(4, kind.channels, *kind.size))
    torch.save(module.state_dict(), path)


if __name__ == "__main__":
    main()
