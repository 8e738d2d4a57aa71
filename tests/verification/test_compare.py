"""A file in a runner against what its logits have to be, whatever is at its boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.exporters.metadata import IoDtype, Precision, of_float_model, of_integer_model
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import Dequantize, Node, Output, Quantize
from edgekit.reference.integer import Reference
from edgekit.verification import compare
from edgekit.verification.float_parity import TOLERANCE, FloatParity
from edgekit.verification.integer_parity import NEAR, IntegerParity
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.boundary import Alignment


class ReferenceRunner:
    """The reference behind the boundary of a file."""

    name = "the reference"
    differs_because, simulated = None, ()

    def __init__(self, model: IntegerModel, io_dtype: IoDtype, *, off_by: int = 0) -> None:
        self.model, self.io_dtype, self.off_by = model, io_dtype, off_by

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {"logits": self._logits(batch)}

    def _logits(self, batch: NDArray[Any]) -> NDArray[Any]:
        stored = batch
        if self.io_dtype is IoDtype.FLOAT32:
            stored = self.model.params[self.model.graph.input].quantize(aligned(batch, self.model.alignment))
        elif self.io_dtype is IoDtype.UINT8:
            stored = (batch.astype(np.int16) - 128).astype(np.int8)
        assert stored.dtype == np.int8
        logits = (
            np.concatenate([Reference(self.model).run(stored[i : i + 1])["logits"] for i in range(len(stored))])
            + self.off_by
        )
        match self.io_dtype:
            case IoDtype.INT8:
                return logits.astype(np.int8)
            case IoDtype.UINT8:
                return (logits.astype(np.int16) + 128).astype(np.uint8)
            case IoDtype.FLOAT32:
                params = self.model.params[self.model.graph.output_tensors[0]]
                return (params.scale * (logits.astype(np.float32) - params.zero_point)).astype(np.float32)

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        return lambda: self.run(batch)

    def __enter__(self) -> ReferenceRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def aligned(batch: NDArray[np.float32], found: Alignment) -> NDArray[np.float32]:
    """What a float32 boundary computes before it quantizes, in float32 as runtimes do: [N, C, H, W]."""
    gains = np.array(found.gains or 1, np.float32).reshape(-1, 1, 1)
    offsets = np.array(found.offsets or 0, np.float32).reshape(-1, 1, 1)
    return batch * gains + offsets


@pytest.fixture(scope="module")
def model(exported: Path) -> IntegerModel:
    return IntegerModel.load(next(exported.glob("*.edgekit")))


@pytest.fixture(scope="module")
def pixels(model: IntegerModel) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (3, *model.preprocessing.size, 3), np.uint8)


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_the_same_integers_through_every_boundary(
    model: IntegerModel, pixels: NDArray[np.uint8], io_dtype: IoDtype
) -> None:
    expected = compare.reference_outputs(model, pixels)
    about = of_integer_model(model, io_dtype)
    (parity,) = compare.integers(ReferenceRunner(model, io_dtype), about, model, pixels, expected)
    assert parity.passed
    assert (parity.images, parity.runner) == (3, "the reference")
    others = {"logits": expected["logits"] - 1}
    (parity,) = compare.integers(ReferenceRunner(model, io_dtype, off_by=1), about, model, pixels, others)
    assert isinstance(parity, IntegerParity)
    assert parity.max_lsb == 2


def test_what_is_claimed_of_layers_in_float(model: IntegerModel) -> None:
    """Reals at the end are those of one float layer; what integers follow from reals is near at best."""
    graph, output = model.graph, model.graph.output_tensors[0]
    outputs = (Output.logits("real"),)
    last = replace(graph, nodes=(*graph.nodes, Node("last", Dequantize(), (output,), "real")), outputs=outputs)
    tensors = {**graph.tensors, **{name: replace(graph.tensors[output], name=name) for name in ("real", "stored")}}
    at_the_end = replace(model, graph=replace(last, tensors=tensors))
    *first, head = graph.nodes
    border, behind = Node("border", Quantize(), ("real",), "stored"), replace(head, inputs=("stored", *head.inputs[1:]))
    inside = replace(graph, nodes=(*first, border, behind), tensors=tensors)
    params = {**model.params, "stored": model.params[output]}
    in_the_middle = replace(model, graph=inside, params=params)
    nodes = (*inside.nodes, last.nodes[-1])
    both = replace(at_the_end, graph=replace(inside, nodes=nodes, outputs=outputs), params=params)
    logits = np.arange(20, dtype=np.int8).reshape(2, 10)
    for mixed, exact in ((model, True), (in_the_middle, False)):
        (parity,) = compare.with_reference("x", {"logits": logits}, {"logits": logits}, mixed)
        assert isinstance(parity, IntegerParity)
        assert parity.exact is exact
    for mixed, tolerance in ((at_the_end, TOLERANCE[Precision.FLOAT32]), (both, NEAR)):
        narrow, wide = ({"logits": logits.astype(dtype)} for dtype in (np.float32, np.float64))
        (real,) = compare.with_reference("x", narrow, wide, mixed)
        assert isinstance(real, FloatParity)
        assert real.tolerance == tolerance


def test_identity_is_claimed_of_each_output_by_itself() -> None:
    """A layer that is kept in float behind the trunk does not void what is proven of the trunk."""
    s = FloatSketch((3, 9, 11), seed=1)
    trunk = s.conv("x", 4)
    s.linear(s.mean(s.conv(trunk, 4), keep_dims=False), 10)
    source = s.float_model()
    outputs = (Output("trunk", trunk), *source.graph.outputs)
    kept = source.graph.nodes[1].name
    ranges = s.ranges()
    source = replace(source, graph=replace(source.graph, outputs=outputs))
    model = quantize(source, ranges, Options(pixel_input=False, keep_float=[kept]))
    assert not model.exact
    assert trunk not in model.near
    assert model.near[model.graph.output_tensors[1]] == f"integers follow from {kept} in float"
    expected = Reference(model).run(model.params["x"].quantize(s.images(2)))
    parities = compare.with_reference("x", expected, expected, model)
    assert [(parity.output, parity.exact) for parity in parities if isinstance(parity, IntegerParity)] == [
        ("trunk", True),
        ("logits", False),
    ]


def test_a_file_of_another_profile_claims_to_be_near(model: IntegerModel, pixels: NDArray[np.uint8]) -> None:
    """As a Core ML program in float16, whose scales are rounded."""
    about, expected = of_integer_model(model, IoDtype.INT8), compare.reference_outputs(model, pixels)
    for profile, exact in ((model.lowering, True), (f"{model.lowering}-float16", False)):
        runner = ReferenceRunner(model, IoDtype.INT8, off_by=1)
        (parity,) = compare.integers(runner, replace(about, lowering=profile), model, pixels, expected)
        assert isinstance(parity, IntegerParity)
        assert (parity.exact, parity.passed, parity.max_lsb) == (exact, not exact, 1)


def test_floats_are_fed_normalized(model: IntegerModel, pixels: NDArray[np.uint8]) -> None:
    class Mean(ReferenceRunner):
        def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
            assert batch.dtype == np.float32
            return {"logits": np.asarray(batch.mean((2, 3)))}

    about = of_float_model(FloatModel(model.graph, model.preprocessing), Precision.FLOAT32)
    expected = ((pixels.astype(np.float64) / 255 - 0.5) / 0.5).mean((1, 2))
    wanted = {"logits": expected.astype(np.float32)}
    (parity,) = compare.floats(Mean(model, IoDtype.FLOAT32), about, pixels, wanted)
    assert parity.passed
