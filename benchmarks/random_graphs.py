"""Networks of everything that edgekit takes, drawn by lot: torch modules, so that capturing them is tried, too.

A ``Draft`` grows step by step. Each kind of step looks for tensors that it fits, and adds a module that reads them; the
outputs are of several ranks. What a seed makes depends on the order of ``STEPS``: new ones go to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

    Step = Callable[["Draft"], "int | None"]  # the place of what was added; None where nothing fits

T = TypeVar("T")

_STEPS = (6, 16)  # in a network, from and to
_RECENT = 4  # tensors among which a step chooses
_MOST_VALUES = 120_000  # in a tensor
_LEAST_SIDE = 4
_MOST_CHANNELS = 96


class Wired(nn.Module):
    """Modules that read each other's results.

    Args:
        modules: in topological order.
        reads: for each, the places of what it reads; 0 is the image, 1 the result of the first module.
        gives: the outputs' names, with their places.
    """

    def __init__(self, modules: Sequence[nn.Module], reads: Sequence[tuple[int, ...]], gives: dict[str, int]) -> None:
        super().__init__()
        self.steps, self.reads, self.gives = nn.ModuleList(modules), tuple(reads), gives

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every output by its name."""
        values = [x]
        for step, reads in zip(self.steps, self.reads, strict=True):
            values.append(step(*(values[place] for place in reads)))
        return {name: values[place] for name, place in self.gives.items()}


class Computed(nn.Module):
    """A function of tensors, and the module that it may need."""

    def __init__(self, function: Callable[..., torch.Tensor], *inner: nn.Module) -> None:
        super().__init__()
        self.function, self.inner = function, nn.ModuleList(inner)

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """What the function gives."""
        return self.function(*self.inner, *tensors)


class Draft:
    """A network in the making.

    Attributes:
        random: decides everything.
        shapes: of every tensor, [C, H, W]; the image's first.
        kinds: of the steps, in order.
    """

    def __init__(self, random: Generator, shape: tuple[int, int, int]) -> None:
        self.random = random
        self.shapes: list[tuple[int, ...]] = [shape]
        self.kinds: list[str] = []
        self._modules: list[nn.Module] = []
        self._reads: list[tuple[int, ...]] = []

    def one(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        """True so often."""
        return bool(self.random.random() < share)

    def recent(self) -> int:
        """The place of one of the last maps; the image itself seldom."""
        first = max(1, len(self.shapes) - _RECENT) if len(self.shapes) > 1 else 0
        return int(self.random.integers(first, len(self.shapes)))

    def alike(self, place: int, *, channels: bool = True) -> int | None:
        """The place of another map of the same size, and of as many channels where that matters."""
        part = slice(None) if channels else slice(1, None)
        found = [
            other
            for other, shape in enumerate(self.shapes)
            if other not in {0, place} and shape[part] == self.shapes[place][part]
        ]
        return self.one(found) if found else None

    def add(self, module: nn.Module, *reads: int) -> int | None:
        """Append a module; None where what it makes is too large or too small."""
        given = [torch.zeros(1, *self.shapes[place]) for place in reads]
        with torch.no_grad():
            shape = tuple(module.eval()(*given).shape[1:])
        if not self._is_sound(shape):
            return None
        self._modules.append(module)
        self._reads.append(reads)
        self.shapes.append(shape)
        return len(self.shapes) - 1

    @staticmethod
    def _is_sound(shape: tuple[int, ...]) -> bool:
        if len(shape) != 3:
            return True
        channels, height, width = shape
        return (
            channels * height * width <= _MOST_VALUES
            and 1 < channels <= _MOST_CHANNELS
            and min(height, width) >= _LEAST_SIDE
        )

    def finished(self, gives: dict[str, int]) -> Wired:
        """The network that gives these; what none of them needs is left out."""
        needed = set(gives.values())
        for place in range(len(self.shapes) - 1, 0, -1):
            if place in needed:
                needed |= set(self._reads[place - 1])
        kept = sorted(needed - {0})
        moved = {0: 0} | {place: i for i, place in enumerate(kept, start=1)}
        return Wired(
            [self._modules[place - 1] for place in kept],
            [tuple(moved[read] for read in self._reads[place - 1]) for place in kept],
            {name: moved[place] for name, place in gives.items()},
        )


def draw(random: Generator, shape: tuple[int, int, int]) -> tuple[Wired, str]:
    """A network for images [C, H, W] = ``shape``, and what it is made of, in words."""
    draft = Draft(random, shape)
    stem = _convolution(draft, 0, int(random.integers(8, 25)), 3, stride=draft.one((1, 2)))
    assert stem is not None
    wanted = int(random.integers(*_STEPS))
    for _ in range(10 * wanted):  # some find nothing that they fit
        if len(draft.kinds) == wanted:
            break
        name = draft.one(list(STEPS))
        if STEPS[name](draft) is not None:
            draft.kinds.append(name)
    gives = _outputs(draft)
    return draft.finished(gives), f"{len(gives)} outputs, {', '.join(draft.kinds)}"


def _outputs(draft: Draft) -> dict[str, int]:
    """Between one and four outputs: logits, a vector, feature maps, rows."""
    random, count = draft.random, int(draft.random.integers(1, 5))
    heads = [_logits, _vector, _map, _rows]
    chosen = [heads[i] for i in sorted(random.permutation(len(heads))[:count])]
    gives: dict[str, int] = {}
    places = list(range(max(1, len(draft.shapes) - 2 * _RECENT), len(draft.shapes)))
    for i, head in enumerate(chosen):
        place = places[-1] if i == 0 else draft.one(places)
        added = head(draft, place)
        assert added is not None
        gives[head.__name__.strip("_")] = added
    return gives


def _logits(draft: Draft, place: int) -> int | None:
    classes = int(draft.random.integers(2, 60))
    layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(draft.shapes[place][0], classes))
    return draft.add(layers, place)


def _vector(draft: Draft, place: int) -> int | None:
    hidden = int(draft.random.integers(8, 40))
    activation = draft.one((nn.ReLU, nn.ReLU6, nn.Hardswish))()
    layers = [nn.Linear(draft.shapes[place][0], hidden), activation, nn.Linear(hidden, 4)]
    return draft.add(Computed(lambda head, x: head(x.mean((2, 3))), nn.Sequential(*layers)), place)


def _map(draft: Draft, place: int) -> int | None:
    return draft.add(nn.Conv2d(draft.shapes[place][0], int(draft.random.integers(2, 8)), 1), place)


def _rows(draft: Draft, place: int) -> int | None:
    """[N, places * anchors, values], as detectors have them."""
    values, anchors = int(draft.random.integers(2, 7)), int(draft.random.integers(1, 4))
    head = nn.Conv2d(draft.shapes[place][0], anchors * values, draft.one((1, 3)), padding="same")
    return draft.add(Computed(lambda conv, x: conv(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, values), head), place)


# --- steps ----------------------------------------------------------------------------------------------------------


def _activation(draft: Draft) -> nn.Module:
    kinds: list[Callable[[], nn.Module]] = [
        nn.Identity, nn.ReLU, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, lambda: nn.LeakyReLU(0.1),
    ]  # fmt: skip
    return draft.one(kinds)()


def _convolution(  # noqa: PLR0913 - what a convolution has
    draft: Draft, place: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> int | None:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(draft.shapes[place][0], out, kernel, stride, padding, dilation, groups, bias=False)
    return draft.add(nn.Sequential(conv, nn.BatchNorm2d(out), _activation(draft)), place)


def _ordinary(draft: Draft) -> int | None:
    place, stride = draft.recent(), draft.one((1, 1, 2))
    return _convolution(draft, place, int(draft.random.integers(4, 48)), draft.one((1, 3, 5)), stride=stride)


def _depthwise(draft: Draft) -> int | None:
    place = draft.recent()
    channels = draft.shapes[place][0]
    kernel, stride, dilation = draft.one(((3, 1, 1), (5, 1, 1), (3, 2, 1), (3, 1, 2)))
    return _convolution(draft, place, channels, kernel, stride=stride, groups=channels, dilation=dilation)


def _grouped(draft: Draft) -> int | None:
    place = draft.recent()
    channels = draft.shapes[place][0]
    groups = [count for count in (2, 3, 4) if channels % count == 0 and channels > count]
    if not groups:
        return None
    count = draft.one(groups)
    return _convolution(draft, place, count * int(draft.random.integers(2, 10)), 3, groups=count)


def _plain(draft: Draft) -> int | None:
    """Without batch normalization, valid, and not square."""
    place = draft.recent()
    conv = nn.Conv2d(draft.shapes[place][0], int(draft.random.integers(4, 32)), draft.one(((1, 3), (3, 1), (2, 2))))
    nn.init.kaiming_normal_(conv.weight)
    return draft.add(nn.Sequential(conv, _activation(draft)), place)


def _transposed(draft: Draft) -> int | None:
    place = draft.recent()
    kernel, stride, padding, extra = draft.one(((2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 1, 0)))
    out = int(draft.random.integers(4, 32))
    conv = nn.ConvTranspose2d(draft.shapes[place][0], out, kernel, stride, padding, extra)
    return draft.add(nn.Sequential(conv, nn.BatchNorm2d(out), _activation(draft)), place)


def _sum(draft: Draft) -> int | None:
    place = draft.recent()
    other = draft.alike(place)
    if other is not None:
        return draft.add(Computed(lambda after, a, b: after(a + b), _activation(draft)), place, other)
    other = draft.alike(place, channels=False)
    if other is None:
        return None
    project = nn.Conv2d(draft.shapes[other][0], draft.shapes[place][0], 1)
    return draft.add(Computed(lambda conv, a, b: a + conv(b), project), place, other)


def _product(draft: Draft) -> int | None:
    place = draft.recent()
    other = draft.alike(place)
    return None if other is None else draft.add(Computed(torch.mul), place, other)


def _joined(draft: Draft) -> int | None:
    place = draft.recent()
    others = {draft.alike(place, channels=False) for _ in range(2)} - {None}
    found = [place, *(other for other in others if other is not None)]
    return draft.add(Computed(lambda *xs: torch.cat(xs, 1)), *found) if len(found) > 1 else None


def _gate(draft: Draft) -> int | None:
    place = draft.recent()
    channels = draft.shapes[place][0]
    narrow = max(2, channels // 4)
    gate = draft.one((nn.Hardsigmoid, nn.Sigmoid))()
    layers = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1), gate]
    return draft.add(Computed(lambda gate, x: x * gate(x), nn.Sequential(*layers)), place)


def _max_pool(draft: Draft) -> int | None:
    kernel, stride, padding = draft.one(((2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2)))
    return draft.add(nn.MaxPool2d(kernel, stride, padding, ceil_mode=draft.chance(0.3)), draft.recent())


def _average_pool(draft: Draft) -> int | None:
    kernel, stride, padding = draft.one(((2, 2, 0), (3, 2, 1), (3, 1, 1)))
    return draft.add(nn.AvgPool2d(kernel, stride, padding, count_include_pad=draft.chance(0.5)), draft.recent())


def _nearest(draft: Draft) -> int | None:
    return draft.add(nn.Upsample(scale_factor=draft.one((2, 2, 3)), mode="nearest"), draft.recent())


def _bilinear(draft: Draft) -> int | None:
    factor, aligned = draft.one(((2, False), (2, False), (4, False), (2, True), (3, False)))
    return draft.add(nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=aligned), draft.recent())


def _slice(draft: Draft) -> int | None:
    place = draft.recent()
    channels, height, _ = draft.shapes[place]
    low, top = int(draft.random.integers(0, channels // 2)), int(draft.random.integers(0, height // 3))
    cut: Callable[[torch.Tensor], torch.Tensor] = draft.one((
        lambda x: x[:, low : low + (channels + 1) // 2],
        lambda x: x[:, :, top:-1],
        lambda x: x[:, :, ::2, ::2],
        lambda x: x.chunk(2, 1)[1],
    ))  # fmt: skip
    return draft.add(Computed(cut), place)


def _shuffle(draft: Draft) -> int | None:
    place = draft.recent()
    channels = draft.shapes[place][0]
    groups = [count for count in (2, 3, 4) if channels % count == 0]
    return draft.add(nn.ChannelShuffle(draft.one(groups)), place) if groups else None


def _depth_to_space(draft: Draft) -> int | None:
    place = draft.recent()
    return draft.add(nn.PixelShuffle(2), place) if draft.shapes[place][0] % 4 == 0 else None


def _space_to_depth(draft: Draft) -> int | None:
    place = draft.recent()
    _, height, width = draft.shapes[place]
    return draft.add(nn.PixelUnshuffle(2), place) if height % 2 == width % 2 == 0 else None


def _pad(draft: Draft) -> int | None:
    top, bottom, left, right = draft.random.integers(0, 3, 4).tolist()
    added = int(draft.random.integers(1, 5))
    border = (left, right, top, bottom)
    sides = draft.one((border, (0, 0, 0, 0, 0, added), (*border, 0, added)))
    return draft.add(Computed(lambda x: functional.pad(x, sides)), draft.recent())


def _activated(draft: Draft) -> int | None:
    """By itself, behind whatever there is."""
    place = draft.recent()
    kinds: list[Callable[[], nn.Module]] = [
        nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, lambda: nn.LeakyReLU(0.2),
        lambda: nn.PReLU(draft.shapes[place][0], init=0.3), lambda: nn.Hardtanh(-1.5, 2.5),
    ]  # fmt: skip
    return draft.add(draft.one(kinds)(), place)


def _normalized(draft: Draft) -> int | None:
    """Batch normalization that folds into nothing."""
    place = draft.recent()
    return draft.add(nn.BatchNorm2d(draft.shapes[place][0]), place)


def _affine(draft: Draft) -> int | None:
    """A number times the map, plus a number."""
    scale, shift = float(draft.random.uniform(0.2, 3)), float(draft.random.normal())
    change: Callable[[torch.Tensor], torch.Tensor] = draft.one((
        lambda x: x * scale, lambda x: x + shift, lambda x: x * scale + shift, lambda x: x * -scale,
        lambda x: shift - x,
    ))  # fmt: skip
    return draft.add(Computed(change), draft.recent())


def _broadcast(draft: Draft) -> int | None:
    """A map with one number a channel, or with one number a place."""
    place = draft.recent()
    channels = draft.shapes[place][0]
    spatial = nn.Sequential(nn.Conv2d(channels, 1, 3, padding=1), nn.Sigmoid())
    vector = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
    function, inner = draft.one((
        (lambda inner, x: x * inner(x), spatial), (lambda inner, x: x + inner(x), vector),
        (lambda inner, x: x * inner(x), vector),
    ))  # fmt: skip
    return draft.add(Computed(function, inner), place)


STEPS: dict[str, Step] = {
    "convolution": _ordinary,
    "convolution again": _ordinary,
    "depthwise": _depthwise,
    "depthwise again": _depthwise,
    "plain convolution": _plain,
    "sum": _sum,
    "sum again": _sum,
    "product": _product,
    "concatenation": _joined,
    "concatenation again": _joined,
    "gate": _gate,
    "activation": _activated,
    "batch normalization": _normalized,
    "affine": _affine,
    "padding": _pad,
    "grouped convolution": _grouped,
    "transposed convolution": _transposed,
    "max pooling": _max_pool,
    "average pooling": _average_pool,
    "nearest": _nearest,
    "bilinear": _bilinear,
    "slice": _slice,
    "channel shuffle": _shuffle,
    "depth to space": _depth_to_space,
    "space to depth": _space_to_depth,
    "broadcast": _broadcast,
}
