"""A torch module -> Graph, through torch.export; one function an ATen operator.

``run_decompositions`` is not called: it would break hard-swish up into its parts.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import operator
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree  # which torch.export itself describes results with

from edgekit.capture import torch_operators  # noqa: F401 - which registers all of them
from edgekit.capture.advice import replacement
from edgekit.capture.builder import GraphBuilder
from edgekit.capture.torch_call import EXPANSIONS, LOWERINGS, Call, operator_of
from edgekit.errors import UnsupportedOperator
from edgekit.ir import VECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.ir import Graph


# What some networks end in, and the head of files that stands for it; logarithms have the same soft-max.
_SEVERAL_INPUTS = (
    "the network takes {count} inputs ({names}), and edgekit's files take one image: export a module whose forward "
    "takes the image alone, and makes the others itself; of a network for two images, export what each goes through"
)
_HEADS = {"softmax.int": "softmax", "log_softmax.int": "softmax", "sigmoid.default": "sigmoid"}


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
            if len(wanted := _wanted(module)) > 1:
                raise UnsupportedOperator(_SEVERAL_INPUTS.format(count=len(wanted), names=", ".join(wanted))) from error
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


def _wanted(module: torch.nn.Module) -> tuple[str, ...]:
    """The names of what ``forward`` has to be given."""
    parameters = inspect.signature(module.forward).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(one.name for one in parameters if one.default is one.empty and one.kind not in kinds)


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
            names = ", ".join(node.name for node in taken)
            raise UnsupportedOperator(_SEVERAL_INPUTS.format(count=len(taken), names=names))
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
                raise UnsupportedOperator(
                    f"what the network returns as {name!r} does not depend on the image: leave it out of what forward "
                    f"returns, and keep it, which is always the same, in your application"
                )
            given[name] = self.builder.of_rank(value, len(returned[place].meta["val"].shape))
        if not given:
            raise UnsupportedOperator("the network returns nothing: its forward has to return what it computes")
        return given

    def _evaluate(self, fx_node: torch.fx.Node) -> Any:  # noqa: ANN401 - constants may be tensors and tuples of them
        if fx_node.target is operator.getitem:  # one of several results
            several, place = fx_node.args
            return self.values[several.name][place]  # type: ignore[union-attr, index] # a node, and a number
        target = operator_of(fx_node)
        if target == "_assert_tensor_metadata.default":
            return None
        if not any(isinstance(self.values[read.name], str) for read in fx_node.all_input_nodes):
            return self._compute(fx_node)
        call = Call(fx_node, self.exported.graph_module, self.values)
        head = _HEADS.get(target) if self._is_all_of_a_classifier(fx_node, call) else None
        if head or target not in LOWERINGS:
            raise self._unknown(fx_node, call, head)
        try:
            result = self._lowered(target, call)
        except UnsupportedOperator as error:
            raise UnsupportedOperator(f"{error}{self._way_out(fx_node)}") from error
        if isinstance(result, tuple):
            return result
        if target.partition(".")[0].endswith("_"):  # in place: who reads the operand from now on sees the result
            overwritten = call.activation("input")
            for name, value in self.values.items():
                if isinstance(value, str) and value == overwritten:
                    self.values[name] = result
        return result

    def _lowered(self, target: str, call: Call) -> str | tuple[str | None, ...]:
        result = LOWERINGS[target](call, self.builder)
        if isinstance(result, tuple) or target in EXPANSIONS:
            return result
        if _core(self.builder.shape(result)) != _core(call.shape[1:]):
            raise call.refuse(f"gives {call.shape} only by repeating values")
        return result

    def _is_all_of_a_classifier(self, fx_node: torch.fx.Node, call: Call) -> bool:
        """Whether a node makes all that the network returns, one number a class."""
        returned = {value.name for value in self.exported.graph.output_node().all_input_nodes}
        return returned == {fx_node.name} and len(_core(call.shape)) <= len(VECTOR)

    def _unknown(self, fx_node: torch.fx.Node, call: Call, head: str | None) -> UnsupportedOperator:
        """An error that says what to do about an operator, be it one behind the logits that ``head`` stands for."""
        target = operator_of(fx_node)
        if head:
            return UnsupportedOperator(
                f"the network ends in {target.partition('.')[0]} ({call.place}): leave it out, so that it returns "
                f"logits; --probabilities {head} puts them into the files"
            )
        return UnsupportedOperator(
            f"edgekit does not know the operator aten::{target} ({call.place}), and cannot keep it in float: "
            f"{replacement(target)}{self._way_out(fx_node)}"
        )

    def _way_out(self, fx_node: torch.fx.Node) -> str:
        """The end of a sentence that refuses a node: how to go on with what comes before; empty for the first."""
        names = [value for read in fx_node.all_input_nodes if isinstance(value := self.values[read.name], str)]
        before = [repr(name) for name in dict.fromkeys(names) if name != self.builder.input]
        verb = "gives" if len(before) == 1 else "give"
        return (
            f"; or let forward return what {' and '.join(before)} {verb}, and compute the rest yourself"
            if before
            else ""
        )

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


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the axes at its end that have one element: [C] and [C, 1, 1] are alike."""
    return shape if shape[-1:] != (1,) else _core(shape[:-1])
