"""The trained network: a checkpoint or an ONNX file, captured, with what is known about its input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit import facts
from edgekit.errors import DataError
from edgekit.float_model import FloatModel
from edgekit.integer_model import BOUNDARY, PIXELS
from edgekit.passes import float_form, integer_form
from edgekit.pipeline.making.expectations import settle
from edgekit.pipeline.making.finishing import Finish, as_wanted, finished
from edgekit.pipeline.making.given import Given, from_files
from edgekit.pipeline.making.trained import load_as_exported
from edgekit.progress import Progress, silent
from edgekit.tasks import registry
from edgekit.tasks.roles import in_its_roles
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.found import Ranges
    from edgekit.calibration.images import ImageSource
    from edgekit.config import Settings
    from edgekit.facts import Fact
    from edgekit.ir import Graph

    Answering = Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]
    Variant = Callable[[Mapping[str, Any]], nn.Module | Graph]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Source:
    """A trained network, ready to be exported.

    Attributes:
        float_model: what float files are written from.
        integer_form: the same in the form that is quantized.
        outputs: the network as it was trained: normalized images [N, C, H, W] to its outputs by name, float32.
        description: what the checkpoint was, for people.
        facts: what is taken to be true of it and its weights do not tell, with the evidence.
        notes: what was chosen and left aside on the way, for people.
        images: those of calibration, read as the network expects it; None where none are given.
        in_memory: what the network was, where it came from no file ("MyNet in memory").
    """

    float_model: FloatModel
    integer_form: FloatModel
    outputs: Answering = field(repr=False)
    description: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    images: ImageSource | None = field(repr=False)
    in_memory: str | None


def open_source(settings: Settings, progress: Progress = silent, *, given: Given | None = None) -> Source:
    """Load and capture a trained network, and settle what it expects.

    Args:
        settings: which network, and what is given about it; the images of calibration show the rest. With ranges of
            an earlier export everything is as it was then.
        progress: told of what is tried.
        given: what is read; None for the files that the settings name.

    Raises:
        CheckpointError: it cannot be read, or is no MobileNet that edgekit knows.
        UnsupportedOperator: it holds an operator that edgekit does not know.
        ConfigError: no checkpoint is named, or a setting contradicts it, or evidence contradicts a setting.
        DataError: the labels or images cannot be read, or there is not one label a class.
        MissingDependency: reading it needs an extra.
    """
    given = from_files(settings) if given is None else given
    ranges, network = _ranges(settings), given.network
    trained = (
        network.load(settings.model) if ranges is None else load_as_exported(settings.model, ranges.provenance, network)
    )
    settled = settle(trained, settings, ranges, given, progress)
    if settled.options:
        trained = network.load(replace(settings.model, **settled.options))
    trained = as_wanted(trained, Finish.wanted(settings.export))
    known = facts.replaced(settled.facts, registry.from_setting(settings.model.task))
    graph = in_its_roles(trained.capture(), known)
    form = float_form(graph)
    provenance = {
        **trained.provenance,
        facts.KEY: [fact.to_dict() for fact in known],
        "edgekit": __version__,
    }
    if settings.export.device is not None:
        provenance["device"] = settings.export.device
    if settings.export.pixels:
        provenance[BOUNDARY] = PIXELS
    float_model = finished(FloatModel(form, settled.preprocessing, (), provenance))
    task = registry.task_of_model(float_model)  # one that reads other outputs is better refused now than after the work
    labels = trained.labels if settings.model.labels is None else read_labels(settings.model.labels, task.things)
    float_model = replace(float_model, labels=labels)
    return Source(
        float_model=float_model,
        integer_form=FloatModel(integer_form(graph), settled.preprocessing, labels, provenance),
        outputs=trained.outputs,
        description=trained.description,
        facts=known,
        notes=(*trained.notes, *given.notes),
        images=None if given.images is None else given.images(settled.preprocessing),
        in_memory=trained.in_memory,
    )


def _ranges(settings: Settings) -> Ranges | None:
    """The ranges that are used again, if they are."""
    wanted = settings.calibration
    if wanted.ranges is None or wanted.data_free:
        return None
    from edgekit.calibration.saved import load  # noqa: PLC0415 - float exports do without

    return load(wanted.ranges)


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """The names of ``classes`` classes, one a line.

    Raises:
        DataError: the file cannot be read, or holds another number of them.
    """
    try:
        labels = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a text file of labels, one class a line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels {path} cannot be read: one class a line, in UTF-8, is wanted") from error
    if len(labels) != classes:
        raise DataError(f"{path} names {len(labels)} classes, and the network has {classes}: one a line is wanted")
    return labels
