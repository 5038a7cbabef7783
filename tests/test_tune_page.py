"""tune.html: what it says of a search, made from `tune.json`; hostile strings, few trials, and trials that learned nothing."""

import json
import math
import random
from html.parser import HTMLParser

import pytest

from headway.config import Range
from headway.jobs.tune.importance import FEWEST, importances
from headway.jobs.tune.page import view, write_page

SPACE = {
    "train.learning_rate": {"low": 3e-5, "high": 5e-4, "log": True},
    "train.batch_size": {"choices": [8, 16, 32]},
    "regularize.class_weights": {"choices": ["none", "balanced"]},
    "regularize.label_smoothing": {"low": 0.0, "high": 0.2, "when": {"regularize.class_weights": "none"}},
}
DEFAULT = {
    "train.learning_rate": 1e-4,
    "train.batch_size": 32,
    "regularize.class_weights": "none",
    "regularize.label_smoothing": 0.0,
}


def searched(*, count: int, finals: dict[int, list[float]], **other) -> dict:
    """As `tune.json` has it: the nearer the rate to 2e-4, the better; every fourth trial gets to its end, one fails."""
    chance, trials = random.Random(3), []
    for number in range(count):
        settings = {"train.learning_rate": 10 ** chance.uniform(-4.5, -3.31), "train.batch_size": chance.choice([8, 16, 32])}
        settings["regularize.class_weights"] = chance.choice(["none", "balanced"])
        if settings["regularize.class_weights"] == "none":
            settings["regularize.label_smoothing"] = chance.uniform(0, 0.2)
        settings = settings if number else DEFAULT
        value = 0.9 - 0.1 * abs(math.log10(settings["train.learning_rate"]) + 3.7) + chance.gauss(0, 0.003)
        state = "fail" if number == 5 else "complete" if number in finals or number % 4 == 0 else "pruned"
        curve = {"fail": [], "pruned": [value - 0.05], "complete": [value - 0.05, value]}[state]
        why = {"fail": "step 12: the loss is not a number", "pruned": "after 1 epoch 4 of the 7 were better", "complete": None}[state]
        about = {"state": state, "value": value if state == "complete" else None, "settings": settings, "curve": curve}
        trials.append({"number": number, **about, "why": why, "seconds": 61.0})
    runs = [{"trial": trial, "seed": 2 + n, "value": value} for trial, values in finals.items() for n, value in enumerate(values)]
    means = {str(trial): sum(values) / len(values) for trial, values in finals.items()}
    winner = int(max(means, key=means.get))
    return {
        "metric": "macro_f1",
        "winner": {"trial": winner, "seed": 3, "settings": trials[winner]["settings"]},
        "records": {"trial": 100, "final": 400},
        "seconds": {"trials": 61.0 * count},
        "means": means,
        "finals": runs,
        "default": DEFAULT,
        "space": SPACE,
        "evaluations": 1,
        "trials": trials,
    } | other


@pytest.mark.parametrize(
    ("finals", "answer"),
    [
        (
            {4: [0.90, 0.91, 0.92], 0: [0.86, 0.861, 0.862]},
            "Trial 4 is the best that was found: its macro F1 on dev is .910 in the mean of 3 new seeds (95% interval .885 to .935), "
            "+.049 against the default recipe with the same seeds.",
        ),
        (
            {4: [0.90, 0.91, 0.92], 0: [0.88, 0.90, 0.91]},
            "Trial 4 is the best that was found: its macro F1 on dev is .910 in the mean of 3 new seeds (95% interval .885 to .935), "
            "+.013 against the default recipe with the same seeds, which may be chance.",
        ),
        (
            {0: [0.90, 0.91, 0.92], 4: [0.88, 0.90, 0.91]},
            "Nothing that was tried is better than the default recipe: its macro F1 on dev is .910 in the mean of 3 new seeds "
            "(95% interval .885 to .935).",
        ),
        (
            {4: [0.90, 0.91, 0.92], 8: [0.88, 0.90, 0.91]},
            "Trial 4 is the best that was found: its macro F1 on dev is .910 in the mean of 3 new seeds (95% interval .885 to .935); "
            "the default recipe was no finalist, with .873 as a trial.",
        ),
    ],
)
def test_the_answer_is_a_sentence(tmp_path, finals, answer):
    found = searched(count=9, finals=finals)
    found["trials"][0]["value"] = 0.873
    assert view(found, tmp_path)["answer"] == answer


def test_what_test_says_stands_there_where_it_was_opened(tmp_path):
    found = searched(count=9, finals={0: [0.9, 0.9, 0.91]})
    assert view(found, tmp_path)["tested"] is None
    scores = {"main": {"dev": "macro_f1", "test": "macro_f1"}, "test": {"macro_f1": {"value": 0.871, "low": 0.85, "high": 0.89}}}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    assert view(found, tmp_path)["tested"].endswith("macro F1 is .871 (95% interval .850 to .890).")


def test_settings_of_the_winner_stand_against_the_default(tmp_path):
    found = searched(count=9, finals={4: [0.9, 0.91, 0.92]})
    rows = {row["name"]: row for row in view(found, tmp_path)["settings"]}
    assert rows["train.learning_rate"]["default"] == "0.0001"
    assert rows["train.learning_rate"]["differs"]
    assert rows["train.learning_rate"]["tried"] == "3e-05 to 0.0005, log"
    assert {name for name, row in rows.items() if row["won"] == "–"} == set(SPACE) - found["winner"]["settings"].keys()


def test_few_trials_tell_nothing_of_what_decided(tmp_path):
    shown = view(searched(count=FEWEST, finals={0: [0.9, 0.9, 0.91]}), tmp_path)  # one of them has no score
    assert shown["importance"] is None
    assert shown["too_few"] == f"{FEWEST - 1} different settings got a score; {FEWEST} or more are needed to tell them from chance"


def test_the_setting_that_decides_is_told_from_those_that_do_not():
    space = {name: Range(**tried) for name, tried in SPACE.items()}
    trials = [trial | {"curve": trial["curve"][:1]} for trial in searched(count=60, finals={0: [0.9, 0.9, 0.91]})["trials"]]
    rows = importances(trials, space)
    assert [row.name for row in rows if row.share > row.chance] == ["train.learning_rate"]
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_settings_that_were_tried_twice_count_once():
    trials = searched(count=FEWEST, finals={0: [0.9, 0.9, 0.91]})["trials"]
    assert importances([*trials, *trials], {name: Range(**tried) for name, tried in SPACE.items()}) == []


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, tuple(name for name, _ in attributes)))


def test_the_page_is_whole_and_the_same_each_time(tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(1)>"
    folder.mkdir()
    found = searched(count=30, finals={4: [0.90, 0.91, 0.92], 0: [0.86, 0.87, 0.87]})
    found["trials"][5]["why"] = "</td><script>alert(1)</script>"
    (folder / "tune.json").write_text(json.dumps(found), encoding="utf-8")
    write_page(folder)
    page = (folder / "tune.html").read_text(encoding="utf-8")
    write_page(folder)
    assert (folder / "tune.html").read_text(encoding="utf-8") == page
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag, names in tags.found if tag in ("script", "img") or any(name.startswith("on") for name in names)]
    assert 'http-equiv="Content-Security-Policy"' in page
    assert sum(tag == "svg" and "role" in names for tag, names in tags.found) == 4  # history, curves, parallel, importance
    assert page.count("<tr") > 30


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_page_of_the_fewest_trials_can_be_made(tmp_path, count):
    found = searched(count=count, finals={0: [0.9, 0.9, 0.9]})
    (tmp_path / "tune.json").write_text(json.dumps(found), encoding="utf-8")
    write_page(tmp_path)
    assert "Nothing that was tried is better" in (tmp_path / "tune.html").read_text(encoding="utf-8")
