"""``edgekit.train``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.api import settings as keywords
from edgekit.api.results import Trained, fields_of
from edgekit.api.words import speaking_python
from edgekit.device.threads import limited
from edgekit.pipeline.making.train import train as run
from edgekit.progress import silent
from edgekit.reports.pictures import training as curve

if TYPE_CHECKING:
    from edgekit.config import Settings

_OTHERS: Final = frozenset(
    (
        "preprocessing",
        "mean",
        "std",
        "order",
        "resize",
        "padding",
        "threads",
        "config",
        "settings",
        "progress",
        "teacher",
    )
)


def train(**given: Any) -> Trained:  # noqa: ANN401 - the keywords of ``edgekit.train``, which has their types
    """See ``edgekit.train``."""
    with speaking_python(), limited(given["threads"]):
        result = run(_settings(given), progress=given["progress"] or silent)
        curve.write(result)
        return Trained(**fields_of(result))


def _settings(given: dict[str, Any]) -> Settings:
    """The settings of a training.

    Raises:
        ConfigError: something is unknown, wrong, or contradicts itself.
    """
    trained = {name: value for name, value in given.items() if name not in _OTHERS}
    for name in ("freeze_bn", "grad_checkpointing"):
        trained[name] = given[name] or None
    if given["exits"] is not None:
        exits = given["exits"]
        trained["exits"] = [str(exits)] if isinstance(exits, int) else list(exits)
    trained["teacher"] = keywords.names(given["teacher"]) or None
    expected = keywords.normalization(given["preprocessing"], given["mean"], given["std"], given["order"])
    overrides = {
        "train": trained,
        "model": {"padding": given["padding"]},
        "preprocessing": {**expected, "resize": given["resize"]},
    }
    return keywords.load(given["config"], given["settings"], overrides)
