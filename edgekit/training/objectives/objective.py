"""What the training loop asks of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.training.recipe import Recipe


class Objective(Protocol):
    """The loss of a task, and what its targets look like in a batch. Their types are the task's own.

    Attributes:
        mixes: whether two images and their targets may be mixed into one (mixup, CutMix): what ``prepared`` gives is
            one tensor then.
    """

    mixes: bool

    def prepared(self, targets: Any, device: str) -> Any:  # noqa: ANN401 - each task has a type of its own
        """The targets of a batch as the loss takes them.

        Args:
            targets: ``Batch.targets``, as the data have them.
            device: of the outputs.
        """

    def truth(self, batches: Sequence[Any]) -> Any:  # noqa: ANN401 - likewise
        """The targets of all validation images as the task measures with them.

        Args:
            batches: ``Batch.targets`` of each batch, in order.
        """

    def loss(self, outputs: Mapping[str, Tensor], targets: Any, recipe: Recipe) -> Tensor:  # noqa: ANN401 - likewise
        """The loss of a batch, a scalar.

        Args:
            outputs: of the network, by name.
            targets: as ``prepared`` made them, mixed or not.
            recipe: label smoothing.
        """
