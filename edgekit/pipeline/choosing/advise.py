"""A device and a goal -> what to ship there, ranked, each with the reasons, and the commands for the best of them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import ConfigError
from edgekit.exporters.metadata import Precision
from edgekit.pipeline.choosing.candidates import Candidate, named_device, of_published, of_sweep
from edgekit.pipeline.choosing.goals import goal as parsed
from edgekit.pipeline.choosing.store import rows as rows_of
from edgekit.profiles.profile import names, profile
from edgekit.progress import Progress, silent
from edgekit.timing.prediction import saved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.device.machine import Machine
    from edgekit.pipeline.choosing.goals import Goal
    from edgekit.pipeline.choosing.store import Row
    from edgekit.timing.prediction.model import DeviceLatency, LatencyModel

SHOWN: Final = 10  # candidates that are told of
_DOT_PRODUCTS: Final = "VNNI"  # in the words of ``edgekit.device.machine.INSTRUCTIONS``


@dataclass(frozen=True, slots=True)
class Advised:
    """A candidate with its place.

    Attributes:
        candidate: which it is.
        fits: whether it is good enough for the goal.
        lowering: how its integer model writes operators.
        reasons: for its place, a sentence each.
    """

    candidate: Candidate
    fits: bool
    lowering: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdviceResult:
    """What to ship.

    Attributes:
        goal: in words.
        device: where latencies are of; "" where none are known.
        ranked: the best first; those that are not good enough stand last.
        considered: how many candidates there were.
        unjudged: how many of them had no latency to judge them by.
        commands: that make the best one.
        notes: what else there is to know.
    """

    goal: str
    device: str
    ranked: tuple[Advised, ...]
    considered: int
    unjudged: int
    commands: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def best(self) -> Advised | None:
        """The first, if it is good enough."""
        return self.ranked[0] if self.ranked and self.ranked[0].fits else None


def advise(
    goal: str,
    *,
    device: str | None = None,
    sweep: Path | None = None,
    task: str = "classification",
    progress: Progress = silent,
) -> AdviceResult:
    """Rank what could be shipped.

    Args:
        goal: "fps=30", "latency=12", "size=2MB", "accuracy" or "battery".
        device: a latency model that ``edgekit bench --fit`` made, by name or file; or a device of the sweep, as it
            calls it.
        sweep: the folder of a sweep, whose cells are the candidates; None takes networks of published accuracy.
        task: what networks are for: of others than classifiers no figures are known without a sweep.
        progress: told about each candidate.

    Raises:
        ArtifactError: there is no such latency model.
        ConfigError: the goal is none, the sweep is none, or the goal needs a latency and no device is named.
    """
    wanted = parsed(goal)
    if sweep is None and task != "classification":
        raise ConfigError(
            f"no figures of {task} are known: measure your networks, edgekit sweep, and name it, --from DIR"
        )
    rows = () if sweep is None else rows_of(sweep)
    timed = named_device(rows, device)
    known = saved.load(device) if device is not None and timed is None else None
    if wanted.is_about_latency and timed is None and known is None:
        raise ConfigError(
            f"--goal {goal} is about latency, and no device is named: --device NAME, of a latency model (edgekit bench "
            f"--fit --out NAME) or of a device that the sweep timed files on"
        )
    if sweep is None:
        model = None if known is None else _model(known)
        found = list(of_published(model, progress))
    else:
        models = {} if known is None else {model.format: model for model in known.models}
        found = list(of_sweep(rows, timed, device if models else None, models, progress))
        if not found:
            raise ConfigError(f"{sweep} holds no cell that was measured: edgekit sweep --show {sweep} shows why")
    judged = [one for one in found if one.latency_ms is not None or not wanted.is_about_latency]
    fitting, others = wanted.ranked(judged)
    profiled = _profile(None if known is None else known.machine)
    ranked = [
        *(_advised(wanted, one, fitting, found, profiled) for one in fitting[:SHOWN]),
        *(
            _short(wanted, one, profiled, is_nearest=not fitting and one is others[0])
            for one in others[: max(SHOWN - len(fitting), 0)]
        ),
    ]
    return AdviceResult(
        goal=wanted.said(),
        device=_where(known, timed, rows),
        ranked=tuple(ranked),
        considered=len(found),
        unjudged=len(found) - len(judged),
        commands=tuple(_commands(fitting[0], profiled)) if fitting else (),
        notes=tuple(_notes(wanted, fitting, sweep)),
    )


def _model(known: DeviceLatency) -> LatencyModel:
    """The model that published networks are asked about: of .tflite files, where there are several."""
    formats = [model.format for model in known.models]
    return known.of("tflite" if "tflite" in formats else formats[0])


def _where(known: DeviceLatency | None, timed: str | None, rows: Sequence[Row]) -> str:
    if known is not None:
        return known.machine.model or known.machine.processor
    if timed is None:
        return ""
    machine = next((row.machine for row in rows if row.device == timed and row.machine), None)
    return timed if machine is None else f"{timed} ({machine})"


def _profile(machine: Machine | None) -> str | None:
    """The profile of a machine, which says how files for it are lowered; None where none is meant for it."""
    if machine is None:
        return None
    if machine.architecture in {"x86_64", "AMD64"}:
        return "x86-vnni" if any(_DOT_PRODUCTS in said for said in machine.instructions) else "x86"
    return next((name for name in names() if (machine.model or "").startswith(profile(name).title)), None)


def _lowering(candidate: Candidate, profiled: str | None) -> str:
    """As it was measured; of what is still to be made, as the device's profile has it."""
    if candidate.row is None and profiled is not None:
        bits = profile(profiled).settings.get("calibration", {}).get("weight_bits")
        return replace(candidate, settings={"calibration.weight_bits": bits}).lowering
    return candidate.lowering


def _advised(
    goal: Goal, one: Candidate, fitting: Sequence[Candidate], everything: Sequence[Candidate], profiled: str | None
) -> Advised:
    reasons = [*_room(goal, one), *_place(goal, one, fitting), *_against_float(one, everything), *one.beyond]
    return Advised(one, fits=True, lowering=_lowering(one, profiled), reasons=tuple(reasons))


def _room(goal: Goal, one: Candidate) -> Iterator[str]:
    """How much of the limit is left."""
    spent = one.largest_bytes if goal.kind == "size" else one.slowest_ms
    if goal.kind in {"fps", "latency", "size"}:
        left = 1 - spent / goal.most
        what = f"{one.latency_ms:.3g} ms" if goal.kind != "size" else f"{(one.size_bytes or 0) / 1e6:.2f} MB"
        is_estimated = spent not in {one.latency_ms, one.size_bytes}
        worst = ", with the estimate's error counted against it" if is_estimated else ""
        yield f"{what}, {left:.0%} below the limit{worst}"


def _place(goal: Goal, one: Candidate, fitting: Sequence[Candidate]) -> Iterator[str]:
    """Why it stands where it stands."""
    first = fitting[0]
    if goal.kind == "battery":
        if one is first:
            yield f"the fastest of {len(fitting)} that keep enough accuracy: {one.accuracy:.4g}"
        else:
            yield f"{_less(one, first)}{_cheaper(one, first)}"
    elif one is first:
        equal = sum(other.accuracy == one.accuracy for other in fitting)
        yield f"the most accurate of {len(fitting)} that fit" + (
            "" if equal == 1 else f"; of {equal} equally accurate ones the cheapest"
        )
    else:
        yield f"{_less(one, first)}{_cheaper(one, first)}"


def _less(one: Candidate, first: Candidate) -> str:
    """How accurate one is against the first."""
    off = one.accuracy - first.accuracy
    return (
        "as accurate as the first"
        if not off
        else f"{abs(off):.2g} {'more' if off > 0 else 'less'} accurate than the first"
    )


def _cheaper(one: Candidate, first: Candidate) -> str:
    if one.latency_ms is not None and first.latency_ms is not None:
        share = one.latency_ms / first.latency_ms - 1
        return f", and {abs(share):.0%} {'faster' if share < 0 else 'slower'}"
    return ""


def _against_float(one: Candidate, everything: Sequence[Candidate]) -> Iterator[str]:
    """What int8 gained and lost, where the same network was measured in float32."""
    if one.precision != Precision.INT8 or one.row is None or one.latency_ms is None:
        return
    for other in everything:
        same = (other.network, other.target, other.settings) == (one.network, one.target, one.settings)
        same = same and other.row is not None and other.row.checkpoint == one.row.checkpoint
        if same and other.precision == Precision.FLOAT32 and other.latency_ms is not None:
            yield (
                f"int8 takes {one.latency_ms / other.latency_ms:.2f} of float32's time, at "
                f"{one.accuracy - other.accuracy:+.2g} of {one.metric}"
            )
            return


def _short(goal: Goal, one: Candidate, profiled: str | None, *, is_nearest: bool) -> Advised:
    """One that is not good enough, and by how much."""
    if goal.kind == "battery":
        reason = "loses more accuracy than the battery is worth"
    elif goal.kind == "size":
        reason = f"{one.largest_bytes / 1e6:.2f} MB are {one.largest_bytes / goal.most:.2f} times the limit"
    else:
        reason = f"{one.slowest_ms:.3g} ms are {one.slowest_ms / goal.most:.2f} times the limit"
    if one.latency_error or one.size_error:
        reason += ", with the estimate's error counted against it"
    nearest = ("nothing fits; this comes nearest",) if is_nearest else ()
    return Advised(one, fits=False, lowering=_lowering(one, profiled), reasons=(reason, *nearest))


def _commands(one: Candidate, profiled: str | None) -> Iterator[str]:
    """What makes the file."""
    flags = ["--target", one.target, *([] if one.precision == Precision.FLOAT32 else [f"--{one.precision}"])]
    if profiled is not None:
        flags += ["--device", profiled]
    if one.row is None:
        run = f"runs/{one.network}"
        yield f"edgekit train DATA --arch {one.family} --width {one.width:g} --resolution {one.resolution} --out {run}"
        yield f"edgekit export {run} {shlex.join(flags)}"
        return
    written = [] if one.row.file is None else sorted(Path(one.row.file).parent.glob("*.manifest.json"))
    if len(written) == 1:  # which has every setting of the sweep
        yield f"edgekit reproduce {shlex.quote(str(written[0]))} --out exported"
        return
    settings = {"model.resolution": one.resolution, **one.settings}
    flags += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    yield f"edgekit export {shlex.quote(str(one.row.checkpoint))} {shlex.join(flags)}"


def _notes(goal: Goal, fitting: Sequence[Candidate], sweep: Path | None) -> Iterator[str]:
    if not fitting:
        yield "nothing fits: allow more" + ("" if goal.kind == "size" else ", or take a faster device")
    if sweep is None:
        yield (
            "accuracies were published for ImageNet, in float32, each by another training: your images are others, so "
            "train the first few and measure them, edgekit sweep; int8 then usually loses less than a point"
        )
    elif fitting and fitting[0].row is not None:
        yield f"the first one's file is there, verified: {fitting[0].row.file}"
    if goal.kind == "battery":
        yield (
            "a device that looks less often, at smaller images, or leaves early (edgekit train --exits) saves more "
            "than any network does"
        )
