import json
from collections import Counter
from contextlib import nullcontext

import pytest
import torch
from test_failures import reviews, said
from test_objective import TASKS, windows_of
from torch.utils.flop_counter import FlopCounterMode

from headway import engine, pretrained
from headway.config import Regularize, Train, read_config
from headway.encoder import Encoder
from headway.events import unwatched
from headway.frozen import Kept
from headway.jobs.train import train
from headway.layers import choose, frozen_parts, whole_layers
from headway.objective import objective
from headway.optimize import Optimizer
from headway.packing import Order, pack

NETWORKS = ["bert", "roberta", "distilbert", "electra", "modernbert", "xlm-roberta"]
every_network = pytest.mark.parametrize("name", NETWORKS)
FROZEN = Regularize(frozen_layers=1)
UPDATES, SIZE = 9, 4


def small_encoder(folder, task, *, dropout):
    """A tiny network for a task, the same each time."""
    source = pretrained.find(str(folder))
    config = pretrained.load_config(source)
    config.num_labels = len(task.outputs())
    torch.manual_seed(0)
    encoder = Encoder(pretrained.load_network(source, task.architecture(), config))
    encoder.set_dropout(hidden=dropout, attention=dropout)
    return encoder


@pytest.fixture
def encoder_of(pretrained_folder):
    """Give a tiny network for a task, with dropout above the frozen layers."""

    def load(name="bert", task=TASKS["one class"], *, dropout=0.1):
        encoder = small_encoder(pretrained_folder(name), task, dropout=dropout)
        encoder.still = frozen_parts(encoder.network, FROZEN.frozen_layers)
        return encoder

    return load


def kept_by(encoder, windows, *, layers=1):
    kept = Kept(encoder, layers, windows)
    assert unwatched(kept.read(token_budget=50)) is None
    return kept


def updates(encoder, windows, *, task=TASKS["one class"]):
    optimizer = Optimizer(encoder.network, train=Train(learning_rate=1e-2, token_budget=30), regularize=FROZEN, steps=UPDATES)
    order = Order(len(windows), SIZE, 1)
    return engine.fit(encoder, windows, optimizer=optimizer, order=order, loss=objective(task, FROZEN))


@every_network
@pytest.mark.parametrize("task", ["one class", "entities", "answers"])
def test_what_is_learned_is_what_is_learned_without(encoder_of, name, task):
    """With dropout above the frozen layers: masks are drawn by the layers that drop, and the frozen ones do not."""
    task = TASKS[task]
    windows = windows_of(task, count=12)
    one, other = encoder_of(name, task), encoder_of(name, task)
    before = {key: weight.clone() for key, weight in one.network.state_dict().items()}
    choose(one.network, FROZEN)
    with kept_by(one, windows).in_place():
        losses = [step.loss.item() for step in updates(one, windows, task=task)]
    assert losses == pytest.approx([step.loss.item() for step in updates(other, windows, task=task)], rel=1e-3)
    for key, weight in other.network.state_dict().items():
        torch.testing.assert_close(one.network.state_dict()[key], weight, rtol=1e-3, atol=1e-4)
    assert not all(weight.equal(before[key]) for key, weight in one.network.state_dict().items())


@every_network
def test_frozen_layers_drop_nothing(encoder_of, name):
    encoder, batch, seen = encoder_of(name, dropout=0.5), pack(windows_of(TASKS["one class"])), []
    whole_layers(encoder.network)[0].register_forward_hook(lambda _module, _given, out: seen.append(out))
    encoder.train()
    one, other = encoder(batch), encoder(batch)
    assert seen[0].equal(seen[1])
    assert not one.equal(other)


def test_every_token_goes_through_the_frozen_layers_once(encoder_of):
    windows, rows = windows_of(TASKS["one class"], count=12), Counter()
    encoder = encoder_of()
    for number, layer in enumerate(whole_layers(encoder.network)):
        layer.intermediate.dense.register_forward_hook(lambda _m, _given, out, n=number: rows.update({n: out.shape[:-1].numel()}))
    choose(encoder.network, FROZEN)
    tokens = sum(map(len, windows))
    kept = kept_by(encoder, windows)
    trial = rows[1]  # a piece is read once more by all layers, to see whether both ways agree
    rows.clear()
    with kept.in_place():
        list(updates(encoder, windows))
        encoder.network.eval()
        encoder(pack(windows))
    assert trial <= 2 * 50
    assert rows == {1: tokens * UPDATES * SIZE // len(windows) + tokens}


def test_an_update_costs_what_lies_above(encoder_of):
    """Forward and back are 3 parts a layer that learns, and 1 that does not: of two layers 4 parts, and 3 with what is kept."""
    windows, work = windows_of(TASKS["one class"], count=SIZE), []
    for keep in (False, True):
        encoder = encoder_of(dropout=0.0)
        choose(encoder.network, FROZEN)
        kept = kept_by(encoder, windows)
        with kept.in_place() if keep else nullcontext(), FlopCounterMode(display=False) as counted:
            next(updates(encoder, windows))
        work.append(counted.get_total_flops())
    assert work[1] / work[0] == pytest.approx(3 / 4, rel=0.03)


def test_texts_that_are_not_kept_are_read_as_ever(encoder_of):
    windows = windows_of(TASKS["one class"], count=8)
    encoder = encoder_of()
    choose(encoder.network, FROZEN)
    encoder.network.eval()
    expected = encoder(pack(windows))
    with kept_by(encoder, windows[:5]).in_place():
        encoder.network.eval()
        assert encoder(pack(windows)).equal(expected)
        torch.testing.assert_close(encoder(pack(windows[:5])), expected[:5], rtol=1e-4, atol=1e-5)
    assert not any("forward" in vars(layer) for layer in whole_layers(encoder.network))


def test_texts_of_the_same_tokens_are_kept_once(encoder_of):
    windows = windows_of(TASKS["one class"], count=4)
    encoder = encoder_of()
    assert Kept(encoder, 1, windows * 3).gib == Kept(encoder, 1, windows).gib == sum(map(len, windows)) * 32 * 4 / 2**30


def test_what_is_kept_depends_on_the_texts_alone_and_not_on_their_order(encoder_of):
    windows = windows_of(TASKS["one class"], count=12)
    encoder = encoder_of()
    choose(encoder.network, FROZEN)
    one, other = kept_by(encoder, windows), kept_by(encoder, windows)
    assert one._hidden_MD.equal(other._hidden_MD)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("deberta-v3", "this architecture is called padded"),
        ("albert", "this architecture does not call its layers one after the other"),
    ],
)
def test_what_cannot_be_kept_is_told(encoder_of, name, why):
    encoder = encoder_of(name)
    encoder.network.requires_grad_(False)
    assert unwatched(Kept(encoder, 1, windows_of(TASKS["one class"])).read(token_budget=50)) == why


def test_layers_under_which_something_learns_are_not_kept(encoder_of):
    encoder = encoder_of()
    choose(encoder.network, FROZEN)
    encoder.network.get_input_embeddings().weight.requires_grad_(True)
    found = unwatched(Kept(encoder, 1, windows_of(TASKS["one class"])).read(token_budget=50))
    assert found == "weights that learn have a part in what they give"


# --- in a training


@pytest.fixture
def lesson(tmp_path, pretrained_folder):
    """Give what a training with a frozen layer says, and the folder of its run."""

    def give(*settings, name="run"):
        (tmp_path / "train.csv").write_text("\n".join(["text,label", *reviews(12)]), encoding="utf-8")
        plain = ["train.precision=fp32", "train.epochs=2", "audit.allow=all", "split.dev=0.25", "regularize.frozen_layers=1"]
        config = read_config(None, [*plain, f"model.base_model={pretrained_folder('bert')}", *settings])
        return list(train(tmp_path / "train.csv", out=tmp_path / name, config=config)), tmp_path / name

    return give


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_memory_decides_how_fast_it_learns_and_never_what(lesson):
    events, kept = lesson()
    assert said(events, "frozen layers")[0].startswith("what they give is computed once and kept, in 0.00 GiB")
    events, anew = lesson("train.frozen_cache_gib=1e-9", name="anew")
    assert said(events, "frozen layers") == [
        "what they give is computed anew in every epoch: it would take 0.0 GiB, and train.frozen_cache_gib is 1e-09"
    ]
    events, off = lesson("train.frozen_cache_gib=0", name="off")
    assert said(events, "frozen layers") == []
    assert losses(anew) == losses(off) == pytest.approx(losses(kept), rel=1e-3)


@pytest.mark.parametrize("recipe", ["adversarial", "freelb"])
def test_adversarial_training_changes_what_they_read(lesson, recipe):
    events, _ = lesson(f"regularize.{recipe}=1")
    told = f"what they give is computed anew in every epoch: regularize.{recipe} changes what they read"
    assert said(events, "frozen layers") == [told]


def test_without_frozen_layers_nothing_is_said_of_them(lesson):
    events, _ = lesson("regularize.frozen_layers=0")
    assert said(events, "frozen layers") == []
