"""Whether ``edgekit diagnose`` names what is wrong: ``python -m edgekit.benchmarks.troubles [FOLDER]``.

Troubles are planted one at a time, and each has to be named, with the remedy that ends it; healthy networks have to
raise no alarm. Networks are of three kinds:

- **Looked at while thresholds were set**, as healthy ones: the shipped digits network, and V1 0.25, V2 1.0 and V3-Small
  of EDGEKIT_REALDATA (as for ``edgekit.benchmarks.realdata``). Nothing was planted in them then.
- **Counted with troubles**: these, and the trained ones below. What is planted in V2 and V3-Small, thresholds had not
  seen.
- **Trained here**, on scikit-learn's digits, a run of a few minutes that is kept in FOLDER.

Three rules were changed after a planted trouble was missed or a network wrongly accused: how sure a contradicted label
has to be (two of five ones called 7), what a leaked image is (80 training images in the test), and a loss that rises
before it falls (a rate of 3). These cases are not counted; others of their kind, which no rule had seen, stand for
them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edgekit import config
from edgekit.benchmarks.realdata import CHECKPOINTS, VARIABLE, settings_for
from edgekit.calibration.images import open_images
from edgekit.config import (
    CalibrationSettings,
    ExportSettings,
    ModelSettings,
    PreprocessingSettings,
    Settings,
    TrainSettings,
    VerifySettings,
)
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER
from edgekit.diagnosis.finding import Trouble
from edgekit.errors import CheckpointError, GateFailed
from edgekit.models import checkpoint
from edgekit.pipeline.diagnosing.diagnose import diagnose
from edgekit.pipeline.diagnosing.named import Named
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.train import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult

LEARNED: Final = 1000  # of scikit-learn's 1,797 digits
JUDGED: Final = 300  # others, that choose the epochs of small trainings
FEW: Final = 200  # of these, for small trainings,
TINY: Final = 60  # and to be learned by heart
REAL_IMAGES: Final = 130  # of the 650 of ImageNet: one in five
GREY_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
# What may be said of a healthy network on a machine that is shared: it is true, and not of the network.
OF_THE_MACHINE: Final = {Trouble.BUSY_MACHINE}


@dataclass(frozen=True)
class Case:
    """Something to be diagnosed.

    Attributes:
        name: what was planted, or what is healthy.
        network: in what.
        settings: of the diagnosis.
        named: likewise.
        trouble: that has to be named; None of what is healthy.
        remedy: what the remedy has to say.
        others: troubles that follow from the planted one, and may be named beside it.
        options: of ``diagnose``.
        busy: whether other processes compute meanwhile.
    """

    name: str
    network: str
    settings: Settings
    named: Named
    trouble: Trouble | None = None
    remedy: str = ""
    others: frozenset[Trouble] = frozenset()
    options: dict[str, Any] = field(default_factory=dict)
    busy: bool = False

    def diagnosed(self) -> DiagnoseResult:
        """What ``edgekit diagnose`` says of it."""
        with _busy() if self.busy else _idle():
            return diagnose(self.settings, self.named, **{"timing": False, **self.options})


def main() -> None:
    """Measure and print Markdown."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        work.mkdir(exist_ok=True, parents=True)
        print("| planted | in | named | also named | s |\n|---|---|---|---|---|", flush=True)
        planted = [_told(case) for case in troubles(work)]
        print(f"\n{sum(planted)} of {len(planted)} troubles named, each with its remedy\n", flush=True)
        print("| healthy | | alarms | | s |\n|---|---|---|---|---|", flush=True)
        calm = [_told(case) for case in healthy(work)]
        print(f"\n{sum(calm)} of {len(calm)} healthy ones without an alarm")


def _told(case: Case) -> bool:
    """Print what was found; whether it is right."""
    started = time.perf_counter()
    found, refused = {}, ""
    try:
        found = {one.trouble: one for one in case.diagnosed().findings}
    except CheckpointError as error:  # which says what the training's log shows
        refused = str(error)
    also = ""
    if case.trouble is not None and refused:
        right, said = f"{case.trouble}: " in refused and case.remedy in refused, refused
    elif case.trouble is None:
        alarms = [trouble for trouble in found if trouble not in OF_THE_MACHINE]
        right = not alarms and not refused
        said = refused or "; ".join(f"**{t}**: {found[t].evidence}" for t in alarms) or "none"
    else:
        own = found.get(case.trouble)
        right = own is not None and case.remedy in own.remedy
        said = f"{case.trouble}: {own.evidence}; {own.remedy}" if own is not None else "**NOTHING**"
        said = said if right or own is None else f"**ANOTHER REMEDY** {said}"
        also = ", ".join(t for t in found if t not in {case.trouble, *case.others, *OF_THE_MACHINE})
    print(f"| {case.name} | {case.network} | {said} | {also} | {time.perf_counter() - started:.0f} |", flush=True)
    return right


# --- networks ---------------------------------------------------------------------------------------------------------


def real(name: str) -> Settings | None:
    """A network of EDGEKIT_REALDATA on ImageNet's validation images; None without them."""
    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        return None
    settings = settings_for(data, data / "models" / CHECKPOINTS[name], Path())
    return replace(settings, verify=replace(settings.verify, images=REAL_IMAGES))


def digits(work: Path) -> Path:
    """scikit-learn's digits in colour, 32 x 32: train.npz, test.npz and few.npz."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - needed here alone

    folder = work / "digits"
    if not folder.is_dir():
        folder.mkdir()
        known = load_digits()
        pixels = np.clip(known.images * 16, 0, 255).astype(np.uint8).repeat(4, 1).repeat(4, 2)
        images = np.repeat(pixels[..., None], 3, 3)
        for name, part in (
            *(("train", slice(LEARNED)), ("few", slice(FEW)), ("tiny", slice(TINY))),
            *(("test", slice(LEARNED, None)), ("judge", slice(LEARNED, LEARNED + JUDGED))),
        ):
            np.savez(folder / f"{name}.npz", images=images[part], labels=known.target[part])
    return folder


def trained(work: Path, name: str, **keys: Any) -> tuple[Settings, Named]:  # noqa: ANN401 - of [train]
    """A network that learned digits, in ``work / name``; one that is there is not trained again."""
    folder = digits(work)
    usual: dict[str, Any] = {
        "data": folder / "train.npz", "validation": folder / "test.npz", "arch": "mobilenet_v3_digits",
        "resolution": 32, "epochs": 10, "batch_size": 50, "opt": "adamw", "lr": 4e-3, "weight_decay": 0.02,
        "hflip": 0.0, "aa": "rand-m2-n1", "model_ema_decay": 0.0, "drop": 0.0, "out": work / name,
    }  # fmt: skip
    with suppress(GateFailed):  # a training that diverges ends by itself
        train(Settings(train=TrainSettings(**{**usual, **keys})))
    return Settings(verify=VerifySettings(data=folder / "test.npz")), Named(work / name, ())


def of_run(work: Path, name: str, **keys: Any) -> tuple[Settings, Named]:  # noqa: ANN401 - likewise
    """``trained``, with the checkpoint in the settings."""
    settings, named = trained(work, name, **keys)
    return replace(settings, model=ModelSettings(checkpoint=named.network)), named


def changed(source: Path, out: Path, change: Callable[[dict[str, torch.Tensor]], None], **options: Any) -> Named:  # noqa: ANN401 - of the checkpoint
    """A copy of a checkpoint with some of its numbers changed."""
    loaded = checkpoint.load(source, **options)
    state = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    change(state)
    loaded.module.load_state_dict(state)
    checkpoint.save(out, loaded.module, loaded.architecture)
    return Named(out, ())


def with_data(settings: Settings, path: Path, change: Callable[[dict[str, NDArray[Any]]], None]) -> Settings:
    """The settings with other images: those of an .npz, or of a network's own, changed."""
    data = settings.verify.data
    assert data is not None
    if data.suffix == ".npz":
        with np.load(data) as known:
            arrays = dict(known)
    else:
        from edgekit.preprocessing import Preprocessing  # noqa: PLC0415 - needed here alone

        half = (0.5,) * 3
        source = open_images(data, Preprocessing((224, 224), None, half, half, "RGB"), limit=settings.verify.images)
        batches = list(source.batches(32))
        arrays = {
            "images": np.concatenate([batch.pixels for batch in batches]),
            "labels": np.concatenate([np.asarray(batch.labels) for batch in batches]),
        }
    change(arrays)
    np.savez(path, **arrays)
    return replace(settings, verify=VerifySettings(data=path))


# --- troubles ---------------------------------------------------------------------------------------------------------


def troubles(work: Path) -> Iterator[Case]:
    """Every trouble, in a network that it could be in."""
    yield from _of_feeding(work)
    yield from _of_labels(work)
    yield from _of_networks(work)
    yield from _of_trainings(work)
    yield from _of_files(work)


def _of_feeding(work: Path) -> Iterator[Case]:
    wrong = Trouble.PREPROCESSING
    if (v3 := real("V3-Small")) is not None and v3.preprocessing is not None:
        fed = replace(v3.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        network = Named(v3.model.checkpoint, ())
        yield Case(
            "normalized to 0 to 1", "V3-Small", replace(v3, preprocessing=fed), network, wrong, "--preprocessing tf"
        )
    if (v2 := real("V2 1.0")) is not None:
        network, other = Named(v2.model.checkpoint, ()), Trouble.OTHER_IMAGES
        fed = replace(v2.preprocessing, order="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        yield Case("blue and red exchanged", "V2", replace(v2, preprocessing=fed), network, wrong, "--order RGB")

        def grey(arrays: dict[str, NDArray[Any]]) -> None:
            arrays["images"] = np.repeat(np.rint(arrays["images"] @ GREY_WEIGHTS).astype(np.uint8)[..., None], 3, 3)

        def dark(arrays: dict[str, NDArray[Any]]) -> None:
            arrays["images"] = np.rint(arrays["images"] / 255).astype(np.uint8)

        yield Case("grey images", "V2", with_data(v2, work / "grey.npz", grey), network, other)
        yield Case("divided by 255", "V2", with_data(v2, work / "dark.npz", dark), network, other)


def _of_labels(work: Path) -> Iterator[Case]:
    settings, named = of_run(work, "v3")

    def swapped(arrays: dict[str, NDArray[Any]]) -> None:
        labels = arrays["labels"]
        arrays["labels"] = np.select([labels == 2, labels == 6], [6, 2], labels)

    def moved(arrays: dict[str, NDArray[Any]]) -> None:
        arrays["labels"] = np.array([0, 1, 3, 4, 5, 6, 7, 8, 9, 2])[arrays["labels"]]

    def mislabelled(arrays: dict[str, NDArray[Any]]) -> None:
        zeros = np.flatnonzero(arrays["labels"] == 0)
        arrays["labels"][zeros[: len(zeros) // 3]] = 6

    with np.load(digits(work) / "train.npz") as known:
        learned, of_learned = known["images"][300:360], known["labels"][300:360]

    def copied(arrays: dict[str, NDArray[Any]]) -> None:
        arrays["images"] = np.concatenate([arrays["images"], learned])
        arrays["labels"] = np.concatenate([arrays["labels"], of_learned])

    for name, change, trouble, remedy in (
        ("2 and 6 exchanged", swapped, Trouble.SWAPPED_LABELS, "[l == 2, l == 6], [6, 2]"),
        ("classes in another order", moved, Trouble.OTHER_ORDER, "d['labels'] = np.array("),
        ("a third of the zeros called 6", mislabelled, Trouble.MISLABELLED, "] = 0"),
        ("60 training images in the test", copied, Trouble.DUPLICATES, "np.delete("),
    ):
        seen = {"training": digits(work) / "train.npz"} if trouble is Trouble.DUPLICATES else {}
        data = with_data(settings, work / f"{trouble}.npz", change)
        yield Case(name, "V3 on digits", data, named, trouble, remedy, options=seen)

    def uneven(arrays: dict[str, NDArray[Any]]) -> None:
        rare = np.flatnonzero(arrays["labels"] == 8)[4:]
        for name, values in arrays.items():
            arrays[name] = np.delete(values, rare, 0)

    everything = replace(settings, verify=VerifySettings(data=digits(work) / "train.npz"))
    options = {"training": with_data(everything, work / "uneven.npz", uneven).verify.data}
    name, again = "4 images of one class, 100 of others", "edgekit train"
    yield Case(name, "V3 on digits", settings, named, Trouble.IMBALANCE, again, options=options)


def _of_networks(work: Path) -> Iterator[Case]:
    def broken(state: dict[str, torch.Tensor]) -> None:
        state["features.3.conv.1.0.weight"][0] = 3e38

    def dead(state: dict[str, torch.Tensor]) -> None:
        number = len(state["features.5.conv.0.1.weight"]) * 6 // 10
        state["features.5.conv.0.1.weight"][:number] = 0
        state["features.5.conv.0.1.bias"][:number] = -1

    def saturated(state: dict[str, torch.Tensor]) -> None:
        state["features.4.conv.1.1.bias"] += 30

    def stale(state: dict[str, torch.Tensor]) -> None:
        for name in ("features.8.conv.0.1", "features.8.conv.1.1", "features.8.conv.3"):
            state[f"{name}.running_mean"] *= 0
            state[f"{name}.running_var"] = torch.ones_like(state[f"{name}.running_var"])

    def sure(state: dict[str, torch.Tensor]) -> None:
        for name in [name for name in state if name.startswith("classifier")]:
            state[name] *= 5

    follows = frozenset(Trouble)
    for network, name, change, trouble, remedy in (
        ("V2 1.0", "a weight of 3e38", broken, Trouble.BROKEN_WEIGHTS, "--clip-grad"),
        ("V2 1.0", "60 % of a layer dead", dead, Trouble.DEAD_CHANNELS, "edgekit prune"),
        ("V2 1.0", "a ReLU6 saturated", saturated, Trouble.SATURATED, "edgekit train"),
        ("V2 1.0", "statistics as before training", stale, Trouble.STALE_BN, "edgekit train"),
        ("V1 0.25", "logits five times as large", sure, Trouble.OVERCONFIDENT, "--smoothing"),
    ):
        if (settings := real(network)) is not None:
            out = work / f"{trouble}.safetensors"
            of = changed(Path(str(settings.model.checkpoint)), out, change, padding="same")
            of_it = replace(settings, model=replace(settings.model, checkpoint=out, padding=None), preprocessing=_HALF)
            yield Case(name, network, of_it, of, trouble, remedy, follows)


_HALF: Final = PreprocessingSettings(mean=(0.5,) * 3, std=(0.5,) * 3, order="RGB", resize="none")
_SMALL: Final[dict[str, Any]] = {"width": 0.5, "epochs": 8, "aa": "none"}


def _of_trainings(work: Path) -> Iterator[Case]:
    few, tiny, judge = (digits(work) / f"{name}.npz" for name in ("few", "tiny", "judge"))
    longer = {"data": digits(work) / "train.npz", "width": 1.0, "epochs": 4, "sched": "step"}
    for name, keys, trouble, remedy in (
        ("a rate of 30", {"opt": "sgd", "lr": 30.0, "clip_grad": 1e9}, Trouble.DIVERGED, "--clip-grad 1"),
        ("a rate of 1e-7", {"lr": 1e-7, "smoothing": 0.0}, Trouble.RATE_TOO_LOW, "--lr 1e-06"),
        ("a rate of 8", {"opt": "sgd", "lr": 8.0, "clip_grad": 1e9}, Trouble.RATE_TOO_HIGH, "--lr"),
        ("4 epochs, the rate never falls", longer, Trouble.STILL_LEARNING, "--epochs"),
    ):
        settings, named = of_run(work, f"log {trouble}", **{**_SMALL, "data": few, "validation": judge, **keys})
        yield Case(name, "V3 0.5 on digits", settings, named, trouble, remedy, frozenset(Trouble))
    heart = {"data": tiny, "validation": judge, "epochs": 40, "batch_size": 20, "smoothing": 0.0, "weight_decay": 0.0}
    settings, named = of_run(work, "log overfit", **{**_SMALL, **heart, "width": 1.0})
    options = {"training": tiny}
    yield Case(f"{TINY} images learned by heart", "V3 on digits", settings, named, Trouble.OVERFIT, "--aa",
               frozenset(Trouble), options)  # fmt: skip


def _of_files(work: Path) -> Iterator[Case]:
    settings, named = of_run(work, "v3")
    assert named.network is not None
    calibrated = CalibrationSettings(data=digits(work) / "train.npz")
    usual = replace(settings, calibration=calibrated)

    def exported(name: str, precisions: tuple[str, ...], **calibration: Any) -> Named:  # noqa: ANN401 - of [calibration]
        out = work / name
        wanted = ExportSettings(targets=("tflite",), precisions=precisions, out=out, verify=False)  # type: ignore[arg-type]
        made = export(replace(usual, calibration=replace(calibrated, **calibration), export=wanted))
        return Named(named.network, tuple(file.path for file in made.files))

    dark = with_data(
        replace(settings, verify=VerifySettings(data=digits(work) / "train.npz")), work / "dark.npz", _dark
    )
    blind = exported("blind", ("int8",), data=dark.verify.data)
    slow = exported("slow", ("int8",), int16_activations=("features.4.block.1",))
    files = exported("files", ("float32", "int8"))
    timed = {"timing": True}
    yield Case("calibrated on dark images", "V3 on digits", settings, blind, Trouble.INT8_WORSE, "--keep-float")
    on = "V3 on digits"
    yield Case("16-bit activations", on, settings, slow, Trouble.SLOW_OPERATOR, "edgekit export", options=timed)
    many = {**timed, "threads": 16}
    yield Case("16 threads", on, settings, files, Trouble.TOO_MANY_THREADS, "--threads", options=many)
    yield Case("a busy core", on, settings, files, Trouble.BUSY_MACHINE, "edgekit diagnose", options=timed, busy=True)


def _dark(arrays: dict[str, NDArray[Any]]) -> None:
    arrays["images"] //= 16


@contextmanager
def _idle() -> Iterator[None]:
    yield


@contextmanager
def _busy() -> Iterator[None]:
    """Other processes compute meanwhile, one a core."""
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _spin() -> None:
    while True:
        pass


# --- healthy ----------------------------------------------------------------------------------------------------------


def healthy(work: Path) -> Iterator[Case]:
    """Networks with nothing wrong: no threshold may call them anything."""
    yield Case("checkpoint, and the images of training", "shipped digits", config.load(CONFIG), Named(CHECKPOINT, ()),
               options={"training": FOLDER / "calibration.npz"})  # fmt: skip
    for name in CHECKPOINTS:
        for half in (0, 1):
            if (settings := real(name)) is not None:
                data = settings if half else with_data(settings, work / "half.npz", _every_other)
                yield Case(f"checkpoint, {('every other image', 'evenly spread images')[half]}", name, data,
                           Named(settings.model.checkpoint, ()))  # fmt: skip
    learned = {"training": digits(work) / "train.npz"}
    settings, named = of_run(work, "v3")
    yield Case("run, and the images of training", "V3 on digits", settings, named, options=learned)
    settings, named = of_run(work, "v3")
    files = tuple(sorted((work / "files").glob("*.tflite")))
    yield Case("files beside the checkpoint, timed", "V3 on digits", settings, Named(named.network, files),
               options={"timing": True})  # fmt: skip
    yield Case("files alone", "V3 on digits", settings, Named(None, files))


def _every_other(arrays: dict[str, NDArray[Any]]) -> None:
    for name, values in arrays.items():
        arrays[name] = values[::2]


if __name__ == "__main__":
    main()
