"""Where a run can go on from: atomic, verified, bounded on disk."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file, save_file
from torch import Tensor

from headway.folders import find_damage, whole_folder, write_text

NAME = re.compile(r"step-(\d+)")


class Checkpoint(NamedTuple):
    tensors: dict[str, Tensor]
    progress: dict  # what JSON can hold
    damaged: list[str]  # newer checkpoints that could not be used, and why


def save(folder: Path, step: int, *, tensors: Mapping[str, Tensor], progress: dict, keep: int) -> None:
    """Write checkpoint `step` under `folder`, then remove the oldest until `keep` are left."""
    with whole_folder(folder / f"step-{step:08d}") as fresh:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, fresh / "state.safetensors")
        write_text(fresh / "progress.json", json.dumps(progress))
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old)


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose every byte is as it was written; None where there is none."""
    damaged = []
    for path in _newest_first(folder):
        damage = find_damage(path)
        if damage is None:
            progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
            return Checkpoint(load_file(path / "state.safetensors"), progress, damaged)
        damaged.append(f"{path.name}: {damage}")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), reverse=True)
