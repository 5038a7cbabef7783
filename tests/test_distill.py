"""What trained models say is learned from beside the labels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from test_objective import DRAWN, TASKS, Undecided, answers, every_task, name_of, windows_of
from typer.testing import CliRunner

import headway
from headway import model
from headway.cli import app
from headway.config import Distill, Regularize, read_config
from headway.errors import ConfigError
from headway.events import Said, Stepped, unwatched
from headway.jobs import distill
from headway.jobs.corpus import find_files, read_corpus
from headway.jobs.start import start
from headway.jobs.train import train
from headway.objective import objective
from headway.packing import pack
from headway.records import IGNORED

ROWS = [(f"a {word} film number {n}", label) for n in range(8) for word, label in (("good", "pos"), ("bad", "neg"))]
TAGGED = "".join(f"Ada B-PER\nlives O\nin O\n{place} B-LOC\n. O\n\n" for place in ("Paris", "London", "Berlin", "Warsaw") * 3)


# --- the loss


def with_teachers(task, windows, logits, temperature=2.0):
    """The windows, taught by one teacher who answers with these logits."""
    decisions = [decision for rows, window in zip(logits, windows, strict=True) for decision in task.decide(rows, pack([window]))]
    said = [task.tempered(decision, temperature).astype(np.float32) for decision in decisions]
    return [replace(window, taught=rows) for window, rows in zip(windows, said, strict=True)]


@every_task
@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.0])
def test_what_says_the_same_as_its_teacher_has_nothing_to_learn_from_it(task, temperature):
    windows = windows_of(task)
    logits = answers(task, windows, 0)
    batch = pack(with_teachers(task, windows, logits, temperature))
    mine = torch.cat(logits).requires_grad_()
    loss = task.imitation(mine, batch, temperature=temperature)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert mine.grad.abs().max() < 1e-4


@every_task
def test_what_says_something_else_has(task):
    windows = windows_of(task)
    batch = pack(with_teachers(task, windows, answers(task, windows, 0)))
    assert task.imitation(torch.cat(answers(task, windows, 1)), batch, temperature=2.0) > 0.01


@every_task
def test_how_far_it_is_from_its_teachers_is_a_sum_over_windows(task):
    windows = with_teachers(task, windows_of(task), answers(task, windows_of(task), 0))
    mine = answers(task, windows, 1)
    alone = sum(task.imitation(rows, pack([window]), temperature=2.0) for rows, window in zip(mine, windows, strict=True))
    torch.testing.assert_close(task.imitation(torch.cat(mine), pack(windows), temperature=2.0), alone)


def test_the_loss_is_the_equation_of_hinton_and_others():
    task = TASKS["one class"]
    windows = windows_of(task)
    theirs, mine = (answers(task, windows, seed) for seed in (0, 1))
    p, q = (softmax(torch.cat(rows).double().numpy() / 3, axis=-1) for rows in (theirs, mine))
    found = task.imitation(torch.cat(mine), pack(with_teachers(task, windows, theirs, 3.0)), temperature=3.0)
    assert found.item() == pytest.approx(9 * rel_entr(p, q).sum(), rel=1e-4)


def test_tokens_without_a_target_are_not_taught():
    task = TASKS["entities"]
    windows = with_teachers(task, windows_of(task, count=1), answers(task, windows_of(task, count=1), 0))
    [mine] = answers(task, windows, 1)
    hidden = windows[0].targets_A == IGNORED
    assert hidden.any()
    changed = torch.where(torch.tensor(hidden)[:, None], mine + torch.randn_like(mine), mine)
    batch = pack(windows)
    assert task.imitation(changed, batch, temperature=2.0) == task.imitation(mine, batch, temperature=2.0)


@every_task
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_cost_is_shared_between_labels_and_teachers(task, weight):
    windows = with_teachers(task, windows_of(task), answers(task, windows_of(task), 0))
    mine, batch = torch.cat(answers(task, windows, 1)), pack(windows)
    expected = (1 - weight) * task.loss(mine, batch) + weight * task.imitation(mine, batch, temperature=2.0)
    [cost] = objective(task, Regularize(), Distill(teachers=["x"], weight=weight))(Undecided(mine), batch)
    torch.testing.assert_close(cost, expected)
    assert DRAWN[name_of(task)]


# --- the job


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("distill")
    (root / "films.csv").write_text("text,label\n" + "\n".join(",".join(row) for row in ROWS), encoding="utf-8")
    (root / "flipped.csv").write_text(
        "text,label\n" + "\n".join(f"{text},{'neg' if label == 'pos' else 'pos'}" for text, label in ROWS), encoding="utf-8"
    )
    (root / "more.csv").write_text("text,label\n" + "\n".join(",".join(row) for row in [*ROWS, ("film", "none")] * 2), encoding="utf-8")
    (root / "tags.conll").write_text(TAGGED, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def config_of(pretrained_folder):
    base = ["train.precision=fp32", "train.learning_rate=0.003", "train.batch_size=8", "train.epochs=2", "split.dev=0", "audit.allow=all"]
    base += ["train.checkpoint_minutes=0.000001"]
    return lambda *more, encoder="bert": read_config(None, [f"model.base_model={pretrained_folder(encoder)}", *base, *more])


@pytest.fixture(scope="module")
def teachers(root, config_of):
    """The folder of a training with two seeds."""
    list(train(root / "films.csv", out=root / "teachers", config=config_of("train.seeds=2", "train.epochs=4")))
    return root / "teachers"


def taught(data, config):
    """The windows to learn from, with what the teachers say; and what is said of them."""
    files = find_files(config, data=data, dev=None, test=None)
    corpus = read_corpus(files, config)
    started = start(corpus, config)
    return unwatched(distill.taught(started, corpus, files)).train


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_what_is_learned_from_is_the_mean_of_the_teachers(root, teachers, config_of):
    """And a folder of several seeds stands for all of them."""
    one, other = (taught(root / "films.csv", config_of(f'distill.teachers=["{teachers}/seed-{n}"]')) for n in (1, 2))
    both = taught(root / "films.csv", config_of(f'distill.teachers=["{teachers}"]'))
    assert not np.allclose(one[0].taught, other[0].taught)
    for a, b, mean in zip(one, other, both, strict=True):
        np.testing.assert_allclose(mean.taught, (a.taught + b.taught) / 2, rtol=1e-5)


def test_outputs_in_another_order_are_put_into_ours(root, teachers, config_of):
    config = config_of()
    files = find_files(config, data=root / "films.csv", dev=None, test=None)
    corpus = read_corpus(files, config)
    started = start(corpus, config)
    teacher = model.load(teachers / "seed-1", precision="fp32", device="cpu")
    plain = distill._said(teacher, started, corpus, teachers)
    turned = replace(teacher, task=replace(teacher.task, labels=teacher.task.labels[::-1]))
    for row, other in zip(plain, distill._said(turned, started, corpus, teachers), strict=True):
        np.testing.assert_allclose(row[:, ::-1], other)


@pytest.mark.parametrize("settings", [["distill.weight=0"], ["distill.teachers=[]", "distill.temperature=9"]])
def test_without_weight_or_teachers_nothing_changes(root, teachers, config_of, tmp_path, settings):
    list(train(root / "films.csv", out=tmp_path / "plain", config=config_of()))
    list(train(root / "films.csv", out=tmp_path / "off", config=config_of(f'distill.teachers=["{teachers}"]', *settings)))
    assert weights(tmp_path / "off") == weights(tmp_path / "plain")


def test_who_learns_from_teachers_alone_does_not_look_at_labels(root, teachers, config_of, tmp_path):
    config = config_of(f'distill.teachers=["{teachers}/seed-1"]', "distill.weight=1")
    for name in ("films", "flipped"):
        list(train(root / f"{name}.csv", out=tmp_path / name, config=config))
    assert weights(tmp_path / "films") == weights(tmp_path / "flipped")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "films" / "steps.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_a_run_that_was_stopped_goes_on_to_the_weights_of_an_unbroken_one(root, teachers, config_of, tmp_path):
    config = config_of(f'distill.teachers=["{teachers}"]')
    list(train(root / "films.csv", out=tmp_path / "whole", config=config))
    job = train(root / "films.csv", out=tmp_path / "run", config=config)
    next(event for event in job if isinstance(event, Stepped) and event.step == 3)
    job.close()
    list(train(tmp_path / "run", resume=True))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_entities_are_taught_too(root, config_of, tmp_path):
    list(train(root / "tags.conll", out=tmp_path / "teacher", config=config_of()))
    words = ["train", str(root / "tags.conll"), "--teacher", str(tmp_path / "teacher"), "--out", str(tmp_path / "run")]
    config = config_of()
    words += ["--base-model", config.model.base_model, "--set", "train.epochs=1", "--set", "split.dev=0", "--set", "audit.allow=all"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "1 model, whose answers count 0.5, and labels 0.5" in result.output
    kept = read_config(tmp_path / "run" / "run.toml").distill.teachers
    assert kept == [str(tmp_path / "teacher")]


def test_teachers_are_named_in_python_as_they_are_on_the_command_line(root, teachers, config_of, tmp_path):
    config = config_of(f'distill.teachers=["{teachers}/seed-1", "{teachers}/seed-2"]')
    list(train(root / "films.csv", out=tmp_path / "run", config=config))
    named = [teachers / "seed-1", str(teachers / "seed-2")]
    run = headway.train(root / "films.csv", teachers=named, out=tmp_path / "python", settings=config_of().model_dump(exclude_none=True))
    assert read_config(run / "run.toml").distill == config.distill
    assert weights(run) == weights(tmp_path / "run")


def test_a_teacher_of_another_split_is_told(root, teachers, config_of, tmp_path):
    config = config_of(f'distill.teachers=["{teachers}/seed-1"]', "split.dev=0.25")
    said = [event.text for event in train(root / "films.csv", out=tmp_path / "run", config=config) if isinstance(event, Said)]
    assert any("has learned from other records, perhaps from some of dev or test" in text for text in said)


@pytest.mark.parametrize(
    ("data", "encoder", "told"),
    [
        ("more.csv", "bert", 'as a teacher it does not know the output "none"'),
        ("tags.conll", "bert", r"has learned classification \(single\), and here it is ner"),
        ("films.csv", "roberta", "its tokenizer reads these texts as other tokens"),
    ],
)
def test_a_teacher_of_something_else_is_refused_in_one_line(root, teachers, config_of, data, encoder, told):
    with pytest.raises(ConfigError, match=told) as error:
        taught(root / data, config_of(f'distill.teachers=["{teachers}/seed-1"]', encoder=encoder))
    assert "\n" not in str(error.value)


def test_teachers_are_named_in_settings_as_they_are_on_the_command_line():
    config = read_config(None, [f"distill.teachers={json.dumps(['runs/a b', 'runs/c'])}"])
    assert config.distill.teachers == ["runs/a b", "runs/c"]
