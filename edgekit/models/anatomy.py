"""A network layer by layer: what each reads, makes, holds and multiplies, and how much memory a run takes.

The network runs once, with zeros for weights and image, and every operator is seen on the way. Without numbers, on
torch's "meta" device, it would not be faster: operators are Python there, and import torch._dynamo, which takes 1.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgekit.models.building import built

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.models.architecture import Architecture
    from edgekit.models.task_architecture import TaskArchitecture

# Operators of torch that leave no tensor of their own in a file: those that are folded into the convolution before
# them, and those that only see a tensor in another shape.
_FUSED: Final = frozenset((
    *("relu", "hardtanh", "constant_pad_nd", "dropout"),
    *("view", "unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "t"),
    *("alias", "detach", "clone", "split", "slice", "select", "expand", "contiguous"),
))  # fmt: skip
_NORMALIZES: Final = "batch_norm"  # what the names of torch's several operators for it begin with
_TWO_OPERATORS: Final = "hardswish"  # which int8 files have as ADD and MUL, with a tensor between
_NEAR: Final = 3  # layers between which a depthwise layer's 1 x 1 convolution is: squeeze-and-excite has two


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or a linear layer.

    Attributes:
        name: of the module.
        kind: "dense", "depthwise", "pointwise" or "linear".
        reads: the shape of what it reads for one image, [C, H, W] or [C].
        makes: likewise of what it makes.
        kernel: rows and columns.
        parameters: weights, its bias, and the scale and shift of batch normalization behind it.
        macs: multiplications by weights, each with its addition, for one image.
    """

    name: str
    kind: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    kernel: tuple[int, int]
    parameters: int
    macs: int

    @property
    def block(self) -> str:
        """The part of the network that it belongs to: "features.3", "classifier"."""
        first, *others = self.name.split(".")
        return f"{first}.{others[0]}" if first == "features" and others else first

    @property
    def moved(self) -> int:
        """Numbers that are read and written, weights among them."""
        return prod(self.reads) + prod(self.makes) + self.parameters

    @property
    def intensity(self) -> float:
        """MACs for each number that is moved: with one byte a number, of an int8 file, MACs a byte."""
        return self.macs / self.moved


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A network, layer by layer.

    Attributes:
        layers: in the order in which they run.
        parameters: of all of it.
        peak: the most numbers that activations hold at one time, when each tensor is kept from the operator that makes
            it until the last that reads it, in the order in which the network runs; that is how runtimes plan memory.
        peak_at: the module that runs then.
    """

    layers: tuple[Layer, ...]
    parameters: int
    peak: int
    peak_at: str

    @property
    def macs(self) -> int:
        """Multiplications for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Numbers in the kernels of all layers, without biases."""
        return sum(_kernels(layer) for layer in self.layers)

    @property
    def channels(self) -> int:
        """Numbers of biases in a file: one for each channel that a layer makes."""
        return sum(layer.makes[0] for layer in self.layers)


def anatomy(architecture: Architecture | TaskArchitecture) -> Anatomy:
    """The layers of a network, for an image of the architecture's size.

    Raises:
        ConfigError: the architecture's family is unknown, or its backbone has no feature map that a head takes.
    """
    with torch.device("meta"):  # no random numbers
        network = built(architecture).eval()
    for module in network.modules():  # torch's own to_empty imports torch.fx and sympy, which takes half a second
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.zeros(parameter.shape), requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    watch = _Watch(network)
    with torch.no_grad(), watch:
        outputs = network(torch.zeros(1, architecture.in_channels, *architecture.size))
    kept = [outputs] if isinstance(outputs, Tensor) else list(outputs.values())
    peak, peak_at = _peak(watch.steps, {watch.held[id(one)] for one in kept if id(one) in watch.held})
    parameters = sum(one.numel() for one in network.parameters())
    return Anatomy(tuple(_joined(network, watch.layers)), parameters, peak, peak_at)


@dataclass(frozen=True, slots=True)
class Saving:
    """A depthwise separable convolution beside an ordinary one that makes the same shape.

    Attributes:
        name: of the depthwise layer.
        separable: MACs of the depthwise layer and of the 1 x 1 convolution behind it.
        ordinary: MACs of one convolution with the depthwise layer's kernel that reads and makes the same channels.
    """

    name: str
    separable: int
    ordinary: int

    @property
    def share(self) -> float:
        """What is left: 1 / N + 1 / K^2 for N channels and a K x K kernel. Source: arXiv:1704.04861, section 3.1."""
        return self.separable / self.ordinary


def savings(layers: Sequence[Layer]) -> tuple[Saving, ...]:
    """Each depthwise layer with a 1 x 1 convolution behind it, where both run on maps of one size."""
    found = []
    for place, layer in enumerate(layers):
        if layer.kind != "depthwise":
            continue
        behind = layers[place + 1 : place + 1 + _NEAR]
        pointwise = next((one for one in behind if one.kind == "pointwise" and one.reads == layer.makes), None)
        if pointwise is not None:
            made = pointwise.makes[0] * prod(layer.makes[1:])
            ordinary = prod(layer.kernel) * layer.reads[0] * made
            found.append(Saving(layer.name, layer.macs + pointwise.macs, ordinary))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Step:
    """An operator: the module that runs it, the tensors it reads, and the one that it makes, with its size."""

    module: str
    reads: tuple[int, ...]
    makes: int
    size: int


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's
    """Sees every operator and every layer of a run.

    Attributes:
        layers: modules with weights, with the shapes of what they read and make.
        steps: operators that make a tensor of their own.
        held: the number of the tensor that holds what each tensor of torch shows, by its identity.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.layers: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
        self.steps: list[_Step] = []
        self.held: dict[int, int] = {}
        self._alive: list[Tensor] = []  # so that no identity is used twice
        self._module = ""
        for name, module in network.named_modules():
            if not any(module.children()):
                module.register_forward_pre_hook(self._entering(name))
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.register_forward_hook(self._left(name))

    def see(
        self,
        func: Any,  # noqa: ANN401 - torch's signature
        _types: Any,  # noqa: ANN401 - likewise
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - likewise
        """Run an operator, and write down what it reads and makes."""
        made = func(*args, **(kwargs or {}))
        result = made[0] if isinstance(made, tuple | list) else made
        read = [one for one in _tensors(args) if not isinstance(one, nn.Parameter)]
        if isinstance(result, Tensor) and read:
            known = [self._number(one) for one in read if id(one) in self.held or one.ndim > 1]
            name = func.overloadpacket.__name__.strip("_").removeprefix("native_")
            self._alive.append(result)
            if known and (name in _FUSED or name.startswith(_NORMALIZES)):
                for one in made if isinstance(made, tuple | list) else [made]:
                    self.held[id(one)] = known[0]
                    self._alive.append(one)
            elif known:
                if name == _TWO_OPERATORS:
                    between = len(self._alive)
                    self._alive.append(result)
                    self.steps.append(_Step(self._module, tuple(known), between, result.numel()))
                    known.append(between)
                number = self._number(result)
                self.steps.append(_Step(self._module, tuple(known), number, result.numel()))
        return made

    def _number(self, tensor: Tensor) -> int:
        if id(tensor) not in self.held:
            self.held[id(tensor)] = len(self._alive)
            self._alive.append(tensor)
        return self.held[id(tensor)]

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(_module: nn.Module, _inputs: Any) -> None:  # noqa: ANN401 - torch's signature
            self._module = name

        return enter

    def _left(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def leave(_module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ANN401 - torch's signature
            self.layers.append((name, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

        return leave


# What a subclass defines itself torch wraps, and the wrapper imports torch._dynamo.
_Watch.__torch_dispatch__ = _Watch.see  # type: ignore[method-assign, assignment]


def _tensors(values: Any) -> list[Tensor]:  # noqa: ANN401 - what an operator of torch takes
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _tensors(value)
    return found


def _peak(steps: Sequence[_Step], kept: set[int]) -> tuple[int, str]:
    """The most numbers at one time, and where."""
    sizes = {step.makes: step.size for step in steps}
    last = {number: place for place, step in enumerate(steps) for number in (step.makes, *step.reads)}
    last |= dict.fromkeys(kept, len(steps))
    live: set[int] = set()
    most, where = 0, ""
    for place, step in enumerate(steps):
        live |= {step.makes, *step.reads}
        held = sum(sizes.get(number, 0) for number in live)
        if held > most:
            most, where = held, step.module
        live = {number for number in live if last[number] > place}
    return most, where


def _joined(network: nn.Module, seen: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> list[Layer]:
    """Layers with what they hold. Batch normalization is counted with the layer that runs before it."""
    modules = dict(network.named_modules())
    own = {name: sum(one.numel() for one in modules[name].parameters()) for name, _, _ in seen}
    order = [name for name, module in modules.items() if not any(module.children())]
    before = ""
    for name in order:
        if name in own:
            before = name
        elif before and isinstance(modules[name], nn.BatchNorm2d):
            own[before] += sum(one.numel() for one in modules[name].parameters())
    found = []
    for name, reads, makes in seen:
        layer = modules[name]
        weight = layer.get_parameter("weight")
        kernel = (int(weight.shape[2]), int(weight.shape[3])) if weight.ndim == 4 else (1, 1)
        found.append(Layer(name, _kind(layer), reads, makes, kernel, own[name], weight.numel() * prod(makes[1:])))
    return found


def _kind(layer: nn.Module) -> str:
    if not isinstance(layer, nn.Conv2d):
        return "linear"
    if layer.groups > 1 and layer.groups == layer.in_channels:
        return "depthwise"
    return "pointwise" if layer.kernel_size == (1, 1) else "dense"


def _kernels(layer: Layer) -> int:
    return layer.macs // prod(layer.makes[1:])
