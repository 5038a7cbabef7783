"""A real `headway train` in a process of its own, killed or interrupted, and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from headway.backend import pick_dtype

PRECISIONS = ["fp32", *(["bf16"] if pick_dtype("auto", torch.device("cpu")) == torch.bfloat16 else [])]
ONE_CORE = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PER_EPOCH, EPOCHS = 8, 4
every_precision = pytest.mark.parametrize("precision", PRECISIONS)


def command(folder, *more):
    return [sys.executable, "-m", "headway", "train", *more, "--out", str(folder)] if folder else [sys.executable, "-m", "headway", "train", *more]


def reviews(path: Path) -> Path:
    rows = [f"{text} {n},{label}" for n in range(16) for text, label in (("a good film", "good"), ("a bad order", "bad"))]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def unbroken(pretrained_folder, tmp_path_factory):
    """Give the command of a short training, and the folder of a run of it that nothing disturbed."""
    root = tmp_path_factory.mktemp("resume")
    data, dev = reviews(root / "train.csv"), reviews(root / "dev.csv")
    kept = {}

    def give(precision):
        settings = {
            "train.precision": precision,
            "train.epochs": EPOCHS,
            "train.batch_size": 32 // PER_EPOCH,
            "train.token_budget": 20,
            "train.learning_rate": 0.001,
            "train.checkpoint_minutes": 0.000001,
            "train.patience": 0,
            "train.evaluations": 4,
        }
        more = [str(data), "--dev", str(dev), "--base-model", str(pretrained_folder("bert"))]
        more += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        if precision not in kept:
            kept[precision] = root / f"unbroken-{precision}"
            done = subprocess.run(command(kept[precision], *more), env=ONE_CORE, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return more, kept[precision]

    return give


def started(folder, more):
    return subprocess.Popen(command(folder, *more), env=ONE_CORE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    done = subprocess.run(command(None, str(folder), "--resume"), env=ONE_CORE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def assert_same_run(folder, unbroken):
    """At tolerance 0: the weights, the scores, and what was logged but for the time it took."""
    assert (folder / "model" / "model.safetensors").read_bytes() == (unbroken / "model" / "model.safetensors").read_bytes()
    for name in ("scores.json", "predictions.jsonl", "model/headway.json", "model/config.json"):
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
    said = resumed(folder)
    assert "going on from step" in said
    assert_same_run(folder, whole)


@every_precision
def test_a_run_that_was_interrupted_saves_and_goes_on_to_the_weights_of_an_unbroken_one(unbroken, tmp_path, precision):
    more, whole = unbroken(precision)
    folder = tmp_path / "run"
    process = started(folder, [part.replace("checkpoint_minutes=1e-06", "checkpoint_minutes=60") for part in more])
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
    said = resumed(folder)
    assert f"going on from step {len(steps)} of" in said
    assert_same_run(folder, whole)


def test_a_finished_run_has_nothing_to_go_on_with(unbroken):
    _, whole = unbroken("fp32")
    before = (whole / "model" / "model.safetensors").stat().st_mtime_ns
    assert "has already finished" in resumed(whole)
    assert (whole / "model" / "model.safetensors").stat().st_mtime_ns == before


@every_precision
def test_a_run_twice_gives_the_same_weights(unbroken, tmp_path, precision):
    more, whole = unbroken(precision)
    done = subprocess.run(command(tmp_path / "run", *more), env=ONE_CORE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", whole)


def test_a_run_is_saved_in_fp32_whatever_it_computed_in(unbroken):
    _, whole = unbroken(PRECISIONS[-1])
    tensors = load_file(whole / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert any(not tensor.equal(tensor.bfloat16().float()) for tensor in tensors.values())
