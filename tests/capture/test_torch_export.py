"""torch modules -> Graph, one operator at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from edgekit.capture import input_shape, num_classes
from edgekit.capture.builder import GraphBuilder
from edgekit.capture.torch_export import capture
from edgekit.errors import CheckpointError, UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.ir import (
    IMAGE,
    LOGITS,
    VALUES,
    VECTOR,
    Add,
    AveragePool2d,
    Clamp,
    Concat,
    Conv2d,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Pad,
    Padding,
    Part,
    PReLU,
    Rearrange,
    Resize,
    Sigmoid,
    Slice,
    TransposedConv2d,
)
from edgekit.ir.operators.resize import ALIGNED, HALF_PIXEL, NEAREST
from edgekit.passes import float_form, integer_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph, Op

    Agrees = Callable[[Graph, torch.Tensor, torch.Tensor], None]

SHAPE = (4, 8, 8)


class Net(nn.Module):
    """Convolution, what is tested, global mean, linear layer."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 4, 1)
        self.middle = nn.Sequential(*middle)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.middle(self.stem(x)).mean((2, 3)))
        return logits


class Apply(nn.Module):
    """A function of a tensor and of layers as a module."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, *self.layers)


def _ops(graph: Graph, kind: type[Op]) -> list[Op]:
    return [node.op for node in graph if isinstance(node.op, kind)]


def _captured(module: nn.Module, agrees: Agrees, shape: tuple[int, int, int] = SHAPE) -> Graph:
    """The graph of a module, after a comparison of what both compute."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    graph = capture(module, "net", shape)
    x = 2 * torch.randn(2, *shape)
    with torch.no_grad():
        agrees(graph, x, module.eval()(x))
    return graph


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (nn.Conv2d(4, 4, 3, padding=1), Conv2d((1, 1), Padding(1, 1, 1, 1))),
        (nn.Conv2d(4, 4, (3, 5), stride=(1, 2), padding=(1, 2), bias=False), Conv2d((1, 2), Padding(1, 1, 2, 2))),
        (nn.Conv2d(4, 4, (2, 5), padding="same"), Conv2d((1, 1), Padding(0, 1, 2, 2))),
        (nn.Conv2d(4, 4, 3, stride=2, padding="valid"), Conv2d((2, 2))),
        (nn.Conv2d(4, 4, 3, groups=4), Conv2d((1, 1), groups=4)),
        (nn.Conv2d(4, 4, 3, groups=2), Conv2d((1, 1), groups=2)),
        (nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 4, 1)), Conv2d((1, 1), groups=4)),
        (nn.Conv2d(4, 4, 3, padding="same", dilation=2), Conv2d((1, 1), Padding(2, 2, 2, 2), dilation=(2, 2))),
        (Apply(lambda x: functional.conv2d(x, torch.ones(4, 4, 1, 1), stride=2)), Conv2d((2, 2))),
        (nn.ConvTranspose2d(4, 4, 2, 2), TransposedConv2d((2, 2))),
        (
            nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2, bias=False),
            TransposedConv2d((2, 2), Padding(1, 1, 1, 1), (1, 1), 2),
        ),
        (
            nn.ConvTranspose2d(4, 4, (4, 3), (2, 1), (1, 0), (0, 0), 4, dilation=(1, 2)),
            TransposedConv2d((2, 1), Padding(1, 1, 0, 0), groups=4),
        ),
        (nn.ReLU(), Clamp(0.0)),
        (nn.ReLU6(), Clamp(0.0, 6.0)),
        (nn.Hardtanh(-0.5, 2.0), Clamp(-0.5, 2.0)),
        (Apply(lambda x: x.clamp(min=-1.0)), Clamp(-1.0)),
        (Apply(lambda x: x.clamp(-1, 1)), Clamp(-1.0, 1.0)),
        (nn.Hardswish(), HardSwish()),
        (nn.Hardsigmoid(), HardSigmoid()),
        (nn.Sigmoid(), Sigmoid()),
        (Apply(lambda x: x * torch.sigmoid(x)), Sigmoid()),
        (nn.SiLU(), Sigmoid()),
        (nn.Upsample(scale_factor=2), Resize((16, 16), NEAREST)),
        (nn.Upsample(scale_factor=(3, 1), mode="nearest-exact"), Resize((24, 8), NEAREST)),
        (Apply(lambda x: functional.interpolate(x, size=(8, 16))), Resize((8, 16), NEAREST)),
        (nn.Upsample(scale_factor=2, mode="bilinear"), Resize((16, 16), HALF_PIXEL)),
        (nn.Upsample((4, 16)), Resize((4, 16), NEAREST)),
        (nn.Upsample((4, 2)), Slice((Part(0, 4), Part(0, 4, 2), Part(0, 2, 4)))),
        (nn.Upsample((4, 2), mode="nearest-exact"), Slice((Part(0, 4), Part(1, 4, 2), Part(2, 2, 4)))),
        (nn.Upsample((8, 1), mode="bilinear", align_corners=True), Slice((Part(0, 4), Part(0, 8), Part(0, 1)))),
        (nn.UpsamplingBilinear2d(scale_factor=2), Resize((16, 16), ALIGNED)),
        (Apply(lambda x: functional.interpolate(x, (13, 5), mode="bilinear")), Resize((13, 5), HALF_PIXEL)),
        (Apply(lambda x: functional.interpolate(x, scale_factor=0.5, mode="bilinear")), Resize((4, 4), HALF_PIXEL)),
        (nn.SiLU(inplace=True), Mul()),
        (nn.ZeroPad2d((1, 2, 3, 4)), Pad(Padding(3, 4, 1, 2))),
        (Apply(lambda x: functional.pad(x, (1, 2))), Pad(Padding(0, 0, 1, 2))),
        (Apply(lambda x: x + x.relu()), Add()),
        (Apply(lambda x: x.mean((2, 3), keepdim=True) * x), Mul()),
        (nn.Sequential(Apply(lambda x: torch.cat([x, x.relu()], 1)), nn.Conv2d(8, 4, 1)), Concat()),
        (nn.Sequential(Apply(lambda x: torch.cat((x, x, x.relu()), dim=-3)), nn.Conv2d(12, 4, 1)), Concat()),
        (nn.LeakyReLU(0.1, inplace=True), LeakyReLU(0.1)),
        (nn.PReLU(4), PReLU()),
        (Apply(lambda x: functional.prelu(x, torch.tensor([0.5]))), LeakyReLU(0.5)),
        (nn.AdaptiveAvgPool2d(1), Mean()),
        (nn.AdaptiveAvgPool2d((1, 1)), Mean()),
        (nn.AvgPool2d(8), Mean()),
        (nn.AvgPool2d(8, divisor_override=3), Mean()),
        (nn.AvgPool2d(2), AveragePool2d((2, 2), (2, 2))),
        (nn.AvgPool2d((3, 5), (1, 2), (1, 2)), AveragePool2d((3, 5), (1, 2), Padding(1, 1, 2, 2))),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), AveragePool2d((3, 3), (2, 2), Padding(1, 1, 1, 1))),
        (nn.AvgPool2d(3, 2, ceil_mode=True), AveragePool2d((3, 3), (2, 2), Padding(0, 1, 0, 1))),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), AveragePool2d((3, 3), (2, 2), Padding(1, 2, 1, 2))),
        (nn.AvgPool2d(3, 3, 1, ceil_mode=True, divisor_override=5), AveragePool2d((3, 3), (3, 3), Padding(1, 1, 1, 1))),
        (nn.AvgPool2d(2, 5, ceil_mode=True), AveragePool2d((2, 2), (5, 5))),
        (nn.AdaptiveAvgPool2d((2, 4)), AveragePool2d((4, 2), (4, 2))),
    ],
    ids=str,
)
def test_one_operator(layer: nn.Module, op: Op, agrees: Agrees) -> None:
    assert op in _ops(_captured(Net(layer), agrees), type(op))


def _hard_sigmoid(x: torch.Tensor, slope: float = 0.2) -> torch.Tensor:
    return (slope * x + 0.5).clamp(0, 1)


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda x: x * functional.relu6(x + 3) / 6, [Add, Mul]),
        (lambda x: x * _hard_sigmoid(x, 1 / 6), [Add, Mul]),
        (lambda x: x * _hard_sigmoid(x), [Add, Mul]),
        (lambda x: x * _hard_sigmoid(x, -0.2), [Mul, Add, Mul]),
        (lambda x: x * _hard_sigmoid(x.mean((2, 3), keepdim=True)), [Mean, Add, Mul]),
        (lambda x: x * _hard_sigmoid(functional.conv2d(x, torch.ones(4, 4, 1, 1))), [Conv2d, Mul]),
    ],
)
def test_hard_sigmoids_of_any_slope(
    function: Callable[[torch.Tensor], torch.Tensor], ops: list[type[Op]], agrees: Agrees
) -> None:
    """Slope and offset become bounds, biases and weights; no operator is left of them."""
    graph = integer_form(_captured(Net(Apply(function)), agrees))
    assert [type(node.op) for node in graph][1:-2] == ops


@pytest.mark.parametrize(
    "head",
    [
        Apply(lambda x: torch.cat([x.flatten(1), x.relu().flatten(1)], 1)),
        Apply(lambda x: torch.cat([x, x.relu()], 1).flatten(1)),
    ],
)
def test_vectors_that_are_joined(head: nn.Module, agrees: Agrees) -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), head, nn.Linear(8, 3))
    assert _ops(_captured(module, agrees), Concat) == [Concat()]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 3,
        lambda x: 3 + x,
        lambda x: x - 0.5,
        lambda x: 2 - x,
        lambda x: x * 0.25,
        lambda x: -2 * x,
        lambda x: x / 4,
        lambda x: (x - torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 4, 1, 1)) / torch.arange(1.0, 5).view(4, 1, 1),
        lambda x: x * functional.relu6(x + 3) / 6,
        lambda x: x.clone().contiguous().float().detach(),
        lambda x: functional.dropout2d(functional.dropout(x, training=False), training=False),
        lambda x: x * 1 + 0,
        lambda x: -x.relu(),
        lambda x: torch.sub(torch.add(x, 2, alpha=3), 5, alpha=0.5),
        lambda x: torch.rsub(x, 2, alpha=3),
        lambda x: x + torch.arange(256.0).view(4, 8, 8) / 256,
        lambda x: (x + torch.arange(8.0)) * torch.arange(1.0, 9).view(8, 1) - torch.ones(4, 8, 8) / 3,
        lambda x: x.mean((2, 3), True) * torch.arange(4.0).view(4, 1, 1) - 2 * x.mean((2, 3), True),
    ],
)
def test_arithmetic_with_constants(function: Callable[[torch.Tensor], torch.Tensor], agrees: Agrees) -> None:
    _captured(Net(Apply(function)), agrees)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - x.relu(),
        lambda x: torch.add(x, x.relu(), alpha=-2),
        lambda x: torch.sub(x.relu(), x, alpha=2),
        lambda x: torch.rsub(x.relu(), x, alpha=0.5),
        lambda x: x + x.mean((2, 3), keepdim=True),
        lambda x: x.mean((2, 3), keepdim=True) - x,
        lambda x: x * functional.conv2d(x, torch.ones(1, 4, 1, 1)),
        lambda x: functional.conv2d(x, torch.ones(1, 4, 8, 8)) - x,
    ],
)
def test_arithmetic_of_tensors(function: Callable[[torch.Tensor], torch.Tensor], agrees: Agrees) -> None:
    _captured(Net(Apply(function)), agrees)


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(4, 3)),
        nn.Sequential(Apply(lambda x: x.view(x.size(0), -1)), nn.Linear(4, 3)),
        nn.Sequential(Apply(lambda x: x.reshape(-1, 4)), nn.Linear(4, 3)),
        nn.Sequential(Apply(lambda x: x.squeeze(-1).squeeze(-1)), nn.Linear(4, 3)),
        nn.Sequential(nn.Conv2d(4, 3, 1), nn.Flatten()),
        nn.Sequential(nn.Conv2d(4, 5, 1), nn.Hardswish(), nn.Flatten(), nn.Dropout(), nn.Linear(5, 3)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)),
    ],
    ids=str,
)
def test_heads(head: nn.Module, agrees: Agrees) -> None:
    graph = _captured(nn.Sequential(nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), head), agrees)
    assert input_shape(graph) == SHAPE
    assert num_classes(graph) == 3


@pytest.mark.parametrize(
    ("function", "ops"),
    [
        (lambda x: x * x.mean(1, keepdim=True), [Conv2d]),
        (lambda x: x.mean(1), [Conv2d, Rearrange]),
        (lambda x: x * x.mean((1, 2, 3), keepdim=True), [Mean, Conv2d]),
        (lambda x: x.mean(2), [AveragePool2d, Rearrange]),
        (lambda x: x - x.mean(-1, keepdim=True), [AveragePool2d]),
        (lambda x: x * x.amax(1, keepdim=True), [Rearrange, MaxPool2d, Rearrange]),
        (lambda x: x.max(1)[0], [Rearrange, MaxPool2d, Rearrange, Rearrange]),
        (lambda x: x.amax((1, 2, 3), keepdim=True) + x, [MaxPool2d, Rearrange, MaxPool2d]),
        (lambda x: x.amax((2, 3)), [MaxPool2d, Rearrange]),
        (lambda x: x.amax(3), [MaxPool2d, Rearrange]),
    ],
)
def test_means_and_largest_numbers_along_axes(
    function: Callable[[torch.Tensor], torch.Tensor], ops: list[type[Op]], agrees: Agrees
) -> None:
    """Along channels, too, as attention to places takes them (Woo et al. 2018, arXiv:1807.06521)."""
    graph = _captured(nn.Sequential(nn.Conv2d(4, 4, 1), Apply(function)), agrees)
    found = [type(node.op) for node in graph if node.name != "0"]
    assert [op for op in found if op not in {Mul, Add}] == ops


@pytest.mark.parametrize(
    "layers",
    [
        Apply(lambda x, fc: fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Linear(4, 5)),
        Apply(lambda x, fc: fc(x.flatten(2)), nn.Linear(64, 5)),
        Apply(lambda x, fc: fc(x.flatten(2).transpose(1, 2)), nn.Linear(4, 5, bias=False)),
        Apply(lambda x, fc: fc(x).relu(), nn.Linear(8, 3)),
        Apply(lambda x, fc: fc(x.mean((2, 3), keepdim=True).permute(0, 2, 3, 1)), nn.Linear(4, 5)),
    ],
)
def test_linear_layers_at_every_place_are_convolutions(layers: nn.Module, agrees: Agrees) -> None:
    graph = _captured(nn.Sequential(nn.Conv2d(4, 4, 1), layers), agrees)
    assert [node.op for node in graph if node.name == "1.layers.0"] == [Conv2d()]


@pytest.mark.parametrize(
    ("padding", "parts"),
    [
        (nn.ReflectionPad2d(1), 6),
        (nn.ReflectionPad2d((3, 0, 2, 1)), 8),
        (nn.ReplicationPad2d((1, 2, 0, 0)), 4),
        (nn.CircularPad2d(2), 6),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 6),
    ],
)
def test_padding_with_what_is_there(padding: nn.Module, parts: int, agrees: Agrees) -> None:
    graph = _captured(Net(padding), agrees)
    assert sum(len(node.inputs) for node in graph if isinstance(node.op, Concat)) == parts


class SqueezeExcite(nn.Module):
    """With linear layers, and its gate before the activation, as many ports of MobileNetV3 have it."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(4, 2), nn.ReLU(inplace=True), nn.Linear(2, 4), nn.Hardsigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, _, _ = x.shape
        gate: torch.Tensor = self.fc(self.pool(x).view(batch, channels)).view(batch, channels, 1, 1)
        return x * gate


class AnotherSqueezeExcite(SqueezeExcite):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.fc(x.mean((2, 3)))[:, :, None, None]
        return gate.expand_as(x) * x


@pytest.mark.parametrize("block", [SqueezeExcite, AnotherSqueezeExcite])
def test_linear_layers_of_squeeze_and_excite_become_convolutions(block: type[nn.Module], agrees: Agrees) -> None:
    graph = _captured(Net(block(), nn.Hardswish()), agrees)
    assert len(_ops(graph, Linear)) == 1
    assert {node.name for node in graph if isinstance(node.op, Conv2d)} == {"stem", "middle.0.fc.0", "middle.0.fc.2"}


def test_what_is_read_both_ways_is_refused() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gate = self.fc(x.mean((2, 3)))
            side = self.out(gate)
            total: torch.Tensor = side + self.out((x * gate.view(1, 4, 1, 1)).mean((2, 3)))
            return total

    with pytest.raises(UnsupportedOperator, match="'fc' is used both as"):
        capture(Both(), "both", SHAPE)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4, eps=1e-3), nn.BatchNorm2d(4, affine=False)])
def test_batch_normalization(norm: nn.BatchNorm2d, agrees: Agrees) -> None:
    norm.running_mean, norm.running_var = torch.randn(4), torch.rand(4)
    graph = _captured(Net(norm), agrees)
    (node,) = (node for node in graph if node.name == "middle.0")
    assert node.inputs[1:] == tuple(f"middle.0.{role}" for role in ("weight", "bias", "running_mean", "running_var"))


class Shared(nn.Module):
    """One convolution used twice, with a batch normalization of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(4, 4, 1, bias=False), nn.ReLU()
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm in self.norms:
            x = self.relu(norm(self.conv(x)))
        return x


def test_shared_weights_are_folded_apart(agrees: Agrees) -> None:
    graph = _captured(Net(Shared()), agrees)
    names = [node.name for node in graph]
    assert [name for name in names if name.startswith("middle.0.conv")] == ["middle.0.conv", "middle.0.conv_2"]
    assert [name for name in names if name.startswith("middle.0.relu")] == ["middle.0.relu", "middle.0.relu_2"]


def test_no_name_is_one_that_files_give_to_something_else() -> None:
    """An ONNX file calls the scale of a tensor "block.scale", and a module may be called so, too."""
    builder = GraphBuilder("image", SHAPE)
    first = builder.mean("block", "image")
    assert builder.mul("block.scale", "image", first) == "block.scale_2"
    assert builder.mul("other.scale", "image", first) == "other.scale"
    assert builder.mul("other", "image", first) == "other_2"


def test_a_residual_sees_what_was_overwritten(agrees: Agrees) -> None:
    def block(x: torch.Tensor) -> torch.Tensor:
        y = x.relu_()
        return x + y

    _captured(Net(Apply(block)), agrees)


def test_weights_that_are_computed(agrees: Agrees) -> None:
    layer = nn.Conv2d(4, 4, 3)
    prune.l1_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    graph = _captured(Net(layer), agrees)
    assert (graph.constants["middle.0.weight"] == 0).mean() == 0.5


def test_names_are_those_of_the_modules() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU6())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = x + self.conv(x)
            return y

    graph = capture(Net(Block(), Block()), "net", SHAPE)
    assert [node.name for node in graph] == [
        "stem",
        *(f"middle.{i}.{name}" for i in (0, 1) for name in ("conv.0", "conv.1", "conv.2", "add")),
        "mean",
        "mean.flatten",
        "classifier",
    ]
    assert {"stem.weight", "stem.bias", "middle.1.conv.0.weight", "classifier.bias"} <= set(graph.constants)


def test_the_module_is_left_alone() -> None:
    module = Net(nn.BatchNorm2d(4))
    module.train()
    module.classifier.eval()
    graph = capture(module, "net", SHAPE)
    assert module.training
    assert not module.classifier.training
    before = graph.constants["stem.weight"].copy()
    with torch.no_grad():
        module.stem.weight.zero_()
    assert (graph.constants["stem.weight"] == before).all()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.GELU(), r"aten::gelu.default \(layer 'middle.0'\).*train with SiLU"),
        (nn.ReflectionPad2d((-1, 2, 1, 1)), r"'middle.0'.*mode 'reflect'.*pad height and width, and crop"),
        (nn.ConstantPad2d(1, 0.5), r"'middle.0'.*with 0.5.*: pad\(x - 0.5, …\) \+ 0.5 is the same"),
        (nn.ConstantPad2d(1, -torch.inf), r"with -inf.*: let the max pool behind it pad"),
        (nn.AdaptiveAvgPool2d(3), r"pools \(8, 8\) pixels to \(3, 3\), in windows of different sizes"),
        (Apply(lambda x: x.mean(0, keepdim=True)), r"takes the batch together with the image.*dim=\(1, 2, 3\)"),
        (Apply(lambda x: x * x.mean((1, 2, 3))), r"gives one number without an axis.*keepdim=True"),
        (
            Apply(lambda x: x * x.flatten(2).mean(2)[..., None, None]),
            r"reduces a tensor of the shape \(1, 4, 64\).*the feature map before",
        ),
        (Apply(torch.tanh), r"aten::tanh.*2 \* torch.sigmoid\(2 \* x\) - 1 is the same"),
        (Apply(lambda x: torch.maximum(x, x.relu())), r"b \+ torch.relu\(a - b\) is the larger one"),
        (
            Apply(lambda x: x * x.argmax(1, keepdim=True)),
            r"choose in your application.*let forward return what 'stem' gives",
        ),
        (nn.LogSoftmax(1), r"aten::log_softmax.*return the logits.*let forward return what 'stem' gives"),
        (Apply(lambda x: x.cumsum(1)), r"docs/operators.md lists what edgekit takes.*what 'stem' gives"),
        (
            Apply(lambda x: functional.scaled_dot_product_attention(x, x, x)),
            r"transformers: no integers are proven.*let forward return what 'stem' gives",
        ),
        (Apply(lambda x: functional.interpolate(x, size=(12, 12))), r"resizes from 8 to 12 by nearest neighbours"),
        (
            Apply(lambda x: functional.interpolate(x, scale_factor=1.6, mode="bilinear")),
            r"interpolates from \(8, 8\) to \(12, 12\) at other places.*recompute_scale_factor=True",
        ),
        (
            Apply(lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic")),
            r"upsample_bicubic2d.*cannot keep it in float.*let forward return what 'stem' gives",
        ),
        (
            Apply(lambda x: torch.cat([x, torch.ones(1, 4, 8, 8)], 1)[:, 4:]),
            r"computes some of 'tensors' without the image",
        ),
        (Apply(lambda x: x / x.mean((2, 3), keepdim=True)), r"divides by what depends on the image"),
        (Apply(lambda x: x.mean((2, 3), True) + torch.ones(8, 8)), r"an operand of the shape \(8, 8\) beside"),
        (Apply(lambda x: x + torch.ones(3, 4, 8, 8)), r"of the shape \(3, 4, 8, 8\) beside"),
        (Apply(lambda x: x.reshape(2, 2, 8, 8).reshape(1, 4, 8, 8)), r"reshapes from \(1, 4, 8, 8\) to \(2, 2, 8, 8\)"),
        (nn.AdaptiveMaxPool2d(3), r"pools \(8, 8\) pixels to \(3, 3\), in windows of different sizes.*a size that"),
        (Apply(lambda x: x.permute(2, 1, 0, 3).permute(2, 1, 0, 3)), r"moves the batch, in the order \(2, 1, 0, 3\)"),
        (Apply(lambda x: functional.conv2d(x, x.mean((2, 3), True)) * x), r"computes 'weight' from the image"),
        (Apply(lambda x: x.mean((2, 3), True).expand_as(x).relu()), r"gives \(1, 4, 8, 8\) only by repeating values"),
        (Apply(lambda x: x.mean((2, 3)).expand(1, 4)[:, :, None, None]), r"repeats"),
        (
            nn.BatchNorm2d(4, track_running_stats=False),
            r"no statistics of training \(track_running_stats=False\).*momentum=None.*training images",
        ),
        (Apply(lambda x: functional.batch_norm(x, torch.zeros(4), torch.ones(4), training=True)), r": call eval"),
        (Apply(functional.dropout), r"drops values at random, .*: call eval"),
        (Apply(lambda x: x if x.sum() > 0 else -x), r"torch.export cannot follow"),
    ],
)
def test_what_is_refused(layer: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedOperator, match=message):
        capture(Net(layer), "net", SHAPE)


@pytest.mark.parametrize(
    ("refused", "instead"),
    [
        (torch.tanh, lambda x: 2 * torch.sigmoid(2 * x) - 1),
        (torch.abs, lambda x: torch.relu(x) + torch.relu(-x)),
        (torch.square, lambda x: x * x),
        (lambda x: torch.maximum(x[:, :2], x[:, 2:]), lambda x: x[:, 2:] + torch.relu(x[:, :2] - x[:, 2:])),
        (lambda x: torch.minimum(x[:, :2], x[:, 2:]), lambda x: x[:, :2] - torch.relu(x[:, :2] - x[:, 2:])),
        (lambda x: x.sum(1, keepdim=True), lambda x: x.mean(1, keepdim=True) * 4),
        (lambda x: functional.pad(x, (1, 1, 0, 0), value=0.5), lambda x: functional.pad(x - 0.5, (1, 1, 0, 0)) + 0.5),
    ],
)
def test_what_refusals_offer_is_the_same_and_is_taken(
    refused: Callable[[torch.Tensor], torch.Tensor], instead: Callable[[torch.Tensor], torch.Tensor], agrees: Agrees
) -> None:
    x = torch.randn(2, *SHAPE)
    torch.testing.assert_close(instead(x), refused(x), rtol=0, atol=1e-6)
    stem = nn.Conv2d(4, 4, 1)
    with pytest.raises(UnsupportedOperator, match="or let forward return what"):
        capture(nn.Sequential(stem, Apply(refused)), "net", SHAPE)
    _captured(nn.Sequential(stem, Apply(instead)), agrees)


def test_the_networks_own_forward_is_named_as_such() -> None:
    with pytest.raises(UnsupportedOperator, match=r"aten::tanh.default \(in the network's own forward\)"):
        capture(Apply(torch.tanh), "net", SHAPE)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnsupportedOperator, match="branch on values"):
        capture(Apply(lambda x: x if x.sum() > 0 else -x), "net", SHAPE)
    assert capfd.readouterr() == ("", "")


def _pooled() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Apply(lambda x: (x.relu(), x)), "gives its own input, as 'output_1'"),
        (Apply(lambda x: {"a": (y := x.relu()), "b": y}), "gives the same tensor as 'a' and as 'b'"),
        (Apply(lambda x: {}), "returns nothing"),
        (nn.Sequential(nn.Flatten(), nn.Linear(99, 3)), r"does not take one image tensor of shape .*model.resolution"),
        (nn.Sequential(_pooled(), nn.Softmax(1)), r"ends in softmax .*: leave it out.*--probabilities softmax"),
        (nn.Sequential(_pooled(), nn.Sigmoid()), r"ends in sigmoid .*: leave it out.*--probabilities sigmoid"),
        (Apply(lambda x: x.mean((2, 3), keepdim=True).squeeze()), "reshapes from"),
        (
            Apply(lambda x: (x.relu(), torch.ones(1, 3))),
            "'output_1' does not depend on the image: leave it out of what",
        ),
        (
            nn.Bilinear(8, 8, 3),
            r"takes 2 inputs \(input1, input2\).*export a module whose forward takes the image alone",
        ),
    ],
)
def test_results_that_are_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedOperator, match=message):
        capture(module, "net", SHAPE)


class Maps(NamedTuple):
    coarse: torch.Tensor
    fine: torch.Tensor


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (lambda a, b: (a, b), ("output_0", "output_1")),
        (lambda a, b: {"boxes": a, "logits": b}, ("boxes", "logits")),
        (lambda a, b: {"maps": [a, b]}, ("maps_0", "maps_1")),
        (lambda a, b: {"image": a, "ends with 2": (b, None)}, ("image_2", "ends_with_2_0")),
        (Maps, ("coarse", "fine")),
    ],
)
def test_outputs_are_called_as_they_are_returned(returned: Any, names: tuple[str, ...]) -> None:
    """With the role of logits where one is a vector and called so."""
    module = Apply(lambda x: returned(x.relu(), x.mean((2, 3))))
    graph = capture(module, "net", SHAPE)
    assert tuple(output.name for output in graph.outputs) == names
    assert [output.role == LOGITS for output in graph.outputs] == [name == "logits" for name in names]
    assert [graph.tensors[output.tensor].axes for output in graph.outputs] == [IMAGE, VECTOR]
    x = torch.randn(2, *SHAPE)
    found = FloatExecutor(float_form(graph))(x)
    torch.testing.assert_close(found[names[0]], x.relu())
    torch.testing.assert_close(found[names[1]], x.mean((2, 3)))


def test_one_feature_map_is_no_logits() -> None:
    graph = capture(nn.Conv2d(4, 4, 1), "net", SHAPE)
    assert (graph.outputs[0].name, graph.outputs[0].role, graph.logits) == ("output", VALUES, None)


def test_weights_must_be_finite_and_variances_positive() -> None:
    module = Net(nn.BatchNorm2d(4))
    with torch.no_grad():
        module.classifier.bias[1] = torch.nan
    with pytest.raises(CheckpointError, match=r"classifier.bias holds NaN or infinity"):
        capture(module, "net", SHAPE)
    module = Net(nn.BatchNorm2d(4))
    module.middle[0].running_var[2] = -1.0  # type: ignore[operator]  # a tensor
    with pytest.raises(CheckpointError, match=r"'middle.0' has a negative variance"):
        capture(module, "net", SHAPE)


def test_flatten_is_kept_where_nothing_folds_it(agrees: Agrees) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1), nn.Flatten())
    assert _ops(_captured(head, agrees), Rearrange) == [Rearrange.reshape((3,))]
