"""Loads trained MobileNets, wherever they come from, and saves edgekit's own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from edgekit import extras, files
from edgekit.errors import CheckpointError
from edgekit.models import readers
from edgekit.models.inference import architecture_of
from edgekit.models.layouts import keras, mobilenet_v1, timm, torchvision
from edgekit.models.layouts.names import first_few
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture, Options, PaddingStyle, Size
    from edgekit.models.layouts.names import Renamed
    from edgekit.models.readers import Contents


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Checkpoint:
    """A trained network.

    Attributes:
        module: in evaluation mode, float32, giving logits.
        architecture: what it looks like.
        source: what the file was, for people ("torchvision state dict").
        sha256: of the file, in hexadecimal.
        notes: what was guessed and why, for people.
    """

    module: nn.Module = field(repr=False)
    architecture: Architecture
    source: str
    sha256: str
    notes: tuple[str, ...]


def load(  # noqa: PLR0913 - each is something that some checkpoint does not tell
    path: str | PathLike[str],
    *,
    family: str | None = None,
    num_classes: int | None = None,
    resolution: int | Size | None = None,
    padding: PaddingStyle | None = None,
    bn_eps: float | None = None,
) -> Checkpoint:
    """The network in a checkpoint: .pth, .safetensors, Keras .h5 or .keras; no code in it is run.

    Family, widths and classes are read from the weights' names and shapes. What those do not tell is taken from the
    file where it says so, else from how networks of that layout are trained:

    | layout | padding | bn_eps |
    |---|---|---|
    | torchvision V2 | symmetric | 1e-5 |
    | torchvision V3 | symmetric | 1e-3 |
    | timm | symmetric | 1e-5 |
    | timm, a file named tf_mobilenet... | same | 1e-3 |
    | Keras, and V1 under edgekit's names | same | 1e-3 |

    Args:
        path: the file.
        family: what the network must be ("mobilenet_v2"); None recognises it.
        num_classes: what the network must have; None takes any.
        resolution: of the image in pixels, one number or height and width, instead of the family's usual one.
        padding: instead of the layout's.
        bn_eps: instead of the layout's.

    Raises:
        CheckpointError: the file cannot be read, or is no MobileNet, or not the one that was asked for.
        ConfigError: a value that was given is invalid.
        MissingDependency: the file's format needs an extra.
    """
    path = Path(path)
    given = {"resolution": resolution, "padding": padding, "bn_eps": bn_eps}
    options = cast("Options", {name: value for name, value in given.items() if value is not None})
    contents = readers.read(path)
    contents = replace(contents, weights=_as_float32(path, contents.weights))
    try:
        source, architecture, weights, notes = _understand(path, contents, family, options)
        _check_classes(architecture, num_classes)
        module = _with_weights(architecture, weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(module, architecture, source, digest, contents.notes + notes)


def save(path: str | PathLike[str], module: nn.Module, architecture: Architecture) -> None:
    """Writes a network that ``build(architecture)`` made; ``load`` then has nothing to guess.

    Args:
        path: a .safetensors file, which is overwritten.
        module: the network.
        architecture: of the network.

    Raises:
        BadInput: the file cannot be written.
    """
    safetensors = extras.load("safetensors.torch", "torch")
    weights = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    metadata = {readers.ARCHITECTURE_KEY: json.dumps(architecture.to_dict())}
    files.write_bytes(Path(path), safetensors.save(weights, metadata=metadata))


def _as_float32(path: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32, counters as they are; refuses what is not a finite real number."""
    converted = {}
    for key, tensor in weights.items():
        if not tensor.dtype.is_floating_point and not key.endswith("num_batches_tracked"):
            raise CheckpointError(f"{path}: {key} is {tensor.dtype}, and weights are floating-point numbers")
        if tensor.dtype.is_floating_point and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {key} holds NaN or infinity: the training diverged, take an earlier epoch")
        if key.endswith(("running_var", "moving_variance")) and bool((tensor < 0).any()):
            raise CheckpointError(f"{path}: {key} holds a negative variance: the checkpoint is damaged")
        converted[key] = tensor.float() if tensor.dtype.is_floating_point else tensor
    return converted


def _understand(
    path: Path, contents: Contents, family: str | None, options: Options
) -> tuple[str, Architecture, Mapping[str, Tensor], tuple[str, ...]]:
    """Source, architecture, weights under edgekit's names, and notes."""
    if contents.architecture is not None:
        saved = contents.architecture
        if family not in {None, saved.family}:
            raise CheckpointError(f"the network is a {saved.family}, and no {family}")
        return "edgekit checkpoint", replace(saved, **options), contents.weights, ()
    renamed = _rename(contents.weights, f"{path.parent.name}/{path.name}")
    told: Options = {**_told(contents), **options}
    usual: Options = {"padding": renamed.padding, "bn_eps": renamed.bn_eps}
    guess = architecture_of(renamed.weights, family, {**usual, **told})
    assumed = [f"{name} {value}" for name, value in usual.items() if name not in told]
    notes = renamed.notes if assumed else ()
    if assumed:
        notes += (f"{' and '.join(assumed)}: how networks of this layout ({renamed.source}) are trained",)
    return renamed.source, guess.architecture, renamed.weights, guess.notes + notes


def _told(contents: Contents) -> Options:
    """What the file itself says."""
    told: Options = {}
    if contents.resolution is not None:
        told["resolution"] = contents.resolution
    if contents.bn_eps is not None:
        told["bn_eps"] = contents.bn_eps
    return told


def _rename(weights: Mapping[str, Tensor], file_name: str) -> Renamed:
    if torchvision.recognises(weights):
        return torchvision.rename(weights)
    if mobilenet_v1.recognises(weights):
        return mobilenet_v1.rename(weights)
    if timm.recognises(weights):
        return timm.rename(weights, file_name)
    if keras.recognises(weights):
        return keras.rename(weights)
    raise CheckpointError(
        f"not a MobileNet that edgekit knows: the weights are named {first_few(weights)}, and torchvision's, timm's"
        " and Keras' MobileNetV1 to V3 are known"
    )


def _check_classes(architecture: Architecture, wanted: int | None) -> None:
    if wanted is not None and architecture.num_classes != wanted:
        raise CheckpointError(
            f"the network has {architecture.num_classes} classes, and {wanted} are expected:"
            " give the checkpoint that was trained on them"
        )


def _with_weights(architecture: Architecture, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network, after a check that every weight has its place and every place its weight."""
    with torch.device("meta"):  # no memory, and no random numbers
        module = build(architecture)
    expected = module.state_dict()
    # Counters matter to nothing but training, and Keras and old checkpoints have none.
    counters = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith("num_batches_tracked")}
    weights = counters | dict(weights)
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    wrong = [
        f"{key} {list(weights[key].shape)} instead of {list(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": wrong}
    faults = [f"{len(keys)} {what} ({first_few(keys)})" for what, keys in found.items() if keys]
    if faults:
        raise CheckpointError(
            f"the weights are not those of a {architecture.family}: {'; '.join(faults)}."
            " Give the whole state_dict() of an unchanged network"
        )
    module.load_state_dict({key: tensor.clone().contiguous() for key, tensor in weights.items()}, assign=True)
    return module.eval()
