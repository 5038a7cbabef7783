"""Before fine-tuning, too, a loss that is not a number is rolled back at half the rate; and so where teachers are learned from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headway import model
from headway.checkpoint import load_newest
from headway.config import read_config
from headway.errors import ConfigError, TrainingError
from headway.events import Said, Stepped
from headway.jobs.train import train

STAGES = ("contrastive", "unlabeled")  # of 12 updates
WAYS = [("contrastive", "all"), ("contrastive", "lora"), ("unlabeled", "all")]
ROWS = [f"{text} {n},{label}" for n in range(12) for text, label in (("a good film", "good"), ("a bad order", "bad"))]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("recovery")
    (root / "train.csv").write_text("\n".join(["text,label", *ROWS]), encoding="utf-8")
    (root / "dev.csv").write_text("text,label\na good order,good\na bad film,bad\n", encoding="utf-8")
    (root / "more.txt").write_text("\n".join(f"the film number {n} was late again" for n in range(24)), encoding="utf-8")
    return root


@pytest.fixture
def lesson(root, pretrained_folder, tmp_path):
    """Give a training that begins with a stage, or with none."""

    def give(stage, *settings, name="run", rate=0.01):
        plain = ["train.precision=fp32", "train.epochs=1", "train.learning_rate=0.001", "audit.allow=all", "train.batch_size=8"]
        plain += ["train.checkpoint_minutes=0.000001", "model.pooling=mean"]
        how = [f"{stage}.epochs=4", f"{stage}.batch_size=8"]
        about = {
            "contrastive": [*how, f"contrastive.learning_rate={rate}"],
            "unlabeled": [f"data.unlabeled={root / 'more.txt'}", *how, f"unlabeled.learning_rate={rate}"],
            "none": [],
        }[stage]
        config = read_config(None, [f"model.base_model={pretrained_folder('bert')}", *plain, *about, *settings])
        return train(root / "train.csv", dev=root / "dev.csv", out=tmp_path / name, config=config)

    return give


def rolled_back(events):
    return [event.text for event in events if isinstance(event, Said) and event.topic == "roll back"]


def log(folder: Path, stage: str) -> list[dict]:
    return [json.loads(line) | {"seconds": 0} for line in (folder / f"{stage}.jsonl").read_text().splitlines()]


def weights(folder: Path) -> bytes:
    return (folder / "model/model.safetensors").read_bytes()


@pytest.mark.parametrize(("stage", "parameters"), WAYS)
def test_a_stage_that_was_rolled_back_learns_what_it_learns_at_half_the_rate(lesson, fragile, tmp_path, stage, parameters):
    way = f"regularize.parameters={parameters}"
    list(lesson(stage, way, rate=0.005, name="half"))
    fragile(at=7, above=0.006)
    events = list(lesson(stage, way))
    told = f"step 7 of {stage}: the loss is not a number; back to the start, at half the rate, 0.005 (1 of at most 3)"
    assert rolled_back(events) == [told]
    assert log(tmp_path / "run", stage) == log(tmp_path / "half", stage)
    assert weights(tmp_path / "run") == weights(tmp_path / "half")
    assert all(weight.isfinite().all() for weight in load_file(tmp_path / "run/model/model.safetensors").values())


@pytest.mark.parametrize("stage", STAGES)
def test_a_roll_back_of_a_stage_is_kept_beside_the_scores_and_is_none_of_fine_tuning(lesson, fragile, tmp_path, stage):
    fragile(at=7, above=0.006)
    [told] = rolled_back(lesson(stage))
    kept = json.loads((tmp_path / "run/scores.json").read_text())
    assert kept["failures"]["roll back"] == told
    assert "rolled_back" not in kept


def test_roll_backs_of_a_stage_and_of_fine_tuning_are_kept_both(lesson, fragile, tmp_path):
    fragile(at=2, above=0.0008)
    both = rolled_back(lesson("contrastive", rate=0.001))
    assert [text.partition(":")[0] for text in both] == ["step 2 of contrastive", "step 2"]
    kept = json.loads((tmp_path / "run/scores.json").read_text())
    assert kept["failures"]["roll back"] == " · ".join(both)
    assert kept["rolled_back"] == {"times": 1, "learning_rate": 0.0005}


def test_a_roll_back_of_what_several_seeds_start_from_is_kept_with_each(lesson, fragile, tmp_path):
    fragile(at=7, above=0.006)
    [told] = rolled_back(lesson("unlabeled", "train.seeds=2"))
    for folder in ("run", "run/seed-1", "run/seed-2"):
        assert json.loads((tmp_path / folder / "scores.json").read_text())["failures"]["roll back"] == told
        assert not (tmp_path / folder / "checkpoints").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_rolled_back_and_killed_goes_on_to_the_weights_of_an_unbroken_one(lesson, fragile, tmp_path, stage):
    fragile(at=7, above=0.003)  # two roll-backs
    assert len(rolled_back(lesson(stage))) == 2
    for stop in [(0, 6), (1, 0), (1, 3), (2, 0), (2, 9)]:  # roll-backs, and updates since
        name = "-".join(map(str, stop))
        job, rolled, at = lesson(stage, name=name), 0, 0
        for event in job:
            if isinstance(event, Said) and event.topic == "roll back":
                rolled, at = rolled + 1, 0
            at = event.step if isinstance(event, Stepped) else at
            if (rolled, at) == stop:
                break
        job.close()
        list(train(tmp_path / name, resume=True))
        assert weights(tmp_path / name) == weights(tmp_path / "run"), stop
        assert log(tmp_path / name, stage) == log(tmp_path / "run", stage), stop
        assert (tmp_path / name / "scores.json").read_bytes() == (tmp_path / "run/scores.json").read_bytes(), stop


@pytest.mark.parametrize("stage", STAGES)
def test_after_three_roll_backs_a_stage_stops_and_says_why(lesson, fragile, tmp_path, stage):
    fragile(at=7, above=0.0)
    events = []
    with pytest.raises(TrainingError) as error:
        events.extend(iter(lesson(stage)))
    told = f"step 7 of {stage}: the loss is not a number any more, also at a rate of 0.00125 after 3 roll-backs; "
    assert str(error.value) == f"{told}lower {stage}.learning_rate (it is 0.01)"
    assert not (tmp_path / "run/model").exists()
    assert not (tmp_path / "run/encoder").exists()
    assert all(tensor.isfinite().all() for tensor in load_newest(tmp_path / f"run/checkpoints/{stage}").tensors.values())


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_last_update_of_a_stage_has_ruined_is_never_kept(lesson, fragile, tmp_path, stage):
    """Its own loss was a number, and no other follows that would tell."""
    fragile(at=12, above=0.006, told=False)
    [told] = rolled_back(lesson(stage))
    assert told.startswith(f"step 12 of {stage}: the loss is not a number; back to the start")
    assert all(weight.isfinite().all() for weight in load_file(tmp_path / "run/model/model.safetensors").values())


# --- teachers


@pytest.fixture
def teacher(lesson, tmp_path):
    list(lesson("none", name="teacher"))
    return tmp_path / "teacher"


def test_what_learns_from_teachers_is_rolled_back_and_goes_on_as_an_unbroken_run(lesson, fragile, teacher, tmp_path):
    settings = [f'distill.teachers=["{teacher}"]', "train.epochs=3"]
    fragile(at=5, above=0.0008)
    [told] = rolled_back(lesson("none", *settings))
    assert told.startswith("step 5: the loss is not a number; back to the best model so far, of step 3, at half the rate, 0.0005")
    job = lesson("none", *settings, name="stopped")
    next(event for event in job if isinstance(event, Said) and event.topic == "roll back")
    job.close()
    list(train(tmp_path / "stopped", resume=True))
    assert weights(tmp_path / "stopped") == weights(tmp_path / "run")


def test_a_teacher_that_answers_no_numbers_is_refused(lesson, teacher, monkeypatch):
    """Lower rates of its pupil would not mend it."""

    def load(run, **how):
        loaded = loaded_as_ever(run, **how)
        with torch.no_grad():
            loaded.encoder.head().bias[0] = np.inf
        return loaded

    loaded_as_ever = model.load
    monkeypatch.setattr(model, "load", load)
    with pytest.raises(ConfigError) as error:
        list(lesson("none", f'distill.teachers=["{teacher}"]'))
    assert str(error.value) == f"{teacher}: as a teacher it answers what is not a number; leave this teacher away"
