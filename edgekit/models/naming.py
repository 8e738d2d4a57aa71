"""A layout as a value: each part of the network by its name, and what such networks usually have.

Kernels and channels are read off the weights. Strides, padding, epsilon and activations leave no trace there, so a
naming stands for one public implementation, whose source says them; names that no family lists are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import TYPE_CHECKING

from edgekit.models.architecture import Options, Part
from edgekit.models.names import Renamed, roots_of, scopes, split
from edgekit.models.wiring import Names, paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edgekit.models.architecture import Block
    from edgekit.models.wiring import Wiring

Form = dict[Part, Names]


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """One way of naming weights. Names start from the network's root.

    In the names of blocks, {i} is the block's number from 0, {n} from 1, {before} one less than {i}, {even} and {odd}
    twice {i} and one more, {s} and {u} its stage and its place there, {u0} the place from 0; {last} is one more than
    there are blocks.

    Attributes:
        source: whose names they are, for people.
        wiring: of edgekit's networks that have these parts.
        stem: names of the first convolution and its batch normalization.
        forms: what a block may consist of; the first that fits counts.
        last: names of the last 1x1 convolution and its batch normalization, where there is one.
        usual: see ``Renamed``.
        stated: see ``Renamed``.
        first: the form of the first block, where it has names of its own.
        stages: how many blocks each stage has, where names count by stage.
        first_stage: the number of the first stage.
        hidden: the layout's own hidden linear layer.
        family: that only this layout has.
        blocks: how many a network of this layout has, where others have the same names.
        normalization: mean and std of 0..1 pixels that such networks usually have, where it is not ImageNet's.
    """

    source: str
    wiring: Wiring
    stem: Names
    forms: tuple[Form, ...]
    last: Names | None = None
    usual: Options = field(default_factory=lambda: Options(padding="symmetric", bn_eps=1e-5))
    stated: Options = field(default_factory=Options)
    first: Form | None = None
    stages: tuple[int, ...] = ()
    first_stage: int = 1
    hidden: str | None = None
    family: str | None = None
    blocks: int | None = None
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """What stands before the names of each network of this layout."""
        last = f"{self.last[0]}.weight" if self.last is not None and "{" not in self.last[0] else ""
        return [
            root
            for root in roots_of(f"{self.stem[0]}.weight", weights)
            if self._form(weights, root, 0)
            and (not last or root + last in weights)
            and (self.blocks is None or self._has_blocks(weights, root, self.blocks))
        ]

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:  # noqa: ARG002 - keys tell all
        """The network at ``root`` under edgekit's names."""
        forms = [form for form in takewhile(bool, (self._form(weights, root, index) for index in count())) if form]
        modules = self._modules(forms, root)
        renamed, rest = split(weights, modules)
        for key, tensor in renamed.items():
            if key.endswith(("fc1.weight", "fc2.weight")) and tensor.ndim == 2:  # a linear layer on pooled channels
                renamed[key] = tensor[:, :, None, None]
        outer = root.removesuffix("features.")
        hidden = None if self.hidden is None else outer + self.hidden
        return Renamed(
            source=self.source,
            wiring=self.wiring,
            weights=renamed,
            rest=rest,
            usual=self.usual,
            stated=self.stated,
            scopes=scopes(modules, root + self.forms[0]["depthwise"][0].partition("{")[0]),
            own_hidden=hidden,
            family=self.family,
            normalization=self.normalization,
        )

    def modules_of(self, blocks: Sequence[Block], root: str) -> dict[str, str]:
        """The modules of a network of such blocks, theirs to ours.

        Args:
            blocks: whose parts this layout has.
            root: what stands before all names.
        """
        forms = []
        for index, block in enumerate(blocks):
            first = (self.first,) if index == 0 and self.first is not None else self.forms
            form = next(form for form in first if form.keys() == block.parts)
            forms.append({part: self._named(names, root, index) for part, names in form.items()})
        return self._modules(forms, root)

    def _modules(self, forms: Sequence[Form], root: str) -> dict[str, str]:
        """The modules of a network of blocks with these names, theirs to ours."""
        modules = self._pair(self.stem, self.wiring.stem_names(), root, 0)
        for index, form in enumerate(forms):
            ours = self.wiring.block_names(index, form)
            for part, (conv, norm) in form.items():
                modules |= self._pair((conv, norm), ours[part], "", 0)
        last = self.wiring.last_names(len(forms))
        if self.last is not None and last is not None:
            modules |= self._pair(self.last, last, root, len(forms) + 1)
        return modules

    def _has_blocks(self, weights: Mapping[str, Tensor], root: str, count: int) -> bool:
        return self._form(weights, root, count - 1) is not None and self._form(weights, root, count) is None

    @staticmethod
    def _pair(theirs: Names, ours: Names, root: str, last: int) -> dict[str, str]:
        """The names of a convolution and its batch normalization, theirs to ours."""
        return {root + name.format(last=last): own for name, own in paired(theirs, ours).items()}

    def _form(self, weights: Mapping[str, Tensor], root: str, index: int) -> Form | None:
        """The names of block ``index``, from the top; None where there is no such block."""
        forms = (self.first,) if index == 0 and self.first is not None else self.forms
        for form in forms:
            named = {part: self._named(names, root, index) for part, names in form.items()}
            if all(fits(part, weights.get(f"{conv}.weight")) for part, (conv, _) in named.items()):
                return named
        return None

    def _named(self, names: Names, root: str, index: int) -> Names:
        stage, place = 0, index
        for size in self.stages:
            if place < size:
                break
            stage, place = stage + 1, place - size
        values = {"i": index, "n": index + 1, "before": index - 1, "even": 2 * index, "odd": 2 * index + 1}
        values |= {"s": stage + self.first_stage, "u": place + 1, "u0": place}
        conv, norm = names
        return root + conv.format(**values), None if norm is None else root + norm.format(**values)


def fits(part: Part, kernel: Tensor | None) -> bool:
    """Whether a kernel can be that of a part: depthwise convolutions have one input a channel, most others are 1x1."""
    if kernel is None:
        return False
    if part in {"start", "depthwise"}:
        return kernel.ndim == 4 and kernel.shape[1] == 1 and kernel.shape[2] > 1
    if part == "filter":
        return kernel.ndim == 4
    return (kernel.ndim == 2 and part in {"squeeze", "excite"}) or (kernel.ndim == 4 and kernel.shape[2] == 1)


def pair(block: str, conv: int) -> Names:
    """A convolution in a Sequential, and its batch normalization behind it."""
    return f"{block}.{conv}", f"{block}.{conv + 1}"


def named(block: str, conv: str = "conv", norm: str = "bn") -> Names:
    """A convolution and its batch normalization in a module of their own."""
    return f"{block}.{conv}", f"{block}.{norm}"


def wide(expand: Names, depthwise: Names, project: Names) -> Form:
    """A block that begins with an expansion."""
    return {"expand": expand, "depthwise": depthwise, "project": project}


def plain(depthwise: Names, project: Names) -> Form:
    """A block without an expansion."""
    return {"depthwise": depthwise, "project": project}


def squeezing(form: Form, squeeze: str, excite: str) -> Form:
    """A block with squeeze-and-excite."""
    return {**form, "squeeze": (squeeze, None), "excite": (excite, None)}


def own_forms(wiring: Wiring, block: str) -> tuple[Form, ...]:
    """Edgekit's own names, which are torchvision's for V2 and V3, in the module ``block``."""
    return tuple(wiring.parts(block, form) for form in wiring.forms)
