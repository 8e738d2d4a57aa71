"""Families against groups of channels that were written down by hand, and against the networks themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.calibration.equalization import equalize, find_gains
from edgekit.calibration.families import families
from edgekit.calibration.options import Options
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Clamp, Conv2d, Mul, Padding, Rearrange, Resize
from edgekit.ir.operators.resize import HALF_PIXEL, NEAREST
from tests.networks import RELU, RELU6, FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Tensor


def u_net(s: FloatSketch) -> None:
    """What one branch made is concatenated with what another makes of it, and both are read once more."""
    skip = s.conv("x", 4, clamp=RELU)  # layer.0
    deep = s.conv(s.conv(skip, 3, 3, padding=Padding(1, 1, 1, 1), clamp=RELU), 5)  # layer.1, layer.2
    s.conv(s.concat(skip, deep), 2)  # layer.3, layer.4


def dense(s: FloatSketch) -> None:
    """Each layer reads all that is there, and adds two channels to it."""
    x = s.conv("x", 3)  # layer.0
    for _ in range(2):
        x = s.concat(x, s.conv(x, 2, 3, padding=Padding(1, 1, 1, 1), clamp=RELU))  # layer.1, 2; layer.3, 4
    s.conv(x, 2)  # layer.5


def beside_the_image(s: FloatSketch) -> None:
    s.conv(s.concat("x", s.conv("x", 3)), 2)  # layer.0, layer.1, layer.2


def beside_a_clamp(s: FloatSketch) -> None:
    """A channel of a ReLU6 stays as it is beside channels that do not."""
    s.conv(s.concat(s.conv("x", 2, clamp=RELU6), s.conv("x", 3)), 2)  # layer.0, layer.1, layer.2, layer.3


def summed_crosswise(s: FloatSketch) -> None:
    """(a, b) + (b, a): a channel of a and the one of b have one gain, as either is added to the other."""
    a, b = s.conv("x", 2), s.conv("x", 2)  # layer.0, layer.1
    s.conv(s.add(s.concat(a, b), s.concat(b, a)), 2)  # layer.2, layer.3, layer.4, layer.5


def one_for_all(s: FloatSketch) -> None:
    """One channel that is concatenated twice."""
    a = s.conv("x", 1)  # layer.0
    s.conv(s.concat(a, a), 2)  # layer.1, layer.2


def shuffled(s: FloatSketch) -> None:
    """ShuffleNet's: [2, 3] of channels become [3, 2]."""
    x = s.conv("x", 6)  # layer.0
    x = s.node(Rearrange((2, 3, 30), (1, 0, 2), (6, 5, 6)), (x,))  # layer.1
    s.conv(x, 2)


def to_space(s: FloatSketch) -> None:
    """Four channels become one, four times as large."""
    x = s.conv("x", 8)  # layer.0
    x = s.node(Rearrange((2, 2, 2, 5, 6), (0, 3, 1, 4, 2), (2, 10, 12)), (x,))  # layer.1
    s.conv(x, 2)


def flattened(s: FloatSketch) -> None:
    """A channel becomes 30 numbers of a vector."""
    x = s.conv("x", 2)  # layer.0
    s.linear(s.node(Rearrange.reshape((60,)), (x,)), 3)  # layer.1, layer.2


def rows(s: FloatSketch) -> None:
    """[C, H W] becomes [H W, C], as detectors have it: all channels have one gain."""
    x = s.conv(s.conv("x", 3), 2)
    s.node(Rearrange((2, 30), (1, 0), (30, 2)), (x,))


def enlarged(s: FloatSketch) -> None:
    """A U-Net that resizes, by neighbours and by means."""
    skip = s.conv("x", 2, clamp=RELU)  # layer.0
    deep = s.conv(skip, 3, stride=(5, 2), clamp=RELU)  # layer.1
    near, mean = (s.node(Resize((5, 6), mode), (deep,)) for mode in (NEAREST, HALF_PIXEL))  # layer.2, layer.3
    s.conv(s.concat(near, skip, mean), 2)  # layer.4, layer.5


def added_to_all(s: FloatSketch) -> None:
    """One map is added to all channels, so all have its gain."""
    s.conv(s.add(s.conv("x", 3), s.conv("x", 1)), 2)  # layer.0, layer.1, layer.2, layer.3


def leaky(s: FloatSketch) -> None:
    """What is above 0 and a tenth of what is below, as a leaky ReLU is written."""
    x = s.conv("x", 3)  # layer.0
    above = s.node(Mul(), (x, s.constant("one", np.ones(1, np.float32))), RELU)  # layer.1
    below = s.node(Mul(), (x, s.constant("slope", np.full(1, 0.125, np.float32))), Clamp(-math.inf, 0.0))  # layer.2
    s.conv(s.add(above, below), 2)  # layer.3, layer.4


def grouped(s: FloatSketch) -> None:
    """Two groups of a convolution: three channels each, of which two are made."""
    x = s.conv("x", 6, clamp=RELU)
    s.conv(s.node(Conv2d(groups=2), (x, *s.weights((4, 3, 1, 1)))), 2)


NETWORKS: dict[Callable[[FloatSketch], None], list[tuple[dict[str, list[int]], list[int]]]] = {
    u_net: [
        ({"layer.0": [0, 1, 2, 3], "layer.2": [4, 5, 6, 7, 8], "layer.3": [0, 1, 2, 3, 4, 5, 6, 7, 8]}, [1] * 9),
        ({"layer.1": [0, 1, 2]}, [1] * 3),
    ],
    dense: [
        (
            {
                "layer.0": [0, 1, 2],
                "layer.1": [3, 4],
                "layer.2": [0, 1, 2, 3, 4],
                "layer.3": [5, 6],
                "layer.4": [0, 1, 2, 3, 4, 5, 6],
            },
            [1] * 7,
        )
    ],
    beside_the_image: [({"x": [0, 1, 2, 3], "layer.0": [4, 5, 6], "layer.1": [*range(7)]}, [0] * 4 + [1] * 3)],
    beside_a_clamp: [({"layer.0": [0, 1], "layer.1": [2, 3, 4], "layer.2": [*range(5)]}, [1] * 5)],
    summed_crosswise: [
        (
            {
                "layer.0": [0, 1],
                "layer.1": [0, 1],
                "layer.2": [0, 1, 0, 1],
                "layer.3": [0, 1, 0, 1],
                "layer.4": [0, 1, 0, 1],
            },
            [1, 1],
        )
    ],
    one_for_all: [({"layer.0": [0], "layer.1": [0, 0]}, [1])],
    shuffled: [({"layer.0": [*range(6)], "layer.1": [0, 3, 1, 4, 2, 5]}, [1] * 6)],
    to_space: [({"layer.0": [0, 0, 0, 0, 1, 1, 1, 1], "layer.1": [0, 1]}, [1, 1])],
    flattened: [({"layer.0": [0, 1], "layer.1": [0] * 30 + [1] * 30}, [1, 1])],
    rows: [({"layer.0": [0, 1, 2]}, [1] * 3)],
    enlarged: [
        (
            {
                "layer.0": [0, 1],
                "layer.1": [2, 3, 4],
                "layer.2": [2, 3, 4],
                "layer.3": [2, 3, 4],
                "layer.4": [2, 3, 4, 0, 1, 2, 3, 4],
            },
            [1] * 5,
        )
    ],
    added_to_all: [({"layer.0": [0, 0, 0], "layer.1": [0], "layer.2": [0, 0, 0]}, [1])],
    leaky: [({f"layer.{i}": [0, 1, 2] for i in range(4)}, [1] * 3)],
    grouped: [({"layer.0": [*range(6)]}, [1] * 6), ({"layer.1": [*range(4)]}, [1] * 4)],
}


def sketch(network: Callable[[FloatSketch], None]) -> FloatSketch:
    drawn = FloatSketch((4, 5, 6))
    network(drawn)
    return drawn


def values(graph: Graph, images: NDArray[np.float32]) -> Mapping[str, torch.Tensor]:
    seen: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        FloatExecutor(graph)(torch.from_numpy(images), seen.__setitem__)
    return seen


def by_channel(tensor: Tensor) -> torch.Tensor:
    """Its factors, beside what it holds."""
    return torch.tensor(tensor.factor).reshape(-1, *[1] * (len(tensor.shape) - 1))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
def test_channels_fall_into_groups(network: Callable[[FloatSketch], None]) -> None:
    found = [
        ({name: groups.tolist() for name, groups in family.groups.items()}, family.free.astype(int).tolist())
        for family in families(sketch(network).graph())
    ]
    assert found == NETWORKS[network]


@pytest.mark.parametrize("network", [n for n in NETWORKS if n is not beside_a_clamp], ids=lambda n: n.__name__)
def test_powers_of_two_leave_every_bit_of_the_outputs(network: Callable[[FloatSketch], None]) -> None:
    """A float times a power of two is exact, and so is everything that is computed of it."""
    drawn = sketch(network)
    model = drawn.float_model()
    gains = {
        family.name: np.where(family.free, 2.0 ** (1 + np.arange(len(family.free)) % 3), 1.0)
        for family in families(model.graph)
    }
    equalized = equalize(model, gains).graph
    images = drawn.images()
    before, after = values(model.graph, images), values(equalized, images)
    for name, tensor in equalized.tensors.items():
        assert torch.equal(after[name], before[name] * by_channel(tensor)), name
    assert any(tensor.factor != 1 for tensor in equalized.tensors.values())


def with_uneven_channels(network: Callable[[FloatSketch], None]) -> FloatSketch:
    """Channels that reach very differently far."""
    drawn = sketch(network)
    for name, array in drawn.constants.items():
        spread = np.logspace(-0.2, 0.2, len(array)).reshape(-1, *[1] * (array.ndim - 1))
        drawn.constants[name] = (array * spread).astype(np.float32)
    return drawn


@pytest.mark.parametrize("network", [u_net, dense, one_for_all, shuffled, grouped], ids=lambda n: n.__name__)
def test_all_channels_that_share_a_scale_reach_equally_far(network: Callable[[FloatSketch], None]) -> None:
    drawn = with_uneven_channels(network)
    model, images = drawn.float_model(), np.concatenate([drawn.images()] * 2)
    equalized = equalize(model, find_gains(model, images)).graph
    seen = values(equalized, images)
    for family in families(equalized):
        joined = [name for name in family.groups if name in {"layer.3", "layer.4"}] or [family.name]
        reach = seen[joined[-1]].abs().amax((0, 2, 3)).numpy()
        np.testing.assert_allclose(reach, reach.max(), rtol=1e-5)


def test_channels_beside_the_image_are_raised_to_it() -> None:
    drawn = with_uneven_channels(beside_the_image)
    model, images = drawn.float_model(), np.concatenate([drawn.images()] * 2)
    (gain,) = find_gains(model, images).values()
    assert (gain[:4] == 1).all()
    before = values(model.graph, images)["layer.1"].abs().amax((0, 2, 3)).numpy()
    assert before[4] < before.max() / 2
    np.testing.assert_allclose(gain[4:], np.minimum(before.max() / before[4:], 16), rtol=1e-5)


def test_what_relu6_cuts_off_keeps_its_channels_and_lets_others_be_raised() -> None:
    drawn = with_uneven_channels(beside_a_clamp)
    model, images = drawn.float_model(), np.concatenate([drawn.images()] * 2)
    (gain,) = find_gains(model, images).values()
    assert (gain[:2] == 1).all()
    assert (gain[2:] > 1).any()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__)
def test_gains_for_one_weight_scale_a_layer_leave_the_network_as_it_is(network: Callable[[FloatSketch], None]) -> None:
    drawn = with_uneven_channels(network)
    model, images = drawn.float_model(), np.concatenate([drawn.images()] * 2)
    gains = find_gains(model, images, Options(per_tensor_weights=True))
    equalized = equalize(model, gains)
    expected, found = (values(graph, images)[graph.output_tensors[0]] for graph in (model.graph, equalized.graph))
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    for family in families(model.graph):
        assert (gains[family.name][~family.free] == 1).all()
