"""The integer model: every integer of a quantized network, fixed once. Exporters only write it down.

On disk (``*.edgekit``) it is a NumPy .npz archive: the weights and biases by name, and one entry ``model.json`` with
everything else. Equal models give equal bytes. Nothing in it is code, and loading it runs none.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.ir.graph import check
from edgekit.ir.serialization import graph_from_dict, graph_to_dict
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import QuantParams, Ratio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.ir import Graph

FORMAT_VERSION = 1
SUFFIX = ".edgekit"
_HEADER = "model.json"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class IntegerModel:
    """A quantized network, complete.

    Attributes:
        graph: canonical nodes (Conv2d, Linear, Add, Mul, Mean, Pad, Flatten); its constants are integers: int8 weights
            and operands, int32 biases.
        params: quantization parameters by name, of activations and of int8 constants.
        ratios: requantization ratios by node name; Pad and Flatten have none.
        preprocessing: how an image becomes pixels.
        normalization: what one pixel means at the input tensor: real = (pixel - mean) / std. Where normalization was
            folded into the first convolution this is not the preprocessing's own.
        pixel_input: the int8 input is pixel - 128, exactly (False: the float preprocessing stays outside).
        labels: class names, in order; empty where none are known.
        profile: the lowering profile; only files of one profile are claimed identical.
        provenance: where it comes from (checkpoint hash, architecture, ranges), JSON values.
    """

    graph: Graph
    params: Mapping[str, QuantParams]
    ratios: Mapping[str, Ratio]
    preprocessing: Preprocessing
    normalization: Normalization
    pixel_input: bool
    labels: tuple[str, ...] = ()
    profile: str = "universal"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The int8 input [N, C, H, W] for pixels [N, H, W, C]."""
        if self.pixel_input:
            return np.ascontiguousarray((pixels.astype(np.int16) - 128).astype(np.int8).transpose(0, 3, 1, 2))
        return self.params[self.graph.input].quantize(self.normalization(pixels))

    def save(self, path: Path) -> None:
        """Write the model to ``path``, all of it or nothing.

        Raises:
            BadInput: the file cannot be written.
        """
        header = {
            "format_version": FORMAT_VERSION,
            "graph": graph_to_dict(self.graph),
            "params": {
                name: {"scale": [float(s) for s in p.scale], "zero_point": p.zero_point}
                for name, p in self.params.items()
            },
            "ratios": {
                name: {"numerator": r.numerator.tolist(), "denominator": r.denominator.tolist()}
                for name, r in self.ratios.items()
            },
            "preprocessing": self.preprocessing.to_dict(),
            "normalization": {"mean": self.normalization.mean, "std": self.normalization.std},
            "pixel_input": self.pixel_input,
            "labels": list(self.labels),
            "profile": self.profile,
            "provenance": dict(self.provenance),
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        arrays = {_HEADER: np.frombuffer(text, np.uint8), **self.graph.constants}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        files.write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> IntegerModel:
        """Read a saved model.

        Raises:
            ArtifactError: the file is missing, damaged, or of another format version.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist") from error
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
            version = header["format_version"]
            model = _from_header(header, arrays) if version == FORMAT_VERSION else None
        except Exception as error:  # there is nothing that a damaged file cannot make zipfile and numpy raise
            raise ArtifactError(f"{path} is not an edgekit integer model, or is damaged: export it again") from error
        if model is None:
            raise ArtifactError(
                f"{path} has format version {version}, this edgekit reads {FORMAT_VERSION}: export it again"
            )
        return model


def _from_header(header: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]) -> IntegerModel:
    """A model from what was saved; raises anything if that makes no sense."""
    graph = graph_from_dict(header["graph"], constants)
    check(graph)
    model = IntegerModel(
        graph=graph,
        params={
            name: QuantParams(np.array(p["scale"], np.float32), p["zero_point"]) for name, p in header["params"].items()
        },
        ratios={
            name: Ratio(np.array(r["numerator"], np.int64), np.array(r["denominator"], np.int64))
            for name, r in header["ratios"].items()
        },
        preprocessing=Preprocessing.from_dict(header["preprocessing"]),
        normalization=Normalization(*(tuple(header["normalization"][key]) for key in ("mean", "std"))),
        pixel_input=header["pixel_input"],
        labels=tuple(header["labels"]),
        profile=header["profile"],
        provenance=header["provenance"],
    )
    assert graph.tensors.keys() <= model.params.keys(), "a tensor has no parameters"
    assert all(array.dtype in (np.int8, np.int32) for array in constants.values()), "a constant is no integer"
    return model
