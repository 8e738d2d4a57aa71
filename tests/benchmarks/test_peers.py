"""The comparison with other tools: what is computed from logits and counts. The tools are not run here."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.benchmarks.peers import results, table
from edgekit.benchmarks.peers.contestants import CONTESTANTS
from edgekit.benchmarks.peers.environments import TOOLS
from edgekit.benchmarks.peers.networks import NETWORKS
from edgekit.benchmarks.peers.results import Result
from edgekit.benchmarks.peers.scores import score
from edgekit.benchmarks.peers.train import SHIFT, augment, distance_from_grid, moved

if TYPE_CHECKING:
    from pathlib import Path


def test_a_score_counts_images() -> None:
    floats = np.eye(4)  # right, right, right, wrong
    found = np.eye(4)[[0, 1, 3, 2]]  # right, right, wrong, right
    made = score(found, floats, [0, 1, 2, 2])
    assert (made.images, made.top1, made.drop, made.agreement) == (4, 0.75, 0.0, 0.5)
    low, high = made.drop_interval
    assert high == -low == pytest.approx(1.96 * np.sqrt(0.5 / 4), rel=1e-3)


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    assert results.load(tmp_path) is None
    result = Result(versions={"a": "1"}, runtime="r", size_bytes=3, operators=2, float_operators={"Mul": 1})
    logits = np.arange(6.0).reshape(2, 3)
    result.save(tmp_path, logits)
    assert results.load(tmp_path) == result
    assert (results.load_logits(tmp_path) == logits).all()


def test_a_row_has_a_cell_for_every_column() -> None:
    perfect = score(np.eye(2), np.eye(2), [0, 1])
    for result, points in ((Result(error="no | wheel"), None), (Result(operators=3), perfect)):
        cells = table.row("tool", result, points)
        assert len(cells) == len(table.COLUMNS)
        assert not any("|" in cell for cell in cells)


def test_results_and_networks_have_names_of_their_own() -> None:
    pairs = [f"{network.key}/{contestant.key}" for network, contestant in product(NETWORKS, CONTESTANTS)]
    assert len(set(pairs)) == len(pairs)


def test_every_tool_has_a_file_and_pinned_requirements() -> None:
    tools = {contestant.tool for contestant in CONTESTANTS} - {None}
    assert {path.stem for path in TOOLS.glob("*.py")} - {"__init__", "worker"} == tools
    assert {path.stem for path in TOOLS.glob("*.txt")} == tools
    for path in TOOLS.glob("*.txt"):
        assert all("==" in line for line in path.read_text(encoding="utf-8").splitlines())


def test_weights_know_of_the_grid_or_not() -> None:
    """Uniform between its points means 1 / sqrt(12) of a step."""
    layer = torch.nn.Linear(500, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(4, 500, generator=torch.Generator().manual_seed(0)))
        assert distance_from_grid(layer) == pytest.approx(12**-0.5, rel=0.05)
        scale = layer.weight.abs().amax(1, keepdim=True) / 127
        layer.weight.copy_((layer.weight / scale).round() * scale)
    assert distance_from_grid(layer) < 1e-4


def test_augmentation_moves_and_recolours_each_image_in_its_own_way() -> None:
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 255
    first, second = augment(picture.expand(2, -1, -1, -1), torch.Generator().manual_seed(1))
    assert first.shape == (3, 224, 224)
    assert first.min() >= 0
    assert first.max() <= 255
    assert not torch.allclose(first, second)


def test_the_worker_answers_with_what_a_tool_made(tmp_path: Path) -> None:
    """Isolated from our paths, and with a tool named like a package that it imports."""
    tool = tmp_path / "numpy.py"
    tool.write_text(
        "from pathlib import Path\n"
        "import numpy as np\n"
        "PACKAGES = ('numpy',)\n"
        "def quantize(job):\n"
        "    return Path(job['out'] + job['options']['suffix'])\n"
        "def run(path, images):\n"
        "    return 'a runtime', np.asarray(images) * 2, ['Conv', 'Mul'], ['Mul']\n",
        encoding="utf-8",
    )
    images, answer = tmp_path / "images.npy", tmp_path / "answer.json"
    np.save(images, np.arange(3.0))
    job = {
        "out": str(tmp_path / "model"),
        "options": {"suffix": ".x"},
        "validation": str(images),
        "answer": str(answer),
    }
    command = [sys.executable, "-I", str(TOOLS / "worker.py"), str(tool)]
    subprocess.run(command, input=json.dumps(job), text=True, cwd=tmp_path, check=True)
    told = json.loads(answer.read_text(encoding="utf-8"))
    assert told["path"] == str(tmp_path / "model.x")
    assert told["versions"] == {"numpy": np.__version__}
    assert (told["runtime"], told["operators"], told["float_operators"]) == ("a runtime", ["Conv", "Mul"], ["Mul"])
    assert np.load(told["logits"]).tolist() == [0, 2, 4]


def test_pictures_are_moved_and_mirrored_together() -> None:
    """What is left of an image is a part of it or of its mirror image, and black."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, 32, 32, generator=random) + 1  # no pixel is black
    mirrored = set()
    for _ in range(8):
        found = moved(pixels, random)
        assert found.shape == pixels.shape
        rows, columns = ((found[0, 0] > 0).any(axis) for axis in (1, 0))
        inside = found[:, :, rows][..., columns]
        height, width = inside.shape[2:]
        assert min(height, width) >= 32 - SHIFT
        places = [
            (flipped, down, right)
            for flipped, image in enumerate((pixels, pixels.flip(3)))
            for down in (0, 32 - height)
            for right in (0, 32 - width)
            if torch.equal(image[:, :, down : down + height, right : right + width], inside)
        ]
        assert places
        mirrored.add(places[0][0])
    assert mirrored == {0, 1}
