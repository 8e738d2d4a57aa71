"""``edgekit.prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.api import settings as keywords
from edgekit.api.results import Pruned, fields_of
from edgekit.api.words import speaking_python
from edgekit.device.threads import limited
from edgekit.pipeline.making.prune import prune as run
from edgekit.progress import silent
from edgekit.reports.pictures import training as curve

if TYPE_CHECKING:
    from edgekit.config import Settings

_PRUNE: Final = ("to", "rank", "unstructured", "multiple", "out", "steps")
_TRAIN: Final = ("data", "epochs", "batch_size", "lr", "validation", "seed", "accelerator")


def prune(**given: Any) -> Pruned:  # noqa: ANN401 - the keywords of ``edgekit.prune``, which has their types
    """See ``edgekit.prune``."""
    with speaking_python(), limited(given["threads"]):
        result = run(_settings(given), progress=given["progress"] or silent)
        if result.training is not None:
            curve.write(result.training)
        return Pruned(**fields_of(result))


def _settings(given: dict[str, Any]) -> Settings:
    """The settings of a pruning.

    Raises:
        ConfigError: something is unknown, wrong, or contradicts itself.
    """
    expected = keywords.normalization(given["preprocessing"], given["mean"], given["std"], given["order"])
    overrides = {
        "model": {"checkpoint": given["model"], "padding": given["padding"]},
        "calibration": {"data": given["calibration"]},
        "export": {"device": given["device"]},
        "prune": {**{name: given[name] for name in _PRUNE}, "uniform": given["uniform"] or None},
        "train": {name: given[name] for name in _TRAIN},
        "preprocessing": {**expected, "resize": given["resize"]},
    }
    return keywords.load(given["config"], given["settings"], overrides)
