"""Old and new runtimes: ``python -m edgekit.benchmarks.versions FOLDER... [--images DIR] [--cache DIR] [--save FILE]``.

Each version of a runtime is installed into a folder of its own, from where a fresh process runs the int8 files of some
networks. Every logit is compared with the reference's. It prints Markdown, and ``--save`` keeps the result where
``edgekit.verification.proven`` finds it. FOLDER is what ``edgekit export --int8`` wrote, with the integer model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import edgekit
from edgekit import files
from edgekit.calibration.images import open_images
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Metadata, Precision
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.litert import Kernels
from edgekit.runtimes.onnx_runtime import OptimizationLevel
from edgekit.runtimes.separate import SeparateRunner
from edgekit.verification import compare
from edgekit.verification.integer_parity import IntegerParity
from edgekit.verification.proven import machine, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.tasks.values import Outputs

IMAGES = 8
NUMPY_1 = ("numpy<2",)  # what was built for it, and does not say so

# Package -> version -> what it needs beside itself: the last release of each minor version that has a wheel for Python
# 3.11, and the oldest that edgekit asks for.
RELEASES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "ai-edge-litert": {
        "1.0.1": NUMPY_1, "1.1.2": NUMPY_1, "1.2.0": NUMPY_1, "1.3.0": NUMPY_1, "1.4.0": NUMPY_1,
        "2.0.3": (), "2.1.6": (), "2.2.0": (), "2.3.0": (),
    },
    "onnxruntime": {
        "1.15.1": NUMPY_1, "1.16.3": NUMPY_1, "1.17.0": NUMPY_1, "1.17.3": NUMPY_1, "1.18.1": NUMPY_1,
        "1.19.2": (), "1.20.1": (), "1.21.1": (), "1.22.1": (), "1.23.2": (), "1.24.4": (), "1.25.1": (), "1.26.0": (),
        "1.27.0": (), "1.28.0": (), "1.29.0": (), "1.30.0": (), "1.31.1": (),
    },
    "tflite-runtime": {"2.14.0": NUMPY_1},
}  # fmt: skip
PACKAGES = {
    "ai-edge-litert": (".tflite", "LiteRT"),
    "onnxruntime": (".onnx", "ONNX Runtime"),
    "tflite-runtime": (".tflite", "tflite-runtime"),
}
KERNELS: Mapping[str, Sequence[str]] = {".tflite": (Kernels.XNNPACK,), ".onnx": tuple(OptimizationLevel)}


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Network:
    """An exported network, with images and what they have to give.

    Attributes:
        model: its integers.
        files: its int8 files.
        pixels: images, [N, H, W, 3].
        expected: the reference's outputs by name.
    """

    model: IntegerModel
    files: Mapping[Path, Metadata]
    pixels: NDArray[np.uint8]
    expected: Outputs

    @staticmethod
    def open(folder: Path, images: Path | None) -> Network:
        """What ``edgekit export`` wrote to ``folder``, and its images: noise where none are named."""
        (saved,) = folder.glob(f"*{SUFFIX}")
        model = IntegerModel.load(saved)
        if images is None:
            height, width = model.preprocessing.size
            pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, height, width, 3), np.uint8)
        else:
            pixels = open_images(images, model.preprocessing, limit=IMAGES).sample(IMAGES).pixels
        found = {path: format_of(path).read(path).metadata for path in sorted(folder.glob("*.int8.*")) if path != saved}
        int8 = {path: about for path, about in found.items() if about and about.precision is Precision.INT8}
        return Network(model, int8, pixels, compare.reference_outputs(model, pixels))


@dataclass(slots=True)
class Result:
    """What became of one runtime with its kernels in one version.

    Attributes:
        values: logits that were compared.
        identical: of them.
        max_lsb: the largest difference.
        differs_because: why it cannot be identical, where that is known.
        refused: why it does not run a file.
    """

    values: int = 0
    identical: int = 0
    max_lsb: int = 0
    differs_because: str | None = None
    refused: str | None = None

    def add(self, parity: IntegerParity, differs_because: str | None) -> None:
        """Count the logits of another network."""
        self.values += parity.values
        self.identical += parity.differences.get(0, 0)
        self.max_lsb = max(self.max_lsb, parity.max_lsb)
        self.differs_because = differs_because

    @property
    def passed(self) -> bool:
        """Whether every file was run, and every logit is the reference's."""
        return self.refused is None and 0 < self.values == self.identical

    @property
    def sentence(self) -> str:
        """What became of it, in words."""
        if self.refused is not None:
            return f"refused: {self.refused}"
        if self.passed:
            return "identical"
        why = f": {self.differs_because}" if self.differs_because else ""
        return f"{self.identical / self.values:.2%} identical, up to {self.max_lsb} LSB{why}"


Results = dict[str, dict[str, Result]]  # runtime and kernels -> version -> result


def main() -> None:
    """Install, run, compare, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="exported networks")
    parser.add_argument("--images", type=Path, help="what they are run on; noise if left out")
    parser.add_argument("--cache", type=Path, help="where packages are installed; a temporary folder if left out")
    parser.add_argument("--save", type=Path, metavar="FILE", help="where the result is kept")
    given = parser.parse_args()
    networks = [Network.open(folder, given.images) for folder in given.folders]
    results: Results = {}
    with ExitStack() as stack:
        cache = given.cache or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _run_here(networks, results)
        for package, versions in RELEASES.items():
            for version, needs in versions.items():
                folder = _installed(cache, package, version, needs)
                _run_installed(folder, package, version, networks, results)
    _report(networks, results)
    if given.save is not None:
        files.write_bytes(given.save, _to_toml(networks, results).encode())


def _installed(cache: Path, package: str, version: str, needs: Sequence[str]) -> Path:
    """The folder with a package and what edgekit imports to run a file."""
    folder = cache / f"{package}-{version}"
    if not folder.exists():
        with files.replacing(folder) as scratch:
            wanted = [f"{package}=={version}", *(needs or ("numpy",)), "pillow"]
            options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--target", str(scratch)]
            subprocess.run([sys.executable, "-m", "pip", "install", *options, *wanted], check=True)
            (scratch / "edgekit").symlink_to(Path(edgekit.__file__).parent)
    return folder


def _run_here(networks: Sequence[Network], results: Results) -> None:
    """In this process: runtimes of which one version is enough, as they come with what wrote the file."""
    for network in networks:
        for path, about in network.files.items():
            if path.suffix in KERNELS:  # those are installed
                continue
            for make_runner in all_runners(path):
                with make_runner() as runner:
                    (parity,) = compare.integers(runner, about, network.model, network.pixels, network.expected)
                assert isinstance(parity, IntegerParity)
                runtime, version = split(runner.name)
                if version is not None:  # edgekit's own interpreter of Core ML programs has none
                    results.setdefault(runtime, {}).setdefault(version, Result()).add(parity, runner.differs_because)


def _run_installed(folder: Path, package: str, version: str, networks: Sequence[Network], results: Results) -> None:
    """In a fresh process for each file and kernels."""
    suffix, title = PACKAGES[package]
    python, environment = (sys.executable, "-S", "-P"), {**os.environ, "PYTHONPATH": str(folder)}
    for kernels in KERNELS[suffix]:
        result, runtime = Result(), f"{title}, {kernels.removeprefix('ENABLE_')}"
        for network in networks:
            for path, about in network.files.items():
                if path.suffix != suffix:
                    continue
                try:
                    with SeparateRunner(path, kernels, python, environment) as runner:
                        (parity,) = compare.integers(runner, about, network.model, network.pixels, network.expected)
                except ArtifactError as error:
                    result.refused = str(error).replace(str(path), path.name)
                    continue
                assert isinstance(parity, IntegerParity)
                result.add(parity, runner.differs_because)
                runtime, _ = split(runner.name)
        results.setdefault(runtime, {})[version] = result


# --- reporting ------------------------------------------------------------------------------------------------------


def _report(networks: Sequence[Network], results: Results) -> None:
    names = ", ".join(network.model.graph.name for network in networks)
    print(f"## {machine()}: {names}; {_logits(networks):,} logits a version\n")
    print("| runtime | identical | not, and why |\n|---|---|---|")
    for runtime, versions in results.items():
        identical = ", ".join(version for version, result in versions.items() if result.passed)
        others = "; ".join(f"{version}: {result.sentence}" for version, result in versions.items() if not result.passed)
        print(f"| {runtime} | {identical or '–'} | {others or '–'} |")


def _to_toml(networks: Sequence[Network], results: Results) -> str:
    """The kept result of this machine; strings of JSON are strings of TOML."""
    lines = [
        "# Written by `python -m edgekit.benchmarks.versions`; read by edgekit/verification/proven.py.",
        "",
        f"[{json.dumps(machine())}]",
        f"networks = {json.dumps([network.model.graph.name for network in networks])}",
        f"logits = {_logits(networks)}",
    ]
    for title, passed in (("identical", True), ("not_identical", False)):
        lines += ["", f"[{json.dumps(machine())}.{title}]"]
        for runtime, versions in results.items():
            chosen = {version: result for version, result in versions.items() if result.passed is passed}
            if chosen and passed:
                lines.append(f"{json.dumps(runtime)} = {json.dumps(list(chosen))}")
            elif chosen:
                reasons = ", ".join(f"{json.dumps(v)} = {json.dumps(r.sentence)}" for v, r in chosen.items())
                lines.append(f"{json.dumps(runtime)} = {{ {reasons} }}")
    return "\n".join(lines) + "\n"


def _logits(networks: Sequence[Network]) -> int:
    return sum(int(array.size) for network in networks for array in network.expected.values())


if __name__ == "__main__":
    main()
