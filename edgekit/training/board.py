"""TensorBoard's event files, where tensorboard is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from edgekit.training.loop import Epoch


class Board:
    """What TensorBoard shows of a run: learning rate, loss and metrics of each epoch.

    Args:
        folder: of its files.
        epochs_done: of a run that is gone on with: what was written beyond them does not count any more.
    """

    def __init__(self, folder: Path, epochs_done: int) -> None:
        self._writer: Any = None
        if self.is_there():
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - 2 s, where it is used

            self._writer = SummaryWriter(str(folder), purge_step=epochs_done + 1)

    @staticmethod
    def is_there() -> bool:
        """Whether tensorboard is installed."""
        return find_spec("tensorboard") is not None

    def __enter__(self) -> Self:
        return self

    def add(self, epoch: Epoch) -> None:
        """Write an epoch."""
        if self._writer is None:
            return
        values = {"lr": epoch.lr, "loss": epoch.loss, **{one.metric.name: one.value for one in epoch.measured}}
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
