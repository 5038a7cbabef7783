import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoModelForTokenClassification

from headway import pretrained
from headway.encoder import MEAN_NORM, Encoder
from headway.errors import ModelError
from headway.packing import pack
from headway.records import Window
from headway.regularize import LEVELS, Dropout

LAYOUTS = {
    "bert": "packed",
    "roberta": "packed",
    "distilbert": "packed",
    "electra": "packed",
    "albert": "packed",
    "xlm-roberta": "packed",
    "camembert": "packed",
    "mpnet": "padded",
    "deberta-v2": "padded",
    "deberta-v3": "padded",
    "modernbert": "packed",
    "modernbert-mean": "packed",
}
HEADS = {
    "sequence": AutoModelForSequenceClassification,
    "token": AutoModelForTokenClassification,
    "question answering": AutoModelForQuestionAnswering,
}
LENGTHS = (3, 17, 1, 30, 18, 9)

every_network = pytest.mark.parametrize("name", LAYOUTS)
every_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def network_of(pretrained_folder):
    """Give a stock network with a new head of three outputs, by the loading path of every other."""

    def load(name, head):
        source = pretrained.find(str(pretrained_folder(name)))
        config = pretrained.load_config(source)
        config.num_labels = 2 if head == "question answering" else 3
        torch.manual_seed(3)
        network = pretrained.load_network(source, HEADS[head], config).eval()
        with torch.no_grad():
            for weight in network.parameters():  # biases and norms that do something
                weight.add_(torch.randn_like(weight) * 0.1) if weight.ndim == 1 else None
        return network

    return load


def windows_of(lengths, vocabulary, types=2):
    draw = np.random.default_rng(5)
    return [
        Window(0, draw.integers(10, vocabulary, n), np.sort(draw.integers(0, types, n)), np.zeros((n, 2)), np.zeros(1)) for n in lengths
    ]


def inputs_of(windows, network, pad):
    """What transformers' own collator makes of the windows: padded at the end, with a mask."""
    longest = max(map(len, windows))
    rows = [[window.input_ids_N, window.token_type_ids_N, np.ones(len(window))] for window in windows]
    ids, types, mask = (
        torch.tensor(np.array([np.pad(row[i], (0, longest - len(row[i])), constant_values=fill) for row in rows])).long()
        for i, fill in enumerate((pad, 0, 0))
    )
    segments = {"token_type_ids": types} if getattr(network.config, "type_vocab_size", 0) > 1 else {}
    return {"input_ids": ids, "attention_mask": mask} | segments


def logits_of(output):
    return torch.stack([output.start_logits, output.end_logits], -1) if "start_logits" in output else output.logits


def stock_answers(network, windows):
    """The padded stock call, without what it says of padding."""
    given = inputs_of(windows, network, pad=network.config.pad_token_id)
    logits = logits_of(network(**given))
    return logits if logits.ndim == 2 else logits[given["attention_mask"].bool()]


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@every_network
@every_head
def test_packed_is_padded_is_one_at_a_time(network_of, name, head):
    stock = network_of(name, head)
    encoder = Encoder(copy.deepcopy(stock), pooling=getattr(stock.config, "classifier_pooling", "first").replace("cls", "first"))
    windows = windows_of(LENGTHS, stock.config.vocab_size)
    with torch.no_grad():
        packed = encoder(pack(windows))
        padded = stock_answers(stock, windows)
        alone = torch.cat([stock_answers(stock, [window]) for window in windows])
        alone_packed = torch.cat([encoder(pack([window])) for window in windows])
    assert padded.std() > 0.1
    assert_close(packed, padded)
    assert_close(packed, alone)
    assert_close(packed, alone_packed)


@every_network
@every_head
def test_no_text_changes_the_answer_to_another(network_of, name, head):
    encoder = Encoder(network_of(name, head))
    windows = windows_of((8, 8, 8), encoder.network.config.vocab_size)
    other = windows_of((8, 8, 9), encoder.network.config.vocab_size)[2]
    with torch.no_grad():
        first, second = encoder(pack(windows)), encoder(pack([*windows[:2], other]))
    rows = 2 if head == "sequence" else 16
    assert_close(second[:rows], first[:rows])
    assert (second[rows:][:1] - first[rows:][:1]).abs().max() > 1e-3


@every_network
@every_head
def test_an_architecture_is_read_packed_where_it_can_be(network_of, name, head):
    assert Encoder(network_of(name, head)).layout == LAYOUTS[name]


@pytest.mark.parametrize("name", ["bert", "roberta", "deberta-v3", "modernbert"])
@every_head
def test_gradients_are_those_of_the_padded_stock_call(network_of, name, head):
    stock = network_of(name, head)
    network = copy.deepcopy(stock)
    windows = windows_of(LENGTHS, stock.config.vocab_size)
    found = Encoder(network)(pack(windows))
    towards = torch.randn_like(found)
    (found * towards).sum().backward()
    (stock_answers(stock, windows) * towards).sum().backward()
    expected = {key: weight.grad for key, weight in stock.named_parameters() if weight.grad is not None}
    largest = max(gradient.abs().max() for gradient in expected.values())
    assert len(expected) > 15
    for key, weight in network.named_parameters():
        if key in expected:
            assert (weight.grad - expected[key]).abs().max() <= 1e-5 * largest, key
        else:
            assert weight.grad is None


@every_head
def test_an_architecture_that_mixes_texts_is_refused(network_of, head):
    network = network_of("fnet", head)
    with pytest.raises(ModelError) as error:
        Encoder(network)
    assert str(error.value) == (
        f"{type(network).__name__} reads a text differently beside other texts than alone, so its answers would depend on the batch; "
        "choose another --base-model"
    )


@every_network
def test_what_is_saved_does_not_know_of_the_packing(network_of, name):
    network = network_of(name, "sequence")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    encoder = Encoder(network)
    encoder.set_dropout(hidden=0.3, attention=0.1)
    after = encoder.network.state_dict()
    assert list(after) == list(before)
    assert all(after[key].equal(before[key]) for key in before)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "deberta-v3", "modernbert"])
def test_the_head_is_the_layer_that_makes_the_outputs(network_of, name):
    encoder = Encoder(network_of(name, "sequence"))
    batch = pack(windows_of(LENGTHS, encoder.network.config.vocab_size))
    with torch.no_grad():
        encoder.head().weight.zero_()
        encoder.head().bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
        assert encoder(batch).equal(torch.tensor([1.0, 2.0, 3.0]).expand(len(LENGTHS), 3))


@every_network
@pytest.mark.parametrize("layer", [0, 1])
def test_a_token_head_reads_the_layer_that_is_asked_for(network_of, name, layer):
    stock = network_of(name, "token")
    encoder = Encoder(copy.deepcopy(stock))
    windows = windows_of(LENGTHS, stock.config.vocab_size)
    encoder.read_layer(layer)
    read = []
    encoder.network.base_model.register_forward_hook(lambda module, inputs, output: read.append(output.last_hidden_state[0]))
    given = inputs_of(windows, stock, pad=stock.config.pad_token_id)
    with torch.no_grad():
        encoder(pack(windows))
        hidden = stock.base_model(**given, output_hidden_states=True).hidden_states[layer]
    assert_close(read[0], hidden[given["attention_mask"].bool()])


@every_network
@pytest.mark.parametrize("head", ["sequence", "token"])
def test_watched_layers_are_those_that_reading_them_one_by_one_gives(network_of, name, head):
    stock = network_of(name, head)
    encoder = Encoder(copy.deepcopy(stock), pooling="mean")
    batch = pack(windows_of(LENGTHS, stock.config.vocab_size))
    with torch.no_grad():
        before = encoder(batch)
        with encoder.watching([1, 2]) as states:
            assert_close(encoder(batch), before)
            watched = list(states)
        assert states == []
        assert_close(encoder(batch), before)
        read = []
        encoder.network.base_model.register_forward_hook(lambda module, inputs, output: read.append(output.last_hidden_state))
        for layer in (1, 2):
            encoder.read_layer(layer)
            encoder(batch)
    for mine, theirs in zip(watched, read, strict=True):
        assert_close(mine, theirs[0] if head == "token" else theirs[:, 0])


# --- pooling


@pytest.mark.parametrize("name", ["bert", "electra", "roberta", "mpnet", "distilbert"])
def test_mean_pooling_reads_the_mean_over_the_tokens_of_each_text(network_of, name):
    stock = network_of(name, "sequence")
    encoder = Encoder(copy.deepcopy(stock), pooling="mean")
    windows = windows_of(LENGTHS, stock.config.vocab_size)
    read = []
    encoder.head().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    with torch.no_grad():
        encoder(pack(windows))
        rows = [stock.base_model(**inputs_of([window], stock, pad=0)).last_hidden_state[0].mean(dim=0) for window in windows]
    means = torch.stack(rows)
    if name == "bert":  # its head reads what the pooler gives
        assert_close(read[0], nn.functional.normalize(means, dim=-1) * MEAN_NORM)
    else:
        assert read[0].shape == means.shape
        with torch.no_grad():
            assert_close(
                encoder(pack(windows)), stock.classifier(means[:, None]) if name != "distilbert" else _distilbert_head(stock, means)
            )


def _distilbert_head(stock, rows):
    return stock.classifier(torch.relu(stock.pre_classifier(rows)))


def test_modernbert_pooled_by_the_mean_is_what_its_own_configuration_makes_of_it(network_of):
    stock = network_of("modernbert-mean", "sequence")
    windows = windows_of(LENGTHS, stock.config.vocab_size)
    with torch.no_grad():
        assert_close(Encoder(copy.deepcopy(stock), pooling="mean")(pack(windows)), stock_answers(stock, windows))


# --- dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    count = 400_000
    out = Dropout(p)(torch.ones(count))
    share = round(p * LEVELS) / LEVELS
    deviations = (share * (1 - share) / count) ** 0.5
    assert abs((out == 0).float().mean() - share) < 5 * deviations
    assert abs(out.mean() - 1) < 5 * deviations / (1 - share)
    assert out.unique().numel() == 2


@pytest.mark.parametrize("p", [0.0, 0.1, 0.999])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 2), (0,)])
def test_dropout_takes_any_probability_and_shape(p, shape):
    out = Dropout(p)(torch.ones(shape))
    assert out.shape == shape
    assert out.isfinite().all()


def test_dropout_is_off_in_use():
    x = torch.randn(100)
    assert Dropout(0.5).eval()(x) is x


def test_dropout_draws_the_same_mask_again_from_the_same_seed():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.5)(torch.ones(100)))
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_the_gradient_of_dropout_is_its_mask():
    x = torch.ones(1000, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad.equal(out.detach())


def test_the_set_dropout_is_that_of_every_hidden_layer(network_of):
    encoder = Encoder(network_of("bert", "sequence"))
    encoder.set_dropout(hidden=0.25, attention=0.0)
    modules = list(encoder.network.modules())
    assert not any(isinstance(module, nn.Dropout) for module in modules)
    assert {module.p for module in modules if isinstance(module, Dropout)} == {0.25}


def test_dropout_that_is_not_set_is_as_the_network_was_pretrained(network_of):
    network = network_of("bert", "sequence")
    before = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    encoder = Encoder(network)
    encoder.set_dropout(hidden=None, attention=0.0)
    assert [module.p for module in encoder.network.modules() if isinstance(module, Dropout)] == before


@every_network
def test_dropout_matters_in_training_and_not_in_use(network_of, name):
    encoder = Encoder(network_of(name, "token"))
    encoder.set_dropout(hidden=0.2, attention=0.0)
    batch = pack(windows_of(LENGTHS, encoder.network.config.vocab_size))
    with torch.no_grad():
        encoder.network.train()
        assert not encoder(batch).equal(encoder(batch))
        encoder.network.eval()
        assert encoder(batch).equal(encoder(batch))


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout == "packed"])
def test_attention_dropout_is_where_it_is_set_and_nowhere_else(network_of, name):
    encoder = Encoder(network_of(name, "token"))
    batch = pack(windows_of(LENGTHS, encoder.network.config.vocab_size))
    encoder.network.train()
    with torch.no_grad():
        encoder.set_dropout(hidden=0.0, attention=0.0)
        assert encoder(batch).equal(encoder(batch))
        encoder.set_dropout(hidden=0.0, attention=0.2)
        assert not encoder(batch).equal(encoder(batch))
