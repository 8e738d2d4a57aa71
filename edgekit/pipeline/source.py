"""The trained network: a checkpoint or an ONNX file, captured, with what is known about its input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras
from edgekit.capture import input_shape
from edgekit.errors import CheckpointError, ConfigError, DataError
from edgekit.facts import Basis, Fact
from edgekit.float_model import FloatModel
from edgekit.passes import float_form, integer_form
from edgekit.preprocessing import IMAGENET_MEAN, IMAGENET_STD, USUAL_ORDER, Preprocessing, orders_of
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.capture.onnx import Captured
    from edgekit.config import ModelSettings, PreprocessingSettings, Settings
    from edgekit.ir import Graph

    Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    _MeanStd = tuple[tuple[float, ...], tuple[float, ...]]

AS_EXPORTED = ("architecture", "size")  # the entries of a provenance that ``load_as_exported`` reads
HALF = 0.5  # pixels to -1..1: what TensorFlow's MobileNets were trained with


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
        facts: what the file says of its input, beside ``mean`` and ``std``, which it then decides.
    """

    path: Path
    logits: Logits = field(repr=False)
    capture: Callable[[], Graph] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: dict[str, Any]
    description: str
    notes: tuple[str, ...]
    facts: tuple[Fact, ...]


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

    An ONNX file says that itself, but for the size of its image, which it may leave open.
    """
    if settings.checkpoint is not None and settings.checkpoint.suffix.lower() == ".onnx":
        known = {"resolution": provenance.get("size")}
    else:
        known = dict(provenance.get("architecture") or {})
    if isinstance(both := known.get("resolution"), list):  # height and width, from JSON
        known["resolution"] = tuple(both)
    names = ("padding", "bn_eps", "head_activation", "resolution")
    open_keys = [name for name in names if getattr(settings, name) is None]
    return load_trained(replace(settings, **{name: known[name] for name in open_keys if name in known}))


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
    (classes,) = form.tensors[form.outputs[0]].shape
    preprocessing = _preprocessing(settings.preprocessing, input_shape(graph), trained)
    labels = () if settings.model.labels is None else read_labels(settings.model.labels, classes)
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
        head_activation=settings.head_activation,
    )
    architecture = loaded.architecture
    # TensorFlow's padding gives away TensorFlow's training, on pixels from -1 to 1.
    is_half = architecture.padding == "same" or architecture.in_channels != len(IMAGENET_MEAN)
    half = (HALF,) * architecture.in_channels
    mean, std = (half, half) if is_half else (IMAGENET_MEAN, IMAGENET_STD)
    for fact in loaded.facts:
        if fact.name == "normalization":
            mean, std = tuple(fact.value["mean"]), tuple(fact.value["std"])

    def logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = loaded.module(torch.from_numpy(images)).numpy()
        return result

    def graph() -> Graph:
        from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import

        return capture(loaded.module, architecture.name, (architecture.in_channels, *architecture.size))

    return Trained(
        path=path,
        logits=logits,
        capture=graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": loaded.sha256, "architecture": architecture.to_dict()},
        description=loaded.source,
        notes=loaded.notes,
        facts=(),
    )


def _from_onnx(path: Path, settings: ModelSettings) -> Trained:
    for name in ("family", "padding", "bn_eps", "head_activation"):
        if getattr(settings, name) is not None:
            raise ConfigError(f"model.{name} is set, and an ONNX file says that itself: leave it out for {path}")

    from edgekit.capture.onnx import capture  # noqa: PLC0415 - needs the onnx extra

    side = settings.resolution
    captured = capture(path, (side, side) if isinstance(side, int) else side)
    form = float_form(captured.graph)
    (classes,) = form.tensors[form.outputs[0]].shape
    if settings.classes not in {None, classes}:
        raise CheckpointError(
            f"{path}: the network has {classes} classes, and {settings.classes} are expected:"
            " give the file of the network that was trained on them"
        )

    channels, *size = input_shape(captured.graph)
    half = (HALF,) * channels
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == len(IMAGENET_MEAN) else (half, half)

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
        provenance={"checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": size},
        description="ONNX",
        notes=captured.notes,
        facts=_facts_of_onnx(captured),
    )


def _facts_of_onnx(captured: Captured) -> tuple[Fact, ...]:
    """What an ONNX file says of its input by what it computes of it."""
    facts = []
    if captured.order is not None:
        because = "the file exchanges the channels of its input at the start, which is taken to be RGB"
        facts.append(Fact("order", captured.order, Basis.STATED, because, "--set preprocessing.order=RGB|BGR"))
    if captured.arithmetic is not None:
        own, unit = captured.arithmetic, captured.arithmetic.unit
        basis, because = Basis.STATED, f"the file computes it of pixels from 0 to {unit or 1:g}"
        outer_mean, outer_std = 0.0, 1.0
        if unit is None:
            basis, outer_mean, outer_std = Basis.ASSUMED, HALF, HALF
            because = "the file computes with what was normalized before it: to -1 to 1, as is usual"
        mean = [outer_mean + value / (unit or 1) * outer_std for value in own.mean]
        std = [value / (unit or 1) * outer_std for value in own.std]
        setting = "--set preprocessing.mean=[…] --set preprocessing.std=[…]"
        facts.append(Fact("normalization", {"mean": mean, "std": std}, basis, because, setting))
    return tuple(facts)


def _preprocessing(settings: PreprocessingSettings, shape: tuple[int, int, int], trained: Trained) -> Preprocessing:
    """What is not set is as the network was trained, and 256 pixels for a crop of 224; ``shape`` is [C, H, W]."""
    channels, *size = shape
    if channels not in USUAL_ORDER:
        raise CheckpointError(
            f"{trained.path} takes images of {channels} channels, and edgekit feeds 1 (grey), 3 (colours) or 4 "
            f"(colours and one more): let the network take one of these"
        )
    facts = {fact.name: fact for fact in trained.facts}
    order = settings.order or (facts["order"].value if "order" in facts else USUAL_ORDER[channels])
    usual_mean, usual_std = trained.mean, trained.std
    if "normalization" in facts:
        usual_mean, usual_std = (tuple(facts["normalization"].value[key]) for key in ("mean", "std"))
    # Mean and std are set together, as the settings see to.
    mean = _of_channels("mean", settings.mean or usual_mean, channels)
    std = _of_channels("std", settings.std or usual_std, channels)
    if "normalization" in facts and facts["normalization"].basis is Basis.STATED:
        _check_stated(trained.path, (mean, std), (usual_mean, usual_std))
    if order not in orders_of(channels):
        raise ConfigError(
            f"preprocessing.order is {order}, and {trained.path} takes images of {channels} channels: "
            f"{' or '.join(orders_of(channels))} is wanted"
        )
    return Preprocessing((size[0], size[1]), _resize(settings, size), mean, std, order)


def _check_stated(path: Path, given: _MeanStd, stated: _MeanStd) -> None:
    """Refuse a normalization that is another than the one that the file itself brings along."""
    if not np.allclose(given, stated, rtol=1e-3, atol=1e-4):
        (mean, std) = ([float(f"{value:.4g}") for value in values] for values in stated)
        raise ConfigError(
            f"preprocessing.mean and .std are not those of {path}, which computes with mean {mean} and std {std} of "
            f"pixels from 0 to 1 by itself: leave them out, or cut that off the file"
        )


def _of_channels(name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value a channel; one alone stands for all."""
    if len(values) not in {1, channels}:
        raise ConfigError(
            f"preprocessing.{name} has {len(values)} values, and the network takes images of {channels} channels: one "
            f"a channel is wanted, or one for all"
        )
    return values if len(values) == channels else values * channels


def _resize(settings: PreprocessingSettings, size: Sequence[int]) -> int | tuple[int, int] | str | None:
    """As set; by default an image covers 256 pixels for a crop of 224, on either side."""
    match settings.resize:
        case "none":
            return None
        case int() | str() as given:
            return given
        case (rows, columns):
            return rows, columns
    rows, columns = (round(side * 256 / 224) for side in size)
    return rows if rows == columns else (rows, columns)


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """The names of ``classes`` classes, one a line.

    Raises:
        DataError: the file cannot be read, or holds another number of them.
    """
    try:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a text file of labels, one class a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels {path} cannot be read: one class a line, in UTF-8, is wanted") from error
    if len(labels) != classes:
        raise DataError(f"{path} names {len(labels)} classes, and the network has {classes}: one a line is wanted")
    return labels
