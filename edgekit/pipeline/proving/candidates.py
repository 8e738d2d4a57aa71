"""Files on their way through verification: found, read, and held against the model that they claim to be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError
from edgekit.exporters.contents import flat, of_facts
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import OUTPUTS, SUFFIX, IntegerModel
from edgekit.pipeline.making.finishing import RAW, SAID
from edgekit.pipeline.making.manifest import SUFFIX as MANIFEST_SUFFIX
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.pipeline.proving.evidence import CHECKPOINT_HASH, most
from edgekit.pipeline.proving.records import UNCHANGED
from edgekit.verification import gates
from edgekit.verification.holding import CONTENTS, hold
from edgekit.verification.statements import against, contradictions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.config import VerifySettings
    from edgekit.exporters.contents import ContentDifference
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.float_model import FloatModel
    from edgekit.pipeline.making.trained import Trained
    from edgekit.pipeline.proving.evidence import Evidence
    from edgekit.pipeline.proving.records import Records
    from edgekit.pipeline.proving.trials import Trial
    from edgekit.preprocessing import Preprocessing
    from edgekit.verification.gates import Gate

OF_MODEL = "of this integer model"  # a gate


@dataclass(slots=True)
class Candidate:
    """A file that is verified.

    Attributes:
        path: of the file.
        sha256: of its content, as ``manifest.sha256_of`` has it.
        summary: what it holds; None where it cannot be read.
        gates: what is known so far.
        trials: its runners, and what they answered.
        skipped: why it was not run where it could have been.
        budgets: gates of what it costs.
        doubts: what speaks against it, and not clearly enough to fail it.
        differences: what it says otherwise than it has to.
        can_run: whether there is something to hold its answers against.
    """

    path: Path
    sha256: str
    summary: Summary | None
    gates: list[Gate] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    budgets: list[Gate] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    differences: tuple[ContentDifference, ...] = ()
    can_run: bool = True

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
        """Whether nothing is wrong so far, and it can be run."""
        return self.can_run and all(gate.passed for gate in self.gates)


# It runs as ever, and nothing can be said of every number in it: this edgekit would write other metadata.
_OLDER = "it was written by an older edgekit, whose files do not say what they give: export it again to verify it"


def read(path: Path, records: Records) -> Candidate:
    """Read a file; one that is damaged is a candidate whose first gate is closed.

    Args:
        path: of the file.
        records: the manifests beside files.

    Raises:
        ArtifactError: it does not exist, or was not written by edgekit.
        MissingDependency: a library that reads it is not installed.
    """
    form = format_of(path)
    if not path.exists():
        raise ArtifactError(f"{path} does not exist")
    sha256, record = sha256_of(path), records.of(path)
    unchanged = [] if record is None else [record.unchanged(path, sha256)]
    try:
        summary = form.read(path)
    except ArtifactError as error:
        return Candidate(path, sha256, None, [gates.well_formed("readable", [str(error)], ""), *unchanged])
    if summary.metadata is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    if not summary.metadata.outputs:
        return Candidate(path, sha256, None, [gates.well_formed("readable", [_OLDER], ""), *unchanged])
    readable = gates.well_formed("readable", [], f"{form.title}, {summary.version}")
    return Candidate(path, sha256, summary, [readable, *unchanged])


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


def check_folders(artifacts: Sequence[Path]) -> None:
    """Refuse a folder that the exports of several networks share.

    Raises:
        ArtifactError: there is such a one.
    """
    suffixes = {form.suffix for form in FORMATS.values()}
    for folder in artifacts:
        manifests = folder.glob(f"*{MANIFEST_SUFFIX}") if folder.is_dir() else ()
        names = sorted(path.name.removesuffix(MANIFEST_SUFFIX) for path in manifests)
        files = [entry.name for entry in folder.iterdir() if entry.suffix in suffixes] if len(names) > 1 else []
        names = [name for name in names if any(file.startswith(f"{name}.") for file in files)]
        if len(names) > 1:
            raise ArtifactError(
                f"{folder} holds files of {len(names)} networks, {', '.join(names)}: name the files of one of them, "
                f"e.g. {folder / names[0]}.*"
            )


def check_one_network(candidates: Sequence[Candidate], evidence: Evidence) -> None:
    """Refuse files that do not belong together, where nothing tells which of them is the wrong one.

    Where something does, the checkpoint, the integer model or most of the files, each is judged by itself.

    Raises:
        ArtifactError: two of them are of two networks.
    """
    if evidence.trained is not None or evidence.model is not None:
        return
    known = [(candidate.path, candidate.metadata) for candidate in candidates if candidate.metadata is not None]
    for said in (_checkpoint, _fed, _network):
        values = [said(about) for _, about in known]
        if most(values) is None:
            other = next(path for (path, _), value in zip(known, values, strict=True) if value != values[0])
            raise ArtifactError(f"{known[0][0]} and {other} are of two networks: name the files of one of them")


def usual(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that say of their network what most of them say; all where there is no such thing."""
    networks = [None if candidate.metadata is None else _network(candidate.metadata) for candidate in candidates]
    wanted = most(networks)
    return [one for one, said in zip(candidates, networks, strict=True) if said == wanted] or candidates


def _checkpoint(about: Metadata) -> str | None:
    found: str | None = about.provenance.get(CHECKPOINT_HASH)
    return found


def _hash(trained: Trained) -> str:
    found: str = trained.provenance[CHECKPOINT_HASH]
    return found


def _fed(about: Metadata) -> Preprocessing:
    return about.preprocessing


def _labels(about: Metadata) -> tuple[str, ...]:
    return about.labels


def _network(about: Metadata) -> Mapping[str, Any]:
    return _network_of(about.provenance)


def _network_of(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a file says its network looks like, its heads and prior boxes among it, and what it gives."""
    return {key: provenance.get(key) for key in ("architecture", *SAID)}


def examine(candidates: Sequence[Candidate], evidence: Evidence, limits: VerifySettings) -> tuple[Gate, ...]:
    """Add the gates that readable files have to pass before they are run.

    Args:
        candidates: them.
        evidence: what they are held against.
        limits: which versions of runtimes they have to run in.

    Returns:
        What the files show to be wrong with the saved integer model.

    Raises:
        ConfigError: a version is none that edgekit knows.
    """
    about = [candidate.metadata for candidate in candidates if candidate.metadata is not None]
    for candidate in candidates:
        assert candidate.summary is not None
        assert candidate.metadata is not None
        candidate.gates += _of_network(candidate.metadata, about, evidence)
        _compare(candidate, evidence, limits.runtime(candidate.summary.format))
    return _blame_the_model([c for c in candidates if c.precision is Precision.INT8], evidence)


def _of_network(about: Metadata, others: Sequence[Metadata], evidence: Evidence) -> Iterator[Gate]:
    """Whether a file is of the same network, and fed as it has to be; files may have been exported one by one."""
    model, trained = evidence.model, evidence.trained
    checkpoints = [_checkpoint(one) for one in others]
    fed, labels, networks = ([say(one) for one in others] for say in (_fed, _labels, _network))
    if trained is not None:
        yield gates.of_checkpoint(trained.path, is_of_it=_checkpoint(about) == _hash(trained))
    else:
        known = model.provenance.get(CHECKPOINT_HASH) if model else None
        wanted = most([*([known] if model else []), *checkpoints]) or known
        if _checkpoint(about) != wanted:
            yield gates.of_checkpoint(None, is_of_it=False)
    stated, _ = against(about, evidence.stated)
    if wrong := (*contradictions(about), *stated):
        yield gates.well_formed("facts", wrong, "")
    if about.precision is Precision.INT8 or evidence.floats is not None:  # contents say it, and more
        return
    for name, said, of_model, values in (
        ("network", _network(about), _network_of(model.provenance) if model else None, networks),
        ("preprocessing", _fed(about), model.preprocessing if model else None, fed),
        ("labels", _labels(about), model.labels if model else None, labels),
    ):
        expected = most([*([of_model] if model else []), *values]) or of_model
        if name == "labels" and evidence.labels is not None:
            expected = evidence.labels
        if expected is not None and said != expected:
            which = f" ({_first_difference(name, said, expected)})" if name == "network" else ""
            text = (
                f"its {name} {'are' if name == 'labels' else 'is'} not what the other files have{which}: export them "
                f"together"
            )
            yield gates.well_formed(name, [text], "")


def _first_difference(name: str, said: object, expected: object) -> str:
    """Where two nests of JSON values differ first, in words."""
    return next(of_facts(dict(flat(name, said)), dict(flat(name, expected)))).text


def _compare(candidate: Candidate, evidence: Evidence, runtime: str | None) -> None:
    """Hold everything that a file says against what it has to say, number by number, as far as that is known."""
    about, path, summary = candidate.metadata, candidate.path, candidate.summary
    assert about is not None
    assert summary is not None
    wanted: IntegerModel | FloatModel | None = None
    whose = "the integer model's"
    if about.precision is Precision.INT8:
        wanted = evidence.model
        assert wanted is not None, "int8 files have one"
    elif evidence.trained is not None and _checkpoint(about) == _hash(evidence.trained):
        reals = evidence.reals(about.precision)
        assert reals is not None, "the trained network gives them"
        # What it says beside the checkpoint (by which edgekit, for which device) may differ from file to file.
        wanted = replace(reals, provenance={**about.provenance, **reals.provenance})
        whose = f"what {evidence.trained.path.name} gives"
    if isinstance(wanted, IntegerModel) and about.provenance != wanted.provenance:
        candidate.differences = format_of(path).differences(path, wanted)
        given, others = ({key: of.provenance.get(key) for key in SAID} for of in (about, wanted))
        if given != others and {**about.provenance, **others} == {**wanted.provenance, **others}:
            ours, theirs = (one[OUTPUTS] or RAW for one in (given, others))
            problem = f"it gives {ours} outputs, and the reference {theirs} ones: verify each export by itself, and "
            problem += "compare the two with edgekit diff"
        else:
            first = next((f", the first difference being {one}" for one in candidate.differences), "")
            problem = f"it comes from another integer model than the reference{first}: export both together"
        candidate.gates.append(gates.well_formed(OF_MODEL, [problem], ""))
        return
    candidate.differences, found = hold(path, summary, wanted, whose, runtime)
    candidate.gates += found


def _blame_the_model(int8: Sequence[Candidate], evidence: Evidence) -> tuple[Gate, ...]:
    """Where the saved model is what differs, and not the int8 files: its gate, and theirs are taken back.

    That is so where it is not the file that was exported and they are, or where all of them, two at least, part from it
    in the same layer.
    """
    if evidence.saved is None or evidence.unchecked_integers is None or not all(c.differences for c in int8):
        return ()
    changed = any(gate.name == UNCHANGED and not gate.passed for gate in evidence.gates)
    as_exported = all(any(gate.name == UNCHANGED and gate.passed for gate in c.gates) for c in int8)
    same = len(int8) > 1 and len({c.differences[0].layer for c in int8}) == 1
    if not (changed and as_exported) and not same:
        return ()
    which = "the int8 file, which is" if len(int8) == 1 else f"the {len(int8)} int8 files, which are"
    because = "as exported" if changed and as_exported else "alike"
    first = int8[0].differences[0]
    for candidate in int8:
        candidate.gates = [gate for gate in candidate.gates if gate.passed or gate.name not in {OF_MODEL, CONTENTS}]
        candidate.skipped.append(f"{evidence.saved.name} is not its integer model")
        candidate.can_run = False
    problem = f"{evidence.saved.name} is not what {which} {because}, say; {int8[0].path.name} has {first}"
    return (gates.well_formed("what the files say", [problem], ""),)
