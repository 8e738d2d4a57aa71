"""The files of a chain in their runtimes: the exit of each image, and its logits there, against the reference."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.device.chain import MAP
from edgekit.device.exits import taken
from edgekit.exporters.formats import format_of
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import decode, encode
from edgekit.verification.integer_parity import compare_integers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.device.exits import ExitRule
    from edgekit.exporters.metadata import Metadata
    from edgekit.integer_model import IntegerModel
    from edgekit.runtimes.runner import Runner
    from edgekit.tasks.values import Outputs
    from edgekit.verification.integer_parity import IntegerParity

EXITS: Final = "the exit taken"
LOGITS: Final = "the logits there"


class ChainRunner:
    """The files of a chain in one runtime, for batches of images."""

    def __init__(self, runners: Sequence[Runner], stages: Sequence[IntegerModel], rules: Sequence[ExitRule]) -> None:
        self._runners, self._stages, self._rules = runners, stages, rules
        self.name = runners[0].name
        self.differs_because = next((one.differs_because for one in runners if one.differs_because), None)
        self.exits: list[NDArray[np.intp]] = []
        self.logits: list[NDArray[np.int8]] = []

    def run(self, pixels: NDArray[np.uint8], abouts: Sequence[Metadata]) -> None:
        """Run a batch [N, H, W, C], each stage on the images that reach it, and keep where they leave, with what."""
        given: NDArray[Any] = encode(pixels, abouts[0], self._stages[0].params[self._stages[0].graph.input])
        there = np.arange(len(pixels))
        exits = np.zeros(len(pixels), np.intp)
        logits = np.zeros((len(pixels), *self._shape), np.int8)
        for place, (runner, model, about) in enumerate(zip(self._runners, self._stages, abouts, strict=True)):
            found = runner.run(given)
            output = model.graph.outputs[0]
            own = decode(found[output.name], about.io_dtype, model.params[output.tensor])
            is_last = place == len(self._stages) - 1
            leaves = np.ones(len(there), np.bool_) if is_last else self._rules[place].leaves(own)
            exits[there[leaves]], logits[there[leaves]] = place, own[leaves]
            there = there[~leaves]
            if not len(there):
                break
            given = np.ascontiguousarray(found[MAP][~leaves])
        self.exits.append(exits)
        self.logits.append(logits)

    def against(self, reference: Outputs) -> tuple[IntegerParity, ...]:
        """Exits and logits that were kept, against the outputs of the whole integer model on the same images."""
        everything = [reference[model.graph.outputs[0].name] for model in self._stages]
        wanted = taken(everything, self._rules)
        answers = np.stack(everything)[wanted, np.arange(len(wanted))]
        exits, logits = np.concatenate(self.exits), np.concatenate(self.logits)
        return (
            compare_integers(self.name, _places(exits), _places(wanted), output=EXITS),
            compare_integers(self.name, logits, answers, output=LOGITS),
        )

    @property
    def _shape(self) -> tuple[int, ...]:
        output = self._stages[0].graph.outputs[0]
        return self._stages[0].graph.tensors[output.tensor].shape


def _places(exits: NDArray[np.intp]) -> NDArray[np.int8]:
    return exits[:, None].astype(np.int8)


@contextmanager
def opened(
    paths: Sequence[Path], stages: Sequence[IntegerModel], rules: Sequence[ExitRule]
) -> Iterator[tuple[list[ChainRunner], list[Metadata]]]:
    """The files of a chain, in each way in which this machine runs their format, and what they say of themselves.

    Raises:
        ArtifactError: a file is damaged.
        MissingDependency: the runtime is not installed.
    """
    abouts = [format_of(path).read(path).metadata for path in paths]
    known = [about for about in abouts if about is not None]
    with ExitStack() as stack:
        ways = zip(*(all_runners(path) for path in paths), strict=True)
        yield [ChainRunner([stack.enter_context(make()) for make in way], stages, rules) for way in ways], known
