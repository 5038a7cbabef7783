import pytest
import torch

from headway.backend import pick_token_budget
from headway.config import make_config
from headway.errors import ConfigError
from headway.recipe import decided

SMALL, BASE, LARGE = 22_000_000, 110_000_000, 340_000_000
FACTS = {"parameters": SMALL, "windows": 5_000, "pairs": False, "pooling": "first"}


def recipe(*, parameters=SMALL, windows=5_000, task="classification", **train):
    return decided(make_config({"train": train}), task=task, **FACTS | {"parameters": parameters, "windows": windows}).train


def head(chosen="auto", *, task="classification", pairs=False, pooling="mean", **regularize):
    config = make_config({"model": {"head": chosen}, "regularize": regularize})
    return decided(config, task=task, **FACTS | {"pairs": pairs, "pooling": pooling}).model.head


def test_larger_networks_take_smaller_steps():
    rates = [recipe(parameters=parameters).learning_rate for parameters in (SMALL, BASE, LARGE)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def test_a_training_of_few_epochs_takes_larger_steps_within_bounds():
    rates = [recipe(epochs=epochs).learning_rate for epochs in (10, 3, 2, 1, 0.1)]
    assert rates[0] == rates[1] == recipe().learning_rate
    assert rates[1:4] == pytest.approx([rates[1], 1.5 * rates[1], 3 * rates[1]])
    assert rates[4] == rates[3]


def test_a_rate_that_a_person_sets_does_not_follow_the_epochs():
    assert recipe(epochs=1, learning_rate=2e-5).learning_rate == 2e-5


def test_adapters_take_larger_steps_than_the_network_that_they_are_beside():
    config = make_config({"regularize": {"parameters": "lora"}})
    assert decided(config, task="ner", **FACTS).train.learning_rate == pytest.approx(10 * recipe(task="ner").learning_rate)


@pytest.mark.parametrize("task", ["classification", "ner", "qa"])
def test_small_data_is_seen_more_often_within_bounds(task):
    epochs = [recipe(windows=windows, task=task).epochs for windows in (10, 1_000, 5_000, 1_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == 10
    assert epochs[-1] == {"classification": 3, "ner": 3, "qa": 2}[task]


@pytest.mark.parametrize(("task", "sizes"), [("classification", [32] * 5), ("ner", [4, 8, 16, 32, 32]), ("qa", [4, 4, 4, 8, 16])])
def test_few_sentences_and_questions_are_learned_from_in_smaller_updates(task, sizes):
    assert [recipe(windows=windows, task=task).batch_size for windows in (10, 180, 360, 720, 10_000)] == sizes
    assert recipe(windows=180, task=task, batch_size=64).batch_size == 64


def test_what_a_person_sets_is_not_decided():
    chosen = recipe(learning_rate=0.5, epochs=7, batch_size=3)
    assert (chosen.learning_rate, chosen.epochs, chosen.batch_size) == (0.5, 7, 3)


def test_nothing_is_left_to_decide():
    assert "auto" not in {recipe().learning_rate, recipe().epochs, recipe().batch_size}


def test_what_is_read_at_once_is_set_or_suits_the_device():
    cpu, accelerator = torch.device("cpu"), torch.device("cuda")
    assert pick_token_budget(77, cpu) == 77
    assert pick_token_budget("auto", cpu) < pick_token_budget("auto", accelerator)


def test_the_head_is_fitted_where_single_texts_are_read_by_their_mean():
    assert head() == "fitted"
    assert {head(pairs=True), head(pooling="first"), head(task="ner"), head(task="qa")} == {"random"}


def test_the_head_is_random_on_layers_that_begin_anew():
    assert head(reinitialized_layers=1) == "random"


@pytest.mark.parametrize("chosen", ["random", "fitted"])
def test_a_head_that_a_person_chose_stays(chosen):
    assert head(chosen, pairs=True, pooling="first") == chosen


def test_only_classification_has_a_fitted_head():
    with pytest.raises(ConfigError, match="the task is ner"):
        head("fitted", task="ner")
