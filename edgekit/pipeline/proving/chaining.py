"""The stages of a network with exits: what their files say, which exit each image takes, and what it is told there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.calibration.images import ImageSource
from edgekit.device.chain import FILE_NAME, Chain
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.pipeline.making.chain import FOLDER, rules_of
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.pipeline.making.splitting import cut
from edgekit.pipeline.proving.judging import assumptions
from edgekit.pipeline.proving.trials import BATCH_SIZE
from edgekit.pipeline.proving.verdicts import FileVerdict
from edgekit.progress import Progress, silent
from edgekit.verification import chains, compare, gates
from edgekit.verification.holding import hold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.calibration.images import PixelBatch
    from edgekit.exporters.metadata import Metadata
    from edgekit.integer_model import IntegerModel
    from edgekit.tasks.values import Outputs
    from edgekit.verification.chains import ChainRunner


def chain_beside(saved: Path | None, model: IntegerModel | None) -> Path | None:
    """The folder with the stages of an integer model, if there is one beside it."""
    if saved is None or model is None:
        return None
    folder = saved.parent / f"{model.graph.name}{FOLDER}"
    return folder if (folder / FILE_NAME).is_file() else None


def judge_chain(
    folder: Path,
    model: IntegerModel,
    images: ImageSource | list[PixelBatch],
    integers: Outputs,
    progress: Progress = silent,
) -> tuple[FileVerdict, ...]:
    """The verdicts on the files of a chain, one a format.

    Args:
        folder: of the chain.
        model: the whole network, as it has to be.
        images: that the chain is run on.
        integers: what the reference gives for all of these, by name.
        progress: told of every batch.

    Raises:
        ArtifactError: the chain is damaged, or has other stages than the network.
    """
    chain, stages, rules = Chain.load(folder), cut(model), rules_of(model)
    if len(chain.stages) != len(stages):
        raise ArtifactError(f"{folder} has {len(chain.stages)} stages, and the network {len(stages)}: edgekit stages")
    same_rules = tuple(one.rule for one in chain.stages) == rules
    said = [] if same_rules else [f"{FILE_NAME} lets images leave by other rules than the model's: edgekit stages"]
    rule = gates.well_formed("when images leave", said, "the model's tables and limits")
    verdicts: list[FileVerdict] = []
    for engine in chain.stages[0].files:
        paths = [folder / stage.files[engine] for stage in chain.stages]
        held = [
            f"{path.name}: {gate.problem}"
            for path, stage in zip(paths, stages, strict=True)
            for gate in hold(path, format_of(path).read(path), stage, "the stage's", None)[1]
            if not gate.passed
        ]
        contents = gates.well_formed("contents of all stages", held, "every number is the stage's")
        with chains.opened(paths, stages, rules) as (runners, abouts):
            _run(runners, abouts, images, len(next(iter(integers.values()))), progress)
            parities = tuple(parity for runner in runners for parity in runner.against(integers))
            unclaimed = {one.name: one.differs_because for one in runners if one.differs_because is not None}
        default = runners[0].name
        differs = [f"{compare.by_default(default)}: {unclaimed[default]}"] if default in unclaimed else []
        judged = [gates.parity(parity) for parity in parities if parity.runner not in unclaimed]
        verdicts.append(
            FileVerdict(
                path=paths[0],
                sha256=sha256_of(paths[0]),
                summary=None,
                gates=(rule, contents, *judged),
                parities=parities,
                unclaimed=unclaimed,
                warnings=(*differs, *assumptions(model.provenance)),
            )
        )
    return tuple(verdicts)


def _run(
    runners: Sequence[ChainRunner],
    abouts: Sequence[Metadata],
    images: ImageSource | list[PixelBatch],
    total: int,
    progress: Progress,
) -> None:
    """Each runner on all images."""
    done = 0
    for batch in images.batches(BATCH_SIZE) if isinstance(images, ImageSource) else images:
        for runner in runners:
            runner.run(batch.pixels, abouts)
        done += len(batch.pixels)
        progress("verifying the stages", done, total)
