"""What decides a fact of a network, as it is typed: all choices, and the one for a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.conventions import NORMALIZATIONS, normalization_name
from edgekit.errors import ConfigError, chosen, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


# What decides each expectation of images, with its choices.
INPUT_SETTINGS: Final[Mapping[str, str]] = {
    "normalization": "--preprocessing imagenet|tf|…, or --mean and --std",
    "order": "--order RGB|BGR",
    "resize": "--resize PIXELS|whole|none, or --set preprocessing.crop=SHARE",
    "interpolation": "--set preprocessing.interpolation=bilinear|bicubic|…",
    "antialias": "--set preprocessing.antialias=true|false",
}
# The keys of edgekit.toml that say the same as a fact.
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "normalization": ("preprocessing.mean",),
    "order": ("preprocessing.order",),
    "resize": ("preprocessing.resize", "preprocessing.crop"),
    "interpolation": ("preprocessing.interpolation",),
    "antialias": ("preprocessing.antialias",),
    **{
        name: (f"model.{name}",)
        for name in ("task", "padding", "bn_eps", "activation", "head_activation", "resolution", "cifar_stem")
    },
}
_FLAGS: Final = {"order": "--order", "padding": "--padding", "resize": "--resize", "task": "--task"}


def names(text: str) -> list[str]:
    """What is given as one text, with commas.

    >>> names("tflite, onnx")
    ['tflite', 'onnx']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def named_normalization(name: str, order: str | None) -> tuple[str, str | None, Sequence[float], Sequence[float]]:
    """A usual normalization: its name, the order of channels, mean and std in that order, one for all where they agree.

    Caffe reads images in the order blue, green, red, unless ``order`` says otherwise.

    Raises:
        ConfigError: nothing is called so.

    >>> named_normalization("TF", None)
    ('tf', None, (0.5,), (0.5,))
    """
    usual = chosen(name, NORMALIZATIONS)
    if usual is None:
        raise ConfigError(f"--preprocessing {name}: {did_you_mean(name, NORMALIZATIONS)}")
    order = "BGR" if order is None and usual == "caffe" else order
    is_reversed = order is not None and order.strip().upper() == "BGR"
    mean, std = ((n[::-1] if is_reversed else n)[: len(set(n))] for n in NORMALIZATIONS[usual])
    return usual, order, mean, std


def flag(name: str, value: Any, order: str = "RGB") -> str:  # noqa: ANN401 - JSON
    """What sets the fact ``name`` to ``value``, ready to be pasted; ``order`` is that of a normalization's channels.

    >>> flag("padding", "same"), flag("bn_eps", 0.001)
    ('--padding same', '--set model.bn_eps=0.001')
    >>> flag("cifar_stem", True)
    '--set model.cifar_stem=true'
    >>> flag("normalization", {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})
    '--preprocessing tf'
    >>> flag("normalization", {"mean": [0.25], "std": [0.5]})
    '--mean 0.25 --std 0.5'
    """
    if name == "normalization":
        return _of_normalization(value, order)
    typed = "x".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"
    typed = typed.lower() if isinstance(value, bool) else typed
    return f"{_FLAGS[name]} {typed}" if name in _FLAGS else f"--set {KEYS[name][0]}={typed}"


def flags(values: Mapping[str, Any], order: str) -> str:
    """What sets facts to ``values``, by name, ready to be pasted; ``order`` is that of channels where no value says it.

    >>> flags({"normalization": {"mean": [0.5] * 3, "std": [0.5] * 3}, "order": "BGR"}, "RGB")
    '--preprocessing tf --order BGR'
    """
    texts = [flag(name, value, values.get("order", order)) for name, value in values.items()]
    others = " ".join(text for text in texts if not text.startswith("--order"))  # which may say the order, too
    return " ".join(text for text in texts if not (text.startswith("--order") and text in others))


def _of_normalization(value: Mapping[str, Sequence[float]], order: str) -> str:
    mean, std = value["mean"], value["std"]
    if (found := normalization_name(mean, std)) is not None:
        name, is_reversed = found
        if is_reversed in {None, order.startswith("BGR")}:
            # By this name, channels are in Caffe's order unless a flag says another one.
            return f"--preprocessing {name}{' --order RGB' if name == 'caffe' and order == 'RGB' else ''}"
    return " ".join(f"--{name} {','.join(f'{v:.6g}' for v in _short(value[name]))}" for name in ("mean", "std"))


def _short(values: Sequence[float]) -> Sequence[float]:
    """One value for all channels where they have the same."""
    return values[:1] if len(set(values)) == 1 else values
