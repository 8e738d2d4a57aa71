"""The integer model: every integer of a quantized network, fixed once. Exporters only write it down.

Single layers may be kept in float. A tensor is quantized if it has parameters, else it is real; an integer layer reads
and makes quantized tensors, a float layer real ones, and Quantize and Dequantize stand where the two meet. Others may
have activations of 16 bits, with Requantize at their borders. Indices of channels (ArgMax) are neither.

What a layer with 16-bit activations computes is the real operator, clamp included, on what its integers stand for,
rounded to 16 bits. Nothing is tie-free there: kernels are off by one step of 16 bits here and there.

On disk (``*.edgekit``) it is a NumPy .npz archive: the weights and biases by name, and one entry ``model.json`` with
everything else. Equal models give equal bytes. Nothing in it is code, and loading it runs none.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import curves, files, float_sums
from edgekit.boundary import Alignment, alignment
from edgekit.errors import ArtifactError, UnsupportedOperator
from edgekit.ir.graph import Output, check
from edgekit.ir.operators.operator import Border, Scales
from edgekit.ir.operators.rearrange import Rearrange
from edgekit.ir.serialization import graph_from_dict, graph_to_dict, op_to_dict
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import WEIGHT_LIMITS, QuantParams, Ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

FORMAT_VERSION = 4  # 3 called a reshape to a vector Flatten; 2 had outputs without names; 1 had no layers in float
SUFFIX = ".edgekit"
OUTPUTS: Final = "outputs"  # the entry of a provenance that says what files give; there is none where that is raw
BOUNDARY: Final = "boundary"  # likewise, what a float32 boundary takes; there is none where the float network takes it
PIXELS: Final = "pixels"
SEVEN_BIT = "seven-bit"  # how the lowerings begin whose weights have seven bits
_HEADER = "model.json"
_REAL_BITS: Final = 32


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class IntegerModel:
    """A quantized network, complete.

    Attributes:
        graph: canonical nodes, and borders (Quantize, Dequantize, Requantize). The constants of integer nodes are
            integers: int8 weights and operands (int16 where activations are), int32 biases. Nodes that are kept in
            float have float32 constants. Those and nodes with 16-bit activations have their clamps.
        params: quantization parameters by name, of quantized activations, weights and operands. The input is int8.
        ratios: requantization ratios of integer nodes by name; what moves integers, and nodes of 16 bits, have none.
        preprocessing: how an image becomes pixels.
        normalization: what one pixel means at the input tensor: real = (pixel - mean) / std. Where normalization was
            folded into the first convolution this is not the preprocessing's own.
        pixel_input: the int8 input is pixel - 128, exactly (False: the float preprocessing stays outside).
        labels: class names, in order; empty where none are known.
        lowering: how operators are written in integers. Files of "universal" are claimed identical, those of "mixed"
            are not. "seven-bit" and "seven-bit-mixed": likewise, with weights that no kernel of x86 saturates on.
        provenance: where it comes from (checkpoint hash, architecture, ranges), JSON values.
    """

    graph: Graph
    params: Mapping[str, QuantParams]
    ratios: Mapping[str, Ratio]
    preprocessing: Preprocessing
    normalization: Normalization
    pixel_input: bool
    labels: tuple[str, ...] = ()
    lowering: str = "universal"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The int8 input [N, C, H, W] for pixels [N, H, W, C]."""
        if self.pixel_input:
            return np.ascontiguousarray((pixels.astype(np.int16) - 128).astype(np.int8).transpose(0, 3, 1, 2))
        return self.params[self.graph.input].quantize(self.normalization(pixels))

    @property
    def alignment(self) -> Alignment:
        """What a float32 boundary computes with the float network's input, before it is quantized."""
        if not self.pixel_input:
            return Alignment()
        return alignment(self.taken, self.params[self.graph.input])

    @property
    def taken(self) -> Normalization:
        """What a float32 boundary takes: what the float network does, or pixels, 0 to 255, where it says so."""
        if not (self.pixel_input and self.provenance.get(BOUNDARY) == PIXELS):
            return self.preprocessing.normalization
        channels = self.graph.tensors[self.graph.input].shape[0]
        return Normalization((0.0,) * channels, (1.0,) * channels)

    @property
    def float_nodes(self) -> tuple[Node, ...]:
        """The layers that are kept in float."""
        return tuple(node for node in self.graph if node.output not in self.params and not node.op.border)

    @property
    def answering_nodes(self) -> tuple[Node, ...]:
        """The float layers behind the network's own, which compute what its outputs stand for."""
        if OUTPUTS not in self.provenance:
            return ()
        own = {name for key in ("kept_float", "no_integer_form") for name in self.provenance.get(key, ())}
        return tuple(node for node in self.float_nodes if node.name not in own)

    @property
    def moved_bytes(self) -> int:
        """Bytes that an image moves at least: of each layer its weights, what it reads and what it writes, once."""

        def size(name: str) -> int:
            if name in self.graph.constants:
                return int(self.graph.constants[name].nbytes)
            return math.prod(self.graph.tensors[name].shape) * (self.width(name) or _REAL_BITS) // 8

        return sum(size(name) for node in self.graph for name in {*node.inputs, node.output})

    @property
    def notes(self) -> tuple[str, ...]:
        """Which layers of the network are kept in float although nobody said so, for people."""
        answering = {node.name for node in self.answering_nodes}
        without = [n for n in self.float_nodes if n.op.scales is Scales.NONE and n.name not in answering]
        return tuple(f"kept in float: {node.name} ({type(node.op).__name__} has no integer form)" for node in without)

    @property
    def near(self) -> Mapping[str, str]:
        """Of which tensors identity is not claimed, by name, with the reason, as the end of a sentence.

        Of all others it is: every runtime computes the same integers, or the same reals of them but for the last bits
        of float32. That is so unless integers follow from reals or from 16 bits: kernels differ there in the last bits,
        and where such a value lies next to a tie, one rounds it up and another down. Nor is it claimed of operators
        whose kernels do not move or requantize integers as ``edgekit.quantization`` proves. What follows from a tensor
        that is near is near.
        """
        return self.near_in(())

    def near_in(self, simulated: Collection[str]) -> Mapping[str, str]:
        """The same where some operators are only simulated: those of which long sums can drift are near, too.

        Args:
            simulated: names of operators that a runner computes in float32 (``Runner.simulated``).
        """
        near: dict[str, str] = {}
        for node in self.graph:
            inherited = next((near[name] for name in self.graph.activations(node) if name in near), None)
            reason = inherited or self._not_claimed(node)
            if not reason and type(node.op).__name__ in simulated and node.name in self.ratios:
                reason = self._drifting(node)
            if reason:
                near[node.output] = reason
        return near

    def _drifting(self, node: Node) -> str:
        reason = float_sums.unproven(self.graph, node, self.ratios[node.name], self.params[node.operand("x")])
        return reason and f"{reason} ({node.lowered.name if node.lowered else node.name})"

    def _not_claimed(self, node: Node) -> str:
        """Why what ``node`` makes of integers is not claimed to be the same everywhere; "" if it is."""
        width, named = self.width(node.output), node.lowered.name if node.lowered else node.name
        if width == 16 or any(self.width(name) == 16 for name in self.graph.activations(node)):
            return f"{named} has activations of 16 bits"
        if width is not None and node.op.border:
            return f"integers follow from {named} in float"
        is_whole = width is not None or node.op.border is Border.TO_INDICES
        if is_whole and (reason := node.op.unproven(*self.graph.shapes_read(node))):
            return f"{reason} ({named})"
        if node.op.border is Border.TO_INDICES and self.width(node.operand("x")) is None:
            return f"{named} compares reals"
        if width is not None and node.op.tabulated:
            (x,) = self.graph.activations(node)
            if curves.distance(node, self.params[x], self.params[node.output]) < curves.MARGIN:
                return f"{named} has a value next to a tie"
        return ""

    @property
    def exact(self) -> bool:
        """Whether identity is claimed of every output (``near``)."""
        return self.near.keys().isdisjoint(self.graph.output_tensors)

    @property
    def weight_limit(self) -> int:
        """The largest weight of a layer with 8-bit activations; the smallest is its negative."""
        return WEIGHT_LIMITS[7 if self.lowering.startswith(SEVEN_BIT) else 8]

    @property
    def int16_nodes(self) -> tuple[Node, ...]:
        """The layers with 16-bit activations."""
        return tuple(node for node in self.graph if self.width(node.output) == 16 and not node.op.border)

    def width(self, tensor: str) -> int | None:
        """The bits of a quantized tensor; None of a real one."""
        return self.params[tensor].bits if tensor in self.params else None

    def real(self, tensor: str, values: NDArray[Any]) -> NDArray[np.floating]:
        """What values of ``tensor`` stand for: dequantized, or as they are if it is real already."""
        return self.params[tensor].dequantize(values) if tensor in self.params else values

    def real_constant(self, node: Node, name: str) -> NDArray[np.float64]:
        """What a constant of ``node`` stands for, exactly: a bias has the product of the scales of input and weight."""
        values = self.graph.constants[name].astype(np.float64)
        if name in self.params:
            scale = self.params[name].scale.astype(np.float64)
            return values * (scale.reshape(-1, *[1] * (values.ndim - 1)) if scale.size > 1 else scale)
        if node.output not in self.params:  # of a layer that is kept in float
            return values
        x, weight = node.read("x", "weight")
        return values * (self.params[x].scale.astype(np.float64) * self.params[weight].scale.astype(np.float64))

    def save(self, path: Path) -> None:
        """Write the model to ``path``, all of it or nothing.

        Raises:
            BadInput: the file cannot be written.
        """
        header = {
            "format_version": FORMAT_VERSION,
            "graph": graph_to_dict(self.graph),
            "params": {
                name: {"scale": [float(s) for s in p.scale], "zero_point": p.zero_point, "bits": p.bits}
                for name, p in self.params.items()
            },
            "ratios": {
                name: {"numerator": r.numerator.tolist(), "denominator": r.denominator.tolist()}
                for name, r in self.ratios.items()
            },
            "preprocessing": self.preprocessing.to_dict(),
            "normalization": {"mean": self.normalization.mean, "std": self.normalization.std},
            "pixel_input": self.pixel_input,
            "labels": list(self.labels),
            "profile": self.lowering,
            "provenance": dict(self.provenance),
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        arrays = {_HEADER: np.frombuffer(text, np.uint8), **self.graph.constants}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        files.write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> IntegerModel:
        """Read a saved model.

        Raises:
            ArtifactError: the file is missing, damaged, or of another format version.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist") from error
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
            version = header["format_version"]
            known = version == FORMAT_VERSION or version in _NEXT
            while version in _NEXT:
                header, version = _NEXT[version](header), version + 1
            model = _from_header(header, arrays) if known else None
        except _EvenDenominatorError as error:
            raise ArtifactError(f"{path}: {error}. edgekit never writes that: export it again") from error
        except UnsupportedOperator as error:
            raise ArtifactError(f"{path}: {error}: install the edgekit that wrote it, or export it again") from error
        except Exception as error:  # there is nothing that a damaged file cannot make zipfile and numpy raise
            raise ArtifactError(f"{path} is not an edgekit integer model, or is damaged: export it again") from error
        if model is None:
            raise ArtifactError(
                f"{path} has format version {version}, this edgekit reads {min(_NEXT)} to {FORMAT_VERSION}: "
                f"export it again"
            )
        return model


def _with_named_outputs(header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a file of version 2 as version 3 has it: its one output was a classifier's."""
    graph = header["graph"]
    (tensor,) = graph["outputs"]
    tensors = [{"axes": (), **values} for values in graph["tensors"]]
    return {**header, "graph": {**graph, "outputs": [asdict(Output.logits(tensor))], "tensors": tensors}}


def _with_rearrangements(header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a file of version 3 as this version has it: a map of one pixel became a vector by Flatten."""
    graph = header["graph"]
    shapes = {tensor["name"]: tuple(tensor["shape"]) for tensor in graph["tensors"]}
    nodes = [
        {**node, "op": op_to_dict(Rearrange.reshape(shapes[node["output"]]))} if node["op"]["op"] == "Flatten" else node
        for node in graph["nodes"]
    ]
    return {**header, "graph": {**graph, "nodes": nodes}}


# How a header of an earlier version is one of the next.
_NEXT: Final = {2: _with_named_outputs, 3: _with_rearrangements}


class _EvenDenominatorError(ValueError):
    """A ratio is not tie-free."""


def _from_header(header: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]) -> IntegerModel:
    """A model from what was saved; raises anything if that makes no sense."""
    graph = graph_from_dict(header["graph"], constants)
    check(graph)
    nodes = {node.name: node for node in graph}
    model = IntegerModel(
        graph=graph,
        params={
            name: QuantParams(np.array(p["scale"], np.float32), p["zero_point"], p["bits"])
            for name, p in header["params"].items()
        },
        ratios={name: _ratio(values, nodes[name]) for name, values in header["ratios"].items()},
        preprocessing=Preprocessing.from_dict(header["preprocessing"]),
        normalization=Normalization(*(tuple(header["normalization"][key]) for key in ("mean", "std"))),
        pixel_input=header["pixel_input"],
        labels=tuple(header["labels"]),
        lowering=header["profile"],
        provenance=header["provenance"],
    )
    assert model.width(graph.input) == 8, "the input is not quantized"
    assert all(params.bits in {8, 16} for params in model.params.values()), "integers have 8 or 16 bits"
    for node in graph:
        _check_types(model, node)
    return model


def _ratio(values: Mapping[str, Any], node: Node) -> Ratio:
    if any(denominator % 2 == 0 for denominator in values["denominator"]):
        raise _EvenDenominatorError(
            f"the ratio of {node.output!r} (layer {node.name!r}) has an even denominator, so that its results can be "
            f"ties, which runtimes round differently"
        )
    return Ratio(np.array(values["numerator"], np.int64), np.array(values["denominator"], np.int64))


def _check_types(model: IntegerModel, node: Node) -> None:
    """Assert that ``node`` is an integer node, a float node, or the border between them."""
    made, read = model.width(node.output), {model.width(name) for name in model.graph.activations(node)}
    match node.op.border:
        case Border.TO_INTEGERS:
            assert read == {None}, f"{node.name} quantizes integers"
            assert made, f"{node.name} has no parameters"
        case Border.TO_ANOTHER_WIDTH:
            assert made and None not in read and made not in read, f"{node.name} changes no width"  # noqa: PT018 - one thought
        case Border.TO_REALS:
            assert None not in read, f"{node.name} dequantizes reals"
            assert made is None, f"{node.name} makes integers"
        case Border.TO_INDICES:
            assert made is None, f"{node.name} makes integers that stand for reals"
        case None:
            assert read == {made}, f"{node.name} reads or makes tensors of several kinds"
            assert made != 8 or node.op.scales is not Scales.NONE, f"{node.name} has no integer form"
            types = {None: (np.float32,), 8: (np.int8, np.int32), 16: (np.int8, np.int16, np.int32)}[made]
            constants = [model.graph.constants[name] for name in node.inputs if name in model.graph.constants]
            assert all(array.dtype in types for array in constants), f"{node.name} has constants of another type"
