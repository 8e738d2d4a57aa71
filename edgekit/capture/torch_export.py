"""A torch module -> Graph, through torch.export; one function an ATen operator.

``run_decompositions`` is not called: it would break hard-swish up into its parts.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import _pytree as pytree  # which torch.export itself describes results with

from edgekit.capture.builder import GraphBuilder
from edgekit.errors import UnsupportedOperator
from edgekit.ir import Clamp, Concat, Graph, HardSigmoid, HardSwish, Padding
from edgekit.ir.operators.padding import Same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Lowering = Callable[["_Call", GraphBuilder], str]

_LOWERINGS: dict[str, Lowering] = {}
_IMAGE_AXES = 3  # [C, H, W]
_EXPANSIONS = ("expand.default", "expand_as.default")
# What some networks end in, and the head of files that stands for it; logarithms have the same soft-max.
_HEADS = {"softmax.int": "softmax", "log_softmax.int": "softmax", "sigmoid.default": "sigmoid"}
_EVALUATE = "call eval() before torch.export.export, and pass training=self.training in a forward"
_POOL = "pool to one pixel first, AdaptiveAvgPool2d(1), and train the linear layer on that"
_WITH_WEIGHTS = {"conv2d", "linear", "batch_norm"}  # their nodes have the names that the weights have


def capture(module: torch.nn.Module, name: str, input_shape: tuple[int, int, int]) -> Graph:
    """The inference graph of ``module``, whether or not it is in eval mode. Its weights are copied.

    Args:
        module: float32, on the CPU; takes one image tensor, and returns a tensor, or a dict, tuple or named tuple of
            some: keys and fields name the outputs.
        name: of the network.
        input_shape: [C, H, W].

    Raises:
        UnsupportedOperator: the module uses an operator, or an attribute of one, that edgekit does not know, or
            torch.export cannot follow its ``forward``.
        CheckpointError: a weight is not finite, or a variance is negative.
    """
    image = torch.zeros(1, *input_shape)
    with _evaluating(module), _silent():
        try:
            with torch.no_grad():
                module(image)
        except Exception as error:  # a forward raises anything
            raise UnsupportedOperator(
                f"the network does not take one image tensor of shape {list(image.shape)} ({_reason(error)}): if it "
                f"takes another size, say so, --set model.resolution=PIXELS, or give images of that size"
            ) from error
        try:
            exported = torch.export.export(module, (image,))
        except Exception as error:  # torch.export raises nearly anything
            raise UnsupportedOperator(
                f"torch.export cannot follow the network ({_reason(error)}): its forward must not branch on values"
            ) from error
    return capture_exported(exported, name)


def capture_exported(exported: torch.export.ExportedProgram, name: str) -> Graph:
    """The graph of what ``torch.export.export`` made of a module in eval mode. Its weights are copied.

    Args:
        exported: takes one image tensor and returns one tensor, [N, classes].
        name: of the network.

    Raises:
        UnsupportedOperator, CheckpointError: as in ``capture``.
    """
    return _Capture(exported).graph(name)


def _lowers(*targets: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for ATen operators, named without ``aten::`` ("conv2d.default")."""

    def register(function: Lowering) -> Lowering:
        for target in targets:
            assert target not in _LOWERINGS, f"{target} already belongs to {_LOWERINGS[target].__name__}"
            _LOWERINGS[target] = function
        return function

    return register


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every part is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing is told inside the block: torch.export speaks of its own internals, never about the model."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class _Capture:
    """What is known while the nodes of an exported program are walked through.

    Attributes:
        values: by fx name: the name of our tensor, or what was computed already because no image is needed for it.
    """

    def __init__(self, exported: torch.export.ExportedProgram) -> None:
        signature = exported.graph_signature
        self.exported = exported
        stored = {**exported.state_dict, **exported.constants}
        places = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.values: dict[str, Any] = {fx_name: stored[key].detach().clone() for fx_name, key in places.items()}
        taken = [node for node in exported.graph.nodes if node.op == "placeholder" and node.name not in places]
        if len(taken) != 1:
            raise UnsupportedOperator(f"the network takes {len(taken)} inputs: let it take the image alone")
        (image,) = taken
        self.builder = GraphBuilder(image.name, tuple(image.meta["val"].shape[1:]))
        self.values[image.name] = image.name

    def graph(self, name: str) -> Graph:
        for fx_node in self.exported.graph.nodes:
            if fx_node.op == "call_function":
                self.values[fx_node.name] = self._evaluate(fx_node)
        return self.builder.finish(name, self._given())

    def _given(self) -> dict[str, str]:
        """The tensors that are returned, by their names."""
        (returned,) = self.exported.graph.output_node().args
        structure = self.exported.call_spec.out_spec
        assert isinstance(returned, tuple)
        assert structure is not None
        given: dict[str, str] = {}
        for path, place in pytree.tree_leaves_with_path(structure.unflatten(range(len(returned)))):
            if returned[place] is None:
                continue
            name = _output_name(path)
            value = self.values.get(getattr(returned[place], "name", ""))
            if not isinstance(value, str):
                raise UnsupportedOperator(f"what the network returns as {name!r} does not depend on the image")
            given[name] = self.builder.of_rank(value, len(returned[place].meta["val"].shape))
        if not given:
            raise UnsupportedOperator("the network returns nothing: its forward has to return what it computes")
        return given

    def _evaluate(self, fx_node: torch.fx.Node) -> Any:  # noqa: ANN401 - constants may be tensors and tuples of them
        target = _operator(fx_node)
        if target == "_assert_tensor_metadata.default":
            return None
        if not any(isinstance(self.values[read.name], str) for read in fx_node.all_input_nodes):
            return self._compute(fx_node)
        call = _Call(fx_node, self.exported.graph_module, self.values)
        if target not in _LOWERINGS:
            if (head := _HEADS.get(target)) and all(user.op == "output" for user in fx_node.users):
                raise UnsupportedOperator(
                    f"the network ends in {target.partition('.')[0]} ({call.place}): leave it out, so that it returns "
                    f"logits; --head {head} puts probabilities into the files"
                )
            raise UnsupportedOperator(
                f"edgekit does not know the operator aten::{target} ({call.place}): replace it by convolution, batch "
                f"normalization, ReLU, ReLU6, hard-swish, hard-sigmoid, addition, multiplication, concatenation of "
                f"channels, global average pooling or linear layers"
            )
        result = _LOWERINGS[target](call, self.builder)
        if target not in _EXPANSIONS and _core(self.builder.shape(result)) != _core(call.shape[1:]):
            raise call.refuse(f"gives {call.shape} only by repeating values")
        if target.partition(".")[0].endswith("_"):  # in place: who reads the operand from now on sees the result
            overwritten = call.activation("input")
            for name, value in self.values.items():
                if isinstance(value, str) and value == overwritten:
                    self.values[name] = result
        return result

    def _compute(self, fx_node: torch.fx.Node) -> Any:  # noqa: ANN401 - see above
        """The result of a node that needs no image, such as a weight times its pruning mask."""
        arguments: Any = torch.fx.node.map_arg((fx_node.args, fx_node.kwargs), lambda read: self.values[read.name])
        args, kwargs = arguments
        assert callable(fx_node.target)
        with torch.no_grad():
            return fx_node.target(*args, **kwargs)


def _output_name(path: tuple[Any, ...]) -> str:
    """What an output is called by its place in what ``forward`` returns: "boxes", "boxes_0"; "output_0" in a tuple."""
    keys = [next(getattr(step, kind) for kind in ("key", "name", "idx") if hasattr(step, kind)) for step in path]
    return "_".join(map(str, keys if keys and isinstance(keys[0], str) else ("output", *keys)))


def _operator(fx_node: torch.fx.Node) -> str:
    """Name and overload of an ATen operator ("conv2d.default")."""
    return str(fx_node.target).removeprefix("aten.")


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the axes at its end that have one element: [C] and [C, 1, 1] are alike."""
    return shape if shape[-1:] != (1,) else _core(shape[:-1])


class _Call:
    """A call of an ATen operator; its arguments go by their names in the operator's schema, but "self" is "input".

    Attributes:
        layer: the module that it belongs to ("features.4.conv.0"), "" for the whole network.
        name: for its node: the layer's, where the operator is what the layer is there for; below the layer's for what
            a ``forward`` of the user's does besides.
        shape: of its result, [1, ...].
    """

    def __init__(self, fx_node: torch.fx.Node, program: torch.fx.GraphModule, values: dict[str, Any]) -> None:
        arguments = fx_node.normalized_arguments(program, normalize_to_only_use_kwargs=True)
        assert arguments is not None
        self._arguments: dict[str, Any] = dict(arguments.kwargs)
        self._values = values
        modules = list(fx_node.meta.get("nn_module_stack", {}).values())
        self.layer = next((path for path, _ in reversed(modules) if path), "")
        operator = _operator(fx_node).partition(".")[0].rstrip("_")
        kind = str(modules[-1][1]) if modules else ""
        is_main = operator in _WITH_WEIGHTS or kind.startswith("torch.nn.modules")
        self.name = self.layer if is_main and self.layer else f"{self.layer}.{operator}".lstrip(".")
        self.shape: tuple[int, ...] = tuple(fx_node.meta["val"].shape)

    @property
    def place(self) -> str:
        """Where in the network, for people."""
        return f"layer {self.layer!r}" if self.layer else "in the network's own forward"

    def activation(self, name: str) -> str:
        """The name of a tensor that depends on the image."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self.refuse(f"computes {name!r} without the image")
        return value

    def activations(self, name: str) -> tuple[str, ...]:
        """The names of the tensors in a list, all of which depend on the image."""
        values = [self._values[node.name] for node in self._arguments[name]]
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(f"computes some of {name!r} without the image")
        return tuple(values)

    def constant(self, name: str) -> NDArray[Any] | None:
        """An array or number that does not depend on the image; None if it was left out."""
        value = self._value(name)
        if isinstance(value, str):
            raise self.refuse(f"computes {name!r} from the image")
        return None if value is None else np.asarray(value)

    def array(self, name: str) -> NDArray[Any]:
        """As ``constant``, of an argument that must not be left out."""
        values = self.constant(name)
        if values is None:
            raise self.refuse(f"has no {name!r}")
        return values

    def depends_on_image(self, name: str) -> bool:
        """Whether an argument is a tensor that depends on the image."""
        return isinstance(self._value(name), str)

    def number(self, name: str, default: float = 0.0) -> float:
        """A number; ``default`` if it is None."""
        value = self._arguments[name]
        return default if value is None else float(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of integers."""
        return tuple(int(value) for value in self._arguments[name] or ())

    def pair(self, name: str) -> tuple[int, int]:
        """Two integers, of which one may stand for both."""
        first, *rest = self.numbers(name)
        return first, rest[0] if rest else first

    def text(self, name: str, default: str = "") -> str:
        """A word; ``default`` if the operator has no such argument."""
        return str(self._arguments.get(name, default))

    def refuse(self, what: str, remedy: str = "") -> UnsupportedOperator:
        """An error that says where; ``what`` continues "layer 'features.0': it ...", ``remedy`` says what to do."""
        told = f"{self.place}: it {what}, which edgekit does not support"
        return UnsupportedOperator(f"{told}: {remedy}" if remedy else told)

    def _value(self, name: str) -> Any:  # noqa: ANN401 - whatever fx holds as an argument
        argument = self._arguments[name]
        return self._values[argument.name] if isinstance(argument, torch.fx.Node) else argument


@_lowers("conv2d.default")
def _conv2d(call: _Call, builder: GraphBuilder) -> str:
    vertical, horizontal = call.pair("padding")
    return _convolution(call, builder, Padding(vertical, vertical, horizontal, horizontal))


@_lowers("conv2d.padding")
def _conv2d_named(call: _Call, builder: GraphBuilder) -> str:
    return _convolution(call, builder, Same.UPPER if call.text("padding") == "same" else Padding())


def _convolution(call: _Call, builder: GraphBuilder, padding: Padding | Same) -> str:
    return builder.conv2d(
        call.name,
        call.activation("input"),
        call.array("weight"),
        call.constant("bias"),
        stride=call.pair("stride"),
        padding=padding,
        dilation=call.pair("dilation"),
        groups=int(call.number("groups")),
    )


@_lowers("linear.default")
def _linear(call: _Call, builder: GraphBuilder) -> str:
    return builder.linear(call.name, call.activation("input"), call.array("weight"), call.constant("bias"))


@_lowers("batch_norm.default")
def _batch_norm(call: _Call, builder: GraphBuilder) -> str:
    if call.number("training"):
        raise call.refuse("normalizes by the batch", _EVALUATE)
    mean, variance = call.array("running_mean"), call.array("running_var")
    weight, bias = call.constant("weight"), call.constant("bias")
    return builder.batch_norm(
        call.name,
        call.activation("input"),
        weight=np.ones_like(mean) if weight is None else weight,
        bias=np.zeros_like(mean) if bias is None else bias,
        running_mean=mean,
        running_var=variance,
        eps=call.number("eps"),
    )


@_lowers("relu.default", "relu_.default")
def _relu(call: _Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, Clamp(0.0), call.activation("input"))


@_lowers("relu6.default", "relu6_.default")
def _relu6(call: _Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, Clamp(0.0, 6.0), call.activation("input"))


@_lowers("hardtanh.default", "hardtanh_.default")
def _hardtanh(call: _Call, builder: GraphBuilder) -> str:
    clamp = Clamp(call.number("min_val"), call.number("max_val"))
    return builder.apply(call.name, clamp, call.activation("input"))


@_lowers("clamp.default", "clamp_.default")
def _clamp(call: _Call, builder: GraphBuilder) -> str:
    clamp = Clamp(call.number("min", -np.inf), call.number("max", np.inf))
    return builder.apply(call.name, clamp, call.activation("input"))


@_lowers("hardswish.default", "hardswish_.default")
def _hardswish(call: _Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, HardSwish(), call.activation("input"))


@_lowers("hardsigmoid.default", "hardsigmoid_.default")
def _hardsigmoid(call: _Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, HardSigmoid(), call.activation("input"))


@_lowers("add.Tensor", "add_.Tensor")
def _add(call: _Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1:
        raise call.refuse("adds with a factor (alpha)")
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.add(call.name, call.activation("input"), call.activation("other"))
    x, term = _operands(call)
    return builder.affine(call.name, x, np.ones(1), term)


@_lowers("sub.Tensor", "sub_.Tensor")
def _sub(call: _Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1 or call.depends_on_image("other"):
        raise call.refuse("subtracts what depends on the image")
    x, term = _operands(call)
    return builder.affine(call.name, x, np.ones(1), -term)


@_lowers("rsub.Scalar", "rsub.Tensor")
def _rsub(call: _Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1 or call.depends_on_image("other"):
        raise call.refuse("subtracts what depends on the image")
    x, minuend = _operands(call)
    return builder.affine(call.name, x, -np.ones(1), minuend)


@_lowers("mul.Tensor", "mul_.Tensor")
def _mul(call: _Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.mul(call.name, call.activation("input"), call.activation("other"))
    x, factor = _operands(call)
    return builder.affine(call.name, x, factor, np.zeros(1))


@_lowers("div.Tensor", "div_.Tensor")
def _div(call: _Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("other"):
        raise call.refuse("divides by what depends on the image")
    x, divisor = _operands(call)
    return builder.affine(call.name, x, 1 / divisor, np.zeros(1))


def _operands(call: _Call) -> tuple[str, NDArray[np.float64]]:
    """The operand that depends on the image, and the other: one number, or one a channel."""
    names = ("input", "other") if call.depends_on_image("input") else ("other", "input")
    x, values = call.activation(names[0]), call.array(names[1]).astype(np.float64)
    _, channels, *rest = call.shape
    if values.size == 1:
        return x, values.reshape(1)
    # Axes are aligned from the right: [C, 1, 1] or [1, C, 1, 1] beside an image, [C] or [1, C] beside a vector.
    if values.size != channels or values.shape[-1 - len(rest) :] != (channels, *(1 for _ in rest)):
        raise call.refuse(f"has an operand of the shape {values.shape}, neither one number nor one a channel")
    return x, values.reshape(channels)


@_lowers("cat.default")
def _cat(call: _Call, builder: GraphBuilder) -> str:
    if int(call.number("dim")) % len(call.shape) != 1:
        raise call.refuse(f"joins tensors along axis {int(call.number('dim'))} and not along their channels")
    return builder.apply(call.name, Concat(), *call.activations("tensors"))


@_lowers("adaptive_avg_pool2d.default")
def _adaptive_avg_pool2d(call: _Call, builder: GraphBuilder) -> str:
    if call.pair("output_size") != (1, 1):
        raise call.refuse(f"pools to {call.pair('output_size')} and not to one pixel")
    return builder.mean(call.name, call.activation("input"))


@_lowers("avg_pool2d.default")
def _avg_pool2d(call: _Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    if call.pair("kernel_size") != builder.shape(x)[1:] or any(call.numbers("padding")):
        raise call.refuse(f"pools {call.pair('kernel_size')} of {builder.shape(x)[1:]} pixels and not all of them")
    return builder.mean(call.name, x)


@_lowers("mean.dim")
def _mean(call: _Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    axes = {axis % (1 + len(builder.shape(x))) for axis in call.numbers("dim")}
    if axes != {2, 3}:
        raise call.refuse(f"takes a mean over the axes {sorted(axes)} and not over height and width")
    return builder.mean(call.name, x)


@_lowers("pad.default", "constant_pad_nd.default")
def _pad(call: _Call, builder: GraphBuilder) -> str:
    left, right, top, bottom, *others = (*call.numbers("pad"), 0, 0)
    mode = call.text("mode", default="constant")
    if mode != "constant" or call.number("value") != 0 or any(others):
        raise call.refuse(f"pads {call.numbers('pad')} in mode {mode!r} with {call.number('value')}")
    return builder.pad(call.name, call.activation("input"), Padding(top, bottom, left, right))


@_lowers(
    "flatten.using_ints",
    "reshape.default",
    "slice.Tensor",  # of everything, as in x[:, :, None, None]: it changes the shape otherwise
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
    "unsqueeze.default",
    "view.default",
)
def _reshape(call: _Call, builder: GraphBuilder) -> str:
    x = call.activation("input")
    before, (batch, *after) = builder.shape(x), call.shape
    moves_nothing = before[1:] in {(), (1, 1)} and after[:1] == [before[0]] and all(size == 1 for size in after[1:])
    if batch != 1 or not (moves_nothing or after == list(before)):
        remedy = _POOL if after == [math.prod(before)] else ""
        raise call.refuse(f"reshapes from {(1, *before)} to {call.shape}", remedy)
    if len(after) == 1:
        return builder.flatten(call.name, x)
    return builder.image(x) if len(after) == _IMAGE_AXES else x


@_lowers(*_EXPANSIONS)
def _expand(call: _Call, builder: GraphBuilder) -> str:
    # The gates of squeeze-and-excite: multiplication repeats them by itself.
    x = call.activation("input")
    if len(call.shape) != 1 + _IMAGE_AXES or builder.shape(x) not in {call.shape[1:], (call.shape[1], 1, 1)}:
        raise call.refuse(f"repeats {(1, *builder.shape(x))} to {call.shape}")
    return x


@_lowers(
    "_to_copy.default",
    "clone.default",
    "contiguous.default",
    "detach.default",
    "detach_.default",
    "to.dtype",
)
def _same_values(call: _Call, builder: GraphBuilder) -> str:  # noqa: ARG001 - the signature of all lowerings
    return call.activation("input")


@_lowers("dropout.default", "dropout_.default", "feature_dropout.default")
def _dropout(call: _Call, builder: GraphBuilder) -> str:  # noqa: ARG001 - see above
    if call.number("train"):
        raise call.refuse("drops values at random", _EVALUATE)
    return call.activation("input")
