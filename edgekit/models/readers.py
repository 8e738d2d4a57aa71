"""Files to named tensors. Nothing in a file is ever run: pickles are read by a loader that knows only tensors."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from edgekit import extras
from edgekit.errors import ArtifactError, CheckpointError
from edgekit.models.architecture import Architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edgekit.models.architecture import Size

ARCHITECTURE_KEY = "edgekit.architecture"  # in the metadata of a .safetensors file


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Contents:
    """What a file holds.

    Attributes:
        weights: by the file's own names.
        architecture: that edgekit saved with them, else None.
        resolution: of the input image in pixels, where the file tells it.
        bn_eps: of batch normalization, where the file tells it.
        notes: what was chosen on the way, for people.
    """

    weights: Mapping[str, Tensor] = field(repr=False)
    architecture: Architecture | None = None
    resolution: int | Size | None = None
    bn_eps: float | None = None
    notes: tuple[str, ...] = ()


def read(path: Path) -> Contents:
    """What the file holds.

    Raises:
        CheckpointError: it is missing, empty, damaged, of an unknown format, or a pickle that would run code.
        MissingDependency: its format needs an extra.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: give the path of a trained checkpoint")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: give the path of a checkpoint file in it")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty: download or save it again")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CheckpointError(
            f"{path} has the suffix {path.suffix!r}, and checkpoints are {', '.join(_READERS)}:"
            " save the model's state_dict() as .pth"
        )
    return reader(path)


# Training scripts store their command line and numpy's numbers beside the weights. Neither can run anything.
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN_DATA: list[Any] = [
    argparse.Namespace,
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),  # the name until numpy 2
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64")},
]


def _torch(path: Path) -> Contents:
    if _is_torchscript(path):
        raise _not_weights(path, "a TorchScript program")
    try:
        # torch warns of what old files hold, which is nothing that the user could change.
        with torch.serialization.safe_globals(_PLAIN_DATA), warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unpicklable(path, str(error)) from error
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        raise _damaged(path, error, "torch.save(model.state_dict(), path)") from error
    weights, notes = _state_dict(path, value)
    return Contents(weights, notes=notes)


def _unpicklable(path: Path, message: str) -> CheckpointError:
    code = re.search(r"GLOBAL ([\w.]+)", message)
    if code is None:
        return CheckpointError(f"{path} is no PyTorch checkpoint, or is damaged: download or save it again")
    return _not_weights(path, f"code ({code[1]})")


def _is_torchscript(path: Path) -> bool:
    """Whether the file was written by torch.jit.save, whose archives hold a table of constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # noqa: BLE001 - no zip, or a damaged one, of which torch.load tells more
        return False


def _not_weights(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds {what}, not only weights, and edgekit never runs a file's code:"
        " save model.state_dict() instead of the whole model"
    )


def _damaged(path: Path, error: Exception, how: str) -> CheckpointError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CheckpointError(f"{path} is damaged or not what its suffix says ({reason}): save it again with {how}")


# Where training scripts put the weights, the averaged ones first: those are the ones that people deploy.
_WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
)
_MAX_WRAPPINGS = 8  # a crafted pickle may contain itself
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
_AVERAGE_COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel


def _state_dict(path: Path, value: object) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights in what was loaded, out of all wrappings, and which wrapping they were in."""
    notes = []
    for _ in range(_MAX_WRAPPINGS):
        wrappers = [key for key in _WRAPPERS if isinstance(value, Mapping) and isinstance(value.get(key), Mapping)]
        if not wrappers:
            break
        if len(wrappers) > 1:
            notes.append(f"weights taken from {wrappers[0]!r}; the file has {', '.join(wrappers[1:])}, too")
        value = cast("Mapping[str, object]", value)[wrappers[0]]
    tensors = {}
    if isinstance(value, Mapping):
        _refuse_quantized(path, value)
        tensors = {str(key): item for key, item in value.items() if isinstance(item, Tensor)}
    tensors.pop(_AVERAGE_COUNTER, None)
    if not tensors:
        raise CheckpointError(f"{path} holds no weights: save model.state_dict()")
    return _without_prefix(tensors), tuple(notes)


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names without what DistributedDataParallel, torch.compile and wrapping modules put before all of them."""
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            return _without_prefix({key.removeprefix(prefix): tensor for key, tensor in tensors.items()})
    return tensors


def _refuse_quantized(path: Path, values: Mapping[Any, Any]) -> None:
    marks = ("_packed_params", "weight_fake_quant", "activation_post_process", ".zero_point")
    for key, item in values.items():
        is_quantized = isinstance(item, Tensor) and (
            item.is_quantized or item.dtype in {torch.int8, torch.uint8, torch.quint8, torch.qint8}
        )
        if is_quantized or any(mark in str(key) for mark in marks):
            raise CheckpointError(
                f"{path} is quantized already ({key}): give the float checkpoint that it was made from"
            )


def _safetensors(path: Path) -> Contents:
    safetensors = extras.load("safetensors", "torch")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the file is no mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise _damaged(path, error, "safetensors.torch.save_file(model.state_dict(), path)") from error
    weights, notes = _state_dict(path, values)
    return Contents(weights, architecture=_architecture(path, metadata), notes=notes)


def _architecture(path: Path, metadata: Mapping[str, str]) -> Architecture | None:
    if ARCHITECTURE_KEY not in metadata:
        return None
    try:
        return Architecture.from_dict(json.loads(metadata[ARCHITECTURE_KEY]))
    except (ValueError, ArtifactError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _keras_h5(path: Path) -> Contents:
    h5py = extras.load("h5py", "keras")
    try:
        with h5py.File(path, "r") as file:
            config = json.loads(file.attrs.get("model_config", "{}"))
            group = file.get("model_weights", file)
            # Without names there are no layers in the old format: then it is what Keras 3's save_weights writes.
            arrays = dict(_named_arrays(group) if "layer_names" in group.attrs else _numbered_arrays(group, {}))
    except Exception as error:  # h5py raises nearly anything on a damaged file
        raise _damaged(path, error, "model.save(path)") from error
    return _keras_contents(path, arrays, config)


def _keras_zip(path: Path) -> Contents:
    h5py = extras.load("h5py", "keras")
    try:
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights:
            config = json.loads(archive.read("config.json"))
            with h5py.File(weights, "r") as file:
                arrays = dict(_numbered_arrays(file, dict(_layer_paths(config["config"], "layers"))))
    except Exception as error:  # as above, and so does zipfile
        raise _damaged(path, error, "model.save(path)") from error
    return _keras_contents(path, arrays, config)


def _named_arrays(group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - h5py has no type information
    """Keras' HDF5 format: a group a layer, which lists the names of its weights ("conv1/kernel:0")."""
    for layer in group.attrs["layer_names"]:
        for name in group[_text(layer)].attrs["weight_names"]:
            path, _, role = _text(name).partition(":")[0].rpartition("/")
            yield f"{path}/{role.removeprefix('depthwise_')}", group[_text(layer)][_text(name)][()]


_BATCH_NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def _numbered_arrays(file: Any, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - see above
    """Keras 3's format: layers numbered by class ("layers/conv2d_1/vars/0"), named in ``names`` or in place."""
    found: list[tuple[str, Any]] = []
    file.visititems(lambda path, item: found.append((path, item)) if path.endswith("/vars") else None)
    for path, group in found:
        layer = names.get(path.removesuffix("/vars")) or _text(group.attrs.get("name", ""))
        roles = _BATCH_NORM_ROLES if len(group) == len(_BATCH_NORM_ROLES) else ("kernel", "bias")
        if path.startswith("layers/"):  # the optimizer has variables, too
            for index in sorted(group, key=int):
                yield f"{layer}/{roles[int(index)]}", group[index][()]


def _layer_paths(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Paths of Keras 3's format, and the names of the layers there (keras/src/saving/saving_lib.py)."""
    counts: dict[str, int] = {}
    for layer in config["layers"]:
        snake = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])
        snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower()
        counts[snake] = counts.get(snake, -1) + 1
        path = f"{prefix}/{snake}_{counts[snake]}" if counts[snake] else f"{prefix}/{snake}"
        yield path, layer["config"]["name"]
        if "layers" in layer["config"]:
            yield from _layer_paths(layer["config"], f"{path}/layers")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _keras_contents(path: Path, arrays: Mapping[str, Any], config: Mapping[str, Any]) -> Contents:
    if not arrays:
        raise CheckpointError(f"{path} holds no weights of layers: save it again with model.save(path)")
    layers = list(_layer_configs(config.get("config", {})))
    eps = {layer["epsilon"] for kind, layer in layers if kind == "BatchNormalization" and "epsilon" in layer}
    notes = []
    if any(kind == "Rescaling" for kind, _ in layers):
        notes.append("the Keras model scales images itself (Rescaling); here that belongs to the preprocessing")
    return Contents(
        {name: torch.tensor(array) for name, array in arrays.items()},
        resolution=_resolution(layer for _, layer in layers),
        bn_eps=eps.pop() if len(eps) == 1 else None,
        notes=tuple(notes),
    )


def _resolution(layers: Iterable[Mapping[str, Any]]) -> int | Size | None:
    """Height and width of the image that the first layer takes, in pixels; None where it takes any."""
    for layer in layers:
        match layer.get("batch_shape") or layer.get("batch_input_shape"):
            case [_, int(height), int(width), _]:
                return height if height == width else (height, width)
            case [_, _, _, _]:
                return None
    return None


def _layer_configs(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Class name and settings of each layer, those of models inside the model included."""
    for layer in config.get("layers", ()):
        yield layer["class_name"], layer["config"]
        yield from _layer_configs(layer["config"])


_READERS: Mapping[str, Callable[[Path], Contents]] = {
    ".pth": _torch,
    ".pt": _torch,
    ".bin": _torch,
    ".ckpt": _torch,
    ".tar": _torch,  # the reference scripts of PyTorch write model_best.pth.tar
    ".safetensors": _safetensors,
    ".h5": _keras_h5,
    ".hdf5": _keras_h5,
    ".keras": _keras_zip,
}
