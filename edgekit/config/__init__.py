"""edgekit.toml: its sections, its keys, and how it is read together with the flags of a command."""

from edgekit.config.pruning import PruneSettings, RankName
from edgekit.config.reading import (
    FILE_NAME,
    OF_PROFILE,
    Overrides,
    Said,
    Settings,
    Typed,
    from_values,
    load,
    meaning,
    of_tables,
    tables_of,
    to_values,
    wanted,
)
from edgekit.config.sections import (
    BenchSettings,
    CalibrationSettings,
    ExportSettings,
    FinetuneSettings,
    ModelSettings,
    PreprocessingSettings,
    VerifySettings,
)
from edgekit.config.training import SearchSettings, TrainSettings
from edgekit.config.values import Accelerator, PrecisionName, Size, Target

__all__ = [
    "FILE_NAME",
    "OF_PROFILE",
    "Accelerator",
    "BenchSettings",
    "CalibrationSettings",
    "ExportSettings",
    "FinetuneSettings",
    "ModelSettings",
    "Overrides",
    "PrecisionName",
    "PreprocessingSettings",
    "PruneSettings",
    "RankName",
    "Said",
    "SearchSettings",
    "Settings",
    "Size",
    "Target",
    "TrainSettings",
    "Typed",
    "VerifySettings",
    "from_values",
    "load",
    "meaning",
    "of_tables",
    "tables_of",
    "to_values",
    "wanted",
]
