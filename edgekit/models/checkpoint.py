"""Loads trained MobileNets, wherever they come from, and saves edgekit's own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

import torch

from edgekit import extras, files
from edgekit.errors import CheckpointError, ConfigError, did_you_mean
from edgekit.facts import Basis, Fact
from edgekit.models import buffers, folders, foreign, inference, numbers, readers, selection, strays, untold
from edgekit.models.building import built
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.families import FAMILIES
from edgekit.models.heads import recognition
from edgekit.models.layouts import torchvision
from edgekit.models.names import WAY_BY_ONNX, first_few
from edgekit.models.structures import body
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from os import PathLike

    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture, Options
    from edgekit.models.names import Renamed
    from edgekit.models.network import Classifier, TaskNetwork
    from edgekit.models.readers import Contents
    from edgekit.models.recorded import Recorded
    from edgekit.models.structures import Structure

_OWN = "edgekit checkpoint"
_HEAD_EPS = 1e-5  # torch's, for batch normalization that somebody put between linear layers


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Checkpoint:
    """A trained network.

    Attributes:
        module: in evaluation mode, float32, giving logits.
        structure: what it looks like, be it one classifier, an ensemble, or a backbone with heads.
        source: what the file was, for people ("torchvision state dict").
        sha256: of the file, in hexadecimal.
        facts: what is taken to be true of it and its weights do not tell.
        overruled: what the file states, where something else was given.
        notes: what was chosen, left aside and rewritten on the way, for people.
        recorded: what edgekit's training recorded of it; None where it was trained elsewhere.
    """

    module: nn.Module = field(repr=False)
    structure: Structure
    source: str
    sha256: str
    facts: tuple[Fact, ...]
    overruled: tuple[Fact, ...]
    notes: tuple[str, ...]
    recorded: Recorded | None = None

    @property
    def architecture(self) -> Architecture:
        """What it looks like, where it is one classifier.

        Raises:
            CheckpointError: it is an ensemble, or has heads for other tasks.
        """
        if isinstance(self.structure, EnsembleArchitecture):
            raise CheckpointError(
                f"{self.structure.name} is an ensemble, and one network is wanted: give the checkpoint of one of them"
            )
        if isinstance(self.structure, TaskArchitecture):
            heads = ", ".join(head.name for head in self.structure.heads)
            raise CheckpointError(f"{self.structure.name} has heads ({heads}), and a classifier is wanted: give one")
        return self.structure

    @property
    def is_own(self) -> bool:
        """Whether edgekit saved it, with everything that it was built by: only what was assumed needs to be found."""
        return self.source == _OWN

    def variant(self, **options: Unpack[Options]) -> nn.Module:
        """The same weights in a network that is built with other options, in evaluation mode."""
        return _with_weights(self.structure.with_options(**options), self.module.state_dict())


@dataclass(frozen=True, slots=True, eq=False)
class _Understood:
    """A network out of a file's contents; the fields are those of ``Checkpoint``."""

    source: str
    architecture: Structure
    weights: Mapping[str, Tensor]
    facts: tuple[Fact, ...] = ()
    overruled: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()
    recorded: Recorded | None = None


def load(
    path: str | PathLike[str], *, family: str | None = None, num_classes: int | None = None, **given: Unpack[Options]
) -> Checkpoint:
    """The network in a checkpoint: .pth, .safetensors, Keras .h5 or .keras; no code in it is run.

    Family, widths and classes are read from the weights' names and shapes. What those do not tell is taken from the
    file where it says so, else from how networks of that layout are trained (docs/checkpoints.md); ``facts`` say which.

    Args:
        path: the file, or a folder of Hugging Face's or timm's with config.json.
        family: what the network must be ("mobilenet_v2"); None recognises it.
        num_classes: what the network must have; None takes any.
        given: what weights do not tell, instead of what is usual: ``resolution`` of the image in pixels, one number or
            height and width, instead of the family's; ``padding``, ``bn_eps``, ``activation`` of the body and
            ``head_activation`` between the linear layers of the classifier, instead of the layout's; ``cifar_stem``
            where strides were taken out for images of 32 x 32.

    Raises:
        CheckpointError: the file cannot be read, or is no MobileNet, or not the one that was asked for.
        ConfigError: a value that was given is invalid.
        MissingDependency: the file's format needs an extra.
    """
    path = folders.file_of(Path(path))
    contents = readers.read(path)
    try:
        if contents.architecture is not None:
            weights = contents.groups[0].weights
            understood = _with_record(_saved(weights, contents.architecture, family, given, contents.assumed), contents)
        elif (found := _torchvisions(contents, family)) is not None:
            understood = _of_torchvision(found, given)
        else:
            understood = _understand(path, contents, family, given)
        _check_classes(understood.architecture, num_classes)
        module = _with_weights(understood.architecture, understood.weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _checkpoint(module, understood, digest, (*contents.notes, *folders.notes_of(path)))


def of_module(
    module: Classifier | TaskNetwork,
    *,
    family: str | None = None,
    num_classes: int | None = None,
    **given: Unpack[Options],
) -> Checkpoint:
    """What ``load`` gives of the file that ``save`` would write of a network that ``built`` made: the same to a byte.

    Args:
        module: the network, which is left as it is.
        family: what it must be; None takes any.
        num_classes: what it must have; None takes any.
        given: values in place of those that it was built with, as ``load`` takes them.

    Raises:
        CheckpointError: it is not what was asked for.
        ConfigError: a value that was given is invalid.
    """
    architecture = module.architecture
    understood = _saved(_weights(module), architecture, family, given)
    _check_classes(understood.architecture, num_classes)
    digest = hashlib.sha256(_as_file(module, architecture)).hexdigest()
    return _checkpoint(_with_weights(understood.architecture, understood.weights), understood, digest, ())


def _checkpoint(module: nn.Module, understood: _Understood, digest: str, notes: tuple[str, ...]) -> Checkpoint:
    return Checkpoint(
        module,
        understood.architecture,
        understood.source,
        digest,
        understood.facts,
        understood.overruled,
        notes + understood.notes,
        understood.recorded,
    )


def save(
    path: str | PathLike[str],
    module: nn.Module,
    architecture: Structure,
    recorded: Recorded | None = None,
    assumed: Collection[str] = (),
) -> None:
    """Writes a network, or an ensemble; ``load`` then has nothing to guess of how it was built.

    Args:
        path: a .safetensors file, which is overwritten.
        module: what ``built(architecture)`` made, or ``Ensemble`` of networks.
        architecture: of the network.
        recorded: what its training knows of its images and classes; an export then assumes nothing of these either.
        assumed: names of facts about the architecture (``untold.SETTINGS``) that nobody has said or shown: they stay
            assumed where the file is loaded.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: what was recorded is about another network.
    """
    if recorded is not None:
        recorded.check(architecture)
    files.write_bytes(Path(path), _as_file(module, architecture, recorded, assumed))


def _as_file(
    module: nn.Module, architecture: Structure, recorded: Recorded | None = None, assumed: Collection[str] = ()
) -> bytes:
    safetensors = extras.load("safetensors.torch", "torch")
    metadata = {readers.ARCHITECTURE_KEY: json.dumps(architecture.to_dict())}
    if recorded is not None:
        metadata[readers.RECORDED_KEY] = json.dumps(recorded.to_dict())
    if assumed:
        metadata[readers.ASSUMED_KEY] = json.dumps(sorted(set(assumed) & untold.SETTINGS.keys()))
    content: bytes = safetensors.save(_weights(module), metadata=metadata)
    return _in_order(content) if len(metadata) > 1 else content


def _in_order(content: bytes) -> bytes:
    """A .safetensors file with its metadata in order: the library writes several of them in a random one.

    Source: the format in safetensors' README, "Format": the length of the header in 8 bytes, the header as JSON that
    spaces fill up to a multiple of 8, the tensors.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}


def _saved(
    saved_weights: Mapping[str, Tensor],
    saved: Structure,
    family: str | None,
    given: Options,
    assumed: Collection[str] = (),
) -> _Understood:
    """A network that edgekit saved: its metadata say everything, and what of it was only assumed."""
    for one in saved.members if isinstance(saved, EnsembleArchitecture) else (saved,):
        if one.family not in FAMILIES:
            raise CheckpointError(
                f"the network is of the family {one.family!r}, which this edgekit does not know:"
                f" {did_you_mean(one.family, FAMILIES)}, or use the version that saved it"
            )
    if family not in {None, saved.family}:
        raise CheckpointError(f"the network is a {saved.family}, and no {family}")
    architecture = saved.with_options(**given)
    stated = {name: "edgekit's own metadata" for name in untold.SETTINGS if name not in assumed}
    weights = numbers.as_float32(saved_weights)
    told = {name: getattr(body(saved), name) for name in given if name not in assumed}
    facts = untold.facts_of(architecture, given, stated, "the network that it was made of")
    return _Understood(_OWN, architecture, weights, facts, untold.overruled(given, told, stated))


def _torchvisions(contents: Contents, family: str | None) -> torchvision.Found | None:
    """A detector or a segmenter of torchvision's, where the file holds one.

    Raises:
        CheckpointError: it holds one on a backbone that edgekit does not know.
    """
    try:
        return torchvision.find(contents.groups, family)
    except CheckpointError as error:
        foreign.refuse_known(_largest(contents), error)
        raise


def _of_torchvision(found: torchvision.Found, given: Options) -> _Understood:
    """A detector or a segmenter; what weights do not tell is usual there."""
    architecture = found.architecture.with_options(**given)
    told = {name: getattr(found.architecture.backbone, name) for name in given}
    facts = (*_usual_normalization(found), *found.facts, *untold.facts_of(architecture, given, {}, found.source))
    weights = numbers.as_float32(found.weights)
    return _Understood(found.source, architecture, weights, facts, untold.overruled(given, told, {}), found.notes)


def _with_record(understood: _Understood, contents: Contents) -> _Understood:
    """What edgekit saved, with what its training recorded; of images of another size, the same share is seen."""
    if contents.recorded is None or contents.architecture is None:
        return understood
    try:
        contents.recorded.check(contents.architecture)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    recorded = contents.recorded.at(understood.architecture.size)
    known = (*understood.facts, *recorded.facts)
    return replace(understood, facts=known, notes=understood.notes + recorded.notes, recorded=recorded)


def _understand(path: Path, contents: Contents, family: str | None, given: Options) -> _Understood:
    try:
        numbers.refuse_quantized(_largest(contents))
        network = selection.choose(contents.groups)
        if network is None:
            raise foreign.refusal(_largest(contents))
        renamed = network.layout.rename(network.weights, network.root, f"{path.parent.name}/{path.name}")
        inference.check_blocks(renamed.weights, family or renamed.family)
        _refuse_additions(renamed)
        body = inference.without_biases(numbers.as_float32(renamed.weights))
        rest = {
            key: tensor if _is_aside(key, tensor) else numbers.float32(key, tensor)
            for key, tensor in renamed.rest.items()
        }
        own, kept = buffers.normalization(rest, inference.image_channels(body))
        rest = {key: tensor for key, tensor in rest.items() if key not in own}
        options = cast("Options", {**renamed.usual, **renamed.stated, **contents.stated, **given})
        if contents.strides:
            options["stem_stride"] = contents.strides[0]
        is_own = f"{renamed.own_norm}.weight" in rest
        eps = options["bn_eps"] if is_own else contents.stated.get("bn_eps", _HEAD_EPS)
        head = recognition.find(rest, inference.body_channels(body), eps)
        names = renamed.wiring.classifier_names(len(head.layers) - 1)
        weights = dict(body)
        for name, layer in zip(names, head.layers, strict=True):
            weights |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        guess = inference.architecture_of(weights, family or renamed.family, options)
    except CheckpointError as error:
        foreign.refuse_known(_largest(contents), error)
        raise
    _check_told(guess.architecture, contents)
    architecture, stated = guess.architecture, dict.fromkeys(renamed.stated, renamed.source)
    hidden = [layer.module for layer in head.layers[:-1]]
    keeps = hidden[:1] == [renamed.own_hidden] and (renamed.named_hidden or inference.has_own_hidden(architecture))
    if keeps and len(hidden) > 1:
        architecture = replace(architecture, keeps_hidden=True)
    if "head_activation" not in options and keeps and len(hidden) == 1:
        stated["head_activation"] = f"the classifier of {architecture.family}, as it is there"
    elif "head_activation" not in options and hidden and hidden != [renamed.own_hidden]:
        architecture = replace(architecture, head_activation="relu")
    stated |= dict.fromkeys(contents.stated, contents.by)
    facts = _of_images((*contents.facts, *kept), renamed) + untold.facts_of(architecture, given, stated, renamed.source)
    notes = (*network.notes, *guess.notes, *(renamed.notes if any(fact.is_assumed for fact in facts) else ()))
    if head.left_aside:
        notes += (f"left aside, as no part of the network: {strays.described(list(head.left_aside))}",)
    overruled = untold.overruled(given, {**renamed.stated, **contents.stated}, stated)
    return _Understood(renamed.source, architecture, weights, facts, overruled, notes + head.notes)


def _of_images(told: tuple[Fact, ...], renamed: Renamed) -> tuple[Fact, ...]:
    """What the file says of its images, or what is usual for a layout that was made for images of its own."""
    return told if any(fact.name == "normalization" for fact in told) else (*told, *_usual_normalization(renamed))


def _usual_normalization(layout: Renamed | torchvision.Found) -> tuple[Fact, ...]:
    """Mean and deviation that are usual for a layout that was made for images of its own."""
    if layout.normalization is None:
        return ()
    mean, std = map(list, layout.normalization)
    because = f"usual for this layout ({layout.source})"
    return (Fact("normalization", {"mean": mean, "std": std}, Basis.ASSUMED, because, "--mean and --std"),)


def _check_told(architecture: Architecture, contents: Contents) -> None:
    """Refuses a network whose file tells of other classes or strides; the latter leave no trace in weights."""
    if contents.classes not in {None, architecture.num_classes}:
        raise CheckpointError(
            f"{contents.by} says {contents.classes} classes, and the weights have {architecture.num_classes}: the two"
            " do not belong together"
        )
    strides = contents.strides
    own = (architecture.stem_stride, *(block.stride for block in architecture.blocks))
    if len(strides) == len(own) and tuple(strides) != own:
        at = next(index for index, (one, other) in enumerate(zip(strides, own, strict=True)) if one != other)
        where = f"block {at - 1}" if at else "the first convolution"
        raise CheckpointError(
            f"{where} has stride {strides[at]}, and {architecture.family} has {own[at]} there: it is another network."
            f" It can come as ONNX: {WAY_BY_ONNX}"
        )


def _refuse_additions(renamed: Renamed) -> None:
    """Refuses weights between those of the body: nothing tells what they do."""
    added = [key for key in renamed.rest if key.startswith(renamed.scopes) and not strays.is_named(key)]
    if added:
        raise CheckpointError(
            f"the body holds what no MobileNet has there ({first_few(added)}): it was changed, and weights do not tell"
            f" what the change computes. The whole network can come as ONNX: {WAY_BY_ONNX}"
        )


def _is_aside(key: str, tensor: Tensor) -> bool:
    """Whether a tensor is training's by its name, or a counter, so that it need not be a real number."""
    return strays.is_named(key) or (not tensor.dtype.is_floating_point and tensor.ndim < 2 and not tensor.is_quantized)


def _largest(contents: Contents) -> Mapping[str, Tensor]:
    """The mapping with most tensors: the network, and not the state of an optimizer's last steps."""
    return max(contents.groups, key=lambda group: len(group.weights)).weights


def _check_classes(architecture: Structure, wanted: int | None) -> None:
    if wanted is not None and architecture.num_classes != wanted:
        raise CheckpointError(
            f"the network has {architecture.num_classes} classes, and {wanted} are expected:"
            " give the checkpoint that was trained on them"
        )


def _with_weights(architecture: Structure, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network, after a check that every weight has its place and every place its weight."""
    with torch.device("meta"):  # no memory, and no random numbers
        module = built(architecture)
    expected = module.state_dict()
    # Counters matter to nothing but training, and Keras and old checkpoints have none.
    counters = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith("num_batches_tracked")}
    weights = counters | dict(weights)
    missing = [key for key in expected if key not in weights]
    unexpected = [key for key in weights if key not in expected]
    wrong = [
        f"{key} {list(weights[key].shape)} instead of {list(tensor.shape)}"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": wrong}
    faults = [f"{len(keys)} {what} ({first_few(keys)})" for what, keys in found.items() if keys]
    if faults:
        raise CheckpointError(
            f"the weights are not those of a {architecture.family}: {'; '.join(faults)}."
            f" Give the whole state_dict() of an unchanged network, or bring it as ONNX: {WAY_BY_ONNX}"
        )
    module.load_state_dict({key: tensor.clone().contiguous() for key, tensor in weights.items()}, assign=True)
    return module.eval()
