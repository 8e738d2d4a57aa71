"""A trained network as it was loaded: a checkpoint or an ONNX file, with what the file says of its input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from edgekit import extras, facts
from edgekit.capture import input_shape, num_classes
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD, normalization_name
from edgekit.errors import CheckpointError, ConfigError
from edgekit.exporters.onnx import FORMAT as ONNX
from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS
from edgekit.ir import LOGITS
from edgekit.models.structures import body
from edgekit.models.task_architecture import HEADS
from edgekit.passes import float_form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgekit.capture.onnx import Captured
    from edgekit.capture.onnx_head import Arithmetic
    from edgekit.config import ModelSettings
    from edgekit.ir import Graph
    from edgekit.models.architecture import Options
    from edgekit.models.checkpoint import Checkpoint
    from edgekit.models.structures import Structure

    Answering = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]
    Variant = Callable[[Mapping[str, Any]], nn.Module | Graph]

AS_EXPORTED = ("architecture", "size")  # the entries of a provenance that ``load_as_exported`` reads
HALF = 0.5  # pixels to -1..1: what TensorFlow's MobileNets were trained with
# What leaves no trace in weights.
OPTIONS = ("resolution", "padding", "bn_eps", "activation", "head_activation", "cifar_stem")
FINDABLE = ("padding", "bn_eps", "activation")  # options that batch normalization can show


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, as it was loaded.

    Attributes:
        path: of the file; what stands for it in messages, where there is none.
        shape: of its input, [C, H, W].
        outputs: normalized images [N, C, H, W] to the network's outputs by name, float32.
        capture: gives its graph.
        mean: of each channel, on a 0..1 scale, usual for its layout.
        std: of each channel, likewise.
        provenance: where it comes from (checkpoint hash, architecture), JSON values.
        description: what the file was, for people.
        facts: what is taken to be true of it and its weights do not tell: stated by its file, given, or assumed.
        overruled: what its file states, where something else was given.
        options: names of those facts that it can be built otherwise by.
        variant: builds it by some values of these, with its batch normalization: a module of its own, or a graph.
        notes: what was chosen and left aside on the way, for people.
        in_memory: what it is, where it came from no file ("MyNet in memory").
        labels: names of what it tells apart, where its file has them.
        is_recorded: edgekit's training recorded how images become its input: they need not be asked.
    """

    path: Path
    shape: tuple[int, int, int]
    outputs: Answering = field(repr=False)
    capture: Callable[[], Graph] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: dict[str, Any]
    description: str
    facts: tuple[Fact, ...]
    overruled: tuple[Fact, ...]
    options: tuple[str, ...]
    variant: Variant = field(repr=False)
    notes: tuple[str, ...]
    in_memory: str | None = None
    labels: tuple[str, ...] = ()
    is_recorded: bool = False


class Network(Protocol):
    """Where a trained network comes from: a file that settings name, a module in memory, or the user's own code."""

    def load(self, settings: ModelSettings) -> Trained:
        """Load it.

        Raises:
            CheckpointError: it cannot be read, or is not what was asked for.
            UnsupportedOperator: it holds an operator that edgekit does not know.
            ConfigError: a setting contradicts it, or is missing.
            MissingDependency: reading it needs an extra.
        """

    def left_open(self, settings: ModelSettings) -> tuple[str, ...]:
        """Those of ``OPTIONS`` that it does not say itself."""


class _FromFile:
    """``model.checkpoint``: a checkpoint, or an ONNX file."""

    def load(self, settings: ModelSettings) -> Trained:
        """Load it; see ``Network``."""
        path = settings.checkpoint
        if path is None:
            raise ConfigError(
                "no checkpoint is named: edgekit export CHECKPOINT, or checkpoint = … under [model] of edgekit.toml"
            )
        return _from_onnx(path, settings) if _is_onnx(path) else _from_checkpoint(path, settings)

    def left_open(self, settings: ModelSettings) -> tuple[str, ...]:
        """All that leaves no trace in weights; of a graph, the size of its image."""
        return ("resolution",) if settings.checkpoint is not None and _is_onnx(settings.checkpoint) else OPTIONS


FROM_FILE: Final[Network] = _FromFile()


def load_as_exported(settings: ModelSettings, provenance: Mapping[str, Any], network: Network = FROM_FILE) -> Trained:
    """``network``; what the settings leave open is as the export had it that wrote ``provenance``.

    Raises:
        BadInput: the network cannot be read, or is to have other heads than the export had.
    """
    names = network.left_open(settings)
    known: dict[str, Any] = dict(provenance.get("architecture") or {})
    if names == ("resolution",):
        known = {"resolution": provenance.get("size")}
    if isinstance(both := known.get("resolution"), list):  # height and width, from JSON
        known["resolution"] = tuple(both)
    if HEADS in known:
        settings = replace(settings, heads=_heads(settings.heads, tuple(head["name"] for head in known[HEADS])))
    open_keys = [name for name in names if getattr(settings, name) is None]
    return network.load(replace(settings, **{name: known[name] for name in open_keys if name in known}))


def _heads(wanted: tuple[str, ...] | None, exported: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is not None and set(wanted) != set(exported):
        raise ConfigError(
            f"--heads is {', '.join(wanted)}, and the export before had {', '.join(exported)}: its ranges serve these "
            f"heads together. Leave --heads out, or find ranges of their own by --calib DIR in place of --ranges"
        )
    return exported


def options_of(settings: ModelSettings) -> Options:
    """What is given of that which leaves no trace in weights."""
    given = {name: value for name in OPTIONS if (value := getattr(settings, name)) is not None}
    return cast("Options", given)


def _is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ".onnx"


def _from_checkpoint(path: Path, settings: ModelSettings) -> Trained:
    extras.load("torch", "torch")  # 1.5 s that an ONNX file does not need here

    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.choosing import only  # noqa: PLC0415 - likewise

    loaded = checkpoint.load(path, family=settings.family, num_classes=settings.classes, **options_of(settings))
    return of_checkpoint(loaded if settings.heads is None else only(loaded, settings.heads), path)


def of_checkpoint(loaded: Checkpoint, path: Path) -> Trained:
    """A network of edgekit's own families; ``path`` is what stands for it in messages."""
    torch = extras.load("torch", "torch")
    architecture = loaded.structure
    mean, std = _usual(architecture)

    def outputs(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            given = loaded.module(torch.from_numpy(images))
        named = given if isinstance(given, dict) else {LOGITS: given}
        return {name: output.numpy() for name, output in named.items()}

    def variant(options: Mapping[str, Any]) -> nn.Module:
        return loaded.variant(**cast("Options", options))

    def graph() -> Graph:
        from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import

        return capture(loaded.module, architecture.name, (architecture.in_channels, *architecture.size))

    return Trained(
        path=path,
        shape=(architecture.in_channels, *architecture.size),
        outputs=outputs,
        capture=graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": loaded.sha256, "architecture": architecture.to_dict()},
        description=loaded.source,
        facts=loaded.facts,
        overruled=loaded.overruled,
        options=tuple(
            fact.name for fact in loaded.facts if fact.name in FINDABLE and (fact.is_assumed or not loaded.is_own)
        ),
        variant=variant,
        notes=loaded.notes,
        labels=() if loaded.recorded is None else loaded.recorded.labels,
        is_recorded=loaded.recorded is not None,
    )


def _usual(architecture: Structure) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of such a network, where nothing says them; an ensemble always says them."""
    # TensorFlow's padding gives away TensorFlow's training, on pixels from -1 to 1.
    is_half = getattr(body(architecture), "padding", None) == "same" or architecture.in_channels != len(IMAGENET_MEAN)
    half = (HALF,) * architecture.in_channels
    return (half, half) if is_half else (IMAGENET_MEAN, IMAGENET_STD)


def _from_onnx(path: Path, settings: ModelSettings) -> Trained:
    for name in ("family", *OPTIONS[1:]):
        if getattr(settings, name) is not None:
            raise ConfigError(f"model.{name} is set, and an ONNX file says that itself: leave it out for {path}")

    from edgekit.capture.onnx import capture  # noqa: PLC0415 - needs the onnx extra

    side = settings.resolution
    captured = capture(path, (side, side) if isinstance(side, int) else side)
    form = float_form(captured.graph)
    if settings.classes not in {None, classes := num_classes(form)}:
        raise CheckpointError(
            f"{path}: the network has {classes or 'no'} classes, and {settings.classes} are expected:"
            " give the file of the network that was trained on them"
        )

    channels, *size = input_shape(captured.graph)
    half = (HALF,) * channels
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == len(IMAGENET_MEAN) else (half, half)

    def outputs(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        torch = extras.load("torch", "torch")

        from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - needs torch

        with torch.inference_mode():
            return {name: given.numpy() for name, given in FloatExecutor(form)(torch.from_numpy(images)).items()}

    return Trained(
        path=path,
        shape=input_shape(captured.graph),
        outputs=outputs,
        capture=lambda: captured.graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": size},
        description="ONNX",
        facts=_facts_of_onnx(captured) or _facts_of_metadata(path),
        overruled=(),
        options=(),
        variant=lambda _: form,
        notes=captured.notes,
    )


def _facts_of_metadata(path: Path) -> tuple[Fact, ...]:
    """What an ONNX file that edgekit wrote says of its images, on the basis that this had then."""
    about = ONNX.read(path).metadata
    if about is None:
        return ()
    if known := facts.of_provenance(about.provenance):
        return tuple(fact for fact in known if fact.name in INPUT_SETTINGS)
    return about.preprocessing.facts(Basis.STATED, "edgekit's metadata in the file")


def _facts_of_onnx(captured: Captured) -> tuple[Fact, ...]:
    """What an ONNX file says of its input by what it computes of it."""
    facts = []
    if captured.order is not None:
        facts.append(_order_behind_exchange(captured.order, captured.arithmetic))
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


def _order_behind_exchange(exchanged: str, own: Arithmetic | None) -> Fact:
    """What the network sees behind an exchange of channels: people exchange those of RGB, and those of OpenCV's BGR.

    Args:
        exchanged: what the network sees of RGB.
        own: what the file computes of its input.
    """
    order, because = exchanged, "the file exchanges the channels at its start, and images in RGB are the usual input"
    if own is not None and own.unit is not None:
        mean, std = ([value / own.unit for value in values] for values in (own.mean, own.std))
        name, is_reversed = normalization_name(mean, std) or ("", None)
        if is_reversed is not None:
            order = "BGR" if is_reversed else "RGB"
            because = f"the file exchanges the channels at its start, and normalizes them as {name} does {order}"
    return Fact("order", order, Basis.ASSUMED, because, INPUT_SETTINGS["order"])
