import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from headway import pretrained
from headway.config import Regularize, Train
from headway.errors import ConfigError
from headway.optimize import Optimizer, schedule

RATE = 1e-2


@pytest.fixture
def network(pretrained_folder):
    """Give a tiny stock BERT with a new head."""
    return load(pretrained_folder("bert"))


def load(folder):
    source = pretrained.find(str(folder))
    config = pretrained.load_config(source)
    config.num_labels = 3
    torch.manual_seed(0)
    return pretrained.load_network(source, AutoModelForSequenceClassification, config)


def optimizer_of(network, *, steps=10, train=None, **regularize):
    return Optimizer(network, train=Train(learning_rate=RATE, **(train or {})), regularize=Regularize(**regularize), steps=steps)


def give_gradients(network, seed, scale=1.0):
    torch.manual_seed(seed)
    for weight in network.parameters():
        drawn = torch.randn(weight.shape) * scale
        if weight.requires_grad:
            weight.grad = drawn.to(weight.dtype)


def named(network):
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def moved(network, before):
    return {name for name, weight in network.named_parameters() if not weight.detach().equal(before[name])}


# --- schedule


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.1, 0.5, 0.99])
def test_the_rate_rises_in_a_line_to_its_peak_and_falls_in_a_line(steps, warmup):
    shares = [schedule(step, steps=steps, warmup=warmup) for step in range(steps)]
    peak = max(round(steps * warmup), 1)
    assert shares[peak - 1] == 1
    assert all(0 < share <= 1 for share in shares)
    rises = {round(b - a, 9) for a, b in pairwise(shares[:peak])}
    falls = {round(b - a, 9) for a, b in pairwise(shares[peak:])}
    assert len(rises) <= 1
    assert len(falls) <= 1
    assert all(rise > 0 for rise in rises)
    assert all(fall < 0 for fall in falls)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_the_last_update_is_the_smallest_of_the_fall(warmup):
    assert schedule(99, steps=100, warmup=warmup) == pytest.approx(1 / (100 - max(round(100 * warmup), 1)))


# --- groups


def test_weights_decay_and_norms_and_biases_do_not(network):
    before = named(network)
    optimizer = optimizer_of(network, weight_decay=0.5, train={"warmup": 0.0})
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.accumulate()
    optimizer.step(0)
    for name, weight in network.named_parameters():
        kept = 1.0 if name.endswith("bias") or "LayerNorm" in name else 1 - RATE * 0.5
        torch.testing.assert_close(weight.detach(), before[name] * kept, rtol=1e-6, atol=0)


def test_each_layer_down_learns_at_its_share_of_the_rate_above(network):
    before = named(network)
    optimizer = optimizer_of(network, layer_decay=0.5, weight_decay=0.0, train={"warmup": 0.0, "max_grad_norm": 1e9})
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(0)
    # the first update of Adam moves every weight by the whole rate, whatever its gradient is
    moves = {name: (weight.detach() - before[name]).abs().median().item() / RATE for name, weight in network.named_parameters()}
    depths = {"classifier": 0, "bert.pooler": 1, "layer.1.": 1, "layer.0.": 2, "bert.embeddings": 3}
    for name, move in moves.items():
        depth = next(depth for part, depth in depths.items() if part in name)
        assert move == pytest.approx(0.5**depth, rel=1e-3), name


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "electra", "deberta-v3", "modernbert", "mpnet", "camembert"])
def test_frozen_layers_and_what_is_below_stay_as_they_were(pretrained_folder, name):
    network = load(pretrained_folder(name))
    before = named(network)
    optimizer = optimizer_of(network, frozen_layers=1)
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(0)
    learned = moved(network, before)
    assert not [key for key in learned if "embeddings" in key or "layer.0." in key or "layers.0." in key]
    assert [key for key in learned if "layer.1." in key or "layers.1." in key]
    assert [key for key in learned if key.startswith(("classifier", "score"))]


def test_more_frozen_layers_than_there_are_is_an_error(network):
    with pytest.raises(ConfigError, match=r"^regularize.frozen_layers = 3: the network has 2 layers$"):
        optimizer_of(network, frozen_layers=3)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "electra", "albert", "deberta-v3", "mpnet"])
@pytest.mark.parametrize("frozen", [0, 1])
def test_of_the_pretrained_network_biases_alone_learn(pretrained_folder, name, frozen):
    network = load(pretrained_folder(name))
    before = named(network)
    optimizer = optimizer_of(network, parameters="biases", frozen_layers=frozen)
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(0)
    inside = {f"{network.base_model_prefix}.{name}" for name, _ in network.base_model.named_parameters()}
    below = {key for key in inside if frozen and ("embed" in key or "layer.0." in key or "layers.0." in key)}
    assert moved(network, before) == {key for key in before if key not in inside or (key.endswith("bias") and key not in below)}


@pytest.mark.parametrize(("step", "learned"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (8, 2), (9, 3), (11, 3)])
def test_layers_begin_to_learn_from_the_top_down(network, step, learned):
    """Of 12 updates the first 9 are for it: the head at once, then every third update a layer, the embeddings last."""
    before = named(network)
    optimizer = optimizer_of(network, steps=12, unfreezing=0.75)
    optimizer.begin(step, [])
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(step)
    parts = [("classifier",), ("bert.pooler", "layer.1."), ("layer.0.",), ("embeddings",)]
    assert moved(network, before) == {key for key in before if any(name in key for part in parts[: learned + 1] for name in part)}


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_in_the_end_all_learn_that_are_not_frozen(network, frozen):
    optimizer = optimizer_of(network, steps=12, unfreezing=0.75, frozen_layers=frozen)
    can = {name for name, weight in network.named_parameters() if weight.requires_grad}
    optimizer.begin(0, [])
    assert {name for name, weight in network.named_parameters() if weight.requires_grad} < can
    optimizer.begin(9, [])
    assert {name for name, weight in network.named_parameters() if weight.requires_grad} == can


def test_a_weight_that_waited_learns_as_if_it_were_its_first_update(network):
    """Its moments are young: with the first gradient it moves by the whole rate."""
    optimizer = optimizer_of(network, steps=12, unfreezing=0.75, weight_decay=0.0, train={"warmup": 0.0, "max_grad_norm": 1e9})
    for step in range(7):
        before = named(network)
        optimizer.begin(step, [])
        give_gradients(network, step)
        optimizer.accumulate()
        optimizer.step(step)
    name = "bert.encoder.layer.0.output.dense.weight"
    move = (dict(network.named_parameters())[name].detach() - before[name]).abs().median().item()
    assert move == pytest.approx(optimizer.learning_rate(6), rel=1e-3)


LATER = {"an average": {"ema_decay": 0.5}, "unfreezing": {"unfreezing": 0.5}, "no row updates": {}}


@pytest.mark.parametrize("recipe", LATER.values(), ids=LATER)
def test_a_table_that_has_learned_by_rows_learns_as_a_whole_where_the_next_training_wants_that(network, recipe):
    """Trials of a search share a network."""
    ids, before = torch.tensor([[2, 7, 9, 3]]), {name: weight.clone() for name, weight in network.state_dict().items()}

    def learned(optimizer):
        optimizer.wake(10)
        network(ids, labels=torch.tensor([1])).loss.backward()
        optimizer.accumulate()
        optimizer.step(0)
        return named(network)

    fresh = learned(optimizer_of(network, **recipe))
    network.load_state_dict(before)
    Optimizer(network, train=Train(learning_rate=RATE), regularize=Regularize(), steps=10, table=network.get_input_embeddings())
    after = learned(optimizer_of(network, **recipe))
    assert all(weight.equal(fresh[name]) for name, weight in after.items())
    assert not fresh["bert.embeddings.word_embeddings.weight"].equal(before["bert.embeddings.word_embeddings.weight"])


def test_a_network_without_biases_is_told(pretrained_folder):
    with pytest.raises(ConfigError, match=r'^regularize.parameters = "biases": the network has none; leave it away$'):
        optimizer_of(load(pretrained_folder("modernbert")), parameters="biases")


def test_masters_are_the_pretrained_weights_and_not_their_rounding(network):
    exact = named(network)
    optimizer = optimizer_of(network, frozen_layers=1)
    network.to(torch.bfloat16)
    assert all(master.equal(exact[name]) for name, master in optimizer.masters().items())
    assert optimizer.masters().keys() == exact.keys()


def test_what_is_adopted_is_learned_on_from(network):
    optimizer = optimizer_of(network)
    with torch.no_grad():
        network.classifier.weight.fill_(0.5)
    optimizer.adopt(network.classifier)
    assert optimizer.masters()["classifier.weight"].eq(0.5).all()


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert"])
def test_nothing_is_frozen_where_nothing_is_asked_for(pretrained_folder, name):
    network = load(pretrained_folder(name))
    before = named(network)
    optimizer = optimizer_of(network)
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(0)
    assert moved(network, before) == set(before)


# --- updates


def test_an_fp32_network_learns_as_with_plain_adamw(network):
    plain = copy.deepcopy(network)
    decaying = [weight for name, weight in plain.named_parameters() if weight.ndim > 1]
    others = [weight for name, weight in plain.named_parameters() if weight.ndim < 2]
    adamw = torch.optim.AdamW([{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=RATE)
    optimizer = optimizer_of(network, weight_decay=0.1, steps=8)
    for step in range(8):
        give_gradients(network, step)
        give_gradients(plain, step)
        optimizer.accumulate()
        optimizer.step(step)
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        for group in adamw.param_groups:
            group["lr"] = RATE * schedule(step, steps=8, warmup=0.1)
        adamw.step()
    for (name, weight), right in zip(network.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, right, rtol=1e-6, atol=1e-6, msg=name)  # fused and plain Adam round apart


def test_the_gradients_of_pieces_are_added(network):
    whole, pieces = copy.deepcopy(network), network
    one, other = optimizer_of(whole), optimizer_of(pieces)
    first, second = [], []
    for seed, kept in ((1, first), (2, second)):
        give_gradients(pieces, seed)
        kept += [weight.grad.clone() for weight in pieces.parameters()]
        other.accumulate()
    for weight, a, b in zip(whole.parameters(), first, second, strict=True):
        weight.grad = a + b
    one.accumulate()
    assert one.step(0).equal(other.step(0))
    assert all(a.equal(b) for a, b in zip(whole.parameters(), pieces.parameters(), strict=True))


def test_a_gradient_is_used_once(network):
    optimizer = optimizer_of(network, weight_decay=0.0)
    give_gradients(network, 1)
    optimizer.accumulate()
    optimizer.step(0)
    assert all(weight.grad is None for weight in network.parameters())
    assert all(master.grad is None for master in optimizer.masters().values())


def test_the_norm_is_told_as_it_was_before_clipping(network):
    optimizer = optimizer_of(network)
    give_gradients(network, 1)
    expected = math.sqrt(sum(weight.grad.double().square().sum().item() for weight in network.parameters()))
    optimizer.accumulate()
    assert optimizer.step(0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("limit", "factor"), [(1.0, 100.0), (1e6, 1.0)])
def test_a_gradient_over_the_limit_is_shortened_to_it(network, limit, factor):
    """Two updates with gradients `factor` times larger in the second: Adam sees the difference only where nothing is clipped."""
    clipped, steady = copy.deepcopy(network), network
    one = optimizer_of(clipped, train={"max_grad_norm": limit})
    other = optimizer_of(steady, train={"max_grad_norm": limit})
    for step, times in enumerate((1.0, factor)):
        give_gradients(clipped, step, times)
        give_gradients(steady, step)
        one.accumulate()
        other.accumulate()
        one.step(step)
        other.step(step)
    for a, b in zip(clipped.parameters(), steady.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_masters_keep_updates_that_bf16_would_lose():
    network = Head(torch.ones(8, 8, dtype=torch.bfloat16))
    optimizer = Optimizer(network, train=Train(learning_rate=1e-4, warmup=0.0), regularize=Regularize(weight_decay=0.0), steps=1000)
    for step in range(10):
        network.weight.grad = torch.ones_like(network.weight)
        optimizer.accumulate()
        optimizer.step(step)
    master = optimizer.masters()["weight"]
    assert network.weight.dtype == torch.bfloat16
    assert network.weight.equal(torch.ones_like(network.weight))  # 1 - 0.001 is 1 in bf16
    torch.testing.assert_close(master, torch.full((8, 8), 1 - 10e-4), rtol=0, atol=1e-5)
    for step in range(10, 60):
        network.weight.grad = torch.ones_like(network.weight)
        optimizer.accumulate()
        optimizer.step(step)
    assert (network.weight < 1).all()
    assert network.weight.equal(master.bfloat16())


class Head(nn.Module):
    base_model_prefix = "base"

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_optimiser_goes_on_bit_for_bit(network, dtype):
    unbroken, broken = network.to(dtype), copy.deepcopy(network).to(dtype)
    one, other = optimizer_of(unbroken), optimizer_of(broken)
    for step in range(6):
        if step == 3:
            kept = {name: tensor.clone() for name, tensor in other.state().items()}
            broken = load_like(network)
            other = optimizer_of(broken)
            other.restore(kept, done=3)
        for net, optimizer in ((unbroken, one), (broken, other)):
            give_gradients(net, step)
            optimizer.accumulate()
            optimizer.step(step)
    assert all(a.equal(b) for a, b in zip(unbroken.parameters(), broken.parameters(), strict=True))
    assert all(one.masters()[name].equal(master) for name, master in other.masters().items())
    assert all(one.state()[name].equal(tensor) for name, tensor in other.state().items())


def load_like(network):
    fresh = copy.deepcopy(network)
    with torch.no_grad():
        for weight in fresh.parameters():
            weight.zero_()
    return fresh


def test_a_weight_that_nothing_was_learned_about_stays_and_is_kept(network):
    optimizer = optimizer_of(network)
    give_gradients(network, 1)
    network.bert.pooler.dense.weight.grad = None
    before = network.bert.pooler.dense.weight.detach().clone()
    optimizer.accumulate()
    optimizer.step(0)
    assert network.bert.pooler.dense.weight.equal(before)
    fresh = optimizer_of(load_like(network))
    fresh.restore(optimizer.state(), done=1)
    assert fresh.masters()["bert.pooler.dense.weight"].equal(before)
