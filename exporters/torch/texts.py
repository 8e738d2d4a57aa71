"""The texts stored beside the program: a TorchScript program says neither shapes nor what its numbers mean.

``edgekit.json`` is the metadata, ``program.json`` the input, the outputs in the order in which ``forward`` gives them,
and the engine that the layers were laid out for. Any loader of TorchScript hands them out:
``torch.jit.load(path, _extra_files={"edgekit.json": ""})``, ``Module.load(path, extraFiles)`` on Android.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.origins import Recorder

METADATA_FILE = f"{KEY}.json"
PROGRAM_FILE = "program.json"

Engine = Literal["fbgemm", "qnnpack"]


@dataclass(frozen=True, slots=True)
class Texts:
    """What a file says about itself.

    Attributes:
        metadata: as in every format.
        input: of ``forward``.
        outputs: of ``forward``, in order.
        engine: the quantized engine that the layers were laid out for; None in a file without quantized operators.
        origins: of the statements of ``forward``, where the file is yet to be written.
    """

    metadata: Metadata
    input: Endpoint
    outputs: tuple[Endpoint, ...]
    engine: Engine | None = None
    origins: Recorder | None = field(default=None, compare=False)

    def to_extra_files(self) -> dict[str, str]:
        """The texts by file name; equal contents give equal texts."""
        outputs = [asdict(output) for output in self.outputs]
        program = {"input": asdict(self.input), "outputs": outputs, "engine": self.engine}
        return {METADATA_FILE: self.metadata.to_json(self.origins), PROGRAM_FILE: json.dumps(program, sort_keys=True)}

    @staticmethod
    def from_extra_files(texts: Mapping[str, str]) -> Texts:
        """The inverse of ``to_extra_files``.

        Raises:
            KeyError, ValueError, TypeError: a text is missing, or is not what ``to_extra_files`` writes.
        """
        program = json.loads(texts[PROGRAM_FILE])
        engine = program["engine"]
        if engine is not None and engine not in get_args(Engine):
            raise ValueError(f"{engine!r} is none of {get_args(Engine)}")
        metadata = Metadata.from_json(texts[METADATA_FILE])
        # An older edgekit named the one output after a layer; it is a classifier's.
        outputs = program["outputs"] if "outputs" in program else [{**program["output"], "name": "logits"}]
        return Texts(metadata, _endpoint(program["input"]), tuple(map(_endpoint, outputs)), engine)


def given(about: Metadata) -> tuple[Endpoint, ...]:
    """The outputs of ``forward``, as the metadata have them."""
    return tuple(
        Endpoint(
            output.name,
            "int32" if output.is_mask else about.io_dtype,
            output.shape,
            output.scale,
            output.zero_point,
        )
        for output in about.outputs
    )


def _endpoint(values: Mapping[str, object]) -> Endpoint:
    endpoint = Endpoint(**values)  # type: ignore[arg-type]  # JSON values
    return Endpoint(endpoint.name, endpoint.dtype, tuple(endpoint.shape), endpoint.scale, endpoint.zero_point)
