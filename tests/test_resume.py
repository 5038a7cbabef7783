"""A real `headway train` in a process of its own, killed or interrupted, and gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headway.backend import pick_dtype
from headway.config import read_config
from headway.errors import ConfigError
from headway.events import Said, Stepped
from headway.jobs import learning
from headway.jobs.run_folder import STEPS
from headway.jobs.step_log import StepLog
from headway.jobs.train import train
from headway.optimize import Optimizer

PRECISIONS = ["fp32", *(["bf16"] if pick_dtype("auto", torch.device("cpu")) == torch.bfloat16 else [])]
ONE_CORE = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PER_EPOCH, EPOCHS = 6, 3
every_precision = pytest.mark.parametrize("precision", PRECISIONS)


def command(*more):
    return [sys.executable, "-m", "headway", "train", *map(str, more)]


def reviews(path: Path, *, first: int = 0) -> Path:
    """Write two dozen reviews, numbered so that no other file has the same."""
    rows = [f"{text} {n},{label}" for n in range(first, first + 12) for text, label in (("a good film", "good"), ("a bad order", "bad"))]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def unbroken(pretrained_folder, tmp_path_factory):
    """Give the words of a short training, and the folder of a run of it that nothing disturbed, in this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as the processes have: more would add the same numbers in another order
    root = tmp_path_factory.mktemp("resume")
    data, dev = reviews(root / "train.csv"), reviews(root / "dev.csv", first=12)
    kept = {}

    def give(precision):
        settings = {
            "train.precision": precision,
            "train.epochs": EPOCHS,
            "train.batch_size": 24 // PER_EPOCH,
            "train.token_budget": 20,
            "train.learning_rate": 0.001,
            "train.checkpoint_minutes": 0.000001,
            "train.patience": 0,
            "train.evaluations": 3,
        }
        words = [f"{name}={value}" for name, value in settings.items()] + [f"model.base_model={pretrained_folder('bert')}"]
        if precision not in kept:
            job = train(data, dev=dev, out=root / f"unbroken-{precision}", config=read_config(None, words))
            kept[precision] = list(job)[-1].folder
        return [data, "--dev", dev, *(part for word in words for part in ("--set", word))], kept[precision]

    yield give
    torch.set_num_threads(threads)


def started(folder, more):
    return subprocess.Popen(command(*more, "--out", folder), env=ONE_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(process, folder, step):
    """Until the log tells of that update, in the midst of an epoch."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = (folder / "steps.jsonl").read_text().splitlines() if (folder / "steps.jsonl").is_file() else []
        if len(lines) >= step:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    raise AssertionError(f"no step {step} within a minute")


def resumed(folder):
    done = subprocess.run(command(folder, "--resume"), env=ONE_CORE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def assert_same_run(folder, unbroken):
    """At tolerance 0: the weights, the scores, and what was logged but for the time it took."""
    assert (folder / "model" / "model.safetensors").read_bytes() == (unbroken / "model" / "model.safetensors").read_bytes()
    for name in ("scores.json", "predictions.jsonl", "model/headway.json", "model/goldens.json", "model/config.json"):
        assert (folder / name).read_text() == (unbroken / name).read_text(), name
    logs = [[json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()] for run in (folder, unbroken)]
    assert [line["step"] for line in logs[0]] == list(range(1, PER_EPOCH * EPOCHS + 1))
    assert [{**line, "seconds": 0} for line in logs[0]] == [{**line, "seconds": 0} for line in logs[1]]


@every_precision
def test_a_run_that_was_killed_goes_on_to_the_weights_of_an_unbroken_one(unbroken, tmp_path, precision):
    more, whole = unbroken(precision)
    folder = tmp_path / "run"
    process = started(folder, more)
    wait_for_step(process, folder, PER_EPOCH + 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "scores.json").exists()
    said = resumed(folder) if precision == "fp32" else str(list(train(folder, resume=True)))  # the same job, without a second start
    assert "going on from step" in said
    assert_same_run(folder, whole)


def test_a_run_that_was_interrupted_saves_and_goes_on_to_the_weights_of_an_unbroken_one(unbroken, tmp_path):
    more, whole = unbroken(PRECISIONS[-1])
    folder = tmp_path / "run"
    process = started(folder, [*more, "--set", "train.checkpoint_minutes=60"])
    wait_for_step(process, folder, PER_EPOCH + 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert f"headway train --resume {folder}" in (out + err).replace("\n", " ")
    saved = [path.name for path in (folder / "checkpoints").iterdir()]
    assert len(saved) == 1
    steps = (folder / "steps.jsonl").read_text().splitlines()
    assert saved == [f"step-{len(steps):08d}"]
    said = [event.text for event in train(folder, resume=True) if isinstance(event, Said)]
    assert f"going on from step {len(steps)} of {PER_EPOCH * EPOCHS}" in said
    assert_same_run(folder, whole)


def test_a_finished_run_has_nothing_to_go_on_with(unbroken):
    _, whole = unbroken("fp32")
    before = (whole / "model" / "model.safetensors").stat().st_mtime_ns
    assert [event.text for event in train(whole, resume=True) if isinstance(event, Said)] == [f"{whole} has already finished"]
    assert (whole / "model" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("step", [1, 2, PER_EPOCH, PER_EPOCH * EPOCHS])
def test_an_interrupt_between_an_update_and_its_evaluation_changes_nothing(unbroken, tmp_path, step):
    more, whole = unbroken("fp32")
    job = train(more[0], dev=more[2], out=tmp_path / "run", config=read_config(None, more[4::2]))
    next(event for event in job if isinstance(event, Stepped) and event.step == step)
    assert job.throw(KeyboardInterrupt()).text.startswith(f"at step {step}, saved")
    with pytest.raises(KeyboardInterrupt):
        next(job)
    list(train(tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole)


@pytest.fixture
def behind(monkeypatch):
    """Look at every loss an update late, as on an accelerator."""
    monkeypatch.setattr(learning, "_log", lambda started, folder: StepLog(folder / STEPS, behind=True))


@pytest.mark.parametrize("step", [1, 2, PER_EPOCH, PER_EPOCH * EPOCHS - 1])
def test_where_losses_are_looked_at_late_an_interrupt_changes_nothing_either(unbroken, behind, tmp_path, step):
    more, whole = unbroken("fp32")
    job = train(more[0], dev=more[2], out=tmp_path / "run", config=read_config(None, more[4::2]))
    next(event for event in job if isinstance(event, Stepped) and event.step == step)
    job.throw(KeyboardInterrupt())
    list(train(tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole)


RECIPES = {
    "multi-sample dropout": ["regularize.head_samples=3"],
    "R-Drop": ["regularize.r_drop=1"],
    "adversarial": ["regularize.adversarial=1"],
    "FreeLB": ["regularize.freelb=0.5"],
    "BitFit": ["regularize.parameters=biases"],
    "top layer anew": ["regularize.reinitialized_layers=1"],
    "mixout": ["regularize.mixout=0.5"],
    "unfreezing": ["regularize.unfreezing=0.8"],
    "average": ["regularize.ema_decay=0.9"],
    "frozen layers": ["regularize.frozen_layers=1", "regularize.dropout=0.1"],
    "soup": ["regularize.soup=uniform", "regularize.soup_size=2"],
    "LoRA": ["regularize.parameters=lora", "lora.dropout=0.1"],
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_run_with_a_recipe_goes_on_to_the_weights_of_an_unbroken_one(unbroken, tmp_path, recipe):
    more, plain = unbroken("fp32")
    config = read_config(None, [*more[4::2], *recipe])
    list(train(more[0], dev=more[2], out=tmp_path / "whole", config=config))
    job = train(more[0], dev=more[2], out=tmp_path / "run", config=config)
    next(event for event in job if isinstance(event, Stepped) and event.step == PER_EPOCH + 3)
    job.close()
    list(train(tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    model = "model/model.safetensors"
    assert (tmp_path / "run" / model).read_bytes() != (plain / model).read_bytes()


def test_an_interrupt_in_the_midst_of_an_update_saves_nothing_torn(unbroken, tmp_path, monkeypatch):
    """What is half updated cannot be gone on with: the run goes on from the checkpoint before it, or from its start."""
    more, whole = unbroken("fp32")
    job = train(more[0], dev=more[2], out=tmp_path / "run", config=read_config(None, more[4::2]))
    next(event for event in job if isinstance(event, Stepped) and event.step == 3)
    with monkeypatch.context() as patch:
        patch.setattr(Optimizer, "_to_network", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(job)
    list(train(tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "run", whole)


def _interrupted(_optimizer):
    raise KeyboardInterrupt


def test_a_run_killed_after_its_last_update_ends_as_an_unbroken_one(unbroken, tmp_path):
    """Early stopping has ended it, or the last update: there is nothing left to learn."""
    more, _ = unbroken("fp32")
    settings = [*more[4::2], "train.patience=1"]
    logs = []
    for name, killed in (("whole", False), ("killed", True)):
        job = train(more[0], dev=more[2], out=tmp_path / name, config=read_config(None, settings))
        if killed:
            next(event for event in job if isinstance(event, Said) and event.topic == "stopped early")
            job.close()
            list(train(tmp_path / name, resume=True))
        else:
            list(job)
        logs.append((tmp_path / name / "steps.jsonl").read_text().count("\n"))
    assert logs[0] == logs[1] < PER_EPOCH * EPOCHS
    assert (tmp_path / "whole" / "scores.json").read_text() == (tmp_path / "killed" / "scores.json").read_text()


def test_a_run_is_saved_in_fp32_whatever_it_computed_in(unbroken):
    _, whole = unbroken(PRECISIONS[-1])
    tensors = load_file(whole / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert any(not tensor.equal(tensor.bfloat16().float()) for tensor in tensors.values())


@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_file_that_is_named_for_a_run_that_goes_on_is_refused(unbroken, tmp_path, name):
    _, folder = unbroken("fp32")
    told = f"--{name} other.csv: {folder} goes on with the files that it was started with; leave --{name} away"
    with pytest.raises(ConfigError, match=re.escape(told)):
        list(train(folder, resume=True, **{name: Path("other.csv")}))
