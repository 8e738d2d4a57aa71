"""Numbers and texts as people read them: the same on the terminal, in pictures and in every report."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from edgekit.conventions import normalization_name

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING = "–"  # in a table, where there is no value

# What a document cannot hold. Source: Extensible Markup Language 1.0, fifth edition, section 2.2, Char.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def size(size_bytes: int) -> str:
    """A size for people.

    >>> size(3_512_345), size(512)
    ('3.51 MB', '512 B')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * factor:  # which "999.5 kB" would be rounded to
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes} B"


def percent(share: float) -> str:
    """A share for people, never rounded up to 100 %.

    >>> percent(1.0), percent(0.99999), percent(0.5), percent(0.9944)
    ('100 %', '99.99 %', '50 %', '99.44 %')
    """
    return f"{min(share * 100, 99.99) if share < 1 else 100:.4g} %"


def count(number: int, thing: str) -> str:
    """A number of things for people.

    >>> count(1, "file"), count(1281, "image")
    ('1 file', '1,281 images')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42.3), duration(754), duration(2 * 3600 + 600)
    ('42 s', '13 min', '2 h 10 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(names: Mapping[str, int]) -> str:
    """Names and how often there is each, the most frequent first.

    >>> counted({"ADD": 10, "CONV_2D": 35})
    '35 CONV_2D, 10 ADD'
    """
    return ", ".join(f"{number} {name}" for name, number in sorted(names.items(), key=lambda item: (-item[1], item[0])))


def some(reasons: Mapping[str, str]) -> str:
    """The first of many names, each with its reason.

    >>> some({f"{i}.png": "it is no image" for i in range(4)})
    '0.png: it is no image; 1.png: it is no image; 2.png: it is no image; …'
    """
    first = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:3])
    return f"{first}; …" if len(reasons) > 3 else first


def decibels(sqnr_db: float) -> str:
    """A signal-to-noise ratio for people.

    >>> decibels(23.456), decibels(float("inf")), decibels(float("-inf"))
    ('23.5 dB', 'no error', 'no signal')
    """
    if math.isfinite(sqnr_db):
        return f"{sqnr_db:.1f} dB"
    return {math.inf: "no error", -math.inf: "no signal"}.get(sqnr_db, "undefined")


def plain(value: object) -> str:
    """A JSON value for people: of numbers that are all the same, one; a normalization by its name, if it has one.

    >>> plain("same"), plain([0.5, 0.5]), plain(0.001), plain([219, 293])
    ('same', '0.5', '0.001', '219x293')
    >>> plain({"mean": [0.5, 0.5, 0.5], "std": [0.229, 0.224, 0.225]}), plain({"mean": [0.0], "std": [1 / 255]})
    ('mean 0.5, std 0.229 0.224 0.225', 'raw (mean 0, std 1/255)')
    """
    if isinstance(value, dict):
        text = ", ".join(f"{key} {plain(item)}" for key, item in value.items())
        return f"{name} ({text})" if (name := _normalization(value)) else text
    if isinstance(value, list | tuple):
        if len(value) > 1 and all(type(item) is int for item in value):  # rows and columns, as --resize takes them
            return "x".join(map(str, value))
        texts = [plain(item) for item in value]
        return texts[0] if len(texts) > 1 and len(set(texts)) == 1 else " ".join(texts)
    if isinstance(value, float):
        return "1/255" if math.isclose(value, 1 / 255, rel_tol=1e-4) else f"{value:.4g}"
    return str(value)


def _normalization(value: Mapping[str, object]) -> str:
    """The name that ``--preprocessing`` takes for a normalization; empty where it has none, or is none."""
    mean, std = value.get("mean"), value.get("std")
    if value.keys() != {"mean", "std"} or not (isinstance(mean, list | tuple) and isinstance(std, list | tuple)):
        return ""
    name, is_reversed = normalization_name(mean, std) or ("", None)
    return f"{name} in BGR" if is_reversed else name


def printable(text: str) -> str:
    r"""Text with U+FFFD for what no document can hold: control characters, and surrogates.

    The latter stand for the bytes of a file name that is not UTF-8. Source: PEP 383.

    >>> printable("a\x00b\udcff") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    True
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
