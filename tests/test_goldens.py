"""What a model said when it was saved is said when it is loaded; where not, the error names what has changed."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_tasks import LESSONS, every_lesson, start, taught, teach  # noqa: F401

from headway import goldens, model
from headway.errors import ModelError
from headway.events import Said
from headway.folders import MANIFEST, whole_folder
from headway.jobs.finish import say_goldens
from headway.records import Prediction, Record, Span, Window

promise = settings(max_examples=100)
numbers = st.floats(-100, 100)
trees = st.recursive(
    st.text(max_size=3) | st.integers() | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def saved(taught, tmp_path):  # noqa: F811
    """Give the folder of a model that has learned a lesson, saved with its golden predictions."""

    def save(lesson):
        learned = replace(taught(lesson))
        model.take_goldens(learned, LESSONS[lesson][1])
        learned.save(tmp_path / "model")
        return tmp_path / "model"

    return save


@pytest.fixture
def folder(saved):
    return saved("one class")


def by_hand(folder, change):
    """Change files of a model folder, and have the manifest agree."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    with whole_folder(folder) as fresh:
        for name, content in files.items():
            (fresh / name).write_bytes(content)
        change(fresh)


def edited(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def refusal(folder, **how):
    with pytest.raises(ModelError) as error:
        model.load(folder, **how)
    assert str(error.value).startswith(f"{folder}: does not say what it said when it was saved: ")
    return str(error.value).split("saved: ", 1)[1]


@every_lesson
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_says_what_it_said(saved, lesson, precision):
    loaded = model.load(saved(lesson), precision=precision, device="cpu")
    assert loaded.goldens.examples
    assert loaded.goldens.settings.keys() == asdict(loaded.task).keys()


def test_taking_goldens_leaves_the_weights_as_they_are(taught):  # noqa: F811
    learned = replace(taught("one class"))
    before = {name: tensor.clone() for name, tensor in learned.encoder.network.state_dict().items()}
    model.take_goldens(learned, LESSONS["one class"][1])
    assert all(before[name].equal(tensor) for name, tensor in learned.encoder.network.state_dict().items())


def test_another_tokenizer_is_named(folder):
    def lower(fresh):
        edited(fresh / "tokenizer.json", lambda kept: kept["normalizer"].update(lowercase=False))

    by_hand(folder, lower)
    said = refusal(folder)
    assert said.startswith('the tokenizer reads "')
    assert "differently: token " in said


def test_labels_in_another_order_are_named(folder):
    def swap(fresh):
        names = {"id2label": {"0": "good", "1": "bad"}, "label2id": {"good": 0, "bad": 1}}
        edited(fresh / "config.json", lambda kept: kept.update(names))
        edited(fresh / "headway.json", lambda kept: kept["settings"].update(labels=["good", "bad"]))

    by_hand(folder, swap)
    assert refusal(folder) == 'in headway.json, labels.0 was "bad" and is "good"'


def test_another_threshold_is_named(folder):
    by_hand(folder, lambda fresh: edited(fresh / "headway.json", lambda kept: kept["settings"].update(threshold=0.9)))
    assert refusal(folder) == "in headway.json, threshold was null and is 0.9"


def other_weights(fresh):
    weights = load_file(fresh / "model.safetensors")
    weights["classifier.weight"] = -weights["classifier.weight"]
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})


def test_other_weights_are_named_where_nothing_else_has_changed(folder):
    by_hand(folder, other_weights)
    said = refusal(folder)
    assert said.startswith('of "')
    assert said.endswith("with the same libraries: the weights are others; copy the whole folder again, or train again")


def test_another_library_is_named_where_it_answers_otherwise(folder):
    def older(fresh):
        other_weights(fresh)
        edited(fresh / "goldens.json", lambda kept: kept["versions"].update(transformers="4.0.0", torch="1.0"))

    by_hand(folder, older)
    said = refusal(folder)
    assert "; transformers was 4.0.0 and is " in said
    assert said.endswith(": install transformers==4.0.0, or train again")


def test_another_library_that_answers_the_same_is_no_matter(folder):
    by_hand(folder, lambda fresh: edited(fresh / "goldens.json", lambda kept: kept["versions"].update(transformers="4.0.0")))
    assert model.load(folder).goldens


def test_a_precision_that_is_too_low_is_named(taught, tmp_path):  # noqa: F811
    """A head whose weights are large makes of bf16's rounding another answer."""
    sharp = start_again(taught("one class"), tmp_path / "plain")
    with torch.no_grad():
        sharp.encoder.head().weight *= 1e5
        sharp.encoder.head().bias.zero_()
        sharp.encoder.head().weight.sub_(sharp.encoder.head().weight.mean(dim=0))
        sharp.encoder.head().weight[0] = sharp.encoder.head().weight[1] * (1 + 2**-12)
    records = LESSONS["one class"][1]
    windows, exact = sharp.answers(records)
    sharp.goldens = goldens.taken(goldens.keep(records, windows, exact, exact), sharp.task)
    sharp.save(tmp_path / "sharp")
    model.load(tmp_path / "sharp", precision="fp32")
    assert refusal(tmp_path / "sharp", precision="bf16").endswith(
        "in fp32 it does: the precision is too low for it, use --set train.precision=fp32"
    )


def start_again(learned, folder):
    learned.save(folder)
    return model.load(folder, precision="fp32")


def test_a_model_that_was_given_other_settings_is_saved_without_goldens(folder):
    loaded = model.load(folder, precision="fp32")
    loaded.task = replace(loaded.task, temperature=3.0)
    loaded.save(folder)
    assert not (folder / "goldens.json").exists()
    assert model.load(folder).task.temperature == 3.0


def test_what_bf16_says_otherwise_is_no_golden(taught):  # noqa: F811
    records = LESSONS["one class"][1]
    windows, exact = taught("one class").answers(records)
    rough = [replace(said, label="other") if number % 2 else said for number, said in enumerate(exact)]
    assert [golden.record().text for golden in goldens.keep(records, windows, exact, rough)] == [record.text for record in records[::2]]


# --- which inputs


def cut(lengths):
    zeros = [np.zeros(length, dtype=np.int32) for length in lengths]
    records = [Record(f"text {number}") for number in range(len(lengths))]
    return records, [Window(position, row, row, row, row) for position, row in enumerate(zeros)]


@promise
@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), st.integers(1, 40))
def test_goldens_are_few_and_short(lengths, count):
    records, windows = cut(lengths)
    chosen = goldens.choose(records, windows, count=count, seed=1)
    tokens = sum(len(window) for window in windows if records[window.record] in chosen)
    assert 1 <= len(chosen) <= count
    assert tokens <= goldens.MOST_TOKENS or len(chosen) == 1


def test_short_texts_are_as_many_as_asked_for():
    assert len(goldens.choose(*cut([12] * 100), count=24, seed=1)) == 24


@pytest.mark.parametrize(("tokens", "count"), [(64, 24), (120, 12), (500, 3)])
def test_of_longer_texts_fewer_are_kept(tokens, count):
    assert len(goldens.choose(*cut([tokens] * 100), count=24, seed=1)) == count


LONG = "3 texts are as many as 1,536 tokens hold, which is what a load reads again; a load checks less"
ROUNDED = "of 19 the answer is another in bf16; a load checks less"
NONE = "of 24 the answer is another in bf16; a load cannot tell whether the model says what it said"


@pytest.mark.parametrize(("kept", "chosen", "why"), [(24, 24, None), (8, 24, None), (3, 3, LONG), (5, 24, ROUNDED), (0, 24, NONE)])
def test_few_goldens_are_told_with_the_reason(kept, chosen, why):
    told = list(say_goldens(kept, chosen=chosen, wanted=24))
    assert told == ([] if why is None else [Said("golden", f"{kept} of 24 golden predictions are kept: {why}", warning=kept == 0)])


def test_goldens_are_the_same_for_the_same_seed():
    chosen = [goldens.choose(*cut([12] * 100), count=24, seed=seed) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


# --- what counts as a difference


@promise
@given(trees)
def test_nothing_differs_from_itself(tree):
    assert list(goldens.changes(tree, tree, tolerance=0.0)) == []


@promise
@given(trees, trees)
def test_trees_that_differ_are_told_apart(before, now):
    same = json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True)
    assert same or list(goldens.changes(before, now, tolerance=0.0)) or before == now


@pytest.mark.parametrize(
    ("now", "place"),
    [
        (Prediction(label="b", confidence=0.9), "label"),
        (Prediction(label="a", confidence=0.6), "confidence"),
        (Prediction(label="a", confidence=0.9, abstained=True), "abstained"),
        (Prediction(entities=(Span(0, 3, "PER", 0.9),)), "label"),
    ],
)
def test_the_first_difference_is_named(now, place):
    before = goldens._as_json(Prediction(label="a", confidence=0.9))
    places = [change.place for change in goldens.changes(before, goldens._as_json(now), tolerance=0.1)]
    assert place in places


@pytest.mark.parametrize(("off", "places"), [(0.0019, []), (0.0021, ["confidence"])])
def test_confidences_may_be_off_by_the_tolerance(off, places):
    tolerance = goldens.TOLERANCES[torch.float32].number
    found = goldens.changes({"confidence": 0.5}, {"confidence": 0.5 + off}, tolerance=tolerance)
    assert [change.place for change in found] == places


@pytest.mark.parametrize(("dtype", "wrong", "refused"), [(torch.float32, 1, True), (torch.bfloat16, 1, False), (torch.bfloat16, 2, True)])
def test_rounding_may_decide_a_few_answers_of_a_low_precision(dtype, wrong, refused):
    said = [goldens.Golden({"text": "a"}, [[1]], {"label": "a"})] * 8
    kept = goldens.Goldens({}, {}, said)
    now = [Prediction(label="b")] * wrong + [Prediction(label="a")] * (8 - wrong)
    assert (goldens.changed_answer(kept, now, dtype=dtype) is not None) is refused
