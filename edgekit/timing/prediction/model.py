"""A latency model: the costs of each kind of work in one runtime on one device, asked how long a network would take."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import files
from edgekit.device.machine import Machine
from edgekit.errors import ArtifactError, UnsupportedOperator, did_you_mean
from edgekit.timing.prediction.layers import Counts, Tiling, counts, layers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.ir import Graph

VERSION: Final = 1  # of the file
BEYOND: Final = 1.5  # times the most that a measured layer had of something: what has more is extrapolated
_NAMED: Final = 3  # layers that a sentence names


@dataclass(frozen=True, slots=True)
class Error:
    """How far predictions lay from what was measured, of networks that the costs were not fitted to.

    Attributes:
        networks: how many those were.
        median: of the relative errors, without sign.
        p95: 95 of 100 are smaller.
        within_tenth: the share of networks that were predicted within 10 %.
    """

    networks: int
    median: float
    p95: float
    within_tenth: float

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> Error:
        """Of relative errors, [networks]."""
        size = np.abs(errors)
        median, p95 = np.quantile(size, (0.5, 0.95))
        return cls(len(size), float(median), float(p95), float(np.mean(size <= 0.1)))


@dataclass(frozen=True, slots=True)
class Fit:
    """What is found from measured networks.

    Attributes:
        tiling: of the kernels.
        costs_ms: milliseconds of a unit of each term of ``edgekit.timing.prediction.layers``.
        largest: what the largest measured layer had of each term.
        range_ms: the fastest and the slowest network that was measured.
        error: of networks that were held out.
    """

    tiling: Tiling
    costs_ms: Mapping[str, float]
    largest: Mapping[str, float]
    range_ms: tuple[float, float]
    error: Error


@dataclass(frozen=True, slots=True)
class NodeLatency:
    """A layer's part of a prediction. Sums over blocks are more certain than single layers.

    Attributes:
        name: of the node, "boundary" for what a run takes besides its layers.
        kind: what it does, in words.
        ms: milliseconds.
    """

    name: str
    kind: str
    ms: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long a network would take.

    Attributes:
        ms: milliseconds of a run that nothing disturbs.
        error: 95 of 100 networks lie within this share of what is predicted for them.
        nodes: where it comes from, in the order of the graph.
        beyond: what of it was not measured, as sentences; nothing where all is within what was.
    """

    ms: float
    error: float
    nodes: tuple[NodeLatency, ...]
    beyond: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """The latency of int8 files of one format, in one runtime on one device.

    Attributes:
        format: of the files.
        runner: runtime, version and kernels.
        threads: of one run.
        io_dtype: what files take and give.
        fit: what was found.
    """

    format: str
    runner: str
    threads: int
    io_dtype: str
    fit: Fit

    def latency_ms(self, graph: Graph) -> float:
        """Milliseconds of one image. See ``predict``."""
        return self.predict(graph).ms

    def predict(self, graph: Graph) -> Prediction:
        """How long an int8 file of a network would take for one image.

        Args:
            graph: in ``passes.integer_form``, with or without ranges.

        Raises:
            UnsupportedOperator: no network that was measured has such a layer.
        """
        costs, largest = self.fit.costs_ms, self.fit.largest
        nodes: list[NodeLatency] = []
        beyond: dict[str, list[str]] = {}
        for layer in layers(graph):
            work = counts(layer, self.fit.tiling)
            if unknown := [term for term in work if term not in costs]:
                raise UnsupportedOperator(f"layer {layer.name!r}: {self._unknown(unknown[0])}")
            nodes.append(NodeLatency(layer.name, layer.kind, sum(costs[term] * n for term, n in work.items())))
            if any(costs[term] and n > BEYOND * largest[term] for term, n in work.items()):
                beyond.setdefault(layer.kind, []).append(layer.name)
        ms = sum(node.ms for node in nodes)
        sentences = [_larger(kind, names) for kind, names in beyond.items()]
        low, high = self.fit.range_ms
        if not low <= ms <= high:
            sentences.append(f"the networks that were measured took {low:.3g} to {high:.3g} ms")
        return Prediction(ms, self.fit.error.p95, tuple(nodes), tuple(sentences))

    def _unknown(self, term: str) -> str:
        """Why nothing is known of what a layer does."""
        kind, _, unit = term.partition(": ")
        if any(known.startswith(f"{kind}: ") for known in self.fit.costs_ms):
            return (
                f"the latency model has no cost of {unit} of a {kind}, as an older version of edgekit fitted it: fit "
                f"it anew, edgekit bench --fit"
            )
        return f"no latency of {kind} was measured in {self.runner}: there is none to predict it from"


def _larger(kind: str, names: list[str]) -> str:
    more = ", …" if len(names) > _NAMED else ""
    return f"{kind} larger than any that was measured: {', '.join(names[:_NAMED])}{more}"


@dataclass(frozen=True, slots=True)
class DeviceLatency:
    """The latency models of a device.

    Attributes:
        machine: that was measured.
        models: one a format.
    """

    machine: Machine
    models: tuple[LatencyModel, ...]

    def of(self, form: str) -> LatencyModel:
        """The model of files of a format.

        Raises:
            ArtifactError: that was not measured.
        """
        known = {model.format: model for model in self.models}
        if form not in known:
            raise ArtifactError(
                f"no latency of {form} files was measured on {self.machine.processor}: {did_you_mean(form, known)}"
            )
        return known[form]

    def save(self, path: Path) -> None:
        """Write it as JSON: the same measurements give the same bytes.

        Raises:
            BadInput: it cannot be written.
        """
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=1, sort_keys=True)
        files.write_bytes(path, f"{text}\n".encode())

    @classmethod
    def load(cls, path: Path) -> DeviceLatency:
        """Read what ``save`` wrote.

        Raises:
            ArtifactError: the file is missing, damaged, or of another version of edgekit.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values.pop("version")
            models = values["models"]
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist: edgekit bench --fit --out {path} writes it") from error
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} holds no latency model: edgekit bench --fit --out FILE writes one") from error
        another = f"{path} was written by another version of edgekit, which kept other things: fit it anew, "
        if version != VERSION:
            raise ArtifactError(f"{another}edgekit bench --fit --out {path}")
        try:
            return cls(_machine(values["machine"]), tuple(map(_model, models)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{another}edgekit bench --fit --out {path}") from error


def _model(values: dict[str, Any]) -> LatencyModel:
    fit = values.pop("fit")
    low, high = map(float, fit.pop("range_ms"))
    tables: dict[str, Counts] = {
        name: {k: float(v) for k, v in fit.pop(name).items()} for name in ("costs_ms", "largest")
    }
    found = Fit(Tiling(**fit.pop("tiling")), range_ms=(low, high), error=Error(**fit.pop("error")), **tables, **fit)
    return LatencyModel(fit=found, **values)


def _machine(values: dict[str, Any]) -> Machine:
    tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Machine(**{**values, **tuples})
