"""Flags that several commands share, in groups: each is declared once, and knows the settings that it means."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from edgekit.cli.options import (
    BatchOption,
    CalibOption,
    HeadsOption,
    InsistOption,
    IoDtypeOption,
    KeepFloatOption,
    LabelsOption,
    MeanOption,
    ModelOption,
    NoVerifyOption,
    OrderOption,
    OutOption,
    OutputsOption,
    PaddingOption,
    PreprocessingOption,
    ProbabilitiesOption,
    ResizeOption,
    StdOption,
    StrictOption,
    TargetOption,
    TaskOption,
    WeightsOption,
    own_code,
    said,
)
from edgekit.config import Overrides, Said, Typed
from edgekit.errors import ConfigError
from edgekit.exporters import formats
from edgekit.flags import named_normalization, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.config import Settings
    from edgekit.pipeline.making.given import Given


@dataclass(frozen=True, slots=True)
class InputFlags:
    """What a network expects of its images and its builder."""

    preprocessing: PreprocessingOption = None
    mean: MeanOption = None
    std: StdOption = None
    order: OrderOption = None
    padding: PaddingOption = None
    resize: ResizeOption = None

    def expected(self) -> Overrides:
        """What they say, as sections [model] and [preprocessing].

        Raises:
            ConfigError: a normalization is named and given in numbers, too, or its name is unknown.
        """
        order, preprocessing = self.order, self.preprocessing
        if preprocessing is not None and (self.mean is not None or self.std is not None):
            raise ConfigError("--preprocessing and --mean or --std both say how images are normalized: leave one out")
        values: dict[str, Any] = {"mean": said("--mean", _numbers(self.mean)), "std": said("--std", _numbers(self.std))}
        ordered = said("--order", order)
        if preprocessing is not None:
            usual, order, mean, std = named_normalization(preprocessing, order)
            by = f"--preprocessing {usual}"
            values = {"mean": Said(list(mean), by), "std": Said(list(std), by)}
            ordered = ordered or said(by, order)
        resize = said("--resize", Typed(self.resize) if self.resize else None)
        return {
            "model": {"padding": said("--padding", self.padding)},
            "preprocessing": {**values, "order": ordered, "resize": resize},
        }


@dataclass(frozen=True, slots=True)
class NetworkFlags(InputFlags):
    """Which network, where no checkpoint names it, and what it expects."""

    model: ModelOption = None
    weights: WeightsOption = None
    task: TaskOption = None
    insist: InsistOption = False

    def given(self, checkpoint: Path | None, settings: Settings) -> Given | None:
        """What is read in place of ``checkpoint``; None where that is read, or what settings name.

        Raises:
            ConfigError: two networks are named, or weights without a network.
        """
        code = own_code(self.model, self.weights, checkpoint)
        if code is None:
            return None
        from edgekit.pipeline.making.given import from_files  # noqa: PLC0415 - see the module app

        return from_files(settings, code)

    def overrides(self, checkpoint: Path | None) -> Overrides:
        """What they say of the network in ``checkpoint``, as sections [model] and [preprocessing].

        Raises:
            ConfigError: a normalization is named and given in numbers, too, or its name is unknown.
        """
        about = {"checkpoint": checkpoint, "task": said("--task", self.task), "insist": self.insist or None}
        return merged(self.expected(), {"model": about})


@dataclass(frozen=True, slots=True)
class CalibrationFlags:
    """What is calibrated on, and which layers are left out of it."""

    calib: CalibOption = None
    strict: StrictOption = False
    keep_float: KeepFloatOption = None

    def overrides(self) -> Overrides:
        """What they say, as section [calibration]."""
        kept = None if self.keep_float is None else names(self.keep_float)
        return {"calibration": {"data": self.calib, "strict": self.strict or None, "keep_float": kept}}


@dataclass(frozen=True, slots=True)
class FileFlags:
    """Which files are written, and what they hold."""

    target: TargetOption = None
    out: OutOption = None
    io_dtype: IoDtypeOption = None
    probabilities: ProbabilitiesOption = None
    heads: HeadsOption = None
    outputs: OutputsOption = None
    batch: BatchOption = None
    labels: LabelsOption = None
    no_verify: NoVerifyOption = False

    def overrides(self) -> Overrides:
        """What they say, as sections [model] and [export].

        Raises:
            ConfigError: a target is unknown.
        """
        return {
            "model": {"labels": self.labels, "heads": None if self.heads is None else names(self.heads)},
            "export": {
                "targets": None if self.target is None else formats.named(names(self.target)),
                "io_dtype": said("--io-dtype", self.io_dtype),
                "probabilities": said("--probabilities", self.probabilities),
                "outputs": said("--outputs", self.outputs),
                "batch": said("--batch", Typed(self.batch) if self.batch else None),
                "out": self.out,
                "verify": False if self.no_verify else None,
            },
        }


def merged(*parts: Overrides) -> Overrides:
    """All of them; no two name the same key."""
    sections: dict[str, dict[str, Any]] = {}
    for part in parts:
        for section, values in part.items():
            sections.setdefault(section, {}).update(values)
    return sections


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command of which each parameter that is a group stands as the flags of that group, as typer reads it."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if not is_dataclass(group):
            parameters.append(parameter)
            continue
        groups[parameter.name], hints = group, get_type_hints(group, include_extras=True)
        parameters += [
            parameter.replace(name=field.name, annotation=hints[field.name], default=field.default)
            for field in fields(group)
        ]

    @functools.wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401 - of any flag
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # inspect looks for it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _numbers(text: str | None) -> Typed | None:
    """Numbers with commas between them, as a list."""
    return None if text is None else Typed(f"[{text.strip().strip('[]')}]")
