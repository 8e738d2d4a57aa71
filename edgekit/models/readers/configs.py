"""config.json and preprocessor_config.json, which Hugging Face and timm keep beside the weights.

Sources: timm/models/_hub.py (save_config_for_hf), timm/data/transforms_factory.py (transforms_imagenet_eval), and
configuration_mobilenet_v1.py, configuration_mobilenet_v2.py and image_processing_mobilenet_v2.py of transformers.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from edgekit.errors import CheckpointError
from edgekit.facts import Basis, Fact
from edgekit.models.architecture import Activation, Options
from edgekit.models.names import NOT_OURS, WAY_BY_ONNX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.models.readers.contents import Contents

_BESIDE = ("model.safetensors", "pytorch_model.bin")  # files that a config.json beside them is about
_TIMM = re.compile(
    r"(tf_)?(mobilenetv[123]|mobilenetv4_conv_(?:small|medium|large)|(?:se)?mnasnet|mobileone|efficientnet_lite)(?=_|\d|$)"
)
_TIMM_ACTIVATIONS: dict[str, Activation] = {  # of stem and head; the others are the family's
    "mobilenetv1": "relu6",
    "mobilenetv2": "relu6",
    "mobilenetv3": "hard_swish",
    "mobilenetv4": "relu",
    "mnasnet": "relu",
    "semnasnet": "relu",
    "mobileone": "relu",
    "efficientnet": "relu6",
}
_HARMLESS_ARGUMENTS = {"num_classes", "in_chans", "drop_rate", "drop_path_rate", "pretrained", "img_size", "exportable"}
_RESAMPLING = {2: "bilinear", 3: "bicubic"}  # of Pillow
_INTERPOLATIONS = tuple(_RESAMPLING.values())
_SETTINGS = {
    "normalization": "--mean and --std",
    "order": "--order",
    "resize": "--resize",
    "interpolation": "--set preprocessing.interpolation=bilinear|bicubic",
}


@dataclass(frozen=True, slots=True)
class _Said:
    """What a configuration says of the network, and of its images."""

    options: Options = field(default_factory=Options)
    values: Mapping[str, Any] = field(default_factory=dict)
    classes: int | None = None


def with_config(contents: Contents, path: Path) -> Contents:
    """``contents`` of the file at ``path``, with what the configuration beside it says.

    Raises:
        CheckpointError: it says that this is another network, or one that edgekit does not build; or it is damaged.
    """
    if path.name not in _BESIDE or not (path.parent / "config.json").exists():
        return contents
    config = _json(path.parent / "config.json")
    if "architecture" in config:
        said = _of_timm(config)
    elif "model_type" in config:
        beside = path.parent / "preprocessor_config.json"
        said = _of_transformers(config, _json(beside) if beside.exists() else {})
    else:
        return contents
    facts = tuple(
        Fact(name, value, Basis.STATED, "config.json", _SETTINGS[name]) for name, value in said.values.items()
    )
    return replace(
        contents, stated=said.options, facts=facts, classes=said.classes, by="config.json beside the weights"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: download it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds no settings: download it again")
    return values


def _another(name: object) -> CheckpointError:
    return CheckpointError(
        f"config.json says that this is {name}, {NOT_OURS}. It can come as ONNX if it needs no other"
        f" operators than these do: {WAY_BY_ONNX}"
    )


def _of_timm(config: Mapping[str, Any]) -> _Said:
    name = str(config["architecture"])
    match = _TIMM.match(name)
    if match is None:
        raise _another(name)
    is_tensorflow = match[1] is not None
    options = Options(padding="same" if is_tensorflow else "symmetric")
    options["bn_eps"] = 1e-3 if is_tensorflow or name == "mobilenetv3_rw" else 1e-5
    options["activation"] = "relu" if "minimal" in name else _TIMM_ACTIVATIONS[match[2].partition("_")[0]]
    for argument, value in (config.get("model_args") or {}).items():
        if argument == "pad_type" and value in {"", "same", None}:
            options["padding"] = "same" if value == "same" else "symmetric"
        elif argument in {"bn_eps", "norm_eps"}:
            options["bn_eps"] = float(value)
        elif argument not in _HARMLESS_ARGUMENTS:
            raise CheckpointError(
                f"config.json builds {name} with {argument} = {value!r}, which edgekit does not know. It can come as"
                f" ONNX: {WAY_BY_ONNX}"
            )
    if (pool := config.get("global_pool", "avg")) not in {"avg", "", None}:
        raise CheckpointError(f"config.json says global_pool {pool!r}, and edgekit builds average pooling only")
    pretrained = config.get("pretrained_cfg") or config
    values = _normalization(pretrained.get("mean"), pretrained.get("std"))
    size = pretrained.get("input_size")
    if isinstance(size, list) and len(size) == 3:
        _, height, width = size
        options["resolution"] = height if height == width else (height, width)
        values |= _timm_resize(pretrained, height, width)
    if pretrained.get("interpolation") in _INTERPOLATIONS:
        values["interpolation"] = pretrained["interpolation"]
    return _Said(options, values, config.get("num_classes"))


def _timm_resize(pretrained: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """What the shorter side, or both, are resized to before the centre crop."""
    share = pretrained.get("crop_pct")
    if not share:
        return {}
    rows, columns = (math.floor(side / share) for side in (height, width))
    mode = pretrained.get("crop_mode", "center")
    if mode == "center":
        return {"resize": rows if height == width else [rows, columns]}
    return {"resize": [rows, columns]} if mode == "squash" else {}


def _of_transformers(config: Mapping[str, Any], images: Mapping[str, Any]) -> _Said:
    kind = str(config["model_type"])
    if kind not in {"mobilenet_v1", "mobilenet_v2"}:
        raise _another(kind)
    wanted = [name for name in config.get("architectures") or () if not str(name).endswith("ForImageClassification")]
    if wanted:
        raise _another(wanted[0])
    if config.get("output_stride", 32) != 32:
        raise CheckpointError(
            f"config.json says output_stride {config['output_stride']}, which widens kernels (dilation); edgekit builds"
            " networks of 32"
        )
    options = Options()
    if "tf_padding" in config:
        options["padding"] = "same" if config["tf_padding"] else "symmetric"
    if "layer_norm_eps" in config:
        options["bn_eps"] = float(config["layer_norm_eps"])
    if "hidden_act" in config:
        if config["hidden_act"] not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise CheckpointError(f"config.json says hidden_act {config['hidden_act']!r}, and edgekit has {known}")
        options["activation"] = config["hidden_act"]
    crop = _size_of(images.get("crop_size")) if images.get("do_center_crop", True) else None
    size = crop or (config["image_size"] if isinstance(config.get("image_size"), int) else None)
    if size is not None:
        options["resolution"] = size
    return _Said(options, _of_processor(images), len(config["id2label"]) if "id2label" in config else None)


def _of_processor(images: Mapping[str, Any]) -> dict[str, Any]:
    """What preprocessor_config.json says of normalization, size and interpolation."""
    values: dict[str, Any] = {}
    if images.get("do_normalize", True):
        values |= _normalization(images.get("image_mean"), images.get("image_std"))
    if values and images.get("do_rescale", True) and "rescale_factor" in images:
        unit = 1 / (255 * images["rescale_factor"])  # 1 for the usual 1 / 255
        normalization = values["normalization"]
        values["normalization"] = {name: [round(v * unit, 9) for v in given] for name, given in normalization.items()}
    if images.get("do_resize", True) and (resize := _size_of(images.get("size"))) is not None:
        values["resize"] = list(resize) if isinstance(resize, tuple) else resize
    if images.get("resample") in _RESAMPLING:
        values["interpolation"] = _RESAMPLING[images["resample"]]
    return values


def _size_of(value: Any) -> int | tuple[int, int] | None:  # noqa: ANN401 - JSON
    """One number for the shorter side, or for a square; both where they differ."""
    if isinstance(value, int):
        return value
    if isinstance(value, dict) and "shortest_edge" in value:
        return int(value["shortest_edge"])
    if isinstance(value, dict) and {"height", "width"} <= set(value):
        height, width = int(value["height"]), int(value["width"])
        return height if height == width else (height, width)
    return None


def _normalization(mean: object, std: object) -> dict[str, Any]:
    if isinstance(mean, list | tuple) and isinstance(std, list | tuple) and len(mean) == len(std):
        values = {"mean": [float(value) for value in mean], "std": [float(value) for value in std]}
        return {"normalization": values} | ({"order": "RGB"} if len(mean) == 3 else {})
    return {}
