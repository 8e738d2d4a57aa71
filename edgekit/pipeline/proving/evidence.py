"""What finished files are held against: the checkpoint, what calibration saved, and what most of the files say.

The files of an export say the same in several places. Where two of them differ, the wrong one is that which differs
from the evidence: from what the checkpoint gives, else from what was saved, else from what most of them say.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from edgekit import extras
from edgekit.errors import ArtifactError, BadInput, CheckpointError, DataError, MissingDependency
from edgekit.exporters.metadata import Precision
from edgekit.facts import Basis, of_provenance
from edgekit.int8_weights import with_int8_weights
from edgekit.integer_model import IntegerModel
from edgekit.models.folders import file_of
from edgekit.pipeline.making import rebuilding
from edgekit.pipeline.making.finishing import SAID, Finish, as_wanted
from edgekit.pipeline.making.integers import RANGES_SUFFIX
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.pipeline.making.source import read_labels
from edgekit.pipeline.making.trained import AS_EXPORTED, FROM_FILE, Network, load_as_exported
from edgekit.tasks.roles import in_its_roles
from edgekit.verification import gates
from edgekit.verification.gates import Level
from edgekit.verification.same_contents import model_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.calibration.found import Ranges
    from edgekit.config import Settings
    from edgekit.exporters.metadata import Metadata
    from edgekit.facts import Fact
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph
    from edgekit.pipeline.making.trained import Trained
    from edgekit.pipeline.proving.records import Records
    from edgekit.verification.gates import Gate

T = TypeVar("T")

CHECKPOINT_HASH = "checkpoint_sha256"  # in a provenance
_NO_CHECKPOINT = "the model itself was not checked, only that the files agree: --checkpoint FILE names the trained one"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Evidence:
    """What is known apart from the files.

    Attributes:
        saved: the integer model's file; None where there are no int8 files.
        model: what int8 files have to hold: made again from the checkpoint where that can be done, else as saved.
        trained: the trained network; None where it is not known.
        graph: of it, as it was captured.
        floats: what float files have to hold, but for their provenance; None without the trained network.
        stored: what files of int8 weights have to hold, where there are any; None without the trained network.
        labels: in the file that they were exported with; None where that is not known.
        stated: what the checkpoint itself says of its network.
        gates: of the saved integer model.
        unchecked_integers: why it was not made again; None where it was.
        unchecked_floats: why float files were not compared number by number; None where they were.
        notes: what was taken without being named.
    """

    saved: Path | None
    model: IntegerModel | None
    trained: Trained | None
    graph: Graph | None
    floats: FloatModel | None
    stored: FloatModel | None = None
    labels: tuple[str, ...] | None = None
    stated: tuple[Fact, ...] = ()
    gates: tuple[Gate, ...] = ()
    unchecked_integers: str | None = None
    unchecked_floats: str | None = None
    notes: tuple[str, ...] = ()

    def reals(self, precision: Precision) -> FloatModel | None:
        """What a file that computes with reals has to hold."""
        return self.stored if precision.has_int8_weights else self.floats


def most(values: Sequence[T]) -> T | None:
    """What more than half of them are; None where nothing is.

    >>> most([1, 2, 2]), most([1, 2])
    (2, None)
    """
    return next((value for value in values if 2 * values.count(value) > len(values)), None)


def gather(  # noqa: PLR0913 - all that is known
    paths: Sequence[Path],
    about: Sequence[Metadata],
    saved: Path | None,
    records: Records,
    settings: Settings,
    *,
    network: Network = FROM_FILE,
) -> Evidence:
    """Everything that is known apart from the files.

    Args:
        paths: of the readable files.
        about: what each of them says of itself, at least one.
        saved: the integer model; None where there are no int8 files.
        records: the manifests beside files.
        settings: ``model.checkpoint`` names the trained network. Where it does not, the one of a manifest beside the
            files is taken, if it is still where it was and still the same.
        network: where the trained network comes from, where that is no file.

    Raises:
        BadInput: the checkpoint that was named, or the integer model, cannot be used.
        MissingDependency: reading the checkpoint that was named needs an extra.
    """
    model = None if saved is None else IntegerModel.load(saved)
    said = [
        {key: known.get(key) for key in (*AS_EXPORTED, *SAID)}
        for known in (*([model.provenance] if model else []), *(one.provenance for one in about))
    ]
    if settings.model.checkpoint is not None or network is not FROM_FILE:
        had = _most_or_first(said)
        trained: Trained | None = as_wanted(load_as_exported(settings.model, had, network), Finish.of(had))
        notes: tuple[str, ...] = ()
    else:
        trained, notes = _recorded(paths, said, records)
    graph = None if trained is None else in_its_roles(trained.capture(), facts_of(one.provenance for one in about))
    preprocessing = _most_or_first([*([model.preprocessing] if model else []), *(one.preprocessing for one in about)])
    labels = _most_or_first([*([model.labels] if model else []), *(one.labels for one in about)])
    exported_with = _labels(paths, about, records, settings, trained)
    labels = labels if exported_with is None else exported_with
    stated = _stated(trained, settings, network)
    evidence = Evidence(saved, model, trained, graph, None, labels=exported_with, stated=stated, notes=notes)
    if saved is not None and model is not None:
        found = tuple(_of_saved(saved, model, exported_with, records))
        evidence = replace(evidence, gates=found, unchecked_integers=_NO_CHECKPOINT)
        if trained is not None and graph is not None:
            int8 = [one.provenance for one in about if one.precision is Precision.INT8]
            as_said = replace(model, labels=labels, provenance=_most_or_first([model.provenance, *int8]))
            evidence = _rebuilt(evidence, as_said, _Ranges.beside(saved, model, settings, records))
    if trained is None or graph is None:
        return replace(evidence, unchecked_floats=_NO_CHECKPOINT)
    if evidence.model is not None and evidence.unchecked_integers is None:
        preprocessing = evidence.model.preprocessing
    floats = rebuilding.float_model(trained, graph, preprocessing, labels)
    stores = any(one.precision.has_int8_weights for one in about)
    return replace(evidence, floats=floats, stored=with_int8_weights(floats) if stores else None)


def facts_of(provenances: Iterable[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """What files say is taken to be true of their network; where they differ, what is assumed comes first."""
    found: list[Fact] = []
    for provenance in provenances:
        with suppress(KeyError, ValueError, TypeError):  # a warning beside the file says so
            found += of_provenance(provenance)
    first = {fact.name: fact for fact in sorted(found, key=lambda fact: not fact.is_assumed)}
    return tuple(first.values())


def _stated(trained: Trained | None, settings: Settings, network: Network) -> tuple[Fact, ...]:
    """What the checkpoint says by itself, whatever the files were exported with."""
    if trained is None:
        return ()
    # The size of the image is no fact of weights, and an ONNX file that leaves it open cannot be read without.
    wanted = settings.model if network is not FROM_FILE else replace(settings.model, checkpoint=trained.path)
    if "resolution" in network.left_open(wanted):
        wanted = replace(wanted, resolution=trained.shape[1:])
    alone = network.load(wanted)
    return tuple(fact for fact in alone.facts if fact.basis is Basis.STATED)


def _labels(
    paths: Sequence[Path], about: Sequence[Metadata], records: Records, settings: Settings, trained: Trained | None
) -> tuple[str, ...] | None:
    """What the file of labels says that the settings name, or a manifest, if it is still there and the same.

    Where manifests say that none was named, what the trained network's own file says; and where there is no manifest
    and files have those very names, in an order of their own.
    """
    classes = max(len(one.labels) for one in about)
    known = [*filter(None, map(records.of, paths))]
    named = [settings.model.labels]
    for record in known:
        there, sha256 = record.manifest.settings.model.labels, record.manifest.inputs.labels_sha256
        named.append(there if there is not None and there.is_file() and sha256_of(there) == sha256 else None)
    for path in filter(None, named):
        with suppress(DataError):  # of another network
            return read_labels(path, classes)
    if trained is None or any(record.manifest.settings.model.labels is not None for record in known):
        return None
    has_own = known or any(sorted(one.labels) == sorted(trained.labels) for one in about)
    return (trained.labels or None) if has_own else None


def _most_or_first(values: Sequence[T]) -> T:
    found = most(values)
    return values[0] if found is None else found


def _recorded(
    paths: Sequence[Path], said: Sequence[Mapping[str, Any]], records: Records
) -> tuple[Trained | None, tuple[str, ...]]:
    """The trained network that a manifest names, if it is still there and the same; and what is to be said of that."""
    for record in filter(None, map(records.of, paths)):
        there, network = record.manifest.settings.model.checkpoint, record.manifest.inputs.in_memory
        if network is not None:
            return None, (f"the trained network was {network}: name what makes it, --model MODULE:FACTORY",)
        if there is None or not _is_still(there, record.manifest.inputs.checkpoint_sha256):
            continue
        try:
            extras.load("torch", "torch")  # to make numbers again from any checkpoint
            as_then = replace(record.manifest.settings.model, checkpoint=there.resolve())
            had = _most_or_first(said)
            trained = as_wanted(load_as_exported(as_then, had), Finish.of(had))
        except (BadInput, MissingDependency) as error:
            return None, (f"the checkpoint that {record.path.name} names was not taken: {error}",)
        return trained, (f"the checkpoint is the one that {record.path.name} names, {trained.path}",)
    return None, ()


def _is_still(checkpoint: Path, sha256: str) -> bool:
    """Whether a checkpoint is where it was and has the same weights; in a folder, these are one of its files."""
    try:
        return sha256_of(file_of(checkpoint)) == sha256
    except CheckpointError:
        return False


# --- the integer model ------------------------------------------------------------------------------------------------


def _of_saved(saved: Path, model: IntegerModel, labels: tuple[str, ...] | None, records: Records) -> Iterator[Gate]:
    """What can be said of the saved model without the checkpoint."""
    yield gates.well_formed("readable", [], "an integer model")
    if (record := records.of(saved)) is not None:
        yield record.unchanged(saved, sha256_of(saved))
    if labels is not None:
        problem = f"the labels of {saved.name} are not those of the file that it was exported with: export it again"
        yield gates.well_formed("labels", [problem] if labels != model.labels else [], f"{len(labels)} labels")


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Ranges:
    """What calibration saved, as far as it is there.

    Attributes:
        path: where it is, or should be.
        values: None where it is missing or not to be trusted.
        problem: what is wrong with it; None where it is missing or fine.
    """

    path: Path
    values: Ranges | None
    problem: str | None

    @staticmethod
    def beside(saved: Path, model: IntegerModel, settings: Settings, records: Records) -> _Ranges:
        """Those beside the integer model, else those that the settings name."""
        beside, named = saved.with_name(f"{model.graph.name}{RANGES_SUFFIX}"), settings.calibration.ranges
        path = named if named is not None and not beside.exists() else beside
        if not path.exists():
            return _Ranges(path, None, None)
        record = records.of(path)
        if record is not None and not (gate := record.unchanged(path, sha256_of(path))).passed:
            return _Ranges(path, None, gate.problem)
        from edgekit.calibration.saved import load  # noqa: PLC0415 - needs torch, which is there with a trained network

        try:
            values = load(path)
        except ArtifactError as error:
            return _Ranges(path, None, str(error))
        calibration = model.provenance.get("calibration", {})
        if (values.digest, values.images) != (calibration.get("digest"), calibration.get("images")):
            problem = (
                f"{path.name} is of another calibration than {saved.name}: name, or put beside it, the one of its own"
            )
            return _Ranges(path, None, problem)
        return _Ranges(path, values, None)


def _rebuilt(evidence: Evidence, said: IntegerModel, ranges: _Ranges) -> Evidence:
    """``evidence`` with the integer model made again, and the gate of the saved one.

    Args:
        evidence: with the trained network.
        said: the saved model, with the labels and the provenance that most of the files have.
        ranges: what calibration saved.
    """
    saved, trained, graph, found = evidence.saved, evidence.trained, evidence.graph, evidence.model
    assert saved is not None
    assert trained is not None
    assert graph is not None
    assert found is not None
    not_made = f"the integers of {saved.name} were not made again"
    if said.provenance.get(CHECKPOINT_HASH) != trained.provenance[CHECKPOINT_HASH]:
        gate = gates.of_checkpoint(trained.path, is_of_it=False)
        return replace(evidence, gates=(*evidence.gates, gate), unchecked_integers=not_made)
    if rebuilding.FINETUNED in said.provenance:
        because = (
            "its weights were trained on, so they do not follow from the checkpoint: edgekit reproduce trains again"
        )
        return replace(evidence, unchecked_integers=f"{not_made}: {because}")
    if ranges.values is None and ranges.problem is None:
        because = f"{ranges.path.name}, which export writes beside it, is missing"
        return replace(evidence, unchecked_integers=f"{not_made}: {because}")
    problem, wanted = ranges.problem, None
    if ranges.values is not None:
        try:
            wanted = rebuilding.integer_model(trained, graph, ranges.values, said)
        except MissingDependency:
            raise
        except Exception as error:  # noqa: BLE001 - there is nothing that ranges of another network cannot make numpy raise
            problem = f"{ranges.path.name} does not fit {trained.path.name}: {error}"
    if wanted is None:
        gate = _integers([str(problem)], "", "")
        return replace(evidence, gates=(*evidence.gates, gate), unchecked_integers=not_made)
    differences = [
        f"{saved.name} is not what {trained.path.name} and {ranges.path.name} give: {difference}"
        for difference in model_differences(found, wanted)
    ]
    gate = _integers(differences, f"{rebuilding.numbers(wanted):,} integers", trained.path.name)
    return replace(evidence, model=wanted, gates=(*evidence.gates, gate), unchecked_integers=None)


def _integers(problems: Sequence[str], numbers: str, checkpoint: str) -> Gate:
    """The gate of the saved model against the one that is made again."""
    found = gates.well_formed(
        "integers made again", problems, f"{numbers}, every one as {checkpoint} and its calibration give it"
    )
    return replace(found, level=Level.INTEGER)
