"""Runs that differ in nothing but their seed: how far they lie apart, and how much of that is the chance of dev.

The runs were all scored on the same records, so what those records do to all of them alike tells nothing of which is better. What is
left is the noise of a comparison: how much the runs, drawn again on a bootstrap of the records, move against their mean. Where scores
lie apart by more than that noise, runs differ.

Whichever run looks best is the one to keep: nothing else is known of them, and a rule that prefers another loses by it. But of several
that look good, the best has been lucky, and by how much is known: true differences are shrunk towards the mean by the share of the
spread that is noise.

Sources: Efron and Morris 1975, Data Analysis Using Stein's Estimator and Its Generalizations, JASA 70; Cawley and Talbot 2010, On
Over-fitting in Model Selection, JMLR 11; Dodge et al. 2020, arXiv:2002.06305 (how far fine-tuned models differ by their seed alone).

Shape letters: N records, U units, R runs, B replicates.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from headway.metrics.resampling import LEVEL, bounds_of, replicated, units
from headway.metrics.scores import Scores


class Spread(NamedTuple):
    """A metric over runs, all on the same records."""

    mean: float
    deviation: float  # standard deviation between runs
    low: float  # of the 95% interval of the mean, as further seeds would move it; other records are not in it
    high: float


def spread(metric: str, values: Sequence[float]) -> Spread:
    """Mean and Student's interval of two runs or more, cut off where no score can be."""
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * deviation / math.sqrt(len(values))
    lower, upper = bounds_of(metric)
    return Spread(mean, deviation, max(mean - reach, lower), min(mean + reach, upper))


class Choice(NamedTuple):
    """The run to keep, by the main metric."""

    best: int  # its position
    value: float  # its score
    noise: float  # by which equally good runs would lie apart on so many records, as a standard deviation
    expected: float  # what it would score on others; only what it gained by being the best of several is taken off


def choose_run(runs: Sequence[Scores], groups: Iterable[str]) -> Choice:
    """The best of two runs or more that were scored on the same records in the same order; the first of those that are alike.

    `groups` names the unit of every record, "" for one by itself.
    """
    main = runs[0].main
    unit_N = units(groups)
    values_R = np.array([scores.values[main] for scores in runs])
    drawn_RB = np.array([replicated(scores.weigh, unit_N)[None, main] for scores in runs])  # the same draws for each
    known_RB = drawn_RB[:, ~np.isnan(drawn_RB).any(axis=0)]
    every = int(unit_N.max()) + 1
    apart_RB = known_RB - known_RB.mean(axis=0)
    noise = float(apart_RB.var(axis=1).sum()) / (len(runs) - 1) * every / max(every - 1, 1) if known_RB.size else 0.0
    best = int(values_R.argmax())
    observed = float(values_R.var(ddof=1))
    true_share = max(1 - noise / observed, 0.0) if observed > 0 else 1.0
    mean = float(values_R.mean())
    return Choice(best, float(values_R[best]), math.sqrt(noise), mean + true_share * (float(values_R[best]) - mean))
