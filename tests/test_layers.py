import pytest
import torch
from transformers import AutoModelForSequenceClassification

from headway import pretrained
from headway.errors import ConfigError
from headway.layers import reinitialize

NETWORKS = ["bert", "roberta", "distilbert", "electra", "albert", "deberta-v3", "modernbert", "mpnet"]


def load(folder):
    source = pretrained.find(str(folder))
    torch.manual_seed(0)
    return pretrained.load_network(source, AutoModelForSequenceClassification, pretrained.load_config(source))


def changed(network, before):
    return {name for name, weight in network.named_parameters() if not weight.detach().equal(before[name])}


def matrices(network, *parts):
    return {name for name, weight in network.named_parameters() if weight.ndim > 1 and any(part in name for part in parts)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_highest_layers_begin_anew_and_no_other(pretrained_folder, name):
    network = load(pretrained_folder(name))
    before = {key: weight.detach().clone() for key, weight in network.named_parameters()}
    reinitialize(network, 1)
    found = changed(network, before)
    top = ("albert_layers.0.",) if name == "albert" else ("layer.1.", "layers.1.")
    pooler = f"{network.base_model_prefix}.pooler"
    assert found >= matrices(network, *top, pooler)
    assert all(any(part in key for part in (*top, pooler)) for key in found)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_begins_anew_is_as_wide_spread_as_a_network_from_scratch(pretrained_folder, name):
    network = load(pretrained_folder(name))
    with torch.no_grad():
        for weight in network.base_model.parameters():
            weight.fill_(7.0)
    reinitialize(network, 1)
    fresh = pretrained.random_network(AutoModelForSequenceClassification, network.config)
    others = dict(fresh.named_parameters())
    anew = {
        key: weight for key, weight in network.base_model.named_parameters(prefix=network.base_model_prefix) if not weight.eq(7.0).all()
    }
    assert anew
    for key, weight in anew.items():
        assert weight.mean().item() == pytest.approx(others[key].mean().item(), abs=0.03), key
        assert weight.std().item() == pytest.approx(others[key].std().item(), rel=0.2, abs=1e-6), key


def test_the_generator_decides_what_is_begun_with(pretrained_folder):
    networks = [load(pretrained_folder("bert")) for _ in range(3)]
    for seed, network in zip((1, 1, 2), networks, strict=True):
        torch.manual_seed(seed)
        reinitialize(network, 2)
    one, same, other = (dict(network.named_parameters()) for network in networks)
    assert all(one[name].equal(same[name]) for name in one)
    assert not all(one[name].equal(other[name]) for name in one)


def test_no_layer_begins_anew_where_none_is_asked_for(pretrained_folder):
    network = load(pretrained_folder("bert"))
    before, state = {key: weight.detach().clone() for key, weight in network.named_parameters()}, torch.get_rng_state()
    reinitialize(network, 0)
    assert not changed(network, before)
    assert torch.get_rng_state().equal(state)


def test_more_layers_than_there_are_is_an_error(pretrained_folder):
    with pytest.raises(ConfigError, match=r"^regularize.reinitialized_layers = 3: the network has 2 layers$"):
        reinitialize(load(pretrained_folder("bert")), 3)
