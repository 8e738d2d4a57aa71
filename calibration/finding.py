"""Find what a network expects: order of the channels, normalization, padding, epsilon, activation.

None of it leaves a trace in the weights' shapes, and a network computes something with any of it. But batch
normalization remembers the mean and the spread of what every layer read in training (``calibration.witness``), and only
the right expectations bring images of the same kind to these.

1. **Candidates.** The usual normalizations in every order of the channels; for networks that are built from a
   checkpoint, also the usual paddings, epsilons and activations.
2. **Weed out** normalizations by the first convolution alone, which takes no run (``calibration.stem``): another stays
   only where it fits better in one of a thousand draws of the images (bootstrap).
3. **One at a time.** From the best so far, each expectation is changed by itself; whatever fits better becomes the
   best, until nothing does. A few images come first, all of them where those do not decide.
4. **How clearly.** Two candidates are compared by the logarithm of their likelihood ratio, in nats. The residual of a
   channel, in standard deviations of training, is taken to have Student's t distribution with ``DEGREES`` degrees of
   freedom, as wide as those of the layer's means, or spreads, are. Only channels count in which the candidates differ
   by more than ``APART`` times that width, mean and spread each by at most ``MOST_NATS``, and only if they largely
   agree (``AGREEMENT``): thousands of small errors in one direction are no evidence. An expectation is found where
   every other one is ``ENOUGH_NATS`` behind, in either half of the images. Candidates whose logits are the same count
   as one. What stays open keeps its usual value, and is called assumed.

Where batch normalization is folded, as in most ONNX files, the entropy of the answers is the second witness: a network
that is fed as it was trained is surer. A candidate that gives nearly one class for everything is left aside.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.witness import BATCH, witness_of
from edgekit.conventions import NORMALIZATIONS, ORDERS, orders_of
from edgekit.facts import Basis

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.stem import Stem
    from edgekit.calibration.witness import Moments, Witness
    from edgekit.ir import Graph
    from edgekit.preprocessing import Preprocessing
    from edgekit.progress import Progress

IMAGES = 32  # that are shown, evenly spaced over all
FEWEST_IMAGES = 4  # with fewer, a draw of images says nothing of others
ENOUGH_NATS = 7.0  # odds of 1000 to 1
MOST_NATS = 5.0  # from one mean or one spread: one alone never decides
APART = 2.0  # widths of a layer's residuals
AGREEMENT = 0.25  # of all that the channels say for or against: less is noise that does not cancel
DEGREES = 3.0  # heavy tails: that a channel is far off is not much rarer than that it is off
NARROWEST = 1e-3  # of a layer's residuals, standard deviations: float sums and the number of images leave that much
CERTAINTY = 0.999  # the share of draws in which one has to fit better, where draws decide
DRAWS = 1000
CLAMP = 4.0  # squared standard deviations, of the first layer's channels: one shall not outvote the others
SAME_LOGITS = 1e-3  # of the largest logit: candidates that differ by less count as one
# Of the best candidate, in the first layer and over all: half a standard deviation off, these are other images.
# Networks whose statistics are those of their training, cropping and colour shifts included, showed 0.09, noise 0.4.
MISFIT_LIMIT = 0.25
FINALISTS = 4  # normalizations that the whole network is asked about
# Of the images, in one class: then the answers say nothing. Labelled sets have up to a tenth in one class.
DEGENERATE = 0.5

STAGE = "finding what the network expects"
Value = Any  # of an expectation: a JSON value


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a network may expect.

    Attributes:
        preprocessing: order of the channels, mean and std; its size and resize are those that the images were read by.
        options: what a network is built with: padding, bn_eps, activation; empty where the file has it all.
    """

    preprocessing: Preprocessing
    options: tuple[tuple[str, Value], ...] = ()

    def value(self, name: str) -> Value:
        """Of one expectation."""
        match name:
            case "order":
                return self.preprocessing.order
            case "normalization":
                return normalization_value(self.preprocessing)
            case _:
                return dict(self.options)[name]

    def with_option(self, name: str, value: Value) -> Expectations:
        """These with another option."""
        return replace(self, options=tuple((n, value if n == name else v) for n, v in self.options))


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one expectation.

    Attributes:
        name: of the fact it is about.
        value: that fits best; the usual, given or stated one where nothing decides.
        basis: FOUND or ASSUMED; as it was where it was given or stated.
        because: the evidence, for people.
        contradicted: what was given or stated is wrong, and this is what fits; None where nothing speaks against it.
    """

    name: str
    value: Value
    basis: Basis
    because: str
    contradicted: Value = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        start: what is usual, given or stated.
        bases: of each expectation, by name: one that is given or stated is only contradicted, never replaced.
        choices: of each option, by name, the values that are usual.
    """

    start: Expectations
    bases: Mapping[str, Basis]
    choices: Mapping[str, Sequence[Value]] = field(default_factory=dict)

    def is_open(self, name: str) -> bool:
        """Whether the evidence decides."""
        return self.bases.get(name, Basis.ASSUMED) in {Basis.ASSUMED, Basis.FOUND}


def normalization_value(preprocessing: Preprocessing) -> dict[str, list[float]]:
    """Mean and std as a JSON value."""
    return {"mean": list(preprocessing.mean), "std": list(preprocessing.std)}


def normalization_words(preprocessing: Preprocessing) -> str:
    """The usual name of mean and std, or the numbers."""
    for name, (mean, std) in NORMALIZATIONS.items():
        usual = _channels(mean, std, preprocessing.order)
        if np.allclose(usual, (preprocessing.mean, preprocessing.std), atol=1e-3):
            return name
    means, stds = (" ".join(f"{value:.3g}" for value in values) for values in (preprocessing.mean, preprocessing.std))
    return f"mean {means} std {stds}"


def find(
    question: Question,
    build: Callable[[Expectations], nn.Module | Graph],
    logits: Callable[[Expectations, NDArray[np.float32]], NDArray[np.float32]],
    pixels: NDArray[np.uint8],
    progress: Progress,
) -> tuple[Finding, ...]:
    """Find what a network expects.

    Args:
        question: what to find out, and what to start from.
        build: the network for some expectations: a module of its own with batch normalization, or a folded graph.
        logits: of the network for some expectations, for normalized images [N, C, H, W].
        pixels: images, uint8 [N, H, W, C], in the order of ``question.start``.
        progress: told of every candidate.

    Returns:
        One finding an expectation: normalization, order, and each of the options.
    """
    names = ("normalization", "order", *question.choices)
    if len(pixels) < FEWEST_IMAGES:
        few = "one image is" if len(pixels) == 1 else f"{len(pixels)} images are"
        return _undecided(question, names, f"{few} too few to tell")
    if witness_of(build(question.start)) is None:
        return _by_entropy(question, logits, pixels, progress)
    findings = _Search(question, build, logits, pixels, progress).findings(names)
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
        For each way, the mean square of the residuals of all channels (``Moments.residuals``), mean over layers.
    """
    witness = witness_of(network)
    if witness is None:
        return None
    return [_misfit(witness.ask(way.normalization(seen))) for way, seen in zip(preprocessings, pixels, strict=True)]


# --- candidates -------------------------------------------------------------------------------------------------------


def _channels(mean: Sequence[float], std: Sequence[float], order: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std, which are those of red, green and blue, for the channels of ``order``."""
    places = ORDERS[order][1]
    if len(places) == 1:
        return (float(np.mean(mean)),), (float(np.mean(std)),)
    padded = [(*values, float(np.mean(values)))[:4] for values in (mean, std)]  # of a fourth channel, the mean of them
    first, second = (tuple(values[place] for place in places) for values in padded)
    return first, second


def _inputs(question: Question) -> list[Preprocessing]:
    """Every preprocessing that comes into question: the one to start from, and the usual ones, in every order."""
    start = question.start.preprocessing
    found = [start]
    for order in (start.order, *(other for other in orders_of(len(start.mean)) if other != start.order)):
        own = _reordered(start, order)
        usual = [
            replace(start, order=order, mean=m, std=s)
            for m, s in (_channels(*u, order) for u in NORMALIZATIONS.values())
        ]
        found += [other for other in (own, *usual) if not any(_is_same(other, known) for known in found)]
    return found


def _reordered(start: Preprocessing, order: str) -> Preprocessing:
    """The same mean and std of each colour, for another order of the channels."""
    places, others = ORDERS[start.order][1], ORDERS[order][1]
    moved = [places.index(place) for place in others]
    mean, std = (tuple(values[index] for index in moved) for values in (start.mean, start.std))
    return replace(start, order=order, mean=mean, std=std)


def _is_same(a: Preprocessing, b: Preprocessing) -> bool:
    return a.order == b.order and np.allclose((a.mean, a.std), (b.mean, b.std), atol=1e-3)


def _normalized(pixels: NDArray[np.uint8], given: str, meant: Preprocessing) -> NDArray[np.float32]:
    """Pixels that were read in the order ``given`` as the network's input, [N, C, H, W]."""
    places, others = ORDERS[given][1], ORDERS[meant.order][1]
    return meant.normalization(pixels[..., [places.index(place) for place in others]])


# --- by batch normalization -------------------------------------------------------------------------------------------


class _Search:
    """Candidates, what batch normalization says of them, and the best so far."""

    def __init__(
        self,
        question: Question,
        build: Callable[[Expectations], nn.Module | Graph],
        logits: Callable[[Expectations, NDArray[np.float32]], NDArray[np.float32]],
        pixels: NDArray[np.uint8],
        progress: Progress,
    ) -> None:
        self._question, self._build, self._logits, self._pixels = question, build, logits, pixels
        self._progress = progress
        self._witnesses: dict[tuple[tuple[str, Value], ...], Witness] = {}
        self._moments: dict[Expectations, Moments] = {}
        self._stem: dict[Preprocessing, NDArray[np.float64]] = {}  # the first layer's misfit in each draw
        self._inputs = self._finalists()
        self.best = question.start

    def findings(self, names: Sequence[str]) -> tuple[Finding, ...]:
        self._climb()
        # By the likeliest input, whatever was given: what is given wrongly shall be told so.
        likeliest = replace(self.best, preprocessing=self._inputs[0])
        stem = self._stem.get(likeliest.preprocessing)
        misfit = max(self._misfit(likeliest), 0.0 if stem is None else float(stem.mean()))
        if misfit > MISFIT_LIMIT:
            because = f"batch normalization knows no such images (misfit {misfit:.2g}): are they of the right kind?"
            return _undecided(self._question, names, because)
        return tuple(self._finding(name) for name in names)

    # -- what is asked

    def _witness(self, expectations: Expectations) -> Witness:
        if expectations.options not in self._witnesses:
            witness = witness_of(self._build(expectations))
            assert witness is not None, "it was one before"
            self._witnesses[expectations.options] = witness
        return self._witnesses[expectations.options]

    def _ask(self, expectations: Expectations, images: int) -> Moments:
        """The moments on the first ``images``."""
        known = self._moments.get(expectations)
        done = 0 if known is None else len(known.mean)
        if known is None or done < images:
            order = self._question.start.preprocessing.order
            shown = _normalized(self._pixels[done:images], order, expectations.preprocessing)
            found = self._witness(expectations).ask(shown)
            known = self._moments[expectations] = found if known is None else known.joined(found)
            self._progress(STAGE, len(self._moments), len(self._moments) + 1)
        return known.of(slice(0, images))

    def _misfit(self, expectations: Expectations) -> float:
        """Of a few images."""
        return _misfit(self._ask(expectations, min(BATCH, len(self._pixels))))

    def _nats(self, a: Expectations, b: Expectations) -> float:
        """By how much ``a`` is likelier than ``b``; the smaller of two halves' where those agree, else 0."""
        nats = 0.0
        for images in dict.fromkeys((min(BATCH, len(self._pixels)), len(self._pixels))):
            first, second = (self._ask(candidate, images) for candidate in (a, b))
            halves = [_nats(first.of(half), second.of(half)) for half in (slice(0, None, 2), slice(1, None, 2))]
            agree = min(halves) > 0 or max(halves) < 0
            nats = _nats(first, second) if agree else 0.0
            if abs(nats) > 2 * ENOUGH_NATS:
                break
        return nats

    # -- candidates

    def _finalists(self) -> list[Preprocessing]:
        """The inputs that the first convolution does not rule out, the likeliest first."""
        given, inputs = self._question.start.preprocessing, _inputs(self._question)
        stem = self._witness(self._question.start).stem(self._pixels)
        if stem is None:
            return inputs[: 2 * FINALISTS]
        shares = _draws(len(self._pixels))
        self._stem = {meant: _stem_misfits(stem, stem.moments(given, meant), shares) for meant in inputs}
        ranked = sorted(inputs, key=lambda meant: float(self._stem[meant].mean()))
        return [meant for meant in ranked if not self._is_ruled_out(meant, ranked[0])][:FINALISTS]

    def _is_ruled_out(self, meant: Preprocessing, by: Preprocessing) -> bool:
        """Whether the first convolution fits another input better, whatever images are drawn."""
        if meant not in self._stem or by not in self._stem:
            return False
        return bool((self._stem[by] < self._stem[meant]).mean() >= CERTAINTY)

    def _others(self, name: str, start: Expectations) -> list[Expectations]:
        """``start`` with another value of one expectation."""
        if name in self._question.choices:
            now = start.value(name)
            return [start.with_option(name, value) for value in self._question.choices[name] if value != now]
        now = start.preprocessing
        return [
            replace(start, preprocessing=meant)
            for meant in self._inputs
            if not _is_same(meant, now) and name in self._changes(now, meant)
        ]

    def _changes(self, now: Preprocessing, meant: Preprocessing) -> set[str]:
        """Which expectations are others in ``meant``; none where one that was given would be."""
        changed = set()
        if meant.order != now.order:
            changed.add("order")
        if not _is_same(_reordered(meant, now.order), now):
            changed.add("normalization")
        given = {name for name in changed if not self._question.is_open(name)}
        return changed if not given or len(changed) == 1 else set()

    def _climb(self) -> None:
        """Change expectations as long as that fits better."""
        if self._question.is_open("normalization") and self._question.is_open("order"):
            self.best = replace(self.best, preprocessing=self._inputs[0])
        names = [n for n in ("normalization", "order", *self._question.choices) if self._question.is_open(n)]
        for _ in names:
            better = self.best
            for name in names:
                others = self._others(name, self.best)
                nats, best = max(
                    ((self._nats(other, self.best), i) for i, other in enumerate(others)), default=(0.0, 0)
                )
                if nats > 0 and name in self._question.choices:
                    better = better.with_option(name, others[best].value(name))
                elif nats > 0:
                    better = replace(better, preprocessing=others[best].preprocessing)
            if better == self.best:
                return
            self.best = better

    # -- what is said

    def _finding(self, name: str) -> Finding:
        others = self._others(name, self.best)
        if not self._question.is_open(name):
            return self._checked(name, others)
        nats = {other: self._nats(self.best, other) for other in others}
        same = {other for other in others if nats[other] < ENOUGH_NATS and self._is_one(self.best, other)}
        close = [other for other in others if nats[other] < ENOUGH_NATS and other not in same]
        if name not in self._question.choices:
            close = [other for other in close if not self._witnesses_agree(other)]
        if close:
            start = self._question.start.value(name)
            words = " or ".join(dict.fromkeys(_words(name, other) for other in close))
            because = f"batch normalization does not tell {_words(name, self.best)} from {words}"
            return Finding(name, start, Basis.ASSUMED, f"{because}; it is usual for networks of this layout")
        return Finding(name, self.best.value(name), Basis.FOUND, self._evidence(name, nats, same))

    def _checked(self, name: str, others: Sequence[Expectations]) -> Finding:
        """Something that was given or stated: does the evidence speak against it?"""
        value, basis = self._question.start.value(name), self._question.bases[name]
        now = self.best.preprocessing
        nats = {
            other: ENOUGH_NATS if self._is_ruled_out(now, other.preprocessing) else self._nats(other, self.best)
            for other in others
        }
        other = max(nats, key=lambda candidate: nats[candidate], default=None)
        if other is None or nats[other] < ENOUGH_NATS or self._is_one(self.best, other):
            return Finding(name, value, basis, "batch normalization does not contradict it")
        because = (
            f"batch normalization remembers {_words(name, other)}, not {_words(name, self.best)} "
            f"(misfit {self._misfit(other):.2g} against {self._misfit(self.best):.2g})"
        )
        return Finding(name, value, basis, because, contradicted=other.value(name))

    def _evidence(self, name: str, nats: Mapping[Expectations, float], same: Collection[Expectations]) -> str:
        """Why one value is right, in words."""
        ruled_out = [other for other in nats if other not in same]
        if ruled_out:
            other = min(ruled_out, key=lambda candidate: nats[candidate])
            if nats[other] < ENOUGH_NATS:
                return f"batch normalization of the first layer and surer answers, against {_words(name, other)}"
            return (
                f"batch normalization, {nats[other]:.0f} nats against {_words(name, other)} ({ENOUGH_NATS:.0f} decide)"
            )
        if same:
            return f"no matter: {_words(name, next(iter(same)))} gives the same logits"
        return "batch normalization of the first layer rules out every other"

    def _answers(self, expectations: Expectations, images: int) -> NDArray[np.float32]:
        order = self._question.start.preprocessing.order
        return self._logits(expectations, _normalized(self._pixels[:images], order, expectations.preprocessing))

    def _is_one(self, a: Expectations, b: Expectations) -> bool:
        """Whether two candidates give the same logits."""
        first, second = (self._answers(candidate, BATCH) for candidate in (a, b))
        return bool(np.abs(first - second).max() <= SAME_LOGITS * np.abs(first).max())

    def _witnesses_agree(self, other: Expectations) -> bool:
        """Whether the first layer and the answers, which know nothing of each other, both speak for the best.

        The shares of draws in which either speaks for ``other`` are multiplied, as doubts of independent witnesses.
        """
        now, meant = self.best.preprocessing, other.preprocessing
        by_stem = 1.0
        if now in self._stem and meant in self._stem:
            by_stem = float((self._stem[meant] <= self._stem[now]).mean())
        first, second = (_entropy(self._answers(candidate, IMAGES)) for candidate in (self.best, other))
        by_answers = float((_draws(len(first)) @ (first - second) >= 0).mean())
        doubts = [max(doubt, 1 / DRAWS) for doubt in (by_stem, by_answers)]
        return by_answers < 0.5 and doubts[0] * doubts[1] <= 1 - CERTAINTY


def _words(name: str, expectations: Expectations) -> str:
    if name == "normalization":
        return f"normalization {normalization_words(expectations.preprocessing)}"
    return f"{name} {expectations.value(name)}"


def _misfit(moments: Moments) -> float:
    """Mean square of the residuals of all channels, each at most ``CLAMP``, mean over layers."""
    return float(np.mean([np.minimum(layer**2, CLAMP).sum(0).mean() for layer in moments.residuals()]))


def _nats(a: Moments, b: Moments) -> float:
    """The logarithm of the likelihood ratio of two candidates, from the same images; 0 where channels contradict."""
    total = disputed = 0.0
    for first, second in zip(a.residuals(), b.residuals(), strict=True):  # [2, C]
        # Of means and of spreads apart: behind a layer without an activation, means are exactly those of training.
        # 0.6745 standard deviations are the median distance of a normal distribution from its mean.
        medians = [np.median(np.abs(residual), axis=1, keepdims=True) / 0.6745 for residual in (first, second)]
        width = np.maximum(np.minimum(*medians), NARROWEST)  # [2, 1]
        tails = [np.log1p((residual / width) ** 2 / DEGREES) for residual in (first, second)]
        likelier = np.clip((DEGREES + 1) / 2 * (tails[1] - tails[0]), -MOST_NATS, MOST_NATS)
        counted = np.where(np.abs(first - second) > APART * width, likelier, 0)
        total += float(counted.sum())
        disputed += float(np.abs(counted).sum())
    return total if abs(total) >= AGREEMENT * disputed else 0.0


def _draws(images: int) -> NDArray[np.float64]:
    """How often each image is drawn when as many are drawn with replacement, in shares, [DRAWS, images]."""
    draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), DRAWS)
    shares: NDArray[np.float64] = draws / images
    return shares


def _stem_misfits(stem: Stem, moments: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The misfit of the first layer in each draw, [D], from what ``Stem.moments`` gives, [2, N, O]."""
    first, second = shares @ moments  # [D, O]
    std = np.sqrt(np.maximum(second - first**2, 1e-12 * stem.std**2))
    residuals = np.stack([(first + stem.bias - stem.mean) / stem.std, np.log(std / stem.std)])
    misfit: NDArray[np.float64] = np.minimum(residuals**2, CLAMP).sum(0).mean(1)
    return misfit


# --- by the answers ---------------------------------------------------------------------------------------------------


def _by_entropy(
    question: Question,
    logits: Callable[[Expectations, NDArray[np.float32]], NDArray[np.float32]],
    pixels: NDArray[np.uint8],
    progress: Progress,
) -> tuple[Finding, ...]:
    """Normalization and order by how sure the network is, where batch normalization tells nothing."""
    names, given = ("normalization", "order"), question.start.preprocessing
    candidates = [
        meant
        for meant in _inputs(question)
        if all(
            question.is_open(name) or same
            for name, same in (
                ("order", meant.order == given.order),
                ("normalization", _is_same(_reordered(meant, given.order), given)),
            )
        )
    ]
    entropies: dict[int, NDArray[np.float64]] = {}
    for index, meant in enumerate(candidates):
        progress(STAGE, index, len(candidates))
        answers = logits(replace(question.start, preprocessing=meant), _normalized(pixels, given.order, meant))
        if answers.ndim == 2 and not _is_degenerate(answers):
            entropies[index] = _entropy(answers)
    progress(STAGE, len(candidates), len(candidates))
    rest = _undecided(question, tuple(question.choices), "nothing in the file tells")
    if len(entropies) < 2:
        because = "batch normalization is folded, and the answers tell nothing"
        return (*_undecided(question, names, because), *rest)
    best, second, *_ = sorted(entropies, key=lambda index: float(entropies[index].mean()))
    shares = _draws(len(pixels))
    sure = (shares @ (entropies[best] - entropies[second]) < 0).mean() >= CERTAINTY
    means = [float(entropies[index].mean()) for index in (best, second)]
    numbers = f"entropy of the answers {means[0]:.2g} against {means[1]:.2g}"
    if not sure:
        because = f"batch normalization is folded, and the answers do not decide ({numbers})"
        return (*_undecided(question, names, because), *rest)
    found = replace(question.start, preprocessing=candidates[best])
    other = replace(question.start, preprocessing=candidates[second])
    return (
        *(
            Finding(name, found.value(name), Basis.FOUND, f"{numbers} with {_words('normalization', other)}, "
                    f"{other.preprocessing.order}")
            if question.is_open(name)
            else Finding(name, question.start.value(name), question.bases[name], "not contradicted by the answers")
            for name in names
        ),
        *rest,
    )  # fmt: skip


def _entropy(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the soft-max of each row, in nats, [N]."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    entropy: NDArray[np.float64] = log_sum - (np.exp(shifted) * shifted).sum(1) / np.exp(log_sum)
    return entropy


def _is_degenerate(logits: NDArray[np.float32]) -> bool:
    classes = logits.argmax(1)
    return bool(np.bincount(classes).max() > DEGENERATE * len(classes))


def _undecided(question: Question, names: Sequence[str], because: str) -> tuple[Finding, ...]:
    """Everything as it was: what was assumed stays so."""
    return tuple(
        Finding(name, question.start.value(name), question.bases.get(name, Basis.ASSUMED), because)
        for name in itertools.chain(names)
    )
