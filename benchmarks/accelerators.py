"""Which accelerators take what edgekit writes of each operator: ``python -m edgekit.benchmarks.accelerators``.

Every operator, in all of its forms (``edgekit.benchmarks.claims``), is exported as for the accelerator and held against
the rules of its profile; where it has a compiler, that is run and asked. Nothing else runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.benchmarks.claims.cases import CASES
from edgekit.benchmarks.claims.measuring import Trial
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.profiles.checks import findings
from edgekit.profiles.profile import profile
from edgekit.profiles.vela import Hardware, compile_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.profiles.profile import DeviceProfile

# How each profile wants its file: the type at its boundary, and what else its format is told.
WRITTEN: Final[Mapping[str, tuple[IoDtype, dict[str, Any]]]] = {
    "edgetpu": (IoDtype.INT8, {}),
    "hexagon-htp": (IoDtype.UINT8, {"batch": 1}),
    "apple-neural-engine": (IoDtype.FLOAT32, {"precision": Precision.FLOAT16}),
    "ethos-u55": (IoDtype.INT8, {}),
    "ethos-u85": (IoDtype.INT8, {}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operators", nargs="*", help="only these")
    given = parser.parse_args()
    devices = [profile(name) for name in WRITTEN]
    print(f"| operator | {' | '.join(device.title for device in devices)} |\n|{'---|' * (len(devices) + 1)}")
    for case in CASES:
        if not given.operators or case.name in given.operators:
            print(case.name, file=sys.stderr, flush=True)
            trial = Trial.of(case)
            cells = (taken(trial, name, device) for name, device in zip(WRITTEN, devices, strict=True))
            print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


def taken(trial: Trial, name: str, device: DeviceProfile) -> str:
    """How many operators of a file the accelerator takes, and why not the others."""
    form = FORMATS[device.formats[0]]
    io_dtype, options = WRITTEN[name]
    if trial.model.float_nodes:
        io_dtype = IoDtype.FLOAT32
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"net{form.suffix}"
        form.write_integer_model(trial.model, path, io_dtype=io_dtype, options=options)
        contents = form.contents(path)
        kinds = {operator.name: operator.kind for operator in contents.operators}
        if device.compiler is None:
            found = findings(device, form.name, contents)
            return _told(len(kinds), {f.name: f"{f.operator}: {f.rule.says}" for f in found if f.name is not None})
        chosen = device.compiler
        hardware = Hardware(chosen.accelerator, chosen.system_config, chosen.memory_mode)
        try:
            compiled = compile_file(path, Path(folder) / "compiled.tflite", hardware, "performance")
        except ArtifactError as error:
            return f"refused: {error}".replace(str(path), "the file")
        return _told(len(kinds), {left: f"{kinds.get(left)}: {why}" for left, why in compiled.on_cpu.items()})


def _told(operators: int, left: Mapping[str, str]) -> str:
    """All of them, or how many, and the reasons of the others.

    >>> _told(12, {})
    'all 12'
    >>> _told(12, {"a": "PAD: because", "b": "PAD: because"})
    '10 of 12; PAD: because (2)'
    """
    if not left:
        return f"all {operators}"
    reasons = "; ".join(f"{why} ({count})" for why, count in Counter(left.values()).most_common())
    return f"{operators - len(left)} of {operators}; {reasons}".replace("|", "/")


if __name__ == "__main__":
    main()
