"""Finished TorchScript files, opened again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit import files
from edgekit.device import torchscript
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.errors import ArtifactError
from edgekit.exporters.summary import Summary
from edgekit.exporters.torch import script
from edgekit.exporters.torch.texts import METADATA_FILE, PROGRAM_FILE, Texts

if TYPE_CHECKING:
    from pathlib import Path

# What turns reals or plain bytes into quantized tensors, and back; the two methods are integer.FROM_INT8 and TO_INT8.
TO_INTEGERS = {"aten::quantize_per_tensor", "aten::_make_per_tensor_quantized_tensor", "from_int8"}
_FROM_INTEGERS = {"aten::dequantize", "aten::int_repr", "to_int8"}
_ALIGNING = frozenset({"aten::add", "aten::addcmul"})  # what a float input goes through before: integer._aligned
_UNPACKING = {"aten::to"}  # float16 weights to float32


@dataclass(frozen=True, slots=True)
class Loaded:
    """A TorchScript file in memory.

    Attributes:
        module: takes and gives tensors.
        engine: the quantized engine that its weights are packed for.
        texts: what the file says about itself.
    """

    module: torch.jit.ScriptModule
    engine: str
    texts: Texts


def load(path: Path, *, engine: str | None = None) -> Loaded:
    """Load a file on the CPU; ``edgekit.device.torchscript`` says what is checked first, and why.

    Args:
        path: the file.
        engine: packs the weights. None takes ``script.available`` of the one that the file was laid out for.

    Raises:
        ArtifactError: the file is missing, damaged, or not what edgekit writes.
        MissingDependency: this build of torch does not have the engine.
    """
    try:
        texts = _texts(path)
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: export it again") from error
    engine = engine or script.available(texts.engine)
    with script.pinned(engine), deprecations_silenced():
        module: torch.jit.ScriptModule = torchscript.load(path, torch)
    return Loaded(module, engine, texts)


def read(path: Path) -> Summary:
    """Count what is in a finished file.

    The operators are those of ``forward``. A method of the program counts as one operator, "mean": it takes and gives
    integers, sums integers, and its only float arithmetic is the requantization that every integer operator has.
    What moves data without computing (pad, crop, flatten) is an integer operator wherever it is given integers. The
    name of a float operator is that of the variable whose expression it is part of.

    Raises:
        ArtifactError: as ``load``.
    """
    loaded = load(path, engine=script.packing_engine())
    texts = loaded.texts
    operators: Counter[str] = Counter()
    boundary: list[str] = []
    float_operators: list[str] = []
    unnamed: list[str] = []  # float operators of an expression whose variable is yet to come
    integers: set[str] = set()  # names of values that are quantized tensors
    graph: Any = loaded.module.graph
    for node in graph.nodes():
        kind = node.s("name") if node.kind() == "prim::CallMethod" else node.kind()
        if kind.startswith("prim::") or kind in _UNPACKING:
            continue
        if kind in TO_INTEGERS and not integers and _ALIGNING.issuperset(unnamed):  # of the input: the boundary's
            boundary += unnamed
            operators -= Counter(unnamed)
            unnamed.clear()
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
    float_operators += [f"{kind} {texts.output.name}" for kind in unnamed]
    return Summary(
        path=path,
        format="torch",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=(texts.input,),  # TorchScript itself says neither types nor shapes
        outputs=(texts.output,),
        version=_version(path, texts),
        metadata=texts.metadata,
    )


def _texts(path: Path) -> Texts:
    """The texts beside the program, read without it."""
    entries = torchscript.read(path, (f"extra/{name}" for name in (METADATA_FILE, PROGRAM_FILE)))
    return Texts.from_extra_files({entry.removeprefix("extra/"): data.decode() for entry, data in entries.items()})


def _version(path: Path, texts: Texts) -> str:
    """The version of the archive, whether it holds what the lite interpreter reads, and who it was laid out for."""
    entries = torchscript.read(path, ("version", torchscript.BYTECODE))
    version = f"TorchScript {entries['version'].decode().strip()}"
    if torchscript.BYTECODE in entries:
        version += " with lite bytecode"
    return f"{version}, for {texts.engine}" if texts.engine else version
