"""The texts stored beside the program: a TorchScript program says neither shapes nor what its numbers mean.

``edgekit.json`` is the metadata, ``endpoints.json`` the input and the output. Any loader of TorchScript hands them out:
``torch.jit.load(path, _extra_files={"edgekit.json": ""})``, ``Module.load(path, extraFiles)`` on Android.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_FILE = f"{KEY}.json"
ENDPOINTS_FILE = "endpoints.json"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file says about itself."""

    metadata: Metadata
    input: Endpoint
    output: Endpoint

    def to_extra_files(self) -> dict[str, str]:
        """The texts by file name; equal contents give equal texts."""
        endpoints = {"input": asdict(self.input), "output": asdict(self.output)}
        return {METADATA_FILE: self.metadata.to_json(), ENDPOINTS_FILE: json.dumps(endpoints, sort_keys=True)}

    @staticmethod
    def from_extra_files(texts: Mapping[str, str]) -> Contents:
        """The inverse of ``to_extra_files``.

        Raises:
            KeyError, ValueError, TypeError: a text is missing, or is not what ``to_extra_files`` writes.
        """
        endpoints = json.loads(texts[ENDPOINTS_FILE])
        return Contents(
            Metadata.from_json(texts[METADATA_FILE]), _endpoint(endpoints["input"]), _endpoint(endpoints["output"])
        )


def _endpoint(values: Mapping[str, object]) -> Endpoint:
    endpoint = Endpoint(**values)  # type: ignore[arg-type]  # JSON values
    return Endpoint(endpoint.name, endpoint.dtype, tuple(endpoint.shape), endpoint.scale, endpoint.zero_point)
