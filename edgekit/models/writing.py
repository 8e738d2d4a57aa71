"""Trained networks under the names that torchvision and timm give to their weights, where these have the network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from edgekit.errors import CheckpointError, ConfigError, did_you_mean
from edgekit.models.architecture import Architecture, Options
from edgekit.models.families import family_of, mnasnet, mobilenet_v2, mobilenet_v3
from edgekit.models.layouts import timm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from edgekit.models.architecture import Block
    from edgekit.models.naming import Naming


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Written:
    """A network's weights as another library has them.

    Attributes:
        weights: by that library's names: its load_state_dict takes them, strictly.
        made_by: what makes the network there, as it is typed in Python.
    """

    weights: dict[str, Tensor] = field(repr=False)
    made_by: str


# torchvision's own tables are what edgekit's families are, at every width.
_TORCHVISION: Final[Mapping[str, tuple[Naming, str, str]]] = {
    "mobilenet_v2": (mobilenet_v2.TORCHVISION, "mobilenet_v2", "width_mult"),
    "mobilenet_v3_large": (mobilenet_v3.TORCHVISION, "mobilenet_v3_large", "width_mult"),
    "mobilenet_v3_small": (mobilenet_v3.TORCHVISION, "mobilenet_v3_small", "width_mult"),
    "mnasnet": (mnasnet.TORCHVISION, "MNASNet", "alpha"),
}
_FREE: Final = ("resolution", "num_classes")  # that a library's network has as it is told


def state_dict_as(module: nn.Module, architecture: Architecture, library: str) -> Written:
    """The weights of a network under the names of another library.

    Args:
        module: what ``build(architecture)`` made, trained.
        architecture: of the network.
        library: "torchvision" or "timm".

    Raises:
        CheckpointError: the library has no such network.
        ConfigError: the library is another one.
    """
    if library not in LIBRARIES:
        raise ConfigError(f"weights cannot be written for {library!r}: {did_you_mean(library, LIBRARIES)}")
    written = LIBRARIES[library](module.state_dict(), architecture)
    for key, tensor in written.weights.items():
        written.weights[key] = tensor.detach().cpu().contiguous()
    return written


def _as_torchvision(weights: Mapping[str, Tensor], architecture: Architecture) -> Written:
    if architecture.family not in _TORCHVISION:
        raise _missing("torchvision", architecture, f"it has {', '.join(_TORCHVISION)}")
    naming, maker, width = _TORCHVISION[architecture.family]
    usual = Options(bn_eps=naming.usual["bn_eps"], padding=naming.usual["padding"])
    _check_same("torchvision", architecture, _made("torchvision", architecture, usual), _FREE)
    root = "" if architecture.family == "mnasnet" else "features."
    renamed = OrderedDict(_renamed(weights, naming.modules_of(architecture.blocks, root)))
    # MNASNet refuses weights that do not say of which version of it they are; those of 1 have another stem.
    renamed._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]  # noqa: SLF001 - as Module.state_dict() does
    return Written(
        renamed, f"torchvision.models.{maker}({width}={architecture.width}, num_classes={architecture.num_classes})"
    )


def _as_timm(weights: Mapping[str, Tensor], architecture: Architecture) -> Written:
    known = timm.NAMES.get(architecture.family)
    if known is None:
        raise _missing("timm", architecture, f"edgekit writes {', '.join(timm.NAMES)} for it")
    width = architecture.width
    if width is None or width not in known:
        widths = ", ".join(f"{one:g}" for one in known)
        raise _missing("timm", architecture, f"it has that family at width {widths}")
    # Its networks are made with any of these.
    free = (*_FREE, "in_channels", "padding", "bn_eps")
    _check_same("timm", architecture, timm.as_there(_made("timm", architecture, Options())), free)
    name, options = known[width], f"num_classes={architecture.num_classes}"
    if architecture.in_channels != 3:
        options += f", in_chans={architecture.in_channels}"
    if architecture.padding == "same":
        options += ', pad_type="same"'
    if architecture.bn_eps != timm.EPSILON:
        options += f", bn_eps={architecture.bn_eps:g}"
    renamed = _renamed(weights, timm.modules_of(architecture))
    return Written(timm.with_head(renamed, architecture), f'timm.create_model("{name}", {options})')


_Writer: TypeAlias = Callable[["Mapping[str, Tensor]", Architecture], Written]
LIBRARIES: Final[Mapping[str, _Writer]] = {"torchvision": _as_torchvision, "timm": _as_timm}


def _made(library: str, architecture: Architecture, options: Options) -> Architecture:
    """The family's network of the same width and classes.

    Raises:
        CheckpointError: no width gives its channels.
    """
    if architecture.width is None:
        raise _missing(library, architecture, "its channels belong to no width multiplier")
    return family_of(architecture.family).make(architecture.width, architecture.num_classes, **options)


def _check_same(library: str, architecture: Architecture, there: Architecture, free: tuple[str, ...]) -> None:
    """Refuse a network that differs from what the library makes under its name.

    Raises:
        CheckpointError: it does, in something else than what is ``free``.
    """
    same = replace(there, **{name: getattr(architecture, name) for name in free})
    rows = zip(architecture.blocks, same.blocks, strict=True)
    pairs: list[tuple[str, Architecture | Block, Architecture | Block]] = [
        ("", replace(architecture, blocks=()), replace(same, blocks=())),
        *((f"block {i} has ", *pair) for i, pair in enumerate(rows)),
    ]
    for what, ours, theirs in pairs:
        for one in fields(ours):
            found, wanted = getattr(ours, one.name), getattr(theirs, one.name)
            if found != wanted:
                raise _missing(library, architecture, f"{what}{one.name} {found}, where {library} has {wanted}")


def _missing(library: str, architecture: Architecture, why: str) -> CheckpointError:
    return CheckpointError(
        f"{library} has no network that takes the weights of {architecture.name} ({why}): use edgekit's own checkpoint,"
        " or the exported ONNX file"
    )


def _renamed(weights: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    """The weights under other names of modules; ``modules`` are theirs to ours, and what it does not hold stays."""
    theirs = {ours: theirs for theirs, ours in modules.items()}
    renamed = {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{theirs.get(module, module)}.{leaf}"] = tensor
    return renamed
