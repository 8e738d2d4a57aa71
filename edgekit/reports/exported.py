"""What is doubtful about an export, in the words that the command line and Python share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.facts import Basis
from edgekit.words import NOTHING, count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.calibration.diagnosis import Finding
    from edgekit.facts import Fact
    from edgekit.pipeline.making.export import ExportResult

_OF_OTHERS: Final = "distribution"  # what the calibration doctor says of images of another kind than those of training
_OF_PIXELS: Final = {"order", "normalization"}  # facts that would be wrong in place of the images


def doubts(result: ExportResult) -> list[str]:
    """What speaks against the images that were calibrated on, and runtimes whose integers may be others."""
    found = result.diagnosis.finding if result.diagnosis is not None else None
    differing: dict[str, dict[str, None]] = {}  # runtimes by the reason
    for runner, _, reason in (text.partition(": ") for file in result.files for text in file.unclaimed):
        differing.setdefault(reason, {})[runner] = None
    return [
        *([] if found is None else [diagnosed(found, result.facts)]),
        *(f"integers may differ on this machine in {'; '.join(names)}: {why}" for why, names in differing.items()),
    ]


def unproven(result: ExportResult) -> list[str]:
    """Why files are not proven, each reason once behind its sign: ! of what was compared, – of what was not."""
    reasons = {file.unproven: "!" if file.parities else NOTHING for file in result.files}
    return [f"{sign} {reason}" for reason, sign in reasons.items() if reason]


def meaning(result: ExportResult) -> list[str]:
    """What the largest difference is, where one was measured."""
    images = next((parity.images for file in result.files for parity in file.parities), None)
    if images is None:
        return []
    told = "the largest difference from the checkpoint (float), the integer model (int8)"
    return [f"max |Δ|: {told}; {count(images, 'image')}"]


def diagnosed(finding: Finding, facts: Sequence[Fact]) -> str:
    """What is wrong with the images; or with how the user says they are read, where that is as likely."""
    given = [fact for fact in facts if fact.name in _OF_PIXELS and fact.basis is Basis.GIVEN]
    named = " and ".join(f"{fact.name} {plain(fact.value)}" for fact in given)
    or_given = f", or what was given does, {named}" if named and finding.mistake == _OF_OTHERS else ""
    return f"the calibration images look wrong{or_given}: {finding.advice}"
