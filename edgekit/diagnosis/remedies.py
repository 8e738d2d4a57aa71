"""Commands that mend a data set, for a folder of classes, a list, and an array file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST: Final = 20  # files in one command


@dataclass(frozen=True, slots=True)
class DataSet:
    """Where images and their labels lie.

    Attributes:
        path: a folder, a .csv, or an .npz; None of images in memory.
        names: of the images.
        targets: the class index of each; empty where they are not known.
    """

    path: Path | None
    names: Sequence[str]
    targets: Sequence[int] = ()

    def swapped(self, a: int, b: int) -> str:
        """The command that exchanges the labels of two classes."""
        if self._is_folder:
            first, second = self._folder(a), self._folder(b)
            one, two, between = (self._quoted(name) for name in (first, second, f"{first}.was"))
            return f"mv {one} {between} && mv {two} {one} && mv {between} {two}"
        if self._list is not None:
            return f"sed -i.bak -E 's/,{a}$/,#/; s/,{b}$/,{a}/; s/,#$/,{b}/' {self._list}"
        return self._by_python(f"d['labels'] = np.select([l == {a}, l == {b}], [{b}, {a}], l)")

    def reordered(self, order: Sequence[int]) -> str:
        """The command that gives the images of each class the class of ``order`` in its place."""
        moved = [(a, b) for a, b in enumerate(order) if a != b]
        if self._is_folder:
            called = {a: self._folder(a) for a in range(len(order))}
            away = "; ".join(f"mv {self._quoted(called[a])} {self._quoted(called[a] + '.was')}" for a, _ in moved)
            back = "; ".join(f"mv {self._quoted(called[a] + '.was')} {self._quoted(called[b])}" for a, b in moved)
            return f"{away}; {back}"
        if self._list is not None:
            edits = "; ".join(f"s/,{a}$/,#{b}/" for a, b in moved)
            return f"sed -i.bak -E '{edits}; s/,#/,/' {self._list}"
        return self._by_python(f"d['labels'] = np.array({list(order)})[l]")

    def relabelled(self, images: Sequence[int], index: int) -> str:
        """The command that gives images, by their places, another class."""
        if self._is_folder:
            return f"mv {self._some(images)} {self._quoted(self._folder(index))}/"
        if self._list is not None:
            edits = "; ".join(f"s|^({self.names[i]}),.*|\\1,{index}|" for i in images[:_MOST])
            return f"sed -i.bak -E '{edits}' {self._list}"
        return self._by_python(f"l[{self._places(images)}] = {index}")

    def without(self, images: Sequence[int]) -> str:
        """The command that takes images out, by their places."""
        if self._list is not None:
            edits = "; ".join(rf"\|^{self.names[i]},|d" for i in images[:_MOST])
            return f"sed -i.bak -E '{edits}' {self._list}"
        if self.path is not None and self.path.is_dir():
            return f"rm {self._some(images)}"
        return self._by_python(f"d = {{k: np.delete(v, {self._places(images)}, 0) for k, v in d.items()}}")

    @property
    def _is_folder(self) -> bool:
        return self.path is not None and self.path.is_dir() and self._list is None

    @property
    def _list(self) -> str | None:
        """The file that names each image and its label."""
        if self.path is None:
            return None
        beside = self.path / "labels.csv"
        if beside.is_file():
            return shlex.quote(str(beside))
        return shlex.quote(str(self.path)) if self.path.suffix.lower() == ".csv" else None

    def _folder(self, index: int) -> str:
        """The folder of a class; its index where it has no image."""
        own = (name for name, target in zip(self.names, self.targets, strict=True) if target == index)
        return next(own, str(index)).rpartition("/")[0] or str(index)

    def _quoted(self, name: str) -> str:
        assert self.path is not None
        return shlex.quote(str(self.path / name))

    def _some(self, images: Sequence[int]) -> str:
        more = " …" if len(images) > _MOST else ""
        return " ".join(self._quoted(self.names[i]) for i in images[:_MOST]) + more

    def _places(self, images: Sequence[int]) -> str:
        return "[" + ", ".join(map(str, images)) + "]"

    def _by_python(self, statement: str) -> str:
        path = Path("labels.npz") if self.path is None else self.path
        mended = path.with_name(f"{path.stem}.mended.npz")
        code = (
            f"import numpy as np; d = dict(np.load('{path}')); l = d['labels']; {statement}; np.savez('{mended}', **d)"
        )
        return f'python -c "{code}"'
