"""A Keras model's configuration as layers, in the order in which they act.

Sources: keras/src/layers (each class's get_config), and keras/src/models/functional.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONVS = ("Conv2D", "DepthwiseConv2D")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its class, its name, its settings, and the constants that it is called with."""

    kind: str
    name: str
    settings: Mapping[str, Any] = field(repr=False)
    constants: tuple[Any, ...] = ()

    @property
    def activation(self) -> str:
        """The function of a layer, which most have as a setting; "linear" where there is none."""
        if self.kind == "ReLU":
            return _relu(self)
        if self.kind == "Softmax":
            return "softmax"
        given = self.settings.get("activation") if self.kind in {*CONVS, "Dense", "Activation"} else None
        if isinstance(given, dict):
            inner = given.get("config")
            given = inner if isinstance(inner, str) else given.get("class_name") or given.get("registered_name")
        return str(given or "linear").rpartition(">")[2]


def layers_of(config: Mapping[str, Any]) -> tuple[Layer, ...]:
    """All layers in order; those of models inside the model stand in their model's place."""
    return tuple(_walk(config.get("config", config)))


def _walk(config: Any) -> Iterator[Layer]:  # noqa: ANN401 - JSON
    rows = config if isinstance(config, list) else config.get("layers", ()) if isinstance(config, dict) else ()
    for row in rows:
        settings = row.get("config", {})
        inside = list(_walk(settings))
        if inside:
            yield from inside
        else:
            name = str(settings.get("name", row.get("name", ""))) if isinstance(settings, dict) else ""
            yield Layer(row["class_name"].rpartition(">")[2], name, settings, tuple(_constants(row)))


def _constants(row: Mapping[str, Any]) -> Iterator[Any]:
    """Numbers among a call's arguments: Keras 2 keeps them as "y", Keras 3 among "args"."""
    for node in row.get("inbound_nodes", ()):
        if isinstance(node, dict):
            found = [*node.get("args", ()), *node.get("kwargs", {}).values()]
        else:
            calls = [node] if node and isinstance(node[0], str) else node
            found = [call[3].get("y") for call in calls if isinstance(call, list) and len(call) > 3]
        yield from (value for value in found if _is_numeric(value))


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_numeric, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _relu(layer: Layer) -> str:
    """Which function a ReLU layer is; one with a slope or a threshold goes by its settings."""
    top = layer.settings.get("max_value")
    slope, threshold = layer.settings.get("negative_slope") or 0, layer.settings.get("threshold") or 0
    if slope or threshold or top not in {None, 6}:
        return f"ReLU with max_value {top}, negative_slope {slope}, threshold {threshold}"
    return "relu" if top is None else "relu6"
