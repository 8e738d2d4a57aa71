"""edgekit: quantize a MobileNet, or any plain CNN, once, ship the same integers in every format, and prove it.

A first export, from a network in memory to files for a phone and a Raspberry Pi:

    import edgekit
    result = edgekit.export(model, loader, targets=["tflite", "onnx"])      # a table of files, proven
    edgekit.verify(result, test_loader)                         # integers one by one, accuracy, agreement with float
    edgekit.load(result["tflite"]).predict("cat.jpg")           # tabby 62 %, tiger cat 21 %, …
    edgekit.bench(result)                                       # latency and memory, each with its interval

Functions
=========

    train(data, arch, …)             train a network on a folder of images                -> Trained
    prune(model, data, …)            take channels out of a trained network               -> Pruned
    export(model, calibration, …)    write a trained network for its targets              -> Exported
    verify(files, data, …)           prove that files are the model that was trained      -> Verified
    diagnose(paths, data, …)         name what is wrong, and what ends it                 -> Diagnosed
    analyze(checkpoint, …)           what networks cost before anything is exported         -> Analyzed
    sweep(spec, …)                   measure a grid of networks and settings              -> Swept
    bench(files, …)                  measure latency, start and memory, here or by ssh    -> Benched
    load(file)                       open a file: .predict(image), .run(array), .metadata -> Loaded

Each does what the command of its name does, and its keywords are the command's flags. ``help(edgekit.export)`` explains
them all. They print nothing, and raise ``edgekit.errors.EdgekitError`` with a sentence that says what to do.

What a model may be
===================

A path (.pth, .safetensors, .h5, .keras, .onnx), a torch ``nn.Module`` in memory, or what ``torch.export.export`` made
of one. It takes one image [N, C, H, W], and gives logits [N, classes], numbers, feature maps, or several of these in a
tuple or dictionary. A module is copied and left as it is. It does not say the size of its images: that follows from
calibration arrays, or is given, resolution=224.

It may be any network of these, which have integers:

    layers       convolutions (also dilated, grouped, depthwise, transposed), linear layers, batch normalization
    activations  ReLU, ReLU6, clamps, LeakyReLU, PReLU, hard-swish, hard-sigmoid, sigmoid, SiLU
    pools        average, max, mean and largest number along axes
    arithmetic   addition, subtraction and multiplication, of tensors and with constants
    movement     concatenation, slices, reshapes, transposes, shuffles, padding, nearest and bilinear resizing

What stands at the end without integers, as a soft-max of a feature map, stays in float, and that is said. Anything else
is refused with what could replace it; keep_float=[…] keeps layers in float. docs/operators.md says of each operator in
which runtimes its integers are the same.

What calibration may be
=======================

Images like those in use, 100 to 500; labels beside them are ignored.

    a path       a folder, a pattern "photos/*.jpg", a .npz or .npy of uint8 [N, H, W, 3], a .csv
    an array     of numpy or torch, [N, H, W, 3] or [N, 3, H, W], layout="NHWC" where both would fit
    iterable     a DataLoader, a data set, a list: of images or batches, alone or first in a tuple, list or dictionary

**uint8 is pixels**, 0 to 255, red, green, blue. An image that has the network's size is taken as it is, unless you give
resize=; any other is resized and cropped. **Floating-point numbers are the network's input already.** They are turned
back into pixels by the mean and std that you give (preprocessing="imagenet", or mean= and std=), or else by the usual
ones that make whole pixels of them. If none does, as with images that were resized as floats, edgekit asks you to say
what is right.

What is assumed
===============

What weights do not tell and images do not show is called *assumed*: in ``result.facts``, in every file and beside every
verdict. Where int8 files would rest on it, edgekit asks: say what is right, or go on all the same, insist=True. Of
images in memory, order="RGB", resize="none" say the rest, and files can have their ✔.

What a result has
=================

    Exported     files (path, size_bytes, proven, parity), folder, facts, notes, recipe, manifest, ranges;
                 result["tflite"], result["int8.onnx"]: paths
    Verified     passed, is_proven, files (gates, measured, parities), warnings, facts; report("report.html")
    Trained      run, checkpoint, epochs, best; edgekit.export(result.run, int8=True) needs nothing else
    Analyzed     networks (macs, parameters, peak_int8_bytes, size_bytes, layers, blocks, savings)
    Swept        rows (accuracy, agreement, size_bytes, latency_ms, error, … of each cell), front, failed, folder
    Benched      results.rows (p50_ms, p90_ms, peak_mib, cold_start_ms, ratio, …), results.machine
    Loaded       predict(image) -> Prediction: label, top (index, label, probability), outputs; run(array), metadata

All of them show themselves as a table, in a console and in a notebook. A ✔ stands beside what is proven, a ! beside
what agrees and rests on something that is assumed, a ✘ beside what is wrong, a – beside what was not compared.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgekit.version import __version__

if TYPE_CHECKING:
    from edgekit import errors
    from edgekit.api import analyze, bench, diagnose, export, load, prune, sweep, train, verify

__all__ = [
    "__version__",
    "analyze",
    "bench",
    "diagnose",
    "errors",
    "export",
    "load",
    "prune",
    "sweep",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function of the API
    """What is asked for, imported then: ``import edgekit`` takes milliseconds, and devices have no API."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "errors":
        return import_module("edgekit.errors")
    return getattr(import_module("edgekit.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
