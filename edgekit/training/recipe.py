"""How a network is trained, as one value: a named recipe, with what the user set in its place.

===========  ==========================================================================================================
scratch      from random weights: SGD with Nesterov's momentum, one cosine with warm-up, RandAugment, label smoothing,
             an average of the weights
finetune     from pre-trained weights: AdamW, lower learning rates for the blocks in front, stronger RandAugment
detection    from a pre-trained backbone: AdamW, crops as SSD has them, an average of the weights
segmentation from a pre-trained backbone: AdamW, parts of random scale and place, an average of the weights
cifar10      what is usual for CIFAR-10 at full length: SGD, learning rate 0.1 divided by 10 after epochs 100 and 150 of
             200, weight decay 1e-4, pictures of 32 x 32 padded by 4 and cut, mirrored
===========  ==========================================================================================================

All learning rates but those of ``cifar10`` are per 128 images of a step, and grow with their number (Goyal et
al., arXiv:1706.02677).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from edgekit.errors import ConfigError
from edgekit.training.data.augmentation import Augmentation
from edgekit.training.data.crops import Crop, IoUCrop, PadCrop, ResizedCrop, ScaledCrop
from edgekit.training.data.randaugment import LARGEST, RandAugment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.config import TrainSettings

_SMALL: Final = 64  # pixels: smaller images are padded and cut; of larger ones, parts are taken


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes:
        name: which recipe it began as.
        epochs: how often each image is seen.
        batch_size: images of a step.
        opt: "sgd" or "adamw".
        lr: the learning rate at its peak.
        momentum: of SGD (Nesterov's); the first beta of AdamW.
        weight_decay: of all weights but biases and batch normalization.
        sched: "cosine" falls to 0, "step" by ``decay_rate`` after each of ``decay_epochs``.
        warmup_epochs: in which the learning rate rises from 0.
        decay_epochs: see ``sched``.
        decay_rate: see ``sched``.
        layer_decay: learning rate of a block over that of the one behind it.
        smoothing: of labels (arXiv:1512.00567).
        mixup: alpha (arXiv:1710.09412); 0 is none.
        cutmix: alpha (arXiv:1905.04899); 0 is none.
        crop: of training images: "pad" and cut, "resized" parts, around "objects", "scaled" parts, or "none".
        pad: pixels on each side, for "pad".
        scale: least and largest share of the area, for "resized".
        hflip: probability of a mirrored image.
        aa: operations and magnitude, 0 to 10, of RandAugment (arXiv:1909.13719); None is none.
        reprob: probability of an erased rectangle (arXiv:1708.04896).
        crop_size: height and width of the crops, for "scaled"; None for those of the network's images.
        full_size_epochs: at the end, in which crops have the size of the network's images.
        drop: dropout before the classifier.
        model_ema_decay: of the average of weights; 0 is none.
        clip_grad: largest norm of the gradient; None does not clip.
        grad_accum_steps: steps whose gradients make one update.
    """

    name: str
    epochs: int
    batch_size: int
    opt: str
    lr: float
    momentum: float
    weight_decay: float
    sched: str = "cosine"
    warmup_epochs: float = 0.0
    decay_epochs: tuple[int, ...] = ()
    decay_rate: float = 0.1
    layer_decay: float = 1.0
    smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    crop: str = "resized"
    pad: int = 4
    scale: tuple[float, float] = (0.35, 1.0)
    hflip: float = 0.5
    aa: tuple[int, float] | None = None
    reprob: float = 0.0
    crop_size: tuple[int, int] | None = None
    full_size_epochs: int = 0
    drop: float = 0.2
    model_ema_decay: float = 0.0
    clip_grad: float | None = None
    grad_accum_steps: int = 1

    @property
    def augmentation(self) -> Augmentation:
        """How training images differ from those of validation."""
        crops: dict[str, Crop | None] = {
            "pad": PadCrop(self.pad),
            "resized": ResizedCrop(self.scale),
            "objects": IoUCrop(*_ZOOM),
            "scaled": ScaledCrop(self.crop_size),
            "none": None,
        }
        drawn = None
        if self.aa is not None:
            drawn = RandAugment(self.aa[0], round(self.aa[1] / _LARGEST_MAGNITUDE * LARGEST))
        return Augmentation(crops[self.crop], self.hflip, drawn, erasing=self.reprob)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about it, for people."""
        if self.sched != "step" or any(epoch < self.epochs for epoch in self.decay_epochs):
            return ()
        when = ", ".join(map(str, self.decay_epochs)) or "none"
        note = f"The learning rate never falls: it does so after epochs {when}, and there are {self.epochs}; "
        return (note + "--decay-epochs sets others.",)


_LARGEST_MAGNITUDE: Final = 10  # of RandAugment as timm writes it

_RECIPES: Final[Mapping[str, Recipe]] = {
    "scratch": Recipe(
        "scratch", epochs=60, batch_size=128, opt="sgd", lr=0.2, momentum=0.9, weight_decay=5e-4, warmup_epochs=2,
        smoothing=0.1, aa=(1, 5.0), drop=0.0, model_ema_decay=0.99, clip_grad=5.0,
    ),
    "finetune": Recipe(
        "finetune", epochs=15, batch_size=32, opt="adamw", lr=1.2e-3, momentum=0.9, weight_decay=0.05, warmup_epochs=2,
        layer_decay=0.85, smoothing=0.1, aa=(2, 7.0), drop=0.2, model_ema_decay=0.98, clip_grad=1.0,
    ),
    "detection": Recipe(
        "detection", epochs=80, batch_size=8, opt="adamw", lr=1.6e-2, momentum=0.9, weight_decay=0.05, warmup_epochs=2,
        layer_decay=0.95, crop="objects", drop=0.0, model_ema_decay=0.99, clip_grad=5.0,
    ),
    "segmentation": Recipe(
        "segmentation", epochs=60, batch_size=16, opt="adamw", lr=8e-3, momentum=0.9, weight_decay=0.05,
        warmup_epochs=2, layer_decay=0.9, crop="scaled", drop=0.1, model_ema_decay=0.99, clip_grad=5.0,
    ),
    "cifar10": Recipe(
        "cifar10", epochs=200, batch_size=128, opt="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4, sched="step",
        decay_epochs=(100, 150), crop="pad", drop=0.2,
    ),
}  # fmt: skip
# How often, and up to what, SSD's crop makes images small. Less than the paper's 0.5 and 4: objects a quarter of their
# size are smaller than the finest map's places at 320 pixels, and a fine-tuning has no epochs to lose on them.
_ZOOM: Final = (0.3, 2.0)
_OF_TASKS: Final = {"detection": "detection", "segmentation": "segmentation", "several": "detection"}
_PER_IMAGES: Final = 128  # the learning rates of these recipes are for steps of so many
# What has an effect only where another key has this value.
_ONLY_WITH: Final = {
    "decay_epochs": ("sched", "step"),
    "decay_rate": ("sched", "step"),
    "pad": ("crop", "pad"),
    "scale": ("crop", "resized"),
    "crop_size": ("crop", "scaled"),
    "full_size_epochs": ("crop", "scaled"),
}
_AS_SET: Final = frozenset(field.name for field in fields(Recipe)) - {"name", "aa", "scale", "crop_size"}


def resolve(settings: TrainSettings, side: int) -> Recipe:
    """The recipe of some settings.

    Args:
        settings: which, and what is set in its place.
        side: the shorter one of the network's images, in pixels: small images are padded and cut, unless it is set.

    Raises:
        ConfigError: ``aa`` is no RandAugment, or something is set that has no effect.
    """
    usual_one = _OF_TASKS.get(settings.task, "finetune" if settings.pretrained else "scratch")
    usual = _RECIPES[settings.recipe or usual_one]
    given = {name: value for name in _AS_SET if (value := getattr(settings, name, None)) is not None}
    if usual.crop == "resized" and side <= _SMALL:
        usual = replace(usual, crop="pad", pad=max(side // 8, 1))
    if usual.name != "cifar10":
        images = given.get("batch_size", usual.batch_size) * given.get("grad_accum_steps", 1)
        usual = replace(usual, lr=usual.lr * images / _PER_IMAGES)
    if settings.aa is not None:
        given["aa"] = randaugment(settings.aa)
    if settings.scale is not None:
        given["scale"] = (settings.scale[0], settings.scale[1])
    if settings.crop_size is not None:
        size = settings.crop_size
        given["crop_size"] = (size, size) if isinstance(size, int) else size
    recipe = replace(usual, **given)
    for name, (decides, needed) in _ONLY_WITH.items():
        if name in given and (found := getattr(recipe, decides)) != needed:
            raise ConfigError(
                f"--{name.replace('_', '-')} has no effect, since {decides} is {found}: add --{decides} {needed}, or "
                f"leave it out"
            )
    return recipe


def randaugment(text: str) -> tuple[int, float] | None:
    """Operations and magnitude, as timm writes them.

    >>> randaugment("rand-m9-n3"), randaugment("rand-m5"), randaugment("none")
    ((3, 9.0), (2, 5.0), None)
    """
    if text == "none":
        return None
    found = re.fullmatch(r"rand-m(\d+(?:\.\d+)?)(?:-n(\d+))?", text)
    if found is None:
        raise ConfigError(f"train.aa is {text!r}: rand-mMAGNITUDE-nOPERATIONS, such as rand-m9-n2, or none is wanted")
    return int(found[2] or 2), float(found[1])
