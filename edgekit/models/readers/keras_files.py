"""Keras' .h5 and .keras files: arrays by layer and role ("conv1/kernel"), and what the model's configuration says."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from edgekit import extras
from edgekit.errors import CheckpointError
from edgekit.facts import Basis, Fact
from edgekit.models import foreign
from edgekit.models.readers import keras_config
from edgekit.models.readers.contents import Contents, Group
from edgekit.models.readers.keras_layers import Layer, layers_of
from edgekit.models.readers.torch_files import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgekit.models.readers.keras_config import Said


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
    return _contents(path, arrays, config)


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
    return _contents(path, arrays, config)


def _named_arrays(group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - h5py has no type information
    """Keras' HDF5 format: a group a layer, which lists the names of its weights ("conv1/kernel:0")."""
    for layer in group.attrs["layer_names"]:
        for name in group[_text(layer)].attrs["weight_names"]:
            path, _, role = _text(name).partition(":")[0].rpartition("/")
            yield f"{path}/{role.removeprefix('depthwise_')}", group[_text(layer)][_text(name)][()]


_BATCH_NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
_STATISTICS = ("mean", "variance", "count")  # of a Normalization layer


def _numbered_arrays(file: Any, names: Mapping[str, Layer]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - see above
    """Keras 3's format: layers numbered by class ("layers/conv2d_1/vars/0"), named in ``names`` or in place."""
    found: list[tuple[str, Any]] = []
    file.visititems(lambda path, item: found.append((path, item)) if path.endswith("/vars") else None)
    for path, group in found:
        if not path.startswith("layers/"):  # the optimizer has variables, too
            continue
        layer = names.get(path.removesuffix("/vars"))
        name = layer.name if layer is not None else _text(group.attrs.get("name", ""))
        is_normalization = re.search(r"/normalization(_\d+)?/vars$", path) is not None
        roles = _STATISTICS if is_normalization else _roles(len(group), layer)
        for index in sorted(group, key=int):
            yield f"{name}/{roles[int(index)]}", group[index][()]


def _roles(count: int, layer: Layer | None) -> tuple[str, ...]:
    """What a layer's variables are, in their order; a batch normalization may lack its factor or summand."""
    if layer is not None and layer.kind == "BatchNormalization":
        has = {"gamma": layer.settings.get("scale", True), "beta": layer.settings.get("center", True)}
        return tuple(role for role in _BATCH_NORM_ROLES if has.get(role, True))
    return _BATCH_NORM_ROLES if count == len(_BATCH_NORM_ROLES) else ("kernel", "bias")


def _layer_paths(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Layer]]:
    """Paths of Keras 3's format, and the layers there (keras/src/saving/saving_lib.py)."""
    counts: dict[str, int] = {}
    for row in config["layers"]:
        snake = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", row["class_name"])
        snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", snake).lower()
        counts[snake] = counts.get(snake, -1) + 1
        path = f"{prefix}/{snake}_{counts[snake]}" if counts[snake] else f"{prefix}/{snake}"
        yield path, Layer(row["class_name"], row["config"]["name"], row["config"])
        if "layers" in row["config"]:
            yield from _layer_paths(row["config"], f"{path}/layers")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _contents(path: Path, arrays: Mapping[str, Any], config: Mapping[str, Any]) -> Contents:
    if not arrays:
        raise CheckpointError(f"{path} holds no weights of layers: save it again with model.save(path)")
    layers = layers_of(config)
    statistics = _statistics(arrays)
    try:
        said = keras_config.read(layers, statistics)
    except CheckpointError as error:
        known = foreign.identify(arrays)
        raise CheckpointError(f"{path}: {error if known is None else foreign.refusal(arrays)}") from error
    least = said.options.get("bn_eps", 0.0)
    weights = {}
    for key, array in arrays.items():
        module, _, role = key.rpartition("/")
        name = module.rpartition("/")[2]
        if name in statistics:
            continue
        tensor = torch.tensor(array)
        if role == "moving_variance":  # what its epsilon is more than the least, so that one serves for all
            tensor = tensor + (said.epsilons.get(name, least) - least)
        if name in said.places:
            module = f"head.{said.places[name]}"
        elif name in said.names:
            module = said.names[name]
        weights[f"{module}/{role}"] = tensor
    return Contents(
        groups=(Group((), weights),),
        stated=said.options,
        facts=_facts(said, weights),
        strides=said.strides,
        by="the Keras model's configuration",
        notes=said.notes,
    )


def _statistics(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What Normalization layers learned of their data, by the layer's name."""
    found: dict[str, dict[str, Any]] = {}
    for key, array in arrays.items():
        layer, _, role = key.rpartition("/")
        if role in _STATISTICS:
            found.setdefault(layer.rpartition("/")[2], {})[role] = array
    return found


def _facts(said: Said, weights: Mapping[str, torch.Tensor]) -> tuple[Fact, ...]:
    """The normalization that the model does itself, one number a channel of its first convolution."""
    if said.normalization is None:
        return ()
    first = next((tensor for key, tensor in weights.items() if key.endswith("/kernel") and tensor.ndim == 4), None)
    channels = 3 if first is None else first.shape[2]
    mean, std = (list(values) * (channels if len(values) == 1 else 1) for values in said.normalization)
    because = "the Keras model normalizes its images itself, from pixels of 0 to 255"
    return (Fact("normalization", {"mean": mean, "std": std}, Basis.STATED, because, "--mean and --std"),)
