"""Ways of naming a network's weights; each turns them into the names of ``edgekit.models.network``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.families import FAMILIES
from edgekit.models.layouts.keras import Keras
from edgekit.models.layouts.timm import Timm

if TYPE_CHECKING:
    from edgekit.models.names import Layout


def layouts() -> tuple[Layout, ...]:
    """All that are known. Where several recognise a file's names, the first is meant."""
    namings = dict.fromkeys(naming for family in FAMILIES.values() for naming in family.namings)
    return (Timm(), *namings, Keras())
