"""Keras' .h5 and .keras files: arrays by layer and role ("conv1/kernel"), and what the model's configuration says."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from edgekit import extras
from edgekit.errors import CheckpointError
from edgekit.models.architecture import Options
from edgekit.models.readers.contents import Contents, Group
from edgekit.models.readers.torch_files import damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from edgekit.models.architecture import Size


def read_h5(path: Path) -> Contents:
    """What Keras 2 wrote, or Keras 3 with save_weights.

    Raises:
        CheckpointError: it is damaged, or its model does what edgekit cannot do.
        MissingDependency: h5py is not installed.
    """
    h5py = extras.load("h5py", "keras")
    try:
        with h5py.File(path, "r") as file:
            config = json.loads(file.attrs.get("model_config", "{}"))
            group = file.get("model_weights", file)
            # Without names there are no layers in the old format: then it is what Keras 3's save_weights writes.
            arrays = dict(_named_arrays(group) if "layer_names" in group.attrs else _numbered_arrays(group, {}))
    except Exception as error:  # h5py raises nearly anything on a damaged file
        raise damaged(path, error, "model.save(path)") from error
    return _keras_contents(path, arrays, config)


def read_zip(path: Path) -> Contents:
    """What Keras 3 wrote.

    Raises:
        CheckpointError: it is damaged, or its model does what edgekit cannot do.
        MissingDependency: h5py is not installed.
    """
    h5py = extras.load("h5py", "keras")
    try:
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights:
            config = json.loads(archive.read("config.json"))
            with h5py.File(weights, "r") as file:
                arrays = dict(_numbered_arrays(file, dict(_layer_paths(config["config"], "layers"))))
    except Exception as error:  # as above, and so does zipfile
        raise damaged(path, error, "model.save(path)") from error
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
    stated = Options()
    if (resolution := _resolution(layer for _, layer in layers)) is not None:
        stated["resolution"] = resolution
    if len(eps) == 1:
        stated["bn_eps"] = eps.pop()
    weights = {name: torch.tensor(array) for name, array in arrays.items()}
    return Contents((Group((), weights),), stated=stated, by="the Keras model", notes=tuple(notes))


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
