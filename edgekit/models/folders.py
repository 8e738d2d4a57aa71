"""Folders: training runs of edgekit, snapshots of Hugging Face and timm, and folders that other tools write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.names import WAY_BY_ONNX

if TYPE_CHECKING:
    from pathlib import Path

# How the weights are called beside a config.json; the first that is there is taken.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin", "model.keras", "tf_model.h5")
# What a training run of edgekit leaves in its folder: what it was made from and what came of it, the weights of the
# best and of the last epoch, some of its training images, and, until its end, what it goes on from.
RUN, BEST, LAST, CALIBRATION = "run.json", "best.safetensors", "last.safetensors", "calibration"
STATE = "state.pt"
_SUFFIXES = (".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".h5", ".keras", ".tar", ".onnx")


def file_of(path: Path) -> Path:
    """The file of weights that a path stands for, which may be a training run, or a folder of Hugging Face's or timm's.

    Raises:
        CheckpointError: it does not exist, or is a folder of something else.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: give the path of a trained checkpoint")
    return file_in(path) if path.is_dir() else path


def file_in(folder: Path) -> Path:
    """The file of weights in a folder.

    Raises:
        CheckpointError: there is none that is known by its name, or the folder is something else.
    """
    if (folder / RUN).exists():
        if not (folder / BEST).exists():
            raise CheckpointError(
                f"{folder} is a training run without a whole epoch: go on with it, by the same command"
            )
        return folder / BEST
    snapshots = sorted(folder.glob("snapshots/*"))
    if len(snapshots) == 1:  # Hugging Face's cache
        return file_in(snapshots[0])
    if (folder / "saved_model.pb").exists() or (folder / "keras_metadata.pb").exists():
        raise CheckpointError(
            f"{folder} is a SavedModel of TensorFlow: convert it by python -m tf2onnx.convert --saved-model {folder}"
            " --inputs-as-nchw INPUT --output model.onnx, then edgekit export model.onnx; or save the Keras model as"
            " .keras"
        )
    if (folder / "Manifest.json").exists() or folder.suffix == ".mlpackage":
        raise CheckpointError(f"{folder} is a Core ML package, an export already: give the checkpoint of the training")
    if list(folder.glob("*.data-0*-of-0*")):
        raise CheckpointError(
            f"{folder} holds a checkpoint of TensorFlow, which names no network: save the Keras model as .keras in the"
            " environment of the training"
        )
    if list(folder.glob("*.index.json")):
        raise CheckpointError(f"{folder} holds weights in several files: save them as one, which MobileNets fit in")
    for name in _WEIGHTS:
        if (folder / name).exists() and (folder / "config.json").exists():
            return folder / name
    files = sorted(file.name for file in folder.iterdir() if file.suffix in _SUFFIXES)
    which = f"one of its checkpoints: {', '.join(files[:4])}" if files else "the path of a checkpoint"
    raise CheckpointError(
        f"{folder} is a folder without config.json beside {_WEIGHTS[0]}: give {which}; or bring the network as ONNX:"
        f" {WAY_BY_ONNX}"
    )


def notes_of(path: Path) -> tuple[str, ...]:
    """What is to be said of a file of weights by what lies beside it: the training that wrote it has not ended."""
    folder = path.parent
    if not ((folder / RUN).exists() and (folder / STATE).exists()):
        return ()
    return (f"the training in {folder} has not ended; the command that began it goes on with it",)


def calibration_of(path: Path) -> Path | None:
    """The images that a training run has kept for calibration, where ``path`` is its folder or a checkpoint in it."""
    folder = path if path.is_dir() else path.parent
    images = folder / CALIBRATION
    return images if (folder / RUN).exists() and images.is_dir() else None
