"""Ways of naming MobileNet's weights; each turns them into the names of ``edgekit.models.network``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.layouts.keras import Keras
from edgekit.models.layouts.namings import NAMINGS
from edgekit.models.layouts.timm import Timm

if TYPE_CHECKING:
    from edgekit.models.layouts.names import Layout

# Where several recognise a file's names, the first is meant.
LAYOUTS: tuple[Layout, ...] = (Timm(), *NAMINGS, Keras())
