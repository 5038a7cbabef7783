import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.curves import COVERAGE, FARTHEST, Band, Curve, Point, fit_curve

SIZES = (500, 1000, 2000, 4000)
promise = settings(max_examples=30)
LAWS = st.tuples(st.floats(0, 0.3), st.floats(0.02, 0.4), st.floats(0.2, 1.2))


def law(size, floor, scale, exponent):
    """The score where `scale` is the error above the floor at the largest size."""
    return 1 - floor - scale * (size / SIZES[-1]) ** -exponent


def points_of(floor, scale, exponent, *, noise=0.0, seeds=3, generator=None):
    generator = generator or np.random.default_rng(1)
    places = [(size, seed) for size in SIZES for seed in range(seeds)]
    return [Point(size, seed, law(size, floor, scale, exponent) + noise * generator.standard_normal()) for size, seed in places]


@promise
@given(LAWS)
def test_a_clean_curve_is_found_again(true):
    curve = fit_curve(points_of(*true))
    assert curve.at(SIZES[-1]).value == pytest.approx(law(SIZES[-1], *true), abs=0.01)
    assert curve.at(2 * SIZES[-1]).value == pytest.approx(law(2 * SIZES[-1], *true), abs=0.02)


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_bands_hold_what_they_promise(noise):
    """Over 200 laws drawn at random, at twice and four times the records: not less than promised, but for chance."""
    generator = np.random.default_rng(1)
    held = []
    for _ in range(200):
        true = generator.uniform(0, 0.3), generator.uniform(0.02, 0.4), generator.uniform(0.2, 1.2)
        curve = fit_curve(points_of(*true, noise=noise, generator=generator))
        bands = {size: curve.at(size) for size in (2 * SIZES[-1], 4 * SIZES[-1])}
        held += [band.low <= law(size, *true) <= band.high for size, band in bands.items()]
    assert np.mean(held) >= COVERAGE - 0.05


def test_bands_of_gains_hold_what_they_promise():
    generator = np.random.default_rng(2)
    held = []
    for _ in range(200):
        true = generator.uniform(0, 0.3), generator.uniform(0.02, 0.4), generator.uniform(0.2, 1.2)
        gain = fit_curve(points_of(*true, noise=0.005, generator=generator)).gain(1000)
        held.append(gain.low <= law(SIZES[-1] + 1000, *true) - law(SIZES[-1], *true) <= gain.high)
    assert np.mean(held) >= COVERAGE - 0.05


@promise
@given(st.lists(st.floats(0, 1), min_size=12, max_size=12))
def test_whatever_was_measured_more_records_never_cost_anything(scores):
    curve = fit_curve([Point(SIZES[place % 4], place // 4, score) for place, score in enumerate(scores)])
    values = [curve.at(size).value for size in (*SIZES, 10_000, 100_000)]
    assert all(later >= before - 1e-9 for before, later in pairwise(values))
    assert values[-1] <= 1
    for band in (curve.at(8000), curve.gain(500), curve.limit()):
        assert band.low <= band.value <= band.high


@promise
@given(LAWS, st.floats(0.3, 0.99))
def test_the_records_needed_reach_the_target(true, target):
    curve = fit_curve(points_of(*true))
    needed = curve.needed(target)
    assert needed.low <= needed.value <= needed.high
    if math.isfinite(needed.value):
        assert curve.at(needed.value).value == pytest.approx(target, abs=1e-6)
    else:
        assert curve.at(FARTHEST * SIZES[-1]).value < target + 1e-6


def test_a_band_widens_with_noise_and_with_distance():
    quiet, loud = (fit_curve(points_of(0.05, 0.1, 0.5, noise=noise)) for noise in (0.001, 0.02))
    assert quiet.at(8000).margin < loud.at(8000).margin
    assert loud.at(8000).margin < loud.at(32000).margin


def test_the_choice_of_dev_widens_a_score_and_not_a_gain():
    """Another dev set moves the whole curve, and what is gained along it hardly."""
    offs = np.random.default_rng(1).standard_normal(60) * 0.02
    plain = points_of(0.05, 0.1, 0.5, noise=0.002)
    resampled = [point._replace(resampled=tuple(point.score + offs)) for point in plain]
    without, with_dev = fit_curve(plain), fit_curve(resampled)
    assert with_dev.at(4000).margin > 2 * without.at(4000).margin
    assert with_dev.gain(1000).margin < 1.5 * without.gain(1000).margin


def test_the_same_points_give_the_same_curve():
    assert fit_curve(points_of(0.1, 0.1, 0.5)).at(9000) == fit_curve(points_of(0.1, 0.1, 0.5)).at(9000)


def test_two_sizes_are_too_few():
    with pytest.raises(ValueError, match="a power law has 3 unknowns; 2 sizes were measured"):
        fit_curve([Point(10, 1, 0.5), Point(20, 1, 0.6)])


def test_the_margin_is_half_the_band():
    assert Band(0.5, 0.4, 0.7).margin == pytest.approx(0.15)


def test_a_curve_falls_short_of_its_limit():
    curve: Curve = fit_curve(points_of(0.1, 0.2, 0.5))
    assert curve.at(FARTHEST * SIZES[-1]).value <= curve.limit().value
