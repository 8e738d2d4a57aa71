"""Which wheel fits which machine. The cases are those that people have; the oracle is the package index."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from edgekit.device import wheels
from edgekit.device.wheels import Python, remedy
from edgekit.errors import MissingDependency

GLIBC = ("glibc", (2, 36))
BOOKWORM = Python((3, 11), "/usr/bin/python3", "aarch64", GLIBC, is_environment=False, is_managed=True)
TRIXIE = replace(BOOKWORM, version=(3, 13), libc=("glibc", (2, 41)))
BULLSEYE = replace(BOOKWORM, version=(3, 9), libc=("glibc", (2, 31)), is_managed=False)
NEW = "python3 -m venv ~/venv && ~/venv/bin/pip install"


@pytest.mark.parametrize(
    ("python", "package", "said", "fits"),
    [
        (BOOKWORM, "ai-edge-litert", f"{NEW} ai-edge-litert", True),
        (BOOKWORM, "tflite-runtime", f"{NEW} tflite-runtime 'numpy<2'", True),
        (BOOKWORM, "onnxruntime", f"{NEW} onnxruntime", True),
        (TRIXIE, "ai-edge-litert", f"{NEW} ai-edge-litert", True),
        (TRIXIE, "tflite-runtime", "Python 3.13 on aarch64: name one of 3.9 to 3.11 by --set bench.python=PATH", False),
        (BULLSEYE, "ai-edge-litert", "/usr/bin/python3 -m pip install ai-edge-litert", True),
        (
            replace(BOOKWORM, path="/home/pi/e/bin/python", is_environment=True),
            "onnxruntime",
            "/home/pi/e/bin/python -m pip install onnxruntime",
            True,
        ),
        (replace(BOOKWORM, processor="armv7l"), "ai-edge-litert", r"32-bit Arm .*install the 64-bit system", False),
        (replace(BOOKWORM, processor="armv7l"), "onnxruntime", r"32-bit Arm .*install the 64-bit system", False),
        (
            replace(BOOKWORM, processor="armv7l"),
            "tflite-runtime",
            (
                "sudo apt install python3-numpy && python3 -m venv --system-site-packages ~/venv && "
                "~/venv/bin/pip install tflite-runtime"
            ),
            True,
        ),
        (
            replace(TRIXIE, processor="armv7l"),
            "tflite-runtime",
            "Python 3.13 on armv7l: name one of 3.9 to 3.11",
            False,
        ),
        (replace(BOOKWORM, libc=("musl", (0, 0))), "ai-edge-litert", "musl: use a system with glibc", False),
        (replace(BOOKWORM, libc=("bionic", (0, 0))), "ai-edge-litert", "run Debian in Termux", False),
        (replace(BOOKWORM, libc=("glibc", (2, 17)), version=(3, 13)), "ai-edge-litert", "update the system", False),
        (
            replace(BULLSEYE, libc=("darwin", (0, 0)), path="python3"),
            "ai-edge-litert",
            "python3 -m pip install ai-edge-litert",
            True,
        ),
        (replace(BOOKWORM, processor="riscv64"), "ai-edge-litert", "riscv64: use another machine", False),
    ],
)
def test_what_to_type(python: Python, package: str, said: str, *, fits: bool) -> None:
    import re

    text, found = remedy(python, package)
    assert found is fits
    assert text == said if fits else re.search(said, text)
    assert fits or text.startswith(f"there is no wheel of {package} for ")


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda name: None)
    monkeypatch.setattr(wheels, "this_python", lambda: BOOKWORM)
    with pytest.raises(
        MissingDependency, match=r"^/usr/bin/python3 has no ai-edge-litert or tflite-runtime: python3 -m"
    ):
        wheels.require({"litert"})
    monkeypatch.setattr(wheels, "this_python", lambda: replace(BOOKWORM, processor="armv7l"))
    with pytest.raises(MissingDependency, match=r"~/venv/bin/pip install tflite-runtime$"):
        wheels.require({"litert"})  # what fits is named, not what would be best


def test_either_runtime_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "find_spec", lambda name: None if name == "ai_edge_litert" else object())
    wheels.require({"litert"})


def test_this_python() -> None:
    found = wheels.this_python()
    assert found.version == sys.version_info[:2]
    assert found.path == sys.executable
    assert found.is_environment == (sys.prefix != sys.base_prefix)
