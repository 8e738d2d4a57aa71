"""Arm's compiler for its Ethos-U NPUs, ethos-u-vela, run as the program that it is.

It turns what the NPU takes of a .tflite file into one custom operator and leaves the rest to the processor beside it.
Here it runs in a process of its own, because a damaged file ends that process; its command line, too, is what Arm
documents. Three things are read: the file that it wrote, which alone decides what runs where; its two tables of
estimates; and the reasons that it prints for what it left out.

Sources: OPTIONS.md and PERFORMANCE.md of ethos-u-vela 5.2.0, and ``stats_writer.py``, which writes the tables.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgekit.errors import ArtifactError, ConfigError, MissingDependency
from edgekit.exporters.tflite import reader

if TYPE_CHECKING:
    from collections.abc import Iterable

Optimise = Literal["performance", "size"]

ARM_CONFIG = "Arm/vela.ini"  # comes with the compiler
OPERATOR = "ethos-u"  # the custom one that the NPU runs
_KIB = 1024  # the memory columns of the summary are in these
_NAME = 15  # column of the per-layer table: the last one, unquoted, so it may hold commas
_CYCLES = 5  # column likewise
_REASON = re.compile(
    r"^Warning \(supported operators\) operator: \S+, ofm: '(?P<name>.*)'\nReason: (?P<reason>.*(?:\n(?!Warning).+)*)",
    re.MULTILINE,
)
_ERROR = re.compile(r"^(?:\w+\.)*(?P<kind>\w+Error): (?P<text>.*)", re.MULTILINE | re.DOTALL)  # ends a traceback
_OPTION_ERRORS = ("CliOptionError", "ConfigOptionError", "InputFileError")  # ethosu.vela.errors, of what it was asked


@dataclass(frozen=True, slots=True)
class Hardware:
    """What is compiled for. All three names are the compiler's own.

    Attributes:
        accelerator: the NPU and its products a cycle ("ethos-u55-256").
        system_config: clocks and memories of the chip.
        memory_mode: what lies in which memory.
        config: the file that describes the last two.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    config: str = ARM_CONFIG


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the compiler expects. Nothing of it is measured; by Arm's word it serves the compiler's own decisions.

    Attributes:
        clock_hz: of the NPU, as the system configuration has it.
        cycles: of one inference.
        npu_cycles: of these, what computing alone would take.
        inference_seconds: of what runs on the NPU.
        sram_bytes: the most that is in use at a time.
        dram_bytes: likewise.
        flash_bytes: on and off the chip.
        macs: products of one inference.
    """

    clock_hz: float
    cycles: int
    npu_cycles: int
    inference_seconds: float
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    macs: int


@dataclass(frozen=True, slots=True)
class Compilation:
    """What the compiler made of a file.

    Attributes:
        version: of the compiler.
        estimates: for one inference.
        on_cpu: for each operator that it left to the processor, by the name of its result, the reason; "" for none.
        cycles: estimated, for each of its own operators on the NPU by the name of its result.
    """

    version: str
    estimates: Estimates
    on_cpu: dict[str, str]
    cycles: dict[str, int]


def check_installed() -> None:
    """Say early that the compiler is not here.

    Raises:
        MissingDependency: it is not installed.
    """
    if importlib.util.find_spec("ethosu") is None:
        raise MissingDependency("ethos-u-vela is not installed: pip install 'edgekit[ethos-u]'")


def compile_file(source: Path, path: Path, hardware: Hardware, optimise: Optimise) -> Compilation:
    """Compile a .tflite file.

    Args:
        source: the file.
        path: where the compiled one is written.
        hardware: what for.
        optimise: what is to be small: time or memory.

    Raises:
        ArtifactError: the compiler cannot read or compile the file.
        ConfigError: it does not know the hardware.
        MissingDependency: it is not installed.
    """
    check_installed()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        network = folder / "network.tflite"  # a name without commas, which the tables do not quote
        shutil.copyfile(source, network)
        printed = _run(source, network, hardware, optimise)
        (summary,) = folder.glob("network_summary_*.csv")
        rows = list(csv.reader((folder / "network_per-layer.csv").read_text(encoding="utf-8").splitlines()))
        shutil.move(folder / "network_vela.tflite", path)
        reasons = reasons_in(printed)
        left = [name for kind, name in reader.operators(path) if kind != OPERATOR]
        return Compilation(
            version=importlib.metadata.version("ethos-u-vela"),
            estimates=estimates_in(summary.read_text(encoding="utf-8")),
            on_cpu={name: reasons.get(name, "") for name in left},
            cycles=cycles_in(rows),
        )


def _run(source: Path, network: Path, hardware: Hardware, optimise: Optimise) -> str:
    """What the compiler prints. Its files lie beside ``network`` afterwards."""
    own = Path(hardware.config)
    options = {
        "--output-dir": network.parent,
        "--config": own.resolve() if own.is_file() else hardware.config,
        "--accelerator-config": hardware.accelerator,
        "--system-config": hardware.system_config,
        "--memory-mode": hardware.memory_mode,
        "--optimise": optimise.capitalize(),
    }
    words = [str(word) for option in options.items() for word in option]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ethosu.vela", str(network), *words, "--verbose-performance"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        raise ArtifactError(f"the compiler crashed on {source}: see that the file runs elsewhere, and tell Arm")
    found = _ERROR.search(done.stderr)
    kind, said = (found["kind"], " ".join(found["text"].split())) if found else ("", "it does not say why")
    said = said.strip("'\"").removeprefix("Compilation failed: ").removeprefix("Error: ")
    if kind in _OPTION_ERRORS:
        raise ConfigError(f"the compiler refuses its options: {said}")
    raise ArtifactError(f"the compiler cannot compile {source}: {said}")


# --- what it says -----------------------------------------------------------------------------------------------------


def reasons_in(printed: str) -> dict[str, str]:
    r"""Why operators are left to the processor, by the names of their results.

    >>> reasons_in("Warning (supported operators) operator: DEQUANTIZE, ofm: 'logits'\nReason: Unsupported opType\n")
    {'logits': 'Unsupported opType'}
    """
    return {found["name"]: ". ".join(found["reason"].split("\n")) for found in _REASON.finditer(printed)}


def estimates_in(summary: str) -> Estimates:
    """The summary of one compilation, a table with one row."""
    names, values = csv.reader(summary.splitlines())
    row = {name: value for name, value in zip(names, values, strict=True) if name not in {"experiment", "network"}}

    def kib(*keys: str) -> int:
        return round(sum(float(row[f"{key}_memory_used"]) for key in keys) * _KIB)

    return Estimates(
        clock_hz=float(row["core_clock"]),
        cycles=round(float(row["cycles_total"])),
        npu_cycles=round(float(row["cycles_npu"])),
        inference_seconds=float(row["inference_time"]),
        sram_bytes=kib("sram"),
        dram_bytes=kib("dram"),
        flash_bytes=kib("on_chip_flash", "off_chip_flash"),
        macs=round(float(row["nn_macs"])),
    )


def cycles_in(rows: Iterable[list[str]]) -> dict[str, int]:
    """The cycles in the per-layer table, by the names of the results."""
    cycles: dict[str, int] = {}
    for row in list(rows)[1:]:
        name = ",".join(row[_NAME:])
        cycles[name] = cycles.get(name, 0) + round(float(row[_CYCLES]))
    return cycles
