"""What a format is: everything that the rest of edgekit has to know of it.

NOTES for developers: the command line lists formats before it does anything, so this imports neither numpy nor a
toolchain until a file is written or read.
"""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgekit import files
from edgekit.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.exporters.contents import ContentDifference, Contents
    from edgekit.exporters.metadata import Head, IoDtype, Precision
    from edgekit.exporters.summary import Summary, Violation
    from edgekit.extras import Distribution
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph


class Codec(Protocol):
    """What writes and reads the files of a format: a module, or anything else with these functions.

    All of them may raise ArtifactError where a file is missing or damaged, BadInput where it cannot be written, and
    MissingDependency.
    """

    @property
    def write_integer_model(self) -> Callable[..., None]:
        """Write an int8 file: (model, path, *, io_dtype, head, batch, and options of the format)."""
        ...

    @property
    def write_float_model(self) -> Callable[..., None]:
        """Write a float file: (model, path, *, precision, head, batch, and options of the format)."""
        ...

    def read(self, path: Path) -> Summary:
        """A finished file, counted."""
        ...

    def read_contents(self, path: Path) -> Contents:
        """Everything that a finished file says, with the options that make the writers write such a file."""
        ...

    def violations(self, path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
        """What is wrong with a finished file, whatever it is of, and what a named runtime lacks."""
        ...

    def activation_names(self, graph: Graph) -> Mapping[str, tuple[str, ...]]:
        """What each tensor of ``graph`` may be called in a file, by its name in the graph; the likeliest first."""
        ...


def _no_options(chosen: Mapping[str, Any], precision: Precision, *, int16: bool) -> dict[str, Any]:
    """Those of a format whose writers take no options of their own."""
    del chosen, precision, int16
    return {}


@dataclass(frozen=True, slots=True)
class Format:
    """One target format.

    Attributes:
        name: as on the command line.
        suffix: of its files.
        title: as people write it.
        distributions: packages that have a part in the bytes of a file. Those with a module are needed for writing;
            reading may do with fewer.
        install: what pip has to install for them ("edgekit[onnx]").
        codec: gives what writes and reads it; called when that is needed, so that it may import toolchains.
        is_folder: a file of it is a folder, which is called a package.
        by_default: it is written where no format is named.
        channels_last: its arrays are [N, H, W, C].
        io_dtypes: what int8 files can take and give.
        int16: whether layers can have 16-bit activations.
        suppresses: its files can hold non-maximum suppression behind a detector.
        oldest_runtime: the key of [verify] that names the oldest runtime that has to run its files; None where there is
            none.
        lacks: precisions that no file of it can have, with the reason.
        options: what its writers are told of the settings: (settings of [export] by key, precision, whether layers have
            16-bit activations) -> options. Raises ConfigError where no file can be written so.
        network_input: names of a tensor inside of a file that stands for the network's input, where the file's own
            input does not.
    """

    name: str
    suffix: str
    title: str
    distributions: tuple[Distribution, ...]
    install: str
    codec: Callable[[], Codec]
    is_folder: bool = False
    by_default: bool = False
    channels_last: bool = False
    io_dtypes: tuple[str, ...] = ("float32", "int8", "uint8")
    int16: bool = False
    suppresses: bool = False
    oldest_runtime: str | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)
    options: Callable[..., dict[str, Any]] = _no_options
    network_input: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """What writing imports, beside what edgekit needs anyway."""
        return tuple(used.module for used in self.distributions if used.module is not None)

    def check_installed(self) -> None:
        """Say early what will be missing.

        Raises:
            MissingDependency: a package is not installed.
        """
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                raise self._missing(module)

    def check_boundary(self, io_dtype: IoDtype, head: Head) -> None:
        """Say early what int8 files of this format cannot take and give.

        Raises:
            ConfigError: it is ``io_dtype``, or ``head`` together with it.
        """
        from edgekit.exporters.metadata import check_head  # noqa: PLC0415 - see the notes above

        check_head(io_dtype, head)
        if io_dtype not in self.io_dtypes:
            raise ConfigError(
                f"int8 files for {self.title} take and give {' or '.join(self.io_dtypes)}, not {io_dtype}: "
                f"choose another --io-dtype, or leave {self.name} out of the targets"
            )

    def check_activations(self, *, int16: bool) -> None:
        """Say early that layers cannot have 16-bit activations in this format.

        Raises:
            ConfigError: some are to have.
        """
        if int16 and not self.int16:
            raise ConfigError(
                f"{self.title} has no 16-bit activations: use --keep-float for these layers, or leave {self.name} out "
                f"of the targets"
            )

    def check_endings(self, provenance: Mapping[str, Any]) -> None:
        """Say early that no file of this format can suppress boxes behind a network of such a provenance.

        Raises:
            ConfigError: it has to.
        """
        from edgekit.suppression import SUPPRESSION  # noqa: PLC0415 - see the notes above

        if provenance.get(SUPPRESSION) and not self.suppresses:
            raise ConfigError(
                f"{self.title} has no operator for non-maximum suppression: use --outputs decoded, whose boxes an "
                f"application suppresses itself, or leave {self.name} out of the targets"
            )

    def write_integer_model(
        self, model: IntegerModel, path: Path, *, io_dtype: IoDtype, options: Mapping[str, Any] | None = None
    ) -> None:
        """Write an int8 file; ``options`` are the format's own, see its package.

        Raises:
            ConfigError: the format cannot hold layers with 16-bit activations, and the model has some; or boxes are to
                be suppressed, and it cannot do that.
        """
        self.check_endings(model.provenance)
        self.check_activations(int16=bool(model.int16_nodes))
        self._opened().write_integer_model(model, path, io_dtype=io_dtype, **(options or {}))

    def write_float_model(
        self, model: FloatModel, path: Path, *, precision: Precision, options: Mapping[str, Any] | None = None
    ) -> None:
        """Write a float32 or float16 file; ``options`` are the format's own, see its package.

        Raises:
            ConfigError: boxes are to be suppressed, and the format cannot do that.
        """
        self.check_endings(model.provenance)
        self._opened().write_float_model(model, path, precision=precision, **(options or {}))

    def read(self, path: Path) -> Summary:
        """Read a finished file back; see the format's own package."""
        return self._opened().read(path)

    def contents(self, path: Path) -> Contents:
        """Everything that a finished file says; see the format's own package."""
        return self._opened().read_contents(path)

    def violations(self, path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
        """What is wrong with a finished file, whatever it is of, and what a named runtime lacks; see the package."""
        return self._opened().violations(path, runtime)

    def activation_names(self, graph: Graph) -> Mapping[str, tuple[str, ...]]:
        """What each tensor of ``graph`` may be called in a file, by its name in the graph; the likeliest first."""
        return self._opened().activation_names(graph)

    def irregularities(self, path: Path) -> tuple[str, ...]:
        """What is not as edgekit writes it in a file that says edgekit wrote it; nothing of files of other tools.

        Raises:
            ArtifactError: the file is missing or damaged.
            MissingDependency: the package that reads the format is not installed.
        """
        if self.read(path).metadata is None:
            return ()
        return tuple(f"{broken.name} {broken.text}" if broken.name else broken.text for broken in self.violations(path))

    def differences(self, path: Path, model: IntegerModel | FloatModel) -> tuple[ContentDifference, ...]:
        """How a finished file differs from the one that would be written of ``model`` now.

        Returns:
            Nothing if both say the same, whatever their bytes: the form of metadata, and what others have added to it,
            are no differences. A file for another boundary or an older runtime is compared with such a one.

        Raises:
            ArtifactError: the file is missing or damaged.
            ConfigError: the format cannot hold the model.
            MissingDependency: the package that reads and writes the format is not installed.
        """
        from edgekit.exporters.contents import differences  # noqa: PLC0415 - see the notes above
        from edgekit.exporters.metadata import IoDtype, outputs_in_float  # noqa: PLC0415 - likewise
        from edgekit.integer_model import IntegerModel  # noqa: PLC0415 - likewise

        found = self.contents(path)
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / f"model{self.suffix}"
            if isinstance(model, IntegerModel):
                io_dtype = IoDtype.FLOAT32 if outputs_in_float(model) else found.io_dtype  # those leave no choice
                self.write_integer_model(model, written, io_dtype=io_dtype, options=found.options)
            else:
                self.write_float_model(model, written, precision=found.precision, options=found.options)
            if files.same_bytes(path, written):
                return ()
            return differences(found, self.contents(written))

    def _opened(self) -> Codec:
        try:
            return self.codec()
        except ModuleNotFoundError as error:
            if error.name not in self.modules:
                raise
            raise self._missing(error.name) from error

    def _missing(self, module: str) -> MissingDependency:
        return MissingDependency(f"{self.title} needs {module}: pip install '{self.install}'")
