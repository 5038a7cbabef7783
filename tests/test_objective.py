from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch.nn import functional as F

from headway import pretrained
from headway.config import Regularize
from headway.encoder import Encoder
from headway.objective import objective, plain
from headway.packing import pack
from headway.records import Window
from headway.regularize import drop
from headway.tasks.classification import Classification
from headway.tasks.ner import EntityRecognition
from headway.tasks.qa import QuestionAnswering

CLASSES = ("a", "b", "c")
TASKS = {
    "one class": Classification("single", CLASSES, max_tokens=128, overlap=0),
    "sets of classes": Classification("multi", CLASSES, max_tokens=128, overlap=0),
    "a number": Classification("number", ("number",), max_tokens=128, overlap=0),
    "entities": EntityRecognition(("X",), max_tokens=128, overlap=0),
    "answers": QuestionAnswering(max_tokens=128, overlap=0),
}
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
DRAWN = {
    "one class": lambda draw, n: draw.integers(0, 3, 1),
    "sets of classes": lambda draw, n: draw.integers(0, 2, (1, 3)).astype(np.float32),
    "a number": lambda draw, n: draw.normal(size=(1, 1)).astype(np.float32),
    "entities": lambda draw, n: np.append(draw.integers(0, 3, n - 1), -100),
    "answers": lambda draw, n: draw.integers(0, n, (1, 2)),
}


def name_of(task):
    return next(
        name for name, other in TASKS.items() if other.name == task.name and getattr(other, "kind", "") == getattr(task, "kind", "")
    )


def windows_of(task, count=6):
    draw = np.random.default_rng(0)
    drawn = [(n, DRAWN[name_of(task)](draw, n)) for n in draw.integers(3, 9, count)]
    return [Window(0, draw.integers(5, 200, n), np.zeros(n, dtype=np.int32), np.zeros((n, 2)), targets) for n, targets in drawn]


def answers(task, windows, seed):
    """Random logits of every window."""
    torch.manual_seed(seed)
    return [torch.randn(1 if task.name == "classification" else len(window), len(task.outputs())) for window in windows]


def cost(loss, network, windows):
    return sum(loss(network, pack(windows)))


class Undecided:
    """A network that answers each time with the next of its answers."""

    def __init__(self, *answers):
        self.answers = iter(answers)

    def __call__(self, batch):
        return next(self.answers)


# --- R-Drop


@every_task
def test_an_answer_is_no_way_apart_from_itself(task):
    windows = windows_of(task)
    logits = torch.cat(answers(task, windows, 0))
    assert task.divergence(logits, logits, pack(windows)) == 0


@every_task
def test_two_answers_are_as_far_apart_one_way_as_the_other(task):
    windows = windows_of(task)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    there, back = task.divergence(one, other, pack(windows)), task.divergence(other, one, pack(windows))
    assert there > 0
    torch.testing.assert_close(there, back)


@every_task
def test_how_far_answers_are_apart_is_a_sum_over_windows(task):
    windows = windows_of(task)
    one, other = (answers(task, windows, seed) for seed in (0, 1))
    alone = sum(task.divergence(a, b, pack([window])) for a, b, window in zip(one, other, windows, strict=True))
    torch.testing.assert_close(task.divergence(torch.cat(one), torch.cat(other), pack(windows)), alone)


def both_ways(p, q):
    return (rel_entr(p, q).sum() + rel_entr(q, p).sum()) / 2


def test_the_divergence_is_that_of_kullback_and_leibler_both_ways():
    task = TASKS["one class"]
    windows = windows_of(task)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    expected = both_ways(one.double().softmax(-1).numpy(), other.double().softmax(-1).numpy())
    assert task.divergence(one, other, pack(windows)).item() == pytest.approx(expected, rel=1e-5)


def test_each_label_of_a_set_is_a_choice_of_its_own():
    task = TASKS["sets of classes"]
    windows = windows_of(task)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    p, q = (torch.stack([x.double().sigmoid(), 1 - x.double().sigmoid()]).numpy() for x in (one, other))
    assert task.divergence(one, other, pack(windows)).item() == pytest.approx(both_ways(p, q), rel=1e-5)


def test_tokens_without_a_target_are_left_out():
    task = TASKS["entities"]
    windows = windows_of(task, count=1)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    p, q = (x[:-1].double().softmax(-1).numpy() for x in (one, other))
    assert task.divergence(one, other, pack(windows)).item() == pytest.approx(both_ways(p, q), rel=1e-5)


def test_where_an_answer_stands_is_a_choice_among_the_tokens_of_its_window():
    task = TASKS["answers"]
    windows = windows_of(task, count=1)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    p, q = (x.double().softmax(0).numpy() for x in (one, other))
    assert task.divergence(one, other, pack(windows)).item() == pytest.approx(both_ways(p, q), rel=1e-5)


@every_task
def test_the_cost_of_r_drop_is_the_equation(task):
    windows = windows_of(task)
    one, other = (torch.cat(answers(task, windows, seed)) for seed in (0, 1))
    batch = pack(windows)
    expected = (task.loss(one, batch) + task.loss(other, batch)) / 2 + 3.0 * task.divergence(one, other, batch)
    torch.testing.assert_close(cost(objective(task, Regularize(r_drop=3.0)), Undecided(one, other), windows), expected)


@every_task
def test_r_drop_costs_a_network_that_is_sure_of_its_answer_what_the_plain_loss_does(task):
    windows = windows_of(task)
    logits = torch.cat(answers(task, windows, 0))
    expected = cost(plain(task.loss), Undecided(logits), windows)
    torch.testing.assert_close(cost(objective(task, Regularize(r_drop=3.0)), Undecided(logits, logits), windows), expected)


def test_r_drop_draws_answers_together():
    """Going down its slope alone, two answers end as one."""
    task = replace(TASKS["one class"])
    windows = windows_of(task)
    one, other = (torch.cat(answers(task, windows, seed)).requires_grad_() for seed in (0, 1))
    descent = torch.optim.SGD([one, other], lr=0.5)
    before = task.divergence(one, other, pack(windows)).item()
    for _ in range(50):
        descent.zero_grad()
        task.divergence(one, other, pack(windows)).backward()
        descent.step()
    assert task.divergence(one, other, pack(windows)) < 0.05 * before
    assert F.softmax(one, -1).max() < 1


# --- multi-sample dropout


def read_by_the_last_layer(encoder, batch):
    """Its input and its answer, without dropout."""
    read = []
    hook = encoder.head().register_forward_pre_hook(lambda _module, given: read.append(given[0]))
    encoder.network.eval()
    logits = encoder(batch)
    encoder.network.train()
    hook.remove()
    return read[0].detach(), logits.detach()


@every_task
@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "modernbert", "deberta-v2"])
def test_the_cost_is_the_mean_over_masks_on_the_last_layer(encoder_of, task, name):
    encoder, batch = encoder_of(name, task=task), pack(windows_of(task))
    features, _ = read_by_the_last_layer(encoder, batch)
    torch.manual_seed(5)
    rows = [encoder.head()(drop(features, 0.5)) for _ in range(4)]
    expected = sum(task.loss(row.squeeze(0) if row.ndim == 3 else row, batch) for row in rows) / 4
    torch.manual_seed(5)
    found = sum(objective(task, Regularize(head_samples=4, head_dropout=0.5))(encoder, batch))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@every_task
def test_without_dropout_every_mask_is_the_plain_loss(encoder_of, task):
    encoder, batch = encoder_of("bert", task=task), pack(windows_of(task))
    found = sum(objective(task, Regularize(head_samples=3, head_dropout=0.0))(encoder, batch))
    torch.testing.assert_close(found, sum(plain(task.loss)(encoder, batch)))


def test_masks_stand_in_the_place_of_the_dropout_of_the_head(encoder_of):
    """RoBERTa's has it twice; with both passed over and masks that drop nothing, nothing is left to chance."""
    task = TASKS["one class"]
    encoder, batch = encoder_of("roberta", task=task), pack(windows_of(task))
    for module in encoder.head_dropouts():
        module.p = 0.5
    loss = objective(task, Regularize(head_samples=2, head_dropout=0.0))
    assert sum(loss(encoder, batch)) == sum(loss(encoder, batch))
    assert sum(plain(task.loss)(encoder, batch)) != sum(plain(task.loss)(encoder, batch))


def test_what_lies_below_the_last_layer_is_computed_once(encoder_of):
    task = TASKS["entities"]
    encoder, batch, calls = encoder_of("bert", task=task), pack(windows_of(task)), []
    encoder.network.base_model.register_forward_hook(lambda *_: calls.append("below"))
    encoder.head().register_forward_hook(lambda _module, _given, out: calls.append(out.shape[-2]))
    sum(objective(task, Regularize(head_samples=6))(encoder, batch))
    assert calls == ["below", 6 * sum(batch.lengths)]


def test_the_masks_are_gone_where_nothing_is_learned(encoder_of):
    task = TASKS["one class"]
    encoder, batch = encoder_of("bert", task=task), pack(windows_of(task))
    _, before = read_by_the_last_layer(encoder, batch)
    sum(objective(task, Regularize(head_samples=6))(encoder, batch))
    assert read_by_the_last_layer(encoder, batch)[1].equal(before)
    assert not encoder.head()._forward_pre_hooks


# --- adversarial training


@pytest.fixture
def encoder_of(pretrained_folder):
    """Give a tiny network for a task, without dropout."""

    def load(name, task=TASKS["one class"]):
        source = pretrained.find(str(pretrained_folder(name)))
        config = pretrained.load_config(source)
        config.num_labels = len(task.outputs())
        torch.manual_seed(0)
        encoder = Encoder(pretrained.load_network(source, task.architecture(), config))
        encoder.set_dropout(hidden=0.0, attention=0.0)
        return encoder

    return load


def seen(encoder, batch, **recipe):
    """The embeddings of each window in the passes of adversarial training, the cost of each, and all gradients at the end."""
    passes = []
    table = encoder.network.get_input_embeddings()
    loss, costs = objective(TASKS["one class"], Regularize(**recipe))(encoder, batch), []
    lower = encoder.network.base_model.embeddings.LayerNorm if hasattr(encoder.network.base_model.embeddings, "LayerNorm") else table
    hook = lower.register_forward_pre_hook(lambda _module, given: passes.append(given[0].detach().clone()))
    for cost in loss:
        cost.backward()
        costs.append(cost.detach())
    hook.remove()
    gradients = {name: weight.grad.clone() for name, weight in encoder.network.named_parameters() if weight.grad is not None}
    return passes, costs, gradients


def parts(embedded, batch, layout):
    return embedded[0].split(batch.lengths) if layout == "packed" else [row[:n] for row, n in zip(embedded, batch.lengths, strict=True)]


@pytest.mark.parametrize("radius", [0.01, 1.0])
@pytest.mark.parametrize("name", ["bert", "roberta", "mpnet", "deberta-v2"])
def test_the_embeddings_of_every_window_are_pushed_by_the_radius(encoder_of, name, radius):
    encoder, batch = encoder_of(name), pack(windows_of(TASKS["one class"]))
    (clean, pushed), _, _ = seen(encoder, batch, adversarial=radius)
    for before, after in zip(parts(clean, batch, encoder.layout), parts(pushed, batch, encoder.layout), strict=True):
        assert (after - before).norm().item() == pytest.approx(radius, rel=1e-3)


@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_a_push_goes_where_the_loss_of_its_own_window_grows_fastest(encoder_of, name):
    """By the size of its gradient, for a step so small that the loss is a plane."""
    encoder, batch, radius = encoder_of(name), pack(windows_of(TASKS["one class"])), 1e-3
    table = encoder.network.get_input_embeddings()
    read = []
    hook = table.register_forward_hook(lambda _module, _given, out: out.retain_grad() or read.append(out))
    sum(plain(TASKS["one class"].loss)(encoder, batch)).backward()
    hook.remove()
    steepest = sum(part.norm().item() for part in parts(read[0].grad, batch, encoder.layout))
    encoder.network.zero_grad()
    _, (clean, pushed), _ = seen(encoder, batch, adversarial=radius)
    assert 2 * (pushed - clean).item() == pytest.approx(radius * steepest, rel=0.05)


def test_adversarial_training_nears_the_plain_one_as_the_push_nears_0(encoder_of):
    batch = pack(windows_of(TASKS["one class"]))
    encoder, other = encoder_of("bert"), encoder_of("bert")
    _, costs, gradients = seen(encoder, batch, adversarial=1e-9)
    cost = sum(plain(TASKS["one class"].loss)(other, batch))
    cost.backward()
    torch.testing.assert_close(sum(costs), cost.detach())
    for name, weight in other.network.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-5)


def test_a_window_without_a_target_is_not_pushed(encoder_of):
    windows = windows_of(TASKS["one class"])
    windows[0] = replace(windows[0], targets_A=np.array([-100]))
    encoder, batch = encoder_of("bert"), pack(windows)
    (clean, pushed), _, _ = seen(encoder, batch, adversarial=1.0)
    first, *others = zip(parts(clean, batch, "packed"), parts(pushed, batch, "packed"), strict=True)
    assert first[0].equal(first[1])
    assert not any(before.equal(after) for before, after in others)


def test_nothing_is_left_on_the_network(encoder_of):
    encoder, batch = encoder_of("bert"), pack(windows_of(TASKS["one class"]))
    before = encoder(batch).detach()
    seen(encoder, batch, adversarial=5.0)
    assert encoder(batch).equal(before)
    assert not encoder.network.get_input_embeddings()._forward_hooks


# --- FreeLB

STEPS = 4
every_layout = pytest.mark.parametrize("name", ["bert", "roberta", "mpnet", "deberta-v2"])


def climbed(encoder, batch, radius):
    """How far the embeddings of each window are from their own in every pass, and the costs."""
    (clean, _), _, _ = seen(encoder, batch, adversarial=1e-9)
    encoder.network.zero_grad()
    passes, costs, _ = seen(encoder, batch, freelb=radius, freelb_steps=STEPS)
    own = parts(clean, batch, encoder.layout)
    return [[b - a for a, b in zip(own, parts(there, batch, encoder.layout), strict=True)] for there in passes], costs


@every_layout
def test_no_embedding_gets_further_than_the_radius(encoder_of, name):
    pushes, costs = climbed(encoder_of(name), pack(windows_of(TASKS["one class"])), 0.5)
    assert len(pushes) == len(costs) == STEPS
    lengths = torch.tensor([[push.norm() for push in there] for there in pushes])
    assert lengths.max() <= 0.5 * 1.001
    assert (lengths[0] > 0).all()


@every_layout
def test_each_pass_goes_a_step_further_from_a_random_start(encoder_of, name):
    """By a share of the radius, but where that is reached."""
    radius = 0.5
    pushes, _ = climbed(encoder_of(name), pack(windows_of(TASKS["one class"])), radius)
    steps = [(other - one, other) for before, after in pairwise(pushes) for one, other in zip(before, after, strict=True)]
    free = [step.norm().item() for step, there in steps if there.norm() < radius * 0.999]
    assert free == pytest.approx([radius / STEPS] * len(free), rel=0.02)
    assert len(free) > len(pushes[0])
    assert all(step.norm() <= radius / STEPS * 1.01 for step, _ in steps)


@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_from_pass_to_pass_the_loss_grows(encoder_of, name):
    """Along so small a way that it is a plane."""
    _, costs = climbed(encoder_of(name), pack(windows_of(TASKS["one class"])), 0.02)
    assert costs == sorted(costs)
    assert costs[-1] > costs[0]


def test_every_pass_of_a_batch_has_the_same_masks_of_dropout(encoder_of):
    encoder, batch = encoder_of("bert"), pack(windows_of(TASKS["one class"]))
    encoder.set_dropout(hidden=0.3, attention=0.0)
    encoder.network.train()
    first, *others = seen(encoder, batch, freelb=1e-9, freelb_steps=STEPS)[1]
    assert all(cost.item() == pytest.approx(first.item(), rel=1e-5) for cost in others)
    assert seen(encoder, batch, freelb=1e-9, freelb_steps=STEPS)[1][0] != first


def test_free_lb_nears_the_plain_loss_as_the_radius_nears_0(encoder_of):
    batch = pack(windows_of(TASKS["one class"]))
    encoder, other = encoder_of("bert"), encoder_of("bert")
    _, costs, gradients = seen(encoder, batch, freelb=1e-9, freelb_steps=STEPS)
    cost = sum(plain(TASKS["one class"].loss)(other, batch))
    cost.backward()
    torch.testing.assert_close(sum(costs), cost.detach())
    for name, weight in other.network.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-5)


@every_task
@pytest.mark.parametrize("other", [{}, {"r_drop": 1.0}], ids=["alone", "with R-Drop"])
def test_free_lb_goes_with_every_task(encoder_of, task, other):
    encoder, batch, costs = encoder_of("bert", task=task), pack(windows_of(task)), []
    encoder.set_dropout(hidden=0.1, attention=0.0)
    for cost in objective(task, Regularize(freelb=0.5, freelb_steps=2, **other))(encoder, batch):
        cost.backward()
        costs.append(cost.item())
    assert len(costs) == 2
    assert np.isfinite(costs).all()
    assert not encoder.network.get_input_embeddings()._forward_hooks
