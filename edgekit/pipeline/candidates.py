"""Files on their way through verification: found, read, and held against the model that they claim to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX
from edgekit.verification import gates
from edgekit.verification.tie_free import broken_conditions
from edgekit.verification.well_formed import well_formed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.config import VerifySettings
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.source import Trained
    from edgekit.pipeline.trials import Trial
    from edgekit.verification.gates import Gate

CHECKPOINT_HASH = "checkpoint_sha256"  # in a file's provenance


@dataclass(slots=True)
class Candidate:
    """A file that is verified.

    Attributes:
        path: of the file.
        summary: what it holds; None where it cannot be read.
        gates: what is known so far.
        trials: its runners, and what they answered.
        skipped: why it was not run where it could have been.
        budgets: gates of what it costs.
    """

    path: Path
    summary: Summary | None
    gates: list[Gate] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    budgets: list[Gate] = field(default_factory=list)

    @property
    def metadata(self) -> Metadata | None:
        """What the file says about itself."""
        return None if self.summary is None else self.summary.metadata

    @property
    def precision(self) -> Precision | None:
        """What its operators compute in."""
        return None if self.metadata is None else self.metadata.precision

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong so far."""
        return all(gate.passed for gate in self.gates)


def expand(artifacts: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Folders replaced by the files in them; the integer model is taken out of the list.

    Raises:
        ArtifactError: there is no file, or more than one integer model.
    """
    suffixes = {form.suffix for form in FORMATS.values()}
    found: list[Path] = []
    for artifact in artifacts:
        if artifact.is_dir() and artifact.suffix not in suffixes:
            found += sorted(entry for entry in artifact.iterdir() if entry.suffix in suffixes | {SUFFIX})
        else:
            found.append(artifact)
    found = list(dict.fromkeys(found))
    saved = [path for path in found if path.suffix == SUFFIX]
    if len(saved) > 1:
        raise ArtifactError(f"{saved[0]} and {saved[1]} are of two networks: name the files of one of them")
    files = [path for path in found if path.suffix != SUFFIX]
    if not files:
        raise ArtifactError(f"there is no exported file in {', '.join(map(str, artifacts)) or 'nothing'}")
    return files, saved[0] if saved else None


def read(path: Path) -> Candidate:
    """Read a file; one that is damaged is a candidate whose first gate is closed.

    Raises:
        ArtifactError: it does not exist, or was not written by edgekit.
        MissingDependency: a library that reads it is not installed.
    """
    form = format_of(path)
    if not path.exists():
        raise ArtifactError(f"{path} does not exist")
    try:
        summary = form.read(path)
    except ArtifactError as error:
        return Candidate(path, None, [gates.well_formed("readable", [str(error)], "")])
    if summary.metadata is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    return Candidate(path, summary, [gates.well_formed("readable", [], f"{form.title}, {summary.version}")])


def integer_model_of(candidates: Sequence[Candidate], saved: Path | None) -> Path | None:
    """The integer model that int8 files are held against: the one that was named, or that beside one of them.

    Raises:
        ArtifactError: there is none.
    """
    places = [c.path.with_suffix(SUFFIX) for c in candidates if c.precision is Precision.INT8]
    found = saved or next((place for place in places if place.exists()), None)
    if places and found is None:
        raise ArtifactError(
            f"{places[0]} is missing: name the integer model (*{SUFFIX}) that export wrote beside the files"
        )
    return found if places else None


def check_one_network(candidates: Sequence[Candidate], model: IntegerModel | None) -> None:
    """Refuse files that do not belong together: they cannot be compared, nor fed with the same images.

    Where there is an integer model, it is what they have to belong to, and each is judged by itself.

    Raises:
        ArtifactError: two of them are of two networks.
    """
    known = [(candidate.path, candidate.metadata) for candidate in candidates if candidate.metadata is not None]
    first, first_about = known[0]
    for path, about in known[1:]:
        assert first_about is not None
        assert about is not None
        same = first_about.provenance.get(CHECKPOINT_HASH) == about.provenance.get(CHECKPOINT_HASH)
        if not same or (model is None and first_about.preprocessing != about.preprocessing):
            raise ArtifactError(f"{first} and {path} are of two networks: name the files of one of them")


def examine(candidate: Candidate, model: IntegerModel | None, trained: Trained | None, limits: VerifySettings) -> None:
    """Add the gates that a readable file has to pass before it is run.

    Args:
        candidate: it.
        model: what an int8 file has to hold.
        trained: the trained network, if it was named.
        limits: which versions of runtimes it has to run in.

    Raises:
        ConfigError: a version is none that edgekit knows.
    """
    assert candidate.summary is not None
    about = candidate.metadata
    assert about is not None
    if trained is not None:
        other = about.provenance.get(CHECKPOINT_HASH) != trained.provenance[CHECKPOINT_HASH]
        problems = [f"it was exported from another checkpoint than {trained.path}: export it again"] if other else []
        candidate.gates.append(gates.well_formed("of this checkpoint", problems, trained.path.name))
    if about.precision is not Precision.INT8:
        found = well_formed(candidate.path, runtime=limits.runtime(candidate.summary.format))
        candidate.gates.append(gates.well_formed("rules of the format", list(map(str, found)), "all kept"))
        return
    assert model is not None
    if about.provenance != model.provenance:
        problems = ["it comes from another integer model than the reference: export both together"]
        candidate.gates.append(gates.well_formed("of this integer model", problems, ""))
        return
    found = well_formed(candidate.path, model, runtime=limits.runtime(candidate.summary.format))
    operators = sum(candidate.summary.operators.values())
    share = f"{operators - len(candidate.summary.float_operators)} of {operators} operators in int8"
    candidate.gates.append(gates.well_formed("rules of the format", list(map(str, found)), share))
    differences = format_of(candidate.path).differences(candidate.path, model)
    same = "every number, attribute and text is the integer model's"
    candidate.gates.append(gates.well_formed("contents", list(map(str, differences)), same))
    broken = broken_conditions(model)
    candidate.gates.append(gates.well_formed("tie-free scales", list(map(str, broken)), "every ratio keeps its bound"))
