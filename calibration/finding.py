"""Find what a network expects: order of the channels, normalization, padding, epsilon, activation.

None of it leaves a trace in the weights' shapes, and a network computes something with any of it. But batch
normalization remembers the mean and the spread of what every layer read in training (``calibration.witness``), and only
the right expectations bring images of the same kind to these.

1. **Candidates.** The usual normalizations in every order of the channels; for networks that are built from a
   checkpoint, also the usual paddings, epsilons and activations (``calibration.question``).
2. **Weed out** normalizations by the first convolution alone, which takes no run (``calibration.stem``): another stays
   only where it fits better in one of a thousand draws of the images (bootstrap).
3. **One at a time.** From the best so far, each expectation is changed by itself; whatever fits better becomes the
   best, until nothing does.
4. **How clearly.** Candidates are compared in nats, on a few images first, on more where these do not decide, at last
   on all. What a network is built with shows in many layers (``evidence.nats``), and both halves of the images have to
   agree. Of normalization and order three witnesses speak, who know nothing of each other: the first layer, draw by
   draw of the images; the layers behind it (``evidence.by_layers``); and, where these are not enough, how sure the
   answers are. What they say adds up. An expectation is found where every other one is ``ENOUGH_NATS`` behind.
   Candidates whose logits are the same count as one. What stays open keeps its usual value, and is called assumed.

Where batch normalization is folded, as in most ONNX files, the answers alone have to tell (``calibration.answers``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration import evidence
from edgekit.calibration.answers import by_answers
from edgekit.calibration.evidence import DRAWN_IMAGES, ENOUGH_NATS, draws, entropy, odds
from edgekit.calibration.question import (
    INPUTS,
    STAGE,
    Finding,
    differs,
    inputs,
    is_same,
    normalized,
    undecided,
    words,
)
from edgekit.calibration.witness import BATCH, witness_of
from edgekit.facts import Basis

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.evidence import Residuals
    from edgekit.calibration.question import Answer, Expectations, Question, Value
    from edgekit.calibration.witness import Moments, Witness
    from edgekit.ir import Graph
    from edgekit.preprocessing import Preprocessing
    from edgekit.progress import Progress

    Build = Callable[[Expectations], nn.Module | Graph]
    Read = Callable[[int], NDArray[np.uint8]]
    Known = Callable[[Expectations], Witness | None]

IMAGES = 32  # that are shown, evenly spaced over all
FEWEST_IMAGES = 4  # with fewer, a draw of images says nothing of others
MOST_IMAGES = 256  # where answers alone have to tell: they say less than layers
SAME_LOGITS = 1e-3  # of the largest logit: candidates that differ by less count as one
# Of the best candidate, in the first layer and over all: half a standard deviation off, these are other images.
# Networks whose statistics are those of their training, cropping and colour shifts included, showed 0.09, noise 0.4.
MISFIT_LIMIT = 0.25
FINALISTS = 4  # normalizations that the whole network is asked about
# What moves the most channels comes first, as all that is asked before a change has to be asked again.
_ORDER = ("padding", "activation", "normalization", "order", "bn_eps")


def find(question: Question, build: Build, answer: Answer, read: Read, progress: Progress) -> tuple[Finding, ...]:
    """Find what a network expects.

    Args:
        question: what to find out, and what to start from.
        build: the network for some expectations: a module of its own with batch normalization, or a folded graph.
        answer: the logits of the network for some expectations, for normalized images [N, C, H, W].
        read: up to so many images, uint8 [N, H, W, C], in the order of ``question.start``.
        progress: told of every candidate.

    Returns:
        One finding an expectation: normalization, order, and each of the options.
    """
    names = (*INPUTS, *question.choices)
    pixels = read(IMAGES)
    if len(pixels) < FEWEST_IMAGES:
        few = "one image is" if len(pixels) == 1 else f"{len(pixels)} images are"
        return undecided(question, names, f"{few} too few to tell")
    start = question.start.preprocessing
    question = replace(question, classes=answer(question.start, normalized(pixels[:1], start.order, start)).shape[-1])
    witness = _witnesses(build)
    if witness(question.start) is None:
        shown = pixels if not any(map(question.is_open, INPUTS)) else read(MOST_IMAGES)
        return by_answers(question, answer, shown, progress)
    findings = _Search(question, witness, answer, pixels, progress).findings(names)
    progress(STAGE, 1, 1)
    return findings


def misfits(
    network: nn.Module | Graph, preprocessings: Sequence[Preprocessing], pixels: Sequence[NDArray[np.uint8]]
) -> list[float] | None:
    """How far each of several ways to read the same images is from training; None without batch normalization.

    Args:
        network: as ``find`` builds it.
        preprocessings: the ways.
        pixels: the images as each of them reads them, uint8 [N, H, W, C].

    Returns:
        For each way, ``evidence.misfit``.
    """
    witness = witness_of(network)
    if witness is None:
        return None
    return [
        evidence.misfit(witness.ask(way.normalization(seen))) for way, seen in zip(preprocessings, pixels, strict=True)
    ]


def _witnesses(build: Build) -> Known:
    """The witness for some expectations, each built once."""
    known: dict[tuple[tuple[str, Value], ...], Witness | None] = {}

    def of(expectations: Expectations) -> Witness | None:
        if expectations.options not in known:
            known[expectations.options] = witness_of(build(expectations))
        return known[expectations.options]

    return of


# --- by batch normalization -------------------------------------------------------------------------------------------


class _Search:
    """Candidates, what batch normalization says of them, and the best so far."""

    def __init__(
        self, question: Question, witness: Known, answer: Answer, pixels: NDArray[np.uint8], progress: Progress
    ) -> None:
        self._question, self._known_witness, self._answer, self._pixels = question, witness, answer, pixels
        self._progress = progress
        self._moments: dict[Expectations, Moments] = {}
        self._known: dict[tuple[Expectations, int], list[Residuals]] = {}
        self._stem: dict[Preprocessing, NDArray[np.float64]] = {}  # the first layer's misfit in each draw
        self._inputs = self._finalists()
        self._batches = np.array_split(pixels, max(2, round(len(pixels) / BATCH)))
        self._names = [name for name in _ORDER if name in {*INPUTS, *question.choices}]
        self.best = question.start

    def findings(self, names: Sequence[str]) -> tuple[Finding, ...]:
        self._climb()
        # By the likeliest input, whatever was given: what is given wrongly shall be told so.
        likeliest = replace(self.best, preprocessing=self._inputs[0])
        stem = self._stem.get(likeliest.preprocessing)
        misfit = max(self._misfit(likeliest), 0.0 if stem is None else float(stem.mean()))
        if misfit > MISFIT_LIMIT:
            because = "no usual mean and std makes these images what batch normalization remembers"
            return undecided(self._question, names, because)
        return tuple(self._finding(name) for name in names)

    # -- what is asked

    def _witness(self, expectations: Expectations) -> Witness:
        witness = self._known_witness(expectations)
        assert witness is not None, "it was one before"
        return witness

    def _ask(self, expectations: Expectations, batches: int) -> Moments:
        """The moments on the first ``batches``."""
        known = self._moments.get(expectations)
        done = 0 if known is None else len(known.mean)
        if known is None or done < batches:
            order = self._question.start.preprocessing.order
            for pixels in self._batches[done:batches]:
                found = self._witness(expectations).ask(normalized(pixels, order, expectations.preprocessing))
                known = found if known is None else known.joined(found)
            assert known is not None, "there is a batch"
            self._moments[expectations] = known
            self._progress(STAGE, 0, 1)  # how many ways are left to be looked at shows on the way
        return known.of(slice(0, batches))

    def _residuals(self, expectations: Expectations, batches: int) -> Sequence[Residuals]:
        """Of the first batches: all of them, and both halves."""
        key = (expectations, batches)
        if key not in self._known:
            moments = self._ask(expectations, batches)
            parts = (slice(None), slice(0, None, 2), slice(1, None, 2))
            self._known[key] = [evidence.residuals(moments.of(part)) for part in parts]
        return self._known[key]

    def _misfit(self, expectations: Expectations) -> float:
        """Of a few images."""
        return evidence.misfit(self._ask(expectations, _looks(len(self._batches))[0][0]))

    def _nats(self, name: str, a: Expectations, b: Expectations) -> float:
        """By how much ``a``, which differs from ``b`` in one expectation, is likelier than that."""
        return self._odds(a, b) if name in INPUTS else self._nats_of_build(a, b)

    def _nats_of_build(self, a: Expectations, b: Expectations) -> float:
        """Of two networks that are built otherwise; 0 where the halves of the images contradict each other."""
        nats = 0.0
        for batches, enough in _looks(len(self._batches)):
            pairs = zip(self._residuals(a, batches), self._residuals(b, batches), strict=True)
            nats, *halves = (evidence.nats(first, second) for first, second in pairs)
            if min(halves) <= 0 <= max(halves):
                nats = 0.0
            elif min(map(abs, (nats, *halves))) >= enough:
                break
        return nats

    def _odds(self, a: Expectations, b: Expectations) -> float:
        """Of two inputs, from all witnesses; the answers are asked last, as that takes two more runs."""
        nats = known = self._odds_by_stem(a.preprocessing, b.preprocessing)
        if abs(known) >= self._question.enough:
            return known
        for batches, _ in _looks(len(self._batches)):
            residuals = (self._residuals(candidate, batches)[0] for candidate in (a, b))
            nats = known + evidence.by_layers(*residuals)
            if abs(nats) >= self._question.enough:
                return nats
        entropies = [entropy(self._answers(candidate, IMAGES)) for candidate in (a, b)]
        surer = draws(len(entropies[0])) @ (entropies[0] - entropies[1]) < 0
        return nats + odds(float(surer.mean()))

    def _odds_by_stem(self, a: Preprocessing, b: Preprocessing) -> float:
        """Of two inputs, from the first layer and from how rare they are."""
        rarity = self._question.rarity(b) - self._question.rarity(a)
        if a not in self._stem or b not in self._stem:
            return rarity
        return rarity + evidence.of_draws(self._stem[a] - self._stem[b])

    # -- candidates

    def _finalists(self) -> list[Preprocessing]:
        """The inputs that the first convolution does not rule out, the likeliest first."""
        given, usual = self._question.start.preprocessing, inputs(self._question)
        stem = self._witness(self._question.start).stem(self._pixels)
        if stem is None:
            return usual[: 2 * FINALISTS]
        shares = draws(len(self._pixels), DRAWN_IMAGES)
        self._stem = {meant: evidence.stem_misfits(stem, stem.moments(given, meant), shares) for meant in usual}
        ranked = sorted(usual, key=lambda meant: float(self._stem[meant].mean()))
        return [meant for meant in ranked if not self._is_ruled_out(meant, ranked[0])][:FINALISTS]

    def _is_ruled_out(self, meant: Preprocessing, by: Preprocessing) -> bool:
        """Whether the first convolution fits another input better, whatever images are drawn."""
        return meant in self._stem and by in self._stem and self._odds_by_stem(by, meant) >= ENOUGH_NATS

    def _others(self, name: str, start: Expectations) -> list[Expectations]:
        """``start`` with another value of one expectation."""
        if name in self._question.choices:
            now = start.value(name)
            return [start.with_option(name, value) for value in self._question.choices[name] if value != now]
        now = start.preprocessing
        return [
            replace(start, preprocessing=meant)
            for meant in self._inputs
            if not is_same(meant, now) and name in self._changes(now, meant)
        ]

    def _changes(self, now: Preprocessing, meant: Preprocessing) -> set[str]:
        """Which expectations are others in ``meant``; none where one that was given would be."""
        changed = {name for name in INPUTS if differs(name, meant, now)}
        given = {name for name in changed if not self._question.is_open(name)}
        return changed if not given or len(changed) == 1 else set()

    def _climb(self) -> None:
        """Change expectations as long as that fits better."""
        if self._question.is_open("normalization") and self._question.is_open("order"):
            self.best = replace(self.best, preprocessing=self._inputs[0])
        names = [name for name in self._names if self._question.is_open(name)]
        for _ in names:
            start = self.best
            for name in names:
                for other in self._others(name, self.best):
                    if self._nats(name, other, self.best) > 0:
                        self.best = other
            if self.best == start:
                return

    # -- what is said

    def _finding(self, name: str) -> Finding:
        if not self._question.is_open(name):
            return self._checked(name)
        if name in INPUTS and self._is_ruled_out(self.best.preprocessing, self._inputs[0]):
            because = "with what was given beside it, none that is usual fits"
            return Finding(name, self._question.start.value(name), Basis.ASSUMED, because)
        others = self._others(name, self.best)
        nats = {other: self._nats(name, self.best, other) for other in others}
        apart = {other: self._apart(self.best, other) for other in others if nats[other] < ENOUGH_NATS}
        same = {other for other, share in apart.items() if share <= SAME_LOGITS}
        close = [other for other in apart if other not in same]
        if close:
            start = self._question.start.value(name)
            told = " or ".join(dict.fromkeys(words(name, other) for other in close))
            because = (
                f"batch normalization does not tell {words(name, self.best)} from {told}, which moves the answers by "
                f"{max(apart[other] for other in close):.1%} of the largest; it is usual for networks of this layout"
            )
            return Finding(name, start, Basis.ASSUMED, because)
        usual = self._question.start.value(name)
        value = usual if any(other.value(name) == usual for other in same) else self.best.value(name)
        return Finding(name, value, Basis.FOUND, self._evidence(name, nats, same))

    def _checked(self, name: str) -> Finding:
        """Something that was given or stated: does the evidence speak against it?

        What else was given may be wrong, too: then no change of one of them alone helps. So of inputs, the likeliest
        with another value is held against the likeliest with this one.
        """
        value, basis = self._question.start.value(name), self._question.bases[name]
        now, alone = self.best, self._others(name, self.best)
        every = [replace(now, preprocessing=meant) for meant in self._inputs] if name in INPUTS else []
        others = [*alone, *(other for other in every if differs(name, other.preprocessing, now.preprocessing))]
        same = [other for other in every if other not in others and other != now]
        now = max((now, *same), key=lambda other: 0.0 if other == self.best else self._nats(name, other, self.best))
        nats = {other: self._nats(name, other, now) for other in others}
        enough = [other for other in nats if nats[other] >= self._question.enough]
        other = max(enough, key=lambda other: (other in alone, nats[other]), default=None)
        if other is None or self._apart(now, other) <= SAME_LOGITS:
            return Finding(name, value, basis, "batch normalization does not contradict it")
        because = (
            f"batch normalization remembers {words(name, other)}, not {words(name, self.best)} "
            f"(evidence {nats[other]:.0f}, where {self._question.enough:.0f} is enough)"
        )
        return Finding(name, value, basis, because, contradicted=other.value(name))

    def _evidence(self, name: str, nats: Mapping[Expectations, float], same: Collection[Expectations]) -> str:
        """Why one value is right, in words."""
        ruled_out = [other for other in nats if other not in same]
        if ruled_out:
            other = min(ruled_out, key=lambda candidate: nats[candidate])
            rarity = self._rarity(other)
            if rarity > 0 and nats[other] - rarity < ENOUGH_NATS:
                told = f"nothing speaks for it (evidence {rarity - nats[other]:.0f}, where {ENOUGH_NATS:.0f} is enough)"
                return f"{words(name, other)} is rare for such a network, and {told}"
            return (
                f"batch normalization rules out {words(name, other)} "
                f"(evidence {nats[other]:.0f}, where {ENOUGH_NATS:.0f} is enough)"
            )
        if same:
            return f"no matter: {words(name, next(iter(same)))} and {words(name, self.best)} give the same logits"
        return "batch normalization of the first layer rules out every other usual one"

    def _rarity(self, other: Expectations) -> float:
        """By how much the best is more usual, in nats."""
        return self._question.rarity(other.preprocessing) - self._question.rarity(self.best.preprocessing)

    def _answers(self, expectations: Expectations, images: int) -> NDArray[np.float32]:
        order = self._question.start.preprocessing.order
        return self._answer(expectations, normalized(self._pixels[:images], order, expectations.preprocessing))

    def _apart(self, a: Expectations, b: Expectations) -> float:
        """How far the logits of two candidates are apart at most, as a share of the largest."""
        first, second = (self._answers(candidate, BATCH) for candidate in (a, b))
        return float(abs(first - second).max() / abs(first).max())


def _looks(batches: int) -> list[tuple[int, float]]:
    """How many batches are looked at, one look after the other, and what ends it: so many nats from either half.

    A few images may be of a kind by chance, so they decide only what is beyond doubt.
    """
    looks = [(2, 10 * ENOUGH_NATS), (4, ENOUGH_NATS), (batches, 0.0)]
    return [look for look in looks[:-1] if look[0] < batches] + looks[-1:]
