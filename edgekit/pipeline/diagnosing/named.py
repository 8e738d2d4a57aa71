"""Which of the paths on a command line are a trained network, a training run, or exported files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.errors import ArtifactError, ConfigError, EdgekitError
from edgekit.exporters.formats import FORMATS
from edgekit.integer_model import SUFFIX
from edgekit.models.folders import RUN
from edgekit.pipeline.making.artifacts import RECORDS
from edgekit.pipeline.making.run import LOG

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SUFFIXES: Final = {form.suffix for form in FORMATS.values()}


@dataclass(frozen=True, slots=True)
class Named:
    """What a command line names.

    Attributes:
        network: a checkpoint, or the folder of a training run; None where only files are named.
        files: exported ones.
    """

    network: Path | None
    files: tuple[Path, ...]

    def with_network(self, network: Path | None) -> Named:
        """The same files, of a network that is named elsewhere."""
        return Named(network, self.files)

    @property
    def run(self) -> Path | None:
        """The folder of the training run; None where there is none."""
        if self.network is None:
            return None
        folder = self.network if self.network.is_dir() else self.network.parent
        return folder if (folder / RUN).exists() else None

    @property
    def log(self) -> Path | None:
        """The log of the training, where a run is named."""
        log = None if self.run is None else self.run / LOG
        return log if log is not None and log.exists() else None


def sorted_out(paths: Sequence[Path]) -> Named:
    """Which paths are the trained network, and which are files that edgekit exported.

    Raises:
        ArtifactError: a path does not exist, or a folder holds nothing that can be diagnosed.
        ConfigError: two networks are named.
        ArtifactError: a folder holds neither a training run nor exported files.
    """
    networks: list[Path] = []
    files: list[Path] = []
    for path in paths:
        if path.is_dir() and path.suffix not in _SUFFIXES and not (path / RUN).exists():
            inside = [one for one in sorted(path.iterdir()) if one.suffix in _SUFFIXES and _is_exported(one)]
            if not inside:
                raise ArtifactError(f"{path} holds neither a training run nor files that edgekit exported")
            files += inside
        elif path.suffix == SUFFIX or path.name.endswith(RECORDS):
            continue  # as in a shell's NAME.*: they are found beside the files
        else:
            (files if _is_exported(path) else networks).append(path)
    missing = next((path for path in networks if not path.exists()), None)
    if missing is not None:
        raise ArtifactError(f"{missing} does not exist: name a checkpoint, a run, or files that edgekit exported")
    if len(networks) > 1:
        raise ConfigError(f"{networks[0]} and {networks[1]} are two networks, and one is diagnosed at a time")
    return Named(networks[0] if networks else None, tuple(files))


def _is_exported(path: Path) -> bool:
    """Whether it is a file that edgekit wrote, by what it says of itself."""
    form = next((form for form in FORMATS.values() if form.suffix == path.suffix), None)
    try:
        return form is not None and form.read(path).metadata is not None
    except EdgekitError:
        return False
