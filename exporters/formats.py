"""The formats that can be written, by name; each is imported when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import files
from edgekit.errors import ArtifactError, ConfigError, MissingDependency, did_you_mean
from edgekit.exporters.contents import differences
from edgekit.exporters.metadata import Head, IoDtype, check_head
from edgekit.integer_model import IntegerModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.contents import ContentDifference, Contents
    from edgekit.exporters.metadata import Precision
    from edgekit.exporters.summary import Summary, Violation
    from edgekit.float_model import FloatModel


@dataclass(frozen=True, slots=True)
class Format:
    """One target format.

    Attributes:
        name: as on the command line.
        suffix: of its files.
        title: as people write it.
        modules: packages that writing needs; reading may do with fewer.
        extra: the extra of edgekit that brings them.
        io_dtypes: what int8 files can take and give.
        int16: whether layers can have 16-bit activations.
    """

    name: str
    suffix: str
    title: str
    modules: tuple[str, ...]
    extra: str
    io_dtypes: tuple[IoDtype, ...] = tuple(IoDtype)
    int16: bool = False

    def check_installed(self) -> None:
        """Say early what will be missing.

        Raises:
            MissingDependency: a package is not installed.
        """
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                raise self._missing(module)

    def check_boundary(self, io_dtype: IoDtype, head: Head = Head.LOGITS) -> None:
        """Say early what int8 files of this format cannot take and give.

        Raises:
            ConfigError: it is ``io_dtype``, or ``head`` together with it.
        """
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

    def write_integer_model(
        self, model: IntegerModel, path: Path, *, io_dtype: IoDtype, options: Mapping[str, Any] | None = None
    ) -> None:
        """Write an int8 file; ``options`` are the format's own, see its package.

        Raises:
            ConfigError: the format cannot hold layers with 16-bit activations, and the model has some.
        """
        self.check_activations(int16=bool(model.int16_nodes))
        self._package().write_integer_model(model, path, io_dtype=io_dtype, **(options or {}))

    def write_float_model(
        self, model: FloatModel, path: Path, *, precision: Precision, options: Mapping[str, Any] | None = None
    ) -> None:
        """Write a float32 or float16 file; ``options`` are the format's own, see its package."""
        self._package().write_float_model(model, path, precision=precision, **(options or {}))

    def read(self, path: Path) -> Summary:
        """Read a finished file back; see the format's own package."""
        summary: Summary = self._package().read(path)
        return summary

    def contents(self, path: Path) -> Contents:
        """Everything that a finished file says; see the format's own package."""
        contents: Contents = self._package().read_contents(path)
        return contents

    def violations(self, path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
        """What is wrong with a finished file, whatever it is of, and what a named runtime lacks; see the package."""
        violations: tuple[Violation, ...] = self._package().violations(path, runtime)
        return violations

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
        found = self.contents(path)
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / f"model{self.suffix}"
            if isinstance(model, IntegerModel):
                real = any(name not in model.params for name in model.graph.outputs)  # those leave no choice
                io_dtype = IoDtype.FLOAT32 if real else found.io_dtype
                self.write_integer_model(model, written, io_dtype=io_dtype, options=found.options)
            else:
                self.write_float_model(model, written, precision=found.precision, options=found.options)
            if files.same_bytes(path, written):
                return ()
            return differences(found, self.contents(written), model.graph)

    def _package(self) -> Any:  # noqa: ANN401 - a module
        try:
            return importlib.import_module(f"edgekit.exporters.{self.name}")
        except ModuleNotFoundError as error:
            if error.name not in self.modules:
                raise
            raise self._missing(error.name) from error

    def _missing(self, module: str) -> MissingDependency:
        return MissingDependency(f"{self.title} needs {module}: pip install 'edgekit[{self.extra}]'")


FORMATS = {
    form.name: form
    for form in (
        Format("onnx", ".onnx", "ONNX", ("onnx", "onnxsim"), "onnx", int16=True),
        Format("tflite", ".tflite", "TFLite", ("ai_edge_litert",), "tflite", int16=True),
        Format("coreml", ".mlpackage", "Core ML", ("coremltools",), "coreml", (IoDtype.FLOAT32,)),
        Format("torch", ".pt", "torch", ("torch",), "torch"),
    )
}


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        ArtifactError: there is none.
    """
    for form in FORMATS.values():
        if path.suffix == form.suffix:
            return form
    suffixes = [form.suffix for form in FORMATS.values()]
    if not path.exists():
        raise ArtifactError(f"{path} does not exist: name a file or a folder that edgekit export wrote")
    raise ArtifactError(f"{path} is no file that edgekit exports: {did_you_mean(path.suffix, suffixes)}")
