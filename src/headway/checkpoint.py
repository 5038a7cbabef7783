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
    """Write checkpoint `step` under `folder`, then leave it and the newest before it, `keep` in all.

    Later ones go too: they are damaged, or there would be no update left to save again. So does what a crash left half-written.
    """
    with whole_folder(folder / f"step-{step:08d}") as fresh:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, fresh / "state.safetensors")
        write_text(fresh / "progress.json", json.dumps(progress))
    kept = [path for path in _newest_first(folder) if _step(path) <= step][:keep]
    for other in set(folder.glob("step-*")) - set(kept):
        shutil.rmtree(other)


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
    return sorted((path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(NAME.fullmatch(path.name)[1])
