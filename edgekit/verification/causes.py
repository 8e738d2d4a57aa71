"""Why a layer gives other values than it has to: hypotheses, each of which has to foretell all values that were found.

The layer can be computed again under each, and the one whose values are those that were found is the cause. Where no
recomputation can say it, the values themselves do. Where neither does, nothing is claimed, and where the differences
are is all that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.verification import fits, hypotheses

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.verification.cases import Case, Finding

    Finder = Callable[[Case], Finding | None]

# From what leaves no choice to what only says where values differ.
_FINDERS: tuple[Finder, ...] = (
    *(fits.nearly_rounded, hypotheses.padding, hypotheses.kernel_layout, hypotheses.channels_of_weights),
    *(hypotheses.no_bias, hypotheses.no_clamp, hypotheses.padding_with, fits.zero_point),
    *(hypotheses.zero_point_of_input, fits.channel_order, fits.rows_and_columns, fits.clamp, fits.rounded_down),
    *(fits.scale, fits.scale_of_operand, fits.scales_of_channels, fits.rounded_twice, fits.where),
)


def explain(case: Case) -> Finding:
    """The likely cause of the differences, the most specific one that foretells them."""
    return next(finding for finder in _FINDERS if (finding := finder(case)) is not None)
