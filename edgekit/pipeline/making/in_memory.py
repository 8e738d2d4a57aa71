"""A network that is in memory, as a torch module or what torch.export made of one, in the place of a checkpoint.

What a checkpoint leaves open, padding and epsilon, a module says itself. What stays open is how images become its
input. A network that edgekit built is what its checkpoint would be, to a byte.
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from edgekit import extras
from edgekit.capture import input_shape, num_classes
from edgekit.capture.builder import AS_VECTOR
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.errors import CheckpointError, ConfigError
from edgekit.facts import BY_SETTING, Basis, Fact
from edgekit.passes import float_form
from edgekit.pipeline.making.given import GREY_REMEDY
from edgekit.pipeline.making.trained import HALF, OPTIONS, Trained, of_checkpoint, options_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from edgekit.config import ModelSettings
    from edgekit.ir import Graph
    from edgekit.models.network import Classifier, TaskNetwork
    from edgekit.pipeline.making.trained import Answering

_BATCH = 8  # images that go through a module at once
_USUAL_CHANNELS = (3, 1, 4)  # of images


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class InMemory:
    """A network in memory; it is copied, and left as it is.

    Attributes:
        network: takes normalized images [N, C, H, W], float32, and returns logits [N, classes].
        shape: of images that are its input already, [C, H, W]; None where that is not known.
        name: that its files get; None for that of its class.
    """

    network: nn.Module | ExportedProgram
    shape: tuple[int, int, int] | None = None
    name: str | None = None

    def load(self, settings: ModelSettings) -> Trained:
        """Load it; see ``trained.Network``."""
        trained = self._loaded(settings)
        if self.name is None:
            return trained
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ConfigError(f"name is {self.name!r}: files are called so, by letters, digits, dots, - and _")
        capture, name = trained.capture, self.name
        return replace(trained, capture=lambda: replace(capture(), name=name))

    def _loaded(self, settings: ModelSettings) -> Trained:
        torch = extras.load("torch", "torch")
        if isinstance(self.network, torch.export.ExportedProgram):
            return _from_program(cast("ExportedProgram", self.network), settings)
        if not isinstance(self.network, torch.nn.Module):
            raise CheckpointError(
                f"the model is a {type(self.network).__name__}: give a path, a torch.nn.Module, or what "
                f"torch.export.export made of one"
            )
        return _from_module(_unwrapped(self.network), settings, self.shape)

    def left_open(self, settings: ModelSettings) -> tuple[str, ...]:  # noqa: ARG002 - a Network is told
        """The size of the image, of a module that computes with any."""
        torch = extras.load("torch", "torch")
        if isinstance(self.network, torch.export.ExportedProgram):
            return ()
        return OPTIONS if _is_own(_unwrapped(self.network)) else ("resolution",)


def _unwrapped(network: nn.Module | ExportedProgram) -> Any:  # noqa: ANN401 - a module of the user's
    """The module that torch.compile, DataParallel or DistributedDataParallel was given."""
    torch = extras.load("torch", "torch")
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    inner: Any = network
    while isinstance(inner, parallel) or hasattr(inner, "_orig_mod"):  # the latter is torch.compile's
        inner = inner.module if isinstance(inner, parallel) else inner._orig_mod  # noqa: SLF001 - nothing else has it
    return inner


def _is_own(network: object) -> TypeGuard[Classifier | TaskNetwork]:
    """Whether edgekit built it."""
    from edgekit.models.network import Classifier, TaskNetwork  # noqa: PLC0415 - needs torch

    return isinstance(network, Classifier | TaskNetwork)


def _from_module(network: nn.Module, settings: ModelSettings, shape: tuple[int, int, int] | None) -> Trained:
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.choosing import only  # noqa: PLC0415 - likewise

    kind = type(network).__name__
    path = _place(kind)
    if _is_own(network):
        loaded = checkpoint.of_module(
            network, family=settings.family, num_classes=settings.classes, **options_of(settings)
        )
        loaded = loaded if settings.heads is None else only(loaded, settings.heads)
        return replace(of_checkpoint(loaded, path), in_memory=str(path))
    _refuse_options(settings, kind)
    from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import

    sized = _shape(network, settings, shape)
    module = _copied(network)
    weights = {key: tensor.detach().contiguous() for key, tensor in module.state_dict().items()}

    graph = capture(module, kind.lower(), sized)
    _check_classes(graph, settings)
    basis, because = (Basis.GIVEN, BY_SETTING) if settings.resolution else (Basis.STATED, "the images have it")
    trained = _trained(kind, graph, weights, _running(module, graph, None), _size(sized, basis, because))
    return replace(trained, notes=_dropped_axes(module, graph, 1))


def _from_program(program: ExportedProgram, settings: ModelSettings) -> Trained:
    from edgekit.capture.torch_export import capture_exported  # noqa: PLC0415 - needs torch

    torch = extras.load("torch", "torch")
    kind = "ExportedProgram"
    _refuse_options(settings, kind)
    image = next(
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in _given(program)
    )
    if settings.resolution is not None:
        raise ConfigError("model.resolution is set, and an ExportedProgram says that itself: leave it out")
    batch = image.shape[0] if isinstance(image.shape[0], int) else None
    constants = {name: value for name, value in program.constants.items() if isinstance(value, torch.Tensor)}
    weights = {key: tensor.detach().contiguous() for key, tensor in (program.state_dict | constants).items()}
    graph = capture_exported(program, kind.lower())
    _check_classes(graph, settings)
    fact = _size(input_shape(graph), Basis.STATED, "the program was exported for it")
    module = program.module()
    trained = _trained(kind, graph, weights, _running(module, graph, batch), fact)
    return replace(trained, notes=_dropped_axes(module, graph, batch or 1))


def _given(program: ExportedProgram) -> tuple[str, ...]:
    """The names of what a caller gives to a program."""
    names: tuple[str, ...] = tuple(map(str, program.graph_signature.user_inputs))
    return names


def _trained(
    kind: str,
    graph: Graph,
    weights: Mapping[str, Tensor],
    outputs: Answering,
    fact: Fact,
) -> Trained:
    form = float_form(graph)
    channels, height, width = input_shape(graph)
    half = (HALF,) * channels
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if channels == len(IMAGENET_MEAN) else (half, half)
    return Trained(
        path=_place(kind),
        shape=(channels, height, width),
        outputs=outputs,
        capture=lambda: graph,
        mean=mean,
        std=std,
        provenance={"checkpoint_sha256": _sha256(weights), "size": [height, width]},
        description="in memory",
        facts=(fact,),
        overruled=(),
        options=(),
        variant=lambda _: form,
        notes=(),
        in_memory=str(_place(kind)),
    )


def _check_classes(graph: Graph, settings: ModelSettings) -> None:
    classes = num_classes(graph)
    if settings.classes not in {None, classes}:
        raise CheckpointError(f"the network has {classes} classes, and {settings.classes} are expected")


def _place(kind: str) -> Path:
    """What stands in messages in the place of a path."""
    return Path(f"{kind} in memory")


def _refuse_options(settings: ModelSettings, kind: str) -> None:
    for name in ("family", *OPTIONS):
        if name != "resolution" and getattr(settings, name) is not None:
            raise ConfigError(f"model.{name} is set, and {kind} in memory says that itself: leave it out")


def _shape(network: nn.Module, settings: ModelSettings, shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """[C, H, W] of a module's input: of what is given, or of images that are its input already.

    Raises:
        ConfigError: nothing says it, or two say different things.
    """
    torch = extras.load("torch", "torch")
    first = next((part for part in network.modules() if isinstance(part, torch.nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    side = settings.resolution
    if side is None and shape is None:
        raise ConfigError(
            f"a {type(network).__name__} does not say what size of images it takes: --set model.resolution=224, or "
            f"HEIGHTxWIDTH; or give images of that size as arrays or tensors"
        )
    if side is None:
        assert shape is not None
        if shape[0] != channels and not _takes(network, shape):
            raise CheckpointError(
                f"the network takes images of {channels} channels, and those given have {shape[0]}"
                f"{GREY_REMEDY if shape[0] == 1 else ''}"
            )
        return shape
    height, width = (side, side) if isinstance(side, int) else side
    # Of what moves pixels into channels first (YOLOX's focus), the first convolution does not say what images have.
    likely = dict.fromkeys((channels, *(() if shape is None else shape[:1]), *_USUAL_CHANNELS))
    if channels not in _USUAL_CHANNELS:
        channels = next((count for count in likely if _takes(network, (count, height, width))), channels)
    return channels, height, width


def _takes(network: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a module runs on images of this shape: some move pixels about before their first convolution."""
    torch = extras.load("torch", "torch")
    try:
        with torch.no_grad():
            _copied(network)(torch.zeros(1, *shape))
    except Exception:  # noqa: BLE001 - a forward raises anything
        return False
    return True


def _size(shape: tuple[int, int, int], basis: Basis, because: str) -> Fact:
    _, height, width = shape
    value = height if height == width else [height, width]
    return Fact("resolution", value, basis, because, "--set model.resolution=PIXELS, or HEIGHTxWIDTH")


def _copied(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, float32, on the CPU.

    Raises:
        CheckpointError: it cannot be copied.
    """
    try:
        copied = copy.deepcopy(network)
    except Exception as error:  # a module may hold anything
        raise CheckpointError(
            f"the {type(network).__name__} cannot be copied ({error}): take out what is no weight, such as hooks"
        ) from error
    return copied.cpu().float().eval()


def _running(module: Any, graph: Graph, batch: int | None) -> Answering:  # noqa: ANN401 - of torch
    """Normalized images [N, C, H, W] to the outputs of ``graph``; ``batch`` at a time where only that goes."""

    def outputs(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        torch, pytree = extras.load("torch", "torch"), extras.load("torch.utils._pytree", "torch")
        size = batch or _BATCH
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), size):
                part = torch.from_numpy(images[start : start + size])
                missing = size - len(part) if batch else 0
                if missing:
                    part = torch.cat([part, torch.zeros(missing, *part.shape[1:])])
                given = [leaf for leaf in pytree.tree_leaves(module(part)) if leaf is not None]
                found.append([tensor[: size - missing].numpy() for tensor in given])
        arrays = map(np.concatenate, zip(*found, strict=True))  # in the order in which they were captured
        return {
            output.name: array.reshape(len(images), *graph.tensors[output.tensor].shape)
            for output, array in zip(graph.outputs, arrays, strict=True)
        }

    return outputs


def _dropped_axes(module: Any, graph: Graph, batch: int) -> tuple[str, ...]:  # noqa: ANN401 - of torch
    """That what a module gives has axes of one element which edgekit's files leave out."""
    if graph.logits is None:
        return ()
    torch, pytree = extras.load("torch", "torch"), extras.load("torch.utils._pytree", "torch")
    with torch.inference_mode():
        given = [
            leaf for leaf in pytree.tree_leaves(module(torch.zeros(batch, *input_shape(graph)))) if leaf is not None
        ]
    is_image = len(given) == 1 and given[0].ndim == len(("N", *input_shape(graph)))
    return (AS_VECTOR.format(classes=num_classes(graph)),) if is_image else ()


def _sha256(weights: Mapping[str, Tensor]) -> str:
    """That of the file which ``safetensors.torch.save_file`` writes of them, each in memory of its own."""
    safetensors = extras.load("safetensors.torch", "torch")
    own = {key: tensor.clone().cpu() for key, tensor in weights.items()}
    return hashlib.sha256(safetensors.save(own)).hexdigest()
