"""Machines that are emulated on this one: what they are, where they lie, and how a program is started on them.

QEMU's user-mode emulation translates the instructions of one program; the system below stays ours. What an emulated
processor computes is what the real one does, because it runs the same kernels. How fast it is says nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.device.processes import our_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON: Final = "3.11"  # of the emulated Debian; the newest that tflite-runtime has a wheel for


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package on an emulated machine.

    Attributes:
        package: its name.
        version: of it.
        sha256: of its wheel for aarch64 and ``PYTHON``.
    """

    package: str
    version: str
    sha256: str

    @property
    def folder(self) -> str:
        """Where it lies, in the machine's folder."""
        return f"{self.package}-{self.version}"


_NUMPY = Wheel("numpy", "2.4.6", "0ab0a9c4ffb1a6d95ef519fe4247dba8eb6b18ad93999f76b7f657039acabd47")
_PILLOW = Wheel("pillow", "13.0.0", "7c88c10dd432f3b39ccdafc9ed81d0c21b8fd634502574da76d1bfa4fe2c76d0")
_LITERT = (
    Wheel("ai-edge-litert", "2.3.0", "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae"),
    Wheel("flatbuffers", "25.12.19", "7634f50c427838bb021c2d66a3d1168e9d199b0607e6329399f04846d42e20b4"),
)
_ONNX = (
    Wheel("onnx", "1.23.2", "83b3fc8321303c9da62824730457ba2f7ae0970f0e2f7fc0117912df7f8a4826"),
    Wheel("ml_dtypes", "0.6.0", "7728c0420ec1c338564fc8b01015ff2d58567e70f17fedce5a0a7c0308c0d5b9"),
    Wheel("protobuf", "7.36.2", "e11e1f0180583a2af89db6a2ecd9e8dc40aa6d2988ca175bfd0e6d12ea72d74e"),
    Wheel("typing_extensions", "4.16.0", "481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8"),
)
_ONNX_RUNTIME = Wheel("onnxruntime", "1.31.1", "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3")
# The oldest that edgekit takes; they are built for numpy 1.
_NUMPY_1 = Wheel("numpy", "1.26.4", "7ab55401287bfec946ced39700c053796e7cc0e3acbef09993a9ad2adba6ca6e")
_LITERT_1 = (
    Wheel("ai-edge-litert", "1.2.0", "b27baeca57c60512c2e9f6fbeade486f4785d42f2d88853db2f2e6bfd6a8331c"),
    *_LITERT[1:],
)
_ONNX_RUNTIME_1 = Wheel("onnxruntime", "1.17.0", "6f1273bebcdb47ed932d076c85eb9488bc4768fcea16d5f2747ca692fad4f9d3")
_TFLITE_RUNTIME = Wheel("tflite-runtime", "2.14.0", "ce9fa5d770a9725c746dcbf6f59f3178233b3759f09982e8b2db8d2234c333b0")

# What a program can import, by the runtime that it is about.
NEWEST_LITERT: Final = (_NUMPY, _PILLOW, *_LITERT)
OLDEST_LITERT: Final = (_NUMPY_1, _PILLOW, *_LITERT_1)
TFLITE_RUNTIME: Final = (_NUMPY_1, _PILLOW, _TFLITE_RUNTIME)
NEWEST_ONNX: Final = (_NUMPY, _PILLOW, *_ONNX, _ONNX_RUNTIME)
OLDEST_ONNX: Final = (_NUMPY_1, _PILLOW, *_ONNX, _ONNX_RUNTIME_1)


@dataclass(frozen=True, slots=True)
class Machine:
    """An emulated machine.

    Attributes:
        name: on the command line.
        title: as people write it.
        emulator: the program of QEMU.
        processors: QEMU's names of processors, with what they are called.
        wheels: what its own Python has; none where the Python that runs us is emulated.
    """

    name: str
    title: str
    emulator: str
    processors: Mapping[str, str]
    wheels: tuple[Wheel, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return files.cache_folder() / self.name

    @property
    def root(self) -> Path:
        """Files that programs on it see in front of ours."""
        return self.folder / "root"

    @property
    def python(self) -> Path:
        """The interpreter that is emulated."""
        return self.root / "usr" / "bin" / f"python{PYTHON}" if self.wheels else Path(sys.executable)

    def missing(self) -> str | None:
        """Why nothing can be run on it, and what to do; None where it can."""
        if not self.wheels and platform.machine() not in {"x86_64", "AMD64"}:
            return f"no emulated {self.title} on this machine: its own Python is for {platform.machine()}"
        needed = [self.folder / self.emulator, self.root, *(self.folder / wheel.folder for wheel in self.wheels)]
        if all(path.exists() for path in needed):
            return None
        return f"no emulated {self.title} on this machine: edgekit emulate {self.name}"

    def command(self, processor: str) -> list[str]:
        """How its Python is started; its arguments follow."""
        # -S and -P: nothing but what PYTHONPATH names, least of all what our own system has in the same places.
        emulator = [str(self.folder / self.emulator), "-cpu", processor, "-L", str(self.root)]
        return [*emulator, str(self.python), "-P", *(["-S"] if self.wheels else [])]

    def environment(self, wheels: tuple[Wheel, ...]) -> dict[str, str]:
        """The variables of a program that can import edgekit and some of the machine's ``wheels``."""
        if not self.wheels:
            return our_environment()
        path = [self._edgekit_alone(), *(self.folder / wheel.folder for wheel in wheels)]
        return {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),  # its bytecode is not ours
        }

    def _edgekit_alone(self) -> Path:
        """A folder with a link to edgekit: beside the original, packages may lie that are made for our processor."""
        original = Path(__file__).parents[1]
        folder = self.folder / "edgekit" / hashlib.sha256(str(original).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (folder / "edgekit").symlink_to(original)
        return folder


AARCH64: Final = Machine(
    "aarch64",
    "aarch64",
    "qemu-aarch64",
    # Kernels are chosen by what a processor has: plain NEON, in order and out of order, dot products, matrix products
    # (i8mm), and everything that QEMU knows, where XNNPACK takes the Scalable Matrix Extension.
    {
        "cortex-a53": "Cortex-A53",
        "cortex-a72": "Cortex-A72",
        "cortex-a76": "Cortex-A76",
        "cortex-a710": "Cortex-A710",
        "max": "SME",
    },
    tuple(dict.fromkeys((*NEWEST_LITERT, *NEWEST_ONNX, *OLDEST_LITERT, *OLDEST_ONNX, *TFLITE_RUNTIME))),
)
WITHOUT_VNNI: Final = Machine("x86-64-no-vnni", "x86-64 without VNNI", "qemu-x86_64", {"Haswell-noTSX": "Haswell"})
MACHINES: Final = {machine.name: machine for machine in (AARCH64, WITHOUT_VNNI)}
PI_5: Final = "cortex-a76"  # a processor of AARCH64
HASWELL, *_ = WITHOUT_VNNI.processors


@dataclass(frozen=True, slots=True)
class Setting:
    """What a file is run with.

    Attributes:
        machine: that is emulated.
        processor: a key of its processors.
        wheels: what its Python imports; none where the machine has none of its own.
        kernels: as ``edgekit.runtimes.worker`` takes them.
    """

    machine: Machine
    processor: str
    wheels: tuple[Wheel, ...] = ()
    kernels: str = ""
