"""Linear layers fitted on frozen features of tokens; those of sentences are tested with their tasks."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from test_tasks import ENTITIES, QUESTIONS, UNANSWERABLE, start

from headway import probe
from headway.engine import predict
from headway.packing import count_targets
from headway.probe import PENALTY, features, fit_head, fit_tokens
from headway.records import IGNORED

LESSONS = {"entities": ("ner", ENTITIES), "answers": ("qa", QUESTIONS), "answers or none": ("qa", UNANSWERABLE)}


@pytest.fixture
def fresh(pretrained_folder):
    """Give a network before training, and the windows of its lesson."""

    def give(lesson):
        task, records = LESSONS[lesson]
        model = start(pretrained_folder("bert"), task, records)
        return model, model.task.windows(records, model.tokenizer)

    return give


def loss_of(model, windows):
    costs = predict(
        model.encoder, windows, decide=lambda logits, batch: [model.task.loss(logits, batch)] * len(batch.lengths), token_budget=10**6
    )
    return float(next(costs)) / count_targets(windows)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_fitted_layer_knows_what_it_was_fitted_on(fresh, lesson):
    model, windows = fresh(lesson)
    before = loss_of(model, windows)
    fit_head(model, windows, seed=1)
    assert loss_of(model, windows) < min(0.5, before / 4)


def test_the_layer_is_logistic_regression_on_the_tokens_that_have_a_tag(fresh):
    model, windows = fresh("entities")
    rows = np.concatenate(features(model, windows))
    targets = np.concatenate([window.targets_A for window in windows])
    scaled = StandardScaler().fit(rows)
    tagged = targets != IGNORED
    strength = 1 / (PENALTY * count_targets(windows))
    by_sklearn = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(scaled.transform(rows[tagged]), targets[tagged])
    weight, bias = fit_tokens(model.task, features(model, windows), windows, outputs=len(model.task.outputs()))
    logits = (rows[tagged] @ weight.T + bias)[:, by_sklearn.classes_]
    said = np.exp(logits) / np.exp(rows[tagged] @ weight.T + bias).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said, by_sklearn.predict_proba(scaled.transform(rows[tagged])), atol=0.03)


def test_the_layer_does_not_depend_on_where_features_lie_and_how_far(fresh):
    model, windows = fresh("answers")
    read, outputs = features(model, windows), len(model.task.outputs())
    moved = [100 * rows + 7 for rows in read]
    layers = [fit_tokens(model.task, rows, windows, outputs=outputs) for rows in (read, moved)]
    logits = [np.concatenate(rows) @ weight.T + bias for rows, (weight, bias) in zip((read, moved), layers, strict=True)]
    np.testing.assert_allclose(logits[0], logits[1], atol=0.05)


@pytest.mark.parametrize(("most", "read"), [(None, 10), (30, 4), (1, 1)])
def test_no_more_tokens_are_read_than_may_be(fresh, most, read):
    _, windows = fresh("entities")
    windows = [replace(window, input_ids_N=window.input_ids_N[:7]) for window in windows]
    assert len(probe._sampled(windows, seed=1, most_tokens=most)) == read
