"""Latency models by name, as ``edgekit bench --fit --out NAME`` keeps them for the user: one file a device.

Where one is named, what ends with ".json" or has a folder in it is a file, and all else is a name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edgekit import files
from edgekit.errors import ArtifactError, ConfigError, did_you_mean
from edgekit.timing.prediction.model import DeviceLatency

_SUFFIX: Final = ".latency.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def names() -> tuple[str, ...]:
    """Of all models that are kept for this user."""
    return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in _folder().glob(f"*{_SUFFIX}")))


def path_of(text: str) -> Path:
    """The file that is meant, whether it exists or not.

    Raises:
        ConfigError: it is neither a file's path nor a name.
    """
    if text.endswith(".json") or Path(text).name != text:
        return Path(text)
    if not _NAME.fullmatch(text):
        raise ConfigError(f"{text!r} names no latency model: letters, digits and -_. make a name, FILE.json is a file")
    return _folder() / f"{text}{_SUFFIX}"


def load(text: str) -> DeviceLatency:
    """The models of a device.

    Args:
        text: a name, or a file's path.

    Raises:
        ArtifactError: there are none, or the file is damaged.
        ConfigError: it is neither a file's path nor a name.
    """
    path = path_of(text)
    if path.parent == _folder() and not path.exists():
        known = f": {did_you_mean(text, names())}" if names() else ""
        raise ArtifactError(
            f"no latency model is called {text!r}{known}; edgekit bench --fit --out {text} makes one on the device, "
            f"and a file is named with its .json"
        )
    return DeviceLatency.load(path)


def _folder() -> Path:
    return files.data_folder() / "devices"
