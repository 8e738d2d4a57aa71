"""What training leaves beside a network's weights: losses, metrics, counters, helpers. None of it acts on images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

# Words of names: a loss, a metric, an optimizer, a network that taught or helped this one, a tool that counted.
_WORDS = frozenset(
    {
        "acc",
        "accs",
        "accuracies",
        "accuracy",
        "anchor",
        "anchors",
        "auc",
        "augment",
        "augmentation",
        "augmentations",
        "auroc",
        "aux",
        "auxhead",
        "auxiliary",
        "auxlogits",
        "centers",
        "centroids",
        "confmat",
        "confusion",
        "crit",
        "criterion",
        "criterions",
        "cutmix",
        "distill",
        "distillation",
        "f1",
        "f1score",
        "grad",
        "grads",
        "grid",
        "iou",
        "kappa",
        "loss",
        "losses",
        "lpips",
        "meter",
        "meters",
        "metric",
        "metrics",
        "miou",
        "mixup",
        "optim",
        "optimizer",
        "optimizers",
        "perceptual",
        "precision",
        "queue",
        "recall",
        "scaler",
        "scheduler",
        "specificity",
        "strides",
        "swa",
        "teacher",
        "torchmetrics",
    }
)
_NAMES = frozenset(
    {"n_averaged", "total_ops", "total_params", "num_updates", "num_batches_tracked", "initted", "decay"}
)
# How a loss is called where it is no word of its own: CrossEntropyLoss, ce_weight, class_weights.
_PATTERN = re.compile(r"(?i)loss$|^loss|entropy|^(ce|bce|nll)(_|$)|class_?weights?$|pos_weight$|metric|accuracy$")


def is_named(key: str) -> bool:
    """Whether a name says that training left it there.

    >>> is_named("criterion.weight"), is_named("train_acc.tp"), is_named("features.0.0.total_ops"), is_named("neck.0")
    (True, True, True, False)
    """
    parts = key.split(".")
    words = {word for part in parts for word in part.lower().split("_")}
    return bool(words & _WORDS) or parts[-1] in _NAMES or any(_PATTERN.search(part) for part in parts)


def acts_on_images(tensor: Tensor, channels: Iterable[int]) -> bool:
    """Whether a tensor of an unknown name may be part of the network: a matrix, or one number for each channel."""
    return tensor.is_floating_point() and (tensor.ndim > 1 or (tensor.ndim == 1 and len(tensor) in set(channels)))


def described(keys: Mapping[str, Tensor] | list[str]) -> str:
    """The first parts of names, for a message: what training left is counted in modules.

    >>> described(["train_acc.tp", "train_acc.fp", "criterion.weight"])
    'train_acc.*, criterion.weight'
    """
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(key.rpartition(".")[0] or key, []).append(key)
    named = [f"{group}.*" if len(members) > 1 else members[0] for group, members in groups.items()]
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
