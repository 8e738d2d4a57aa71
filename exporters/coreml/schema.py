"""The protobuf classes of a Core ML model, without the rest of coremltools.

``import coremltools`` takes 3 to 5 seconds, because it brings in its converters and with them torch. Its protobuf
classes take 0.05 seconds, and they are all that writing and reading a package needs. They are imported below a stand-in
for their parent package, which is taken away at once: a later ``import coremltools`` runs as ever and finds them there.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edgekit import extras

_PACKAGE, _EXTRA = "coremltools", "coreml"


@dataclass(frozen=True, slots=True)
class Schema:
    """Generated modules; protobuf makes their classes at run time, so nothing is known of them statically.

    Attributes:
        model: Model.proto: the file, its description, metadata.
        mil: MIL.proto: programs of the Model Intermediate Language.
        features: FeatureTypes.proto: types of the inputs and outputs.
    """

    model: Any
    mil: Any
    features: Any


@functools.cache
def schema() -> Schema:
    """Import the classes.

    Raises:
        MissingDependency: coremltools is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        extras.load(_PACKAGE, _EXTRA)  # raises the error with the remedy
    assert spec is not None
    stand_in = ModuleType(_PACKAGE)
    stand_in.__path__ = list(spec.submodule_search_locations or ())
    if sys.modules.setdefault(_PACKAGE, stand_in) is not stand_in:
        return _import()  # the whole package is imported already
    try:
        return _import()
    finally:
        del sys.modules[_PACKAGE]


def _import() -> Schema:
    return Schema(
        *(importlib.import_module(f"{_PACKAGE}.proto.{name}_pb2") for name in ("Model", "MIL", "FeatureTypes"))
    )
