"""What a network expects of its images and of its builder: given, stated by its file, found from images, or assumed.

The weights of a network do not tell how its images were normalized, or how its convolutions pad. Here this is settled
before anything else is done: what the user gives counts, then what the file says, then what batch normalization shows
(``calibration.finding``), and what is left is usual for such networks, and called assumed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit import facts
from edgekit.calibration.evidence import ENOUGH_NATS
from edgekit.conventions import USUAL_ORDER, orders_of
from edgekit.errors import CheckpointError, ConfigError
from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS, flags
from edgekit.pipeline.making.given import OWN_CHANNELS
from edgekit.pipeline.making.shown import OF_PICTURES, USUAL_CROP, Settled, contradicted, cropped, found, resized
from edgekit.preprocessing import Preprocessing
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edgekit.calibration.found import Ranges
    from edgekit.config import PreprocessingSettings, Settings
    from edgekit.pipeline.making.given import Given
    from edgekit.pipeline.making.trained import Trained
    from edgekit.progress import Progress

# What changes the pictures that a network sees, and not what it computes of them: assumed, it needs nobody's consent.
_WITHOUT_CONSENT = (*OF_PICTURES, "resolution")
_OF_PIXELS = ("normalization", "order")  # a file that says it computes with it
_WITHOUT_IMAGES = "no images were given (--calib DIR) that could show it"


class Contradicted(ConfigError):
    """What was given does not fit the network.

    Attributes:
        told: the evidence, in words.
        flags: what says the right values, ready to be pasted.
    """

    def __init__(self, contradictions: Sequence[Fact], order: str, told: Collection[str] = ()) -> None:
        """``told`` names the facts that the images say of themselves."""
        self.told = "; ".join(dict.fromkeys(fact.because for fact in contradictions))
        self.flags = flags({fact.name: fact.value for fact in contradictions}, order)
        who = "the file states"
        if any(fact.basis is Basis.GIVEN for fact in contradictions):
            who = "was given"
        elif any(fact.name in told for fact in contradictions):
            who = "the images are normalized by"
        super().__init__(
            f"what {who} does not fit the network: {self.told}. Correct it, "
            f"{self.flags}; or go on all the same, --insist"
        )


def needing_consent(found: Sequence[Fact]) -> tuple[Fact, ...]:
    """Those of ``found`` that are assumed and decide what the network computes."""
    assumed = (fact for fact in found if fact.basis is Basis.ASSUMED and fact.name not in _WITHOUT_CONSENT)
    return tuple(fact for fact in assumed if fact.because != OWN_CHANNELS)


def check_consent(found: Sequence[Fact], *, insists: bool) -> None:
    """Refuse to make integers from what is assumed, unless the user insists.

    Raises:
        ConfigError: something is assumed that decides what the network computes.
    """
    open_facts = needing_consent(found)
    if not open_facts or insists:
        return
    named = ", ".join(
        f"{fact.name} {plain(fact.value)}{'' if fact.because == _WITHOUT_IMAGES else f' ({fact.because})'}"
        for fact in open_facts
    )
    could_show = any(fact.because == _WITHOUT_IMAGES for fact in open_facts)
    way = "Give images that show it, --calib DIR; say" if could_show else "Say"
    raise ConfigError(
        f"int8 files would rest on what is only assumed: {named}. {way} what is right "
        f"({'; '.join(fact.setting for fact in open_facts)}), or go on with what is assumed: --insist"
    )


def settle(  # noqa: PLR0913 - a network, what is known of it, and whom to ask
    trained: Trained,
    settings: Settings,
    ranges: Ranges | None,
    given: Given,
    progress: Progress,
    *,
    enough: float = ENOUGH_NATS,
) -> Settled:
    """Settle what a network expects.

    Args:
        trained: as it was loaded, with what is usual where its file says nothing.
        settings: what the user gives.
        ranges: of an earlier export, which are used again, and say what was settled then; None without them.
        given: the images that are looked at, and what they say of themselves.
        progress: told of every candidate.
        enough: nats of evidence that contradict what is given or stated.

    Raises:
        CheckpointError: the network takes images of a number of channels that edgekit does not feed.
        Contradicted: evidence contradicts a setting, and ``model.insist`` is not set.
        ConfigError: a setting does not fit the network.
        DataError: the images cannot be used.
    """
    trained = replace(trained, facts=facts.replaced(trained.facts, map(_taken_for_true, given.told)))
    start = _start(trained, settings.preprocessing, None if ranges is None else _recorded(ranges))
    contradictions = _against_file(
        (*(f for f in trained.facts if f.name in _OF_PIXELS), *trained.overruled), start.facts
    )
    insisted = [
        contradicted(fact, against, start.preprocessing.order)
        for fact in start.facts
        for against in contradictions
        if fact.name == against.name
    ]
    start = replace(start, facts=facts.replaced(start.facts, insisted))
    is_open = bool(contradictions) or not trained.is_recorded
    if ranges is None and given.images is not None and not settings.calibration.data_free and is_open:
        disputed = {fact.name: fact for fact in contradictions}
        start, by_images = found(trained, start, disputed, given, progress, enough=enough)
        shown = {fact.name for fact in start.facts if fact.basis is Basis.GIVEN} | {fact.name for fact in by_images}
        contradictions = (*(fact for fact in contradictions if fact.name not in shown), *by_images)
    if contradictions and not settings.model.insist:
        raise Contradicted(contradictions, start.preprocessing.order, {fact.name for fact in given.told})
    told = [fact for fact in given.told if _taken_for_true(fact) in start.facts]
    return replace(start, facts=facts.replaced(start.facts, told))


def _taken_for_true(told: Fact) -> Fact:
    """What images that are a network's input say of themselves, while they are asked for what is open besides."""
    return replace(told, basis=Basis.STATED)


# --- what is given, stated or usual -----------------------------------------------------------------------------------


def _start(trained: Trained, given: PreprocessingSettings, recorded: Sequence[Fact] | None) -> Settled:
    channels, *size = trained.shape
    if channels not in USUAL_ORDER:
        raise CheckpointError(
            f"{trained.path} takes images of {channels} channels, and edgekit feeds 1 (grey), 3 (colours) or 4 "
            f"(colours and one more): let the network take one of these"
        )
    known = {fact.name: fact for fact in (recorded or trained.facts)}
    usual = {"mean": list(trained.mean), "std": list(trained.std)}
    normalization = _fact("normalization", given.mean and {"mean": given.mean, "std": given.std}, known, usual)
    order = _fact("order", given.order, known, USUAL_ORDER[channels])
    if channels == 1 and order.basis is Basis.ASSUMED:
        order = replace(order, basis=Basis.STATED, because="the first layer reads one channel")
    interpolation = _fact("interpolation", given.interpolation, known, "bilinear")
    resize = _fact(
        "resize", given.resize or (given.crop and cropped(size, given.crop)), known, cropped(size, USUAL_CROP)
    )
    if resize.value == "none" and interpolation.basis is Basis.ASSUMED:
        interpolation = replace(interpolation, basis=resize.basis, because="no image is resized")
    antialias = _antialias(given, known)
    if order.value not in orders_of(channels):
        raise ConfigError(
            f"preprocessing.order is {order.value}, and {trained.path} takes images of {channels} channels: "
            f"{' or '.join(orders_of(channels))} is wanted"
        )
    mean, std = (_of_channels(name, normalization.value[name], channels) for name in ("mean", "std"))
    normalization = replace(normalization, value={"mean": list(mean), "std": list(std)})
    preprocessing = Preprocessing(
        size=(size[0], size[1]),
        resize=resized(resize.value),
        mean=mean,
        std=std,
        order=order.value,
        interpolation=interpolation.value,
        antialias=all(fact.value for fact in antialias),
    )
    inputs = (normalization, order, resize, interpolation, *antialias)
    options = [fact for fact in known.values() if fact.name not in INPUT_SETTINGS]
    given_options = [fact for fact in trained.facts if fact.basis is Basis.GIVEN] if recorded is None else []
    return Settled(preprocessing, {}, facts.replaced((*options, *given_options), inputs))


def _against_file(stated: Sequence[Fact], settled: Sequence[Fact]) -> tuple[Fact, ...]:
    """What the file of the network says, where the user says something else."""
    given = {fact.name: plain(fact.value) for fact in settled if fact.basis is Basis.GIVEN}
    found = []
    for fact in stated:
        said = plain(fact.value)
        if fact.basis is Basis.STATED and given.get(fact.name, said) != said:
            because = f"the file says {fact.name} {said} ({fact.because}), not {given[fact.name]}"
            found.append(replace(fact, basis=Basis.GIVEN, because=because))
    return tuple(found)


def _recorded(ranges: Ranges) -> tuple[Fact, ...]:
    """What was settled when ranges were made; files from before facts were written say how images were read."""
    if known := facts.of_provenance(ranges.provenance):
        return known
    return ranges.preprocessing.facts(Basis.ASSUMED, "the file of ranges, which does not say why")


def _fact(name: str, given: object, stated: Mapping[str, Fact], usual: object) -> Fact:
    setting = INPUT_SETTINGS[name]
    if given:
        given = list(given) if isinstance(given, tuple) else given  # as JSON has it
        return Fact(name, given, Basis.GIVEN, facts.BY_SETTING, setting)
    if name in stated:
        return replace(stated[name], setting=setting)
    if name == "interpolation":  # a filter of another kind moves a pixel by a few levels
        return Fact(name, usual, Basis.ASSUMED, "usual for most networks", setting)
    return Fact(name, usual, Basis.ASSUMED, _WITHOUT_IMAGES, setting)


def _antialias(given: PreprocessingSettings, stated: Mapping[str, Fact]) -> tuple[Fact, ...]:
    """Whether resizing averages, where somebody says it: all usual loaders do."""
    name = "antialias"
    if given.antialias is not None:
        return (Fact(name, given.antialias, Basis.GIVEN, facts.BY_SETTING, INPUT_SETTINGS[name]),)
    return (stated[name],) if name in stated else ()


def _of_channels(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value a channel; one alone stands for all."""
    if len(values) not in {1, channels}:
        raise ConfigError(
            f"preprocessing.{name} has {len(values)} values, and the network takes images of {channels} channels: one "
            f"a channel is wanted, or one for all"
        )
    return tuple(values) if len(values) == channels else tuple(values) * channels
