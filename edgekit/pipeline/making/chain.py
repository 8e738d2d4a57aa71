"""An integer model with exits -> a folder of files, one a stage and format, and what says when images leave."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import files
from edgekit.device.chain import FILE_NAME, Chain, Stage
from edgekit.device.exits import ExitRule
from edgekit.errors import ArtifactError, ConfigError, GateFailed
from edgekit.exporters.formats import FORMATS, named, refuse_trained
from edgekit.exporters.metadata import Head, IoDtype
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.models.head_tasks import EXITS
from edgekit.pipeline.making.splitting import cut
from edgekit.runtimes.catalog import engine_of
from edgekit.verification import chains, compare
from edgekit.verification.holding import hold
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


FOLDER: Final = ".stages"  # behind the network's name, beside its other files
_PROOF_IMAGES: Final = 16
# What crosses the borders of a file: the type that its tensors have inside; in Core ML, which takes and gives no
# integers, the reals that these stand for, which the next stage brings back to the same integers.
_STORED: Final[Mapping[str, IoDtype]] = {"onnx": IoDtype.UINT8, "coreml": IoDtype.FLOAT32}


@dataclass(frozen=True, slots=True)
class WrittenStage:
    """A file of a chain.

    Attributes:
        path: of it.
        exit: where images leave behind it.
        format: its name.
        size_bytes: of it.
        macs: multiplications by weights.
        moved_bytes: of weights and activations that it reads and writes, each once.
    """

    path: Path
    exit: str
    format: str
    size_bytes: int
    macs: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class ChainResult:
    """A chain that was written.

    Attributes:
        folder: where it is.
        network: that was cut.
        files: of it.
        parities: of exits and logits of each format, on noise, in each runtime here that edgekit answers for.
        unclaimed: other runtimes, with the reason.
    """

    folder: Path
    network: str
    files: tuple[WrittenStage, ...]
    parities: tuple[IntegerParity, ...]
    unclaimed: Mapping[str, str]


def rules_of(model: IntegerModel) -> tuple[ExitRule, ...]:
    """When images leave at each exit.

    Raises:
        ConfigError: nobody has chosen that.
    """
    rules = tuple(map(ExitRule.from_dict, model.provenance.get(EXITS, ())))
    if len(rules) != len(model.graph.outputs):
        raise ConfigError(
            f"nothing says from where images leave {model.graph.name}: edgekit train --exits chooses that at its end"
        )
    return rules


def saved_in(path: Path) -> Path:
    """The integer model that is named, or the one in a folder.

    Raises:
        ArtifactError: there is none, or there are several.
    """
    refuse_trained(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob(f"*{SUFFIX}"))
    if len(found) != 1:
        raise ArtifactError(f"{path} holds {len(found)} integer models (*{SUFFIX}), and one is wanted: name it")
    return found[0]


def write_chain(path: Path, targets: Sequence[str]) -> ChainResult:
    """Write the stages of an exported network, each as a file of its own, beside the network's other files.

    Nothing is published unless every file, read back, says what its stage is, and the chain takes the exits that the
    whole integer model takes, with its integers, in every runtime here whose integers edgekit answers for.

    Args:
        path: of the integer model (NAME.int8.edgekit), or the folder of an export.
        targets: names of formats.

    Raises:
        BadInput: the network has no exits or cannot be cut, or a file cannot be written.
        GateFailed: a file is not what it has to be.
        MissingDependency: a target needs an extra that is not installed.
    """
    path = saved_in(path)
    wanted = named(targets)
    model = IntegerModel.load(path)
    rules, stages = rules_of(model), cut(model)
    formats = [FORMATS[name] for name in wanted]
    for form in formats:
        form.check_installed()
        form.check_boundary(_STORED.get(form.name, IoDtype.INT8), Head.LOGITS)
    folder = path.parent / f"{model.graph.name}{FOLDER}"
    written: list[WrittenStage] = []
    with files.staging(folder) as scratch:
        for form in formats:
            for number, stage in enumerate(stages, 1):
                file = scratch / f"stage{number}.int8{form.suffix}"
                options: dict[str, Any] = {"head": Head.LOGITS, "batch": None}
                form.write_integer_model(stage, file, io_dtype=_STORED.get(form.name, IoDtype.INT8), options=options)
                _, held = hold(file, form.read(file), stage, "the stage's", None)
                if wrong := [gate for gate in held if not gate.passed]:
                    raise GateFailed(f"{file.name} is not what it has to be: {wrong[0].problem}. Nothing was written")
                size, exit_name = files.size_bytes(file), stage.graph.outputs[0].name
                costs = stage.graph.macs, stage.moved_bytes
                written.append(WrittenStage(file, exit_name, form.name, size, *costs))
        names = {form.name: [f"stage{n}.int8{form.suffix}" for n in range(1, len(stages) + 1)] for form in formats}
        engines = {form.name: engine_of(form.name) or form.name for form in formats}
        chain = Chain(
            model.graph.name,
            model.labels,
            tuple(
                Stage(
                    stage.graph.outputs[0].name,
                    rules[place],
                    stage.graph.macs,
                    stage.moved_bytes,
                    {engine: names[name][place] for name, engine in engines.items()},
                )
                for place, stage in enumerate(stages)
            ),
        )
        files.write_bytes(scratch / FILE_NAME, (chain.to_json() + "\n").encode())
        parities, unclaimed = list[IntegerParity](), dict[str, str]()
        for of_format in names.values():
            parities += _proven(model, stages, rules, [scratch / name for name in of_format], unclaimed)
    for left in set(folder.glob("stage*.int8.*")) - {folder / one.path.name for one in written}:
        shutil.rmtree(left) if left.is_dir() else left.unlink()  # of formats that are no part of the chain any more
    published = tuple(replace(one, path=folder / one.path.name) for one in written)
    return ChainResult(folder, model.graph.name, published, tuple(parities), unclaimed)


def _proven(
    model: IntegerModel,
    stages: Sequence[IntegerModel],
    rules: Sequence[ExitRule],
    paths: Sequence[Path],
    unclaimed: dict[str, str],
) -> list[IntegerParity]:
    """The chain of one format on noise, in each runtime here; those of which nothing is claimed go to ``unclaimed``.

    Raises:
        GateFailed: an image leaves elsewhere, or with other logits, where identity is claimed.
    """
    shape = (_PROOF_IMAGES, *model.preprocessing.shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    wanted = compare.reference_outputs(model, pixels)
    found: list[IntegerParity] = []
    with chains.opened(paths, stages, rules) as (runners, abouts):
        for runner in runners:
            if runner.differs_because is not None:
                unclaimed[runner.name] = runner.differs_because
                continue
            runner.run(pixels, abouts)
            found += runner.against(wanted)
    if wrong := [parity for parity in found if not parity.passed]:
        raise GateFailed(
            f"{paths[0].name} and what follows it differ from the reference in {wrong[0].ran()}, by up to "
            f"{wrong[0].max_lsb}: nothing was written. edgekit doctor says what this machine's kernels can do"
        )
    return found
