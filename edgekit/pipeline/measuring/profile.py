"""Where the time of a file goes: by the layers of the checkpoint, and against what the machine could do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.vocabulary import Does
from edgekit.ir import HardSwish
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import profiling_of
from edgekit.timing.kernels import ProfileWorker
from edgekit.timing.profilers.costs import Costs
from edgekit.timing.profilers.matching import match
from edgekit.timing.roofline import Roofline, roofline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.contents import Contents, Operator
    from edgekit.exporters.metadata import Precision
    from edgekit.exporters.origins import Origin
    from edgekit.timing.kernels import KernelTimes
    from edgekit.timing.profilers.matching import Work

RUNS: Final = 100
CALM: Final = 0.1  # the spread of runs on a machine with nothing else to do is smaller

# What operators do, in words; those with weights are told apart by these.
_CONVERSION, _PADDING, _HARD_SWISH = "conversion of type", "padding", "hard-swish"
_WORDS: Final = {
    Does.ADD: "addition",
    **dict.fromkeys((Does.MULTIPLY, Does.MULTIPLY_AND_ADD, Does.NORMALIZE), "multiplication"),
    Does.HARD_SWISH: _HARD_SWISH,
    Does.SOFTMAX: "soft-max",
    **dict.fromkeys((Does.CLAMP, Does.HARD_SIGMOID, Does.SIGMOID), "activation"),
    Does.POOL: "pooling",
    **dict.fromkeys((Does.PAD, Does.CROP), _PADDING),
    Does.JOIN: "concatenation",
    **dict.fromkeys((Does.RESHAPE, Does.TRANSPOSE), "reshaping"),
    Does.RESIZE: "resizing",
    **dict.fromkeys((Does.CONVERT, Does.KEEP, Does.QUANTIZE, Does.DEQUANTIZE), _CONVERSION),
}
# What passes and captures write as several operators: x (x + 3) with a clamp, and x sigmoid(x).
_WHOLES: Final = {HardSwish.__name__: _HARD_SWISH, "SiLU": "SiLU"}
BY_RUNTIME: Final = "added by the runtime"  # conversions of layouts and types


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """What runs in one go: an operator of the file, with those that the runtime fuses with it. Or a sum of such.

    Attributes:
        layer: the checkpoint's module; "input" and "output" for conversions at the boundary, empty for what the runtime
            adds by itself.
        kind: what it does, in words ("depthwise convolution").
        operator: its name in the format ("DEPTHWISE_CONV_2D").
        kernel: the runtime's name of what computes it.
        calls: how many kernels that are.
        us: microseconds of one run.
        macs: multiplications, each with its addition.
        weight_bytes: of constants.
        activation_bytes: of what is read and written.
        bound_us: microseconds that the machine would need at best.
        memory_us: as much of the bound as comes from operators that moving bytes holds up.
        tensor: what the file calls the result of the operator that multiplies most of these; empty for the runtime's
            own, and for sums.
    """

    layer: str
    kind: str
    operator: str
    kernel: str
    calls: int
    us: float
    macs: int
    weight_bytes: int
    activation_bytes: int
    bound_us: float
    memory_us: float
    tensor: str = ""

    @property
    def moved_bytes(self) -> int:
        """Weights and activations."""
        return self.weight_bytes + self.activation_bytes

    @property
    def intensity(self) -> float:
        """MACs a byte; 0 where nothing is moved."""
        return self.macs / self.moved_bytes if self.moved_bytes else 0.0

    @property
    def gmacs(self) -> float:
        """10^9 MACs a second."""
        return self.macs / self.us / 1e3 if self.us else 0.0

    @property
    def gbs(self) -> float:
        """10^9 bytes a second."""
        return self.moved_bytes / self.us / 1e3 if self.us else 0.0

    @property
    def bound(self) -> str:
        """What holds it up at best: "memory" or "arithmetic"; empty where nothing is known to be done."""
        if not self.bound_us:
            return ""
        return "memory" if self.memory_us > self.bound_us / 2 else "arithmetic"

    @property
    def efficiency(self) -> float:
        """The share of what the machine could do. Above 1 where a kernel is better than what that was measured with."""
        return self.bound_us / self.us if self.us else 0.0


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """Where the time of a file goes.

    Attributes:
        path: of the file.
        network: its name.
        precision: what its operators compute in.
        runner: runtime, version and kernels.
        source: whose figures these are.
        resolution_us: microseconds that the profiler counts in.
        threads: of one run.
        runs: how many were profiled, in turns with as many that were not.
        whole_us: a run without the profiler; of one thread, the processor time of it.
        spread: of these, the third quartile over the first, less 1.
        operators: everything that ran, in the order of execution.
        roofline: what the machine can do.
        weights_gbs: of that, the bandwidth of what has room for all that a run touches, 10^9 bytes a second: weights
            come from there.
    """

    path: Path
    network: str
    precision: Precision
    runner: str
    source: str
    resolution_us: float
    threads: int
    runs: int
    whole_us: float
    spread: float
    operators: tuple[OperatorTime, ...] = field(repr=False)
    roofline: Roofline
    weights_gbs: float

    @property
    def kernels_us(self) -> float:
        """All kernels together, under the profiler."""
        return sum(entry.us for entry in self.operators)

    @property
    def disturbed(self) -> bool:
        """Whether the machine had other work to do."""
        return self.spread > CALM

    @property
    def uncovered_us(self) -> float:
        """What a run takes besides its kernels. Where it is negative, the profiler itself takes so much."""
        return self.whole_us - self.kernels_us

    @property
    def total(self) -> OperatorTime:
        """The sum over everything."""
        return _sum(self.operators, "", "")

    @property
    def layers(self) -> tuple[OperatorTime, ...]:
        """Summed up by layer, in the order of the network."""
        return _grouped(self.operators, lambda entry: entry.layer)

    @property
    def kinds(self) -> tuple[OperatorTime, ...]:
        """Summed up by what operators do, the longest first."""
        return tuple(sorted(_grouped(self.operators, lambda entry: entry.kind), key=lambda entry: -entry.us))


def side_by_side(results: Sequence[ProfileResult]) -> dict[str, tuple[float | None, ...]]:
    """Microseconds of each layer in each of several files, in the order of the first; None where a file lacks it."""
    of = [{layer.layer: layer.us for layer in result.layers if layer.layer} for result in results]
    names = dict.fromkeys(name for layers in of for name in layers)
    return {name: tuple(layers.get(name) for layers in of) for name in names}


def profile(path: Path, *, threads: int = 1, runs: int = RUNS, progress: Progress = silent) -> ProfileResult:
    """Profile a file that edgekit wrote.

    Args:
        path: of the file.
        threads: of one run.
        runs: how many to profile.
        progress: told about runs.

    Raises:
        ArtifactError: the file is missing, was not written by edgekit or by one that is too old, or cannot be run.
        MissingDependency: its runtime is not installed, or has no profiler.
    """
    form = format_of(path)
    about = form.read(path).metadata
    if about is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    contents = form.contents(path)
    operators = contents.operators
    if any(operator.origin is None for operator in operators):
        raise ArtifactError(
            f"{path} does not say which layers its operators come from: it was written by an older edgekit, or changed "
            f"since. Export it again to profile it"
        )
    with ProfileWorker(path, threads=threads) as worker:
        costs = Costs(operators, worker.activations())
        times = worker.kernels(runs, progress)
    machine = roofline(form, about.precision, times.runner, threads=threads, progress=progress)
    works = match(profiling_of(path).names, [name for name, _ in times.kernels], operators)
    counted = [costs.of(work.operators) for work in works]
    # What an operator reads was just written: it lies in the nearest cache with room for it. Weights have all others
    # read between two runs.
    touched = sum(cost.weight_bytes for cost in counted) + max(cost.activation_bytes for cost in counted)
    rows = _Rows(contents, costs, times)
    bounds = [
        (
            machine.arithmetic_us(cost.macs),
            machine.moving_us(cost.activation_bytes, cost.activation_bytes)
            + machine.moving_us(cost.weight_bytes, touched),
        )
        for cost in counted
    ]
    return ProfileResult(
        path, about.network, about.precision, times.runner, times.source, times.resolution_us, threads, times.runs,
        times.whole_us, times.spread,
        tuple(rows.row(work, *bound) for work, bound in zip(works, bounds, strict=True)), machine,
        machine.bandwidth(touched),
    )  # fmt: skip


class _Rows:
    """Names what ran."""

    def __init__(self, contents: Contents, costs: Costs, times: KernelTimes) -> None:
        self._operators, self._costs, self._times = contents.operators, costs, times
        self._channels_last = contents.channels_last

    def row(self, work: Work, arithmetic_us: float, moving_us: float) -> OperatorTime:
        kernels = [self._times.kernels[kernel] for kernel in work.kernels]
        us = sum(us for _, us in kernels)
        first = kernels[0][0]
        if not work.operators:
            return OperatorTime("", BY_RUNTIME, "", first, len(kernels), us, 0, 0, 0, 0.0, 0.0)
        ours = [self._operators[place] for place in work.operators]
        main = max(ours, key=lambda operator: (self._costs.macs(operator), operator is ours[0]))
        cost = self._costs.of(work.operators)
        bound_us = max(arithmetic_us, moving_us)
        memory_us = moving_us if moving_us >= arithmetic_us else 0.0
        return OperatorTime(
            _origin(main).layer, self._kind(main), main.kind, first, len(kernels), us,
            cost.macs, cost.weight_bytes, cost.activation_bytes, bound_us, memory_us, main.name,
        )  # fmt: skip

    def _kind(self, operator: Operator) -> str:
        kind = _WORDS.get(operator.does, "other")
        if (whole := _WHOLES.get(_origin(operator).lowered)) and kind != _CONVERSION:
            return whole
        weight = self._costs.weight(operator)
        if weight is None:
            return kind
        made = self._costs.activation(operator.name).shape
        read = self._costs.inputs(operator)[0].shape
        if operator.does is Does.DEPTHWISE:
            return "depthwise convolution"
        if weight.ndim == len("OIHW"):
            kernels = np.moveaxis(weight, -1, 1) if self._channels_last else weight
            if in_groups := _in_groups(kernels, read[0]):
                return in_groups
        if all(size == 1 for size in (*made[1:], *read[1:])):
            return "fully connected"
        return "pointwise convolution" if weight.size == made[0] * read[0] else "dense convolution"


def _in_groups(kernels: NDArray[np.generic], channels: int) -> str:
    """What a convolution by weights [O, I / groups, kH, kW] is called; "" where each output reads all channels.

    Torch files hold depthwise layers also as larger groups, or as one, with zeros between.
    """
    is_grouped = kernels.shape[1] < channels
    reads_one = channels > 1 and (kernels != 0).any((2, 3)).sum(1).max() <= 1
    if reads_one and (is_grouped or kernels[0, 0].size > 1):
        return "depthwise convolution"
    return "grouped convolution" if is_grouped else ""


def _origin(operator: Operator) -> Origin:
    assert operator.origin is not None, "a file without origins is refused"
    return operator.origin


def _grouped(entries: Iterable[OperatorTime], key: Callable[[OperatorTime], str]) -> tuple[OperatorTime, ...]:
    groups: dict[str, list[OperatorTime]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return tuple(_sum(group, _common(group, "layer"), _common(group, "kind")) for group in groups.values())


def _common(group: Sequence[OperatorTime], name: str) -> str:
    """What all of them have; for several kinds, the one that takes longest."""
    time = Counter[str]()
    for entry in group:
        time[getattr(entry, name)] += entry.us  # type: ignore[assignment] # a Counter adds up whatever numbers there are
    return time.most_common(1)[0][0] if len(time) == 1 or name == "kind" else ""


def _sum(group: Sequence[OperatorTime], layer: str, kind: str) -> OperatorTime:
    return OperatorTime(
        layer=layer,
        kind=kind,
        operator=", ".join(dict.fromkeys(entry.operator for entry in group if entry.operator)),
        kernel=", ".join(dict.fromkeys(entry.kernel for entry in group)),
        calls=sum(entry.calls for entry in group),
        us=sum(entry.us for entry in group),
        macs=sum(entry.macs for entry in group),
        weight_bytes=sum(entry.weight_bytes for entry in group),
        activation_bytes=sum(entry.activation_bytes for entry in group),
        bound_us=sum(entry.bound_us for entry in group),
        memory_us=sum(entry.memory_us for entry in group),
    )
