"""[train]: a network from images. Keys that are also flags of timm's train.py have the names that they have there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from edgekit.config.values import Accelerator, OneOf, Size, at_least, key, positive, shorter
from edgekit.errors import ConfigError
from edgekit.tasks.registry import TASKS

RecipeName = Literal["scratch", "finetune", "cifar10", "detection", "segmentation"]
_POSITIVE = ("lr", "width", "clip_grad", "layer_decay", "kd_temperature")
_SHARES = ("momentum", "smoothing", "mixup", "cutmix", "hflip", "reprob", "drop", "model_ema_decay", "kd_alpha")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """[train]: what is trained, on what, and how; what is None is as the recipe has it.

    A recipe is a set of values for all keys below it (``edgekit.training.recipe``).
    """

    data: Path | None = key("images: a folder of class folders, or of train/ and val/; a .csv or .npz", default=None)
    validation: Path | None = key(
        "images that choose the best epoch; by default val/ in data, or one image in five", default=None
    )
    arch: str | None = key(
        "the family, such as mobilenet_v3_small, or a .toml with a table of stages; that of pretrained by default",
        default=None,
    )
    width: float | None = key("multiplier of all channels; 1, or that of pretrained", default=None)
    resolution: int | Size | None = key(
        "side of the network's images in pixels, or HEIGHTxWIDTH; as usual for the family", default=None
    )
    pretrained: Path | None = key("a checkpoint to start from; its classifier may have other classes", default=None)
    task: Annotated[str, OneOf(TASKS)] = key(f"what the network is for: {', '.join(TASKS)}", default="classification")
    head: Literal["ssd", "ssdlite", "lraspp", "deeplab"] | None = key(
        "what stands on the network: ssd or ssdlite in detection, lraspp or deeplab in segmentation; as usual for the "
        "family",
        default=None,
    )
    exits: tuple[str, ...] = key(
        "early exits of a classifier: names of feature maps, such as features.4,features.8, or how many", default=()
    )
    exit_drop: float = key(
        "points of top-1 that may be lost by leaving early, on the images that choose the best epoch", default=0.5
    )
    out: Path = key("the run's folder", default=Path("runs/train"))
    recipe: RecipeName | None = key(
        "values of all keys below: scratch, cifar10, or finetune, which is the default with pretrained; detection and "
        "segmentation for these tasks",
        default=None,
    )

    epochs: int | None = key("passes over the training images", default=None)
    batch_size: int | None = key("images a step", default=None)
    opt: Literal["sgd", "adamw"] | None = key("the optimizer; sgd has Nesterov's momentum", default=None)
    lr: float | None = key("peak learning rate", default=None)
    momentum: float | None = key("momentum of sgd, first beta of adamw", default=None)
    weight_decay: float | None = key("weight decay; biases and batch normalization have none", default=None)
    sched: Literal["cosine", "step"] | None = key(
        "learning rate schedule: cosine, or step at decay_epochs", default=None
    )
    warmup_epochs: float | None = key("epochs in which the learning rate rises to its peak", default=None)
    decay_epochs: tuple[int, ...] | None = key(
        "epochs after which the learning rate falls, with sched = step", default=None
    )
    decay_rate: float | None = key("factor by which the learning rate falls, with sched = step", default=None)
    layer_decay: float | None = key("learning rate of a block over that of the block behind it", default=None)
    smoothing: float | None = key("label smoothing", default=None)
    mixup: float | None = key("alpha of mixup; 0 leaves it out", default=None)
    cutmix: float | None = key("alpha of CutMix; 0 leaves it out", default=None)
    crop: Literal["pad", "resized", "objects", "scaled", "none"] | None = key(
        "crop of training images: pad (and cut), resized (a part of random size and shape), objects (as SSD does), "
        "scaled (of random scale and place) or none",
        default=None,
    )
    crop_size: int | Size | None = key(
        "side of the crops in pixels, or HEIGHTxWIDTH, with crop = scaled; those of the network's images by default",
        default=None,
    )
    full_size_epochs: int | None = key(
        "last epochs, in which crops have the size of the network's images, with crop_size", default=None
    )
    pad: int | None = key("pixels added on each side, with crop = pad", default=None)
    scale: tuple[float, ...] | None = key(
        "least and largest share of an image's area, with crop = resized", default=None
    )
    hflip: float | None = key("probability of a mirrored image", default=None)
    aa: str | None = key("RandAugment, such as rand-m9-n2; none leaves it out", default=None)
    reprob: float | None = key("probability of an erased rectangle", default=None)
    drop: float | None = key("dropout before the classifier", default=None)
    model_ema_decay: float | None = key(
        "decay of the moving average of the weights, which is kept instead of them; 0 averages nothing", default=None
    )
    clip_grad: float | None = key("largest norm of the gradient", default=None)
    grad_accum_steps: int | None = key("steps whose gradients make one update", default=None)
    freeze_bn: bool = key(
        "keep the statistics of the pretrained network's batch normalization, as is usual where batches are small",
        default=False,
    )
    grad_checkpointing: bool = key(
        "compute features twice instead of keeping them: less memory, more time", default=False
    )
    teacher: tuple[Path, ...] = key("checkpoints or ONNX files to learn from; several are an ensemble", default=())
    kd: Literal["kd", "dkd"] = key(
        "how teachers are learned from: distillation (kd) or decoupled distillation (dkd)", default="kd"
    )
    kd_temperature: float | None = key("temperature of the soft-max of teacher and student", default=None)
    kd_alpha: float | None = key("share of the teachers in the loss, with kd", default=None)
    seed: int = key("seed of weights, order and augmentation", default=0)
    accelerator: Accelerator | None = key("what to train on; cuda where there is a GPU", default=None)

    def __post_init__(self) -> None:
        at_least(1, "train.resolution", shorter(self.resolution))
        at_least(1, "train.crop_size", shorter(self.crop_size))
        for name in ("epochs", "batch_size", "grad_accum_steps"):
            at_least(1, f"train.{name}", getattr(self, name))
        for name in ("seed", "pad", "warmup_epochs", "full_size_epochs"):
            at_least(0, f"train.{name}", getattr(self, name))
        at_least(0, "train.exit_drop", self.exit_drop)
        for name in _POSITIVE:
            positive(f"train.{name}", getattr(self, name))
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"train.{name} is {value:g}: 0 to 1 is wanted")
        if self.scale is not None and not (len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1):
            raise ConfigError(f"train.scale is {list(self.scale)}: two shares are wanted, such as [0.35, 1.0]")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """[search]: networks of a kind, what one may cost, and how many are measured; [train] says how they learn."""

    space: Path | None = key("a .toml with a table of stages, in which a list is a choice", default=None)
    budget: str | None = key(
        "what the network may cost: latency=0.35@DEVICE (milliseconds, by what edgekit bench --fit --out DEVICE "
        "wrote), or macs=12 (millions)",
        default=None,
    )
    trials: int = key("networks that are measured", default=128)

    def __post_init__(self) -> None:
        at_least(1, "search.trials", self.trials)
