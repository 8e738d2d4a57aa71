"""Flags of ``edgekit train``, in panels; each is a key of [train], and is called as in timm's train.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer

from edgekit.cli.options import said
from edgekit.config import Overrides, Typed, meaning
from edgekit.flags import names

_NETWORK, _RECIPE, _IMAGES, _TEACHER = "Network", "Recipe (what is not given, the recipe says)", "Images", "Teachers"


def flag(key: str, panel: str, **how: Any) -> Any:  # noqa: ANN401 - typer's
    """The flag of a key of [train], with the key's meaning as its help."""
    text = meaning(f"train.{key}")
    shown = {"show_default": False, **how}
    return typer.Option(
        f"--{key.replace('_', '-')}", help=f"{text[0].upper()}{text[1:]}.", rich_help_panel=panel, **shown
    )


@dataclass(frozen=True, slots=True)
class TrainFlags:
    """Which network is trained, and how."""

    arch: Annotated[str | None, flag("arch", _NETWORK)] = None
    width: Annotated[float | None, flag("width", _NETWORK)] = None
    resolution: Annotated[str | None, flag("resolution", _NETWORK, metavar="PIXELS")] = None
    pretrained: Annotated[Path | None, flag("pretrained", _NETWORK)] = None
    task: Annotated[str | None, flag("task", _NETWORK, show_default="classification")] = None
    head: Annotated[str | None, flag("head", _NETWORK, metavar="ssd|ssdlite|lraspp|deeplab")] = None
    exits: Annotated[str | None, flag("exits", _NETWORK, metavar="MAP,…|N", show_default="none")] = None
    exit_drop: Annotated[float | None, flag("exit_drop", _NETWORK, metavar="POINTS", show_default="0.5")] = None
    recipe: Annotated[str | None, flag("recipe", _RECIPE, metavar="NAME")] = None
    epochs: Annotated[int | None, flag("epochs", _RECIPE)] = None
    batch_size: Annotated[int | None, flag("batch_size", _RECIPE)] = None
    opt: Annotated[str | None, flag("opt", _RECIPE, metavar="sgd|adamw")] = None
    lr: Annotated[float | None, flag("lr", _RECIPE)] = None
    momentum: Annotated[float | None, flag("momentum", _RECIPE)] = None
    weight_decay: Annotated[float | None, flag("weight_decay", _RECIPE)] = None
    sched: Annotated[str | None, flag("sched", _RECIPE, metavar="cosine|step")] = None
    warmup_epochs: Annotated[float | None, flag("warmup_epochs", _RECIPE)] = None
    decay_epochs: Annotated[str | None, flag("decay_epochs", _RECIPE, metavar="EPOCH,…")] = None
    decay_rate: Annotated[float | None, flag("decay_rate", _RECIPE)] = None
    layer_decay: Annotated[float | None, flag("layer_decay", _RECIPE)] = None
    smoothing: Annotated[float | None, flag("smoothing", _RECIPE)] = None
    drop: Annotated[float | None, flag("drop", _RECIPE)] = None
    model_ema_decay: Annotated[float | None, flag("model_ema_decay", _RECIPE)] = None
    clip_grad: Annotated[float | None, flag("clip_grad", _RECIPE)] = None
    grad_accum_steps: Annotated[int | None, flag("grad_accum_steps", _RECIPE)] = None
    freeze_bn: Annotated[bool, flag("freeze_bn", _RECIPE)] = False
    grad_checkpointing: Annotated[bool, flag("grad_checkpointing", _RECIPE)] = False
    seed: Annotated[int | None, flag("seed", _RECIPE)] = None
    accelerator: Annotated[str | None, flag("accelerator", _RECIPE, metavar="cpu|cuda")] = None
    validation: Annotated[Path | None, flag("validation", _IMAGES)] = None
    crop: Annotated[str | None, flag("crop", _IMAGES, metavar="KIND")] = None
    crop_size: Annotated[str | None, flag("crop_size", _IMAGES, metavar="PIXELS")] = None
    full_size_epochs: Annotated[int | None, flag("full_size_epochs", _IMAGES)] = None
    pad: Annotated[int | None, flag("pad", _IMAGES)] = None
    scale: Annotated[str | None, flag("scale", _IMAGES, metavar="LEAST,LARGEST")] = None
    hflip: Annotated[float | None, flag("hflip", _IMAGES)] = None
    aa: Annotated[str | None, flag("aa", _IMAGES, metavar="rand-mM-nN|none")] = None
    reprob: Annotated[float | None, flag("reprob", _IMAGES)] = None
    mixup: Annotated[float | None, flag("mixup", _IMAGES)] = None
    cutmix: Annotated[float | None, flag("cutmix", _IMAGES)] = None
    teacher: Annotated[list[Path] | None, flag("teacher", _TEACHER)] = None
    kd: Annotated[str | None, flag("kd", _TEACHER, metavar="kd|dkd", show_default="kd")] = None
    kd_temperature: Annotated[float | None, flag("kd_temperature", _TEACHER)] = None
    kd_alpha: Annotated[float | None, flag("kd_alpha", _TEACHER)] = None

    def overrides(self) -> Overrides:
        """What they say, as section [train]."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("grad_checkpointing", "freeze_bn"):
            given[name] = given[name] or None
        given["exits"] = None if self.exits is None else names(self.exits)
        for name in ("resolution", "crop_size"):
            given[name] = None if given[name] is None else Typed(given[name])
        for name in ("decay_epochs", "scale"):
            if given[name] is not None:
                given[name] = Typed(f"[{given[name].strip('[]')}]")
        return {"train": {name: said(f"--{name.replace('_', '-')}", value) for name, value in given.items()}}
