from dataclasses import replace

import numpy as np
import pytest
import torch
from test_tasks import ENTITIES, NUMBERS, PAIRS, QUESTIONS, SEVERAL, SINGLE, start, teach
from transformers import AutoTokenizer, pipeline

from headway import model
from headway.packing import pack

LESSONS = {
    "one class": ("classification", SINGLE),
    "sets of classes": ("classification", SEVERAL),
    "a number": ("classification", NUMBERS),
    "pairs": ("classification", PAIRS),
    "entities": ("ner", ENTITIES),
    "answers": ("qa", QUESTIONS),
}
every_network = pytest.mark.parametrize("name", ["bert", "roberta"])
every_lesson = pytest.mark.parametrize("lesson", LESSONS)


@pytest.fixture(scope="module")
def saved(pretrained_folder, tmp_path_factory):
    """Give the folder of a model that has learned a little, and the records it learned from."""
    kept = {}

    def give(name, lesson):
        if (name, lesson) not in kept:
            task, records = LESSONS[lesson]
            folder = tmp_path_factory.mktemp("saved") / "model"
            teach(start(pretrained_folder(name), task, records), records, updates=12).save(folder)
            kept[name, lesson] = folder
        return kept[name, lesson], LESSONS[lesson][1]

    return give


def _inputs(tokenizer, record):
    first, second = (record.question, record.text) if record.question else (record.text, record.text_pair)
    return tokenizer(first, second, return_tensors="pt")


def _rounding(logits):
    """How far two fp32 computations in another order may differ: of their own size, or of the products that cancel out in small ones."""
    return 1e-5 * max(logits.abs().max().item(), 0.1)


@every_network
@every_lesson
def test_plain_transformers_gives_the_same_logits(saved, name, lesson):
    folder, records = saved(name, lesson)
    ours = model.load(folder, precision="fp32")
    plain, loading = ours.task.architecture().from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert {weight.dtype for weight in plain.parameters()} == {torch.float32}
    with torch.no_grad():
        for record, window in zip(records, ours.task.windows(records, ours.tokenizer), strict=True):
            if record.text_pair == "":  # transformers reads an empty second text as none
                continue
            found, expected = ours.encoder(pack([window])), plain(**_inputs(tokenizer, record))
            logits = torch.stack([expected.start_logits, expected.end_logits], -1) if record.question else expected.logits
            torch.testing.assert_close(found, logits[0] if logits.ndim == 3 else logits, rtol=0, atol=_rounding(logits))


@every_network
@pytest.mark.parametrize("lesson", ["one class", "sets of classes", "pairs"])
def test_the_text_classification_pipeline_gives_the_same_scores(saved, name, lesson):
    folder, records = saved(name, lesson)
    classify = pipeline("text-classification", model=str(folder), top_k=None)
    ours = model.load(folder, precision="fp32")
    ours.task = replace(ours.task, temperature=1.0)  # of which transformers knows nothing
    for record, prediction in zip(records, ours.predict(records), strict=True):
        if record.text_pair == "":
            continue
        given = {"text": record.text} | ({"text_pair": record.text_pair} if record.text_pair is not None else {})
        found = {row["label"]: row["score"] for row in classify(given)}
        assert found == pytest.approx(prediction.scores, rel=1e-4)


@every_network
def test_the_token_classification_pipeline_gives_the_same_tags(saved, name):
    """At the first token of every unit: what it says of others nothing was learned about."""
    folder, records = saved(name, "entities")
    ours = model.load(folder, precision="fp32")
    tag = pipeline("token-classification", model=str(folder), aggregation_strategy="none", ignore_labels=[])
    windows = ours.task.windows(records, ours.tokenizer)
    for record, window, decision in zip(records, windows, ours.decisions(windows), strict=True):
        found = {row["index"]: (row["entity"], row["score"]) for row in tag(record.text)}
        for place in window.units[:, 0].tolist():
            best = int(decision[place].argmax())
            assert found[place] == (ours.task.outputs()[best], pytest.approx(float(np.exp(decision[place, best])), rel=1e-4))


def test_the_token_classification_pipeline_finds_the_same_entities(pretrained_folder, tmp_path):
    learned = teach(start(pretrained_folder("bert"), "ner", ENTITIES), ENTITIES)
    learned.save(tmp_path / "model")
    find = pipeline("token-classification", model=str(tmp_path / "model"), aggregation_strategy="first")
    for record, prediction in zip(ENTITIES, learned.predict(ENTITIES), strict=True):
        found = [(row["start"], row["end"], row["entity_group"]) for row in find(record.text)]
        assert found == [(span.start, span.end, span.label) for span in prediction.entities]


@every_network
@every_lesson
def test_labels_and_kind_of_problem_are_in_the_configuration(saved, name, lesson):
    folder, _ = saved(name, lesson)
    ours = model.load(folder)
    plain = ours.task.architecture().from_pretrained(folder)
    if lesson != "answers":
        assert tuple(plain.config.id2label.values()) == ours.task.outputs()
    problem = {"one class": "single_label_classification", "sets of classes": "multi_label_classification", "a number": "regression"}
    assert plain.config.problem_type == problem.get(lesson, "single_label_classification" if lesson == "pairs" else None)
    assert plain.config._attn_implementation != "headway"


@every_network
def test_weights_that_were_rounded_in_training_are_saved_exact(pretrained_folder, tmp_path, name):
    fresh = start(pretrained_folder(name), "classification", SINGLE, train={"precision": "bf16"})
    exact = {key: weight.detach().float() + 1e-5 for key, weight in fresh.encoder.network.named_parameters()}
    fresh.save(tmp_path / "model", exact)
    plain = fresh.task.architecture().from_pretrained(tmp_path / "model")
    assert all(weight.equal(exact[key]) for key, weight in plain.named_parameters())
