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
from edgekit.exporters.torch.contents import METADATA_FILE, PROGRAM_FILE, Contents

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
        engine: the quantized engine that its weights are packed for.
        contents: what the file says about itself; None where another tool wrote it.
    """

    module: torch.jit.ScriptModule
    engine: str
    contents: Contents | None


def load(path: Path, *, engine: str | None = None) -> Loaded:
    """Load a TorchScript file on the CPU; none of its code is run but the packing of weights.

    Args:
        path: the file.
        engine: packs the weights. None takes ``script.available`` of the one that the file was laid out for.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
        MissingDependency: this build of torch does not have the engine.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist")
    try:
        contents = _contents(path)
        engine = engine or script.available(contents.engine if contents else None)
        with script.pinned(engine), script.deprecations_silenced():
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (zipfile.BadZipFile, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again") from error
    return Loaded(module, engine, contents)


def read(path: Path) -> Summary:
    """Count what is in a finished file.

    The operators are those of ``forward``. A method of the program counts as one operator, "mean": it takes and gives
    integers, sums integers, and its only float arithmetic is the requantization that every integer operator has.
    What moves data without computing (pad, crop, flatten) is an integer operator wherever it is given integers. The
    name of a float operator is that of the variable whose expression it is part of.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
    """
    loaded = load(path, engine=script.packing_engine())
    contents = loaded.contents
    operators: Counter[str] = Counter()
    boundary: list[str] = []
    float_operators: list[str] = []
    unnamed: list[str] = []  # float operators of an expression whose variable is yet to come
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
        else:
            operators[kind] += 1
            unnamed += [] if reads_integers else [kind]
        variable = node.output().debugName().partition(".")[0]  # a number inside of an expression
        if not variable.isdecimal():
            float_operators += [f"{kind} {variable}" for kind in unnamed]
            unnamed.clear()
    float_operators += [f"{kind} {contents.output.name}" if contents else kind for kind in unnamed]
    return Summary(
        path=path,
        format="torch",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=(contents.input,) if contents else (),  # TorchScript itself says neither types nor shapes
        outputs=(contents.output,) if contents else (),
        version=_version(path, contents),
        metadata=contents.metadata if contents else None,
    )


def _contents(path: Path) -> Contents | None:
    """The texts beside the program, read without it."""
    with zipfile.ZipFile(path) as archive:
        names = _entries(archive)
        texts = {
            name: archive.read(names[entry]).decode()
            for name in (METADATA_FILE, PROGRAM_FILE)
            if (entry := f"extra/{name}") in names
        }
    return Contents.from_extra_files(texts) if texts else None


def _version(path: Path, contents: Contents | None) -> str:
    """The version of the archive, whether it holds what the lite interpreter reads, and who it was laid out for."""
    with zipfile.ZipFile(path) as archive:
        names = _entries(archive)
        version = f"TorchScript {archive.read(names['version']).decode().strip()}"
    if "bytecode.pkl" in names:
        version += " with lite bytecode"
    return f"{version}, for {contents.engine}" if contents and contents.engine else version


def _entries(archive: zipfile.ZipFile) -> dict[str, str]:
    """Names in the archive, by what follows its own name: each is "<name of the archive>/<entry>"."""
    return {name.partition("/")[2]: name for name in archive.namelist()}
