"""What an update costs, counted and not timed: a guard against work that creeps in."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_tasks import start
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from headway import engine, pretrained
from headway.adapters import adapt
from headway.config import Distill, Lora, Regularize, Train
from headway.encoder import Encoder
from headway.layers import reinitialize
from headway.objective import contrastive, masked_words, objective
from headway.optimize import Optimizer
from headway.packing import Order, pack
from headway.probe import fit_head
from headway.records import IGNORED, Record, Window
from headway.tasks.classification import Classification

WAITS = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique_dim", "_unique2"}  # a GPU has to finish before these answer
VIEWS = {"view", "_unsafe_view", "t", "transpose", "detach", "expand", "slice", "select", "unsqueeze", "squeeze", "as_strided", "permute"}
FREE = VIEWS | {"lift_fresh"}  # they compute nothing
LAYERS = 2  # of the network that is counted in


class Calls(TorchDispatchMode):
    """Count kernels by name, and keep which of them give a tensor of which shape."""

    def __init__(self):
        super().__init__()
        self.calls, self.shapes = Counter(), set()

    def __torch_dispatch__(self, kernel, _types, args=(), kwargs=None):
        out = kernel(*args, **(kwargs or {}))
        name = kernel.overloadpacket.__name__
        self.calls[name] += name not in FREE
        self.shapes |= {(name, out.shape)} if getattr(out, "layout", None) == torch.strided else set()
        return out


@pytest.fixture
def encoder_of(pretrained_folder):
    def load():
        source = pretrained.find(str(pretrained_folder("bert")))
        encoder = Encoder(pretrained.load_network(source, AutoModelForSequenceClassification, pretrained.load_config(source)))
        encoder.set_dropout(hidden=0.0, attention=0.0)
        return encoder

    return load


@pytest.fixture
def encoder(encoder_of):
    return encoder_of()


def windows(*lengths):
    draw = np.random.default_rng(0)

    def window(n):
        return Window(0, draw.integers(5, 200, n), np.zeros(n, dtype=np.int32), np.zeros((n, 2)), draw.integers(0, 2, 1))

    return [window(n) for n in lengths]


def second_update(encoder, update, *, by_rows=False, token_budget=10_000):
    """What an update calls, after one in which all that is kept was made."""
    steps = updates(encoder, update, Regularize(), by_rows=by_rows, token_budget=token_budget)
    next(steps)
    with Calls() as counted:
        next(steps)
    return counted


def updates(encoder, update, recipe, *, by_rows=False, token_budget=10_000, steps=2, loss=None):
    """Updates on the same windows by a recipe, or by a loss of another kind."""
    if recipe.parameters == "lora":
        adapt(encoder.network, Lora(rank=1))
    reinitialize(encoder.network, recipe.reinitialized_layers)
    optimizer = Optimizer(
        encoder.network,
        train=Train(learning_rate=1e-3, token_budget=token_budget),
        regularize=recipe,
        steps=steps,
        table=encoder.table() if by_rows else None,
    )
    order = Order(len(update), len(update), 0)
    return engine.fit(encoder, update, optimizer=optimizer, order=order, loss=loss or objective(task_of(recipe), recipe))


def task_of(recipe):
    weights = (0.5, 2.0) if recipe.class_weights == "balanced" else None
    return Classification("single", ("a", "b"), max_tokens=128, overlap=0, class_weights=weights)


def multiplications(step) -> int:
    with FlopCounterMode(display=False) as counted:
        step()
    return counted.get_total_flops()


def test_every_layer_computes_the_tokens_of_the_texts_and_no_other(encoder):
    update, rows = windows(3, 25, 9, 14), Counter()
    for name, module in encoder.network.base_model.encoder.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda module, given, out, name=name: rows.update({name: out.shape[:-1].numel()}))
    second_update(encoder, update)
    assert set(rows.values()) == {2 * 51}  # two updates
    assert len(rows) == 6 * LAYERS


def test_a_sentence_head_computes_a_row_a_text(encoder):
    rows = []
    encoder.network.classifier.register_forward_hook(lambda module, given, out: rows.append(out.shape[:-1].numel()))
    second_update(encoder, windows(3, 25, 9, 14))
    assert rows == [4, 4]


def test_attention_leaves_few_cells_empty():
    """Lengths as those of sentences in reviews: a tenth is lost, where a rectangle of them all would lose nearly half."""
    lengths = sorted(np.random.default_rng(0).lognormal(3.0, 0.5, 32).astype(int) + 3)
    cells = sum(group.rows * group.longest for group in pack(windows(*lengths)).groups)
    assert cells < 1.25 * sum(lengths)
    assert 32 * max(lengths) > 1.8 * sum(lengths)


def test_more_texts_of_a_length_take_no_more_kernels(encoder):
    few, many = (second_update(encoder, windows(*[12] * count)).calls for count in (4, 32))
    assert few == many


@pytest.mark.parametrize(("by_rows", "most"), [(False, 214), (True, 259)])
def test_an_update_takes_no_more_kernels_than_it_did(encoder, by_rows, most):
    calls = second_update(encoder, windows(*[12] * 8), by_rows=by_rows).calls
    assert calls.total() <= most, calls.most_common()


def test_the_rows_of_the_table_that_are_not_read_are_not_touched(encoder):
    """No kernel gives a whole table but the one that puts rows into it."""
    update, table = windows(*[12] * 8), encoder.network.get_input_embeddings().weight.shape
    whole, by_rows = (second_update(encoder, update, by_rows=by_rows).shapes for by_rows in (False, True))
    assert ("copy_", table) in whole
    assert {name for name, shape in by_rows if shape == table and name not in FREE} == {"index_put_"}


def test_an_update_waits_for_nothing(encoder):
    calls = second_update(encoder, windows(3, 25, 9, 14), token_budget=30).calls
    assert not WAITS & calls.keys()


COSTS = {  # times as many multiplications as a plain update, as README.md has it
    "label smoothing": (Regularize(label_smoothing=0.1), 1.0),
    "class weights": (Regularize(class_weights="balanced"), 1.0),
    "layers begun anew": (Regularize(reinitialized_layers=1), 1.0),
    "focal loss": (Regularize(focal_gamma=2.0), 1.0),
    "layer-wise decay": (Regularize(layer_decay=0.9), 1.0),
    "frozen layers": (Regularize(frozen_layers=LAYERS), 1 / 3),  # forwards only
    "multi-sample dropout": (Regularize(head_samples=5), 1.0),
    "R-Drop": (Regularize(r_drop=1.0), 2.0),
    "BitFit": (Regularize(parameters="biases"), 0.7),  # no matrix has a gradient, but attention goes back as ever
    "LoRA": (Regularize(parameters="lora"), 0.7),  # as BitFit, and as much more as the rank is of the width
    "mixout": (Regularize(mixout=0.5), 1.0),
    "average": (Regularize(ema_decay=0.99), 1.0),
    "adversarial": (Regularize(adversarial=1.0), 2.0),
    "FreeLB": (Regularize(freelb=0.3, freelb_steps=3), 3.0),
}


@pytest.mark.parametrize(("recipe", "cost"), COSTS.values(), ids=COSTS)
def test_a_recipe_costs_what_is_said(encoder_of, recipe, cost):
    plain, counted = (second(updates(encoder_of(), windows(*[12] * 8), way)) for way in (Regularize(), recipe))
    assert counted / plain == pytest.approx(cost, rel=0.03)


def second(steps) -> int:
    """What the second update multiplies."""
    next(steps)
    return multiplications(lambda: next(steps))


def test_what_teachers_say_costs_an_update_nothing(encoder_of):
    taught = [replace(window, taught=np.array([[0.3, 0.7]], dtype=np.float32)) for window in windows(*[12] * 8)]
    loss = objective(task_of(Regularize()), Regularize(), Distill(teachers=["run"]))
    plain, counted = (second(updates(encoder_of(), taught, Regularize(), loss=of)) for of in (None, loss))
    assert counted == plain


def test_an_update_of_pairs_costs_what_one_of_labels_does(encoder_of):
    """Each text is read once, in however many pairs it is."""
    plain, pairs = (second(updates(encoder_of(), windows(*[12] * 8), Regularize(), loss=of)) for of in (None, contrastive(0.1)))
    assert pairs / plain == pytest.approx(1.0, rel=0.03)


def test_gradual_unfreezing_costs_less_as_long_as_layers_wait(encoder_of):
    count = 10
    plain = second(updates(encoder_of(), windows(*[12] * 8), Regularize()))
    steps = updates(encoder_of(), windows(*[12] * 8), Regularize(unfreezing=0.6), steps=count)
    shares = [multiplications(lambda: next(steps)) / plain for _ in range(count)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(1 / 3, rel=0.1)  # the new layer alone learns: forwards only
    assert shares[-1] == pytest.approx(1.0, rel=0.03)
    assert sum(shares) < 0.9 * count


def test_a_fitted_layer_takes_one_pass_over_the_data(pretrained_folder):
    rows = [Record(f"a {word} film {n}", label=word) for n in range(20) for word in ("good", "bad")]
    fresh = start(pretrained_folder("bert"), "classification", rows)
    texts, read = fresh.task.windows(rows, fresh.tokenizer), []
    fresh.encoder.network.base_model.encoder.layer[0].register_forward_hook(lambda _, given, out: read.append(given[0].shape[:-1].numel()))
    fit_head(fresh, texts, seed=1)
    assert sum(read) == sum(map(len, texts))


def test_words_are_told_at_masked_tokens_alone(pretrained_folder):
    """The whole vocabulary is gone through for what is to be told, and for no other token."""
    source = pretrained.find(str(pretrained_folder("bert")))
    encoder = Encoder(pretrained.load_network(source, AutoModelForMaskedLM, pretrained.load_config(source)))
    encoder.read_targets()
    targets = np.full(20, IGNORED)
    targets[[3, 9, 11]] = 7
    window = Window(0, np.arange(20) + 50, np.zeros(20, dtype=np.int32), np.zeros((20, 2)), targets)
    assert encoder(pack([window, window])).shape[0] == 6


def test_masked_words_cost_the_vocabulary_for_each_of_them_and_nothing_else(pretrained_folder):
    """On top of what the encoder costs: a matrix of its width, and the whole vocabulary, forwards and twice backwards."""
    source = pretrained.find(str(pretrained_folder("bert")))
    encoder = Encoder(pretrained.load_network(source, AutoModelForMaskedLM, pretrained.load_config(source)))
    encoder.read_targets()
    width, words = encoder.network.config.hidden_size, encoder.network.config.vocab_size

    def masked(count):
        targets = np.full(20, IGNORED)
        targets[:count] = 7
        return [Window(0, np.arange(20) + 50, np.zeros(20, dtype=np.int32), np.zeros((20, 2)), targets)]

    few, many = (second(updates(encoder, masked(count), Regularize(), loss=masked_words)) for count in (2, 9))
    assert many - few == 7 * 3 * 2 * width * (width + words)
