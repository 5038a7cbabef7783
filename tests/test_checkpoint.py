import json
import shutil

import pytest
import torch

from headway import checkpoint


def tensors_of(step):
    return {
        "master.a": torch.full((3, 4), float(step)),
        "half": torch.full((5,), step, dtype=torch.bfloat16),
        "turned": torch.arange(12.0).view(3, 4).T,
        "step.a": torch.tensor(float(step)),
    }


def save(folder, *steps, keep=2):
    for step in steps:
        checkpoint.save(folder, step, tensors=tensors_of(step), progress={"step": step, "best": 0.1}, keep=keep)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_gives_back_what_was_saved(tmp_path):
    save(tmp_path, 7)
    kept = checkpoint.load_newest(tmp_path)
    assert kept.progress == {"step": 7, "best": 0.1}
    assert kept.damaged == []
    assert kept.tensors.keys() == tensors_of(7).keys()
    for name, tensor in tensors_of(7).items():
        assert kept.tensors[name].equal(tensor)
        assert kept.tensors[name].dtype == tensor.dtype


def test_where_there_is_no_checkpoint_there_is_none_to_load(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None
    assert checkpoint.load_newest(tmp_path / "none") is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_are_kept(tmp_path, keep):
    save(tmp_path, 1, 20, 300, 4000, keep=keep)
    assert names(tmp_path) == ["step-00000001", "step-00000020", "step-00000300", "step-00004000"][-keep:]


def test_the_newest_is_the_one_of_the_highest_step(tmp_path):
    save(tmp_path, 99_999_999, 100_000_000)
    assert checkpoint.load_newest(tmp_path).progress["step"] == 100_000_000


def test_a_failure_in_saving_leaves_the_older_ones(tmp_path):
    save(tmp_path, 1, 2)
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, 3, tensors=tensors_of(3), progress={"step": object()}, keep=2)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    assert checkpoint.load_newest(tmp_path).progress["step"] == 2


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "weights": (lambda folder: flip_a_bit(folder / "state.safetensors"), "state.safetensors has changed since it was written"),
    "no weights": (lambda folder: (folder / "state.safetensors").unlink(), "state.safetensors is missing"),
    "progress": (
        lambda folder: (folder / "progress.json").write_text(json.dumps({"step": 1})),
        "progress.json has changed since it was written",
    ),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing or damaged"),
    "nothing": (lambda folder: (shutil.rmtree(folder), folder.mkdir()), "manifest.json is missing or damaged"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(tmp_path, damage, told):
    save(tmp_path, 1, 2)
    damage(tmp_path / "step-00000002")
    kept = checkpoint.load_newest(tmp_path)
    assert kept.progress["step"] == 1
    assert kept.tensors["master.a"].equal(torch.full((3, 4), 1.0))
    assert kept.damaged == [f"step-00000002: {told}"]


def test_where_all_are_damaged_none_is_loaded(tmp_path):
    save(tmp_path, 1, 2)
    for folder in tmp_path.iterdir():
        flip_a_bit(folder / "state.safetensors")
    assert checkpoint.load_newest(tmp_path) is None


def test_a_damaged_later_checkpoint_does_not_push_out_a_good_one(tmp_path):
    save(tmp_path, 8, 10)
    flip_a_bit(tmp_path / "step-00000010" / "state.safetensors")
    save(tmp_path, 9, keep=1)
    assert names(tmp_path) == ["step-00000009"]
    assert checkpoint.load_newest(tmp_path).progress["step"] == 9


def test_what_killed_runs_left_half_written_is_cleared_away(tmp_path):
    for name in ("step-00000005.unfinished", "step-00000004.replaced"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.safetensors").write_bytes(bytes(10))
    assert checkpoint.load_newest(tmp_path) is None
    save(tmp_path, 6)
    assert names(tmp_path) == ["step-00000006"]


def test_what_is_not_a_checkpoint_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, 1, 2, 3)
    assert "notes.txt" in names(tmp_path)
