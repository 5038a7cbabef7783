import pytest

from headway.config import make_config
from headway.recipe import decided

SMALL, BASE, LARGE = 22_000_000, 110_000_000, 340_000_000


def recipe(*, parameters=SMALL, windows=5_000, task="classification", **train):
    return decided(make_config({"train": train}), parameters=parameters, windows=windows, task=task).train


def test_larger_networks_take_smaller_steps():
    rates = [recipe(parameters=parameters).learning_rate for parameters in (SMALL, BASE, LARGE)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


@pytest.mark.parametrize("task", ["classification", "ner", "qa"])
def test_small_data_is_seen_more_often_within_bounds(task):
    epochs = [recipe(windows=windows, task=task).epochs for windows in (10, 1_000, 5_000, 1_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == 10
    assert epochs[-1] == {"classification": 3, "ner": 3, "qa": 2}[task]


def test_what_a_person_sets_is_not_decided():
    chosen = recipe(learning_rate=0.5, epochs=7, batch_size=3)
    assert (chosen.learning_rate, chosen.epochs, chosen.batch_size) == (0.5, 7, 3)


def test_nothing_is_left_to_decide():
    assert "auto" not in {recipe().learning_rate, recipe().epochs, recipe().batch_size}
