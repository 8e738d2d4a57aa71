"""What edgekit says in the words of the command line, in those of Python: ``--calib DIR`` is ``calibration=DIR``."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from edgekit.conventions import NORMALIZATIONS
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYWORDS: Final[Mapping[str, str]] = {
    "calib": "calibration",
    "target": "targets",
    "checkpoint": "model",
    "set": "settings",
    "no-verify": "verify",
}
"""Keywords that are called otherwise than their flags."""
_OWN: Final[Mapping[str, str]] = {"model.resolution": "resolution"}  # settings that have a keyword, and no flag
_SWITCHES = (
    "data-free",
    "insist",
    "strict",
    "float16",
    "float32",
    "int8",
    "dynamic",
    "weight-only",
    "latency",
    "emulate",
    "gpu",
)
_WORDS = (*NORMALIZATIONS, "same", "symmetric", "whole", "none", "all")  # values that look like prose
# Flags whose values are words.
_TEXTS = ("crop", "device", "head", "order", "padding", "preprocessing", "probabilities", "sched", "target")
_SAID: Final[Mapping[str, str]] = {  # what has no flag, or another meaning
    "--model MODULE:FACTORY --weights FILE": "edgekit.export(module)",
    "edgekit export --": "edgekit.export with --",
    "HEIGHTxWIDTH": "(HEIGHT, WIDTH)",
    "the command line: ": "",
}
_FLAG = re.compile(
    r"--set (?P<key>[\w.]+)=(?P<setting>[^\s,;)]+)|--(?P<flag>[a-z][a-z0-9-]*)(?: (?P<value>[^\s,;:)]+))?"
)


def in_python(text: str) -> str:
    """A message, with keywords in the place of flags.

    >>> in_python("int8 needs images: --calib DIR, or --data-free")
    'int8 needs images: calibration=DIR, or data_free=True'
    >>> in_python("correct it, --preprocessing tf --set model.bn_eps=0.001; --no-verify writes it")
    "correct it, preprocessing='tf' settings={'model.bn_eps': 0.001}; verify=False writes it"
    """
    for said, meant in _SAID.items():
        text = text.replace(said, meant)
    return _FLAG.sub(_keyword, text)


@contextmanager
def speaking_python() -> Iterator[None]:
    """Errors inside are told in the words of Python."""
    try:
        yield
    except EdgekitError as error:
        error.args = tuple(in_python(part) if isinstance(part, str) else part for part in error.args)
        raise


def _keyword(found: re.Match[str]) -> str:
    if found["key"] in _OWN:
        return f"{_OWN[found['key']]}={found['setting']}"
    if found["key"]:
        return f"settings={{'{found['key']}': {_quoted(found['setting'])}}}"
    flag, value = found["flag"], found["value"]
    name = KEYWORDS.get(flag, flag).replace("-", "_")
    rest = f" {value}" if value else ""
    if flag == "no-verify" or flag in _SWITCHES:
        return f"{name}={flag != 'no-verify'}{rest}"
    if value in _WORDS or (value and (flag in _TEXTS or re.fullmatch(r"[a-z]+\d+", value))):
        return f"{name}={_quoted(value)}"
    if value and ("|" in value or re.match(r"[A-Z\d]", value)):
        return f"{name}={value}"
    return f"{name}{rest}"


def _quoted(value: str) -> str:
    """Words in quotation marks, each of several; what stands for a value is in capitals.

    >>> _quoted("bilinear|bicubic|…"), _quoted("SHARE"), _quoted("0.001")
    ("'bilinear'|'bicubic'|…", 'SHARE', '0.001')
    """
    return "|".join(f"'{one}'" if re.match(r"[a-z]|RGB|BGR", one) else one for one in value.split("|"))
