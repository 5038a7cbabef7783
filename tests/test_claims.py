"""headway compare --claims from end to end with a tiny network, and what it says in words."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import headway
from headway import model
from headway.cli import app
from headway.config import read_config
from headway.errors import ConfigError, DataError
from headway.events import Estimate, Evaluated, Said, Stepped
from headway.jobs.claims import compare_claims
from headway.jobs.claims.measure import FITTED, RATES, SHARES, Lesson, Trained, Watch, best_factor, read_points
from headway.jobs.claims.words import Claims, find_claims, sentences
from headway.jobs.corpus import Files, read_corpus
from headway.jobs.learning import FITTING
from headway.jobs.start import start

WORDS = ("good", "terrible", "bad", "fine", "wonderful", "late")
REVIEWS = "text,label\n" + "".join(f"a {WORDS[n % 6]} film {n},{('pos', 'neg')[n % 2]}\n" for n in range(160))
MADE = len(SHARES) + len(RATES) + len(SHARES) - 1  # fine-tuned; from scratch on all; from scratch on the others


@pytest.fixture(scope="module")
def settings(pretrained_folder):
    return [f"model.base_model={pretrained_folder('bert')}", "train.epochs=1", "train.precision=fp32", "train.learning_rate=0.001"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("claims")
    (root / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def whole(settings, root):
    """All trainings of the reviews, undisturbed."""
    list(compare_claims(root / "reviews.csv", out=root / "whole", config=read_config(None, settings)))
    return root / "whole"


def without_time(points):
    """Scores do not depend on how long a training took."""
    return [replace(point, seconds=0.0, curve=tuple(score for _, score in point.curve)) for point in points]


def test_claims_are_measured_on_nested_shares_fine_tuned_and_from_scratch(whole):
    assert {path.name for path in whole.iterdir()} == {"points.jsonl", "claims.json", "claims.svg", "run.toml", "data.json", "split.json"}
    points = read_points(whole)
    tried = [(point.how, point.share, point.factor) for point in points]
    best = best_factor(points)
    wanted = [("fine-tuned", share, 1) for share in SHARES] + [("from scratch", 1, factor) for factor in RATES]
    assert set(tried) >= {*wanted, *(("from scratch", share, best) for share in SHARES[:-1])}
    assert len(tried) == len(set(tried)) >= MADE
    ElementTree.parse(whole / "claims.svg")


def test_fewer_and_fewer_labels_are_tried_as_long_as_they_are_enough(whole):
    points = read_points(whole)
    scratch = next(
        point.score for point in points if point.how == "from scratch" and (point.share, point.factor) == (1, best_factor(points))
    )
    scores = {point.share: point.score for point in points if point.how == "fine-tuned"}
    *others, smallest = sorted(scores, reverse=True)
    assert all(scores[share] >= scratch for share in others if share <= SHARES[0])
    assert scores[smallest] < scratch or 144 * smallest / 2 < 32


def test_from_scratch_gets_three_times_the_epochs_and_the_rate_that_is_best(whole):
    points = read_points(whole)
    for share in SHARES:
        tuned, *scratch = (point for point in points if point.share == share)
        assert all(point.epochs == 3 * tuned.epochs for point in scratch)
        assert all(point.learning_rate == point.factor * tuned.learning_rate for point in scratch)


def test_fine_tuning_all_labels_is_what_train_does(whole, root, settings, tmp_path):
    """Evaluated as often, and to the end."""
    config = read_config(None, [*settings, "train.evaluations=4", "train.patience=0"])
    events = list(headway_train(root / "reviews.csv", tmp_path / "run", config))
    scores = json.loads((tmp_path / "run/scores.json").read_text())["dev"]["accuracy"]
    point = read_points(whole)[0]
    assert (point.score, point.low, point.high) == pytest.approx((scores["value"], scores["low"], scores["high"]))
    assert [score for _, score in point.curve] == [event.value for event in events if isinstance(event, Evaluated)]


def headway_train(data, out, config):
    from headway.jobs.train import train

    return train(data, out=out, config=config)


def test_random_weights_are_those_of_the_architecture_and_depend_on_the_seed_alone(root, settings):
    def weights(*more):
        config = read_config(None, [*settings, *more])
        corpus = read_corpus(Files(root / "reviews.csv", None, None), config)
        return start(corpus, config).model.encoder.network.state_dict()

    pretrained, first, again, other = (
        weights(*more) for more in ((), ("model.weights=random",), ("model.weights=random",), ("model.weights=random", "train.seed=2"))
    )
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert {key: tensor.shape for key, tensor in first.items()} == {key: tensor.shape for key, tensor in pretrained.items()}
    assert all(tensor.equal(again[key]) for key, tensor in first.items())
    assert not first[name].equal(pretrained[name])
    assert not first[name].equal(other[name])


def test_a_run_from_scratch_is_trained_saved_and_said(root, settings, tmp_path):
    config = read_config(None, [*settings, "model.weights=random", "model.pooling=mean"])
    events = list(headway_train(root / "reviews.csv", tmp_path / "run", config))
    assert any("random weights" in event.text for event in events if isinstance(event, Said) and event.topic == "base model")
    assert read_config(tmp_path / "run/run.toml").model.head == "random"
    assert model.load(tmp_path / "run").predict(["a good film"])[0].label in ("pos", "neg")


def test_the_seconds_of_fitting_the_new_layer_are_counted(tmp_path):
    watch = Watch(tmp_path)
    events = [Said(FITTING, "started from a fit"), Stepped(1, 2, 0.5, 1.0, 0.5, 1e-4, 100.0, 1.0), Evaluated(1, "f1", 0.5, best=True)]
    assert [passed for event in events for passed in watch.see(event)] == events[1:]
    assert json.loads((tmp_path / FITTED).read_text())["seconds"] > 0
    assert watch.fitting is None


def test_claims_that_were_stopped_in_their_first_training_go_on(root, settings, tmp_path):
    config = read_config(None, settings)
    job = compare_claims(root / "reviews.csv", out=tmp_path / "c", config=config)
    next(event for event in job if isinstance(event, Stepped))
    job.throw(KeyboardInterrupt())
    job.close()
    first = next(event for event in compare_claims(root / "reviews.csv", out=tmp_path / "c", config=config) if isinstance(event, Stepped))
    assert first.step == 2


@pytest.mark.parametrize("stop", ["in a training", "between two"])
def test_claims_that_were_stopped_go_on_to_those_of_unbroken_ones(whole, root, settings, tmp_path, stop):
    config = read_config(None, settings)
    job = compare_claims(root / "reviews.csv", out=tmp_path / "c", config=config)
    made = 0
    for event in job:
        made += isinstance(event, Said) and event.topic.endswith(" labels")
        if made == 5 and isinstance(event, Stepped if stop == "in a training" else Said) and (stop != "in a training" or event.step == 7):
            break
    if stop == "in a training":
        assert job.throw(KeyboardInterrupt()).text == f"saved. Go on with the same command and --out {tmp_path / 'c'}"
    job.close()
    assert len(read_points(tmp_path / "c")) == 5
    events = list(compare_claims(root / "reviews.csv", out=tmp_path / "c", config=config))
    assert Said("kept", "5 trainings have been made before") in events
    assert without_time(read_points(tmp_path / "c")) == without_time(read_points(whole))


def test_several_seeds_are_averaged(whole, root, settings, tmp_path):
    list(compare_claims(root / "reviews.csv", out=tmp_path / "c", config=read_config(None, [*settings, "train.seeds=2"])))
    points = read_points(tmp_path / "c")
    assert without_time(points[:MADE]) == without_time(read_points(whole)[:MADE])
    scores = [point.score for point in points if (point.how, point.share) == ("fine-tuned", 1)]
    assert len(scores) == 2
    assert find_claims(points).fine_tuned[144].value == pytest.approx(sum(scores) / 2)


def test_the_command_says_what_python_gives(whole, root, settings):
    words = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["compare", "--claims", str(root / "reviews.csv"), "--out", str(whole), *words])
    assert result.exit_code == 0, result.output
    kept = json.loads((whole / "claims.json").read_text())
    assert all(answer in result.output for answer in kept["answers"])
    (root / "settings.toml").write_text(_toml(settings), encoding="utf-8")
    claims = headway.claims(root / "reviews.csv", out=whole, settings=root / "settings.toml")
    assert list(sentences(claims)) == kept["answers"]
    assert claims.labels_needed == kept["labels_needed"]


def _toml(settings):
    from headway.settings_text import to_toml

    return to_toml(read_config(None, settings))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["compare"], "nothing to compare: name two runs or more"),
        (["compare", "runs/a", "--claims", "a.csv"], "--claims a.csv learns by itself; leave runs/a away"),
        (["compare", "runs/a", "runs/b", "--dev", "a.csv"], "--dev goes with --claims; finished runs are compared as they are"),
        (["compare", "runs/a", "runs/b", "--set", "train.seed=2"], "--set goes with --claims; finished runs are compared as they are"),
    ],
)
def test_what_does_not_go_together_is_refused(words, told):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("setting", "kind", "told"),
    [
        ("split.dev=0", ConfigError, "split.dev = 0: claims are measured on a dev set; give --dev, or leave split.dev away"),
        (
            "model.weights=random",
            ConfigError,
            'model.weights = "random": both are compared here, pretrained and random weights; leave it away',
        ),
        ("split.dev=0.9", DataError, "16 labelled records to learn from; a curve over labels needs at least 64"),
    ],
)
def test_what_cannot_be_compared_is_refused(root, settings, setting, kind, told):
    with pytest.raises(kind) as error:
        list(compare_claims(root / "reviews.csv", config=read_config(None, [*settings, setting])))
    assert told in str(error.value)


# --- the words


def trained(how, share, score, *, factor=1, curve=((1.0, 0.5),), seed=1):
    return Trained(how, share, int(800 * share), seed, factor, 1e-4, 3.0, "accuracy", score, score - 0.1, score + 0.1, 9.0, curve)


POINTS = [
    trained("fine-tuned", 1, 0.9, curve=((2.0, 0.7), (4.0, 0.85), (8.0, 0.9))),
    trained("fine-tuned", 0.5, 0.8),
    trained("fine-tuned", 0.25, 0.75),
    trained("fine-tuned", 0.125, 0.6),
    trained("from scratch", 1, 0.5, curve=((30.0, 0.5),)),
    trained("from scratch", 1, 0.75, factor=3, curve=((28.0, 0.6), (56.0, 0.75), (60.0, 0.7))),
    trained("from scratch", 0.5, 0.6, factor=3),
]


def test_labels_and_seconds_are_those_that_the_score_from_scratch_takes():
    claims = find_claims(POINTS)
    assert (claims.labels_needed, claims.seconds_needed, claims.seconds_from_scratch) == (200, 4.0, 56.0)
    assert list(sentences(claims)) == [
        "fine-tuning on all 800 labels: accuracy .900, from scratch .750 (+.150)",
        "fine-tuning reaches the from-scratch score of all 800 labels with 200 (1/4)",
        "and on all of them in 4.0 s of training instead of 56 s (1/14 of the time)",
    ]


def test_a_claim_that_does_not_hold_is_not_made():
    worse = [replace(point, score=0.4, curve=((2.0, 0.4),)) if point.how == "fine-tuned" else point for point in POINTS]
    first, second, third = sentences(find_claims(worse))
    assert first.endswith("accuracy .400, from scratch .750 (-.350)")
    assert second == "no number of labels gives by fine-tuning what they all give from scratch"
    assert third == "fine-tuning never reaches that score in training on them all"


def test_the_fewest_that_were_measured_may_be_more_than_are_needed():
    claims = Claims("f1", 800, {100: Estimate(0.8, 0.7, 0.9), 800: Estimate(0.9, 0.8, 1.0)}, {800: Estimate(0.7, 0.6, 0.8)}, 100, 50.0, 2.0)
    assert "with 100 (1/8, the fewest measured)" in list(sentences(claims))[1]


def test_subsets_are_halves_of_halves_down_to_the_fewest_labels(root, settings, tmp_path):
    config = read_config(None, settings)
    corpus = read_corpus(Files(root / "reviews.csv", None, None), config)
    lesson = Lesson(None, replace(corpus, train=corpus.train * 8), config, tmp_path)
    assert lesson.shares() == (1 / 32, 1 / 16, 0.125, 0.25, 0.5, 1)
