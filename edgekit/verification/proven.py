"""Which versions of runtimes gave the reference's integers, each in a process of its own.

``proven.toml`` holds what ``python -m edgekit.benchmarks.versions`` found: for each kind of machine what was compared,
and for each runtime with its kernels the versions that were identical, that differed, and that refused a file.
"""

from __future__ import annotations

import functools
import platform
import re
import tomllib
from importlib import resources
from typing import Any

from edgekit.runtimes import processor

FILE = "proven.toml"
_RUNNER = re.compile(r"(?P<runtime>.+) (?P<version>\d[\w.]*), (?P<kernels>.+)")  # "LiteRT 2.3.0, XNNPACK"


def proven(runner: str) -> str | None:
    """What was proven of a runtime in this very version, with these kernels, on a machine like this one.

    Args:
        runner: the name of a ``Runner``.

    Returns:
        A sentence for reports; None where this version was not run, or was not identical.
    """
    runtime, version = split(runner)
    about = _machines().get(machine(), {})
    if version is None or version not in about.get("identical", {}).get(runtime, ()):
        return None
    return f"identical on {machine()}, {about['logits']:,} logits of {len(about['networks'])} networks"


def split(runner: str) -> tuple[str, str | None]:
    """A runner's name without its version, and that; None where the name has none.

    >>> split("ONNX Runtime 1.31.1, ALL")
    ('ONNX Runtime, ALL', '1.31.1')
    """
    found = _RUNNER.fullmatch(runner)
    return (f"{found['runtime']}, {found['kernels']}", found["version"]) if found else (runner, None)


def machine() -> str:
    """The kind of machine this is, as far as integer kernels are chosen by it."""
    name = platform.machine()
    if name not in {"x86_64", "AMD64"}:
        return name
    return "x86-64 without VNNI" if processor.lacks_vnni() else "x86-64 with VNNI"


@functools.cache
def _machines() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
