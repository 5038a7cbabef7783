"""What is decided on dev once training is over: how sure the model is, where a rare class begins, and when it had better not answer.

Shape letters: R records or choices, C classes, M things that all choices are among.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv, log_softmax

from headway.metrics import best_macro_threshold, score_classes
from headway.metrics.classification import main_metric

TINIEST = np.finfo(np.float64).tiny
COLDEST, HOTTEST = 0.05, 20.0
LIKELY = np.log(2)  # what is believed of a temperature beforehand: 1, or a factor of 2 either way
FEWEST = 10  # records of the rare class, below which a threshold would fit them and not the class
FOLDS = 5
POINTS = 100  # of a coverage curve
TRUST = 0.8  # that the precision holds for other records
ALWAYS = 1.01  # a confidence that no answer reaches


def fit_temperature(probabilities_RC: np.ndarray, gold_R: np.ndarray) -> float:
    """The temperature at which the probabilities of the right classes are highest; over 1 where the model is too sure of itself.

    A dev set without a mistake would have it 0: a factor of 2 is therefore held to be likely and more than that unlikely, which weighs
    as much as a few records. 1 where there is no record.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    if not len(gold_R):
        return 1.0
    log_RC = _logs(probabilities_RC)
    rows_R = np.arange(len(gold_R))
    return _least_surprising(lambda temperature: -log_softmax(log_RC / temperature, axis=1)[rows_R, gold_R].sum())


def fit_choice_temperature(logits_M: np.ndarray, starts_R: np.ndarray, gold_R: np.ndarray) -> float:
    """The same of choices among different numbers of things: those of a choice are neighbours, `starts_R` is where it begins, and `gold_R`
    where the right one of it lies."""
    if not len(gold_R):
        return 1.0
    counts_R = np.diff(starts_R, append=len(logits_M))
    below_M = logits_M - np.repeat(np.maximum.reduceat(logits_M, starts_R), counts_R)

    def surprise(temperature: float) -> float:
        all_R = np.add.reduceat(np.exp(below_M / temperature), starts_R)
        return np.log(all_R).sum() - below_M[gold_R].sum() / temperature

    return _least_surprising(surprise)


def _least_surprising(surprise: Callable[[float], float]) -> float:
    """The temperature at which what is so is least surprising, and what is believed of temperatures beforehand."""
    found = minimize_scalar(
        lambda log_temperature: (log_temperature / LIKELY) ** 2 / 2 + surprise(np.exp(log_temperature)),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return round(float(np.exp(found.x)), 4)


def temper(probabilities_RC: np.ndarray, temperature: float) -> np.ndarray:
    """The same probabilities less sharp (over 1) or sharper (under 1); which class is likeliest does not change."""
    if temperature == 1.0:
        return probabilities_RC
    return np.exp(log_softmax(_logs(probabilities_RC) / temperature, axis=1))


def yes_or_no(probabilities_RC: np.ndarray) -> np.ndarray:
    """Of labels that are there or not by themselves, each as a choice of two: (R * C, 2), the second that it is there."""
    return np.stack([1 - probabilities_RC, probabilities_RC], axis=-1).reshape(-1, 2)


def _logs(probabilities_RC: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities_RC, TINIEST))


def fit_rare_threshold(probability_R: Sequence[float], gold_R: Sequence[bool]) -> float | None:
    """From which probability on a record is of the class, where one of two classes is rare; None leaves it at the likelier class.

    It is the threshold of the highest macro F1. It is taken only where the rarer class has at least `FEWEST` records and is over three
    times rarer, and where thresholds chosen on four fifths of the records give the fifth a higher macro F1 than the likelier class.
    """
    probability_R, gold_R = np.asarray(probability_R, dtype=np.float64), np.asarray(gold_R, dtype=bool)
    counts = Counter(gold_R.tolist())
    if len(counts) < 2 or min(counts.values()) < FEWEST or main_metric(counts) != "macro_f1":
        return None
    held_out_R = np.zeros(len(gold_R), dtype=bool)
    for fold_R in _folds(gold_R):
        held_out_R[fold_R] = probability_R[fold_R] >= best_macro_threshold(probability_R[~fold_R], gold_R[~fold_R])
    if _macro_f1(gold_R, held_out_R) <= _macro_f1(gold_R, probability_R > 0.5):
        return None
    return best_macro_threshold(probability_R, gold_R)


def _folds(gold_R: np.ndarray) -> list[np.ndarray]:
    """Masks of the fifths, with as much of either class in each."""
    number_R = np.where(gold_R, np.cumsum(gold_R), np.cumsum(~gold_R))
    return [number_R % FOLDS == fold for fold in range(FOLDS)]


def _macro_f1(gold_R: np.ndarray, predicted_R: np.ndarray) -> float:
    return score_classes(gold_R.tolist(), predicted_R.tolist()).values["macro_f1"]


# --- when not to answer


class Answered(NamedTuple):
    """What comes of leaving the answers below a confidence to a person."""

    confidence: float  # the lowest that is still answered
    coverage: float  # the share of records that is answered
    precision: float  # the share of the answers that is right


def coverage_curve(confidences: Sequence[float], right: Sequence[bool], *, points: int = POINTS) -> list[Answered]:
    """From the surest answers alone to all of them, in about equal steps of coverage.

    Source: El-Yaniv and Wiener 2010, On the Foundations of Noise-free Selective Classification, JMLR 11 (the risk-coverage curve).
    """
    cuts = _cuts(confidences, right)
    wanted = sorted({ceil(len(confidences) * step / points) for step in range(1, points + 1)})
    chosen = dict.fromkeys(next(cut for cut in cuts if cut.answered >= count) for count in wanted)
    return [Answered(cut.confidence, cut.answered / len(confidences), cut.right / cut.answered) for cut in chosen]


def fit_least_confidence(confidences: Sequence[float], right: Sequence[bool], *, precision: float) -> float:
    """The lowest confidence at which the answers are right as often as wanted; `ALWAYS` where no confidence is enough.

    What counts is the lower bound of the share, so that four models in five keep elsewhere what they promise on dev. With the share
    itself one in two does. 98% takes some 80 right answers without a wrong one to be believed.

    Source: Geifman and El-Yaniv 2017, Selective Classification for Deep Neural Networks, arXiv:1705.08500; the bound is that of Clopper
    and Pearson 1934.
    """
    cuts = _cuts(confidences, right)
    answered, correct = np.array([cut.answered for cut in cuts]), np.array([cut.right for cut in cuts])
    bounds = betaincinv(correct, answered - correct + 1, 1 - TRUST)  # not a number where none is right
    enough = [cut.confidence for cut, bound in zip(cuts, bounds, strict=True) if bound >= precision]
    return enough[-1] if enough else ALWAYS


class _Cut(NamedTuple):
    confidence: float
    answered: int
    right: int


def _cuts(confidences: Sequence[float], right: Sequence[bool]) -> list[_Cut]:
    """How many are answered and right from each confidence on, the highest first; equal confidences are never parted."""
    pairs = sorted(zip(confidences, right, strict=True), reverse=True)
    sums = np.cumsum([is_right for _, is_right in pairs]).tolist()
    last = {confidence: number for number, (confidence, _) in enumerate(pairs)}
    return [_Cut(confidence, number + 1, sums[number]) for confidence, number in last.items()]
