"""What verification finds, as values: every report, table and JSON object is made from these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.tasks.values import TARGETS
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.gates import Level
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.device.results import Row
    from edgekit.exporters.summary import Summary
    from edgekit.facts import Fact
    from edgekit.tasks.values import Answer, Differences, Measured, Metric
    from edgekit.verification.compare import Parity
    from edgekit.verification.divergence import Divergence
    from edgekit.verification.gates import Gate
    from edgekit.verification.layers import LayerComparison

_PROOF = {Level.FLOAT, Level.INTEGER}  # gates that say what a file computes


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found about one file.

    Attributes:
        path: of the file.
        sha256: of its content, hexadecimal; of a package as ``manifest.sha256_of`` has it.
        summary: its operators, counted; None where it cannot be read.
        gates: what it had to pass, by level.
        parities: one a runner; integers against the reference, or floats against the trained network.
        unclaimed: runners whose integers are not claimed to be identical, and why; they are reported, not judged.
        skipped: why it was not run where it could have been.
        divergence: where it parts from what it has to be, in the first runner that does.
        is_reference: others were compared with it.
        warnings: what is taken for true of it and was not shown: then no tick stands beside it, though it may pass.
        measured_in: what runs it by default on this machine: everything measured is of that runner.
        measured: those of the result's metrics that could be measured: some need the targets of images, some the float
            network.
        by_class: what the first metric is the mean of, percent, by the class's name; empty of other metrics.
    """

    path: Path
    sha256: str
    summary: Summary | None = field(repr=False)
    gates: tuple[Gate, ...]
    parities: tuple[Parity, ...] = ()
    unclaimed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    divergence: Divergence | None = None
    is_reference: bool = False
    warnings: tuple[str, ...] = ()
    measured_in: str | None = None
    measured: tuple[Measured, ...] = ()
    by_class: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return any(not gate.passed for gate in self.gates)

    @property
    def passed(self) -> bool:
        """Whether what it computes was compared, and nothing is wrong."""
        return not self.failed and any(gate.level in _PROOF for gate in self.gates)

    @property
    def is_near(self) -> bool:
        """Whether no identity is claimed of what it computes, in the first runtime that is answered for."""
        judged = [parity for parity in self.parities if parity.runner not in self.unclaimed]
        return any(
            isinstance(p, IntegerParity | FloatParity) and bool(p.near) for p in judged if p.runner == judged[0].runner
        )

    @property
    def is_proven(self) -> bool:
        """Whether it passed, is claimed to be identical, and nothing was taken for true that was not shown.

        A tick means that, here as at an export.
        """
        return self.passed and not self.warnings and not self.is_near


@dataclass(frozen=True, slots=True)
class Saying:
    """What somebody says of an image.

    Attributes:
        who: "label", "float", "int8": all who say the same.
        text: what they say.
        wrong: whether that contradicts the label, or what float says where there is none.
    """

    who: tuple[str, ...]
    text: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One of the images, as the network sees it.

    Attributes:
        name: of the image.
        pixels: [H, W, C], uint8.
        sayings: what is said of it, the right answer first.
    """

    name: str
    pixels: NDArray[np.uint8] = field(repr=False, metadata={"json": False})
    sayings: tuple[Saying, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Compared:
    """An image of which float and int8 say different things that can be drawn.

    Attributes:
        name: of the image.
        pixels: as the network sees it, [H, W, C], uint8.
        expected: what float says.
        found: what int8 says.
    """

    name: str
    pixels: NDArray[np.uint8]
    expected: Answer
    found: Answer


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was found about all files.

    Attributes:
        network: its name.
        files: one verdict a file.
        seconds: in all.
        references: verdicts on what files were held against: the saved integer model, and the checkpoint where labelled
            images judge it.
        facts: what is taken to be true of the network, and why.
        notes: what was taken without being named.
        images: how many images each was run on.
        noise: they were reproducible noise, because no images were named.
        skipped: images that could not be used, and why.
        integer_reference: the saved integer model that integers were compared with.
        float_reference: what floats were compared with: the checkpoint, or a float32 file.
        float_measured: of that, on labelled images.
        float_by_class: likewise.
        labels: class names; empty where none are known.
        layers: what quantization costs in each layer, on some of the images; empty without the trained network.
        proven: what was proven before of the runners' very versions, on this kind of machine, by their names.
        differences: where int8 says something else than float; None without both.
        differing: some of the images on which they differ, of answers that can be drawn.
        pictures: some of the images.
        calibration: some of the images that int8 was calibrated on, where the manifest beside the files leads to them.
        latencies: of the files that this machine runs, interleaved, if they were asked for.
    """

    network: str
    files: tuple[FileVerdict, ...]
    seconds: float
    references: tuple[FileVerdict, ...] = ()
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()
    images: int = 0
    noise: bool = False
    skipped: Mapping[str, str] = field(default_factory=dict)
    integer_reference: Path | None = None
    float_reference: Path | None = None
    task: str = ""
    metrics: tuple[Metric, ...] = ()
    float_measured: tuple[Measured, ...] = ()
    float_by_class: Mapping[str, float] = field(default_factory=dict, repr=False)
    labels: tuple[str, ...] = field(default=(), repr=False)
    layers: tuple[LayerComparison, ...] = field(default=(), repr=False)
    proven: Mapping[str, str] = field(default_factory=dict)
    differences: Differences | None = None
    differing: tuple[Compared, ...] = field(default=(), repr=False, metadata={"json": False})
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    calibration: tuple[Picture, ...] = field(default=(), repr=False)
    latencies: tuple[Row, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed and at least one file passed: nothing compared is nothing proven."""
        failed = any(verdict.failed for verdict in (*self.references, *self.files))
        return not failed and any(file.passed for file in self.files)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was not shown and is taken for true, each said once; what was not measured comes last."""
        of_files = (text for found in (*self.references, *self.files) for text in found.warnings)
        return tuple(dict.fromkeys((*of_files, *self.unmeasured)))

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Why accuracy was not measured, where images or their classes are missing."""
        noise = "no images were named (--data DIR): compared on noise, so accuracy was not measured"
        unread = (fact for fact in self.facts if fact.name == TARGETS and fact.is_assumed)
        return (
            *([noise] if self.noise and self.images else []),
            *(f"{fact.because}; it takes {fact.setting}" for fact in unread),
        )

    @property
    def is_proven(self) -> bool:
        """Whether it passed, no file is only near, and nothing was taken for true that was not shown."""
        return self.passed and not self.warnings and not any(file.is_near for file in self.files)
