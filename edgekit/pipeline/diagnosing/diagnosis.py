"""What ``edgekit diagnose`` found, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.diagnosis.curve import Log
    from edgekit.diagnosis.finding import Finding
    from edgekit.diagnosis.layers import LayerStatistics
    from edgekit.diagnosis.network import Statistics
    from edgekit.facts import Fact
    from edgekit.tasks.quality import Quality
    from edgekit.tasks.values import Differences, Measured


@dataclass(frozen=True, slots=True)
class Latency:
    """How long single images take, one after the other, in this process.

    Attributes:
        threads: of one run.
        runs: that were timed, after others that were not.
        mean_ms: over these.
        std_ms: likewise.
        min_ms: likewise.
        p50_ms: median.
        p95_ms: 95th percentile.
        max_ms: likewise.
    """

    threads: int
    runs: int
    mean_ms: float
    std_ms: float
    min_ms: float
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Subject:
    """One network that was run: the checkpoint, or an exported file.

    Attributes:
        name: "float" for the checkpoint, or the file's name.
        path: of it; None of what came from no file.
        precision: what its operators compute in ("float32").
        runner: runtime, version and kernels.
        size_bytes: of the file.
        quality: how good it is; None where nothing says what images show.
        drop: by how much its first metric is worse than float's; None of float itself, or without targets.
        agreement: how near its answers are to float's; None of float itself, or where there is none.
        differences: where it says something else than float; None likewise.
        latency: one a number of threads; empty where nothing was timed.
    """

    name: str
    path: Path | None
    precision: str
    runner: str
    size_bytes: int
    quality: Quality | None
    drop: Measured | None = None
    agreement: Measured | None = None
    differences: Differences | None = None
    latency: tuple[Latency, ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnoseResult:
    """What was looked at, and what was found.

    Attributes:
        network: its name.
        description: what the checkpoint was, for people; "" where only files were given.
        task: its name ("classification").
        data: where the images lie, for people.
        images: how many were looked at.
        skipped: those that could not be used, and why.
        facts: what is taken to be true of the network, and how the targets of the images are known.
        findings: every trouble, the gravest first.
        subjects: every network that was run.
        layers: what each layer of the checkpoint gives; empty without one.
        batch_norm: how far each layer is from what batch normalization remembers; likewise.
        layer_images: how many images these two were looked at on.
        log: of the training; None where there is none.
        seconds: that it took.
    """

    network: str
    description: str
    task: str
    data: str
    images: int
    skipped: Mapping[str, str]
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    subjects: tuple[Subject, ...]
    layers: tuple[LayerStatistics, ...] = field(repr=False)
    batch_norm: tuple[Statistics, ...] = field(repr=False)
    layer_images: int
    log: Log | None
    seconds: float
