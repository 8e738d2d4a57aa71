"""Where a file comes from and how it is fed, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.defaults import CONFIG
from edgekit.facts import BY_SETTING
from edgekit.flags import KEYS
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.config import Settings
    from edgekit.facts import Fact
    from edgekit.preprocessing import Normalization, Preprocessing

_TITLES: Final = {  # and what the value is called
    "checkpoint_sha256": ("checkpoint", "sha256 "),
    "calibration": ("calibration", ""),
    "kept_float": ("kept in float", ""),
    "no_integer_form": ("without an integer form", ""),
    "int16": ("16-bit activations", ""),
    "device": ("made for", ""),
    "edgekit": ("written by", "edgekit "),
}


def image(preprocessing: Preprocessing) -> str:
    """What an image goes through."""
    height, width = preprocessing.size
    match preprocessing.resize:
        case None:
            how = "centre crop"
        case "whole":
            how = "the whole image resized"
        case (rows, columns):
            how = f"resized to cover {columns} x {rows}, centre crop"
        case shorter:
            how = f"the shorter side resized to {shorter}, centre crop"
    return f"{width} x {height} {preprocessing.order}, {how}"


def input_value(normalization: Normalization, io_dtype: str) -> str:
    """What a pixel is at a boundary of type ``io_dtype``.

    >>> from edgekit.preprocessing import Normalization
    >>> input_value(Normalization((127.5,) * 3, (127.5,) * 3), "float32")
    '(pixel - 127.5) / 127.5'
    """
    mean, std = (_numbers(values) for values in (normalization.mean, normalization.std))
    return {"int8": "pixel - 128", "uint8": "the pixel"}.get(io_dtype, f"(pixel - {mean}) / {std}")


def provenance(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a file says of where it comes from, names and what they are; the architecture is left to JSON.

    >>> provenance({"edgekit": "0.1.0", "calibration": {"images": 256, "method": "percentile"}})
    [('calibration', 'images 256, method percentile'), ('written by', 'edgekit 0.1.0')]
    """
    return [(title, f"{kind}{_text(values[key])}") for key, (title, kind) in _TITLES.items() if key in values]


def fact(known: Fact) -> tuple[str, str]:
    """What is taken to be true of a network, and why; marked where nothing shows it.

    >>> from edgekit.facts import Basis, Fact
    >>> fact(Fact("padding", "same", Basis.ASSUMED, "usual for this layout", "--padding same|symmetric"))
    ('! padding', 'same, assumed: usual for this layout; to set it: --padding same|symmetric')
    """
    decides = f"; to set it: {known.setting}" if known.is_assumed and known.setting else ""
    because = f": {known.because}" if known.because else ""
    return f"{'! ' if known.is_assumed else ''}{known.name}", f"{plain(known.value)}, {known.basis}{because}{decides}"


def reason(known: Fact, settings: Settings) -> str:
    """Why a fact holds, in words; of what was given, by what: a file of settings or a flag, where that is known."""
    by = next((settings.origins[key] for key in KEYS.get(known.name, ()) if key in settings.origins), BY_SETTING)
    by = "the edgekit.toml of the network that edgekit ships" if by == str(CONFIG) else by
    return known.because.replace(BY_SETTING, by)


def _text(value: Any) -> str:  # noqa: ANN401 - what another tool wrote there is shown as it is
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _numbers(values: Sequence[float]) -> str:
    """One number if all are the same."""
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"
