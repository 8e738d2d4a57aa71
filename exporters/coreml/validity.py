"""Whether an .mlpackage is well-formed, and whether a named iOS has its operators."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edgekit.errors import ConfigError
from edgekit.exporters.coreml.reader import read_model
from edgekit.exporters.summary import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.coreml.reader import Model

# Specification -> iOS, macOS and opset. Sources: coremltools/__init__.py, _OPSET and the SPECIFICATION_VERSIONs;
# coremltools/converters/mil/_deployment_compatibility.py.
_RELEASES: Final = {
    6: (15, 12, "CoreML5"),
    7: (16, 13, "CoreML6"),
    8: (17, 14, "CoreML7"),
    9: (18, 15, "CoreML8"),
    10: (26, 26, "CoreML9"),
}
# Operators that edgekit writes, and the first specification that has them. Source: coremltools/converters/mil/mil/ops/
# defs, a folder for each iOS.
_SINCE: Final = {
    **dict.fromkeys(
        (
            "add", "cast", "classify", "clip", "conv", "linear", "mul", "pad", "reduce_mean", "relu", "relu6",
            "reshape", "sigmoid_hard", "sub",
        ),
        6,
    ),
    "constexpr_affine_dequantize": 7,
    "dequantize": 8,
    "quantize": 8,
}  # fmt: skip


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a package.

    Reading it finds what nothing makes, and weights that are not where the program says.

    Args:
        path: of the package.
        runtime: what has to run it ("iOS17", "macOS 14"); None for any.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        ConfigError: ``runtime`` is no iOS or macOS that runs ML programs.
        MissingDependency: coremltools is not installed.
    """
    newest = None if runtime is None else specification_of(runtime)
    model = read_model(path)
    return tuple(_violations(model, newest, runtime))


def specification_of(target: str) -> int:
    """The newest specification that a deployment target reads.

    Raises:
        ConfigError: it is none that runs ML programs.

    >>> specification_of("iOS17"), specification_of("macOS 14")
    (8, 8)
    """
    match = re.fullmatch(r"(ios|macos)\s*(\d+)(?:\.\d+)*", target.strip().lower())
    column = 1 if match and match[1] == "macos" else 0
    read = [s for s, releases in _RELEASES.items() if match and int(match[2]) >= int(releases[column])]
    if not read:
        raise ConfigError(f"{target!r} is no system that runs ML programs: name iOS15, macOS12 or a later one")
    return max(read)


def _violations(model: Model, newest: int | None, runtime: str | None) -> Iterator[Violation]:
    specification, opset = model.specification, model.program.opset
    declared = next((s for s, (*_, name) in _RELEASES.items() if name == opset), None)
    if declared is None or declared > specification:
        yield Violation(None, f"opset {opset} does not belong to specification {specification}")
    if newest is not None and specification > newest:
        yield Violation(None, f"specification {specification}, and {runtime} reads up to {newest}")
    for operation in model.program.operations:
        since = _SINCE.get(operation.operator)
        if since is None:
            yield Violation(operation.output, f"is made by {operation.operator}, which edgekit never writes")
        elif since > specification:
            yield Violation(operation.output, f"is made by {operation.operator}, which came with specification {since}")
