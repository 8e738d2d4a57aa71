"""One network that all of a space are parts of: trained once, so that a part is measured without a training of its own.

A part has the first channels of each layer, the middle of each kernel, and the first blocks of each stage
(Once-for-All, arXiv:1908.09791, section 3.2; slimmable networks, arXiv:1812.08928). Each step trains the largest
network, the smallest one and some between, and all but the largest learn what the largest answers (the sandwich rule
and inplace distillation of arXiv:1903.05134, sections 3.1 and 3.2). Statistics of batch normalization belong to a part,
so they are measured anew for each (same paper, section 3.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from edgekit.models.building import built
from edgekit.models.families import family_of
from edgekit.models.wiring import paired
from edgekit.training.from_images import FromImages, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from edgekit.compression.search.space import Space
    from edgekit.models.architecture import Size
    from edgekit.models.tables import Table, Value
    from edgekit.training.data.loader import Batch

BETWEEN: Final = 1  # parts of a step besides the largest and the smallest


class Supernet(FromImages):
    """A space's largest network, which learns together with its parts; a ``loop.Trainee``.

    Args:
        space: which networks are parts.
        classes: how many each tells apart.
        module: the largest, ``built`` of its architecture.
        given: what else ``FromImages`` takes.
    """

    def __init__(self, space: Space, classes: int, module: nn.Module, *given: Any, **named_ones: Any) -> None:  # noqa: ANN401 - as FromImages declares them
        super().__init__(module, *given, **named_ones)
        self._space, self._classes = space, classes
        self._whole = space.table(space.largest)

    def loss(self, batch: Batch, step: int) -> Tensor:
        """The mean of the losses of the largest network, the smallest, and ``BETWEEN`` drawn ones."""
        pixels, prepared = self.drawn(batch, step)
        x = self.normalized(pixels)
        whole = named(self.module(x))
        total = self.task_loss(whole, prepared)
        random = np.random.default_rng([self.seed, step])
        choices = [self._space.smallest, *(self._space.drawn(random) for _ in range(BETWEEN))]
        taught = {name: functional.softmax(output.detach(), 1) for name, output in whole.items()}
        for choice in choices:
            for name, output in named(self._answer(choice, x)).items():
                total = total + functional.cross_entropy(output, taught[name])
        return total / (1 + len(choices))

    def part(self, choice: Mapping[str, Value]) -> Part:
        """The network of a choice with the weights that it has in the largest one, for images of the largest's size.

        Its batch normalization has no statistics yet: ``settle`` measures them.
        """
        table = self._space.table(choice)
        architecture = table.architecture(self._classes)
        module = built(architecture)
        own = module.state_dict()
        with torch.no_grad():
            shared = dict(self._weights(table, {key: tensor.shape for key, tensor in own.items()}))
        module.load_state_dict({**own, **shared})
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's overloads leave it out
        return Part(module, architecture.size)

    def _answer(self, choice: Mapping[str, Value], x: Tensor) -> Tensor:
        """What the part answers in training: normalized by the batch's own statistics, which it does not keep."""
        table = self._space.table(choice)
        architecture = table.architecture(self._classes)
        with torch.device("meta"):
            module = built(architecture)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean = layer.running_var = layer.num_batches_tracked = None
            elif isinstance(layer, nn.Dropout):
                layer.p = self._recipe.drop
        shapes = {key: tensor.shape for key, tensor in module.named_parameters()}
        answer: Tensor = functional_call(module, dict(self._weights(table, shapes)), (_resized(x, architecture.size),))
        return answer

    def _weights(self, table: Table, shapes: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Tensor]]:
        """The weights of a part, as views of those of the largest network; buffers are left out."""
        parameters = dict(self.module.named_parameters())
        for ours, theirs in modules(table, self._whole).items():
            for leaf in ("weight", "bias"):
                if (key := f"{ours}.{leaf}") in shapes:
                    yield key, middle(parameters[f"{theirs}.{leaf}"], shapes[key])


def modules(part: Table, whole: Table) -> dict[str, str]:
    """What a part's convolutions, normalizations and linear layers are called, and what those of the whole network."""
    small, large = part.architecture(), whole.architecture()
    wiring = family_of(small.family).wiring
    found = paired(wiring.stem_names(), wiring.stem_names())
    for index, place in _places(part, whole):
        inside = wiring.block_names(place, large.blocks[place].parts)
        for name, names in wiring.block_names(index, small.blocks[index].parts).items():
            found |= paired(names, inside[name])
    last = wiring.last_names(len(small.blocks)), wiring.last_names(len(large.blocks))
    if last[0] is not None and last[1] is not None:
        found |= paired(last[0], last[1])
    layers = [wiring.classifier_names(len(one.hidden_channels)) for one in (small, large)]
    return found | dict(zip(*layers, strict=True))


def middle(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A view of the first channels of a weight and of the middle of its kernels, of a shape that is odd where it is.

    >>> middle(torch.arange(5.0).reshape(1, 1, 1, 5).expand(4, 2, 5, 5), (3, 1, 3, 3))[0, 0, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    sizes = enumerate(zip(tensor.shape, shape, strict=True))
    skipped = [0 if axis < 2 else (old - new) // 2 for axis, (old, new) in sizes]
    return tensor[tuple(slice(start, start + new) for start, new in zip(skipped, shape, strict=True))]


def _places(part: Table, whole: Table) -> Iterator[tuple[int, int]]:
    """The blocks of a part, and which they are in the whole network."""
    index = start = 0
    for small, large in zip(part.stages, whole.stages, strict=True):
        for place in range(small.repeats):
            yield index, start + place
            index += 1
        start += large.repeats


class Part(nn.Module):
    """A network for images of the largest one's size, which it resizes to its own.

    Attributes:
        network: without that.
    """

    network: nn.Module

    def __init__(self, network: nn.Module, size: Size) -> None:
        super().__init__()
        self.network, self._size = network, size

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> what the network gives."""
        answer: Tensor = self.network(_resized(x, self._size))
        return answer


def _resized(x: Tensor, size: Size) -> Tensor:
    if x.shape[2:] == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", antialias=True)
