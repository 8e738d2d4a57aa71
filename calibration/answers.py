"""What a network expects by how sure its answers are, where batch normalization is folded and tells nothing.

A network that is fed as it was trained is surer: the entropy of its soft-max is smaller. All candidates answer a few
images; those that are clearly less sure, in a thousand draws of the images, drop out, and the rest answer as many more.
Candidates that are surer than any training makes a network are left aside, and so are those that give mostly one class:
a network that sees nothing does that. But if one of these is the surest, the images may well be of one class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.evidence import ENOUGH_NATS, draws, entropy, is_one_sided, is_too_sure, odds
from edgekit.calibration.question import (
    INPUTS,
    STAGE,
    Finding,
    described,
    differs,
    inputs,
    normalized,
    undecided,
    words,
)
from edgekit.facts import Basis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.question import Answer, Question
    from edgekit.preprocessing import Preprocessing
    from edgekit.progress import Progress

_FIRST = 16  # images that every candidate answers


def by_answers(
    question: Question, answer: Answer, pixels: NDArray[np.uint8], progress: Progress
) -> tuple[Finding, ...]:
    """Normalization and order by how sure the network is; arguments are those of ``finding.find``."""
    rest = undecided(question, tuple(question.choices), "nothing in the file tells")
    left = inputs(question)
    pixels = pixels[np.random.default_rng(0).permutation(len(pixels))]  # any few of them are spread over all
    logits: dict[Preprocessing, NDArray[np.float32]] = {}
    entropies: dict[Preprocessing, NDArray[np.float64]] = {}
    seen = 0
    while seen < len(pixels) and len(left) > 1:
        shown = pixels[seen : max(2 * seen, _FIRST)]
        seen += len(shown)
        for meant in left:
            progress(STAGE, seen, len(pixels))
            pixels_as_meant = normalized(shown, question.start.preprocessing.order, meant)
            answers = answer(replace(question.start, preprocessing=meant), pixels_as_meant)
            logits[meant] = np.concatenate([logits[meant], answers]) if meant in logits else answers
        able = [meant for meant in left if logits[meant].ndim == 2 and not is_too_sure(logits[meant])]
        entropies = {meant: entropy(logits[meant]) for meant in able}
        able.sort(key=lambda meant: float(entropies[meant].mean()))
        telling = [meant for meant in able if not is_one_sided(logits[meant])]
        if len(telling) < 2 or telling[0] != able[0]:
            because = "batch normalization is folded, and the answers tell nothing"
            return (*undecided(question, INPUTS, because), *rest)
        left = _not_worse(question, telling, entropies)
    progress(STAGE, 1, 1)
    best, second, *_ = sorted(entropies, key=lambda meant: float(entropies[meant].mean()))
    means = [float(entropies[meant].mean()) for meant in (best, second)]
    numbers = f"entropy of the answers {means[0]:.2g} against {means[1]:.2g} with {described(second)}"
    return (*(_finding(question, name, left, numbers) for name in INPUTS), *rest)


def _not_worse(
    question: Question, ranked: Sequence[Preprocessing], entropies: Mapping[Preprocessing, NDArray[np.float64]]
) -> list[Preprocessing]:
    """The candidates that are not clearly less sure than the surest, which is the first."""
    best = ranked[0]
    shares = draws(len(entropies[best]))
    return [
        meant
        for meant in ranked
        if meant == best
        or odds(float((shares @ (entropies[best] - entropies[meant]) < 0).mean()))
        + question.rarity(meant)
        - question.rarity(best)
        < ENOUGH_NATS
    ]


def _finding(question: Question, name: str, left: Sequence[Preprocessing], numbers: str) -> Finding:
    """What is left says of one expectation."""
    start = question.start
    value, basis = start.value(name), question.bases.get(name, Basis.ASSUMED)
    best = replace(start, preprocessing=left[0])
    if not question.is_open(name):
        if any(not differs(name, meant, start.preprocessing) for meant in left):
            return Finding(name, value, basis, "the answers do not contradict it")
        because = f"the network is surer with {words(name, best)} than with {words(name, start)} ({numbers})"
        return Finding(name, value, basis, because, contradicted=best.value(name))
    given = [other for other in INPUTS if not question.is_open(other)]
    fitting = [meant for meant in left if not any(differs(other, meant, start.preprocessing) for other in given)]
    if not fitting:
        return Finding(name, value, basis, "with what was given beside it, no answers are sure")
    if any(differs(name, meant, fitting[0]) for meant in fitting):
        because = f"batch normalization is folded, and the answers do not decide ({numbers})"
        return Finding(name, value, basis, because)
    return Finding(name, replace(start, preprocessing=fitting[0]).value(name), Basis.FOUND, numbers)
