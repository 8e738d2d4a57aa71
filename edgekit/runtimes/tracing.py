"""Every tensor that a network makes, from whoever runs it, by the names of the network's graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.exporters.names import INPUT
from edgekit.exporters.spelling import as_identifier
from edgekit.integer_model import IntegerModel
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import Runner, decode, encode
from edgekit.suppression import endings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.format import Format
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.ir import Graph, Tensor
    from edgekit.preprocessing import Normalization

_UINT8_OFFSET = 128


@runtime_checkable
class TracingRunner(Runner, Protocol):
    """A Runner that can show what happens inside."""

    def trace(self, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W] of the type at the file's boundary, by its name in the file.

        They come from the kernels that also give the answer; the batch is in front and channels follow.
        """
        ...

    def __enter__(self) -> TracingRunner: ...


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Trace:
    """Every tensor of a network on some images.

    Attributes:
        runner: who made it ("LiteRT 2.3.0, XNNPACK").
        precision: what the operators compute in.
        tensors: by name in the graph, the input included, [N, C, H, W] or [N, C]: stored integers, int8 or int16, as
            the integer model has them, or reals. What is not to be found is not here. Reals are what the checkpoint
            computes (``Tensor.factor`` is taken out), except where the graph of a file was not known.
        answers: the outputs by name, likewise, of a run that shows nothing else.
        is_reference: it is right by definition: the integer model itself.
        differs_because: why nobody claims that the runner's kernels are exact; None where that is claimed.
        simulated: operators that the runner only simulates (``Runner.simulated``).
    """

    runner: str
    precision: Precision
    tensors: Mapping[str, NDArray[Any]]
    answers: Mapping[str, NDArray[Any]]
    is_reference: bool = False
    differs_because: str | None = None
    simulated: tuple[str, ...] = ()


def trace_file(
    path: Path,
    pixels: NDArray[np.uint8],
    network: IntegerModel | Graph | None = None,
    *,
    make_runner: Callable[[], Runner] | None = None,
) -> Trace:
    """What a file makes of pixels [N, H, W, C]; suppression of boxes behind the network is left out.

    Runtimes order boxes of equal scores as they like, so what it gives cannot be compared row by row.

    Args:
        path: a file that edgekit wrote.
        pixels: as the network sees them.
        network: what it was written from: the integer model of an int8 file, the graph of a float one. Without it the
            tensors of a float file are called as the file calls them, but for its ends: "image", and the outputs.
        make_runner: makes the runner. None takes the file's first that can show tensors.

    Raises:
        ArtifactError: the file cannot be read or run, was not written by edgekit, or nothing here can show its tensors.
        MissingDependency: a runtime is not installed.
    """
    form = format_of(path)
    summary = form.read(path)
    about = summary.metadata
    if about is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    model = network if isinstance(network, IntegerModel) else None
    assert (model is not None) == (about.precision is Precision.INT8), "an int8 file is held against an integer model"
    with _opened(path, make_runner) as runner:
        batch = encode(pixels, about, model.params[model.graph.input] if model else None)
        found = {name: _stored(values) for name, values in runner.trace(batch).items()}
        answers: Mapping[str, NDArray[Any]] = runner.run(batch)
        for ending in endings_of(about.provenance):
            found, answers = (
                {name: values for name, values in given.items() if not ending.makes(name)} for given in (found, answers)
            )
        name, why, simulated = runner.name, runner.differs_because, runner.simulated
    if model is not None:
        tensors = _unscaled(_named(found, form, model.graph, model), model.graph)
        answers = _answers(answers, about, model)
    elif network is not None:
        assert not isinstance(network, IntegerModel)
        tensors = _unscaled(_named(found, form, network, None), network)
        given = network.named(network.tensors)
        # What suppression leaves is no tensor of the graph.
        shown = {output: tensor for output, tensor in given.items() if output in answers}
        answers = {output: _without_factor(tensor, answers[output]) for output, tensor in shown.items()}
    else:
        tensors = _called_publicly(found, form, summary)
        answers = {output: answers[output] for output in summary.names if output in answers}
    return Trace(name, about.precision, tensors, answers, differs_because=why, simulated=simulated)


def trace_model(model: IntegerModel, pixels: NDArray[np.uint8]) -> Trace:
    """What the numpy reference makes of pixels [N, H, W, C]."""
    tensors = _unscaled(Reference(model).run_all(model.encode(pixels)), model.graph)
    return Trace("the numpy reference", Precision.INT8, tensors, model.graph.named(tensors), is_reference=True)


def trace_graph(graph: Graph, normalization: Normalization, pixels: NDArray[np.uint8]) -> Trace:
    """What torch makes of a canonical float graph and pixels [N, H, W, C].

    Raises:
        MissingDependency: torch is not installed.
    """
    torch = extras.load("torch", "torch")
    from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - needs torch

    found: dict[str, NDArray[Any]] = {}

    def keep(name: str, value: Any) -> None:  # noqa: ANN401 - a tensor of an optional package
        found[name] = np.ascontiguousarray(value.numpy())

    with torch.inference_mode():
        FloatExecutor(graph)(torch.from_numpy(normalization(pixels)), observe=keep)
    tensors = _unscaled(found, graph)
    name = f"torch {torch.__version__.partition('+')[0]}, the checkpoint"
    return Trace(name, Precision.FLOAT32, tensors, graph.named(tensors))


def renamed(trace: Trace, names: Collection[str], ends: Mapping[str, str]) -> Trace:
    """A trace of a file without a graph, in the names of another that are spelt alike.

    Some formats know only identifiers: "features.0.0" is "features_0_0" there.

    Args:
        trace: as ``trace_file`` gives it without a network.
        names: of the other.
        ends: what the input and the outputs are called among them, by what the file calls them.
    """
    wanted = {as_identifier(name): name for name in names} | {as_identifier(end): name for end, name in ends.items()}
    tensors = {wanted.get(as_identifier(name), name): values for name, values in trace.tensors.items()}
    return replace(trace, tensors=tensors)


def _opened(path: Path, make_runner: Callable[[], Runner] | None) -> TracingRunner:
    """A runner that can show tensors; rather one whose integers edgekit answers for.

    Kernels that clamp sums (x86 without VNNI) show their own faults, not the file's.
    """
    first: TracingRunner | None = None
    for make in (make_runner,) if make_runner else all_runners(path):
        runner = make()
        if not isinstance(runner, TracingRunner):
            continue
        if runner.differs_because is None:
            return runner
        first = first or runner
    if first is None:
        raise ArtifactError(
            f"nothing on this machine can show the tensors inside of {path}: compare its answers instead"
        )
    return first


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Values in the types of a Trace: formats that hold uint8 hold the same integers plus 128, or longer indices."""
    if values.dtype == np.uint8:
        return (values.astype(np.int16) - _UINT8_OFFSET).astype(np.int8)
    narrower = {np.dtype(np.float16): np.float32, np.dtype(np.int64): np.int32}
    return values.astype(narrower.get(values.dtype, values.dtype), copy=False)


def _named(
    found: Mapping[str, NDArray[Any]], form: Format, graph: Graph, model: IntegerModel | None
) -> dict[str, NDArray[Any]]:
    """What was found, by the names of the graph; first of all what has the type that it has to have."""
    named = {}
    for tensor, names in form.activation_names(graph).items():
        there = [found[name] for name in names if name in found]
        is_whole = graph.tensors[tensor].is_mask or (model is not None and tensor in model.params)
        right = [values for values in there if np.issubdtype(values.dtype, np.integer) == is_whole]
        for values in (*right, *there)[:1]:
            named[tensor] = values
    return named


def _unscaled(tensors: Mapping[str, NDArray[Any]], graph: Graph) -> dict[str, NDArray[Any]]:
    """Reals without the factors that their tensors carry; integers as they are."""
    return {name: _without_factor(graph.tensors[name], values) for name, values in tensors.items()}


def _without_factor(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """What the checkpoint computes, [N, C, H, W] or [N, C], of reals that carry the factor of ``tensor``."""
    if np.issubdtype(values.dtype, np.integer) or tensor.factor == 1.0:
        return values
    return values / factor_of(tensor)


def factor_of(tensor: Tensor) -> NDArray[np.float64]:
    """The factor that ``tensor`` carries, in a shape that broadcasts to its values [N, C, H, W] or [N, C]."""
    factor = np.asarray(tensor.factor, np.float64)
    return factor.reshape(-1, *[1] * (len(tensor.shape) - 1)) if factor.ndim else factor


def _answers(given: Mapping[str, NDArray[Any]], about: Metadata, model: IntegerModel) -> dict[str, NDArray[Any]]:
    """The outputs of an int8 file by name, as integers, or as reals where they are kept in float.

    Those that suppression inside of the file reads are left out.
    """
    answers = {}
    for output in model.graph.outputs:
        if output.name not in given:
            continue
        values, params = given[output.name], model.params.get(output.tensor)
        answers[output.name] = (
            _without_factor(model.graph.tensors[output.tensor], values)
            if params is None
            else decode(values, about.io_dtype, params)
        )
    return answers


def _called_publicly(found: Mapping[str, NDArray[Any]], form: Format, summary: Summary) -> dict[str, NDArray[Any]]:
    """Tensors with the names of the file, in its order, but for its ends: "image" first, and the outputs at last."""
    given = next((name for name in form.network_input if name in found), summary.inputs[0].name)
    ends = {as_identifier(given): INPUT, **{as_identifier(name): name for name in summary.names}}
    called = {ends.get(as_identifier(name), name): values for name, values in found.items()}
    places = {INPUT: 0, **dict.fromkeys(summary.names, 2)}
    return dict(sorted(called.items(), key=lambda item: places.get(item[0], 1)))
