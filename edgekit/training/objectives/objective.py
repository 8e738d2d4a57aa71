"""What the training loop asks of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.training.recipe import Recipe


class Objective(Protocol):
    """The loss of a task, and what its targets look like in a batch.

    Attributes:
        mixes: whether two images and their targets may be mixed into one (mixup, CutMix).
    """

    mixes: bool

    def prepared(self, targets: Tensor, outputs: int) -> Tensor:
        """The targets of a batch [N, …] as the loss takes them, float32, so that they can be mixed.

        Args:
            targets: as the data have them.
            outputs: how many numbers the network gives.
        """

    def truth(self, targets: NDArray[Any]) -> Any:  # noqa: ANN401 - each task has a type of its own
        """The targets of all validation images, [N, …], as the task measures with them."""

    def loss(self, outputs: Mapping[str, Tensor], targets: Tensor, recipe: Recipe) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            outputs: of the network, by name.
            targets: as ``prepared`` made them, mixed or not.
            recipe: label smoothing.
        """
