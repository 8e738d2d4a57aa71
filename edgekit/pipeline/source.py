"""The trained network: a checkpoint or an ONNX file, captured, with what is known about its input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit import extras
from edgekit.errors import CheckpointError, ConfigError, DataError
from edgekit.float_model import FloatModel
from edgekit.passes import float_form, integer_form
from edgekit.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.config import ModelSettings, PreprocessingSettings, Settings
    from edgekit.ir import Graph

    Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]

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
    logits: Logits = field(repr=False)
    description: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, as it was loaded.

    Attributes:
        path: of the file.
        logits: normalized images [N, C, H, W] to logits [N, classes], float32.
        capture: gives its graph.
        mean: of each channel, on a 0..1 scale, as the network was trained: known, or usual for its layout.
        std: of each channel, likewise.
        provenance: where it comes from (checkpoint hash, architecture), JSON values.
        description: what the file was, for people.
        notes: what was guessed and why, for people.
    """

    path: Path
    logits: Logits = field(repr=False)
    capture: Callable[[], Graph] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: dict[str, Any]
    description: str
    notes: tuple[str, ...]


def load_trained(settings: ModelSettings) -> Trained:
    """Load ``model.checkpoint``.

    Raises:
        CheckpointError: it cannot be read, or is no MobileNet that edgekit knows.
        UnsupportedOperator: it is an ONNX file with an operator that edgekit does not know.
        ConfigError: no checkpoint is named, or a setting contradicts it.
        MissingDependency: reading it needs an extra.
    """
    path = settings.checkpoint
    if path is None:
        raise ConfigError(
            "no checkpoint is named: edgekit export CHECKPOINT, or checkpoint = … under [model] of edgekit.toml"
        )
    return _from_onnx(path, settings) if path.suffix.lower() == ".onnx" else _from_checkpoint(path, settings)


def load_as_exported(settings: ModelSettings, provenance: Mapping[str, Any]) -> Trained:
    """``load_trained``; what the settings leave open is as the export had it that wrote ``provenance``.

    An ONNX file says that itself.
    """
    if settings.checkpoint is not None and settings.checkpoint.suffix.lower() == ".onnx":
        return load_trained(settings)
    architecture = provenance.get("architecture") or {}
    open_keys = [name for name in ("padding", "bn_eps", "resolution") if getattr(settings, name) is None]
    as_exported = {name: architecture[name] for name in open_keys if name in architecture}
    return load_trained(replace(settings, **as_exported))


def open_source(settings: Settings) -> Source:
    """Load and capture ``settings.model.checkpoint``.

    Raises:
        CheckpointError: it cannot be read, or is no MobileNet that edgekit knows.
        UnsupportedOperator: it holds an operator that edgekit does not know.
        ConfigError: no checkpoint is named, or a setting contradicts it.
        DataError: the labels cannot be read, or are not one a class.
        MissingDependency: reading it needs an extra.
    """
    trained = load_trained(settings.model)
    graph = trained.capture()
    form = float_form(graph)
    channels, height, width = graph.tensors[graph.input].shape
    (classes,) = form.tensors[form.outputs[0]].shape
    if channels != 3:
        raise CheckpointError(f"{trained.path} takes images of {channels} channels, and edgekit feeds 3, RGB or BGR")
    preprocessing = _preprocessing(settings.preprocessing, (height, width), trained)
    labels = _labels(settings.model.labels, classes)
    provenance = {**trained.provenance, "edgekit": __version__}
    if settings.export.device is not None:
        provenance["device"] = settings.export.device
    return Source(
        float_model=FloatModel(form, preprocessing, labels, provenance),
        integer_form=FloatModel(integer_form(graph), preprocessing, labels, provenance),
        logits=trained.logits,
        description=trained.description,
        notes=trained.notes,
    )


def _from_checkpoint(path: Path, settings: ModelSettings) -> Trained:
    torch = extras.load("torch", "torch")  # 1.5 s that an ONNX file does not need here

    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch

    loaded = checkpoint.load(
        path,
        family=settings.family,
        num_classes=settings.classes,
        resolution=settings.resolution,
        padding=settings.padding,
        bn_eps=settings.bn_eps,
    )
    architecture = loaded.architecture
    # TensorFlow's padding gives away TensorFlow's training, on pixels from -1 to 1.
    mean, std = (HALF, HALF) if architecture.padding == "same" else (IMAGENET_MEAN, IMAGENET_STD)

    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = loaded.module(torch.from_numpy(images)).numpy()
        return result

    def graph() -> Graph:
        from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import

        shape = (architecture.in_channels, architecture.resolution, architecture.resolution)
        return capture(loaded.module, architecture.name, shape)

    return Trained(
        path=path,
        logits=logits,
        capture=graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": loaded.sha256, "architecture": architecture.to_dict()},
        description=loaded.source,
        notes=loaded.notes,
    )


def _from_onnx(path: Path, settings: ModelSettings) -> Trained:
    for name in ("family", "resolution", "padding", "bn_eps"):
        if getattr(settings, name) is not None:
            raise ConfigError(f"model.{name} is set, and an ONNX file says that itself: leave it out for {path}")

    from edgekit.capture.onnx import capture  # noqa: PLC0415 - needs the onnx extra

    captured = capture(path)
    form = float_form(captured.graph)
    (classes,) = form.tensors[form.outputs[0]].shape
    if settings.classes not in {None, classes}:
        raise CheckpointError(
            f"{path}: the network has {classes} classes, and {settings.classes} are expected:"
            " give the file of the network that was trained on them"
        )

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    if captured.normalization is not None:  # the file computes it itself, from pixels up to 1 or up to 255
        own_mean, own_std = captured.normalization
        unit = 255.0 if max(own_std) > 1.0 else 1.0
        mean, std = (tuple(value / unit for value in values) for values in (own_mean, own_std))

    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        torch = extras.load("torch", "torch")

        from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - needs torch

        with torch.inference_mode():
            result: NDArray[np.float32] = FloatExecutor(form)(torch.from_numpy(images)).numpy()
        return result

    return Trained(
        path=path,
        logits=logits,
        capture=lambda: captured.graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        description="ONNX",
        notes=captured.notes,
    )


def _preprocessing(settings: PreprocessingSettings, size: tuple[int, int], trained: Trained) -> Preprocessing:
    """What is not set is as the network was trained, and 256 pixels for a crop of 224."""
    mean, std = settings.mean or trained.mean, settings.std or trained.std  # set together, as the settings see to
    resize = settings.resize if settings.resize is not None else round(min(size) * 256 / 224)
    return Preprocessing(size, None if resize == "none" else resize, mean, std, settings.order)


def _labels(path: Path | None, classes: int) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a text file of labels, one class a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels {path} cannot be read: one class a line, in UTF-8, is wanted") from error
    if len(labels) != classes:
        raise DataError(f"{path} names {len(labels)} classes, and the network has {classes}: one a line is wanted")
    return labels
