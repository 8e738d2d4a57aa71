"""What a network for tasks looks like, as a value: a backbone, and the heads on it.

NOTES for developers: no torch in here, as in ``architecture``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Unpack

from edgekit.errors import ArtifactError, ConfigError, did_you_mean
from edgekit.models.architecture import Architecture
from edgekit.models.head_specs import VectorSpec, spec_from
from edgekit.models.head_tasks import EXITS, task_of_heads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from edgekit.models.architecture import Options, Size
    from edgekit.models.head_specs import HeadSpec

HEADS: Final = "heads"  # what tells a saved one from its siblings
# What an architecture says of its classifier, as it is where there is none.
_NO_CLASSIFIER: Final[dict[str, Any]] = {
    "num_classes": 1,
    "hidden_channels": (),
    "head_activation": None,
    "keeps_hidden": False,
}


@dataclass(frozen=True, slots=True)
class TaskArchitecture:
    """Heads on a backbone. ``edgekit.models.heads.making`` makes it, and ``edgekit.models.building.built`` a module.

    That module takes images [N, C, H, W] and gives a dict of outputs by name, in the order of ``output_names``. Like a
    classifier it has ``maps``, the feature maps of its backbone in the order in which they act (``map.module`` is the
    name of a part of the network, the same as in the backbone's classifier), and ``recomputes``, whether training keeps
    what lies within these. Weights of the backbone have the same keys as in a classifier of it, those of a head begin
    with its name.

    Attributes:
        backbone: what it says of a classifier is left out.
        heads: one or several.

    Raises:
        ConfigError: there is no head, two have one name, or exits stand beside other heads or tell other classes apart.
    """

    backbone: Architecture
    heads: tuple[HeadSpec, ...]

    def __post_init__(self) -> None:
        names = [head.name for head in self.heads]
        if not names:
            raise ConfigError("a network needs a head: give at least one")
        if len(set(names)) < len(names):
            raise ConfigError(f"two heads have one name ({', '.join(names)}): give each its own")
        about = {(head.things if head.task == EXITS else 0) for head in self.heads}
        if any(about) and len(about) > 1:
            raise ConfigError("exits are classifiers of the same classes, and stand on a backbone without other heads")
        object.__setattr__(self, "backbone", replace(self.backbone, **_NO_CLASSIFIER))

    @property
    def family(self) -> str:
        """Of the backbone."""
        return self.backbone.family

    @property
    def num_classes(self) -> int:
        """How many things labels name: those of all heads; of exits, which name the same, those of one."""
        return self.heads[0].things if self.task == EXITS else sum(head.things for head in self.heads)

    @property
    def task(self) -> str:
        """What it is for, as ``--task`` takes it."""
        return task_of_heads([head.task for head in self.heads])

    @property
    def resolution(self) -> int | Size:
        """Height and width of the image in pixels, as ``Architecture`` has it."""
        return self.backbone.resolution

    @property
    def size(self) -> Size:
        """Height and width of the image, in pixels."""
        return self.backbone.size

    @property
    def in_channels(self) -> int:
        """Of the image."""
        return self.backbone.in_channels

    @property
    def name(self) -> str:
        """Kinds of the heads, and the backbone: "ssd_mobilenet_v2_1.0_320"."""
        return "_".join((*dict.fromkeys(head.kind for head in self.heads), self.backbone.name))

    def output_names(self, head: HeadSpec) -> dict[str, str]:
        """What the outputs of a head are called, by their names in ``head.outputs``, in that order.

        Those are their names where there is one head. Of several heads the head's name comes before them
        ("signs_boxes"), and stands alone where they are one vector.
        """
        if len(self.heads) == 1:
            return {output: output for output in head.outputs}
        if isinstance(head, VectorSpec):
            return dict.fromkeys(head.outputs, head.name)
        return {output: f"{head.name}_{output}" for output in head.outputs}

    def only(self, names: Collection[str]) -> TaskArchitecture:
        """This network with those of its heads, in its own order.

        Raises:
            ConfigError: none is named, or one that it does not have.
        """
        known = [head.name for head in self.heads]
        for name in names:
            if name not in known:
                raise ConfigError(f"{self.name} has no head {name!r}: {did_you_mean(name, known)}")
        return replace(self, heads=tuple(head for head in self.heads if head.name in names))

    def with_options(self, **options: Unpack[Options]) -> TaskArchitecture:
        """This network with another backbone, and priors for images of its size.

        Raises:
            ConfigError: an option is of a classifier, or a value is invalid.
        """
        own = [name for name in options if name in _NO_CLASSIFIER]
        if own:
            raise ConfigError(f"model.{own[0]} is set, and {self.name} has no classifier: leave it out")
        backbone = self.backbone.with_options(**options)
        return replace(self, backbone=backbone, heads=tuple(head.at(backbone.size) for head in self.heads))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        backbone = {name: value for name, value in self.backbone.to_dict().items() if name not in _NO_CLASSIFIER}
        return {**backbone, HEADS: [head.to_dict() for head in self.heads]}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TaskArchitecture:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: a field is missing, unknown or invalid.
        """
        backbone = {**_NO_CLASSIFIER, **{name: value for name, value in values.items() if name != HEADS}}
        try:
            heads = tuple(map(spec_from, values[HEADS]))
            return TaskArchitecture(Architecture.from_dict(backbone), heads)
        except (KeyError, TypeError, ConfigError) as error:
            raise ArtifactError(f"not a saved network with heads ({error}): save it again") from error


def outputs_by_head(heads: Sequence[str], outputs: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a network calls the outputs of each head, by what its task calls them (``TaskArchitecture.output_names``).

    >>> outputs_by_head(["a", "a_b", "c"], ["a_boxes", "a_scores", "a_b"])
    {'a': {'boxes': 'a_boxes', 'scores': 'a_scores'}, 'a_b': {'a_b': 'a_b'}, 'c': {}}
    """
    found: dict[str, dict[str, str]] = {head: {} for head in heads}
    for called in outputs:
        owners = (head for head in heads if called == head or called.startswith(f"{head}_"))
        if (owner := max(owners, key=len, default=None)) is not None:
            found[owner][called.removeprefix(f"{owner}_")] = called
    return found
