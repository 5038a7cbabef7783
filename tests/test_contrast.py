"""Few examples: the encoder learns which texts are of one class, all pairs of an update at once."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from headway import model, probe
from headway.config import make_config, read_config
from headway.errors import ConfigError
from headway.events import Stepped
from headway.jobs.train import train
from headway.losses import contrast

ROWS = [(f"a {word} film number {n}", label) for n in range(8) for word, label in (("good", "pos"), ("bad", "neg"), ("late", "no"))]


# --- the loss


def drawn(rows=12, classes=3):
    torch.manual_seed(0)
    return torch.randn(rows, 8), torch.arange(rows) % classes


def test_the_loss_is_the_equation_of_khosla_and_others():
    rows, targets = drawn()
    near = torch.stack([torch.stack([F.cosine_similarity(a, b, dim=0) for b in rows]) for a in rows]) / 0.3
    expected = 0.0
    for i in range(len(rows)):
        others = [j for j in range(len(rows)) if j != i]
        total = torch.logsumexp(near[i, others], dim=0)
        expected += torch.stack([total - near[i, j] for j in others if targets[j] == targets[i]]).mean()
    torch.testing.assert_close(contrast(rows, targets, temperature=0.3), expected)


def test_the_loss_knows_neither_order_nor_length_nor_names_of_classes():
    rows, targets = drawn()
    order = torch.randperm(len(rows))
    other = contrast(rows[order] * 7, 5 - targets[order], temperature=0.3)
    torch.testing.assert_close(other, contrast(rows, targets, temperature=0.3))


def test_what_is_alone_in_its_class_costs_nothing():
    rows, _ = drawn(5)
    assert contrast(rows, torch.arange(5), temperature=0.1) == 0


def test_classes_that_lie_apart_cost_less_than_those_that_lie_together():
    rows = torch.eye(3).repeat(4, 1) + 0.01 * torch.randn(12, 3)
    apart, mixed = (contrast(rows, targets, temperature=0.1) for targets in (torch.arange(12) % 3, torch.arange(12) // 4))
    assert apart < 0.3 * mixed


# --- the job


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("contrast")
    for name, rows in (("train", ROWS), ("dev", [(text.replace("number", "of"), label) for text, label in ROWS[:6]])):
        (root / f"{name}.csv").write_text("text,label\n" + "\n".join(",".join(row) for row in rows), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def config_of(pretrained_folder):
    base = [f"model.base_model={pretrained_folder('bert')}", "model.pooling=mean", "train.precision=fp32", "train.epochs=0"]
    base += ["contrastive.epochs=9", "contrastive.learning_rate=0.01", "contrastive.batch_size=12", "train.checkpoint_minutes=0.000001"]
    return lambda *more: read_config(None, [*base, *more])


@pytest.fixture(scope="module")
def whole(files, config_of):
    list(train(files / "train.csv", dev=files / "dev.csv", out=files / "whole", config=config_of("train.token_budget=16")))
    return files / "whole"


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def log(folder: Path) -> list[dict]:
    return [json.loads(line) | {"seconds": 0} for line in (folder / "contrastive.jsonl").read_text().splitlines()]


def test_texts_of_a_class_come_together(whole):
    losses = [line["loss"] for line in log(whole)]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_pairs_do_not_depend_on_the_memory_that_is_given(whole, files, config_of, tmp_path):
    """The whole was trained with a token budget of two texts."""
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of()))
    assert log(tmp_path / "run") == log(whole)


def test_with_no_epochs_behind_it_the_layer_is_the_best_for_the_features(whole):
    """Fitted once more on the features of the model, it is the same."""
    trained = model.load(whole, precision="fp32", device="cpu")
    head = trained.encoder.head()
    before = head.weight.detach().clone()
    records = list(model.read(whole.parent / "train.csv").records)
    probe.fit_head(trained, trained.task.windows(records, trained.tokenizer), seed=1)
    torch.testing.assert_close(head.weight, before, rtol=1e-3, atol=1e-4)
    assert not (whole / "steps.jsonl").read_text()


@pytest.mark.parametrize("step", [1, 9, 17])
def test_a_run_stopped_in_the_midst_goes_on_to_the_weights_of_an_unbroken_one(whole, files, config_of, tmp_path, step):
    job = train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of("train.token_budget=16"))
    next(event for event in job if isinstance(event, Stepped) and event.step == step)
    if step == 9:
        assert job.throw(KeyboardInterrupt()).text.startswith("at step 9 of contrastive, saved")
    job.close()
    list(train(tmp_path / "run", resume=True))
    assert weights(tmp_path / "run") == weights(whole)
    assert log(tmp_path / "run") == log(whole)


@pytest.mark.parametrize("parameters", ["all", "biases", "lora"])
def test_fine_tuning_goes_on_from_what_was_learned(whole, files, config_of, tmp_path, parameters):
    """With a rate of nearly nothing it stays where the stage and the fit have left it, whatever it learns by."""
    settings = ("train.epochs=1", "train.learning_rate=1e-12", "train.token_budget=16", f"regularize.parameters={parameters}")
    list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / "run", config=config_of(*settings)))
    after, before = (model.load(run, precision="fp32", device="cpu").encoder.network.state_dict() for run in (tmp_path / "run", whole))
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-6)


def test_without_it_nothing_changes(files, config_of, tmp_path):
    plain = config_of("contrastive.epochs=0", "train.epochs=1", "train.learning_rate=0.001")
    other = make_config({"model": plain.model.model_dump(), "train": plain.train.model_dump(exclude_none=True)})
    for name, config in (("plain", plain), ("other", other)):
        list(train(files / "train.csv", dev=files / "dev.csv", out=tmp_path / name, config=config))
    assert weights(tmp_path / "plain") == weights(tmp_path / "other")
    assert not (tmp_path / "plain" / "contrastive.jsonl").exists()


REFUSED = {
    "numbers": ("text,score\na good film,0.5\na bad film,0.25\nlate,0.125\n", (), "for one class a text, and here there are numbers"),
    "entities": ("Ada B-PER\nlives O\n\nTuring B-PER\nlives O\n", (), "for one class a text, and here there are entities"),
    "from scratch": ("text,label\ngood,a\nbad,b\n", ("model.weights=random",), "nothing of what it teaches is kept"),
    "begun anew": ("text,label\ngood,a\nbad,b\n", ("regularize.reinitialized_layers=1",), "what one teaches them the other undoes"),
    "in a time": ("text,label\ngood,a\nbad,b\n", ("train.time=5m", "train.epochs=auto"), "train.time does not count what it takes"),
}


@pytest.mark.parametrize(("text", "settings", "told"), REFUSED.values(), ids=REFUSED)
def test_where_it_means_nothing_it_is_refused(config_of, tmp_path, text, settings, told):
    (tmp_path / "data.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        list(train(tmp_path / "data.csv", out=tmp_path / "run", config=config_of("split.dev=0", *settings)))


@pytest.mark.parametrize("head", ["random", "auto"])
def test_no_epochs_need_a_layer_that_can_be_fitted(tmp_path, config_of, head):
    (tmp_path / "data.conll").write_text("Ada B-PER\nlives O\n\nTuring B-PER\nlives O\n", encoding="utf-8")
    (tmp_path / "data.csv").write_text("text,label\n" + "good,a\nbad,b\n" * 5, encoding="utf-8")
    data = tmp_path / ("data.csv" if head == "random" else "data.conll")
    config = config_of("contrastive.epochs=0", f"model.head={head}", "split.dev=0", "audit.allow=all")
    with pytest.raises(ConfigError, match=r"train\.epochs = 0 leaves the new layer"):
        list(train(data, out=tmp_path / "run", config=config))
