"""headway forecast from end to end with a tiny network, and its answers in words."""

import json
import math
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import headway
from headway.cli import app
from headway.config import read_config
from headway.curves import Point, fit_curve
from headway.errors import ConfigError, DataError, OutputError
from headway.events import Said, Scored, Stepped
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.forecast import forecast
from headway.jobs.forecast.measure import read_points
from headway.jobs.forecast.words import Asked, answers, by_label, counts_differ, doubts, round_number, wanted_most
from headway.jobs.learning import fitted_answers
from headway.jobs.start import start
from headway.probe import fit_head

WORDS = ("good", "terrible", "bad", "fine", "wonderful", "late")
REVIEWS = "text,label\n" + "".join(f"a {WORDS[n % 6]} film {n},{('pos', 'neg')[n % 2] if n % 12 else 'odd'}\n" for n in range(144))
TAGGED = "".join(
    f"Ada B-PER\nlives O\nin O\n{place} B-LOC\n. O\n\n" + f"order {n} O\n\n".replace(" ", " O\n", 1)
    for n, place in enumerate(("Paris", "London", "Berlin", "Warsaw") * 12)
)
SIZES = {16, 32, 65, 130}


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (tmp_path / "tags.conll").write_text(TAGGED, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """A finished forecast of the reviews."""
    root = tmp_path_factory.mktemp("whole")
    (root / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    list(forecast(root / "reviews.csv", out=root / "f", config=read_config(None, settings)))
    return root / "f"


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    return [f"model.base_model={pretrained_folder('bert')}", "train.epochs=1", "train.precision=fp32", "train.learning_rate=0.001"]


@pytest.fixture
def command(settings):
    def run(*words):
        return CliRunner().invoke(app, ["forecast", *words, *(part for setting in settings for part in ("--set", setting))])

    return run


def found(folder):
    return json.loads((folder / "forecast.json").read_text(encoding="utf-8"))


# --- the job


def test_a_forecast_measures_nested_sizes_with_several_seeds_and_keeps_all_of_it(whole):
    files = {"points.jsonl", "forecast.json", "forecast.svg", "run.toml", "data.json", "split.json"}
    assert {path.name for path in whole.iterdir()} == files
    points = [measured.point for measured in read_points(whole)]
    assert sorted((point.seed, point.size) for point in points) == sorted((seed, size) for seed in (1, 2, 3) for size in SIZES)
    assert found(whole)["how"] == "fine-tuned"
    ElementTree.parse(whole / "forecast.svg")


def test_the_largest_size_is_what_train_learns(whole, work, settings):
    """The one path: the score of all records with seed 2 is that of `headway train` with seed 2."""
    run = headway.train(work / "reviews.csv", out=work / "run", settings=toml(work, [*settings, "train.seed=2"]))
    scores = json.loads((run / "scores.json").read_text())
    [point] = [measured.point for measured in read_points(whole) if (measured.point.seed, measured.point.size) == (2, 130)]
    assert point.score == pytest.approx(scores["dev"][scores["main"]["dev"]]["value"], abs=1e-5)


def test_what_is_said_is_kept(work, command):
    result = command("reviews.csv", "--quick", "--out", "f", "--target", "0.9")
    assert result.exit_code == 0, result.output
    assert all(answer in result.output for answer in found(work / "f")["answers"])
    assert found(work / "f")["target"]["score"] == 0.9


def toml(work, settings):
    from headway.settings_text import to_toml

    (work / "settings.toml").write_text(to_toml(read_config(None, settings)), encoding="utf-8")
    return work / "settings.toml"


@pytest.mark.parametrize("stop", ["in the first training", "in a training", "between two"])
def test_a_forecast_that_was_stopped_goes_on_to_the_answers_of_an_unbroken_one(whole, work, settings, stop):
    config = read_config(None, settings)
    job = forecast(work / "reviews.csv", out=work / "f", config=config)
    told, kept = stop == "in the first training", 0 if stop == "in the first training" else 3
    for event in job:
        told += isinstance(event, Said) and event.topic == "65 records"
        if told and isinstance(event, Said if stop == "between two" else Stepped):
            break
    if stop != "between two":
        assert job.throw(KeyboardInterrupt()).text == f"saved. Go on with the same command and --out {work / 'f'}"
        assert len(list((work / "f").glob("learning-*/checkpoints/step-*"))) == 1
    with pytest.raises(KeyboardInterrupt):
        job.throw(KeyboardInterrupt())
    assert len(read_points(work / "f")) == kept
    events = list(forecast(work / "reviews.csv", out=work / "f", config=config))
    assert (Said("kept", "3 of 12 points have been measured before") in events) == (kept == 3)
    assert found(work / "f") == found(whole)


def test_a_point_that_a_crash_has_cut_short_is_measured_again(work, command):
    assert command("reviews.csv", "--quick", "--out", "f").exit_code == 0
    whole = (work / "f/points.jsonl").read_text(encoding="utf-8")
    (work / "f/points.jsonl").write_text(whole[:-50], encoding="utf-8")
    assert command("reviews.csv", "--quick", "--out", "f").exit_code == 0
    assert read_points(work / "f")[-1].point == Point(**json.loads(whole.splitlines()[-1])["point"])
    assert len(read_points(work / "f")) == 12


def test_another_question_about_a_finished_curve_trains_nothing(work, command, monkeypatch):
    command("reviews.csv", "--quick", "--out", "f")
    monkeypatch.setattr(sys.modules["headway.jobs.forecast.measure"], "reading_features", None)
    assert command("reviews.csv", "--quick", "--out", "f", "--more", "77").exit_code == 0
    assert "77" in found(work / "f")["more"]


def test_more_seeds_are_added_to_those_there_are(work, command):
    command("reviews.csv", "--quick", "--out", "f")
    before = read_points(work / "f")
    assert command("reviews.csv", "--quick", "--out", "f", "--set", "forecast.trainings=5").exit_code == 0
    assert read_points(work / "f")[:12] == before
    assert len(read_points(work / "f")) == 20


def test_quick_says_that_it_is_a_lower_bound_and_learns_from_frozen_features(work, command):
    result = command("reviews.csv", "--quick", "--out", "f")
    assert "scores are a lower bound of what fine-tuning gives" in result.output
    assert found(work / "f")["how"] == "frozen"


def test_quick_gives_the_same_for_all_records_whatever_the_seed(work, command):
    command("reviews.csv", "--quick", "--out", "f")
    assert len({measured.point.score for measured in read_points(work / "f") if measured.point.size == 130}) == 1


def test_entities_are_forecast_by_type(work, command):
    result = command("tags.conll", "--out", "f")
    assert result.exit_code == 0, result.output
    assert found(work / "f")["by_label"].keys() <= {"LOC", "PER"}
    assert found(work / "f")["metric"] == "f1"


def test_quick_entities_of_all_records_are_those_of_the_frozen_network_with_a_linear_layer(work, command, settings):
    told = [f"Ada B-PER\nlives O\nin O\n{('Paris', 'London', 'Berlin')[n % 3]} B-LOC\n{n} O\n\n" for n in range(96)]
    (work / "tags.conll").write_text("".join(told), encoding="utf-8")
    assert command("tags.conll", "--quick", "--out", "f").exit_code == 0
    points = [measured.point for measured in read_points(work / "f")]
    largest = max(point.size for point in points)
    assert len({point.size for point in points}) == 4
    assert found(work / "f")["by_label"].keys() == {"LOC", "PER"}
    config = read_config(None, settings)
    corpus = read_corpus(find_files(config, data=work / "tags.conll", dev=None, test=None), config)
    begun = start(corpus, config)
    fit_head(begun.model, begun.train, seed=1)
    task, said = fitted_answers(begun.model, corpus.dev, begun.dev)
    score = task.score(corpus.dev, said).values["f1"]
    assert score > 0
    assert [point.score for point in points if point.size == largest] == 3 * [pytest.approx(score, abs=1e-5)]


def test_quick_tells_how_many_tokens_it_can_hold(work, command, monkeypatch):
    monkeypatch.setattr(sys.modules["headway.jobs.forecast.measure"], "MOST_HELD", 100)
    result = command("tags.conll", "--quick", "--out", "f")
    assert result.exit_code == 3
    assert "DataError: --quick holds what the network says of every token, of 100 at most; there are " in result.stderr
    assert command("reviews.csv", "--quick", "--out", "g").exit_code == 0


def test_each_class_is_told_where_counts_differ(work, settings):
    events = list(forecast(work / "reviews.csv", out=work / "f", config=read_config(None, settings), quick=True))
    tables = {event.title: event.rows for event in events if isinstance(event, Scored)}
    title = next(title for title in tables if title.endswith("of each"))
    assert {name: row["labels"] for name, row in tables[title].items()} == {"neg": 65, "pos": 54, "odd": 11}


def test_python_gives_the_curve(work, settings):
    curve = headway.forecast(work / "reviews.csv", out=work / "f", settings=toml(work, settings), quick=True)
    assert curve.largest == 130
    assert curve.at(200).value >= curve.at(130).value


@pytest.mark.parametrize(
    ("words", "kind", "fault"),
    [
        (["few.csv"], DataError, "few.csv: 40 labelled records to learn from; a learning curve needs at least 64"),
        (
            ["reviews.csv", "--set", "train.seeds=2"],
            ConfigError,
            "train.seeds = 2: a forecast has forecast.trainings of each size; leave train.seeds away",
        ),
        (
            ["reviews.csv", "--set", "split.dev=0"],
            ConfigError,
            "split.dev = 0: a forecast measures on a dev set; give --dev, or leave",
        ),
        (
            ["asked.jsonl", "--quick"],
            ConfigError,
            "--quick: frozen features say nothing of where answers stand, and asked.jsonl is qa; leave --quick away",
        ),
        (["reviews.csv", "--target", "95"], ConfigError, "--target 95: expected a score over 0 and up to 1, such as 0.95"),
        (["reviews.csv", "--out", "full"], OutputError, "full: exists; choose another --out"),
        (["reviews.csv", "--set", "forecast.trainings=1"], ConfigError, "forecast.trainings = 1: must be greater than or equal to 3"),
        (["one.csv"], DataError, 'every record has the label "pos"; at least two classes are needed to learn from'),
    ],
)
def test_mistakes_are_one_line(work, command, words, kind, fault):
    lines = REVIEWS.splitlines()
    (work / "few.csv").write_text("\n".join(lines[:46]), encoding="utf-8")
    (work / "one.csv").write_text("\n".join([lines[0], *(f"film {n},pos" for n in range(99))]), encoding="utf-8")
    answer = {"text": ["Ada"], "answer_start": [0]}
    asked = [{"id": str(n), "question": f"Who {n}?", "context": f"Ada lived in Paris. {n}", "answers": answer} for n in range(99)]
    (work / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    (work / "full").mkdir()
    (work / "full/mine.txt").write_text("mine", encoding="utf-8")
    result = command(*words)
    assert result.exit_code == kind.exit_code
    assert fault in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "f/points.jsonl: holds a curve of frozen models; choose another --out"),
        (["--quick", "--set", "split.seed=2"], "f/data.json: the records are cut in another way"),
        (["--quick", "--set", "train.seed=9"], "f: was started with train.seed = 1, now 9; choose another --out"),
    ],
)
def test_a_folder_of_another_forecast_is_left_alone(work, command, words, fault):
    command("reviews.csv", "--quick", "--out", "f")
    kept = (work / "f/points.jsonl").read_bytes()
    result = command("reviews.csv", "--out", "f", *words)
    assert result.exit_code != 0
    assert fault in " ".join(result.stderr.split())
    assert (work / "f/points.jsonl").read_bytes() == kept


# --- the words


def curve_of(floor, scale, exponent=0.5, noise=0.0):
    generator = np.random.default_rng(1)
    sizes = (500, 1000, 2000, 4000)
    places = [(size, seed) for size in sizes for seed in range(3)]
    return fit_curve(
        [Point(n, seed, 1 - floor - scale * (n / 4000) ** -exponent + noise * generator.standard_normal()) for n, seed in places]
    )


def test_the_gain_comes_with_its_margin_and_its_range():
    curve = curve_of(0.05, 0.1)
    gain = curve.gain(500)
    said = answers(curve, "macro F1", Asked(500, 0.87))[0]
    assert said.startswith(f"500 more: +{gain.value * 100:.1f} ± {gain.margin * 100:.1f} points of macro F1, to .85")
    assert "nothing" not in said


def test_a_gain_that_may_be_none_is_not_promised():
    assert answers(curve_of(0.1, 0.01, noise=0.03), "F1", Asked(500, None))[0].endswith("; it may be nothing")


@pytest.mark.parametrize(
    ("curve", "target", "begins"),
    [
        (curve_of(0.0, 0.1), 0.89, ".890 is reached: .900"),
        (curve_of(0.0, 0.1), 0.92, ".920 needs about 2,"),
        (curve_of(0.2, 0.1), 0.95, ".950 is out of reach: all that such records lead to is about .8"),
        (curve_of(0.0, 0.01, exponent=0.3), 0.995, ".995 is out of reach: it would take over 32 times the 4,000 there are"),
        (curve_of(0.0, 0.09), None, ".950 needs about "),
    ],
)
def test_a_target_is_reached_or_costs_records_or_is_out_of_reach(curve, target, begins):
    said = answers(curve, "F1", Asked(500, target))[1]
    assert said.startswith(begins)


def test_all_targets_reached_leaves_nothing_to_say():
    assert len(answers(curve_of(0.0, 0.001), "F1", Asked(500, None))) == 1


def test_doubts_are_raised_only_where_there_are_any():
    assert list(doubts(curve_of(0.05, 0.1), dev=500)) == []
    flat = fit_curve([Point(n, seed, 0.9 - n / 1e5) for n in (500, 1000, 2000, 4000) for seed in range(3)])
    assert len(list(doubts(flat, dev=37))) == 2


@pytest.mark.parametrize(
    ("count", "near"), [(0, 1), (1, 1), (130 / 4, 50), (1200, 1000), (1500, 2000), (6920 / 4, 2000), (80_000, 100_000)]
)
def test_round_numbers_are_1_2_or_5_times_a_power_of_ten(count, near):
    assert round_number(count) == near


def label_points(rare=(5, 10, 20, 40), common=(50, 100, 200, 400)):
    def score(n):
        return 1 - 0.05 - 0.9 * n**-0.5

    return [{"rare": Point(r, s, score(r)), "common": Point(c, s, score(c))} for r, c in zip(rare, common, strict=True) for s in range(3)]


def test_the_rare_class_is_wanted_most():
    labels = by_label(label_points(), more=100)
    assert list(labels) == ["rare", "common"]
    assert counts_differ(labels)
    assert wanted_most(labels, "F1").startswith('"rare": 50 more of it bring its F1 +')
    assert wanted_most(labels, "F1").endswith("if that follows the number of its own labels (40 now)")


def test_a_class_of_too_few_sizes_has_no_gain():
    labels = by_label(label_points(rare=(1, 1, 2, 2)), more=100)
    assert labels["rare"].gain is None
    assert math.isfinite(labels["common"].gain.value)


def test_even_counts_are_no_reason_to_choose():
    assert not counts_differ(by_label(label_points(rare=(50, 100, 200, 380)), more=100))
