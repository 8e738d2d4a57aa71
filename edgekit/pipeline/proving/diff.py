"""Two artefacts of one network in step on the same images: exported files, the integer model, the checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.images import PixelBatch, open_images
from edgekit.config import ModelSettings
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.exporters.names import INPUT, public_names
from edgekit.facts import of_provenance
from edgekit.float_model import FloatModel
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.passes import float_form, integer_form
from edgekit.pipeline.making.finishing import SAID, finished
from edgekit.pipeline.making.given import as_read
from edgekit.pipeline.making.trained import load_as_exported
from edgekit.pipeline.proving.evidence import CHECKPOINT_HASH, facts_of
from edgekit.progress import Progress, silent
from edgekit.runtimes.tracing import Trace, renamed, trace_file, trace_graph, trace_model
from edgekit.tasks.roles import in_its_roles
from edgekit.verification.divergence import Comparison, Divergence
from edgekit.verification.layers import LayerComparison, merged, steepest_fall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.ir import Graph
    from edgekit.preprocessing import Preprocessing

BATCH_SIZE = 4  # every tensor of both sides is in memory
NOISE_IMAGES = 4
_PRECISIONS = (Precision.INT8, Precision.DYNAMIC, Precision.WEIGHT_ONLY, Precision.FLOAT16, Precision.FLOAT32)

Tracer = Callable[["NDArray[np.uint8]"], Trace]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        path: of the file.
        precision: what its operators compute in.
        runner: who ran it.
    """

    path: Path
    precision: Precision
    runner: str


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What was found.

    Attributes:
        network: its name.
        a: one side, as it was named.
        b: the other.
        images: how many images both were run on.
        noise: they were reproducible noise, because no images were named.
        skipped: images that could not be used, and why.
        layers: every layer that both have, over all images, in the order of execution.
        divergence: the first layer in which they part; None where they do not. Integers against floats are not judged.
        steepest_fall: the layer whose SQNR falls furthest below that of what it reads; None where all are fine.
        near: outputs of which identity is not claimed, by name, with the reason; empty unless both are integers.
        reproduce: the command that shows the divergence again, on one image where that is possible.
    """

    network: str
    a: Side
    b: Side
    images: int
    noise: bool
    skipped: Mapping[str, str]
    layers: tuple[LayerComparison, ...] = field(repr=False)
    divergence: Divergence | None
    steepest_fall: LayerComparison | None
    near: Mapping[str, str]
    reproduce: str

    @property
    def passed(self) -> bool:
        """Whether they do not part."""
        return self.divergence is None

    @property
    def comparable(self) -> bool:
        """Whether layers have to be the same: both compute in integers, or both in float32 with the same weights."""
        rounds = {Precision.FLOAT16, Precision.DYNAMIC}
        return self.a.precision is self.b.precision and self.a.precision not in rounds


@dataclass(frozen=True, slots=True)
class _Artefact:
    """One side before it is run."""

    path: Path
    precision: Precision
    provenance: Mapping[str, Any]
    network: str = ""
    preprocessing: Preprocessing | None = None  # a checkpoint does not say
    model: IntegerModel | None = None

    @property
    def is_checkpoint(self) -> bool:
        return self.preprocessing is None

    @property
    def is_int8(self) -> bool:
        return self.precision is Precision.INT8


def diff(
    a: Path, b: Path, *, data: Path | None = None, images: int | None = None, progress: Progress = silent
) -> DiffResult:
    """Find the first layer in which two artefacts part.

    Args:
        a: an exported file, a saved integer model, or the checkpoint.
        b: another one of the same network. What int8 files are held against is found beside them.
        data: images, as ``open_images`` takes them; None makes reproducible noise.
        images: how many of them, evenly spread; of noise ``NOISE_IMAGES``, if nothing is said.
        progress: told about every batch.

    Raises:
        ArtifactError: they are not of one network, or one cannot be read, run, or looked into.
        BadInput: the checkpoint or the images cannot be used.
        MissingDependency: a runtime is not installed.
    """
    sides = _read(a), _read(b)
    about = next((side for side in sides if not side.is_checkpoint), None)
    if about is None:
        raise ArtifactError(f"{a} and {b} are checkpoints: name at least one file that edgekit export wrote")
    assert about.preprocessing is not None
    _check_one_network(*sides)
    pair = _pair(sides, about)
    reading = as_read(about.preprocessing, of_provenance(about.provenance))
    source = None if data is None else open_images(data, reading, limit=images)
    total = (images or NOISE_IMAGES) if source is None else len(source)
    batches = _noise(total, about.preprocessing.shape) if source is None else source.batches(BATCH_SIZE)
    layers: list[tuple[LayerComparison, ...]] = []
    first: _First | None = None
    seen = 0
    progress("comparing", 0, total)
    for batch in batches:
        comparison = pair.compare(batch.pixels)
        layers.append(comparison.layers())
        divergence = comparison.divergence()
        if divergence is not None and (first is None or comparison.place(divergence) < first.place):
            image = divergence.examples[0].index[0] if divergence.examples else 0
            named = divergence if comparison.b.runner == pair.names[1] else _turned(divergence)
            first = _First(named, comparison.place(divergence), batch.names[image], seen + image)
        seen += len(batch.pixels)
        progress("comparing", seen, max(total, seen))
    merged_layers = merged(layers)
    return DiffResult(
        network=about.network,
        a=Side(a, sides[0].precision, pair.runners[0]),
        b=Side(b, sides[1].precision, pair.runners[1]),
        images=seen,
        noise=source is None,
        skipped={} if source is None else source.skipped,
        layers=merged_layers,
        divergence=first.divergence if first else None,
        steepest_fall=steepest_fall(merged_layers, pair.graph),
        near=pair.near,
        reproduce=_command(a, b, data, images, first),
    )


@dataclass(frozen=True, slots=True)
class _First:
    """The earliest divergence so far, and the image that shows it."""

    divergence: Divergence
    place: int
    image: str
    number: int


@dataclass(slots=True)
class _Pair:
    """Both sides, ready to run."""

    sides: tuple[_Artefact, _Artefact]
    tracers: tuple[Tracer, Tracer]
    network: IntegerModel | Graph | None  # what both were written from, if it is known
    runners: tuple[str, str] = ("", "")

    @property
    def names(self) -> tuple[str, str]:
        """What the sides are called where something is said of one of them."""
        a, b = (side.path for side in self.sides)
        return (a.name, b.name) if a.name != b.name else (str(a), str(b))

    @property
    def graph(self) -> Graph | None:
        return self.network.graph if isinstance(self.network, IntegerModel) else self.network

    @property
    def near(self) -> dict[str, str]:
        """Of which outputs identity is not claimed, and why, where both sides are integers."""
        if not (isinstance(self.network, IntegerModel) and all(side.is_int8 for side in self.sides)):
            return {}
        reasons = self.network.near
        return {o.name: reasons[o.tensor] for o in self.network.graph.outputs if o.tensor in reasons}

    def compare(self, pixels: NDArray[np.uint8]) -> Comparison:
        """Run both; traces say which file they are of, and call their tensors alike."""
        a, b = (tracer(pixels) for tracer in self.tracers)
        self.runners = a.runner, b.runner
        if self.network is None:
            a, b = _called_alike(a, b)
        traces = replace(a, runner=self.names[0]), replace(b, runner=self.names[1])
        coarse, fine = sorted(traces, key=lambda trace: _PRECISIONS.index(trace.precision))
        return Comparison(coarse, fine, self.network)


# --- before anything runs -------------------------------------------------------------------------------------------


def _read(path: Path) -> _Artefact:
    if not path.exists():
        raise ArtifactError(f"{path} does not exist")
    if path.suffix == SUFFIX:
        model = IntegerModel.load(path)
        return _Artefact(path, Precision.INT8, model.provenance, model.graph.name, model.preprocessing, model)
    if path.suffix in {form.suffix for form in FORMATS.values()}:
        about = format_of(path).read(path).metadata
        if about is not None:
            return _Artefact(path, about.precision, about.provenance, about.network, about.preprocessing)
    return _Artefact(path, Precision.FLOAT32, {})


def _check_one_network(a: _Artefact, b: _Artefact) -> None:
    """Refuse what cannot be compared. The hash of a checkpoint is known when it is loaded, and checked then."""
    if a.is_checkpoint or b.is_checkpoint:
        return
    same = a.provenance.get(CHECKPOINT_HASH) == b.provenance.get(CHECKPOINT_HASH)
    if not same or a.preprocessing != b.preprocessing:
        raise _of_two_networks(a.path, b.path)
    if a.is_int8 and b.is_int8 and a.provenance != b.provenance:
        if _without_outputs(a.provenance) == _without_outputs(b.provenance):
            raise ArtifactError(
                f"{a.path} and {b.path} hold the same integers and differ in --outputs: export both with the same one, "
                f"or compare each with the checkpoint"
            )
        raise ArtifactError(
            f"{a.path} and {b.path} are one network, quantized twice: their integers stand for other numbers; compare "
            f"each with the checkpoint"
        )


def _without_outputs(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key not in SAID}


def _of_two_networks(a: Path, b: Path) -> ArtifactError:
    return ArtifactError(f"{a} and {b} are of two networks: name two files of one of them")


def _model_of(side: _Artefact, sides: Sequence[_Artefact]) -> IntegerModel | None:
    """The integer model that an int8 file was written from: the other side, or beside one of them."""
    if not side.is_int8 or side.model is not None:
        return side.model
    named = [other.model for other in sides if other.model is not None]
    places = list(dict.fromkeys(other.path.with_suffix(SUFFIX) for other in (side, *sides) if other.is_int8))
    there = [place for place in places if place.exists()]
    for model in (*named, *(IntegerModel.load(place) for place in there)):
        if model.provenance == side.provenance:
            return model
    if there:
        raise ArtifactError(f"{side.path} comes from another integer model than {there[0]}: export both together")
    raise ArtifactError(
        f"{places[0]} is missing: name the integer model (*{SUFFIX}) that export wrote beside the file, or put it there"
    )


def _pair(sides: tuple[_Artefact, _Artefact], about: _Artefact) -> _Pair:
    """Both sides with what is known of their network."""
    models = [_model_of(side, sides) for side in sides]
    model = next((model for model in models if model is not None), None)
    checkpoint = next((side for side in sides if side.is_checkpoint), None)
    graph = None if checkpoint is None else _graph_of(checkpoint, about, for_integers=model is not None)
    a, b = (_tracer(side, found, model, graph, about) for side, found in zip(sides, models, strict=True))
    return _Pair(sides, (a, b), model or graph)


def _graph_of(checkpoint: _Artefact, about: _Artefact, *, for_integers: bool) -> Graph:
    """The graph of a checkpoint, in the form that the other side was written from."""
    trained = load_as_exported(ModelSettings(checkpoint=checkpoint.path), about.provenance)
    if trained.provenance[CHECKPOINT_HASH] != about.provenance.get(CHECKPOINT_HASH):
        raise _of_two_networks(checkpoint.path, about.path)
    graph = in_its_roles(trained.capture(), facts_of([about.provenance]))
    assert about.preprocessing is not None
    form = integer_form(graph) if for_integers else float_form(graph)
    return finished(FloatModel(form, about.preprocessing, (), about.provenance)).graph


def _tracer(
    side: _Artefact, own: IntegerModel | None, model: IntegerModel | None, graph: Graph | None, about: _Artefact
) -> Tracer:
    """How one side is run.

    Args:
        side: it.
        own: the integer model that it was written from, if it is an int8 file.
        model: that of either side.
        graph: of the checkpoint, where one of the sides is one.
        about: the side that knows the preprocessing.
    """
    if side.is_checkpoint:
        assert graph is not None
        assert about.preprocessing is not None
        return partial(trace_graph, graph, about.preprocessing.normalization)
    if own is not None:
        return partial(trace_model, own) if side.model else partial(trace_file, side.path, network=own)
    if model is None:
        return partial(trace_file, side.path, network=graph)
    ends = {public: tensor for tensor, public in public_names(model.graph).items()}
    return lambda pixels: renamed(trace_file(side.path, pixels), model.graph.tensors, ends)


def _noise(total: int, shape: tuple[int, int, int]) -> Iterator[PixelBatch]:
    """Reproducible noise; each image is the same, however many there are."""
    for start in range(0, total, BATCH_SIZE):
        numbers = range(start, min(start + BATCH_SIZE, total))
        pixels = [np.random.default_rng(number).integers(0, 256, shape, np.uint8) for number in numbers]
        yield PixelBatch(np.stack(pixels), None, tuple(f"noise {number}" for number in numbers))


# --- what was found -------------------------------------------------------------------------------------------------


def _called_alike(a: Trace, b: Trace) -> tuple[Trace, Trace]:
    """Two traces of float files in the names of that which has the checkpoint's, with dots in them."""
    ends = {name: name for name in (INPUT, *a.answers, *b.answers)}
    if any("." in name for name in a.tensors):
        return a, renamed(b, a.tensors, ends)
    return renamed(a, b.tensors, ends), b


def _turned(found: Divergence) -> Divergence:
    """A divergence with both sides exchanged."""
    return replace(found, examples=tuple(replace(example, a=example.b, b=example.a) for example in found.examples))


def _command(a: Path, b: Path, data: Path | None, images: int | None, first: _First | None) -> str:
    """The command that was given, or one that runs just the image on which they part."""
    words = ["edgekit", "diff", str(a), str(b)]
    if data is None:
        words += ["--images", str(first.number + 1 if first else images)] if first or images else []
    elif first and (data / first.image).is_file():
        words += ["--data", str(data / first.image)]
    else:
        words += ["--data", str(data), *(("--images", str(images)) if images else ())]
    return shlex.join(words)
