"""Options that several commands share, and how flags become settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit import config
from edgekit.config import Said, Typed
from edgekit.errors import ConfigError
from edgekit.exporters import formats
from edgekit.exporters.formats import FORMATS
from edgekit.tasks.registry import TASKS

if TYPE_CHECKING:
    from edgekit.pipeline.making.own_code import OwnCode


def _meaning(key: str) -> str:
    """What a setting means, as the help of the flag that sets it."""
    said = config.meaning(key)
    return f"{said[0].upper()}{said[1:]}."


CheckpointArgument = Annotated[
    Path | None,
    typer.Argument(help="Trained MobileNet: .pth, .safetensors, .h5, .keras or .onnx.", show_default=False),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODULE:FACTORY",
        help="Or your own code that makes it, which is run: a function, class or module of torch.",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="For --model: its state_dict.", show_default="as it comes"),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        "-t",
        help=f"{', '.join(FORMATS)} (comma-separated) or all.",
        show_default=",".join(formats.defaults()),
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        help=_meaning("export.device"),
        show_default=False,
    ),
]
CalibOption = Annotated[
    Path | None,
    typer.Option("--calib", help=_meaning("calibration.data"), show_default=False),
]
Int16Option = Annotated[
    str | None,
    typer.Option(
        "--int16-activations",
        metavar="LAYER,…",
        help=_meaning("calibration.int16_activations"),
        show_default="none",
    ),
]
PerTensorOption = Annotated[
    bool,
    typer.Option("--per-tensor-weights", help=_meaning("calibration.per_tensor_weights")),
]
KeepFloatOption = Annotated[
    str | None,
    typer.Option(
        "--keep-float",
        metavar="LAYER,…",
        help=_meaning("calibration.keep_float"),
        show_default="none",
    ),
]
FloorOption = Annotated[
    float | None,
    typer.Option(
        "--floor",
        metavar="POINTS",
        help=_meaning("calibration.floor"),
        show_default="no layer",
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help=_meaning("export.out"), show_default="exported")]
IoDtypeOption = Annotated[
    str | None,
    typer.Option("--io-dtype", help="float32, int8 or uint8 at the boundary of int8 files.", show_default="float32"),
]
ProbabilitiesOption = Annotated[
    str | None,
    typer.Option(
        "--probabilities", metavar="softmax|sigmoid", help=_meaning("export.probabilities"), show_default="none"
    ),
]
HeadsOption = Annotated[
    str | None, typer.Option("--heads", metavar="HEAD,…", help=_meaning("model.heads"), show_default="all")
]
OutputsOption = Annotated[str | None, typer.Option("--outputs", help=_meaning("export.outputs"), show_default="raw")]
BatchOption = Annotated[
    str | None,
    typer.Option(
        "--batch",
        metavar="N",
        help="Images that a file takes at once; free takes any number, but for Core ML's, which take one.",
        show_default="free",
    ),
]
PaddingOption = Annotated[
    str | None,
    typer.Option(
        "--padding", help="How it was trained: same (TensorFlow) or symmetric (PyTorch).", show_default="found"
    ),
]
PreprocessingOption = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="NAME",
        help="How images were normalized: imagenet, tf (-1 to 1), unit (0 to 1), raw (0 to 255), caffe, cifar10, …",
        show_default="found",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option("--mean", metavar="N,…", help="Or its mean, one a channel, of pixels 0 to 1.", show_default=False),
]
StdOption = Annotated[
    str | None,
    typer.Option("--std", metavar="N,…", help="And its standard deviation, likewise.", show_default=False),
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        help=f"What its outputs mean: {' or '.join(TASKS)}; it decides what is measured.",
        show_default="classification",
    ),
]
OrderOption = Annotated[
    str | None, typer.Option("--order", help="RGB or BGR, as the network was trained.", show_default="found")
]
InsistOption = Annotated[
    bool,
    typer.Option("--insist", help=_meaning("model.insist")),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        "--resize",
        help="Before the centre crop: pixels of the shorter side, HEIGHTxWIDTH to cover, whole or none.",
        show_default="256 for 224",
    ),
]
LabelsOption = Annotated[Path | None, typer.Option("--labels", help=_meaning("model.labels"), show_default=False)]
NoVerifyOption = Annotated[bool, typer.Option("--no-verify", help="Skip the proof in the runtimes of this machine.")]
ArtifactsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE|FOLDER", help="What export wrote.", show_default="the export folder"),
]
RemoteOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="ADDRESS",
        help="Where to do it: ssh://[user@]host[:port], or adb://[serial] (docs/devices.md).",
        show_default="this machine",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings file.", show_default="./edgekit.toml")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Override any key of edgekit.toml, e.g. model.bn_eps=1e-3."
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads to compute with.", show_default="one a core")
]
StrictOption = Annotated[bool, typer.Option("--strict", help=_meaning("calibration.strict"))]
PageOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def find_config(path: Path | None) -> Path | None:
    """The settings file that is meant: the one named, else ./edgekit.toml if there is one."""
    here = Path(config.FILE_NAME)
    return path or (here if here.is_file() else None)


def load_settings(path: Path | None, flags: config.Overrides, assignments: list[str] | None) -> config.Settings:
    """Settings from a file, single assignments, and flags, the last of which win.

    Raises:
        ConfigError: something is unknown or wrong.
    """
    overrides = load_assignments(assignments)
    for section, values in flags.items():
        overrides.setdefault(section, {}).update({key: value for key, value in values.items() if value is not None})
    return config.load(path, overrides)


def load_assignments(assignments: list[str] | None) -> dict[str, dict[str, Any]]:
    """What ``--set`` says.

    Raises:
        ConfigError: it is written otherwise.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for assignment in assignments or ():
        section, key, value = _assignment(assignment)
        overrides.setdefault(section, {})[key] = Said(value, f"--set {section}.{key}")
    return overrides


def own_code(model: str | None, weights: Path | None, checkpoint: Path | None) -> OwnCode | None:
    """The network that the user's code makes; None where none is named. Nothing is run yet.

    Raises:
        ConfigError: two networks are named, or weights without a network.
    """
    if model is None:
        if weights is not None:
            raise ConfigError("--weights are those of a network that your code makes: --model MODULE:FACTORY names it")
        return None
    if checkpoint is not None:
        raise ConfigError(f"{checkpoint} and --model {model} both name the network: leave one out")
    from edgekit.pipeline.making.own_code import OwnCode  # noqa: PLC0415 - see the module app

    return OwnCode(model, weights)


def said(flag: str, value: Any) -> Said | None:  # noqa: ANN401 - of any type
    """A value with the flag that it was given by; None where it was not given."""
    return None if value is None else Said(value, flag)


def _assignment(text: str) -> tuple[str, str, Typed]:
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and key):
        raise ConfigError(f"--set {text!r}: write it as SECTION.KEY=VALUE, e.g. model.bn_eps=1e-3")
    return section, key, Typed(value)
