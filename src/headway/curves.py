"""How a score grows with the labelled records: a power law with a band, and what it says of records that nobody has labelled yet.

Shape letters: P points measured (a size and a seed each), K sizes, R resamplings of dev, B replicates, E exponents tried, N sizes asked.

    error(n) = 1 - score(n) = floor + scale * (n / largest) ** -exponent        floor, scale, exponent >= 0

Source: Hestness et al. 2017, Deep Learning Scaling is Predictable, Empirically, arXiv:1712.00409; Figueroa et al. 2012, Predicting sample
size required for classification performance (weighted fits of learning curves).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FEWEST_SIZES = 3  # a power law has three unknowns
COVERAGE = 0.9  # of every band
REPLICATES = 1000
EXPONENTS_E = np.geomspace(0.05, 2.0, 40)
USUAL_EXPONENT, EXPONENT_SPREAD = 0.5, 0.7  # where curves say little, this is what is known beforehand: a normal over log(exponent)
STRAY = 0.04  # how far real curves stray from a power law in each doubling of the records, as a share of the error
LEAST_NOISE = 1e-3  # of a score, between trainings that differ in nothing but their seed
FARTHEST = 32  # times the records there are: beyond, nothing is said


class Point(NamedTuple):
    """A score on dev after learning from `size` records."""

    size: int
    seed: int
    score: float  # at most 1
    resampled: tuple[float, ...] = ()  # the same on samples of dev with replacement, which are the same for all points


class Band(NamedTuple):
    """A number, and between what it lies with a probability of `COVERAGE`."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, eq=False)
class Curve:
    """A power law fitted to points, and as many others as the points leave possible. Made by `fit_curve`."""

    largest: int  # records of the largest size measured
    best_3: np.ndarray  # floor, scale at the largest size, exponent
    likely_B3: np.ndarray
    strays_B: np.ndarray  # standard normal: how a curve leaves its power law beyond the largest size

    def at(self, size: float) -> Band:
        """The score with `size` records, in the mean over seeds."""
        return _band(self._best(size), self._replicates(size))

    def gain(self, more: float) -> Band:
        """What `more` records add to the score."""
        there = self.largest + more
        gain_B = self._replicates(there) - self._replicates(self.largest)
        return _band(self._best(there) - self._best(self.largest), gain_B)

    def limit(self) -> Band:
        """The score that no number of records gets beyond."""
        return _band(1 - self.best_3[0], 1 - self.likely_B3[:, 0])

    def needed(self, target: float) -> Band:
        """How many records in all reach `target`; infinite where even `FARTHEST` times the present ones would not."""
        return _band(float(self._needed(self.best_3[None], target)[0]), self._needed(self.likely_B3, target))

    def _best(self, size: float) -> float:
        return float(1 - _error(self.best_3[None], size / self.largest)[0])

    def _replicates(self, size: float) -> np.ndarray:
        """(B,) scores."""
        ratio = size / self.largest
        error_B = _error(self.likely_B3, ratio)
        return 1 - error_B * (1 + STRAY * self.strays_B * math.sqrt(abs(math.log2(ratio))))

    def _needed(self, curves_B3: np.ndarray, target: float) -> np.ndarray:
        floor_B, scale_B, exponent_B = curves_B3.T
        room_B = 1 - target - floor_B
        with np.errstate(divide="ignore", over="ignore"):
            ratio_B = np.where(room_B > 0, (np.maximum(room_B, 1e-12) / np.maximum(scale_B, 1e-12)) ** (-1 / exponent_B), np.inf)
        return np.where(ratio_B > FARTHEST, np.inf, ratio_B) * self.largest


def fit_curve(points: Sequence[Point], *, seed: int = 1) -> Curve:
    """The power law nearest to the points, and a bootstrap of it over seeds and, where points were resampled, over the records of dev.

    Sizes weigh by how well they are known. For a given exponent the best floor and scale are a line, so all exponents are tried
    and the fit is the best there is, from no starting point.

    Raises:
        ValueError: there are fewer than `FEWEST_SIZES` sizes.
    """
    sizes = sorted({point.size for point in points})
    if len(sizes) < FEWEST_SIZES:
        raise ValueError(f"a power law has {FEWEST_SIZES} unknowns; {len(sizes)} sizes were measured")
    by_size = [[point for point in points if point.size == size] for size in sizes]
    generator = np.random.default_rng(seed)
    mean_K = np.array([np.mean([point.score for point in of_size]) for of_size in by_size])
    noise_K = _noise(by_size)
    doublings_K = np.log2(sizes[-1] / np.array(sizes))
    stray_K = STRAY * (1 - mean_K) * np.sqrt(doublings_K)
    weight_K = 1 / (noise_K**2 + stray_K**2)
    steps_BK = generator.standard_normal((REPLICATES, len(sizes))) * np.sqrt(-np.diff(doublings_K, append=0.0))
    strayed_BK = STRAY * (1 - mean_K) * np.cumsum(steps_BK[:, ::-1], axis=1)[:, ::-1]  # a walk from the largest size to the smallest
    seeds_BK = generator.standard_normal((REPLICATES, len(sizes))) * noise_K
    centre_B = generator.standard_normal(REPLICATES) * EXPONENT_SPREAD
    likely_BK = mean_K + seeds_BK + strayed_BK + _dev_noise(by_size)
    x_EK = (np.array(sizes) / sizes[-1]) ** -EXPONENTS_E[:, None]
    return Curve(
        largest=sizes[-1],
        best_3=_fit(x_EK, 1 - mean_K[None], weight_K, np.zeros(1))[0],
        likely_B3=_fit(x_EK, 1 - likely_BK, weight_K, centre_B),
        strays_B=generator.standard_normal(REPLICATES),
    )


def _noise(by_size: list[list[Point]]) -> np.ndarray:
    """(K,) the standard deviation of each mean, from how trainings of one size differ, all sizes together."""
    apart = [point.score - np.mean([other.score for other in of_size]) for of_size in by_size for point in of_size]
    freedom = max(len(apart) - len(by_size), 1)
    deviation = max(math.sqrt(np.square(apart).sum() / freedom), LEAST_NOISE)
    return np.array([deviation / math.sqrt(len(of_size)) for of_size in by_size])


def _dev_noise(by_size: list[list[Point]]) -> np.ndarray:
    """(B, K) by how much each mean would be off on another dev set, all sizes on the same one; 0 where a size was not resampled."""
    kept = [[point.resampled for point in of_size if point.resampled] for of_size in by_size]
    if not all(kept):
        return np.zeros((REPLICATES, len(by_size)))
    resampled_KR = np.array([np.mean(of_size, axis=0) for of_size in kept])
    off_KR = resampled_KR - resampled_KR.mean(axis=1, keepdims=True)
    return off_KR[:, np.arange(REPLICATES) % off_KR.shape[1]].T


def _fit(x_EK: np.ndarray, error_BK: np.ndarray, weight_K: np.ndarray, centre_B: np.ndarray) -> np.ndarray:
    """(B, 3) floor, scale and exponent of least squares, none of them negative; `centre_B` shifts what is known of log(exponent)."""
    total = weight_K.sum()
    x_E, y_B = x_EK @ weight_K / total, error_BK @ weight_K / total
    xx_E, xy_BE = x_EK**2 @ weight_K / total, (error_BK * weight_K) @ x_EK.T / total
    scale_BE = np.maximum((xy_BE - y_B[:, None] * x_E) / (xx_E - x_E**2), 0.0)
    floor_BE = y_B[:, None] - scale_BE * x_E
    below = floor_BE < 0
    scale_BE = np.where(below, xy_BE / xx_E, scale_BE)
    floor_BE = np.where(below, 0.0, floor_BE)
    fitted_BEK = floor_BE[..., None] + scale_BE[..., None] * x_EK
    off_BE = ((error_BK[:, None] - fitted_BEK) ** 2) @ weight_K
    known_BE = ((np.log(EXPONENTS_E / USUAL_EXPONENT) - centre_B[:, None]) / EXPONENT_SPREAD) ** 2
    best_B = (off_BE + known_BE).argmin(axis=1)
    rows_B = np.arange(len(best_B))
    return np.stack([floor_BE[rows_B, best_B], scale_BE[rows_B, best_B], EXPONENTS_E[best_B]], axis=1)


def _error(curves_B3: np.ndarray, ratio: float) -> np.ndarray:
    """(B,) the error at `ratio` times the largest size."""
    floor_B, scale_B, exponent_B = curves_B3.T
    return floor_B + scale_B * ratio**-exponent_B


def _band(value: float, replicates_B: np.ndarray) -> Band:
    """The quantiles are sorted numbers themselves, as an infinite one cannot be averaged."""
    low, high = np.quantile(replicates_B, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], method="nearest")
    return Band(value, min(float(low), value), max(float(high), value))
