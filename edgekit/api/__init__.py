"""What ``import edgekit`` gives: each function does what the command of its name does, and its keywords are the flags.

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from edgekit.api.loaded import Loaded
    from edgekit.api.results import Analyzed, Benched, Diagnosed, Exported, Pruned, Swept, Trained, Verified
    from edgekit.progress import Progress

    Model: TypeAlias = str | PathLike[str] | nn.Module | ExportedProgram
    Images: TypeAlias = str | PathLike[str] | NDArray[np.uint8] | NDArray[np.float32] | Tensor | Iterable[Any]
    Files: TypeAlias = str | PathLike[str] | Exported | Sequence[str | PathLike[str]]


def export(  # noqa: PLR0913 - one a flag of the command
    model: Model | None = None,
    calibration: Images | None = None,
    *,
    targets: str | Sequence[str] | None = None,
    int8: bool | None = None,
    float16: bool = False,
    dynamic: bool = False,
    weight_only: bool = False,
    float32: bool = False,
    device: str | None = None,
    out: str | PathLike[str] | None = None,
    name: str | None = None,
    preprocessing: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    order: str | None = None,
    resize: int | tuple[int, int] | str | None = None,
    resolution: int | tuple[int, int] | None = None,
    padding: str | None = None,
    layout: str | None = None,
    images: int | None = None,
    strict: bool = False,
    labels: str | PathLike[str] | None = None,
    task: str | None = None,
    io_dtype: str | None = None,
    probabilities: str | None = None,
    heads: str | Sequence[str] | None = None,
    outputs: str | None = None,
    batch: int | None = None,
    keep_float: str | Sequence[str] | None = None,
    int16_activations: str | Sequence[str] | None = None,
    per_tensor_weights: bool = False,
    floor: float | None = None,
    ranges: str | PathLike[str] | None = None,
    data_free: bool = False,
    insist: bool = False,
    verify: bool = True,
    threads: int | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a trained network for its targets: int8 files of the same integers, proven before they appear.

    >>> import edgekit
    >>> result = edgekit.export(model, loader, targets=["tflite", "onnx"])   # doctest: +SKIP
    >>> result["tflite"]                                                                  # doctest: +SKIP
    PosixPath('exported/mynet.int8.tflite')

    Args:
        model: a checkpoint's path (.pth, .safetensors, .h5, .keras, .onnx), a torch ``nn.Module`` in memory, or what
            ``torch.export.export`` made of one. It takes one image, and gives logits, numbers or feature maps. A module
            is copied and left as it is.
        calibration: images like those in use, 100 to 500, labels ignored. A folder, a pattern, a .npz, .npy or .csv
            file; an array or tensor; or anything that can be iterated over, such as a DataLoader or a data set: of
            images or batches, alone or first in a tuple, list or dictionary. **uint8 is pixels**, 0 to 255, red, green
            and blue, and is resized like any image, unless it has the network's size and ``resize`` is not given.
            **Floating-point numbers are the network's input already**, unless mean and std, or preprocessing, are given
            and make pixels of them.
        targets: "onnx", "tflite", "coreml", "torch", several of them ("onnx,torch"), or "all"; "onnx" and "tflite" by
            default.
        int8: write int8 files; by default where calibration, ranges or data_free is given.
        float16: write float16 files, too.
        dynamic: likewise, of int8 weights whose layers quantize what they read, which takes no images, and is often
            slower than float32.
        weight_only: likewise, of int8 weights that compute in float32.
        float32: write float32 files, too; the default without any of the others.
        device: what the files are for, "raspberrypi4" (``edgekit devices`` lists them); it decides what nothing else
            does.
        out: folder to write to; "exported" by default.
        name: of the files of a network in memory; that of its class by default.
        preprocessing: how images were normalized in training: "imagenet", "tf" (-1 to 1), "unit" (0 to 1), "raw" (0 to
            255), "caffe", "cifar10", …; found from the images where that can be done.
        mean: or its mean, one a channel or one for all, of pixels from 0 to 1.
        std: and its standard deviation, likewise.
        order: "RGB" or "BGR", as the network was trained.
        resize: of images before the centre crop: pixels of the shorter side, (height, width) to cover, "whole", "none".
        resolution: of the network's input in pixels, or (height, width). A module does not say it: it is that of the
            calibration images where these are arrays of one size, and has to be given otherwise.
        padding: "same" (TensorFlow) or "symmetric" (PyTorch), where a checkpoint does not tell. A module does.
        layout: of arrays, "NCHW", "NHWC", "CHW", "HWC" or "NHW"; follows from the shape where that leaves no choice.
        images: how many to take, evenly spread; at most 1024 of what is iterated over, if it is not given.
        strict: refuse a broken image instead of skipping it.
        labels: a text file of class names, one a line, stored in every file.
        task: what the network is for: "classification", as is usual for one output of [N, classes].
        io_dtype: "float32", "int8" or "uint8" at the boundary of int8 files.
        probabilities: of classifiers, beside the logits, by "softmax" or "sigmoid"; "none" by default.
        heads: those that files have, where the network has several.
        outputs: of detectors "raw", codings and logits, "decoded", corners of boxes and probabilities, or "final", the
            boxes that non-maximum suppression leaves; of segmenters logits ("raw", or "enlarged" to the image's size),
            or classes at their stride ("decoded") or the image's size ("final").
        batch: images that a file takes at once; any number by default, but for Core ML's, which takes one.
        keep_float: layers that stay in float in int8 files; "features.4" means all of that block.
        int16_activations: layers with 16-bit activations, for TFLite and ONNX.
        per_tensor_weights: one weight scale a layer, for targets that have none a channel.
        floor: keep as few layers in float as it takes to lose at most so many points of top-1.
        ranges: a file of ranges from an earlier export, in place of calibration.
        data_free: on synthetic images, made from batch normalization, in place of calibration.
        insist: go on with what is only assumed of the network, or contradicted by evidence.
        verify: prove every file in the runtimes of this machine before it is published.
        threads: to compute with; as many as torch takes by default.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml, ``{"model.bn_eps": 1e-3}``; ``edgekit config`` lists them.
        progress: called with the name of a stage, the steps done, and the steps in all.

    Returns:
        ``files``, ``facts``, ``notes`` and more; ``result["tflite"]`` is a path. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: the model, the images or a value cannot be used; or int8 would rest on what is only
            assumed, and ``insist`` is not set.
        edgekit.errors.GateFailed: a finished file is not what it has to be; nothing is written then.
        edgekit.errors.MissingDependency: a target needs an extra that is not installed.
    """
    from edgekit.api import exporting  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("exporting")
    return exporting.export(**given)


def train(  # noqa: PLR0913 - one a flag of the command
    data: str | PathLike[str] | None = None,
    arch: str | None = None,
    *,
    width: float | None = None,
    resolution: int | tuple[int, int] | None = None,
    pretrained: str | PathLike[str] | None = None,
    task: str | None = None,
    head: str | None = None,
    exits: int | Sequence[str] | None = None,
    exit_drop: float | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    opt: str | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    sched: str | None = None,
    warmup_epochs: float | None = None,
    decay_epochs: Sequence[int] | None = None,
    decay_rate: float | None = None,
    layer_decay: float | None = None,
    smoothing: float | None = None,
    drop: float | None = None,
    model_ema_decay: float | None = None,
    clip_grad: float | None = None,
    grad_accum_steps: int | None = None,
    freeze_bn: bool = False,
    grad_checkpointing: bool = False,
    crop: str | None = None,
    crop_size: int | tuple[int, int] | None = None,
    full_size_epochs: int | None = None,
    pad: int | None = None,
    scale: tuple[float, float] | None = None,
    hflip: float | None = None,
    aa: str | None = None,
    reprob: float | None = None,
    mixup: float | None = None,
    cutmix: float | None = None,
    teacher: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    kd: str | None = None,
    kd_temperature: float | None = None,
    kd_alpha: float | None = None,
    validation: str | PathLike[str] | None = None,
    preprocessing: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    order: str | None = None,
    resize: int | tuple[int, int] | str | None = None,
    padding: str | None = None,
    seed: int | None = None,
    accelerator: str | None = None,
    out: str | PathLike[str] | None = None,
    threads: int | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a network on images; the same call goes on with a run that was interrupted.

    >>> run = edgekit.train("flowers", pretrained="mobilenet_v3_small.pth", out="runs/a")  # doctest: +SKIP
    >>> edgekit.export(run.run, int8=True)                                                # doctest: +SKIP

    What is left out is as the recipe has it: "scratch", "cifar10", or "finetune", which is the default with pretrained;
    "detection" and "segmentation" for these tasks.

    Args:
        data: a folder of class folders, or of train/ and val/; a .csv or .npz; images with boxes or masks beside them.
        arch: the family, "mobilenet_v3_small"; that of pretrained by default.
        width: multiplier of all channels; 1, or that of pretrained.
        resolution: of the network's images in pixels, or (height, width); as usual for the family.
        pretrained: a checkpoint to start from; its classifier may have other classes.
        task: its purpose: "classification", "tagging", "regression", "detection", "segmentation", "several".
        head: "ssd" or "ssdlite" in detection, "lraspp" or "deeplab" in segmentation; as usual for the family.
        exits: early exits of a classifier: names of feature maps, or how many.
        exit_drop: points of top-1 that may be lost by leaving early; 0.5 by default.
        recipe: values of all that follows.
        epochs: how often to see each image.
        batch_size: images of a step.
        opt: "sgd" or "adamw".
        lr: the learning rate at its peak.
        momentum: of SGD; the first beta of AdamW.
        weight_decay: of all weights but biases and batch normalization.
        sched: "cosine" or "step".
        warmup_epochs: in which the learning rate rises.
        decay_epochs: after which epochs it falls, with "step".
        decay_rate: by what factor.
        layer_decay: learning rate of a block over that of the block behind it.
        smoothing: of labels.
        drop: dropout before the classifier.
        model_ema_decay: of a moving average of the weights, which is what is kept; 0 is none.
        clip_grad: largest norm of the gradient.
        grad_accum_steps: steps whose gradients make one update.
        freeze_bn: keep the statistics of the pretrained network's batch normalization.
        grad_checkpointing: compute features twice instead of keeping them.
        crop: of training images: "pad", "resized", "objects", "scaled" or "none".
        crop_size: side of the crops in pixels, or (height, width), with "scaled".
        full_size_epochs: last epochs, in which crops have the size of the network's images.
        pad: pixels on each side, with "pad".
        scale: least and largest share of an image's area, with "resized".
        hflip: probability of a mirrored image.
        aa: RandAugment, "rand-m9-n2", or "none".
        reprob: probability of an erased rectangle.
        mixup: alpha of mixup.
        cutmix: alpha of CutMix.
        teacher: checkpoints or ONNX files to learn from; several are an ensemble.
        kd: "kd", distillation, or "dkd", decoupled distillation.
        kd_temperature: of the soft-max of teacher and student; 4 by default.
        kd_alpha: share of the teacher in the loss; 0.7 by default.
        validation: images that choose the best epoch; by default val/ in data, or one image in five.
        preprocessing: how images are normalized, "imagenet"; found where a checkpoint is given.
        mean: or its mean, one a channel or one for all, of pixels from 0 to 1.
        std: and its standard deviation.
        order: "RGB" or "BGR".
        resize: of images before the centre crop.
        padding: "same" (TensorFlow) or "symmetric" (PyTorch).
        seed: of weights, order and augmentation; 0 by default.
        accelerator: "cpu" or "cuda"; cuda where there is a GPU.
        out: the run's folder; "runs/train" by default.
        threads: to compute with.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml.
        progress: as in ``export``.

    Returns:
        ``run`` and ``checkpoint`` (paths), ``epochs``, ``best``. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: images, a checkpoint or a value cannot be used.
        edgekit.errors.GateFailed: the loss is no number any more.
    """
    from edgekit.api import training  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("training")
    return training.train(**given)


def prune(  # noqa: PLR0913 - one a flag of the command
    model: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    *,
    to: str | None = None,
    rank: str | None = None,
    uniform: bool = False,
    unstructured: float | None = None,
    multiple: int | None = None,
    device: str | None = None,
    calibration: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    validation: str | PathLike[str] | None = None,
    seed: int | None = None,
    accelerator: str | None = None,
    preprocessing: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    order: str | None = None,
    resize: int | tuple[int, int] | str | None = None,
    padding: str | None = None,
    threads: int | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Pruned:
    """Take channels out of a trained network: it becomes smaller and faster, and loses some accuracy.

    >>> small = edgekit.prune("runs/a", "flowers", to="macs=0.5", out="runs/b")           # doctest: +SKIP
    >>> edgekit.export("runs/b", int8=True)                                               # doctest: +SKIP

    With data it is trained after each step; the same call goes on with a run that was interrupted.

    Args:
        model: a checkpoint of one of edgekit's families, or the folder of a run.
        data: images to train on afterwards, as ``train`` takes them.
        to: what is left of what it costs, "macs=0.5", "size=0.5" (weights), "channels=0.7" or "latency=0.6@DEVICE",
            as what ``edgekit bench --fit --out DEVICE`` wrote predicts it; or "dead", which changes no output.
        rank: what a channel is worth: "output", what outputs move without it, "taylor", what the loss of labels does,
            "l1", its weights, or "bn", its batch normalization; "l1" with data or without images, else "output".
        uniform: every layer keeps the same share of its channels.
        unstructured: set this share of the weights to zero instead, those of least magnitude.
        multiple: numbers of channels become multiples of it; what the device's kernels like by default, or 8.
        device: what it is made smaller for, "raspberrypi5" (``edgekit devices``).
        calibration: images like those in use, labels ignored; those that a run has kept by default.
        out: the checkpoint, "pruned.safetensors" by default; with data the run's folder, "runs/prune".
        steps: cuts, of which each takes the same share of what is left, with a training behind it; 1 by default.
        epochs: of each training, and so on, as in ``train``; ``settings`` has all others, {"train.opt": "sgd"}.
        batch_size: images of a step.
        lr: the learning rate at its peak.
        validation: images that choose the best epoch.
        seed: of order and augmentation.
        accelerator: "cpu" or "cuda".
        preprocessing: how images were normalized in training, as in ``export``.
        mean: or its mean.
        std: and its standard deviation.
        order: "RGB" or "BGR".
        resize: of images before the centre crop.
        padding: "same" (TensorFlow) or "symmetric" (PyTorch), where a checkpoint does not tell.
        threads: to compute with.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml.
        progress: as in ``export``.

    Returns:
        ``checkpoint``, what it costs ``before`` and ``after``, ``layers``, ``training``. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: the network, the images or a value cannot be used.
    """
    from edgekit.api import pruning  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("pruning")
    return pruning.prune(**given)


def verify(  # noqa: PLR0913 - one a flag of the command
    files: Files,
    data: Images | None = None,
    *,
    model: Model | None = None,
    task: str | None = None,
    images: int | None = None,
    layout: str | None = None,
    strict: bool = False,
    baseline: str | PathLike[str] | None = None,
    latency: bool = False,
    emulate: bool = False,
    report: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    threads: int | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Prove that exported files are the model that was trained: integers one by one, floats within a tolerance.

    >>> edgekit.verify(result, test_loader).passed                                   # doctest: +SKIP
    True

    Args:
        files: what ``export`` gave, a file, a folder, or several of them.
        data: images, as ``export`` takes them for calibration; labels beside them give accuracy. Noise by default.
        model: the trained network, a path or in memory; by default the one that ``files`` were exported from here, or
            that their manifest leads to.
        task: what the network is for, where the files do not say it.
        images: how many of the images to take; at most 1024 of what is iterated over, if it is not given.
        layout: of arrays, as in ``export``.
        strict: refuse a broken image instead of skipping it.
        baseline: what ``edgekit baseline`` kept: files may be no larger and no slower.
        latency: time every file, too, for the report.
        emulate: also on emulated processors that ``edgekit emulate`` set up.
        report: files to write a report to, .html, .md, .xml (JUnit) or .json.
        threads: to compute with.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml, such as limits: ``{"verify.limits.drop": 1.0}``.
        progress: as in ``export``.

    Returns:
        ``passed``, ``is_proven``, ``files`` (a verdict each, with what was ``measured``), ``warnings``, ``facts``.

    Raises:
        edgekit.errors.BadInput: the files, the images or the model cannot be used.
        edgekit.errors.MissingDependency: a file's runtime is not installed.
    """
    from edgekit.api import verifying  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("verifying")
    return verifying.verify(**given)


def diagnose(  # noqa: PLR0913 - one a flag of the command
    paths: Files | None = None,
    data: Images | None = None,
    *,
    training: str | PathLike[str] | None = None,
    images: int | None = None,
    no_timing: bool = False,
    labels: str | PathLike[str] | None = None,
    preprocessing: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    order: str | None = None,
    padding: str | None = None,
    resize: int | tuple[int, int] | str | None = None,
    model: nn.Module | ExportedProgram | None = None,
    task: str | None = None,
    insist: bool = False,
    threads: int | None = None,
    report: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Diagnosed:
    """Name what is wrong with a network, its images, its training or its files, each with a remedy.

    >>> edgekit.diagnose("runs/a", "flowers/val", training="flowers/train").findings      # doctest: +SKIP

    Args:
        paths: a checkpoint or the folder of a run, and files that were exported from it; or what ``export`` gave.
        data: labelled images that the network was not trained on, as ``export`` takes them for calibration.
        training: a folder of those that it was trained on; by default the few that a run has kept.
        images: how many of data to take, evenly spread.
        no_timing: time nothing.
        labels: a text file of class names, one a line.
        preprocessing: how images were normalized in training, as in ``export``.
        mean: or its mean.
        std: and its standard deviation.
        order: "RGB" or "BGR".
        padding: "same" (TensorFlow) or "symmetric" (PyTorch), where a checkpoint does not tell.
        resize: of images before the centre crop.
        model: a network in memory, in the place of a checkpoint.
        task: what the network is for, where it does not say it.
        insist: say nothing of what evidence contradicts.
        threads: to compute with; files are timed with one and with so many.
        report: a page to write, .html.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml.
        progress: as in ``export``.

    Returns:
        ``findings``, each with ``trouble``, ``sentence``, ``evidence`` and ``remedy``; ``subjects``, every network that
        was run, with its ``quality``; ``layers``, ``batch_norm``, ``log``. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: the network, a file or the images cannot be used.
        edgekit.errors.MissingDependency: a file's runtime is not installed.
    """
    from edgekit.api import diagnosing  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("diagnosing")
    return diagnosing.diagnose(**given)


def analyze(
    checkpoints: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    *,
    arch: str | Sequence[str] = (),
    width: float | Sequence[float] = (),
    resolution: int | Sequence[int] = (),
    report: str | PathLike[str] | None = None,
) -> Analyzed:
    """What networks cost before anything is exported: multiplications, parameters, memory and file sizes.

    >>> edgekit.analyze("runs/a").networks[0].blocks                                      # doctest: +SKIP
    >>> edgekit.analyze(arch="mobilenet_v2", width=[0.5, 1], resolution=[96, 224])        # doctest: +SKIP

    Args:
        checkpoints: trained networks, one or several.
        arch: families instead; "all" for all of them, which is what nothing at all means, too.
        width: multipliers of their channels; 1 by default.
        resolution: sides of the image in pixels; as usual for the network by default.
        report: a page to write, .html.

    Returns:
        ``networks``: each with ``macs``, ``parameters``, ``peak_int8_bytes``, ``size_bytes`` by precision, ``layers``,
        ``blocks`` and ``savings``. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: a checkpoint cannot be read, or a family is unknown.
    """
    from edgekit.api import analyzing  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("analyzing")
    return analyzing.analyze(**given)


def sweep(  # noqa: PLR0913 - one a flag of the command
    spec: str | PathLike[str] | None = None,
    *,
    out: str | PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    show: str | PathLike[str] | None = None,
    where: str | None = None,
    report: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Swept:
    """Measure a grid of networks and settings; the same call goes on with a sweep that was interrupted.

    >>> edgekit.sweep("grid.toml", out="runs/sweep").front                                # doctest: +SKIP
    >>> edgekit.sweep(show="runs/sweep", where="precision = 'int8'").rows                 # doctest: +SKIP

    Args:
        spec: an edgekit.toml with a section [grid], a list of values a key (docs/sweep.md).
        out: the folder of the sweep; "runs/sweep" by default.
        workers: processes of one thread; one a core by default. With one, everything happens in this process.
        address: of a running Ray cluster, "host:port" or "auto"; a cluster on this machine by default.
        show: the folder of a sweep that is to be read instead.
        where: only cells that fulfil a condition of SQL, "precision = 'int8' and latency_ms < 10".
        report: a page to write, .html.
        settings: any key of edgekit.toml, for all cells.
        progress: as in ``export``.

    Returns:
        ``rows``: accuracy, agreement, size and latency of every cell; ``front``; ``failed``. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: the grid or the folder cannot be used.
        edgekit.errors.MissingDependency: Ray is not installed, and there are several workers.
    """
    from edgekit.api import sweeping  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("sweeping")
    return sweeping.sweep(**given)


def bench(  # noqa: PLR0913 - one a flag of the command
    files: Files,
    *,
    threads: int | Sequence[int] | str | None = None,
    batch: int | Sequence[int] | None = None,
    laps: int | None = None,
    against: str | PathLike[str] | None = None,
    gpu: bool = False,
    device: str | None = None,
    config: str | PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Benched:
    """Measure latency, start and memory of files: fresh processes that take turns, with intervals.

    >>> edgekit.bench(result, threads=1, laps=5).results.rows[0].p50_ms.value             # doctest: +SKIP
    1.82

    Args:
        files: what ``export`` gave, a file, a folder, or several of them; of edgekit or of another tool.
        threads: of one run, or several numbers of them, or "all" for one to all cores; 1 by default.
        batch: images of one run, or several numbers of them; 1 by default.
        laps: fresh processes of each file; 11 by default.
        against: a file that all are compared with; by default each int8 file with its float32 twin.
        gpu: on the GPU as well, where there is one.
        device: where to do it, "ssh://pi@raspberrypi" or "adb://"; this machine by default.
        config: an edgekit.toml; none is read unless it is named here.
        settings: any key of edgekit.toml.
        progress: as in ``export``.

    Returns:
        ``results.rows``: median, percentiles, memory and more of every file. Its repr is a table.

    Raises:
        edgekit.errors.BadInput: a file is missing or cannot be run.
        edgekit.errors.MissingDependency: a file's runtime is not installed.
        edgekit.errors.DeviceUnreachable: the device does not answer.
    """
    from edgekit.api import benching  # noqa: PLC0415 - see the module

    given = dict(locals())
    given.pop("benching")
    return benching.bench(**given)


def load(file: str | PathLike[str] | Exported, *, threads: int = 1) -> Loaded:
    """Open a file that ``export`` wrote, in the runtime that an application would take.

    >>> edgekit.load("exported/mynet.int8.tflite").predict("cat.jpg")                     # doctest: +SKIP
    tabby 62 %, tiger cat 21 %, Egyptian cat 9 %, lynx 1 %, tub 0.3 %

    Args:
        file: .tflite, .onnx, .pt or .mlpackage; or an ``Exported`` of a single file.
        threads: to compute with.

    Returns:
        What has ``predict(image)``, ``run(array)`` and ``metadata``.

    Raises:
        edgekit.errors.BadInput: it is missing or damaged, or another tool wrote it.
        edgekit.errors.MissingDependency: its runtime is not installed.
    """
    from edgekit.api.loaded import Loaded  # noqa: PLC0415 - see the module

    return Loaded(file, threads=threads)
