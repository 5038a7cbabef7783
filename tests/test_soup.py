import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_failures import reviews, said

from headway.config import make_config, read_config
from headway.errors import ConfigError
from headway.events import Said
from headway.jobs.soup import Ingredient, check_soup, kept_best
from headway.jobs.train import train

MANY = ("train.epochs=4", "train.batch_size=4", "train.learning_rate=0.001", "train.evaluations=2")
SOUPS = ("uniform", "greedy")
every_soup = pytest.mark.parametrize("soup", SOUPS)
values = st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=12)


@pytest.fixture
def lesson(tmp_path, pretrained_folder):
    """Give a training on two classes, with a dev file of its own."""

    def give(*settings, dev=()):
        (tmp_path / "train.csv").write_text("\n".join(["text,label", *reviews(12)]), encoding="utf-8")
        (tmp_path / "dev.csv").write_text("\n".join(["text,label", *(dev or reversed(reviews(12)))]), encoding="utf-8")
        plain = ["train.precision=fp32", "train.patience=0", "regularize.dropout=0.0", "audit.allow=all"]
        config = read_config(None, [*plain, f"model.base_model={pretrained_folder('bert')}", *settings])
        return train(tmp_path / "train.csv", dev=tmp_path / "dev.csv", out=tmp_path / "run", config=config)

    return give


@given(values, st.integers(2, 4))
def test_the_best_are_kept_and_of_those_that_are_level_the_later(tmp_path_factory, values, size):
    folder, kept = tmp_path_factory.mktemp("soup"), []
    for step, value in enumerate(values, 1):
        kept = kept_best(folder, kept, Ingredient(value, step), {"weight": torch.tensor([float(step)])}, size=size)
    assert kept == sorted((Ingredient(value, step) for step, value in enumerate(values, 1)), reverse=True)[:size]
    found = {int(path.stem): load_file(path)["weight"].item() for path in (folder / "checkpoints/soup").iterdir()}
    assert found == {step: step for _, step in kept}


def cooked(job, folder):
    """The events of a training with a soup, what went into it and what came out, at the moment that it is done."""
    events, ingredients = [], {}
    for event in job:
        events.append(event)
        if isinstance(event, Said) and event.topic == "soup":
            paths = sorted((folder / "checkpoints/soup").iterdir())
            ingredients = {int(path.stem): load_file(path) for path in paths}
    return events, ingredients, json.loads((folder / "soup.json").read_text())


@every_soup
def test_the_saved_model_is_the_mean_of_those_that_are_named(lesson, tmp_path, soup):
    events, ingredients, told = cooked(lesson(*MANY, f"regularize.soup={soup}", "regularize.soup_size=3"), tmp_path / "run")
    [text] = said(events, "soup")
    assert told["kept"], text
    assert text.startswith("the mean of the models of steps ")
    assert set(told["steps"]) <= set(ingredients)
    assert len(ingredients) == 3
    assert soup == "greedy" or len(told["steps"]) == 3
    saved = load_file(tmp_path / "run/model/model.safetensors")
    for name, weight in saved.items():
        mean = torch.stack([ingredients[step][name].double() for step in told["steps"]]).mean(0)
        torch.testing.assert_close(weight.double(), mean, rtol=1e-5, atol=1e-7)


@every_soup
def test_what_is_told_of_dev_is_what_the_saved_model_scores_there(lesson, tmp_path, soup):
    contradicting = ["a good film 1,good", "a bad order 2,bad", "a good film 3,bad", "a bad order 4,bad", "a fine order 5,good"]
    _, _, told = cooked(lesson(*MANY, f"regularize.soup={soup}", dev=contradicting), tmp_path / "run")
    scores = json.loads((tmp_path / "run/scores.json").read_text())
    value = told["dev"] if told["kept"] else told["best_alone"]["value"]
    assert scores["dev"][scores["main"]["dev"]]["value"] == pytest.approx(value)
    assert value >= told["best_alone"]["value"]
    assert told["scored_on_dev"] == (1 if soup == "uniform" else 2)


def test_a_soup_that_answers_dev_worse_is_left(lesson, tmp_path, monkeypatch):
    monkeypatch.setattr("headway.jobs.soup._taste", lambda *_: -1.0)
    events, ingredients, told = cooked(lesson(*MANY, "regularize.soup=uniform"), tmp_path / "run")
    assert not told["kept"]
    assert said(events, "soup")[0].endswith("that is kept")
    saved = load_file(tmp_path / "run/model/model.safetensors")
    assert all(weight.equal(ingredients[told["best_alone"]["step"]][name]) for name, weight in saved.items())


def test_greedy_takes_what_does_not_lower_the_score_and_no_other(lesson, tmp_path, monkeypatch):
    tastes = iter([-1.0, 2.0, 1.9])
    monkeypatch.setattr("headway.jobs.soup._taste", lambda *_: next(tastes))
    _, ingredients, told = cooked(lesson(*MANY, "regularize.soup=greedy", "regularize.soup_size=4"), tmp_path / "run")
    assert len(ingredients) == 4
    assert len(told["steps"]) == 2
    assert told["dev"] == 2.0


def test_a_soup_of_adapters_is_one_of_what_they_are_merged_into(lesson, tmp_path):
    _, ingredients, told = cooked(lesson(*MANY, "regularize.soup=uniform", "regularize.parameters=lora"), tmp_path / "run")
    saved = load_file(tmp_path / "run/model/model.safetensors")
    assert told["kept"]
    assert saved.keys() == ingredients[told["steps"][0]].keys()
    assert not any("lora" in name for name in saved)


def test_one_evaluation_is_nothing_to_average(lesson, tmp_path):
    events = list(lesson("train.epochs=1", "regularize.soup=greedy"))
    assert said(events, "soup") == ["only one evaluation has given a model to average; raise train.evaluations or train.epochs"]


def test_without_a_soup_there_is_no_trace_of_it(lesson, tmp_path):
    job = lesson("train.epochs=1")
    for event in job:
        assert not isinstance(event, Said) or event.topic != "soup"
        assert not (tmp_path / "run/checkpoints/soup").exists()
    assert not (tmp_path / "run/soup.json").exists()


def test_without_dev_there_is_nothing_to_choose_by():
    with pytest.raises(ConfigError, match=r"^regularize.soup is chosen on dev, and there is none; give --dev FILE, or raise split.dev$"):
        check_soup(make_config({"regularize": {"soup": "greedy"}}), dev=False)
