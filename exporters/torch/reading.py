"""Finished TorchScript files, opened again."""

from __future__ import annotations

import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit import files
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.errors import ArtifactError
from edgekit.exporters.summary import Summary
from edgekit.exporters.torch import script
from edgekit.exporters.torch.texts import METADATA_FILE, PROGRAM_FILE, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# What turns reals or plain bytes into quantized tensors, and back; the two methods are integer.FROM_INT8 and TO_INT8.
TO_INTEGERS = {"aten::quantize_per_tensor", "aten::_make_per_tensor_quantized_tensor", "from_int8"}
_FROM_INTEGERS = {"aten::dequantize", "aten::int_repr", "to_int8"}
_UNPACKING = {"aten::to"}  # float16 weights to float32


@dataclass(frozen=True, slots=True)
class Loaded:
    """A TorchScript file in memory.

    Attributes:
        module: takes and gives tensors.
        engine: the quantized engine that its weights are packed for.
        texts: what the file says about itself; None where another tool wrote it.
    """

    module: torch.jit.ScriptModule
    engine: str
    texts: Texts | None


def load(path: Path, *, engine: str | None = None) -> Loaded:
    """Load a TorchScript file on the CPU; none of its code is run but the packing of weights.

    Args:
        path: the file.
        engine: packs the weights. None takes ``script.available`` of the one that the file was laid out for.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
        MissingDependency: this build of torch does not have the engine.
    """
    try:
        texts = _texts(path)
        engine = engine or script.available(texts.engine if texts else None)
        with script.pinned(engine), deprecations_silenced():
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again") from error
    return Loaded(module, engine, texts)


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
    texts = loaded.texts
    operators: Counter[str] = Counter()
    boundary: list[str] = []
    float_operators: list[str] = []
    unnamed: list[str] = []  # float operators of an expression whose variable is yet to come
    integers: set[str] = set()  # names of values that are quantized tensors
    graph: Any = loaded.module.graph if texts else loaded.module.inlined_graph
    for node in graph.nodes():
        kind = node.s("name") if node.kind() == "prim::CallMethod" else node.kind()
        if kind.startswith("prim::") or kind in _UNPACKING:
            continue
        reads_integers = any(value.debugName() in integers for value in node.inputs())
        if kind in TO_INTEGERS or (reads_integers and kind not in _FROM_INTEGERS):
            integers.update(value.debugName() for value in node.outputs())
        if kind in TO_INTEGERS | _FROM_INTEGERS:
            boundary.append(kind)
        else:
            operators[kind] += 1
            unnamed += [] if reads_integers else [kind]
        variable = node.output().debugName().partition(".")[0]  # a number inside of an expression
        if not variable.isdecimal():
            float_operators += [f"{kind} {variable}" for kind in unnamed]
            unnamed.clear()
    float_operators += [f"{kind} {texts.output.name}" if texts else kind for kind in unnamed]
    return Summary(
        path=path,
        format="torch",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=(texts.input,) if texts else (),  # TorchScript itself says neither types nor shapes
        outputs=(texts.output,) if texts else (),
        version=_version(path, texts),
        metadata=texts.metadata if texts else None,
    )


def archived(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """Those of the ``wanted`` entries of the archive that are there, by name, read without torch.

    Raises:
        ArtifactError: the file is missing or no archive, or an entry is damaged.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            names = _entries(archive)
            return {entry: archive.read(names[entry]) for entry in wanted if entry in names}
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again") from error


def _texts(path: Path) -> Texts | None:
    """The texts beside the program, read without it."""
    entries = archived(path, (f"extra/{name}" for name in (METADATA_FILE, PROGRAM_FILE)))
    texts = {entry.removeprefix("extra/"): data.decode() for entry, data in entries.items()}
    return Texts.from_extra_files(texts) if texts else None


def _version(path: Path, texts: Texts | None) -> str:
    """The version of the archive, whether it holds what the lite interpreter reads, and who it was laid out for."""
    with zipfile.ZipFile(path) as archive:
        names = _entries(archive)
        version = f"TorchScript {archive.read(names['version']).decode().strip()}"
    if "bytecode.pkl" in names:
        version += " with lite bytecode"
    return f"{version}, for {texts.engine}" if texts and texts.engine else version


def _entries(archive: zipfile.ZipFile) -> dict[str, str]:
    """Names in the archive, by what follows its own name: each is "<name of the archive>/<entry>"."""
    return {name.partition("/")[2]: name for name in archive.namelist()}
