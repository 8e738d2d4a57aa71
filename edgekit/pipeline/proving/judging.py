"""What the answers of files come to: parities, the layer in which a file parts, accuracy, and gates for all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.exporters.metadata import Precision, of_float_model
from edgekit.facts import KEY, assumed, of_provenance
from edgekit.integer_model import OUTPUTS
from edgekit.passes import integer_form
from edgekit.pipeline.making.finishing import RAW
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.pipeline.proving.evidence import CHECKPOINT_HASH
from edgekit.pipeline.proving.inside import Inside
from edgekit.pipeline.proving.trials import joined, reals
from edgekit.pipeline.proving.verdicts import Compared, FileVerdict, Picture, Saying
from edgekit.reference.float import FloatReference
from edgekit.runtimes.tracing import trace_file, trace_graph, trace_model
from edgekit.suppression import ended
from edgekit.tasks.drawing import can_be_drawn
from edgekit.tasks.scoring import score
from edgekit.verification import compare, gates
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.divergence import Comparison, locate
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.statements import against
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgekit.calibration.images import ImageSource
    from edgekit.config import VerifySettings
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.proving.candidates import Candidate
    from edgekit.pipeline.proving.evidence import Evidence
    from edgekit.pipeline.proving.trials import Answers, Trial
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Answer, Differences, Measured, Outputs
    from edgekit.verification.compare import Parity
    from edgekit.verification.divergence import Divergence
    from edgekit.verification.gates import Gate
    from edgekit.verification.layers import LayerComparison

LAYER_IMAGES = 8  # on which layers are compared with float ones
COMPARED = 8  # images that are drawn as float and int8 see them


@dataclass(frozen=True, slots=True)
class Known:
    """What files are held against, and its outputs by name on all images, [N, ...].

    Attributes:
        evidence: the models.
        task: what the network is for.
        integers: the integer model's.
        reals: what they stand for.
        floats: the float network's.
        stored: those of the float network with weights that are stored in int8.
        targets: of the images, as the task has them; None where they are not known.
        noise: whether the images are none of the network's kind.
        inside: the last integers of a network whose outputs are none; None of any other.
    """

    evidence: Evidence
    task: Task[Any]
    integers: Outputs | None
    reals: Outputs | None
    floats: Outputs | None
    stored: Outputs | None
    targets: Any
    noise: bool
    inside: Inside | None

    @staticmethod
    def of(answers: Answers, evidence: Evidence, task: Task[Any], *, noise: bool) -> Known:
        """From what the references answered."""
        integers, floats, stored = (
            joined(found) if found else None for found in (answers.integers, answers.floats, answers.stored)
        )
        stand_for = None if integers is None or evidence.model is None else reals(integers, evidence.model)
        inside = Inside.of(evidence.model, answers)
        return Known(evidence, task, integers, stand_for, floats, stored, answers.targets, noise, inside)

    @property
    def model(self) -> IntegerModel | None:
        """What int8 files have to hold."""
        return self.evidence.model

    @property
    def float_measured(self) -> tuple[Measured, ...]:
        """Of the float network, on images with targets."""
        return () if self.floats is None else score(self.task, self.floats, None, self.targets)

    @property
    def float_by_class(self) -> Mapping[str, float]:
        """Likewise."""
        return {} if self.floats is None else self.by_class(self.floats)

    def by_class(self, outputs: Outputs) -> Mapping[str, float]:
        """What the first metric of ``outputs`` is the mean of; empty where targets are not known."""
        return {} if self.targets is None else self.task.by_class(outputs, self.targets)


def judge(candidate: Candidate, known: Known, limits: VerifySettings, *, is_reference: bool) -> FileVerdict:
    """The verdict on a file that was read, and run where that could be done.

    Args:
        candidate: it.
        known: what it is held against.
        limits: what is allowed.
        is_reference: whether floats were compared with this very file.
    """
    verdict = FileVerdict(
        path=candidate.path,
        sha256=candidate.sha256,
        summary=candidate.summary,
        gates=tuple(candidate.gates),
        skipped=tuple(candidate.skipped),
        warnings=_warnings(candidate, known.evidence),
    )
    if not candidate.trials:
        return verdict
    floats = None if is_reference else known.floats
    outputs = candidate.trials[0].outputs
    if candidate.precision is Precision.INT8:
        assert known.model is not None
        outputs = reals(outputs, known.model)
    measured = score(known.task, outputs, floats, known.targets)
    parities: list[Parity] = []
    passed = list(candidate.gates)
    divergence: Divergence | None = None
    for trial in candidate.trials:
        found = _parities(trial, known, limits, is_reference=is_reference)
        if known.model is not None and known.inside is not None and _claims(trial, known.model):
            found = (*known.inside.parities(candidate.path, trial, known.model, limits.max_lsb), *found)
        parities += found
        if found and not _is_unclaimed(trial, known.model):
            located = None if all(p.passed for p in found) else _located(candidate.path, trial, known)
            divergence = divergence or located
            where = located.sentence if located else ""
            if not where and known.evidence.trained is None and candidate.precision is not Precision.INT8:
                where = "it or the float32 file that it is compared with is wrong, --checkpoint FILE tells which"
            passed += [gates.parity(parity, where) for parity in found]
    if not is_reference:
        kernels = _kernels(candidate.trials[0], known.model)
        passed += gates.task(known.task, measured, limits.limits, noise=known.noise, kernels=kernels)
    elif _has_to_be_plausible(known, limits):
        passed.append(_plausible(known))
    unclaimed = {
        trial.runner.name: str(trial.runner.differs_because)
        for trial in candidate.trials
        if _is_unclaimed(trial, known.model)
    }
    default = candidate.trials[0].runner.name
    differs = (f"{compare.by_default(default)}: {unclaimed[default]}",) if default in unclaimed else ()
    return replace(
        verdict,
        gates=(*passed, *candidate.budgets),
        parities=tuple(parities),
        unclaimed=unclaimed,
        divergence=divergence,
        is_reference=is_reference,
        warnings=(*differs, *verdict.warnings),
        measured_in=default,
        measured=measured,
        by_class=known.by_class(outputs),
    )


def decoding(evidence: Evidence, answers: Answers) -> tuple[Gate, ...]:
    """Whether what edgekit puts behind a network says what its raw answers stand for; nothing of raw networks.

    The nodes that decode are in the files and in the models that these are held against alike. What is decoded apart
    from them are the answers of the trained network (``finishing.as_wanted``).
    """
    model = evidence.floats
    if model is None or model.provenance.get(OUTPUTS, RAW) == RAW or not answers.pictures:
        return ()
    place, pixels = next(iter(answers.pictures.items()))
    found = FloatReference(model.graph).run(model.preprocessing.normalization(pixels[None]))
    wanted = {name: values[[place]] for name, values in joined(answers.floats).items()}
    about = of_float_model(model, Precision.FLOAT32)
    parities = compare.with_floats("edgekit, decoded", ended(found, model.provenance), wanted, about)
    where = "the nodes that decode them are wrong, which is edgekit's own mistake: report it, and export raw outputs"
    return tuple(gates.parity(parity, where) for parity in parities)


def judge_references(
    known: Known, shown: Sequence[Gate], asked: Sequence[Gate], limits: VerifySettings
) -> tuple[FileVerdict, ...]:
    """The verdicts on the saved integer model, and on the checkpoint where there is something to say.

    Args:
        known: they are in it.
        shown: what the files show to be wrong with the saved model.
        asked: what the images show of that which everything was exported with.
        limits: what is allowed.
    """
    evidence, found = known.evidence, list[FileVerdict]()
    if evidence.saved is not None:
        unchecked = (evidence.unchecked_integers,) if evidence.unchecked_integers else ()
        doubts = () if evidence.model is None else assumptions(evidence.model.provenance)
        judged, hashed = (*evidence.gates, *shown, *asked), sha256_of(evidence.saved)
        found.append(_reference(evidence.saved, hashed, judged, (*unchecked, *doubts)))
    # A network that is fed with what it was not trained with is poor, and not to blame for it.
    if evidence.trained is not None and _has_to_be_plausible(known, limits) and all(gate.passed for gate in asked):
        hashed = evidence.trained.provenance[CHECKPOINT_HASH]
        found.append(_reference(evidence.trained.path, hashed, (_plausible(known),), ()))
    return tuple(found)


def _reference(path: Path, sha256: str, judged: tuple[Gate, ...], warnings: tuple[str, ...]) -> FileVerdict:
    return FileVerdict(path, sha256, None, judged, is_reference=True, warnings=warnings)


def _has_to_be_plausible(known: Known, limits: VerifySettings) -> bool:
    """Whether the float network is judged by itself: it was measured, and the user says nothing of its first metric."""
    is_measured = known.floats is not None and known.targets is not None
    return is_measured and known.task.metrics[0].name not in limits.limits


def _plausible(known: Known) -> Gate:
    assert known.floats is not None
    return gates.plausible(known.task.plausible(known.floats, known.targets))


def _warnings(candidate: Candidate, evidence: Evidence) -> tuple[str, ...]:
    """What is taken for true of a file and was not shown."""
    if candidate.metadata is None:
        return ()
    unchecked = evidence.unchecked_integers if candidate.precision is Precision.INT8 else evidence.unchecked_floats
    _, insisted = against(candidate.metadata, evidence.stated)
    return tuple(filter(None, (*candidate.doubts, unchecked, *assumptions(candidate.metadata.provenance), *insisted)))


def assumptions(provenance: Mapping[str, Any]) -> list[str]:
    """What a file says was assumed of its network, in sentences."""
    try:
        found = assumed(of_provenance(provenance))
    except (KeyError, ValueError, TypeError):
        return [f"what was assumed of the network cannot be read: provenance.{KEY} is damaged"]
    return [
        f"{fact.name} {plain(fact.value)} is {fact.basis}: {fact.because}; to set it: {fact.setting}" for fact in found
    ]


def _kernels(trial: Trial, model: IntegerModel | None) -> str:
    """Of a runtime that need not give a file's integers: which, why, and what to do; empty where it has to."""
    if not _is_unclaimed(trial, model):
        return ""
    return f"Measured in {trial.runner.name}, and {trial.runner.differs_because}"


def _claims(trial: Trial, model: IntegerModel) -> bool:
    """Whether a trial is of integers, and of a runtime that has to give them."""
    return trial.about.precision is Precision.INT8 and not _is_unclaimed(trial, model)


def _is_unclaimed(trial: Trial, model: IntegerModel | None) -> bool:
    if model is None or trial.about.precision is not Precision.INT8:
        return False
    return compare.unclaimed(trial.runner, trial.about, model) is not None


def _parities(trial: Trial, known: Known, limits: VerifySettings, *, is_reference: bool) -> tuple[Parity, ...]:
    """Each output of a trial against what it has to be; nothing where that is not known."""
    precision = trial.about.precision
    if precision is Precision.INT8:
        assert known.model is not None
        assert known.integers is not None
        return compare.with_reference(
            trial.runner.name,
            trial.outputs,
            known.integers,
            known.model,
            simulated=trial.runner.simulated,
            near=compare.file_is_near(trial.about, known.model),
            max_lsb_allowed=limits.max_lsb,
        )
    expected = known.stored if precision.has_int8_weights else known.floats
    if expected is None or is_reference:
        return ()
    given = {Precision.FLOAT16: limits.float16_tolerance, Precision.DYNAMIC: None}.get(
        precision, limits.float32_tolerance
    )
    agreement = known.task.agreement(trial.outputs, expected)
    found = compare.with_floats(trial.runner.name, trial.outputs, expected, trial.about, given)
    return tuple(
        replace(one, agreement=agreement) if isinstance(one, FloatParity | ClassParity) else one for one in found
    )


def _located(path: Path, trial: Trial, known: Known) -> Divergence | None:
    """The first layer in which a file parts from what it has to be; None where that cannot be found out here."""
    if not trial.suspects:
        return None
    pixels = np.concatenate(trial.suspects)
    try:
        if trial.about.precision is Precision.INT8:
            assert known.model is not None
            return locate(path, known.model, pixels, make_runner=trial.make_runner)
        reals = known.evidence.reals(trial.about.precision)
        if reals is None:
            return None
        graph = reals.graph
        expected = trace_graph(graph, trial.about.preprocessing.normalization, pixels)
        found = trace_file(path, pixels, graph, make_runner=trial.make_runner)
        return Comparison(expected, found, graph).divergence()
    except EdgekitError:  # a file that is wrong already is not made worse by what cannot be looked into
        return None


def layers(known: Known, answers: Answers) -> tuple[LayerComparison, ...]:
    """What quantization costs, layer by layer."""
    if known.model is None or known.evidence.graph is None or not answers.pictures:
        return ()
    pixels = np.stack(list(answers.pictures.values())[:LAYER_IMAGES])
    graph = integer_form(known.evidence.graph)
    floats = trace_graph(graph, known.model.preprocessing.normalization, pixels)
    return Comparison(trace_model(known.model, pixels), floats, known.model).layers()


def differences(known: Known, names: Sequence[str]) -> Differences | None:
    """Where the integer model says something else than the float network; None without both."""
    if known.reals is None or known.floats is None:
        return None
    return known.task.differences(known.reals, known.floats, names)


def differing(
    known: Known, found: Differences | None, names: Sequence[str], images: ImageSource
) -> tuple[Compared, ...]:
    """Some of the images on which the two differ, of each disagreement one after the other; read again."""
    if found is None or known.reals is None or known.floats is None:
        return ()
    turns = zip_longest(*(pair.images for pair in found.disagreements))
    chosen = list(dict.fromkeys(name for turn in turns for name in turn if name is not None))[:COMPARED]
    places = [names.index(name) for name in chosen]
    floats, integers = (
        known.task.decode({name: array[places] for name, array in outputs.items()})
        for outputs in (known.floats, known.reals)
    )
    if not any(map(can_be_drawn, floats)):
        return ()
    pixels = [pixels for batch in images.named(chosen).batches(COMPARED) for pixels in batch.pixels]
    return tuple(map(Compared, chosen, pixels, floats, integers))


def pictures(known: Known, answers: Answers) -> tuple[Picture, ...]:
    """Some of the images, with what is said of them."""
    chosen = list(answers.pictures)

    def said(outputs: Outputs | None) -> Sequence[Answer] | None:
        if outputs is None:
            return None
        return known.task.decode({name: array[chosen] for name, array in outputs.items()}, most=1)

    stated = None if known.targets is None else known.task.stated(known.targets)
    everybody = {
        "label": None if stated is None else [stated[index] for index in chosen],
        "float": said(known.floats),
        "int8": said(known.reals),
    }
    return tuple(
        Picture(
            answers.names[index],
            answers.pictures[index],
            _sayings({who: found[place] for who, found in everybody.items() if found is not None}),
        )
        for place, index in enumerate(chosen)
    )


def _sayings(answers: Mapping[str, Answer]) -> tuple[Saying, ...]:
    """What is said of an image, those together who say the same; the first of all is right."""
    together: dict[str, list[str]] = {}
    for who, answer in answers.items():
        together.setdefault(answer.text, []).append(who)
    right = next(iter(answers.values()), None)
    return tuple(
        Saying(tuple(who), text, wrong=right is not None and answers[who[0]].contradicts(right))
        for text, who in together.items()
    )
