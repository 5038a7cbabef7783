"""What a report says is to be done next: each piece of advice is provoked, and not given where there is no cause."""

import dataclasses
import json

import pytest
from conftest import scored_run

from headway.jobs.failures import BELOW
from headway.jobs.report.advice import ALL_ALIKE, advise
from headway.jobs.report.evidence import gather
from headway.jobs.report.verdicts import judge
from headway.jobs.scored import Example
from headway.records import Prediction, Record, Span

CLASSES = "abcd"


def example(number: int, gold: str, said: str, sure: float = 0.97) -> Example:
    return Example(Record(f"text {number}", label=gold), Prediction(label=said, confidence=sure, scores={said: sure}))


def classes(count: int = 1600, wrong: int = 40) -> list[Example]:
    """So many that scores are sure; errors of all kinds alike, and as many as the model's confidence says."""
    turned = {number: CLASSES[(number + 1 + number // 4 % 3) % 4] for number in range(wrong)}
    return [example(n, CLASSES[n % 4], turned.get(n, CLASSES[n % 4])) for n in range(count)]


def entities(gold: tuple[Span, ...], said: tuple[Span, ...]) -> list[Example]:
    return [Example(Record("Ada in Paris", entities=gold), Prediction(entities=said))] * 20


def answers(gold: str, said: str) -> list[Example]:
    text = "Ada in Paris"
    spans = {part: Span(text.index(part), text.index(part) + len(part)) for part in (gold, said) if part}
    record = Record(text, question="who?", answers=tuple(filter(None, [spans.get(gold)])))
    return [Example(record, Prediction(answer=said, span=spans.get(said), confidence=0.5))] * 20


@pytest.fixture
def advice_on(tmp_path):
    """What is said of a run that answered so, with what its files say otherwise than usual."""

    def give(examples, *, part="test", scores=None, evaluations=None, settings=None, **data):
        folder = scored_run(tmp_path / "run", examples, part=part, data=data)
        if scores is not None:
            kept = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
            (folder / "scores.json").write_text(json.dumps(kept | scores), encoding="utf-8")
        if evaluations is not None:
            lines = ({"step": n, "metric": "accuracy", "value": value, "best": best} for n, (value, best) in enumerate(evaluations, 1))
            (folder / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        evidence = gather(folder)
        for name, values in (settings or {}).items():
            evidence = dataclasses.replace(evidence, settings=evidence.settings | {name: evidence.settings[name] | values})
        return advise(evidence, judge(evidence.examples))

    return give


def found_by(advice) -> str:
    return "\n".join(one.found for one in advice)


def test_of_a_good_run_there_is_nothing_to_say(advice_on):
    assert advice_on(classes()) == []


def test_failures_are_said_first(advice_on):
    advice = advice_on(classes(40, 30), scores={"failures": {"too long": "texts are cut"}})
    assert advice[0].found == "Too long: texts are cut."


@pytest.mark.parametrize(("reached", "told"), [(0.99, True), (0.5, False)])
def test_a_baseline_that_is_as_good_is_recommended(advice_on, reached, told):
    beside = {"baselines": {"test": {"TF-IDF + logistic": {"accuracy": reached}}}}
    said = found_by(advice_on(classes(), scores=beside))
    assert ("“TF-IDF + logistic” reaches .990 accuracy, this model .975." in said) == told


def test_a_failure_that_says_the_same_of_a_baseline_is_not_said_twice(advice_on):
    scores = {"baselines": {"test": {"majority class": {"accuracy": 0.99}}}, "failures": {BELOW: "it is"}}
    assert "majority class" not in found_by(advice_on(classes(), scores=scores))


@pytest.mark.parametrize(("others", "more"), [(0, ""), (1, " There is one more such finding."), (2, " There are 2 more such findings.")])
def test_the_gravest_finding_of_the_data_leads_to_its_audit(advice_on, others, more):
    finding = {"severity": "warning", "says": "3 texts are empty", "remedy": "take them out"}
    files = {"train": {"path": "my data.csv"}, "test": {"path": "test.csv"}}
    [advice] = advice_on(classes(), audit=[finding] * (1 + others), files=files)
    assert advice == ("In the data, 3 texts are empty.", f"Take them out.{more}", "headway audit 'my data.csv' --test test.csv")


def test_notes_on_the_data_are_no_advice(advice_on):
    assert advice_on(classes(), audit=[{"severity": "note", "says": "3 texts repeat", "remedy": ""}]) == []


@pytest.mark.parametrize(
    ("examples", "found"),
    [
        ([*classes(), *(example(n, "a", "b") for n in range(20))], "errors are of one kind: “a” is called “b”."),
        (entities((Span(0, 3, "PER"),), ()), "20 of 20 errors are of one kind: “PER” is not found."),
        (entities((), (Span(0, 3, "PER"),)), "20 of 20 errors are of one kind: “PER” where nothing is labelled."),
        (entities((Span(0, 3, "PER"),), (Span(0, 6, "PER"),)), "“PER” begins or ends elsewhere."),
        (answers("Ada", ""), "20 of 20 errors are of one kind: none is given where there is an answer."),
        (answers("", "Ada"), "20 of 20 errors are of one kind: an answer is given where there is none."),
        (answers("Ada", "Paris"), "20 of 20 errors are of one kind: another answer is given than the labelled one."),
    ],
)
def test_the_commonest_error_is_named(advice_on, examples, found):
    assert found in found_by(advice_on(examples))


@pytest.mark.parametrize(("failures", "told"), [({}, True), ({ALL_ALIKE: "it says a"}, False)])
def test_where_the_same_is_said_of_everything_no_error_is_named(advice_on, failures, told):
    examples = [example(n, CLASSES[n % 4], "a") for n in range(400)]
    assert ("of one kind" in found_by(advice_on(examples, scores={"failures": failures}))) == told


def test_a_class_far_below_the_mean_is_named_with_what_it_was_learned_from(advice_on):
    examples = [*classes(1600, 0), *(example(n, "a", CLASSES[n % 3 + 1]) for n in range(300))]
    said = found_by(advice_on(examples, balance={"train": {"a": 12}}, files={"train": {"path": "t.csv"}}))
    assert "“a” is weakest: its F1 is .727 after 12 in training, where the mean is .848." in said


def test_labels_in_doubt_are_counted(advice_on):
    examples = [*classes(1600, 0), *(example(n, "a", "b", 0.99) for n in range(3)), *(example(n, "a", "b", 0.5) for n in range(4))]
    assert "Of 7 errors on test, 3 may be the label’s" in found_by(advice_on(examples))


@pytest.mark.parametrize(
    ("evaluations", "told"),
    [([(0.5, True), (0.6, True)], True), ([(0.6, True), (0.6, True)], False), ([(0.6, True), (0.5, False)], False), ([(0.6, True)], False)],
)
def test_where_dev_was_best_at_the_end_it_may_not_have_been_the_end(advice_on, tmp_path, evaluations, told):
    advice = advice_on(classes(), evaluations=evaluations, settings={"train": {"epochs": 3.0}})
    command = f"headway train --config {tmp_path}/run/run.toml --set train.epochs=6"
    assert [one.command for one in advice] == ([command] if told else [])


@pytest.mark.parametrize(("count", "found"), [(200, "Accuracy is known to 5 points either way, from 200 examples."), (650, ""), (1600, "")])
def test_how_many_examples_would_tell_more(advice_on, count, found):
    """An interval of 3.1 points either way is known to 3, which is enough."""
    examples = [example(n, CLASSES[n % 4], CLASSES[(n + n % 5 // 4) % 4], 0.8) for n in range(count)]
    said = [one for one in advice_on(examples) if "either way" in one.found]
    assert [one.found for one in said] == ([found] if found else [])


def test_scores_of_dev_alone_are_said_to_be_a_little_too_good(advice_on, tmp_path):
    [advice] = advice_on(classes(), part="dev")
    assert advice.found.startswith("Dev chose the best model")
    assert advice.command == f"headway train --config {tmp_path}/run/run.toml --test FILE"


def test_a_confidence_that_is_off_is_not_to_be_believed(advice_on):
    examples = [example(n, CLASSES[n % 4], CLASSES[n % 4], 0.6) for n in range(1600)]
    assert found_by(advice_on(examples)) == "How sure it says it is is off by 40 points in the mean."


CURVE = {"coverage": {"test": {"curve": {"coverage": [0.1, 0.5, 1.0], "precision": [1.0, 0.98, 0.9]}}}}


@pytest.mark.parametrize(("precision", "told"), [(None, True), (0.99, False)])
def test_what_it_could_leave_to_a_person_is_said_where_nobody_asked(advice_on, precision, told):
    said = found_by(advice_on(classes(), scores=CURVE, settings={"decide": {"precision": precision}}))
    assert ("Of the surest 50% of its answers, 97% are right." in said) == told


def test_no_more_is_said_than_can_be_done(advice_on):
    examples = [example(n, "a", "b", 0.6) for n in range(60)] + [example(n, CLASSES[n % 4], CLASSES[n % 4], 0.6) for n in range(90)]
    failures = {f"failure {number}": "it failed" for number in range(9)}
    assert len(advice_on(examples, scores={"failures": failures} | CURVE)) == 6
