"""Compiled layers: what is learned is what is learned without, and one region serves rows of all lengths."""

import pytest
import torch
from safetensors.torch import load_file
from test_frozen import NETWORKS, small_encoder, updates
from test_objective import TASKS, windows_of
from torch._dynamo.backends.debugging import aot_eager
from typer.testing import CliRunner

from headway import compiling
from headway.cli import app
from headway.compiling import compiled
from headway.errors import BackendError

FP32 = {"rtol": 1e-4, "atol": 1e-6}
TASK = TASKS["one class"]


@pytest.fixture
def graphs(monkeypatch):
    """Every graph that is compiled; by a backend that needs no compiler, and changes no number."""
    found = []

    def counting(graph, inputs):
        found.append(graph)
        return aot_eager(graph, inputs)

    torch.compiler.reset()
    monkeypatch.setattr(compiling, "BACKEND", counting)
    yield found
    torch.compiler.reset()


@pytest.fixture
def encoder_of(pretrained_folder):
    return lambda name="bert", *, dropout=0.0: small_encoder(pretrained_folder(name), TASK, dropout=dropout)


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_layers_learn_what_others_learn(encoder_of, graphs, name):
    one, other, windows = encoder_of(name), encoder_of(name), windows_of(TASK)
    plain = [step.loss for step in updates(other, windows)]
    with compiled(one.network):
        torch.testing.assert_close([step.loss for step in updates(one, windows)], plain, **FP32)
    assert graphs
    for key, weight in other.network.state_dict().items():
        torch.testing.assert_close(one.network.state_dict()[key], weight, **FP32)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_one_region_serves_rows_of_all_lengths(encoder_of, graphs, dropout):
    encoder, windows = encoder_of(dropout=dropout), windows_of(TASK, count=24)
    with compiled(encoder.network):
        list(updates(encoder, windows[:4]))
        before = len(graphs)
        list(updates(encoder, windows))
    assert len(graphs) == before


def test_layers_that_are_kept_as_pretrained_are_not_compiled(encoder_of, graphs):
    encoder = encoder_of()
    with compiled(encoder.network, above=2):
        list(updates(encoder, windows_of(TASK)))
    assert not graphs


def test_nothing_of_it_stays(encoder_of, graphs):
    encoder, windows = encoder_of(), windows_of(TASK)
    with compiled(encoder.network):
        list(updates(encoder, windows))
    before = len(graphs)
    list(updates(encoder, windows_of(TASK, count=9)))
    assert len(graphs) == before
    assert not any("forward" in vars(module) for module in encoder.network.modules())


def test_where_torch_cannot_compile_it_says_what_to_leave_away(encoder_of, graphs, monkeypatch):
    def broken(_graph, _inputs):
        raise RuntimeError("no compiler found")

    encoder = encoder_of()
    monkeypatch.setattr(compiling, "BACKEND", broken)
    with pytest.raises(BackendError, match=r"^train\.compile: .*no compiler found.*; leave it away$"), compiled(encoder.network):
        list(updates(encoder, windows_of(TASK)))


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_training_by_it_saves_the_same_model(tmp_path, pretrained_folder, graphs, frozen):
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + "".join(f"a {word} film {n},{word}\n" for n in range(12) for word in ("good", "bad")))
    plain = [f"model.base_model={pretrained_folder('bert')}", "train.precision=fp32", "regularize.dropout=0", "audit.allow=all"]
    saved = []
    for name in ("false", "true"):
        wanted = [*plain, "train.epochs=2", f"regularize.frozen_layers={frozen}", f"train.compile={name}"]
        settings = [word for setting in wanted for word in ("--set", setting)]
        done = CliRunner().invoke(app, ["train", str(file), "--out", str(tmp_path / name), *settings])
        assert done.exit_code == 0, done.output
        saved.append(load_file(tmp_path / name / "model/model.safetensors"))
    assert graphs
    for key, weight in saved[0].items():
        if not key.endswith("key.bias"):  # it changes no answer: its gradient is rounding alone
            torch.testing.assert_close(saved[1][key], weight, **FP32)
