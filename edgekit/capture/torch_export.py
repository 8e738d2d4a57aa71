"""A torch module -> Graph, through torch.export; one function an ATen operator.

``run_decompositions`` is not called: it would break hard-swish up into its parts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.errors import UnsupportedOperator
from edgekit.ir import (
    Add,
    BatchNorm,
    Clamp,
    Conv2d,
    Flatten,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    Mean,
    Mul,
    Node,
    Op,
    Pad,
    Padding,
    Tensor,
)
from edgekit.ir.graph import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Lowering = Callable[["_Capture", torch.fx.Node], None]

_LOWERINGS: dict[str, Lowering] = {}


def capture(module: torch.nn.Module, name: str, input_shape: tuple[int, int, int]) -> Graph:
    """The inference graph of ``module``.

    Args:
        module: in eval mode; takes one image tensor and returns one tensor.
        name: of the network.
        input_shape: [C, H, W].

    Raises:
        UnsupportedOperator: the module uses an operator, or an attribute of one, that edgekit does not know.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export warns about its own internals, never about the model
        exported = torch.export.export(module.eval(), (torch.zeros(1, *input_shape),))
    state: _Capture = _Capture(exported)
    for fx_node in exported.graph.nodes:
        if fx_node.op == "call_function":
            state.lower(fx_node)
    outputs = tuple(state.aliases[spec.arg.name] for spec in exported.graph_signature.output_specs)
    graph = Graph(name, state.input, outputs, tuple(state.nodes), state.tensors, state.constants)
    check(graph)
    return graph


def _lowers(*targets: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for ATen operators, named without ``aten::`` ("conv2d.default")."""

    def register(function: Lowering) -> Lowering:
        for target in targets:
            assert target not in _LOWERINGS, f"{target} already belongs to {_LOWERINGS[target].__name__}"
            _LOWERINGS[target] = function
        return function

    return register


@dataclass
class _Capture:
    """The graph under construction."""

    exported: torch.export.ExportedProgram
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)  # fx name -> name of our tensor or constant
    input: str = ""

    def __post_init__(self) -> None:
        signature = self.exported.graph_signature
        (self.input,) = signature.user_inputs  # type: ignore[assignment]  # tensors' inputs are named by strings
        state = {**self.exported.state_dict, **self.exported.constants}
        for fx_name, key in {**signature.inputs_to_parameters, **signature.inputs_to_buffers}.items():
            if state[key].is_floating_point():  # all but num_batches_tracked
                self.constants[key] = state[key].detach().cpu().float().numpy()
                self.aliases[fx_name] = key
        self.aliases[self.input] = self.input
        placeholder = next(n for n in self.exported.graph.nodes if n.name == self.input)
        self.tensors[self.input] = Tensor(self.input, tuple(placeholder.meta["val"].shape[1:]))

    def lower(self, fx_node: torch.fx.Node) -> None:
        target = str(fx_node.target).removeprefix("aten.")
        if target not in _LOWERINGS:
            raise UnsupportedOperator(
                f"edgekit does not know the operator aten::{target} (layer {self.layer(fx_node)!r}): replace the layer by "
                f"convolution, batch normalization, ReLU, ReLU6, hard-swish, hard-sigmoid, addition, multiplication, "
                f"global average pooling or linear"
            )
        _LOWERINGS[target](self, fx_node)

    def layer(self, fx_node: torch.fx.Node) -> str:
        """The module that ``fx_node`` comes from ("features.4.conv.0")."""
        stack = fx_node.meta.get("nn_module_stack", {})
        return next((path for path, _ in reversed(stack.values()) if path), "")

    def name(self, argument: Any) -> str:  # noqa: ANN401 - whatever fx holds as an argument
        """Our name of an argument that is a tensor."""
        assert isinstance(argument, torch.fx.Node)
        return self.aliases[argument.name]

    def constant(self, name: str, values: NDArray[np.float32]) -> str:
        self.constants[name] = values
        return name

    def alias(self, fx_node: torch.fx.Node) -> None:
        """``fx_node`` does nothing at inference: its result is its first argument."""
        self.aliases[fx_node.name] = self.name(fx_node.args[0])

    def emit(self, fx_node: torch.fx.Node, op: Op, inputs: Sequence[str]) -> None:
        """Append a node, named after its layer; what a layer's own forward does besides gets a name below it."""
        layer, main = self.layer(fx_node), isinstance(op, Conv2d | Linear) or self._is_torch_module(fx_node)
        name = layer if main and layer not in self.tensors else f"{layer}.{fx_node.name}".lstrip(".")
        self.nodes.append(Node(name, op, tuple(inputs), name))
        self.tensors[name] = Tensor(name, tuple(fx_node.meta["val"].shape[1:]))
        self.aliases[fx_node.name] = name

    def _is_torch_module(self, fx_node: torch.fx.Node) -> bool:
        """Whether one of torch's own modules called it, such as ReLU, and not a forward that we must guess about."""
        *_, (_, kind) = (("", ""), *fx_node.meta.get("nn_module_stack", {}).values())
        return str(kind).startswith("torch.nn.modules")

    def refuse(self, fx_node: torch.fx.Node, what: str) -> UnsupportedOperator:
        return UnsupportedOperator(f"layer {self.layer(fx_node)!r} has {what}, which edgekit does not support")


def _argument(fx_node: torch.fx.Node, index: int, default: Any) -> Any:  # noqa: ANN401 - whatever fx holds
    return fx_node.args[index] if len(fx_node.args) > index else default


@_lowers("conv2d.default", "conv2d.padding")
def _conv2d(state: _Capture, fx_node: torch.fx.Node) -> None:
    x, weight = state.name(fx_node.args[0]), state.name(fx_node.args[1])
    bias = _argument(fx_node, 2, None)
    stride = tuple(_argument(fx_node, 3, (1, 1))) * (2 if len(_argument(fx_node, 3, (1, 1))) == 1 else 1)
    padding, dilation = _argument(fx_node, 4, (0, 0)), tuple(_argument(fx_node, 5, (1, 1)))
    if any(d != 1 for d in dilation):
        raise state.refuse(fx_node, f"dilation {dilation}")
    if isinstance(padding, str):
        raise state.refuse(fx_node, f"padding={padding!r} given by name")
    vertical, horizontal = (*padding, *padding)[:2] if len(padding) == 1 else padding
    channels = state.constants[weight].shape[0]
    if bias is None:
        bias_name = state.constant(weight.removesuffix("weight") + "bias", np.zeros(channels, np.float32))
    else:
        bias_name = state.name(bias)
    op = Conv2d(stride, Padding(vertical, vertical, horizontal, horizontal), _argument(fx_node, 6, 1))  # type: ignore[arg-type]  # two entries
    state.emit(fx_node, op, (x, weight, bias_name))


@_lowers("linear.default")
def _linear(state: _Capture, fx_node: torch.fx.Node) -> None:
    x, weight = state.name(fx_node.args[0]), state.name(fx_node.args[1])
    bias = _argument(fx_node, 2, None)
    if bias is None:
        zeros = np.zeros(state.constants[weight].shape[0], np.float32)
        state.emit(fx_node, Linear(), (x, weight, state.constant(weight.removesuffix("weight") + "bias", zeros)))
    else:
        state.emit(fx_node, Linear(), (x, weight, state.name(bias)))


@_lowers("batch_norm.default")
def _batch_norm(state: _Capture, fx_node: torch.fx.Node) -> None:
    # aten::batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
    inputs = [state.name(argument) for argument in fx_node.args[:5]]
    state.emit(fx_node, BatchNorm(float(fx_node.args[7])), inputs)  # type: ignore[arg-type]  # a number


@_lowers("relu.default", "relu_.default")
def _relu(state: _Capture, fx_node: torch.fx.Node) -> None:
    state.emit(fx_node, Clamp(0.0), (state.name(fx_node.args[0]),))


@_lowers("relu6.default", "relu6_.default")
def _relu6(state: _Capture, fx_node: torch.fx.Node) -> None:
    state.emit(fx_node, Clamp(0.0, 6.0), (state.name(fx_node.args[0]),))


@_lowers("hardtanh.default", "hardtanh_.default")
def _hardtanh(state: _Capture, fx_node: torch.fx.Node) -> None:
    low, high = float(_argument(fx_node, 1, -1.0)), float(_argument(fx_node, 2, 1.0))
    state.emit(fx_node, Clamp(low, high), (state.name(fx_node.args[0]),))


@_lowers("hardswish.default", "hardswish_.default")
def _hardswish(state: _Capture, fx_node: torch.fx.Node) -> None:
    state.emit(fx_node, HardSwish(), (state.name(fx_node.args[0]),))


@_lowers("hardsigmoid.default", "hardsigmoid_.default")
def _hardsigmoid(state: _Capture, fx_node: torch.fx.Node) -> None:
    state.emit(fx_node, HardSigmoid(), (state.name(fx_node.args[0]),))


@_lowers("add.Tensor", "add_.Tensor")
def _add(state: _Capture, fx_node: torch.fx.Node) -> None:
    if fx_node.kwargs.get("alpha", 1) != 1:
        raise state.refuse(fx_node, "an addition with alpha")
    state.emit(fx_node, Add(), [state.name(argument) for argument in fx_node.args])


@_lowers("mul.Tensor", "mul_.Tensor")
def _mul(state: _Capture, fx_node: torch.fx.Node) -> None:
    # The larger operand first: the order that Mul documents.
    names = [state.name(argument) for argument in fx_node.args]
    state.emit(fx_node, Mul(), sorted(names, key=lambda n: -int(np.prod(state.tensors[n].shape))))


@_lowers("adaptive_avg_pool2d.default")
def _adaptive_avg_pool2d(state: _Capture, fx_node: torch.fx.Node) -> None:
    if tuple(fx_node.args[1]) not in {(1, 1), (1,)}:  # type: ignore[arg-type]  # a list of numbers
        raise state.refuse(fx_node, f"adaptive average pooling to {fx_node.args[1]}")
    state.emit(fx_node, Mean(), (state.name(fx_node.args[0]),))


@_lowers("mean.dim")
def _mean(state: _Capture, fx_node: torch.fx.Node) -> None:
    axes = {axis % 4 for axis in fx_node.args[1]}  # type: ignore[union-attr,operator]  # a list of numbers
    if axes != {2, 3}:
        raise state.refuse(fx_node, f"a mean over the axes {sorted(axes)}")
    state.emit(fx_node, Mean(keep_dims=bool(_argument(fx_node, 2, False))), (state.name(fx_node.args[0]),))


@_lowers("pad.default", "constant_pad_nd.default")
def _pad(state: _Capture, fx_node: torch.fx.Node) -> None:
    left, right, top, bottom = (*fx_node.args[1], 0, 0)[:4]  # type: ignore[misc]  # a list of two or four numbers
    mode, value = (*fx_node.args[2:], "constant", 0)[:2] if "pad.default" in str(fx_node.target) else ("constant", 0)
    if mode != "constant" or value not in {0, None}:
        raise state.refuse(fx_node, f"padding of mode {mode!r} with value {value}")
    state.emit(fx_node, Pad(Padding(top, bottom, left, right)), (state.name(fx_node.args[0]),))  # type: ignore[arg-type]


@_lowers("flatten.using_ints", "view.default", "reshape.default", "squeeze.dims")
def _flatten(state: _Capture, fx_node: torch.fx.Node) -> None:
    x, shape = state.name(fx_node.args[0]), tuple(fx_node.meta["val"].shape[1:])
    before = state.tensors[x].shape
    if shape == before:
        state.alias(fx_node)
    elif len(shape) == 1 and before[1:] == (1, 1):
        state.emit(fx_node, Flatten(), (x,))
    else:
        raise state.refuse(fx_node, f"a reshape from {before} to {shape}")


@_lowers("dropout.default", "dropout_.default", "clone.default", "contiguous.default")
def _nothing_at_inference(state: _Capture, fx_node: torch.fx.Node) -> None:
    state.alias(fx_node)
