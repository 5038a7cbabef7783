import sys

import pytest
import torch
from peft.tuners.lora import LoraLayer
from test_tasks import ENTITIES, QUESTIONS, SINGLE, start
from transformers import AutoTokenizer

from headway import engine
from headway.adapters import count_added, merged, placed
from headway.config import Regularize, Train
from headway.errors import ConfigError
from headway.objective import objective
from headway.optimize import Optimizer
from headway.packing import Order, pack

NETWORKS = ["bert", "roberta", "distilbert", "deberta-v3", "modernbert", "electra", "albert", "mpnet"]
LESSONS = {"classification": SINGLE, "ner": ENTITIES, "qa": QUESTIONS}
MATRICES = {"albert": (6, 4), "modernbert": (8, 4), "deberta-v3": (16, 12)}  # in all and of attention: shared, fused, of positions too
every_network = pytest.mark.parametrize("name", NETWORKS)
every_task = pytest.mark.parametrize("task", LESSONS)
RANK = 3


def adapted(folder, task="classification", **lora):
    regularize = {"parameters": "lora", "dropout": 0.0}
    return start(folder, task, LESSONS[task], regularize=regularize, lora={"rank": RANK, "alpha": 6.0} | lora)


def stir(network):
    """Adapters as if they had learned: what they begin with adds nothing."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if ".lora_" in name:
                weight.copy_(torch.randn_like(weight) / 4)


def taught(fresh, records, *, updates=6):
    windows = fresh.task.windows(records, fresh.tokenizer)
    recipe = Regularize(parameters="lora")
    optimizer = Optimizer(fresh.encoder.network, train=Train(learning_rate=1e-2), regularize=recipe, steps=updates)
    order = Order(len(windows), len(windows), 1)
    for _ in engine.fit(fresh.encoder, windows, optimizer=optimizer, order=order, loss=objective(fresh.task, recipe)):
        pass
    return optimizer


def logits_of(network, tokenizer, record):
    """What plain transformers makes of a record, unpadded and alone."""
    first, second = (record.question, record.text) if record.question else (record.text, record.text_pair)
    with torch.no_grad():
        said = network(**tokenizer(first, second, return_tensors="pt"))
    logits = torch.stack([said.start_logits, said.end_logits], -1) if record.question else said.logits
    return logits[0] if logits.ndim == 3 else logits


@every_network
@every_task
def test_a_network_answers_as_before_until_its_adapters_have_learned(pretrained_folder, name, task):
    fresh, plain = adapted(pretrained_folder(name), task), start(pretrained_folder(name), task, LESSONS[task])
    batch = pack(fresh.task.windows(LESSONS[task], fresh.tokenizer))
    for model in (fresh, plain):
        model.encoder.network.eval()
    assert fresh.encoder(batch).equal(plain.encoder(batch))


@every_network
@every_task
def test_plain_transformers_answers_from_the_saved_folder_as_the_adapted_network_does(pretrained_folder, tmp_path, name, task):
    """Merged is as unmerged, packed as alone, and the folder is a stock one."""
    model, records = adapted(pretrained_folder(name), task), LESSONS[task]
    untaught = model.decisions(model.task.windows(records, model.tokenizer))
    stir(model.encoder.network)
    model.save(tmp_path / "model")
    stock, loading = model.task.architecture().from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading.values()), loading
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    windows = model.task.windows(records, model.tokenizer)
    model.encoder.network.eval()
    found = model.encoder(pack(windows)).detach()
    parts = found.split([1] * len(windows) if task == "classification" else [len(window) for window in windows])
    for record, part in zip(records, parts, strict=True):
        expected = logits_of(stock, tokenizer, record)
        torch.testing.assert_close(part, expected, rtol=0, atol=2e-5 * expected.abs().max().item())
    changed = zip(untaught, model.decisions(windows), strict=True)
    assert all(abs(before - after).max() > 1e-3 for before, after in changed)


@every_network
def test_of_a_training_only_adapters_and_the_new_layer_are_changed(pretrained_folder, name):
    model = adapted(pretrained_folder(name))
    network = model.encoder.network
    before = {key: weight.detach().clone() for key, weight in network.named_parameters()}
    taught(model, SINGLE)
    moved = {key for key, weight in network.named_parameters() if not weight.detach().equal(before[key])}
    outside = {key for key in before if not key.startswith(f"{network.base_model_prefix}.")}
    assert moved == {key for key in before if ".lora_" in key} | outside


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_what_is_learned_of_a_matrix_has_the_rank(pretrained_folder, rank):
    model = adapted(pretrained_folder("bert"), rank=rank)
    plain = start(pretrained_folder("bert"), "classification", SINGLE).encoder.network.state_dict()
    learned = merged(model.encoder.network, taught(model, SINGLE).weights())
    apart = {name: weight - plain[name] for name, weight in learned.items() if weight.ndim == 2 and not weight.equal(plain[name])}
    inner = {name: change for name, change in apart.items() if name.startswith("bert.")}
    assert len(inner) == 12
    assert {int(torch.linalg.matrix_rank(change, rtol=1e-4)) for change in inner.values()} == {rank}


@every_network
def test_merging_is_that_of_peft(pretrained_folder, name):
    network = adapted(pretrained_folder(name)).encoder.network
    stir(network)
    ours = merged(network, network.state_dict())
    for module in network.modules():
        if isinstance(module, LoraLayer):
            module.merge()
    for key, weight in network.state_dict().items():
        if ".lora_" not in key:
            torch.testing.assert_close(ours[key.replace(".base_layer.", ".")], weight, rtol=1e-6, atol=1e-6)


@every_network
@pytest.mark.parametrize("layers", ["all", "attention"])
def test_each_linear_layer_that_is_asked_for_has_an_adapter(pretrained_folder, name, layers):
    every, of_attention = MATRICES.get(name, (12, 8))
    found = count_added(adapted(pretrained_folder(name), layers=layers).encoder.network)
    assert found.matrices == (every if layers == "all" else of_attention)


def test_an_adapter_has_the_rank_times_the_sides_of_its_matrix(pretrained_folder):
    width, inner = 32, 64
    of_layer = 4 * (width + width) + 2 * (width + inner)
    assert count_added(adapted(pretrained_folder("bert")).encoder.network).parameters == 2 * RANK * of_layer


def test_weights_are_merged_in_fp32_where_the_network_computes_in_bf16(pretrained_folder, tmp_path):
    model = adapted(pretrained_folder("bert"))
    optimizer = taught(model, SINGLE)
    exact = merged(model.encoder.network, optimizer.weights())
    model.cast("bf16")
    model.save(tmp_path / "model", optimizer.weights())
    stock = model.task.architecture().from_pretrained(tmp_path / "model").state_dict()
    assert stock.keys() == exact.keys()
    assert all(weight.equal(exact[name]) for name, weight in stock.items())


def test_stock_weights_are_put_beside_adapters_that_add_nothing(pretrained_folder):
    plain = start(pretrained_folder("bert"), "classification", SINGLE).encoder.network.state_dict()
    network = adapted(pretrained_folder("bert")).encoder.network
    weights = placed(network, {name: weight + 1 for name, weight in plain.items()})
    assert weights.keys() == network.state_dict().keys()
    assert all(weight.equal(plain[name] + 1) for name, weight in merged(network, weights).items())


def test_adapters_of_frozen_layers_would_learn_nothing_and_are_not_there(pretrained_folder):
    regularize = {"parameters": "lora", "frozen_layers": 1}
    network = start(pretrained_folder("bert"), "classification", SINGLE, regularize=regularize).encoder.network
    assert {name.split(".")[3] for name, _ in network.named_parameters() if ".lora_" in name} == {"1"}


def test_dropout_of_adapters_is_theirs_alone(pretrained_folder):
    model = adapted(pretrained_folder("bert"), dropout=0.5)
    model.encoder.set_dropout(hidden=0.0, attention=0.0)
    stir(model.encoder.network)
    batch = pack(model.task.windows(SINGLE, model.tokenizer))
    assert model.encoder.drops
    model.encoder.network.train()
    assert not model.encoder(batch).equal(model.encoder(batch))
    model.encoder.network.eval()
    assert model.encoder(batch).equal(model.encoder(batch))


def test_without_adapters_there_is_no_trace_of_them(pretrained_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)  # it would not be found
    plain = start(pretrained_folder("bert"), "classification", SINGLE)
    state = plain.encoder.network.state_dict()
    assert merged(plain.encoder.network, state) == state
    assert placed(plain.encoder.network, state) == state
    assert count_added(plain.encoder.network) == (0, 0)


def test_a_missing_library_is_told_with_the_way_out(pretrained_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r'^regularize.parameters = "lora" needs peft: pip install headway\[lora\]$'):
        adapted(pretrained_folder("bert"))


def test_a_network_that_learns_nowhere_else_is_refused(pretrained_folder):
    regularize = {"parameters": "lora", "frozen_layers": 2}
    with pytest.raises(ConfigError, match=r'^lora.layers = "all": the network has no such layer that learns; leave regularize.parameters'):
        start(pretrained_folder("bert"), "classification", SINGLE, regularize=regularize)


def test_the_new_layer_begins_as_it_does_without_adapters(pretrained_folder):
    heads = [adapted(pretrained_folder("bert")), start(pretrained_folder("bert"), "classification", SINGLE)]
    one, other = (model.encoder.head().weight for model in heads)
    assert one.equal(other)


def test_the_library_and_the_settings_say_the_same_of_what_is_added(pretrained_folder):
    network = adapted(pretrained_folder("bert"), rank=4, alpha=2.0).encoder.network
    layers = [module for module in network.modules() if isinstance(module, LoraLayer)]
    assert {(module.r["default"], module.scaling["default"]) for module in layers} == {(4, 0.5)}
