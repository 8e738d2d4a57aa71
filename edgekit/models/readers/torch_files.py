"""PyTorch's pickles and .safetensors. Nothing is ever run: pickles are read by a loader that knows only tensors."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from edgekit import extras
from edgekit.errors import ArtifactError, CheckpointError
from edgekit.models.architecture import Options
from edgekit.models.names import WAY_BY_ONNX
from edgekit.models.readers.contents import ARCHITECTURE_KEY, ASSUMED_KEY, RECORDED_KEY, Contents, Group
from edgekit.models.readers.fake_quantization import without_observers
from edgekit.models.readers.parametrizations import made_whole
from edgekit.models.recorded import Recorded
from edgekit.models.structures import from_dict as architecture_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

# Training scripts store their command line and numpy's numbers beside the weights. Neither can run anything.
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN_DATA: list[Any] = [
    argparse.Namespace,
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),  # the name until numpy 2
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64")},
]
_MAX_CLASSES = 32  # that a checkpoint may hold objects of beside its weights
# Libraries whose files hold a whole object, by how the names of its classes begin.
_WHOLE_MODELS = {
    "ultralytics.": ("a YOLO of Ultralytics", "edgekit exports MobileNet classifiers; YOLO has an export of its own"),
    "models.yolo": ("a YOLOv5", "edgekit exports MobileNet classifiers; YOLO has an export of its own"),
    "fastai.": ("a Learner of fastai", "torch.save(learn.model.state_dict(), 'model.pth')"),
    "transformers.training_args": ("the arguments of a training", "give model.safetensors, which lies beside it"),
    "sklearn.": ("a model of scikit-learn", "give a trained MobileNet"),
    "numpy.": (
        "arrays of NumPy",
        "save tensors: torch.save({name: torch.from_numpy(a) for name, a in …}, 'model.pth')",
    ),
    "paddle": ("parameters of PaddlePaddle", "export them with paddle2onnx, then edgekit export model.onnx"),
}
_MAX_DEPTH = 8  # of mappings in mappings; a crafted pickle may contain itself


def read_pickle(path: Path) -> Contents:
    """What torch.save wrote.

    Raises:
        CheckpointError: it is damaged, or would run code.
    """
    unknown: list[str] = []
    while True:
        try:
            value = _load(path, unknown)
            break
        except pickle.UnpicklingError as error:
            code = re.search(r"GLOBAL ([\w.]+)", str(error))
            if code is None or code[1] in unknown or len(unknown) == _MAX_CLASSES:
                raise _unpicklable(path, [*unknown, *([code[1]] if code else [])]) from error
            unknown.append(code[1])
        except Exception as error:  # torch.load raises nearly anything on a damaged file
            raise damaged(path, error, "torch.save(model.state_dict(), path)") from error
    groups = tuple(_walk(value, (), set()))
    if not groups:
        raise _unpicklable(path, unknown) if unknown else _no_weights(path)
    contents = _whole(groups)
    if unknown:
        note = f"left aside unread, as they need code: objects of {', '.join(unknown)}"
        return replace(contents, notes=(*contents.notes, note))
    return contents


class _Unread:
    """What stands for an object whose class only the training knows: it takes everything and does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Unread:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _load(path: Path, unknown: Sequence[str]) -> object:
    """What torch's loader of plain data makes of a file, with nothing in place of objects of ``unknown`` classes."""
    allowed = [*_PLAIN_DATA, *((_Unread, name) for name in unknown)]
    # torch warns of what old files hold, which is nothing that the user could change.
    allowing, silenced = torch.serialization.safe_globals(allowed), warnings.catch_warnings(action="ignore")
    with allowing, silenced, path.open("rb") as file:  # given the path, torch would go by its suffix
        return torch.load(file, map_location="cpu", weights_only=True)


def read_safetensors(path: Path) -> Contents:
    """What safetensors wrote, and the architecture that edgekit adds.

    Raises:
        CheckpointError: it is damaged.
        MissingDependency: safetensors is not installed.
    """
    safetensors = extras.load("safetensors", "torch")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            values = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the file is no mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(path, error, "safetensors.torch.save_file(model.state_dict(), path)") from error
    groups = tuple(_walk(values, (), set()))
    if not groups:
        raise _no_weights(path)
    architecture = _saved(path, metadata, ARCHITECTURE_KEY, architecture_from)
    recorded = _saved(path, metadata, RECORDED_KEY, Recorded.from_dict)
    assumed = _saved(path, metadata, ASSUMED_KEY, lambda names: tuple(map(str, names))) or ()
    return replace(_whole(groups), architecture=architecture, recorded=recorded, assumed=assumed)


def damaged(path: Path, error: Exception, how: str) -> CheckpointError:
    """The error for a file that its own library cannot read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return CheckpointError(f"{path} is damaged or not what its suffix says ({reason}): save it again with {how}")


def holds_code(path: Path, what: str) -> CheckpointError:
    """The error for a file that holds a program."""
    return CheckpointError(
        f"{path} holds {what}, not only weights, and edgekit never runs a file's code: save model.state_dict() instead"
        f" of the whole model, or bring the network as ONNX: {WAY_BY_ONNX}"
    )


def _unpicklable(path: Path, classes: Sequence[str]) -> CheckpointError:
    if not classes:
        return CheckpointError(f"{path} is no PyTorch checkpoint, or is damaged: download or save it again")
    for prefix, (what, way) in _WHOLE_MODELS.items():
        if any(name.startswith(prefix) for name in classes):
            return CheckpointError(f"{path} holds {what} as code ({classes[0]}), which edgekit never runs: {way}")
    return holds_code(path, f"code ({classes[0]})")


def _no_weights(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} holds no weights: save model.state_dict()")


def _saved(path: Path, metadata: Mapping[str, str], key: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    """What edgekit saved under a key of the metadata, if it did."""
    if key not in metadata:
        return None
    try:
        return read(json.loads(metadata[key]))
    except (ValueError, ArtifactError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _whole(groups: Sequence[Group]) -> Contents:
    """The mappings with weights in parts put together and without what training wrapped them in."""
    notes: dict[str, None] = {}
    stated = Options()
    whole = []
    for group in groups:
        plain, told, left = without_observers(group.weights)
        weights, done = made_whole(plain)
        whole.append(replace(group, weights=weights))
        notes |= dict.fromkeys((*left, *done))
        stated |= told
    contents = Contents(tuple(whole), notes=tuple(notes))
    return replace(contents, stated=stated, by="layers fused for quantization-aware training") if stated else contents


def _walk(value: object, path: tuple[str, ...], seen: set[int], beside: tuple[str, ...] = ()) -> Iterator[Group]:
    if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping) or len(path) > _MAX_DEPTH or id(value) in seen:
        return
    seen.add(id(value))
    others = [str(key) for key, item in value.items() if not isinstance(item, Tensor)]
    tensors = {str(key): item.detach() for key, item in value.items() if isinstance(item, Tensor)}
    if tensors:
        marks = {str(key): torch.empty(0) for key, item in value.items() if _is_quantization_mark(str(key), item)}
        yield Group(path, marks | tensors, (*beside, *others))
    for key, item in value.items():
        yield from _walk(item, (*path, str(key)), seen, (*beside, *(str(other) for other in value if other != key)))


def _is_quantization_mark(key: str, item: object) -> bool:
    """Whether an entry without a tensor says that the weights beside it are integers (torch.ao.quantization)."""
    return not isinstance(item, Tensor) and key.endswith((".zero_point", "_packed_params"))
