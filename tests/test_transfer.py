"""LogME: the evidence is what it is by its definition, at its maximum, and what does not change what features say does not change it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from headway.transfer import explain

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, *, units: int = 40, width: int = 5, columns: int = 2, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features, and targets that depend on the first two of them."""
    generator = np.random.default_rng(seed)
    features_UD = generator.standard_normal((units, width))
    return features_UD, features_UD[:, :2] @ generator.standard_normal((2, columns)) + noise * generator.standard_normal((units, columns))


def evidence(features_UD: np.ndarray, target_U: np.ndarray, log_precisions: np.ndarray) -> float:
    """By its definition, nats a unit: targets are normal, with what the prior of the weights and the noise give for a covariance."""
    prior, noise = np.exp(log_precisions)
    centred_UD, centred_U = features_UD - features_UD.mean(axis=0), target_U - target_U.mean()
    covariance_UU = np.eye(len(target_U)) / noise + centred_UD @ centred_UD.T / prior
    return multivariate_normal(np.zeros(len(target_U)), covariance_UU).logpdf(centred_U) / len(target_U)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_evidence_by_definition_at_its_maximum(seed):
    features_UD, targets_UC = drawn(seed)
    found = [minimize(lambda x, y=y: -evidence(features_UD, y, x), np.zeros(2)).fun for y in targets_UC.T]
    assert explain(features_UD, targets_UC).logme == pytest.approx(-np.mean(found), abs=1e-4)


@given(SEEDS, st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_scale_and_shift_and_rotation_of_features_change_nothing(seed, scale, shift):
    features_UD, targets_UC = drawn(seed)
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((5, 5)))
    plain, changed = explain(features_UD, targets_UC), explain(scale * features_UD @ turned + shift, targets_UC)
    assert changed.logme == pytest.approx(plain.logme, abs=1e-5)
    said, now = (
        features_UD @ plain.weight_CD.T + plain.bias_C,
        (scale * features_UD @ turned + shift) @ changed.weight_CD.T + changed.bias_C,
    )
    np.testing.assert_allclose(now, said, atol=1e-3)


@given(SEEDS)
def test_a_feature_said_twice_says_hardly_more(seed):
    features_UD, targets_UC = drawn(seed)
    twice = explain(np.concatenate([features_UD, features_UD], axis=1), targets_UC).logme
    assert twice == pytest.approx(explain(features_UD, targets_UC).logme, abs=1e-6)


def test_what_explains_is_worth_more_than_what_does_not_and_noise_costs():
    features_UD, targets_UC = drawn(1, units=100)
    noise_UD = np.random.default_rng(2).standard_normal((100, 5))
    some = explain(features_UD, targets_UC).logme
    assert some > explain(np.concatenate([features_UD, noise_UD], axis=1), targets_UC).logme > explain(noise_UD, targets_UC).logme


def test_features_to_learn_by_heart_from_are_not_taken_for_knowledge():
    """As many features as units fit anything; evidence is not fooled."""
    features_UD, targets_UC = drawn(1, units=50, noise=0.1)
    wide_UD = np.random.default_rng(3).standard_normal((50, 200))
    assert explain(wide_UD, targets_UC).logme < explain(features_UD, targets_UC).logme - 0.5


def test_features_that_say_nothing_leave_the_spread_of_the_targets():
    _, targets_UC = drawn(1, columns=1)
    nothing = explain(np.zeros((40, 3)), targets_UC)
    assert nothing.logme == pytest.approx(-0.5 * (np.log(2 * np.pi * targets_UC.var()) + 1))
    np.testing.assert_allclose(nothing.weight_CD, 0)
    np.testing.assert_allclose(nothing.bias_C, targets_UC.mean(axis=0))


def test_a_class_that_does_not_occur_changes_nothing():
    features_UD, targets_UC = drawn(1)
    more = explain(features_UD, np.concatenate([targets_UC, np.zeros((40, 1))], axis=1))
    assert more.logme == explain(features_UD, targets_UC).logme
    assert not more.weight_CD[-1].any()


def test_targets_that_a_line_gives_are_given_back():
    features_UD, targets_UC = drawn(1, noise=0.0)
    found = explain(features_UD, targets_UC)
    np.testing.assert_allclose(features_UD @ found.weight_CD.T + found.bias_C, targets_UC, atol=1e-3)


@pytest.mark.parametrize(("features", "message"), [(np.zeros((1, 3)), "1 units"), (np.full((4, 3), np.nan), "not a finite number")])
def test_what_nothing_can_be_said_of_is_refused(features, message):
    with pytest.raises(ValueError, match=message):
        explain(features, np.zeros((len(features), 1)))
