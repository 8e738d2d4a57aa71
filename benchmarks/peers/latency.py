"""edgekit's int8 files against those of other tools: ``python -m edgekit.benchmarks.peers.latency --cache DIR``.

All files of one runtime take turns in one run, on one thread, and each figure is a ratio to edgekit's file. Every file
has a float32 boundary, as the other tools make it. EDGEKIT_REALDATA is set as for ``edgekit.benchmarks.peers``, whose
environments the cache holds as well.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.peers import contestants, networks
from edgekit.benchmarks.peers.contestants import Contestant
from edgekit.benchmarks.peers.networks import TIMED, data_folder, prepare, prepare_images
from edgekit.config import BenchSettings
from edgekit.exporters.metadata import Precision
from edgekit.pipeline.making.export import export
from edgekit.pipeline.measuring.bench import bench

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.peers.networks import Given
    from edgekit.device.results import Results

CONTESTANTS = (
    Contestant("ai_edge", "litert-torch + ai-edge-quantizer, static int8", "ai_edge"),
    Contestant("tflite_converter", "TensorFlow Lite converter, full int8", "tflite_converter"),
    Contestant(
        "onnx_runtime_best", "quantize_static, uint8 activations, weights per channel", "onnx_runtime",
        {"method": "MinMax", "per_channel": True, "activations": "QUInt8"},
    ),
    Contestant(
        "onnx_runtime_per_tensor", "quantize_static, uint8 activations, weights per tensor", "onnx_runtime",
        {"method": "MinMax", "per_channel": False, "activations": "QUInt8"},
    ),
    Contestant(
        "onnx_runtime_default", "quantize_static, its defaults: int8 activations, weights per tensor", "onnx_runtime",
        {"method": "MinMax", "per_channel": False, "activations": "QInt8"},
    ),
)  # fmt: skip
OURS, FLOATS = "edgekit, int8", "edgekit, float32"


def main() -> None:
    """Make what is missing, time everything, and print one table a network and runtime."""
    parser = argparse.ArgumentParser(description="Latency of edgekit's int8 files against those of other tools.")
    parser.add_argument("--cache", type=Path, required=True, help="folder for environments and files")
    parser.add_argument("--laps", type=int, default=BenchSettings().laps, help="fresh processes of each file")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="PATTERN", help="NETWORK/TOOL, such as 'v2*/ai_edge'"
    )
    options = parser.parse_args()
    cache, data = options.cache.resolve(), data_folder()
    for network in TIMED:
        wanted = [c for c in CONTESTANTS if contestants.matches(network, c, options.only)]
        if not wanted:
            continue
        given = prepare(network, prepare_images(network, data, cache), data, cache)
        files = _files(given, wanted, cache / "latency" / network.key, cache)
        for suffix in (".tflite", ".onnx"):
            rivals = {title: path for title, path in files.items() if path.suffix == suffix}
            results = bench([*rivals.values()], BenchSettings(laps=options.laps), against=rivals[OURS + suffix]).results
            print(f"## {network.title}, {results.rows[0].runner}\n\n{_table(rivals, results)}\n")


def _files(given: Given, wanted: Sequence[Contestant], folder: Path, cache: Path) -> Mapping[str, Path]:
    """The files of edgekit and of those that are wanted, by their titles; those of other tools are made once."""
    settings = networks.settings(given, folder / "edgekit", "tflite", "int8")
    both = replace(settings.export, targets=("tflite", "onnx"), precisions=("int8", "float32"))
    titles = {Precision.INT8: OURS, Precision.FLOAT32: FLOATS}
    exported = export(replace(settings, export=both)).files
    found = {titles[file.precision] + file.path.suffix: file.path for file in exported}
    for contestant in wanted:
        out = folder / contestant.key
        path = next((p for p in out.glob("model.*") if p.suffix in {".tflite", ".onnx"}), None)
        if path is None:
            print(f"{given.network.key}/{contestant.key}", file=sys.stderr, flush=True)
            out.mkdir(parents=True, exist_ok=True)
            assert contestant.tool is not None
            path = Path(contestants.ask(contestant, contestant.tool, given, cache, out)["path"])
        found[contestant.title] = path
    return found


def _table(rivals: Mapping[str, Path], results: Results) -> str:
    lines = ["| file | p50 ms | edgekit's int8 is so many times faster |", "|---|---|---|"]
    rows = {row.path: row for row in results.rows}
    for title, path in rivals.items():
        row = rows[str(path)]
        ratio = row.ratio.value if row.ratio else None
        faster = f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" if ratio else ""
        lines.append(f"| {title.removesuffix(path.suffix)} | {row.p50_ms.value:.2f} | {faster} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
