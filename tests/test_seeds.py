"""headway train --seeds: several trainings that differ by their seed alone, what they score together, and the one that is kept."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway.config import read_config
from headway.errors import ConfigError
from headway.events import Said, Scored, Stepped
from headway.jobs.seeds import DEVIATION, MEAN, OF_ONE, Ran, _rows
from headway.jobs.train import train
from headway.metrics import choose_run, score_classes, spread
from headway.wording import score_text

REVIEWS = "text,label\n" + "".join(f"a {('good', 'bad', 'fine', 'late')[n % 4]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(48))
TAGGED = "".join(
    f"Ada B-PER\nlives O\nin O\n{place} B-LOC\n. O\nok O\n{n} O\n\n" for n, place in enumerate(("Paris", "London", "Berlin") * 6)
)
CITIES = ("London", "Paris", "Berlin", "Warsaw")


def question(number: int) -> dict:
    """One in a paragraph and an article of its own."""
    context, city = f"Ada Lovelace lived at {number} in {CITIES[number % 4]} .", CITIES[number % 4]
    asked = {"id": str(number), "question": "where", "answers": [{"text": city, "answer_start": context.index(city)}]}
    return {"title": str(number), "paragraphs": [{"context": context, "qas": [asked]}]}


QUESTIONS = json.dumps({"version": "1.1", "data": [question(number) for number in range(16)]})
FILES = {"reviews.csv": REVIEWS, "tags.conll": TAGGED, "questions.json": QUESTIONS}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    plain = (
        "train.epochs=2",
        "train.precision=fp32",
        "train.learning_rate=0.001",
        "train.batch_size=8",
        "audit.allow=all",
        "split.dev=0.25",
    )
    return [f"model.base_model={pretrained_folder('bert')}", *plain]


@pytest.fixture(scope="module")
def several(settings, tmp_path_factory):
    """Give the folder of three trainings by the name of its file, and what was said."""
    root = tmp_path_factory.mktemp("seeds")
    kept = {}

    def give(name):
        if name not in kept:
            (root / name).write_text(FILES[name], encoding="utf-8")
            events = list(train(root / name, out=root / f"{name}-run", config=read_config(None, [*settings, "train.seeds=3"])))
            kept[name] = root / f"{name}-run", events
        return kept[name]

    return give


def content(folder: Path) -> dict[str, bytes]:
    """All files, but what was measured of time, and what tells of it."""
    files = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("provenance.json", "report.html", "README.md")
    ]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    logs = {name: text.splitlines() for name, text in found.items() if name.endswith("steps.jsonl")}
    data = {name: json.loads(text) | {"seconds": {}} for name, text in found.items() if name.endswith("data.json")}
    timeless = {name: [{**json.loads(line), "seconds": 0} for line in lines] for name, lines in logs.items()} | data
    return found | {name: json.dumps(rows).encode() for name, rows in timeless.items()}


def told(folder):
    return json.loads((folder / "seeds.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_each_of_several_trainings_is_a_training_of_its_own_with_that_seed(several, settings, tmp_path, name):
    folder, _ = several(name)
    for seed in SEEDS if name == "reviews.csv" else SEEDS[1:2]:
        job = train(folder.parent / name, out=tmp_path / str(seed), config=read_config(None, [*settings, f"train.seed={seed}"]))
        alone = list(job)[-1].folder
        assert content(folder / f"seed-{seed}") == content(alone)


def test_one_seed_is_a_plain_training(several, settings, tmp_path):
    folder, _ = several("reviews.csv")
    (tmp_path / "settings.toml").write_text(_toml(settings), encoding="utf-8")
    alone = headway.train(folder.parent / "reviews.csv", out=tmp_path / "run", settings=tmp_path / "settings.toml", seeds=1)
    assert content(alone) == content(folder / "seed-1")


def _toml(settings):
    from headway.settings_text import to_toml

    return to_toml(read_config(None, settings))


@pytest.mark.parametrize("name", FILES)
def test_the_folder_above_is_that_of_the_best_on_dev(several, name):
    folder, _ = several(name)
    main = json.loads((folder / "scores.json").read_text())["main"]["dev"]
    each = {seed: json.loads((folder / f"seed-{seed}/scores.json").read_text())["dev"][main]["value"] for seed in SEEDS}
    kept = told(folder)["kept"]
    assert each[kept] == max(each.values())
    for name in ("model/model.safetensors", "model/manifest.json", "scores.json", "predictions.jsonl", "steps.jsonl"):
        assert (folder / name).read_bytes() == (folder / f"seed-{kept}" / name).read_bytes()
    headway.load(folder)


def test_the_table_holds_mean_deviation_and_what_one_run_leaves_open(several):
    folder, events = several("reviews.csv")
    [table] = [event for event in events if isinstance(event, Scored)]
    each = [json.loads((folder / f"seed-{seed}/scores.json").read_text())["dev"]["accuracy"] for seed in SEEDS]
    values = [cell["value"] for cell in each]
    assert [table.rows[f"seed {seed}"]["accuracy"] for seed in SEEDS] == values
    assert table.rows[MEAN]["accuracy"].value == pytest.approx(np.mean(values))
    assert table.rows[DEVIATION]["accuracy"] == pytest.approx(np.std(values, ddof=1))
    assert table.rows[OF_ONE]["accuracy"] == pytest.approx(np.mean([cell["high"] - cell["low"] for cell in each]) / 2)
    assert told(folder)["parts"]["dev"]["accuracy"]["each"] == values


def test_what_is_said_of_the_seeds_is_said_on_the_page_and_on_the_card(several):
    folder, events = several("reviews.csv")
    said = {event.topic: event.text for event in events if isinstance(event, Said) and event.topic in ("seeds", "kept")}
    of, choice = told(folder)["parts"]["dev"]["accuracy"], told(folder)["choice"]
    deviation, noise = score_text(of["deviation"]), score_text(choice["noise"])
    assert said["seeds"] == (
        f"accuracy differs by {deviation} between seeds (standard deviation); models that are equally good would differ by "
        f"{noise} on a dev set of this size"
    )
    assert said["kept"].startswith(f"seed {told(folder)['kept']}, the best on dev: accuracy {score_text(choice['value'])}")
    for path in ("report.html", "model/README.md"):
        page = (folder / path).read_text(encoding="utf-8")
        assert all(text[1:] in page for text in said.values())
    assert "How much is the seed?" not in (folder / "seed-1/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("stop", ["in a training", "between two", "in the end"])
def test_several_trainings_that_were_stopped_go_on_to_those_of_unbroken_ones(several, settings, tmp_path, stop):
    whole, _ = several("reviews.csv")
    out = tmp_path / "run"
    job = train(whole.parent / "reviews.csv", out=out, config=read_config(None, [*settings, "train.seeds=3"]))
    for event in job:
        if stop == "in the end" and isinstance(event, Scored):
            break
        if (out / "seed-2").is_dir() and isinstance(event, Stepped if stop == "in a training" else Said):
            break
    if stop == "in a training":
        assert job.throw(KeyboardInterrupt()).text == f"in seed 2, saved. Go on with: headway train --resume {out}"
        assert len(list(out.glob("seed-2/checkpoints/step-*"))) == 1
        with pytest.raises(KeyboardInterrupt):
            next(job)
    job.close()
    assert not (out / "scores.json").exists()
    assert Said("seed 1", "has already finished") in list(train(out, resume=True))
    assert content(out) == content(whole)


def test_a_finished_table_has_nothing_to_go_on_with(several):
    folder, _ = several("reviews.csv")
    assert [event.text for event in train(folder, resume=True) if isinstance(event, Said)] == [f"{folder} has already finished"]


def test_without_a_dev_set_the_first_is_kept(several, settings, tmp_path):
    folder, _ = several("reviews.csv")
    config = read_config(None, [*settings, "split.dev=0", "train.seeds=2", "train.epochs=1"])
    events = list(train(folder.parent / "reviews.csv", test=folder.parent / "reviews.csv", out=tmp_path / "run", config=config))
    assert Said("kept", "seed 1: there is no dev set to choose by") in events
    assert list(told(tmp_path / "run")["parts"]) == ["test"]


def test_a_metric_that_one_run_lacks_is_not_told_of_all(tmp_path):
    """A run that finds no entity has no calibration."""
    scores = [{"main": {}, "dev": {"f1": {"value": 0.5}}}, {"main": {}, "dev": {"f1": {"value": 0.6}, "ece": {"value": 0.1}}}]
    for runs in (scores, scores[::-1]):
        ran = [Ran(seed, tmp_path, kept) for seed, kept in enumerate(runs)]
        assert all(list(row) in (["f1"], []) for row in _rows(ran, "dev").values())


def test_seeds_are_counted_in_whole_numbers(tmp_path):
    with pytest.raises(ConfigError, match=r"train\.seeds = 0: must be greater than or equal to 1"):
        headway.train(tmp_path / "a.csv", seeds=0)


# --- the choice


def simulated(generator, *, rights, records):
    """Runs that answer each record rightly with a probability of their own."""
    gold = ["a", "b"] * (records // 2)
    other = {"a": "b", "b": "a"}
    drawn = [generator.random(records) < right for right in rights]
    return [score_classes(gold, [label if right else other[label] for label, right in zip(gold, of_run, strict=True)]) for of_run in drawn]


@pytest.mark.parametrize("deviation", [0.0, 0.03, 0.06])
def test_what_is_expected_of_the_best_is_about_what_it_scores_elsewhere(deviation):
    """The score that it was chosen by is two points too high and more; most of that is known. 150 times five runs."""
    generator = np.random.default_rng(3)
    lucky, off = [], []
    for _ in range(150):
        rights = np.clip(0.8 + deviation * generator.standard_normal(5), 0.5, 1)
        choice = choose_run(simulated(generator, rights=rights, records=100), [""] * 100)
        lucky.append(choice.value - rights[choice.best])
        off.append(choice.expected - rights[choice.best])
    assert np.mean(lucky) > 0.02
    assert abs(np.mean(off)) < 0.3 * np.mean(lucky)


def test_runs_that_answer_alike_differ_by_no_chance():
    runs = simulated(np.random.default_rng(1), rights=[0.8], records=100) * 3
    choice = choose_run(runs, [""] * 100)
    assert (choice.best, choice.noise, choice.expected) == (0, pytest.approx(0.0), choice.value)


def test_runs_that_all_but_agree_differ_by_less_chance_than_those_that_do_not():
    """Records that are hard for all tell nothing of which run is better."""
    generator = np.random.default_rng(2)
    gold = ["a", "b"] * 200
    hard = generator.random(400) < 0.2
    alike = [
        score_classes(gold, ["a" if wrong or n == run else g for n, (g, wrong) in enumerate(zip(gold, hard, strict=True))])
        for run in range(3)
    ]
    apart = simulated(generator, rights=[0.9] * 3, records=400)
    assert choose_run(alike, [""] * 400).noise < choose_run(apart, [""] * 400).noise / 3


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_interval_of_a_mean_holds_it_and_stays_where_scores_are(values):
    of = spread("f1", values)
    assert -1e-9 <= of.low <= of.mean + 1e-9 <= of.high + 2e-9 <= 1 + 1e-8


def test_the_interval_of_a_mean_is_students():
    from scipy.stats import ttest_1samp

    values = [0.41, 0.44, 0.47, 0.40]
    of, of_scipy = spread("f1", values), ttest_1samp(values, 0.0).confidence_interval()
    assert (of.low, of.high) == pytest.approx((of_scipy.low, of_scipy.high))
    assert math.isclose(spread("mae", [9.0, 11.0]).high, 10 + 12.7062, rel_tol=1e-4)
