"""Families of networks, one file each: table, blocks, names of weights. A new one is a file, and a line here."""

from __future__ import annotations

from edgekit.models.families import (
    efficientnet_lite,
    fd_mobilenet,
    mnasnet,
    mobilenet_v1,
    mobilenet_v1_cifar,
    mobilenet_v2,
    mobilenet_v2_kuangliu,
    mobilenet_v3,
    mobilenet_v3_digits,
    mobilenet_v3_nas,
    mobilenet_v3_rw,
    mobilenet_v4,
    mobileone,
)
from edgekit.models.families.registry import FAMILIES, Factory, Family, family_of, register

__all__ = ["FAMILIES", "Factory", "Family", "family_of", "register"]

# Of two that weights fit alike, the first is meant: a V3-Small has as many blocks as the searched network, and the
# names of a V1 for CIFAR are those of any V1.
for _family in (
    mobilenet_v1_cifar.FAMILY,
    mobilenet_v1.FAMILY,
    fd_mobilenet.FAMILY,
    mobilenet_v2.FAMILY,
    mobilenet_v2_kuangliu.FAMILY,
    mobilenet_v3.LARGE,
    mobilenet_v3.SMALL,
    mobilenet_v3_nas.FAMILY,
    mobilenet_v3_rw.FAMILY,
    mobilenet_v3_digits.FAMILY,
    mobilenet_v4.SMALL,
    mobilenet_v4.MEDIUM,
    mobilenet_v4.LARGE,
    mnasnet.B1,
    mnasnet.A1,
    mnasnet.SMALL,
    *efficientnet_lite.FAMILIES,
    *mobileone.FAMILIES,
):
    register(_family)
