"""Comparing runs on the same examples: the tests by their references, the command by what it says."""

import json
import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from headway.cli import app
from headway.jobs.answers import answer
from headway.jobs.compare import setting_changes
from headway.jobs.scored import SCORERS, Run, kind_of, read_run, score
from headway.metrics import differences, holm, mcnemar, score_classes, score_label_sets, score_numbers, score_spans, units
from headway.records import Prediction, Record, Span

promise = settings(max_examples=40)


def classes(count: int, *, right: float, seed: int, groups: int = 0):
    """Reviews of two classes, of which a share is called right; the same seed asks the same."""
    generator = random.Random(seed)
    records, predictions = [], []
    for number in range(count):
        label = random.Random(number).choice(["neg", "pos"])
        said = label if generator.random() < right else {"neg": "pos", "pos": "neg"}[label]
        probabilities = {"neg": 0.25, "pos": 0.75} if said == "pos" else {"neg": 0.75, "pos": 0.25}
        group = f"author {number % groups}" if groups else ""
        records.append(Record(f"review {number}", label=label, id=str(number), group=group))
        predictions.append(Prediction(label=said, confidence=0.75, scores=probabilities))
    return records, predictions


def write(folder, records, predictions, *, part: str | None = "test", settings: str = "", data: dict | None = None):
    """A run folder, as far as it is compared."""
    folder.mkdir()
    rows = [({"part": part} if part else {}) | answer(*pair, gold=True) for pair in zip(records, predictions, strict=True)]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    if settings:
        (folder / "run.toml").write_text(settings, encoding="utf-8")
        (folder / "data.json").write_text(json.dumps(data or {"files": {}, "records": {}}), encoding="utf-8")
    return folder


def command(*words):
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def doubled(first: list[str], second: list[str], gold: list[str]):
    return score_classes([*gold, *gold], [*first, *second])


# --- the tests


@promise
@given(rows=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_first_against_the_second_is_the_second_against_the_first_turned_round(rows):
    gold = ["a" for _ in rows]
    first, second = (["a" if row[side] else "b" for row in rows] for side in (0, 1))
    there = differences(doubled(first, second, gold), np.arange(len(rows)), replicates=50, exchanges=50)
    back = differences(doubled(second, first, gold), np.arange(len(rows)), replicates=50, exchanges=50)
    for key, difference in there.items():
        assert (difference.value, difference.low, difference.high) == pytest.approx((-back[key].value, -back[key].high, -back[key].low))
        assert difference.p == back[key].p


@pytest.mark.parametrize(("won", "lost"), [(8, 1), (12, 5), (30, 28), (3, 0)])
def test_randomisation_gives_what_mcnemar_gives(won, lost):
    right_first = [False] * won + [True] * lost + [True] * 20
    right_second = [True] * won + [False] * lost + [True] * 20
    first, second = (["a" if right else "b" for right in side] for side in (right_first, right_second))
    found = differences(doubled(first, second, ["a"] * len(first)), np.arange(len(first)), exchanges=20_000)[None, "accuracy"]
    assert found.p == pytest.approx(mcnemar(np.array(right_first), np.array(right_second)), abs=0.015)


def test_randomisation_gives_what_all_exchanges_give():
    generator = random.Random(5)
    gold = [generator.gauss(0, 1) for _ in range(10)]
    first, second = ([value + generator.gauss(0, spread) for value in gold] for spread in (0.5, 1.5))
    once = score_numbers(gold, second).values["spearman"] - score_numbers(gold, first).values["spearman"]
    sizes = []
    for swaps in product([False, True], repeat=10):
        sides = zip(*((b, a) if swap else (a, b) for a, b, swap in zip(first, second, swaps, strict=True)), strict=True)
        of_first, of_second = (score_numbers(gold, list(side)).values["spearman"] for side in sides)
        sizes.append(abs(of_second - of_first) >= abs(once) - 1e-12)
    both = score_numbers([*gold, *gold], [*first, *second])
    found = differences(both, np.arange(10), exchanges=20_000)[None, "spearman"]
    assert (found.value, found.p) == (pytest.approx(once), pytest.approx(np.mean(sizes), abs=0.015))


def test_equal_models_do_not_differ_and_never_differing_was_not_shown():
    gold = ["a"] * 50 + ["b"] * 50
    found = differences(doubled(gold, gold, gold), np.arange(100))[None, "accuracy"]
    assert (found.value, found.p) == (0.0, 1.0)
    assert -0.03 < found.low < -0.01
    assert 0.01 < found.high < 0.03


def test_answers_of_one_document_are_one_piece_of_evidence():
    gold, first, second = ["a"] * 60, ["b"] * 12 + ["a"] * 48, ["a"] * 60
    both = doubled(first, second, gold)
    alone = differences(both, np.arange(60))[None, "accuracy"]
    grouped = differences(both, units([f"document {n // 12}" for n in range(60)]))[None, "accuracy"]
    assert (alone.p < 0.01, grouped.p) == (True, 1.0)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_equally_good_models_are_seldom_called_different():
    generator = np.random.default_rng(3)
    found = []
    for _ in range(200):
        gold = generator.choice(["a", "b", "c"], p=[0.7, 0.2, 0.1], size=80)
        first, second = (np.where(generator.random(80) < 0.8, gold, generator.choice(["a", "b", "c"], size=80)) for _ in range(2))
        both = doubled(first.tolist(), second.tolist(), gold.tolist())
        found.append(differences(both, np.arange(80), replicates=200, exchanges=200)[None, "macro_f1"])
    assert np.mean([difference.p < 0.05 for difference in found]) <= 0.09
    assert 0.91 <= np.mean([difference.low <= 0 <= difference.high for difference in found]) <= 0.99


@pytest.mark.parametrize(("given", "adjusted"), [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5], [0.5]), ([0.6, 0.7], [1.0, 1.0])])
def test_several_comparisons_are_held_to_more(given, adjusted):
    assert holm(given) == pytest.approx(adjusted)


# --- predictions, read back


def spans(generator: random.Random, confidence: float | None) -> tuple[Span, ...]:
    return tuple(Span(start, start + 3, generator.choice("ab"), confidence) for start in (0, 4, 8) if generator.random() < 0.6)


def scored(kind: str, count: int, seed: int):
    generator = random.Random(seed)
    text = "abc def ghi"
    if kind == "class":
        return classes(count, right=0.8, seed=seed)
    if kind == "labels":
        having = [tuple(label for label in "ab" if generator.random() < 0.5) for _ in range(count)]
        said = [{label: round(generator.random(), 3) for label in "ab"} for _ in range(count)]
        answers = [Prediction(label=tuple(label for label, p in of.items() if p > 0.5), scores=of) for of in said]
        return [Record(text, label=labels) for labels in having], answers
    if kind == "number":
        numbers = [generator.gauss(0, 1) for _ in range(count)]
        return [Record(text, label=n) for n in numbers], [Prediction(label=n + generator.gauss(0, 1)) for n in numbers]
    if kind == "entities":
        return [Record(text, entities=spans(generator, None)) for _ in range(count)], [
            Prediction(entities=spans(generator, 0.5)) for _ in range(count)
        ]
    records = [Record(text, question="what", answers=spans(generator, None)[:1]) for _ in range(count)]
    return records, [Prediction(answer=generator.choice(["abc", "", "def"]), confidence=0.5) for _ in range(count)]


TASKS = {
    "labels": lambda r, p: score_label_sets([x.label for x in r], [x.label for x in p]),
    "number": lambda r, p: score_numbers([x.label for x in r], [x.label for x in p]),
    "entities": lambda r, p: score_spans([x.entities for x in r], [x.entities for x in p]),
}


@pytest.mark.parametrize("kind", SCORERS)
def test_predictions_on_disk_score_as_they_did(tmp_path, kind):
    records, predictions = scored(kind, 40, 1)
    run = read_run(write(tmp_path / "run", records, predictions))
    [(part, examples)] = run.parts.items()
    assert (part, {kind_of(example) for example in examples}) == ("test", {kind})
    if kind in TASKS:
        assert score(examples).values.items() >= TASKS[kind](records, predictions).values.items()


@pytest.mark.parametrize("kind", SCORERS)
def test_runs_of_every_task_are_compared(tmp_path, kind):
    records, first = scored(kind, 40, 1)
    _, second = scored(kind, 40, 2)
    if kind == "class":
        records, second = records, classes(40, right=0.8, seed=9)[1]
    result = command(write(tmp_path / "a", records, first), write(tmp_path / "b", records, second), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out/compare.json").read_text())
    [other] = found["others"]
    assert other["differences"].keys() == found["scores"].keys() - {"absent_labels", "ece"}
    for metric, difference in other["differences"].items():
        assert difference["value"] == pytest.approx(other["scores"][metric]["value"] - found["scores"][metric]["value"]), metric
        assert difference["low"] <= difference["value"] <= difference["high"]


def nothing_found(folder, *predicted: Span):
    """Of texts without entities: without a predicted one too, there is nothing to have an F1 of."""
    records = [Record(f"it is {n}", entities=()) for n in range(6)]
    return write(folder, records, [Prediction(entities=predicted)] * 6)


def test_a_score_that_one_run_can_have_none_of_is_not_compared(tmp_path):
    first, second = nothing_found(tmp_path / "first"), nothing_found(tmp_path / "second", Span(0, 2, "A", 0.9))
    lacking = {(first, second): "first has none", (second, first): "first has none", (first, first): "neither run has one"}
    for folders, says in lacking.items():
        result = command(*folders, "--out", out := tmp_path / f"out{len(list(tmp_path.iterdir()))}")
        assert result.exit_code == 0, result.output
        assert f"nothing to compare in F1: {says} on these 6 examples\n" in result.output
        [other] = json.loads((out / "compare.json").read_text())["others"]
        assert (other["p_adjusted"], "f1" in other["differences"]) == (None, False)


def test_what_cannot_be_compared_makes_the_others_no_less_sure(tmp_path):
    runs = [nothing_found(tmp_path / "a", Span(0, 2, "A")), nothing_found(tmp_path / "b"), nothing_found(tmp_path / "c", Span(3, 5, "A"))]
    command(*runs, "--out", tmp_path / "three")
    command(runs[0], runs[2], "--out", tmp_path / "two")
    three, two = (json.loads((tmp_path / name / "compare.json").read_text())["others"] for name in ("three", "two"))
    assert [other["p_adjusted"] for other in three] == [None, two[0]["p_adjusted"]]


# --- the command


@pytest.fixture
def two(tmp_path):
    """A run, and one that is better on other settings and data."""
    data = {"files": {"train": {"sha256": "1"}, "test": {"sha256": "3"}}, "records": {"train": 500, "test": 300}}
    newer = {"files": {"train": {"sha256": "2"}, "test": {"sha256": "3"}}, "records": {"train": 439, "test": 300}}
    one = '[train]\nlearning_rate = 5e-5\nseed = 1\n[data]\ntrain = "/a.csv"\n'
    other = '[train]\nlearning_rate = 8e-5\nseed = 1\n[data]\ntrain = "/b.csv"\n'
    write(tmp_path / "reviews", *classes(300, right=0.75, seed=1), settings=one, data=data)
    write(tmp_path / "reviews-2", *classes(300, right=0.95, seed=2), settings=other, data=newer)
    return tmp_path / "reviews", tmp_path / "reviews-2"


def test_compare_says_who_is_better_by_how_much_and_what_was_different(two):
    result = command(*two)
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    assert result.exit_code == 0, result.output
    assert [line[0] for line in lines[:4]] == ["test", "reviews", "reviews-2", "difference"]
    assert lines[0][1:] == ["accuracy", "macro", "F1", "MCC"]
    assert lines[3][1].startswith("+.")
    assert "p < .001: better in accuracy on 300 examples\n" in result.output
    assert "settings        train.learning_rate 5e-05 -> 8e-05\n" in result.output
    assert "data            train has 500 -> 439 records\n" in result.output
    assert 'won             "review' in result.output
    assert "neg -> pos · right is pos" in result.output


def test_settings_are_told_as_somebody_would_write_them():
    before, now = (Run("", Path(), {}, {"train": {"learning_rate": rate, "epochs": 2.0}}, {}) for rate in (1e-4, 1e-4 * 1.5))
    assert setting_changes(before, now) == ["train.learning_rate 0.0001 -> 0.00015"]


def test_won_and_lost_examples_are_those_that_only_one_answers_right(two, tmp_path):
    command(*two, "--out", tmp_path / "out")
    [other] = json.loads((tmp_path / "out/compare.json").read_text())["others"]
    (records, first), (_, second) = classes(300, right=0.75, seed=1), classes(300, right=0.95, seed=2)
    rows = list(zip(records, first, second, strict=True))
    assert other["won"] == [{"id": r.id} for r, a, b in rows if b.label == r.label != a.label]
    assert other["lost"] == [{"id": r.id} for r, a, b in rows if a.label == r.label != b.label]


def test_a_run_is_no_better_than_itself(two):
    result = command(two[0], two[0])
    assert "p = 1.000: no difference in accuracy is shown on 300 examples" in result.output
    assert "won 0, lost 0 · the other 300 alike" in result.output


def test_the_order_of_the_examples_does_not_matter(tmp_path, two):
    records, predictions = classes(300, right=0.95, seed=2)
    turned = write(tmp_path / "turned", records[::-1], predictions[::-1], part=None)
    [other, _] = [json_of(tmp_path, number, two[0], folder) for number, folder in enumerate((two[1], turned))]
    assert json_of(tmp_path, 2, two[0], turned)["others"][0]["differences"] == other["others"][0]["differences"]


def json_of(tmp_path, number: int, *folders) -> dict:
    assert command(*folders, "--out", tmp_path / f"out{number}").exit_code == 0
    return json.loads((tmp_path / f"out{number}/compare.json").read_text())


def test_three_runs_are_held_against_the_first(tmp_path, two):
    third = write(tmp_path / "third", *classes(300, right=0.76, seed=3))
    result = command(*two, third)
    assert result.exit_code == 0, result.output
    assert "reviews-2: difference" in result.output
    assert "third: difference" in result.output


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path, two):
    (tmp_path / "x").mkdir()
    same = write(tmp_path / "x/reviews", *classes(300, right=0.9, seed=4))
    assert str(same) in command(two[0], same).output


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda r, p: (r[:200], p[:200]), "but on 200 examples, 200 of them the same"),
        (lambda r, p: ([*r[1:], Record("review 0", label="new", id="0")], [*p[1:], p[0]]), "but on 300 examples, 299 of them the same"),
    ],
)
def test_runs_on_other_examples_are_not_compared(tmp_path, two, change, found):
    other = write(tmp_path / "other", *change(*classes(300, right=0.9, seed=4)))
    result = command(two[0], other)
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert (
        f"{other}: was not scored on the 300 test examples of {two[0]}, {found}; score both on one file: headway evaluate" in result.stderr
    )


def test_one_run_is_nothing_to_compare(two):
    result = command(two[0])
    assert (result.exit_code, "name two runs or more" in result.stderr) == (2, True)


def test_a_mistyped_run_names_the_nearest(two):
    result = command(two[0], two[1].with_name("reveiws-2"))
    assert (result.exit_code, 'no such folder; did you mean "reviews-2"?' in result.stderr) == (3, True)


def test_a_folder_without_predictions_says_what_was_expected(tmp_path, two):
    (tmp_path / "empty").mkdir()
    assert "holds no predictions.jsonl; expected a finished run, or headway evaluate --out" in command(two[0], tmp_path / "empty").stderr


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"text": "a", "gold": {}, "entities": [{}]}', "\x00"])
def test_a_broken_line_is_named(tmp_path, two, line):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "predictions.jsonl").write_text(f"{line}\n", encoding="utf-8")
    result = command(two[0], broken)
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert f"{broken / 'predictions.jsonl'}:1: not a scored prediction" in result.stderr


@pytest.mark.parametrize(("name", "text"), [("run.toml", "= ="), ("data.json", "{"), ("evaluated.json", "[]")])
def test_a_broken_file_of_a_run_is_named(two, name, text):
    (two[1] / name).write_text(text, encoding="utf-8")
    result = command(*two)
    kind = name.rpartition(".")[2].upper()
    says = f"DataError: {two[1] / name}: not the {kind} that was written there; the file has been damaged\n"
    assert (result.exit_code, result.stderr) == (3, says)


def test_results_are_never_written_over(tmp_path, two):
    command(*two, "--out", tmp_path / "out")
    assert command(*two, "--out", tmp_path / "out").exit_code == 5
