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


def _flag(key: str, panel: str, **how: Any) -> Any:  # noqa: ANN401 - typer's
    """The flag of a key of [train], with the key's meaning as its help."""
    text = meaning(f"train.{key}")
    shown = {"show_default": False, **how}
    return typer.Option(
        f"--{key.replace('_', '-')}", help=f"{text[0].upper()}{text[1:]}.", rich_help_panel=panel, **shown
    )


@dataclass(frozen=True, slots=True)
class TrainFlags:
    """Which network is trained, and how."""

    arch: Annotated[str | None, _flag("arch", _NETWORK)] = None
    width: Annotated[float | None, _flag("width", _NETWORK)] = None
    resolution: Annotated[str | None, _flag("resolution", _NETWORK, metavar="PIXELS")] = None
    pretrained: Annotated[Path | None, _flag("pretrained", _NETWORK)] = None
    task: Annotated[str | None, _flag("task", _NETWORK, show_default="classification")] = None
    head: Annotated[str | None, _flag("head", _NETWORK, metavar="ssd|ssdlite|lraspp|deeplab")] = None
    exits: Annotated[str | None, _flag("exits", _NETWORK, metavar="MAP,…|N", show_default="none")] = None
    exit_drop: Annotated[float | None, _flag("exit_drop", _NETWORK, metavar="POINTS", show_default="0.5")] = None
    recipe: Annotated[str | None, _flag("recipe", _RECIPE, metavar="NAME")] = None
    epochs: Annotated[int | None, _flag("epochs", _RECIPE)] = None
    batch_size: Annotated[int | None, _flag("batch_size", _RECIPE)] = None
    opt: Annotated[str | None, _flag("opt", _RECIPE, metavar="sgd|adamw")] = None
    lr: Annotated[float | None, _flag("lr", _RECIPE)] = None
    momentum: Annotated[float | None, _flag("momentum", _RECIPE)] = None
    weight_decay: Annotated[float | None, _flag("weight_decay", _RECIPE)] = None
    sched: Annotated[str | None, _flag("sched", _RECIPE, metavar="cosine|step")] = None
    warmup_epochs: Annotated[float | None, _flag("warmup_epochs", _RECIPE)] = None
    decay_epochs: Annotated[str | None, _flag("decay_epochs", _RECIPE, metavar="EPOCH,…")] = None
    decay_rate: Annotated[float | None, _flag("decay_rate", _RECIPE)] = None
    layer_decay: Annotated[float | None, _flag("layer_decay", _RECIPE)] = None
    smoothing: Annotated[float | None, _flag("smoothing", _RECIPE)] = None
    drop: Annotated[float | None, _flag("drop", _RECIPE)] = None
    model_ema_decay: Annotated[float | None, _flag("model_ema_decay", _RECIPE)] = None
    clip_grad: Annotated[float | None, _flag("clip_grad", _RECIPE)] = None
    grad_accum_steps: Annotated[int | None, _flag("grad_accum_steps", _RECIPE)] = None
    freeze_bn: Annotated[bool, _flag("freeze_bn", _RECIPE)] = False
    grad_checkpointing: Annotated[bool, _flag("grad_checkpointing", _RECIPE)] = False
    seed: Annotated[int | None, _flag("seed", _RECIPE)] = None
    accelerator: Annotated[str | None, _flag("accelerator", _RECIPE, metavar="cpu|cuda")] = None
    validation: Annotated[Path | None, _flag("validation", _IMAGES)] = None
    crop: Annotated[str | None, _flag("crop", _IMAGES, metavar="KIND")] = None
    crop_size: Annotated[str | None, _flag("crop_size", _IMAGES, metavar="PIXELS")] = None
    full_size_epochs: Annotated[int | None, _flag("full_size_epochs", _IMAGES)] = None
    pad: Annotated[int | None, _flag("pad", _IMAGES)] = None
    scale: Annotated[str | None, _flag("scale", _IMAGES, metavar="LEAST,LARGEST")] = None
    hflip: Annotated[float | None, _flag("hflip", _IMAGES)] = None
    aa: Annotated[str | None, _flag("aa", _IMAGES, metavar="rand-mM-nN|none")] = None
    reprob: Annotated[float | None, _flag("reprob", _IMAGES)] = None
    mixup: Annotated[float | None, _flag("mixup", _IMAGES)] = None
    cutmix: Annotated[float | None, _flag("cutmix", _IMAGES)] = None
    teacher: Annotated[list[Path] | None, _flag("teacher", _TEACHER)] = None
    kd: Annotated[str | None, _flag("kd", _TEACHER, metavar="kd|dkd", show_default="kd")] = None
    kd_temperature: Annotated[float | None, _flag("kd_temperature", _TEACHER)] = None
    kd_alpha: Annotated[float | None, _flag("kd_alpha", _TEACHER)] = None

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
