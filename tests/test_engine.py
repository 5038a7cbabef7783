from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from headway import engine, pretrained
from headway.config import Regularize, Train
from headway.encoder import Encoder
from headway.objective import objective
from headway.optimize import Optimizer
from headway.packing import Order, pack
from headway.records import IGNORED, Window
from headway.tasks.classification import Classification
from headway.tasks.ner import EntityRecognition

HEADS = {"sequence": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification}


@pytest.fixture
def encoder_of(pretrained_folder):
    def load(head="sequence", *, name="bert", dropout=0.0, dtype=torch.float32):
        source = pretrained.find(str(pretrained_folder(name)))
        config = pretrained.load_config(source)
        config.num_labels = 3
        torch.manual_seed(0)
        encoder = Encoder(pretrained.load_network(source, HEADS[head], config))
        encoder.set_dropout(hidden=dropout, attention=dropout)
        encoder.network.to(dtype)
        return encoder

    return load


def windows_of(count=22, *, head="sequence", seed=0):
    draw = np.random.default_rng(seed)

    def window(n):
        targets = draw.integers(0, 3, 1 if head == "sequence" else n)
        if head == "token":
            targets[draw.random(n) < 0.5] = IGNORED
        return Window(0, draw.integers(5, 200, n), np.zeros(n, dtype=np.int32), np.zeros((n, 2)), targets)

    return [window(n) for n in draw.integers(2, 30, count)]


TASKS = {
    "sequence": Classification("single", ("a", "b", "c"), max_tokens=128, overlap=0),
    "token": EntityRecognition(("X",), max_tokens=128, overlap=0),
}
PLAIN = Regularize()
RECIPES = {
    "plain": PLAIN,
    "focal loss": Regularize(focal_gamma=2.0),
    "R-Drop": Regularize(r_drop=1.0),
    "adversarial": Regularize(adversarial=1.0),
    "mixout": Regularize(mixout=0.7),
    "mixout, average": Regularize(mixout=0.7, ema_decay=0.9),
    "unfreezing": Regularize(unfreezing=0.7),
    "unfreezing, adversarial, frozen": Regularize(unfreezing=0.7, adversarial=1.0, frozen_layers=1),
    "BitFit": Regularize(parameters="biases"),
    "average": Regularize(ema_decay=0.9),
    "adversarial, R-Drop": Regularize(adversarial=1.0, r_drop=1.0),
    "adversarial, frozen": Regularize(adversarial=1.0, frozen_layers=1),
}


def every_recipe(name, *values):
    """The plain one with each of the values, the others with the first."""
    cases = [(recipe, value) for recipe in RECIPES.values() for value in (values if recipe == PLAIN else values[:1])]
    names = {recipe: key for key, recipe in RECIPES.items()}
    return pytest.mark.parametrize(("recipe", name), cases, ids=[f"{names[recipe]}-{value}" for recipe, value in cases])


def loss_of(encoder, recipe=PLAIN):
    task = TASKS["token" if "Token" in type(encoder.network).__name__ else "sequence"]
    return objective(replace(task, focal_gamma=recipe.focal_gamma), recipe)


def decide(logits, batch):
    return list(logits.float().numpy())


def optimizer_of(encoder, *, steps, token_budget=10_000, by_rows=True, recipe=PLAIN):
    train = Train(learning_rate=1e-3, token_budget=token_budget)
    return Optimizer(encoder.network, train=train, regularize=recipe, steps=steps, table=encoder.table() if by_rows else None)


def trained(encoder, windows, *, steps=6, batch_size=8, seed=1, recipe=PLAIN, **way):
    """The steps of a training, and the weights at its end."""
    optimizer = optimizer_of(encoder, steps=steps, recipe=recipe, **way)
    order, loss = Order(len(windows), batch_size, seed), loss_of(encoder, recipe)
    made = list(engine.fit(encoder, windows, optimizer=optimizer, order=order, loss=loss))
    return made, optimizer.weights()


def same(a, b):
    return all(a[name].equal(b[name]) for name in a)


# --- learning


@every_recipe("budget", 40, 1, 100)
@pytest.mark.parametrize("head", HEADS)
def test_what_is_learned_does_not_depend_on_how_an_update_is_cut(encoder_of, head, budget, recipe):
    windows = windows_of(head=head)
    whole_steps, whole = trained(encoder_of(head), windows, recipe=recipe)
    cut_steps, cut = trained(encoder_of(head), windows, token_budget=budget, recipe=recipe)
    for a, b in zip(whole_steps, cut_steps, strict=True):
        torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(a.gradient_norm, b.gradient_norm, rtol=1e-4, atol=0)
    # Adam divides by the root of the gradient's square: a weight whose gradient is nothing but rounding may move by some of the rate
    distance = torch.cat([(whole[name] - cut[name]).flatten() for name in whole]).abs()
    assert distance.quantile(0.99) < 1e-6


@every_recipe("budget", 1, 40)
@pytest.mark.parametrize("head", HEADS)
def test_a_gradient_does_not_depend_on_how_an_update_is_cut(encoder_of, head, budget, recipe):
    def gradients(token_budget):
        encoder = encoder_of(head)
        optimizer = optimizer_of(encoder, steps=1, token_budget=token_budget, by_rows=False, recipe=recipe)
        kept = {}
        optimizer.step = lambda step: kept.update({n: m.grad for n, m in optimizer.masters().items() if m.grad is not None})
        windows = windows_of(head=head)
        next(engine.fit(encoder, windows, optimizer=optimizer, order=Order(len(windows), 8, 1), loss=loss_of(encoder, recipe)))
        return kept

    whole, cut = gradients(10_000), gradients(budget)
    largest = max(gradient.abs().max() for gradient in whole.values())
    assert whole.keys() == cut.keys()
    assert {"classifier.weight", "classifier.bias"} <= whole.keys()
    assert max((whole[name] - cut[name]).abs().max() for name in whole) < 1e-6 * largest


@pytest.mark.parametrize("recipe", [PLAIN, RECIPES["adversarial"]], ids=["plain", "adversarial"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_updating_the_table_by_rows_learns_what_updating_all_of_it_learns(encoder_of, head, name, recipe):
    windows, way = windows_of(60, head=head), {"steps": 16, "recipe": recipe}
    (by_rows, rows), (by_table, table) = (trained(encoder_of(head, name=name), windows, by_rows=rows, **way) for rows in (True, False))
    for a, b in zip(by_rows, by_table, strict=True):
        torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(a.gradient_norm, b.gradient_norm, rtol=1e-4, atol=0)
    assert rows.keys() == table.keys()
    distance = torch.cat([(rows[name] - table[name]).flatten() for name in rows]).abs()
    assert distance.quantile(0.99) < 1e-6  # as above


def test_the_loss_of_an_update_is_the_mean_over_its_targets_also_of_the_last_smaller_one(encoder_of):
    windows = windows_of(count=11, head="token")
    encoder = encoder_of("token")
    order = Order(11, 4, 1)
    optimizer = optimizer_of(encoder, steps=3, token_budget=30)
    steps = engine.fit(encoder, windows, optimizer=optimizer, order=order, loss=loss_of(encoder))
    for number in range(3):
        update = [windows[position] for position in order.update(number)]
        encoder.network.eval()
        optimizer.settle()
        with torch.no_grad():
            batch = pack(update)
            expected = F.cross_entropy(encoder(batch), batch.targets_A, ignore_index=IGNORED)
        step = next(steps)
        torch.testing.assert_close(step.loss, expected, rtol=1e-5, atol=1e-6)
        assert step.number == number + 1
        assert step.tokens == sum(map(len, update))
    assert len(update) == 3


def test_an_update_without_targets_changes_no_weight_beyond_decay(encoder_of):
    windows = [replace(window, targets_A=np.full(1, IGNORED)) for window in windows_of(4)]
    encoder = encoder_of()
    step = next(engine.fit(encoder, windows, optimizer=optimizer_of(encoder, steps=1), order=Order(4, 4, 1), loss=loss_of(encoder)))
    assert step.loss == 0
    assert all(weight.isfinite().all() for weight in encoder.network.parameters())


def test_learning_learns(encoder_of):
    steps, _ = trained(encoder_of(), windows_of(), steps=60)
    assert torch.stack([step.loss for step in steps[-3:]]).mean() < 0.5 * steps[0].loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_seed_gives_the_same_weights(encoder_of, dtype):
    runs = [trained(encoder_of(dropout=0.2, dtype=dtype), windows_of(), token_budget=60)[1] for _ in range(2)]
    assert same(*runs)


@pytest.mark.parametrize("batch_size", [8, 22])
def test_another_seed_gives_other_weights(encoder_of, batch_size):
    """With an update of all windows it is the dropout that differs."""
    runs = [trained(encoder_of(dropout=0.2), windows_of(), seed=seed, batch_size=batch_size)[1] for seed in (1, 2)]
    assert not same(*runs)


def test_what_the_caller_draws_between_updates_changes_nothing(encoder_of):
    encoder, windows = encoder_of(dropout=0.2), windows_of()
    optimizer = optimizer_of(encoder, steps=6)
    for _ in engine.fit(encoder, windows, optimizer=optimizer, order=Order(22, 8, 1), loss=loss_of(encoder)):
        torch.rand(7)
        list(engine.predict(encoder, windows[:3], decide=decide, token_budget=100))
    assert same(optimizer.weights(), trained(encoder_of(dropout=0.2), windows)[1])


@every_recipe("stop", 3, 1, 5)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resuming_gives_the_weights_of_an_unbroken_run(encoder_of, dtype, stop, recipe):
    windows, order, way = windows_of(), Order(22, 8, 1), {"token_budget": 60, "recipe": recipe}
    unbroken = trained(encoder_of(dropout=0.2, dtype=dtype), windows, **way)[1]
    encoder = encoder_of(dropout=0.2, dtype=dtype)
    optimizer = optimizer_of(encoder, steps=6, **way)
    list(islice(engine.fit(encoder, windows, optimizer=optimizer, order=order, loss=loss_of(encoder, recipe)), stop))
    kept = {name: tensor.clone() for name, tensor in optimizer.state().items()}
    again = encoder_of(dropout=0.2, dtype=dtype)
    resumed = optimizer_of(again, steps=6, **way)
    resumed.restore(kept, done=stop)
    made = list(engine.fit(again, windows, optimizer=resumed, order=order, loss=loss_of(again, recipe), start=stop))
    assert [step.number for step in made] == list(range(stop + 1, 7))
    assert same(unbroken, resumed.weights())


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in RECIPES.values() if recipe != PLAIN], ids=[name for name in RECIPES if name != "plain"]
)
def test_a_recipe_answers_something_else(encoder_of, recipe):
    plain, other = (trained(encoder_of(dropout=0.2), windows_of(), recipe=way)[1] for way in (PLAIN, recipe))
    assert not same(plain, other)


def same_training(one, other):
    return same(one[1], other[1]) and all(a.loss.equal(b.loss) for a, b in zip(one[0], other[0], strict=True))


@pytest.mark.parametrize("recipe", ["average", "mixout", "mixout, average"])
def test_evaluating_in_between_changes_nothing(encoder_of, recipe):
    """What is answered with is put into the network, and taken out again."""
    windows, recipe = windows_of(), RECIPES[recipe]
    encoder, made = encoder_of(dropout=0.2, dtype=torch.bfloat16), []
    optimizer = optimizer_of(encoder, steps=6, recipe=recipe, by_rows=False)
    for step in engine.fit(encoder, windows, optimizer=optimizer, order=Order(22, 8, 1), loss=loss_of(encoder, recipe)):
        optimizer.settle()
        list(engine.predict(encoder, windows[:3], decide=decide, token_budget=100))
        assert all(weight.equal(optimizer.weights()[name].bfloat16()) for name, weight in encoder.network.named_parameters())
        made.append(step)
    assert same_training(
        (made, optimizer.weights()), trained(encoder_of(dropout=0.2, dtype=torch.bfloat16), windows, recipe=recipe, by_rows=False)
    )


def test_an_average_does_not_change_what_is_learned(encoder_of):
    """It looks on: the weights it is an average of are those of a plain run, at tolerance 0."""
    windows, ends = windows_of(), []
    for recipe in (PLAIN, RECIPES["average"]):
        encoder = encoder_of(dropout=0.2)
        optimizer = optimizer_of(encoder, steps=6, recipe=recipe, by_rows=False)
        list(engine.fit(encoder, windows, optimizer=optimizer, order=Order(22, 8, 1), loss=loss_of(encoder, recipe)))
        ends.append(optimizer.masters())
    assert same(*ends)


# --- answering


@pytest.mark.parametrize("name", ["bert", "deberta-v3"])
@pytest.mark.parametrize("budget", [1, 30, 200])
def test_answers_come_in_order_and_do_not_depend_on_the_budget(encoder_of, name, budget):
    encoder, windows = encoder_of(name=name), windows_of()
    with torch.no_grad():
        alone = np.concatenate([encoder(pack([window])).numpy() for window in windows])
    answers = np.stack(list(engine.predict(encoder, windows, decide=decide, token_budget=budget)))
    np.testing.assert_allclose(answers, alone, atol=1e-5 * np.abs(alone).max(), rtol=0)


def test_answers_are_without_dropout_also_in_the_midst_of_training(encoder_of):
    encoder, windows = encoder_of(dropout=0.5), windows_of()
    encoder.network.train()
    first, second = (np.stack(list(engine.predict(encoder, windows, decide=decide, token_budget=100))) for _ in range(2))
    assert np.array_equal(first, second)


def test_nothing_asked_nothing_answered(encoder_of):
    assert list(engine.predict(encoder_of(), [], decide=decide, token_budget=100)) == []


def test_the_next_windows_are_packed_before_answers_are_waited_for(encoder_of, monkeypatch):
    """So that they are at hand as soon as a GPU is through with the ones before."""
    done = []

    def packs(windows):
        done.append("pack")
        return pack(windows)

    def decides(logits, batch):
        done.append("decide")
        return decide(logits, batch)

    monkeypatch.setattr(engine, "pack", packs)
    list(engine.predict(encoder_of(), windows_of()[:3], decide=decides, token_budget=1))
    assert done == ["pack", "pack", "decide", "pack", "decide", "decide"]
