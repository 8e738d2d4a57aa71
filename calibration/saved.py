"""The file that keeps what a calibration found, ``NAME.ranges.json``."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from edgekit import files
from edgekit.calibration.found import Ranges
from edgekit.calibration.options import DEFAULT, Options
from edgekit.calibration.ranges import RangeMethod
from edgekit.calibration.recipe import RECIPE
from edgekit.errors import ArtifactError
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = "edgekit.ranges"
SCHEMA_VERSION = 2


def save(ranges: Ranges, path: Path) -> None:
    """Write a JSON file, all of it or nothing. Equal ranges give equal bytes, and every float is kept exactly.

    Raises:
        BadInput: the file cannot be written.
    """
    options = ranges.options
    values = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "method": options.method.value,
        "percentile": options.percentile if options.method is RangeMethod.PERCENTILE else None,
        "images": ranges.images,
        "digest": ranges.digest,
        "preprocessing": ranges.preprocessing.to_dict(),
        "provenance": dict(ranges.provenance),
        "per_tensor_weights": options.per_tensor_weights,
        "weight_bits": options.weight_bits,
        **{step.name: step.encode(ranges.found.get(step.name, {})) for step in RECIPE},
    }
    files.write_bytes(path, (json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def load(path: Path) -> Ranges:
    """Read a saved file.

    Raises:
        ArtifactError: the file is missing, damaged, or of another schema version.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise ArtifactError(f"{path} is not JSON, or is damaged: calibrate again") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ArtifactError(f"{path} holds no calibration ranges: name a file that calibration wrote")
    if values.get("schema_version") != SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {values.get('schema_version')}, this edgekit reads {SCHEMA_VERSION}: "
            f"calibrate again"
        )
    try:
        return Ranges(
            found={
                step.name: step.decode(values[step.name]) for step in RECIPE if step.is_required or step.name in values
            },
            images=int(values["images"]),
            digest=str(values["digest"]),
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            options=_options(values),
            provenance=dict(values["provenance"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise ArtifactError(f"{path} is damaged ({error}): calibrate again") from error


def _options(values: Mapping[str, Any]) -> Options:
    percentile, provenance = values["percentile"], values["provenance"]
    return Options(
        method=RangeMethod(values["method"]),
        percentile=DEFAULT.percentile if percentile is None else float(percentile),
        keep_float=tuple(provenance.get("kept_float", ())),
        int16=tuple(provenance.get("int16", ())),
        per_tensor_weights=bool(values["per_tensor_weights"]),
        weight_bits=int(values.get("weight_bits", 8)),  # files from before weights could have another number
    )
