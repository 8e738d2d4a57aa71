"""The trainable executor: weights and biases that learn, under exactly the arithmetic that is deployed.

The forward pass is the integer executor's: its fake quantization is no model of the deployed integers, it makes them.
In the backward pass rounding counts as the identity (the straight-through estimator: Bengio et al., arXiv:1308.3432),
and what saturates passes no gradient on (as for a clamp).

What learns are real numbers whose nearest integers are stored. They are counted in steps, so that one learning rate
suits all layers: weights in steps of their own scale, biases in steps of their layer's output. Scales and zero points
stay what they are, and with them every tie-free ratio; batch normalization has long been folded into the weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.executor.integer import IntegerExecutor, ratio_name
from edgekit.quantization import BIAS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.integer_model import IntegerModel

    Rounding = Callable[[torch.Tensor], torch.Tensor]


class TrainableExecutor(IntegerExecutor):
    """Runs an integer model on int8 inputs [N, C, H, W], and learns.

    What it shows, and its result, are the reals that the integers stand for, float32, with gradients. In which type a
    layer sums up is decided by the weights at the start.

    >>> executor = TrainableExecutor(model)                 # doctest: +SKIP
    >>> loss(executor(stored)).backward()                   # doctest: +SKIP
    >>> executor.integer_model()                            # doctest: +SKIP

    Attributes:
        latent: what learns: weights, float32, and biases, float64, in steps.
    """

    def __init__(self, model: IntegerModel) -> None:
        super().__init__(model)
        self.latent = torch.nn.ParameterDict()
        self._names: dict[str, str] = {}  # of the ratio, by that of the bias
        for node in model.graph:
            if node.op.has_weights and node.name in model.ratios:
                weight, bias = node.read("weight", "bias")
                self._names[bias] = ratio_name(node)
                self._learn(weight, super().constant(weight).float())
                self._learn(bias, super().constant(bias).double() * self._output_steps(bias))

    def constant(self, name: str) -> torch.Tensor:
        """A constant that was given, or what has been learned instead: integers, with gradients."""
        key = self._keys[name]
        if key not in self.latent:
            return super().constant(name)
        if name in self._names:
            return round_straight_through(self.latent[key] / self._output_steps(name)).clamp(-BIAS_LIMIT, BIAS_LIMIT)
        return round_straight_through(self.latent[key]).clamp(-self.model.weight_limit, self.model.weight_limit)

    def leave(self, tensor: str, value: torch.Tensor) -> torch.Tensor:
        """The reals that the integers stand for."""
        return value if tensor not in self.model.params else value * self._scale(tensor)

    def _saturated(self, tensor: str, steps: torch.Tensor) -> torch.Tensor:
        """As the integer executor's, with gradients for what does not saturate."""
        params = self.model.params[tensor]
        limits = np.iinfo(params.dtype)
        saturated: torch.Tensor = _Saturated.apply(  # type: ignore[no-untyped-call] # torch declares no types here
            steps, limits.min - params.zero_point, limits.max - params.zero_point
        )
        return saturated.to(torch.float32)

    def round_up(self, steps: torch.Tensor) -> torch.Tensor:
        """The nearest integers, halves upwards, with gradients."""
        rounded: torch.Tensor = _StraightThrough.apply(steps, super().round_up)  # type: ignore[no-untyped-call]
        return rounded

    def integer_model(self) -> IntegerModel:
        """The model with what has been learned so far."""
        graph = self.model.graph
        constants: dict[str, Any] = dict(graph.constants)
        with torch.no_grad():
            for name, value in constants.items():
                if self._keys[name] in self.latent:
                    constants[name] = self.constant(name).cpu().numpy().astype(value.dtype)
        return replace(self.model, graph=replace(graph, constants=constants))

    def _learn(self, name: str, value: torch.Tensor) -> None:
        self.latent[self._keys[name]] = torch.nn.Parameter(value.clone())

    def _output_steps(self, bias: str) -> torch.Tensor:
        """How many steps of the output one step of the accumulator is, [O], float64."""
        return super().constant(self._names[bias]).double().reshape(-1)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: torch.Tensor, rounding: Rounding) -> torch.Tensor:  # noqa: ANN401 - torch's context has no public type
        return rounding(x)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401 - likewise
        return gradient, None


class _Saturated(torch.autograd.Function):
    """The nearest integers within limits: rounding and clamp with one mask, in half the time of the two."""

    @staticmethod
    def forward(context: Any, steps: torch.Tensor, least: int, largest: int) -> torch.Tensor:  # noqa: ANN401 - likewise
        rounded = torch.round(steps)
        context.save_for_backward(rounded)
        context.limits = least - 0.5, largest + 0.5  # nothing rounded lies on them
        return rounded.clamp(least, largest)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401 - likewise
        (rounded,) = context.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, rounded, *context.limits), None, None


def round_straight_through(x: torch.Tensor) -> torch.Tensor:
    """The nearest integers, half to even; the gradient is that of the identity."""
    rounded: torch.Tensor = _StraightThrough.apply(x, torch.round)  # type: ignore[no-untyped-call] # torch declares no types here
    return rounded
