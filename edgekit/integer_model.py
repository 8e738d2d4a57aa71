"""The integer model: every integer of a quantized network, fixed once. Exporters only write it down.

On disk (``*.edgekit``) it is a NumPy .npz archive: the weights and biases by name, and one entry ``model.json`` with
everything else. Equal models give equal bytes. Nothing in it is code, and loading it runs none.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.ir.serialization import graph_from_dict, graph_to_dict
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import QuantParams, Ratio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.ir import Graph

FORMAT_VERSION = 1
SUFFIX = ".edgekit"
_HEADER = "model.json"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class IntegerModel:
    """A quantized network, complete.

    Attributes:
        graph: canonical nodes (Conv2d, Linear, Add, Mul, Mean, Pad, Flatten); its constants are integers: int8 weights and
            operands, int32 biases.
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
        buffer = io.BytesIO()
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        np.savez(buffer, **{_HEADER: np.frombuffer(text, np.uint8)}, **dict(self.graph.constants))
        files.write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> IntegerModel:
        """Read a saved model.

        Raises:
            ArtifactError: the file is missing, damaged, or of another format version.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            header = json.loads(arrays.pop(_HEADER).tobytes())
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist") from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"{path} is not an edgekit integer model, or is damaged: export it again") from error
        if header.get("format_version") != FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format version {header.get('format_version')}, this edgekit reads {FORMAT_VERSION}: "
                f"export it again"
            )
        return IntegerModel(
            graph=graph_from_dict(header["graph"], arrays),
            params={
                name: QuantParams(np.array(p["scale"], np.float32), p["zero_point"])
                for name, p in header["params"].items()
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
