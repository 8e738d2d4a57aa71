"""``edgekit.export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api import settings as keywords
from edgekit.api.results import Exported, fields_of
from edgekit.api.words import speaking_python
from edgekit.device.threads import limited
from edgekit.errors import ConfigError
from edgekit.exporters import formats
from edgekit.pipeline.making.export import export as run
from edgekit.pipeline.making.given import Given, from_files, from_memory, with_kept_images
from edgekit.pipeline.making.in_memory import InMemory
from edgekit.pipeline.making.trained import FROM_FILE, Network
from edgekit.progress import silent

if TYPE_CHECKING:
    from edgekit.calibration.in_memory import Taken
    from edgekit.config import Settings


def export(**given: Any) -> Exported:  # noqa: ANN401 - the keywords of ``edgekit.export``, which has their types
    """See ``edgekit.export``."""
    with speaking_python(), limited(given["threads"]):
        settings = _settings(given)
        taken = _taken(given)
        read = _given(network_of(given["model"], taken, given["name"]), taken, settings)
        result = run(settings, given=read, progress=given["progress"] or silent)
        return Exported(**fields_of(result), origin=read.network)


def network_of(model: Any, taken: Taken | None = None, name: str | None = None) -> Network:  # noqa: ANN401 - what a user gives
    """Where a trained network comes from; arrays of one size may say what size of images it takes.

    Raises:
        ConfigError: ``name`` is given of a file, which says that itself.
    """
    if model is None or keywords.is_path(model):
        if name is not None:
            raise ConfigError("name is that of a network in memory, and a file says it itself: choose another out")
        return FROM_FILE
    return InMemory(model, None if taken is None else taken.shape, name)


def _given(network: Network, taken: Taken | None, settings: Settings) -> Given:
    return from_files(settings, network) if taken is None else from_memory(taken, settings, network)


def _taken(given: dict[str, Any]) -> Taken | None:
    """Calibration images in memory; None where there are none, or a path names them."""
    data = given["calibration"]
    if data is None:
        return None
    if keywords.is_path(data):
        from edgekit.calibration.origins import origin_of  # noqa: PLC0415 - float exports do without

        origin_of(Path(data))  # a path that leads to no images is better said first
        return None
    from edgekit.calibration.in_memory import take  # noqa: PLC0415 - float exports do without

    return take(data, layout=given["layout"], limit=given["images"])


def _settings(given: dict[str, Any]) -> Settings:
    """The settings of an export.

    Raises:
        ConfigError: something is unknown, wrong, missing, or contradicts itself.
    """
    model, data, targets = given["model"], given["calibration"], keywords.names(given["targets"])
    sources = [name for name in ("calibration", "ranges") if given[name] is not None]
    sources += ["data_free"] if given["data_free"] else []
    if len(sources) > 1:
        raise ConfigError(f"{sources[0]} and {sources[1]} both say where ranges come from: leave one out")
    if given["labels"] is not None and not keywords.is_path(given["labels"]):
        raise ConfigError("labels are no path: write the names into a text file, one a line, and give that")
    if model is None and given["config"] is None:
        raise ConfigError("no model is given: a path, a torch.nn.Module, or config='edgekit.toml', which names one")
    settings = keywords.load(
        given["config"],
        given["settings"],
        {
            "model": {
                "checkpoint": Path(model) if keywords.is_path(model) else None,
                "labels": given["labels"] and Path(given["labels"]),
                "heads": keywords.names(given["heads"]),
                "task": given["task"],
                "padding": given["padding"],
                "resolution": given["resolution"],
                "insist": given["insist"] or None,
            },
            "preprocessing": {
                **keywords.normalization(given["preprocessing"], given["mean"], given["std"], given["order"]),
                "resize": given["resize"],
            },
            "calibration": {
                "data": Path(data) if keywords.is_path(data) else None,
                "images": given["images"],
                "strict": given["strict"] or None,
                "ranges": given["ranges"] and Path(given["ranges"]),
                "data_free": given["data_free"] or None,
                "floor": given["floor"],
                "keep_float": keywords.names(given["keep_float"]),
                "int16_activations": keywords.names(given["int16_activations"]),
                "per_tensor_weights": given["per_tensor_weights"] or None,
            },
            "export": {
                "device": given["device"],
                "targets": None if targets is None else formats.named(targets),
                "precisions": _precisions(given),
                "io_dtype": given["io_dtype"],
                "probabilities": given["probabilities"],
                "outputs": given["outputs"],
                "batch": given["batch"],
                "out": given["out"] and Path(given["out"]),
                "verify": None if given["verify"] else False,
            },
        },
    )
    if data is not None:  # over what a file names
        settings = replace(settings, calibration=replace(settings.calibration, ranges=None, data_free=False))
        if not keywords.is_path(data):
            settings = replace(settings, calibration=replace(settings.calibration, data=None))
    else:
        settings = with_kept_images(settings)
    if model is not None and not keywords.is_path(model):
        settings = replace(settings, model=replace(settings.model, checkpoint=None))
    return settings


def _precisions(given: dict[str, Any]) -> list[str] | None:
    """What is asked for; None leaves it to settings."""
    floats = [name for name in ("float32", "float16", "dynamic", "weight-only") if given[name.replace("-", "_")]]
    is_calibrated = given["calibration"] is not None or given["ranges"] is not None or given["data_free"]
    int8 = is_calibrated if given["int8"] is None else given["int8"]
    return [*floats, *(["int8"] if int8 else [])] or None
