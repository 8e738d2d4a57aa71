"""Finished TorchScript files, opened again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgekit import files
from edgekit.device import torchscript
from edgekit.device.engines.torch import deprecations_silenced
from edgekit.errors import ArtifactError
from edgekit.exporters.summary import Summary
from edgekit.exporters.torch import script
from edgekit.exporters.torch.forward import FROM_INTEGERS, TO_INTEGERS, Forward, Step, value_id
from edgekit.exporters.torch.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ALIGNING = frozenset({"aten::add", "aten::addcmul"})  # what a float input goes through before: integer._aligned
_UNPACKING = {"aten::to"}  # float16 weights to float32; those in int8 are constants times constants
# What stands beside the code; the lite interpreter's program is a second one.
_VERSION = "version"
_BESIDE = (torchscript.METADATA, torchscript.PROGRAM, torchscript.BYTECODE, _VERSION)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A TorchScript file in memory.

    Attributes:
        module: takes and gives tensors.
        engine: the quantized engine that its weights are packed for.
        texts: what the file says about itself.
        entries: of the archive, as they stand there: these texts, the version, and the bytecode if there is any.
    """

    module: torch.jit.ScriptModule
    engine: str
    texts: Texts
    entries: Mapping[str, bytes]


def load(path: Path, *, engine: str | None = None) -> Loaded:
    """Load a file on the CPU; ``edgekit.device.torchscript`` says what is checked first, and why.

    Args:
        path: the file.
        engine: packs the weights. None takes ``script.available`` of the one that the file was laid out for.

    Raises:
        ArtifactError: the file is missing, damaged, or not what edgekit writes.
        MissingDependency: this build of torch does not have the engine.
    """
    entries = torchscript.read(path, _BESIDE)
    try:
        texts = Texts.from_extra_files(
            {
                entry.removeprefix("extra/"): entries[entry].decode()
                for entry in (torchscript.METADATA, torchscript.PROGRAM)
            }
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: export it again") from error
    engine = engine or script.available(texts.engine)
    with script.pinned(engine), deprecations_silenced():
        module: torch.jit.ScriptModule = torchscript.load(path, torch)
    return Loaded(module, engine, texts, entries)


def read(path: Path) -> Summary:
    """Count what is in a finished file.

    The operators are those of ``forward``. A method of the program counts as one operator, "mean": it takes and gives
    integers, sums integers, and its only float arithmetic is the requantization that every integer operator has.
    What moves data without computing (pad, crop, flatten) is an integer operator wherever it is given integers. The
    name of a float operator is that of the variable whose expression it is part of; in the last one, which has none,
    that of its own result.

    Raises:
        ArtifactError: as ``load``.
    """
    loaded = load(path, engine=script.packing_engine())
    texts = loaded.texts
    operators: Counter[str] = Counter()
    boundary: list[str] = []
    float_operators: list[str] = []
    unnamed: list[Step] = []  # float operators of an expression whose variable is yet to come
    integers: set[str] = set()  # names of values that are quantized tensors
    forward = Forward(loaded.module)
    for step in forward.steps:
        kind, node = step.kind, step.node
        if kind.startswith("prim::") or kind in _UNPACKING or forward.is_constant(step):
            continue
        before = [other.kind for other in unnamed]
        if kind in TO_INTEGERS and not integers and _ALIGNING.issuperset(before):  # of the input: the boundary's
            boundary += before
            operators -= Counter(before)
            unnamed.clear()
        reads_integers = any(value in integers for value in step.reads)
        if kind in TO_INTEGERS or (reads_integers and kind not in FROM_INTEGERS):
            integers.update(value_id(value) for value in node.outputs())
        if kind in TO_INTEGERS | FROM_INTEGERS:
            boundary.append(kind)
        else:
            operators[kind] += 1
            unnamed += [] if reads_integers else [step]
        if step.variable is not None:
            float_operators += [f"{other.kind} {step.variable}" for other in unnamed]
            unnamed.clear()
    float_operators += [f"{step.kind} {step.name}" for step in unnamed]
    return Summary(
        path=path,
        format="torch",
        size_bytes=files.size_bytes(path),
        operators=dict(operators),
        float_operators=tuple(float_operators),
        boundary=tuple(boundary),
        inputs=(texts.input,),  # TorchScript itself says neither types nor shapes
        outputs=texts.outputs,
        version=_version(loaded),
        metadata=texts.metadata,
    )


def _version(loaded: Loaded) -> str:
    """The version of the archive, whether it holds what the lite interpreter reads, and who it was laid out for."""
    version = f"TorchScript {loaded.entries[_VERSION].decode().strip()}"
    if torchscript.BYTECODE in loaded.entries:
        version += " with lite bytecode"
    return f"{version}, for {loaded.texts.engine}" if loaded.texts.engine else version
