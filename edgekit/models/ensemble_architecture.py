"""What an ensemble looks like, as a value: its members, which see the same image and tell the same classes apart.

NOTES for developers: no torch in here, as in ``architecture``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

from edgekit.errors import ArtifactError, ConfigError
from edgekit.models.architecture import Architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.architecture import Options, Size

FAMILY: Final = "ensemble"  # what tells a saved one from its siblings
_SHARED: Final = "resolution"  # of all members, so it is written once


@dataclass(frozen=True, slots=True)
class EnsembleArchitecture:
    """Several networks whose logits are averaged.

    Attributes:
        members: of any families.

    Raises:
        ConfigError: there are fewer than two, or they take other images, or tell apart another number of classes.
    """

    members: tuple[Architecture, ...]

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ConfigError("an ensemble of one network is that network: give two or more")
        first = self.members[0]
        for number, other in enumerate(self.members[1:], 2):
            for what, ours, theirs in (
                ("images of", [first.in_channels, *first.size], [other.in_channels, *other.size]),
                ("classes:", first.num_classes, other.num_classes),
            ):
                if ours != theirs:
                    raise ConfigError(
                        f"networks 1 ({first.name}) and {number} ({other.name}) cannot be averaged, for they have "
                        f"{what} {ours} and {theirs}"
                    )

    @property
    def family(self) -> str:
        """What stands in the place of a family's name."""
        return FAMILY

    @property
    def num_classes(self) -> int:
        """How many logits come out."""
        return self.members[0].num_classes

    @property
    def resolution(self) -> int | Size:
        """Height and width of the image in pixels, as ``Architecture`` has it."""
        return self.members[0].resolution

    @property
    def size(self) -> Size:
        """Height and width of the image, in pixels."""
        return self.members[0].size

    @property
    def in_channels(self) -> int:
        """Of the image."""
        return self.members[0].in_channels

    @property
    def name(self) -> str:
        """How many there are, and the size of the image: "ensemble_of_3_224"."""
        return f"{FAMILY}_of_{len(self.members)}_{'x'.join(str(side) for side in dict.fromkeys(self.size))}"

    def with_options(self, **options: Unpack[Options]) -> EnsembleArchitecture:
        """The same for images of another size.

        Raises:
            ConfigError: another option is given, which each member has for itself.
        """
        own = [name for name in options if name != _SHARED]
        if own:
            raise ConfigError(f"model.{own[0]} is set, and each network of an ensemble says that itself: leave it out")
        return EnsembleArchitecture(tuple(member.with_options(**options) for member in self.members))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        members = [member.to_dict() for member in self.members]
        for member in members:
            del member[_SHARED]
        return {"family": FAMILY, _SHARED: self.resolution, "members": members}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> EnsembleArchitecture:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: a field is missing, unknown or invalid.
        """
        try:
            members = [{**member, _SHARED: values[_SHARED]} for member in values["members"]]
            return EnsembleArchitecture(tuple(map(Architecture.from_dict, members)))
        except (KeyError, TypeError, ConfigError) as error:
            raise ArtifactError(f"not a saved ensemble ({error}): combine its networks again") from error
