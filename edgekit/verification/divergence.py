"""Two networks in step, layer by layer: where they part, and how far each layer is from the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.metadata import Precision
from edgekit.integer_model import IntegerModel
from edgekit.runtimes.tracing import Trace, factor_of, trace_file, trace_graph, trace_model
from edgekit.verification.cases import Case, Cause, Finding, FloatLayer, IntegerLayer, Variant, at_border_only
from edgekit.verification.causes import explain
from edgekit.verification.class_parity import ALLOWED
from edgekit.verification.float_parity import TOLERANCE
from edgekit.verification.integer_parity import NEAR
from edgekit.verification.layers import LayerComparison, steepest_fall
from edgekit.verification.mask_causes import explain as explain_mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node
    from edgekit.runtimes.runner import Runner

_EXAMPLES: Final = 3
_MOST_VALUES: Final = 2_000_000  # that a layer is computed again for, under each hypothesis
_SIX: Final = 6.0  # what float graphs leave of a hard-sigmoid: edgekit.passes.lower_hard_sigmoid

_REMEDIES: Final = {
    Cause.MISSING: "export the file again; if it is as edgekit wrote it, please report it",
    Cause.SHAPE: "compare the layer's padding, stride and kernel with the checkpoint's",
    Cause.TYPE: "export the file again: `edgekit inspect` counts its float operators",
    Cause.ROUNDING: "the file is right: run it where kernels round once, which is LiteRT with XNNPACK, ONNX Runtime, "
    "and torch with fbgemm",
    Cause.UNKNOWN: "`edgekit verify` compares what the file holds with the model: "
    "if that is the same, it is the kernel",
    Cause.SCALE: "export the file again, and let nothing rewrite it afterwards",
    Cause.ZERO_POINT: "export the file again, and let nothing rewrite it afterwards",
    Cause.BIAS: "export the file again, and let nothing rewrite it afterwards",
    Cause.CLAMP: "look for a ReLU or ReLU6 that was lost or added, or for a range that is too narrow",
    Cause.PADDING: "look whether the network was trained with TensorFlow's padding (same) or PyTorch's (symmetric)",
    Cause.LAYOUT: "look for a transpose that was lost or added on the way, NCHW against NHWC",
    Cause.CHANNEL_ORDER: "look for a permutation that was lost or added, RGB against BGR at the input",
    Cause.CHOICE: "export the file again, and let nothing rewrite it afterwards",
    Cause.BOUNDARY: "look at scale, zero point and type of the file's output: `edgekit inspect`",
}

_ASK_THE_CHECKPOINT: Final = "compare each with the checkpoint: that tells which of them is off, and more of the cause"


class Where(StrEnum):
    """Which values of a feature map differ."""

    BORDER = "the border only"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True)
class Example:
    """One value that differs.

    Attributes:
        index: of image, channel, row and column, or of image and channel.
        a: on one side: a stored integer or a real.
        b: on the other.
        exact: what it is before it is rounded, as the model has it; None where that is not known.
    """

    index: tuple[int, ...]
    a: float
    b: float
    exact: float | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first layer in which two networks part.

    Attributes:
        layer: the checkpoint's module, or the tensor where that is not known.
        tensor: what the layer makes, by its name in the graph.
        operator: what the layer does ("Conv2d"); empty where that is not known.
        max_difference: in ``unit``.
        unit: "LSB", or "of the largest value" of reals.
        share: of the values that differ, 0..1.
        channels: that differ.
        channel_count: of all.
        where: which values of a feature map differ.
        examples: some that differ.
        culprit: who is off from what the layer has to give for its inputs; None where both are, or where nobody knows.
        cause: the likely one.
        explanation: what was seen, in words.
        remedy: what to do.
    """

    layer: str
    tensor: str
    operator: str
    max_difference: float
    unit: str
    share: float
    channels: tuple[int, ...]
    channel_count: int
    where: Where
    examples: tuple[Example, ...]
    culprit: str | None
    cause: Cause
    explanation: str
    remedy: str

    @property
    def sentence(self) -> str:
        """All of it in one line: "features.4.conv.0 (Conv2d): 3 LSB at most, on 2 of 96 channels; scale: …"."""
        operator = f" ({self.operator})" if self.operator else ""
        if not self.channels:
            return f"{self.layer}{operator}: {self.explanation}"
        size = f"{self.max_difference:.3g} {self.unit}"
        channels = f"on {len(self.channels)} of {self.channel_count} channels"
        return f"{self.layer}{operator}: {size} at most, {channels}; {self.cause}: {self.explanation}"


@dataclass(frozen=True, slots=True)
class _Step:
    """A tensor on the way through a network; the input is made by no node."""

    layer: str
    tensor: str
    operator: str
    node: Node | None = None


class Comparison:
    """Two traces of one network, on the same images."""

    def __init__(self, a: Trace, b: Trace, network: IntegerModel | Graph | None) -> None:
        """Two traces that call their tensors alike.

        Args:
            a: one.
            b: the other. Where one of them is more precise, let it be this: SQNR takes it for the signal.
            network: what both were written from. Of two float files it need not be known: the tensors that both have
                are compared then, in the order of ``a``.
        """
        self.a, self.b = a, b
        self.model = network if isinstance(network, IntegerModel) else None
        self.graph = network.graph if isinstance(network, IntegerModel) else network
        self.same_type = (a.precision is Precision.INT8) == (b.precision is Precision.INT8)
        # Integers never are the reals that they stand for, and what rounding costs adds up from layer to layer.
        self.comparable = a.precision is b.precision and a.precision not in {Precision.FLOAT16, Precision.DYNAMIC}
        self.tolerance = max(TOLERANCE.get(trace.precision, TOLERANCE[Precision.FLOAT32]) for trace in (a, b))
        self._near = self.model.near_in({*a.simulated, *b.simulated}) if self.model else {}

    @property
    def steps(self) -> tuple[_Step, ...]:
        """What is compared, in the order of execution."""
        if self.graph is None:
            return tuple(_Step(name, name, "") for name in self.a.tensors if name in self.b.tensors)
        nodes = [_Step(node.name, node.output, type(node.op).__name__, node) for node in self.graph]
        steps = (_Step(self.graph.input, self.graph.input, "input"), *nodes)
        return steps if self.same_type else tuple(step for step in steps if self._have_in_common(step.tensor))

    def _have_in_common(self, tensor: str) -> bool:
        """Whether integers and floats stand for the same there: what is called like a tensor, but not a picture.

        Where normalization is folded into the first convolution, the integers of the input stand for something else.
        """
        assert self.model is not None
        folded = self.model.normalization != self.model.preprocessing.normalization
        is_picture = tensor == self.model.graph.input and folded
        return tensor in self.a.tensors and tensor in self.b.tensors and not is_picture

    @np.errstate(invalid="ignore", over="ignore")  # an infinity is a difference like any other
    def layers(self) -> tuple[LayerComparison, ...]:
        """Every layer that both have in the same shape."""
        return tuple(self._layer(step) for step in self.steps if self._unlike(step) is None)

    @np.errstate(invalid="ignore", over="ignore")
    def divergence(self) -> Divergence | None:
        """The first layer in which they part; None where they do not.

        Integers have to be the same, and float32 within ``TOLERANCE``. What follows from layers that are more precise
        than int8 is not claimed to be identical: there it has to be near, and is no divergence while the differences
        stay below ``NEAR`` of its spread.

        With float16, errors add up from layer to layer: where the answers are further apart than ``TOLERANCE``, it is
        the layer whose SQNR falls most. Integers against floats are not judged at all.
        """
        for step in self.steps:
            unlike = self._unlike(step)
            if unlike is not None:
                return self._without_values(step, unlike)
            if self.comparable and self._part(step.tensor):
                return self._explained(step)
        near = () if self.graph is None else [o.name for o in self.graph.outputs if o.tensor in self._near]
        pairs = [(n, self.a.answers[n], self.b.answers[n]) for n in self.a.answers if n in self.b.answers]
        apart = next((name for name, a, b in pairs if self._differ(a, b, claimed=name not in near)), None)
        if not self.same_type or apart is None:
            return None
        worst = None if self.comparable else steepest_fall(self.layers(), self.graph)
        if worst is None:
            return self._boundary(apart)
        return self._explained(next(step for step in self.steps if step.tensor == worst.tensor))

    def place(self, divergence: Divergence) -> int:
        """Where in the order of execution a divergence is; the answer comes last."""
        return next((i for i, step in enumerate(self.steps) if step.layer == divergence.layer), len(self.steps))

    # --- one layer

    def _unlike(self, step: _Step) -> Finding | None:
        """Why a tensor cannot be compared value by value."""
        sides = {trace.runner: trace.tensors.get(step.tensor) for trace in (self.a, self.b)}
        missing = [name for name, values in sides.items() if values is None]
        if missing:
            return Finding(Cause.MISSING, f"{missing[0]} has no such layer, or calls what it makes otherwise")
        a, b = self.a.tensors[step.tensor], self.b.tensors[step.tensor]
        if a.shape != b.shape:
            return Finding(
                Cause.SHAPE, f"its shape is {_shape(a)} in {self.a.runner} and {_shape(b)} in {self.b.runner}"
            )
        if self.same_type and (_is_stored(a) != _is_stored(b) or (_is_stored(a) and a.dtype != b.dtype)):
            return Finding(Cause.TYPE, f"it is {a.dtype} in {self.a.runner} and {b.dtype} in {self.b.runner}")
        return None

    def _layer(self, step: _Step) -> LayerComparison:
        a, b = self.a.tensors[step.tensor], self.b.tensors[step.tensor]
        differences: dict[int, int] = {}
        reals_a, reals_b = self._reals(step.tensor, a), self._reals(step.tensor, b)
        if _is_stored(a) and _is_stored(b):
            distance = np.abs(a.astype(np.int32) - b)
            sizes, counts = np.unique(distance, return_counts=True)
            differences = {int(size): int(count) for size, count in zip(sizes, counts, strict=True)}
            equal, largest = differences.get(0, 0), float(distance.max(initial=0))
        else:
            reals_b = _nearest(reals_b, reals_a)
            equal, largest = int((reals_a == reals_b).sum()), _relative(reals_a, reals_b)
        return LayerComparison(
            *(step.layer, step.tensor, step.operator, a.size, equal, differences, largest),
            signal=float(np.square(reals_b, dtype=np.float64).sum()),
            noise=float(np.square(reals_a - reals_b, dtype=np.float64).sum()),
        )

    def _reals(self, tensor: str, values: NDArray[Any]) -> NDArray[Any]:
        """What values stand for, without the factor that their tensor carries."""
        if not _is_stored(values) or (self.graph and self.graph.tensors[tensor].is_mask):
            return values.astype(np.float64)
        assert self.model is not None, "integers are of an integer model"
        real = self.model.params[tensor].dequantize(values).astype(np.float64)
        return real / factor_of(self.model.graph.tensors[tensor])

    def _part(self, tensor: str) -> bool:
        return self._differ(self.a.tensors[tensor], self.b.tensors[tensor], claimed=tensor not in self._near)

    def _differ(self, a: NDArray[Any], b: NDArray[Any], *, claimed: bool) -> bool:
        """Whether values differ by more than they may."""
        if _is_stored(a) and self.model is None:  # classes that follow from reals
            return bool((a != b).mean() > ALLOWED[Precision.FLOAT32])
        if not claimed:
            difference = a.astype(np.float64) - b
            spread = np.square(b - b.mean(dtype=np.float64)).sum()
            return not np.square(difference).sum() <= NEAR**2 * max(spread, b.size if _is_stored(b) else 0.0)
        return not np.array_equal(a, b) if _is_stored(a) else not _relative(a, b) <= self.tolerance

    # --- the first that differs

    def _explained(self, step: _Step) -> Divergence:
        if self.graph is not None and step.node is not None and self.graph.tensors[step.tensor].is_mask:
            return self._of_mask(step, step.node)
        images = self._images(step.tensor)
        layer = self._computable(step, images)
        a, b = (trace.tensors[step.tensor] for trace in (self.a, self.b))
        exact = None if layer is None else layer.compute(Variant())
        found, culprit = self._why(step, layer, exact, a[images], b[images])
        return replace(
            self._described(step, a, b, found),
            culprit=culprit,
            examples=_examples(a[images], b[images], images, exact),
            remedy=_ASK_THE_CHECKPOINT if self.graph is None else _REMEDIES[found.cause],
        )

    def _of_mask(self, step: _Step, node: Node) -> Divergence:
        """Where classes differ, though what they are named of does not."""
        logits = self.a.tensors[node.operand("x")]
        found, expected = (self.a, self.b) if self.b.is_reference else (self.b, self.a)
        a, b = found.tensors[step.tensor], expected.tensors[step.tensor]
        finding = explain_mask(logits, a, b)
        described = self._described(step, self.a.tensors[step.tensor], self.b.tensors[step.tensor], finding)
        return replace(described, unit="classes", channels=(), culprit=found.runner)

    def _why(
        self,
        step: _Step,
        layer: IntegerLayer | FloatLayer | None,
        exact: NDArray[np.float64] | None,
        a: NDArray[Any],
        b: NDArray[Any],
    ) -> tuple[Finding, str | None]:
        """The likely cause, and whose fault it is."""
        sides = [(self.a, a), (self.b, b)]
        if exact is None:
            exact = next((values.astype(np.float64) for trace, values in sides if trace.is_reference), None)
        cases = [] if exact is None else [(t, self._case(step, values, exact, layer)) for t, values in sides]
        off = [(trace, case) for trace, case in cases if case.differs(case.exact).any()]
        if not off:  # nobody knows what is right, or floats part by more than either is off
            found = explain(self._case(step, b, a.astype(np.float64), None))
            return replace(found, explanation=f"if {self.a.runner} is right: {found.explanation}"), None
        trace, case = off[-1]
        found = explain(case)
        if trace.differs_because and found.cause in {Cause.ROUNDING, Cause.UNKNOWN}:
            found = replace(found, explanation=f"{found.explanation}; {trace.differs_because}")
        if len(off) > 1:
            words = f"neither gives what it has to; of {trace.runner}: {found.explanation}"
            return replace(found, explanation=words), None
        return found, trace.runner

    def _case(
        self, step: _Step, found: NDArray[Any], exact: NDArray[np.float64], layer: IntegerLayer | FloatLayer | None
    ) -> Case:
        zero_point, limits = None, (-np.inf, np.inf)
        if self.model is not None and _is_stored(found):
            zero_point = self.model.params[step.tensor].zero_point
            limits = np.iinfo(found.dtype).min, np.iinfo(found.dtype).max
        return Case(found, exact, layer, zero_point, self.tolerance, limits if layer is None else layer.limits)

    def _images(self, tensor: str) -> NDArray[np.intp]:
        """The first images on which a tensor differs, as many as it can be computed again for in a moment."""
        a, b = self.a.tensors[tensor], self.b.tensors[tensor]
        differ = np.flatnonzero((a != b).reshape(len(a), -1).any(1))
        return differ[: max(_MOST_VALUES * len(a) // max(a.size, 1), 1)]

    def _computable(self, step: _Step, images: NDArray[np.intp]) -> IntegerLayer | FloatLayer | None:
        """The layer with its inputs, where both are known: those of ``a``, as up to here they are the same."""
        node = step.node
        if node is None or self.graph is None:
            return None
        inputs = {name: self.a.tensors[name][images] for name in self.graph.activations(node)}
        if self.model is None:
            return FloatLayer(self.graph, node, inputs)
        is_plain = self.model.width(node.output) == 8 and not node.op.border
        return IntegerLayer(self.model, node, inputs) if is_plain else None

    def _described(self, step: _Step, a: NDArray[Any], b: NDArray[Any], found: Finding) -> Divergence:
        stored = _is_stored(a)
        distance = np.abs(a.astype(np.float64) - b)
        differs = ~(distance <= (0.0 if stored else self.tolerance * float(np.abs(a).max(initial=0.0))))
        at_border = step.node is not None and self.graph is not None and at_border_only(differs, step.node, self.graph)
        return Divergence(
            layer=step.layer,
            tensor=step.tensor,
            operator=step.operator,
            max_difference=float(distance.max(initial=0)) if stored else _relative(a, b),
            unit="LSB" if stored else "of the largest value",
            share=float(differs.mean()),
            channels=tuple(np.flatnonzero(differs.any(tuple(axis for axis in range(a.ndim) if axis != 1))).tolist()),
            channel_count=a.shape[1],
            where=Where.BORDER if at_border else Where.EVERYWHERE,
            examples=_examples(a, b, np.arange(len(a)), None),
            culprit=None,
            cause=found.cause,
            explanation=found.explanation,
            remedy=_REMEDIES[found.cause],
        )

    def _without_values(self, step: _Step, found: Finding) -> Divergence:
        return Divergence(
            *(step.layer, step.tensor, step.operator, math.nan, "", 1.0, (), 0, Where.EVERYWHERE, (), None),
            *(found.cause, found.explanation, _REMEDIES[found.cause]),
        )

    def _boundary(self, output: str) -> Divergence:
        """Every layer is the same, and an answer is not."""
        tensor = self.graph.named({name: name for name in self.graph.tensors})[output] if self.graph else output
        found = Finding(
            Cause.BOUNDARY,
            "every layer is the same and the answer is not: it is converted otherwise on its way out, or a kernel is "
            "another where nobody looks at what is inside",
        )
        return self._described(
            _Step("the answer", tensor, "output"), self.a.answers[output], self.b.answers[output], found
        )


def locate(
    path: Path,
    network: IntegerModel | FloatModel,
    pixels: NDArray[np.uint8],
    *,
    make_runner: Callable[[], Runner] | None = None,
) -> Divergence | None:
    """The first layer in which a file parts from what it was written from.

    Args:
        path: of the file.
        network: the integer model of an int8 file, the float model of a float one.
        pixels: images on which they part, [N, H, W, C]; one or a few.
        make_runner: runs the file, where it is not its first runner that parts.

    Raises:
        ArtifactError: the file cannot be read or run, or nothing here can show its tensors.
        MissingDependency: a runtime is not installed.
    """
    if isinstance(network, IntegerModel):
        found = trace_file(path, pixels, network, make_runner=make_runner)
        return Comparison(trace_model(network, pixels), found, network).divergence()
    found = trace_file(path, pixels, network.graph, make_runner=make_runner)
    expected = trace_graph(network.graph, network.preprocessing.normalization, pixels)
    return Comparison(found, expected, network.graph).divergence()


def _examples(
    a: NDArray[Any], b: NDArray[Any], images: NDArray[np.intp], exact: NDArray[np.float64] | None
) -> tuple[Example, ...]:
    """The values of some images, with their places among all, that differ most."""
    distance = np.nan_to_num(np.abs(a.astype(np.float64) - b), nan=np.inf)
    worst = [np.unravel_index(i, a.shape) for i in np.argsort(-distance, axis=None, kind="stable")[:_EXAMPLES]]
    return tuple(
        Example(
            (int(images[i[0]]), *map(int, i[1:])), float(a[i]), float(b[i]), None if exact is None else float(exact[i])
        )
        for i in worst
        if distance[i] > 0
    )


def _is_stored(values: NDArray[Any]) -> bool:
    return bool(np.issubdtype(values.dtype, np.integer))


def _shape(values: NDArray[Any]) -> str:
    """Without the batch."""
    return " x ".join(map(str, values.shape[1:]))


def _relative(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The largest difference of reals, relative to the largest value of ``a``."""
    largest = float(np.abs(a).max(initial=0.0))
    difference = float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
    return difference / max(largest, float(np.finfo(np.float32).tiny))


def _nearest(reals: NDArray[Any], to: NDArray[Any]) -> NDArray[Any]:
    """Reals of a float file, which does not say whether they carry the 6 of a hard-sigmoid: the nearer of both."""
    ways = [reals, reals / _SIX]
    return min(ways, key=lambda way: float(np.square(to - way).sum() / max(np.square(way).sum(), np.finfo(float).tiny)))
