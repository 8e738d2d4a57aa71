"""From a case to an integer model, and what each runtime makes of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.benchmarks.claims.cases import OPERANDS, PAIRS, VALUES, Forms
from edgekit.benchmarks.claims.found import Found
from edgekit.benchmarks.claims.table import IN_FLOAT
from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.float_model import FloatModel
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams, activation_params
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import decode
from edgekit.runtimes.torch import TorchRunner
from edgekit.verification.proven import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgekit.benchmarks.claims.cases import Case
    from edgekit.exporters.format import Format
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node
    from edgekit.runtimes.runner import Runner

# Weights of 7 bits, with which no kernel of an x86 without VNNI clamps sums: every runtime runs on every machine.
_OPTIONS = Options(pixel_input=False, weight_bits=7)
_SEEN = 0.9  # of what is seen, ranges hold so much: some results saturate
_LAST_BITS = 1e-6  # by which probabilities of the same integers may differ
_LEAST = {PAIRS: 254**2, VALUES: 254}


class Exact(Reference):
    """The reference in integers alone: (2 n p + q) // (2 q), which is n p / q to the nearest, as it is no tie."""

    def round(
        self,
        total: NDArray[np.floating],
        numerator: NDArray[np.int64],
        denominator: NDArray[np.int64],
        zero_point: int,
    ) -> NDArray[Any]:
        """``total * numerator / denominator + zero_point``, saturated."""
        n = total.astype(np.int64)
        assert (n == total).all(), "what is accumulated is an integer"
        nearest: NDArray[np.int64] = (2 * n * numerator + denominator) // (2 * denominator) + zero_point
        return np.clip(nearest, -128, 127).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Trial:
    """The forms of an operator, and what they have to give.

    Attributes:
        case: the operator.
        model: all forms, each an output.
        stored: inputs, [N, C, H, W].
        expected: outputs by name, exact.
    """

    case: Case
    model: IntegerModel
    stored: NDArray[np.int8]
    expected: dict[str, NDArray[np.int8]]

    @classmethod
    def of(cls, case: Case, draw: int = 0) -> Trial:
        """``draw`` is a number that decides weights, scales, zero points and noise."""
        random = np.random.default_rng(draw)
        stored = case.stored(random)
        model = _integer_model(case, stored, random)
        _check_operands(case, model, stored)
        expected = Exact(model).run(stored)
        for name, values in Reference(model).run(stored).items():
            assert (values == expected[name]).all(), f"the reference is wrong: {case.name}, {name}"
        return cls(case, model, stored, expected)

    def write(self, form: Format, path: Path, **options: Any) -> IoDtype:  # noqa: ANN401 - the format's own
        """The model as a file, and what that takes at its boundary: integers, where the format can."""
        integers = IoDtype.INT8 in form.io_dtypes and not self.model.float_nodes
        io_dtype = IoDtype.INT8 if integers else IoDtype.FLOAT32
        form.write_integer_model(self.model, path, io_dtype=io_dtype, options=options)
        return io_dtype

    def off(self, found: Mapping[str, NDArray[Any]], io_dtype: IoDtype) -> dict[str, int]:
        """The largest difference of each output from what it has to be."""
        differences = {}
        for output in self.model.graph.outputs:
            params, wanted = self.model.params.get(output.tensor), self.expected[output.name]
            if params is None:  # reals of the same integers, but for the last bits of float32
                same = np.allclose(
                    found[output.name], wanted.reshape(found[output.name].shape), rtol=0, atol=_LAST_BITS
                )
                differences[output.name] = int(not same)
                continue
            values = decode(found[output.name], io_dtype, params)
            off = np.abs(values.astype(int) - wanted.reshape(values.shape))
            differences[output.name] = int(off.max())
        return differences

    def found(self, off: Mapping[str, Mapping[str, int]]) -> list[Found]:
        """What that means of each form; ``off`` has the differences by runtime."""
        return [
            Found(
                self.case.name,
                form,
                self.case.tried,
                _written(self.model, output.tensor),
                self._near(output.tensor),
                {runtime: differences[output.name] for runtime, differences in off.items()},
            )
            for form, output in zip(self.case.forms, self.model.graph.outputs, strict=True)
        ]

    def _near(self, tensor: str) -> str:
        """Why identity is not claimed of a tensor, without the names of nodes, which mean nothing to a reader."""
        reason = self.model.near.get(tensor, "")
        for name in sorted((node.name for node in self.model.graph), key=len, reverse=True):
            reason = reason.replace(f" ({name})", "").replace(name, "it")
        return reason


def measure(trial: Trial) -> list[Found]:
    """All forms of an operator in every runtime of this machine."""
    off: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for runner, io_dtype in _runners(trial, Path(folder)):
            given = trial.model.params[trial.model.graph.input]
            batch = trial.stored if io_dtype is IoDtype.INT8 else given.dequantize(trial.stored)
            off[split(runner.name)[0]] = trial.off(runner.run(batch), io_dtype)
    return trial.found(off)


def _integer_model(case: Case, stored: NDArray[np.int8], random: np.random.Generator) -> IntegerModel:
    """The forms of an operator, quantized on the reals that ``stored`` stands for."""
    torch.manual_seed(int(random.integers(2**31)))
    given = Range(-random.uniform(0.5, 4), random.uniform(0.5, 4))
    module = Forms(case, given, random).eval()
    channels, *size = stored.shape[1:]
    graph = integer_form(capture(module, "forms", (channels, size[0], size[1])))
    scale, zero_point = activation_params(given.low, given.high)
    params = QuantParams(np.array([scale], np.float32), zero_point)
    ranges: dict[str, Range] = {}
    operands = {node.output for node in graph if node.name.startswith(OPERANDS)}

    def observe(name: str, value: torch.Tensor) -> None:
        low, high = float(value.min()), float(value.max())
        seen = 1.0 if name in operands else _SEEN
        ranges[name] = Range(min(seen * low, 0.0), max(seen * high, 2.0**-8))

    with torch.inference_mode():
        FloatExecutor(graph)(torch.from_numpy(params.dequantize(stored)), observe)
    ranges[graph.input] = given
    return quantize(FloatModel(graph, Preprocessing((size[0], size[1]), None)), ranges, _OPTIONS)


def _check_operands(case: Case, model: IntegerModel, stored: NDArray[np.int8]) -> None:
    """Assert that the operands of each form have the values that are said to be tried."""
    if case.tried not in _LEAST:
        return
    every = Reference(model).run_all(stored)
    tensors = {node.name: node.output for node in model.graph}
    for form in range(len(case.forms)):
        operands = [every[tensors[f"{OPERANDS}{form}.{i}"]].reshape(-1) for i in range(case.operands)]
        tried = len(np.unique(np.stack(operands), axis=1).T) if case.tried == PAIRS else len(np.unique(operands[0]))
        assert tried >= _LEAST[case.tried], f"{case.name}, form {form}: only {tried} are tried"


def _runners(trial: Trial, folder: Path) -> Iterator[tuple[Runner, IoDtype]]:
    """Every runtime in turn, with what it takes at its boundary."""
    for name, form in FORMATS.items():
        path = folder / f"forms{form.suffix}"
        io_dtype = trial.write(form, path)
        makers: list[Callable[[], Runner]] = [*all_runners(path)]
        if name == "torch":
            of_arm = folder / f"qnnpack{form.suffix}"
            trial.write(form, of_arm, engine="qnnpack")
            makers = [*makers[:1], partial(TorchRunner, of_arm)]
        for make in makers:
            with make() as runner:
                if runner.differs_because is None:
                    yield runner, io_dtype


def _written(model: IntegerModel, tensor: str) -> str:
    """The operators between the operands of a form and its result, in order."""
    graph = model.graph
    wanted, nodes = {tensor}, list[str]()
    for node in reversed(graph.nodes):
        if node.output in wanted and not node.name.startswith(OPERANDS):
            wanted |= set(graph.activations(node))
            nodes.append(_called(node, model))
    counted = Counter(reversed(nodes))
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counted.items()) or "–"


def _called(node: Node, model: IntegerModel) -> str:
    """An operator of an integer model; of convolutions whether each channel is one by itself."""
    if node in model.float_nodes:
        return f"{type(node.op).__name__} {IN_FLOAT}"
    depthwise = 1 < node.op.groups_of_weights == model.graph.shapes_read(node)[0][0]
    return f"depthwise {type(node.op).__name__}" if depthwise else type(node.op).__name__
