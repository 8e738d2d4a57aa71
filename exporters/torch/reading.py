"""Finished TorchScript files, opened again."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters.summary import Summary
from edgekit.exporters.torch import script
from edgekit.exporters.torch.contents import ENDPOINTS_FILE, METADATA_FILE, Contents

if TYPE_CHECKING:
    from pathlib import Path

# What turns reals or plain bytes into quantized tensors, and back; the two methods are integer.FROM_INT8 and TO_INT8.
_TO_INTEGERS = {"aten::quantize_per_tensor", "aten::_make_per_tensor_quantized_tensor", "from_int8"}
_FROM_INTEGERS = {"aten::dequantize", "aten::int_repr", "to_int8"}
_UNPACKING = {"aten::to"}  # float16 weights to float32


@dataclass(frozen=True, slots=True)
class Loaded:
    """A TorchScript file in memory.

    Attributes:
        module: takes and gives tensors.
        contents: what the file says about itself; None where another tool wrote it.
    """

    module: torch.jit.ScriptModule
    contents: Contents | None


def load(path: Path, *, engine: str) -> Loaded:
    """Load a TorchScript file on the CPU; none of its code is run but the packing of weights, for ``engine``.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
        MissingDependency: this build of torch does not have the engine.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist")
    extra: dict[str, Any] = {METADATA_FILE: b"", ENDPOINTS_FILE: b""}
    try:
        with script.pinned(engine), script.deprecations_silenced():
            module = torch.jit.load(path, map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
        found = {name: text.decode() for name, text in extra.items() if text}
        contents = Contents.from_extra_files(found) if found else None
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again") from error
    return Loaded(module, contents)


def read(path: Path) -> Summary:
    """Count what is in a finished file.

    The operators are those of ``forward``. A method of the program counts as one operator, "mean": it takes and gives
    integers, sums integers, and its only float arithmetic is the requantization that every integer operator has.
    What moves data without computing (pad, flatten) is an integer operator wherever it is given integers.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
    """
    loaded = load(path, engine=script.packing_engine())
    contents = loaded.contents
    operators: Counter[str] = Counter()
    boundary: list[str] = []
    float_operators: list[str] = []
    integers: set[str] = set()  # names of values that are quantized tensors
    graph: Any = loaded.module.graph if contents else loaded.module.inlined_graph
    for node in graph.nodes():
        kind = node.s("name") if node.kind() == "prim::CallMethod" else node.kind()
        if kind.startswith("prim::") or kind in _UNPACKING:
            continue
        reads_integers = any(value.debugName() in integers for value in node.inputs())
        if kind in _TO_INTEGERS or (reads_integers and kind not in _FROM_INTEGERS):
            integers.update(value.debugName() for value in node.outputs())
        if kind in _TO_INTEGERS | _FROM_INTEGERS:
            boundary.append(kind)
            continue
        operators[kind] += 1
        if not reads_integers:
            float_operators.append(kind)
    return Summary(
        path=path,
        format="torch",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=(contents.input,) if contents else (),  # TorchScript itself says neither types nor shapes
        outputs=(contents.output,) if contents else (),
        version=_version(path),
        metadata=contents.metadata if contents else None,
    )


def _version(path: Path) -> str:
    """The version of the archive, and whether it holds what the lite interpreter reads."""
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2]: name for name in archive.namelist()}  # each is "<name of the archive>/<entry>"
        version = archive.read(names["version"]).decode().strip()
    return f"TorchScript {version}" + (" with lite bytecode" if "bytecode.pkl" in names else "")
