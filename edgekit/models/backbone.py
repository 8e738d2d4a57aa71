"""A network without its heads, and the feature maps that heads may stand on."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from edgekit.errors import ConfigError, did_you_mean
from edgekit.models.blocks import Shape, activate, conv, conv_bn, size_behind
from edgekit.models.families import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from edgekit.models.architecture import Architecture

POOLED = "avgpool"  # the module whose output is the mean over all places


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """What a module of a backbone gives: [N, channels, ceil(H / stride), ceil(W / stride)] for images of H x W.

    Attributes:
        module: its name, "features.3".
        channels: of the map.
        stride: pixels of the image from one place of the map to the next; None for the mean over all places,
            [N, channels].
    """

    module: str
    channels: int
    stride: int | None


class Backbone(nn.Module):
    """Stem, blocks and the last 1x1 convolution where the family has one, with random weights and in training mode.

    Where ``architecture.padding`` is "same", the borders are those of images of ``architecture.resolution``.

    Attributes:
        architecture: what it was built from; what that says of a classifier is not used here.
        maps: what its modules give, in the order in which they act.
        inner: what lies inside of these: the wide maps behind the expansions of blocks.

    Raises:
        ConfigError: the architecture's family is unknown.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.maps, self.inner = feature_maps(architecture), expansions(architecture)
        for feature_map, module in zip(self.maps, _modules(architecture), strict=True):
            parent, _, child = feature_map.module.rpartition(".")
            if parent and parent not in self._modules:
                self.add_module(parent, nn.Sequential())
            self.get_submodule(parent).add_module(child, module)

    @property
    def pooled(self) -> FeatureMap:
        """The mean of the last feature map over all places."""
        return FeatureMap(POOLED, self.maps[-1].channels, None)

    def named(self, module: str) -> FeatureMap:
        """What a module gives, by its name.

        Raises:
            ConfigError: it is none that gives a feature map.
        """
        known = {one.module: one for one in (*self.maps, *self.inner, self.pooled)}
        if module not in known:
            raise ConfigError(
                f"{self.architecture.name} has no feature map called {module!r}: {did_you_mean(module, known)}"
            )
        return known[module]

    def at(self, stride: int) -> FeatureMap:
        """The last feature map of a stride, in pixels.

        Raises:
            ConfigError: there is none.
        """
        found = [feature_map for feature_map in self.maps if feature_map.stride == stride]
        if not found:
            known = ", ".join(str(known) for known in dict.fromkeys(one.stride for one in self.maps))
            raise ConfigError(f"{self.architecture.name} has no feature map of stride {stride}: choose from {known}")
        return found[-1]

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the last feature map."""
        for _, y in run(self, self.maps, x):
            x = y
        return x


def feature_maps(architecture: Architecture) -> tuple[FeatureMap, ...]:
    """What the modules of an architecture's backbone give, in the order in which they act.

    Raises:
        ConfigError: the architecture's family is unknown.
    """
    wiring = family_of(architecture.family).wiring
    stride = architecture.stem_stride
    maps = [FeatureMap(wiring.stem, architecture.stem_channels, stride)]
    for index, block in enumerate(architecture.blocks):
        stride *= block.stride
        maps.append(FeatureMap(wiring.block_module(index), block.out, stride))
    last = wiring.last_module(len(architecture.blocks))
    if last is not None and architecture.head_channels:
        maps.append(FeatureMap(last, architecture.head_channels, stride))
    return tuple(maps)


def expansions(architecture: Architecture) -> tuple[FeatureMap, ...]:
    """The wide maps behind the expansions of blocks, where a module of their own gives them.

    Raises:
        ConfigError: the architecture's family is unknown.
    """
    wiring = family_of(architecture.family).wiring
    stride, found = architecture.stem_stride, []
    for index, block in enumerate(architecture.blocks):
        names = wiring.block_names(index, block.parts)
        module = names["expand"][0].rpartition(".")[0] if "expand" in names else ""
        if module not in {"", wiring.block_module(index)}:
            before = stride if block.kernel else stride * block.stride
            found.append(FeatureMap(module, block.expanded, before))
        stride *= block.stride
    return tuple(found)


def run(
    network: nn.Module,
    maps: Sequence[FeatureMap],
    x: Tensor,
    *,
    inner: Sequence[FeatureMap] = (),
    recomputes: bool = False,
) -> Iterator[tuple[FeatureMap, Tensor]]:
    """Each feature map of images x [N, C, H, W], from the modules of ``network`` that ``maps`` names.

    Those of ``inner``, which lie inside of such modules, come right before the module's own. With ``recomputes`` what
    lies within these modules is not kept for their gradients, but computed again (arXiv:1604.06174): less memory, and a
    third more time.
    """
    for feature_map in maps:
        module = network.get_submodule(feature_map.module)
        inside = [one for one in inner if one.module.startswith(f"{feature_map.module}.")]
        with _watching(network, inside) as seen:
            if recomputes:
                contexts = partial(_once_and_again, module)
                x = checkpoint(module, x, use_reentrant=False, context_fn=contexts)
            else:
                x = module(x)
        yield from seen.items()
        yield feature_map, x


@contextmanager
def _watching(network: nn.Module, inner: Sequence[FeatureMap]) -> Iterator[dict[FeatureMap, Tensor]]:
    """What modules give inside the block, as they give it."""
    seen: dict[FeatureMap, Tensor] = {}

    def keep(_module: nn.Module, _inputs: object, y: Tensor, *, of: FeatureMap) -> None:
        seen[of] = y

    handles = [network.get_submodule(one.module).register_forward_hook(partial(keep, of=one)) for one in inner]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _once_and_again(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What surrounds the first computation, and the second one."""
    return nullcontext(), _without_statistics(module)


@contextmanager
def _without_statistics(module: nn.Module) -> Iterator[None]:
    """Batch normalization does not move its running statistics: it has seen this batch already."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta, counts = [norm.momentum for norm in norms], [norm.num_batches_tracked for norm in norms]
    before = [None if count is None else count.clone() for count in counts]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            if count is not None and norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)


def _modules(architecture: Architecture) -> Iterator[nn.Module]:
    """What gives the feature maps, in the same order."""
    wiring = family_of(architecture.family).wiring
    before, size = architecture.stem_channels, architecture.size
    stem = Shape(architecture.in_channels, before, kernel=3, stride=architecture.stem_stride)
    if wiring.normalizes:
        yield conv_bn(architecture, stem, size, architecture.activation)
    else:
        yield nn.Sequential(conv(stem, size, architecture.padding, bias=True), activate(architecture.activation))
    size = size_behind(size, architecture.stem_stride)
    for block in architecture.blocks:
        yield wiring.block(architecture, before, block, size)
        before, size = block.out, size_behind(size, block.stride)
    if wiring.has_last and architecture.head_channels:
        yield conv_bn(architecture, Shape(before, architecture.head_channels), size, architecture.activation)
