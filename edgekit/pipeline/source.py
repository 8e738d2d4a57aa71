"""The trained network: a checkpoint or an ONNX file, captured, with what is known about its input."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import CheckpointError, ConfigError, DataError
from edgekit.float_model import FloatModel
from edgekit.passes import float_form, integer_form
from edgekit.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from edgekit.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.config import ModelSettings, PreprocessingSettings, Settings
    from edgekit.ir import Graph

HALF = (0.5, 0.5, 0.5)  # pixels to -1..1: what TensorFlow's MobileNets were trained with


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Source:
    """A trained network, ready to be exported.

    Attributes:
        float_model: what float files are written from.
        integer_form: the same in the form that is quantized.
        logits: the network as it was trained: normalized images [N, C, H, W] to logits [N, classes], float32.
        description: what the checkpoint was, for people.
        notes: what was guessed and why, for people.
    """

    float_model: FloatModel
    integer_form: FloatModel
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]] = field(repr=False)
    description: str
    notes: tuple[str, ...]


def open_source(settings: Settings) -> Source:
    """Load and capture ``settings.model.checkpoint``.

    Raises:
        CheckpointError: it cannot be read, or is no MobileNet that edgekit knows.
        UnsupportedOperator: it holds an operator that edgekit does not know.
        ConfigError: no checkpoint is named, or a setting contradicts it.
    """
    path = settings.model.checkpoint
    if path is None:
        raise ConfigError("no checkpoint is named: edgekit export CHECKPOINT, or checkpoint = … under [model]")
    return _from_onnx(path, settings) if path.suffix == ".onnx" else _from_checkpoint(path, settings)


def _from_checkpoint(path: Path, settings: Settings) -> Source:
    import torch  # noqa: PLC0415 - 1.5 s that an ONNX input does not need here

    from edgekit.capture.torch_export import capture  # noqa: PLC0415
    from edgekit.models import checkpoint  # noqa: PLC0415

    model = settings.model
    loaded = checkpoint.load(
        path,
        family=model.family,
        num_classes=model.classes,
        resolution=model.resolution,
        padding=model.padding,
        bn_eps=model.bn_eps,
    )
    architecture = loaded.architecture
    shape = (architecture.in_channels, architecture.resolution, architecture.resolution)
    captured = capture(loaded.module, architecture.name, shape)

    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = loaded.module(torch.from_numpy(images)).numpy()
        return result

    tensorflow = architecture.padding == "same"  # such networks were trained on -1..1
    preprocessing = _preprocessing(settings.preprocessing, (shape[1], shape[2]), tensorflow=tensorflow)
    provenance = {"checkpoint_sha256": loaded.sha256, "architecture": architecture.to_dict()}
    return _source(captured, preprocessing, logits, provenance, settings, loaded.source, loaded.notes)


def _from_onnx(path: Path, settings: Settings) -> Source:
    from edgekit.capture.onnx import capture  # noqa: PLC0415 - needs the onnx extra

    captured = capture(path)
    form = float_form(captured.graph)

    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch  # noqa: PLC0415

        from edgekit.executor.float import FloatExecutor  # noqa: PLC0415

        with torch.inference_mode():
            result: NDArray[np.float32] = FloatExecutor(form)(torch.from_numpy(images)).numpy()
        return result

    _, height, width = captured.graph.tensors[captured.graph.input].shape
    preprocessing = _preprocessing(settings.preprocessing, (height, width), tensorflow=False)
    provenance = {"checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return _source(captured.graph, preprocessing, logits, provenance, settings, "ONNX", captured.notes)


def _source(  # noqa: PLR0913 - the parts of a source
    captured: Graph,
    preprocessing: Preprocessing,
    logits: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    provenance: dict[str, Any],
    settings: Settings,
    description: str,
    notes: tuple[str, ...],
) -> Source:
    form = float_form(captured)
    (classes,) = form.tensors[form.outputs[0]].shape
    labels = _labels(settings.model, classes)
    provenance = {**provenance, "edgekit": __version__}
    return Source(
        FloatModel(form, preprocessing, labels, provenance),
        FloatModel(integer_form(captured), preprocessing, labels, provenance),
        logits,
        description,
        notes,
    )


def _preprocessing(settings: PreprocessingSettings, size: tuple[int, int], *, tensorflow: bool) -> Preprocessing:
    """What is not set is the usual: torchvision's mean and std or TensorFlow's, 256 pixels for a crop of 224."""
    mean, std = settings.mean, settings.std
    if (mean is None) != (std is None):
        raise ConfigError("mean and std belong together: set both under [preprocessing], or neither")
    if mean is None or std is None:
        mean, std = (HALF, HALF) if tensorflow else (IMAGENET_MEAN, IMAGENET_STD)
    resize = settings.resize if settings.resize is not None else round(min(size) * 256 / 224)
    if isinstance(resize, str) and resize not in {"whole", "none"}:
        raise ConfigError(f"preprocessing.resize is {resize!r}: a number of pixels, 'whole' or 'none' is wanted")
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != 3:  # noqa: PLR2004 - colour channels
            raise ConfigError(f"preprocessing.{name} has {len(values)} values: one a colour channel is wanted, 3")
    if min(std) <= 0:
        raise ConfigError(f"preprocessing.std is {std}: positive numbers are wanted")
    return Preprocessing(size, None if resize == "none" else resize, mean, std, settings.order)


def _labels(settings: ModelSettings, classes: int) -> tuple[str, ...]:
    if settings.labels is None:
        return ()
    try:
        labels = tuple(line.strip() for line in settings.labels.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels {settings.labels} cannot be read: one class a line, in UTF-8, is wanted") from error
    if len(labels) != classes:
        raise CheckpointError(f"{settings.labels} names {len(labels)} classes, and the network has {classes}")
    return labels
