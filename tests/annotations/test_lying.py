"""What people have named is told in words, whatever was looked for there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from edgekit.annotations.lying import lying_in, of_a_list

if TYPE_CHECKING:
    from pathlib import Path


def picture(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 4)).save(path)


@pytest.mark.parametrize(
    ("files", "named", "found"),
    [
        (["a.json", "b.json"], "", ("detection", "COCO's boxes (a.json, b.json)")),
        (["a.json"], "a.json", ("detection", "COCO's boxes")),
        (["labels/a.txt"], "", ("detection", "boxes beside the images")),
        (["masks/a.png"], "", ("segmentation", "masks beside the images")),
        (["masks/a.png", "all.txt"], "all.txt", ("segmentation", "masks beside the images")),
        (["x/a.png", "y/a.png", "z/a.png"], "", ("classification", "a folder for each class (images, x, y, …)")),
        ([], "", None),
        ([], "nowhere.json", None),
    ],
)
def test_what_lies_there(files: list[str], named: str, found: tuple[str, str] | None, tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".png":
            picture(path, "L")
        else:
            path.write_text({"a.txt": "0 0.5 0.5 0.2 0.2", "all.txt": "a"}.get(path.name, "{}"))
    assert lying_in(tmp_path / named) == found


def test_a_file_that_describes_a_data_set_is_no_place(tmp_path: Path) -> None:
    assert of_a_list(tmp_path / "data.yaml").endswith(f"name the folder that holds images/ and labels/, {tmp_path}")
    assert of_a_list(tmp_path / "data.csv") == ""
